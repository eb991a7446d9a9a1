//! What can go wrong between asking and having the bytes.

use std::{error::Error, io};

use url::Url;

use crate::policy::Refusal;

/// What took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Finding and connecting to the host.
    Connect,
    /// Waiting for the first byte of the answer.
    FirstByte,
    /// Waiting for the next part of the body.
    Body,
    /// The whole exchange.
    Total,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connect => "could not be connected to in time",
            Self::FirstByte => "did not begin to answer in time",
            Self::Body => "stopped sending",
            Self::Total => "took too long to send everything",
        })
    }
}

/// A request that gave no answer that can be used. Messages name the address and the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's message says what its fields are")]
pub enum NetError {
    /// The address policy does not let the address through.
    #[error("{url} is not fetched: {reason}.")]
    Refused { url: String, reason: Refusal },
    /// No address is known for the host's name.
    #[error("The host of {url} cannot be found: {reason}.")]
    Dns { url: String, reason: String },
    /// Nobody answers there.
    #[error("{url} cannot be connected to: {reason}.")]
    Connect { url: String, reason: String },
    /// The other side cannot prove who it is.
    #[error("The secure connection to {url} is not trustworthy: {reason}.")]
    Tls { url: String, reason: String },
    /// A limit of time was reached.
    #[error("{url} {phase}.")]
    Timeout { url: String, phase: Phase },
    /// The connection broke, or what came is not HTTP.
    #[error("The answer of {url} broke off: {reason}.")]
    Interrupted { url: String, reason: String },
    /// The body is larger than allowed.
    #[error("{url} is larger than {limit} bytes.")]
    TooLarge { url: String, limit: usize },
    /// The body decompresses to an absurd size.
    #[error("{url} expands to more than {ratio} times what was sent; it was not read on.")]
    Bomb { url: String, ratio: u64 },
    /// The headers are larger than allowed.
    #[error("The headers of {url} are larger than {limit} bytes.")]
    HeadersTooLarge { url: String, limit: usize },
    /// The body is compressed in a way that was not asked for, or not as its header says.
    #[error("The body of {url} cannot be decompressed: {reason}.")]
    Encoding { url: String, reason: String },
    /// More redirects than allowed.
    #[error("{url} redirects more than {limit} times.")]
    TooManyRedirects { url: String, limit: usize },
    /// A redirect leads back to where it came from.
    #[error("{url} redirects in a circle.")]
    RedirectLoop { url: String },
    /// A redirect without a usable target.
    #[error("{url} redirects, but {reason}.")]
    BadRedirect { url: String, reason: String },
    /// robots.txt cannot be read for now, so nobody knows what may be fetched.
    #[error("{url} cannot be read for now, so nothing of the site is fetched: {reason}")]
    Robots { url: String, reason: String, wait_ms: u64 },
    /// The network of this computer wants its user to sign in before anything else.
    #[error("{url} cannot be reached before you sign in to the network that you use (status 511).")]
    NetworkSignIn { url: String },
}

impl NetError {
    /// A stable word for the kind of error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "address_refused",
            Self::Dns { .. } => "host_not_found",
            Self::Connect { .. } => "cannot_connect",
            Self::Tls { .. } => "tls",
            Self::Timeout { .. } => "timeout",
            Self::Interrupted { .. } => "interrupted",
            Self::TooLarge { .. } => "too_large",
            Self::Bomb { .. } => "decompression_bomb",
            Self::HeadersTooLarge { .. } => "headers_too_large",
            Self::Encoding { .. } => "bad_encoding",
            Self::TooManyRedirects { .. } => "too_many_redirects",
            Self::RedirectLoop { .. } => "redirect_loop",
            Self::BadRedirect { .. } => "bad_redirect",
            Self::Robots { .. } => "robots_unavailable",
            Self::NetworkSignIn { .. } => "network_sign_in",
        }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Dns { .. }
            | Self::Connect { .. }
            | Self::Timeout { .. }
            | Self::Interrupted { .. }
            | Self::Robots { .. }
            | Self::NetworkSignIn { .. } => true,
            Self::Refused { .. }
            | Self::Tls { .. }
            | Self::TooLarge { .. }
            | Self::Bomb { .. }
            | Self::HeadersTooLarge { .. }
            | Self::Encoding { .. }
            | Self::TooManyRedirects { .. }
            | Self::RedirectLoop { .. }
            | Self::BadRedirect { .. } => false,
        }
    }

    pub(crate) fn refused(url: &Url, reason: Refusal) -> Self {
        Self::Refused { url: shown(url), reason }
    }

    pub(crate) fn timeout(url: &Url, phase: Phase) -> Self {
        Self::Timeout { url: shown(url), phase }
    }

    pub(crate) fn interrupted(url: &Url, reason: impl Into<String>) -> Self {
        Self::Interrupted { url: shown(url), reason: reason.into() }
    }

    /// Finds the cause that matters in what the HTTP library reports.
    pub(crate) fn from_http(url: &Url, error: &reqwest::Error) -> Self {
        let mut reason = error.to_string();
        let mut next: Option<&(dyn Error + 'static)> = error.source();
        while let Some(cause) = next {
            if let Some(refusal) = cause.downcast_ref::<Refusal>() {
                return Self::refused(url, refusal.clone());
            }
            if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
                return Self::Tls { url: shown(url), reason: tls.to_string() };
            }
            reason = cause.to_string();
            // An `io::Error` hides what it was made from: its `source` is that error's source.
            let hidden = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            next = match hidden {
                Some(inner) => Some(inner),
                None => cause.source(),
            };
        }
        let url = shown(url);
        if error.is_dns() {
            Self::Dns { url, reason }
        } else if error.is_connect() && error.is_timeout() {
            Self::Timeout { url, phase: Phase::Connect }
        } else if error.is_connect() {
            Self::Connect { url, reason }
        } else if error.is_timeout() {
            Self::Timeout { url, phase: Phase::FirstByte }
        } else {
            Self::Interrupted { url, reason }
        }
    }
}

/// Names in a query whose values open something.
const KEYS: [&str; 8] =
    ["api_token", "api_key", "apikey", "key", "token", "access_token", "auth", "password"];

/// An address as messages show it: never longer than a few lines, and without keys.
pub(crate) fn shown(url: &Url) -> String {
    const LONGEST: usize = 300;
    let is_key = |name: &str| KEYS.iter().any(|key| name.eq_ignore_ascii_case(key));
    let mut url = url.clone();
    if url.query_pairs().any(|(name, _)| is_key(&name)) {
        let pairs: Vec<(String, String)> = url
            .query_pairs()
            .map(|(name, value)| {
                let value = if is_key(&name) { "***".into() } else { value };
                (name.into_owned(), value.into_owned())
            })
            .collect();
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    let text = url.as_str();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
