//! robots.txt: what a host's owner lets robots fetch.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use texting_robots::Robot;
use tokio::{sync::OnceCell, time::Instant};
use url::Url;

use crate::{
    Client, GetOptions, NetError, Overflow, ROBOT_NAME, address::plain_percent, error::shown,
};

/// The longest pause between two requests that a robots.txt can ask for.
pub const LONGEST_CRAWL_DELAY: Duration = Duration::from_secs(30);
/// More of a file is not read.
const FILE_BYTES: usize = 500 << 10;
/// A longer rule can match no address that is followed.
const RULE_BYTES: usize = 2048;
/// Rules with `$` cost memory; more of them are passed over.
const ANCHORED_RULES: usize = 1000;
/// Rules with `*` cost time for every link of a page; more of them are passed over.
const STARRED_RULES: usize = 5000;
/// More sitemaps of one file are not remembered.
const SITEMAPS: usize = 1_000;
/// More hosts are not remembered at once.
const HOSTS: usize = 10_000;
const KEEP: Duration = Duration::from_secs(60 * 60);
/// Who asks again earlier meets the remembered failure.
pub const KEEP_FAILURE: Duration = Duration::from_secs(5);
const FETCH_TIME: Duration = Duration::from_secs(30);

/// What one host allows.
#[derive(Debug, Default)]
pub struct RobotRules {
    /// None: everything.
    robot: Option<Robot>,
    sitemaps: Vec<Url>,
}

impl RobotRules {
    /// The rules of a file; what cannot be read as rules allows everything.
    pub(crate) fn parse(content_type: Option<&str>, file: &[u8]) -> Self {
        let text = String::from_utf8_lossy(file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file));
        let html = content_type.is_some_and(|kind| kind.to_ascii_lowercase().contains("html"));
        if html || text.trim_start().starts_with('<') {
            return Self::default();
        }
        let sitemaps = text.lines().filter_map(|line| {
            let (field, value) = line.split_once(':')?;
            // Their addresses are whole (RFC 9309 leaves them to sitemaps.org, which says so).
            let named = field.trim().eq_ignore_ascii_case("sitemap");
            named.then(|| Url::parse(value.trim()).ok()).flatten()
        });
        Self {
            sitemaps: sitemaps.take(SITEMAPS).collect(),
            robot: Robot::new(ROBOT_NAME, tidy(&text).as_bytes()).ok(),
        }
    }

    /// The sitemaps that the file names, in its order. Nobody has checked where they lead.
    #[must_use]
    pub fn sitemaps(&self) -> &[Url] {
        &self.sitemaps
    }

    /// Whether the address may be fetched.
    #[must_use]
    pub fn allow(&self, url: &Url) -> bool {
        let mut url = url.clone();
        url.set_fragment(None);
        self.robot.as_ref().is_none_or(|robot| robot.allowed(&plain_percent(url.as_str())))
    }

    /// The pause between two requests that the file asks for, at most [`LONGEST_CRAWL_DELAY`].
    #[must_use]
    pub fn crawl_delay(&self) -> Option<Duration> {
        let seconds = self.robot.as_ref()?.delay?;
        if seconds.is_nan() || seconds <= 0.0 {
            return None;
        }
        Some(
            Duration::try_from_secs_f32(seconds)
                .unwrap_or(LONGEST_CRAWL_DELAY)
                .min(LONGEST_CRAWL_DELAY),
        )
    }
}

/// Brings a file into the form that the parser compares right: agents without a version, escapes in
/// one spelling, no rules outside a group, no rules that only cost.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut anchored = 0;
    let mut starred = 0;
    let mut in_group = false;
    for line in text.split(['\n', '\r', '\0']) {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some((field, value)) = line.split_once(':') else { continue };
        let (field, value) = (field.trim().to_ascii_lowercase(), value.trim());
        match field.as_str() {
            "user-agent" => {
                in_group = true;
                let product = value.split('/').next().unwrap_or_default().trim();
                out.push_str(&format!("User-agent: {product}\n"));
            }
            "allow" | "disallow" if in_group && value.len() <= RULE_BYTES => {
                if value.contains('$') {
                    anchored += 1;
                    if anchored > ANCHORED_RULES {
                        continue;
                    }
                } else if value.contains('*') {
                    starred += 1;
                    if starred > STARRED_RULES {
                        continue;
                    }
                }
                out.push_str(&format!("{field}: {}\n", plain_percent(value)));
            }
            "crawl-delay" => out.push_str(&format!("Crawl-delay: {value}\n")),
            _ => {}
        }
    }
    out
}

