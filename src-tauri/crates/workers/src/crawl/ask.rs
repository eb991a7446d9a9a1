//! Asking a host for a page: by its rules and at its pace.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError},
    time::Duration,
};

use quaero_engine::work::{Retry, TaskError};
use quaero_net::{
    Exchange, GetOptions, KEEP_FAILURE, LONGEST_WAIT, NetError, Overflow, Reply, Response,
    RobotRules, normalise,
};
use quaero_store::{DocumentId, PageState};
use url::Url;

use super::{frontier::MAX_REFUSED, listing, visit::Visitor};

const ACCEPT: &str = "text/html,application/xhtml+xml,text/markdown,text/plain;q=0.9,application/pdf;q=0.8,*/*;q=0.1";
/// How long to leave a host alone that asks for it without saying how long, the first time.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// Where a site without a word about it has its sitemap (sitemaps.org/protocol.html).
pub(super) const USUAL_SITEMAP: &str = "/sitemap.xml";

/// The code with which robots.txt and the bounds of a crawl are accounted for, as if they had answered.
pub(super) const ROBOTS: &str = "robots";
const ELSEWHERE: &str = "elsewhere";
/// The code of an address that the policy refuses, as [`NetError`] has it.
pub(super) const REFUSED: &str = "address_refused";

impl Visitor {
    pub(super) fn options(&self) -> GetOptions {
        GetOptions {
            accept: ACCEPT,
            body_bytes: Some(self.frontier.config.max_page_bytes as usize),
            overflow: Overflow::Fail,
            total: Some(self.frontier.page_timeout),
            session: self.session.clone(),
            ..GetOptions::default()
        }
    }

    /// Accounts for an address that is not asked.
    pub(super) fn left_out(&self, url: &Url, reason: &str) {
        (self.account)(Exchange::left_out(url, reason));
    }

    /// Accounts for links that lead where no request may go, each once in a step.
    pub(super) fn account_refused(&self, links: HashSet<Url>) {
        let mut told = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        for url in links {
            if told.len() < MAX_REFUSED && told.insert(url.clone()) {
                self.left_out(&url, REFUSED);
            }
        }
    }

    /// How long the host of an answer is to be left alone.
    pub(super) fn pause_after(&self, reply: &Reply) -> Duration {
        self.throttle.pause(reply.url(), reply.status(), reply.waited())
    }

    /// The document that an address has been made into, with its state, if it can be asked for under a
    /// condition.
    pub(super) async fn known(
        &self,
        url: &Url,
    ) -> Result<Option<(DocumentId, PageState)>, TaskError> {
        let config = &self.frontier.config;
        // What scripts fetch may have changed although the page itself has not.
        let usable = config.keep_original && !config.enable_javascript;
        let known = match usable && self.is_known_host(url).await? {
            true => self.remembered(url).await?,
            false => None,
        };
        Ok(known.filter(|(_, page)| page.etag.is_some() || page.last_modified.is_some()))
    }

    async fn is_known_host(&self, url: &Url) -> Result<bool, TaskError> {
        let Some(store) = &self.store else { return Ok(false) };
        let origin = format!("{}/", url.origin().ascii_serialization());
        let mut known = self.known_hosts.lock().await;
        if let Some(known) = known.get(&origin) {
            return Ok(*known);
        }
        let found = store.knows_pages_of(&origin).await?;
        known.insert(origin, found);
        Ok(found)
    }

    /// The document that an address has been made into, with its state.
    pub(super) async fn remembered(
        &self,
        url: &Url,
    ) -> Result<Option<(DocumentId, PageState)>, TaskError> {
        let Some(store) = &self.store else { return Ok(None) };
        Ok(store.page(normalise(url).as_str()).await?)
    }

    /// The answer of an earlier visit, from the bytes that were kept.
    pub(super) async fn stored(
        &self,
        document: DocumentId,
        page: PageState,
        url: &Url,
    ) -> Result<Option<Response>, TaskError> {
        let Some(store) = &self.store else { return Ok(None) };
        let original = store.document_with_original(document).await?.and_then(|d| d.original);
        // What is kept may have come with another answer.
        let original =
            original.filter(|body| blake3::hash(body).to_hex().as_str() == page.body_hash);
        Ok(original.map(|body| Response {
            url: url.clone(),
            redirects: Vec::new(),
            status: 200,
            content_type: page.content_type,
            robots_tag: page.robots_tag,
            etag: page.etag,
            last_modified: page.last_modified,
            retry_after: None,
            body,
            cut: false,
        }))
    }

