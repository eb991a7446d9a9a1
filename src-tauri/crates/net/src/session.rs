//! A sign-in that is taken along: cookies and headers of one site, for the requests that ask for them.
//!
//! Architecture invariant: they go to the hosts of that site only, whatever a page or a redirect
//! says, and by https wherever a host is not of the user's own network. What the site sets on the way
//! is kept in memory, for as long as the session lives.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::header::{COOKIE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use url::Url;

use crate::{AddressPolicy, Redactor, Site, retry_after};

/// Cookies of one site; a site that sets more loses its oldest.
const MAX_COOKIES: usize = 200;
/// Bytes of one cookie, as browsers have it.
const MAX_COOKIE_BYTES: usize = 4096;
/// Bytes from which on a value is looked for in texts.
const LONG_VALUE: usize = 8;
/// Bytes of a `Cookie` header.
const MAX_HEADER_BYTES: usize = 16 << 10;
/// Headers that would take the request elsewhere or break it.
const NOT_SENT: [&str; 12] = [
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A cookie as it is imported and kept. Its value is secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cookie {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The host it belongs to, without a dot before it.
    pub domain: String,
    /// Whether hosts below that one get it as well.
    pub subdomains: bool,
    /// The beginning of the paths it belongs to.
    pub path: String,
    /// Whether it goes over https only.
    pub secure: bool,
    /// When it ends, in seconds since 1970; none with the session.
    pub expires: Option<i64>,
}

impl std::fmt::Debug for Cookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cookie")
            .field("name", &self.name)
            .field("domain", &self.domain)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Cookie {
    fn is_over(&self, now: i64) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// RFC 6265, 5.1.3 and 5.1.4.
    fn belongs_to(&self, url: &Url) -> bool {
        let Some(host) = bare_host(url) else { return false };
        let below = host.strip_suffix(self.domain.as_str()).is_some_and(|rest| rest.ends_with('.'));
        // A bare address has nothing below it.
        let below = below && url.domain().is_some();
        let path = url.path();
        let in_path = path == self.path
            || path
                .strip_prefix(self.path.as_str())
                .is_some_and(|rest| self.path.ends_with('/') || rest.starts_with('/'));
        (host == self.domain || (self.subdomains && below))
            && in_path
            && (!self.secure || url.scheme() == "https" || is_loopback(&host))
    }
}

/// A host as cookies name it.
fn bare_host(url: &Url) -> Option<String> {
    Some(url.host_str()?.trim_end_matches('.').to_ascii_lowercase())
}

/// Browsers take this computer for secure, too.
fn is_loopback(host: &str) -> bool {
    host == "localhost" || host == "127.0.0.1" || host == "[::1]"
}

/// What is not a site.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a site; write `example.org`, or `intranet:8080` for one of your own network")]
pub struct InvalidSite(pub String);

/// The site of a name like `example.org`, `intranet` or `127.0.0.1:8080`.
fn site_of(name: &str) -> Result<(Site, String), InvalidSite> {
    let invalid = || InvalidSite(name.chars().take(200).collect());
    let bare = name.trim().trim_start_matches('.');
    if bare.is_empty() || bare.contains(|c: char| c.is_whitespace() || "/\\@?#%*".contains(c)) {
        return Err(invalid());
    }
    let url = Url::parse(&format!("http://{bare}/")).map_err(|_| invalid())?;
    let site = Site::of(&url, &AddressPolicy::default());
    let shown = match &site {
        Site::Domain(domain) => domain.clone(),
        Site::Host(host, None) => host.clone(),
        Site::Host(host, Some(port)) => format!("{host}:{port}"),
    };
    Ok((site, shown))
}

/// The registrable domain that a host belongs to, or the host itself where there is none.
///
/// # Errors
/// If it is no host.
pub fn site_name(host: &str) -> Result<String, InvalidSite> {
    site_of(host).map(|(_, name)| name)
}

/// Cookies and headers of one site. Clones share what the site sets.
#[derive(Clone)]
pub struct Session {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    site: Site,
    headers: Vec<(HeaderName, SecretString)>,
    cookies: Mutex<Vec<Cookie>>,
    /// What time it was, in seconds since 1970, when the session began.
    began: (i64, Instant),
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

impl Session {
    /// The session of a profile: of its name, for this site, with these headers and cookies. Cookies
    /// of other sites and headers that cannot be sent are left out.
    ///
    /// `now` is in seconds since 1970.
    ///
    /// # Errors
    /// If `site` is none.
    pub fn new(
        name: &str,
        site: &str,
        headers: &[(String, String)],
        cookies: Vec<Cookie>,
        now: i64,
    ) -> Result<Self, InvalidSite> {
        let (site, _) = site_of(site)?;
        let headers = headers
            .iter()
            .filter(|(name, value)| can_be_sent(name, value))
            .filter_map(|(name, value)| {
                let value = SecretString::from(value.clone());
                Some((HeaderName::try_from(name.as_str()).ok()?, value))
            })
            .collect();
        let cookies = cookies.into_iter().filter(|cookie| is_of(&site, &cookie.domain)).collect();
        let (name, cookies) = (name.to_owned(), Mutex::new(cookies));
        let shared = Shared { name, site, headers, cookies, began: (now, Instant::now()) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The profile's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Whether an address belongs to the session's site.
    #[must_use]
    pub fn covers(&self, url: &Url) -> bool {
        Site::of(url, &AddressPolicy::default()) == self.shared.site
    }

    /// Whether it had cookies, and all of them are over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let (now, cookies) = (self.now(), self.cookies());
        !cookies.is_empty() && cookies.iter().all(|cookie| cookie.is_over(now))
    }

    /// What takes its cookies and headers out of texts. Short values are left: they are words such as
    /// `true`, which stand in texts for other reasons.
    #[must_use]
    pub fn redactor(&self) -> Redactor {
        let headers = self.shared.headers.iter().flat_map(|(_, value)| {
            // A word such as `Bearer` may not be repeated with the rest.
            let last = value.expose_secret().rsplit(' ').next().unwrap_or_default().to_owned();
            [value.clone(), SecretString::from(last)]
        });
        let cookies = self.cookies();
        let cookies = cookies.iter().map(|cookie| SecretString::from(cookie.value.clone()));
        let secrets: Vec<SecretString> = headers.chain(cookies).collect();
        let long = |secret: &&SecretString| secret.expose_secret().len() >= LONG_VALUE;
        Redactor::new(secrets.iter().filter(long))
    }

    /// What goes to this address.
    pub(crate) fn headers(&self, url: &Url) -> HeaderMap {
        let (now, mut headers) = (self.now(), HeaderMap::new());
        if !self.covers(url) {
            return headers;
        }
        let secret = |text: &str| {
            let mut value = HeaderValue::from_str(text).ok()?;
            value.set_sensitive(true);
            Some(value)
        };
        // A header has no say in whether it may go in the clear, so it does not.
        if url.scheme() == "https" || matches!(self.shared.site, Site::Host(..)) {
            for (name, value) in &self.shared.headers {
                headers.extend(secret(value.expose_secret()).map(|value| (name.clone(), value)));
            }
        }
        let cookies = self.cookies();
        let mut fitting: Vec<&Cookie> = cookies
            .iter()
            .filter(|cookie| cookie.belongs_to(url) && !cookie.is_over(now))
            .collect();
        // Longer paths first, as RFC 6265, 5.4 has it.
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let mut text = String::new();
        for Cookie { name, value, .. } in fitting {
            if text.len() + name.len() + value.len() > MAX_HEADER_BYTES {
                break;
            }
            if !text.is_empty() {
                text.push_str("; ");
            }
            text.push_str(name);
            text.push('=');
            text.push_str(value);
        }
        if !text.is_empty() {
            headers.extend(secret(&text).map(|value| (COOKIE, value)));
        }
        headers
    }

    /// Takes what an answer of this address sets.
    pub(crate) fn take(&self, url: &Url, answer: &HeaderMap) {
        if !self.covers(url) || !answer.contains_key(SET_COOKIE) {
            return;
        }
        let now = self.now();
        let set = answer.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
        let set: Vec<Cookie> = set.filter_map(|text| parse(text, url, now)).collect();
        let mut cookies = self.cookies();
        for cookie in set.into_iter().filter(|cookie| is_of(&self.shared.site, &cookie.domain)) {
            cookies.retain(|known| {
                (&known.name, &known.domain, &known.path)
                    != (&cookie.name, &cookie.domain, &cookie.path)
            });
            if !cookie.is_over(now) {
                cookies.push(cookie);
            }
        }
        let surplus = cookies.len().saturating_sub(MAX_COOKIES);
        cookies.drain(..surplus);
    }

    fn now(&self) -> i64 {
        let (then, began) = self.shared.began;
        then.saturating_add_unsigned(began.elapsed().as_secs())
    }

    fn cookies(&self) -> MutexGuard<'_, Vec<Cookie>> {
        // No holder leaves it half-changed.
        self.shared.cookies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a header may be part of a session.
#[must_use]
pub fn can_be_sent(name: &str, value: &str) -> bool {
    HeaderName::try_from(name).is_ok_and(|name| !NOT_SENT.contains(&name.as_str()))
        && HeaderValue::from_str(value).is_ok()
}

/// Whether a cookie's host belongs to the site. Cookies know no ports.
fn is_of(site: &Site, domain: &str) -> bool {
    match (site, site_of(domain)) {
        (Site::Host(host, _), Ok((Site::Host(other, _), _))) => *host == other,
        (site, Ok((other, _))) => *site == other,
        (_, Err(_)) => false,
    }
}

/// A `Set-Cookie` header (RFC 6265, 5.2 and 5.3).
fn parse(text: &str, url: &Url, now: i64) -> Option<Cookie> {
    if text.len() > MAX_COOKIE_BYTES || text.contains(|c: char| c.is_control()) {
        return None;
    }
    let mut parts = text.split(';');
    let (name, value) = parts.next()?.split_once('=')?;
    let host = bare_host(url)?;
    let folder = url.path().rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut cookie = Cookie {
        name: name.trim().to_owned(),
        value: value.trim().to_owned(),
        domain: host.clone(),
        subdomains: false,
        path: if folder.is_empty() { "/".to_owned() } else { folder.to_owned() },
        secure: false,
        expires: None,
    };
    let (mut max_age, mut names_domain) = (None, false);
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim();
        match key.trim().to_ascii_lowercase().as_str() {
            "domain" if !value.is_empty() => {
                let domain = value.trim_start_matches('.').to_ascii_lowercase();
                let below = host.strip_suffix(domain.as_str());
                if host != domain && !below.is_some_and(|rest| rest.ends_with('.')) {
                    return None;
                }
                // A whole domain like `co.uk` belongs to nobody.
                cookie.subdomains = host != domain || psl::domain_str(&domain).is_some();
                cookie.domain = domain;
                names_domain = true;
            }
            "path" if value.starts_with('/') => cookie.path = value.to_owned(),
            "secure" => cookie.secure = true,
            "max-age" => {
                max_age = value.parse::<i64>().ok().map(|seconds| now.saturating_add(seconds));
            }
            // Some write dashes into the date.
            "expires" => {
                let date = retry_after::parse_date(&value.replace('-', " "));
                cookie.expires = date.map(|at| at.as_second());
            }
            _ => {}
        }
    }
    cookie.expires = max_age.or(cookie.expires);
    (!cookie.name.is_empty() && keeps_its_word(&cookie, url, names_domain)).then_some(cookie)
}

/// Whether a cookie that claims to be safe is (RFC 6265bis, 4.1.3 and 5.7): who can only change what
/// goes in the clear must not set it.
fn keeps_its_word(cookie: &Cookie, url: &Url, names_domain: bool) -> bool {
    let claims = |prefix: &str| {
        let start = cookie.name.get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    let safe = url.scheme() == "https" || bare_host(url).is_some_and(|host| is_loopback(&host));
    let own = !names_domain && cookie.path == "/";
    (safe || !cookie.secure)
        && (cookie.secure || !claims("__Secure-"))
        && (cookie.secure && own || !claims("__Host-"))
}

#[cfg(test)]
mod tests;