type Known = Arc<OnceCell<Result<Arc<RobotRules>, NetError>>>;

/// The files that are known, by origin.
#[derive(Default)]
pub(crate) struct Robots {
    known: Mutex<HashMap<String, (Instant, Known)>>,
}

impl Robots {
    pub(crate) async fn rules(
        &self,
        client: &Client,
        url: &Url,
    ) -> Result<Arc<RobotRules>, NetError> {
        let origin = url.origin().ascii_serialization();
        // Everyone who asks for the same host meanwhile waits for the one who fetches.
        self.entry(&origin).get_or_init(|| fetch(client, url)).await.clone()
    }

    fn entry(&self, origin: &str) -> Known {
        let now = Instant::now();
        let fresh = |(since, known): &(Instant, Known)| match known.get() {
            Some(Err(_)) => now < *since + KEEP_FAILURE,
            Some(Ok(_)) | None => now < *since + KEEP,
        };
        // A thread that panicked while holding the lock cannot have left the map half-changed.
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = all.get(origin).filter(|entry| fresh(entry)) {
            return entry.1.clone();
        }
        if all.len() >= HOSTS {
            all.retain(|_, entry| fresh(entry));
            if all.len() >= HOSTS {
                all.clear();
            }
        }
        let known = Known::default();
        all.insert(origin.to_owned(), (now, known.clone()));
        known
    }
}

async fn fetch(client: &Client, url: &Url) -> Result<Arc<RobotRules>, NetError> {
    let everything = || Ok(Arc::new(RobotRules::default()));
    let mut site = url.clone();
    site.set_path("/");
    site.set_query(None);
    site.set_fragment(None);
    let mut file = site.clone();
    file.set_path("/robots.txt");
    let options = GetOptions {
        accept: "text/plain, */*;q=0.1",
        body_bytes: Some(FILE_BYTES),
        overflow: Overflow::Cut,
        total: Some(FETCH_TIME),
        ..GetOptions::default()
    };
    let unavailable = |reason: String, wait: Option<Duration>| {
        let wait = wait.unwrap_or_default().max(KEEP_FAILURE);
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Err(NetError::Robots { url: shown(&file), reason, wait_ms })
    };
    let response = match client.get(&file, &options).await {
        Ok(response) => response,
        // Nobody is there: the host's name or its server is missing, not the file.
        Err(NetError::Dns { reason, .. }) => {
            return Err(NetError::Dns { url: shown(&site), reason });
        }
        Err(NetError::Connect { reason, .. }) => {
            return Err(NetError::Connect { url: shown(&site), reason });
        }
        Err(error) if error.is_transient() => return unavailable(error.to_string(), None),
        // A file that can never be read is no file. What the policy refuses for robots.txt it
        // refuses for the pages too.
        Err(error) => {
            tracing::debug!(%error, "robots.txt cannot be read, so nothing is disallowed");
            return everything();
        }
    };
    match response.status {
        200..=299 => {
            let parsed = tokio::task::spawn_blocking(move || {
                RobotRules::parse(response.content_type.as_deref(), &response.body)
            });
            Ok(Arc::new(parsed.await.unwrap_or_default()))
        }
        // A network on the way says so, and not the host.
        511 => Err(NetError::NetworkSignIn { url: shown(&site) }),
        429 | 500..=599 => unavailable(
            format!("the server answers with status {}.", response.status),
            response.retry_after,
        ),
        _ => everything(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(file: &str, path: &str) -> bool {
        let url = Url::parse("http://example.org")
            .and_then(|base| base.join(path))
            .expect("the test's own path");
        RobotRules::parse(Some("text/plain"), file.as_bytes()).allow(&url)
    }

    #[test]
    fn an_endless_file_costs_little_and_still_counts() {
        let mut file = String::from("User-agent: *\n");
        while file.len() < FILE_BYTES {
            file.push_str("Disallow: /*/a*b*c*$\n");
        }
        file.push_str(&format!("Disallow: /{}$\nDisallow: /private\n", "a*".repeat(4000)));
        assert!(!allowed(&file, "/private/x"));
        assert!(allowed(&file, "/public"));

        let file =
            format!("User-agent: *\n{}Disallow: /private\n", "Disallow:/*z\n".repeat(38_000));
        let rules = RobotRules::parse(None, file.as_bytes());
        for link in 0..200 {
            let url = format!("http://example.org/{link}/{}", "a".repeat(1500));
            assert!(rules.allow(&Url::parse(&url).expect("an address")));
        }
        assert!(!rules.allow(&Url::parse("http://example.org/private/").expect("an address")));
    }
}