    /// Fetches a file that is no page; or says why it is left out.
    pub(super) async fn fetch(
        &self,
        url: &Url,
        attempt: u32,
    ) -> Result<Result<Response, &'static str>, TaskError> {
        let options = GetOptions {
            accept: "application/xml,text/xml,*/*;q=0.1",
            body_bytes: Some(listing::MOST_BYTES),
            ..self.options()
        };
        let mut trail = self.client.trail(url, options);
        loop {
            let here = trail.address().clone();
            // Who is not of the site is not even asked for its rules.
            let covered = self.frontier.covers(&here);
            let is_ours =
                covered && self.rules(&here, attempt).await?.is_none_or(|rules| rules.allow(&here));
            if !is_ours {
                self.left_out(&here, if covered { ROBOTS } else { ELSEWHERE });
                return Ok(Err(match covered {
                    true => "robots.txt does not allow it",
                    false => "it leads to another site",
                }));
            }
            if let Some(reply) = trail.follow().await.map_err(|error| failed(&error))? {
                if let Some(error) = refusal(&reply, attempt) {
                    return Err(error);
                }
                return reply.read().await.map(Ok).map_err(|error| failed(&error));
            }
        }
    }

    /// The sitemaps that a host's robots.txt names, or the usual one.
    pub(super) async fn sitemaps_of(
        &self,
        robots: &Url,
        attempt: u32,
    ) -> Result<Vec<Url>, TaskError> {
        // The file is asked for its sitemaps even if its rules are not obeyed.
        let rules = self.known_rules(robots, attempt).await?;
        Ok(match rules.sitemaps() {
            [] => robots.join(USUAL_SITEMAP).into_iter().collect(),
            named => named.to_vec(),
        })
    }

    pub(super) async fn rules(
        &self,
        url: &Url,
        attempt: u32,
    ) -> Result<Option<Arc<RobotRules>>, TaskError> {
        if !self.frontier.config.respect_robots {
            return Ok(None);
        }
        self.known_rules(url, attempt).await.map(Some)
    }

    async fn known_rules(&self, url: &Url, attempt: u32) -> Result<Arc<RobotRules>, TaskError> {
        match self.client.robots(url).await {
            Ok(rules) => Ok(rules),
            Err(ref error @ NetError::Robots { wait_ms, .. }) => {
                let ms = wait_ms.saturating_mul(attempt.max(1).into());
                Err(TaskError { retry: Retry::PauseLane { ms }, ..failed(error) })
            }
            Err(ref error @ NetError::NetworkSignIn { .. }) => {
                let wait = KEEP_FAILURE * attempt.max(1);
                let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                Err(TaskError { retry: Retry::PauseLane { ms }, ..failed(error) })
            }
            Err(error) => Err(failed(&error)),
        }
    }
}

/// The failure that an answer's status means, if it means one.
pub(super) fn refusal(reply: &Reply, attempt: u32) -> Option<TaskError> {
    let status = reply.status();
    let url = reply.url();
    let wait = reply.retry_after().map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    let pause = |ms| Retry::PauseLane { ms };
    let (code, what, retry) = match status {
        206 => ("unexpected_status", "sends a part, though all of it was asked for", Retry::Never),
        200..=299 => return None,
        404 | 410 => ("not_found", "does not exist", Retry::Never),
        401 | 402 | 403 | 407 | 451 => ("forbidden", "is not open to everyone", Retry::Never),
        429 => (
            "too_many_requests",
            "asks for a pause",
            pause(wait.unwrap_or_else(|| growing_pause(attempt))),
        ),
        408 | 425 => ("server_busy", "is too busy", wait.map_or(Retry::Backoff, pause)),
        511 => (
            "network_sign_in",
            "cannot be reached before you sign in to the network that you use",
            Retry::Backoff,
        ),
        500..=599 => ("server_error", "has a fault of its own", wait.map_or(Retry::Backoff, pause)),
        _ => ("unexpected_status", "answers in an unexpected way", Retry::Never),
    };
    Some(TaskError {
        code: code.into(),
        message: format!("{url} {what} (status {status})."),
        retry,
    })
}

/// 5 s, 10 s, 20 s, … up to [`LONGEST_WAIT`].
fn growing_pause(attempt: u32) -> u64 {
    let pause = FIRST_PAUSE
        .saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)))
        .min(LONGEST_WAIT);
    u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn failed(error: &NetError) -> TaskError {
    let retry = if error.is_transient() { Retry::Backoff } else { Retry::Never };
    TaskError { code: error.code().into(), message: error.to_string(), retry }
}
