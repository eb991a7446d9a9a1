//! What a page asks for, and what it gets.
//!
//! Only what makes text is fetched, and only read: scripts, styles and data, with GET. Each redirect
//! is handed back to the browser, so that it comes here again as a request of its own.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use quaero_net::{AddressPolicy, Client, GetOptions, NetError, Overflow, Response, Session, Site};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;
use url::Url;

use super::ToShow;

/// Requests that a page gets answers to. The rest is refused.
pub(super) const MAX_REQUESTS: usize = 200;
/// Requests of one page at the same time.
const AT_A_TIME: usize = 6;
/// Bytes of everything that one page fetches.
pub(super) const MAX_TOTAL: usize = 64 << 20;
/// Headers of an answer that mean something to a page.
const KEPT: [&str; 8] = [
    "content-type",
    "content-language",
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-expose-headers",
    "x-content-type-options",
    "link",
    "last-modified",
];
/// Headers that the client sets itself, or that are nobody's business.
const OWN: [&str; 12] = [
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "cookie2",
    "dnt",
    "host",
    "range",
    "te",
    "upgrade-insecure-requests",
    "user-agent",
];
/// Bytes of all headers that a page's script may send.
const MAX_HEADERS: usize = 8 << 10;

/// A request that waits for an answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Paused {
    pub(super) request_id: String,
    pub(super) frame_id: String,
    pub(super) resource_type: String,
    pub(super) request: Asked,
}

#[derive(Deserialize)]
pub(super) struct Asked {
    pub(super) url: String,
    pub(super) method: String,
    #[serde(default)]
    pub(super) headers: Map<String, Value>,
}

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It is fetched.
    Fetch(Url),
    /// The browser asks whether it may ask; it may.
    Allow,
    /// It would send something to the page's own site, which nobody has asked for.
    Unsent,
    Refuse,
}

/// Decides about everything but the page itself.
pub(super) fn judge(paused: &Paused, page: &Url, policy: &AddressPolicy) -> Verdict {
    let text = matches!(paused.resource_type.as_str(), "Script" | "Stylesheet" | "XHR" | "Fetch");
    // What has no end is not waited for.
    let stream = paused.header("accept").is_some_and(|kinds| kinds.contains("text/event-stream"));
    let Ok(url) = Url::parse(&paused.request.url) else { return Verdict::Refuse };
    // A page of the internet must not reach a host of the own network that some other page of the
    // crawl is on.
    let foreign = policy.names(&url) && !policy.names(page);
    if !text || stream || foreign || policy.check(&url).is_err() {
        return Verdict::Refuse;
    }
    match paused.request.method.as_str() {
        "GET" => Verdict::Fetch(url),
        method if Site::of(&url, policy) == Site::of(page, policy) => match method {
            "OPTIONS" => Verdict::Allow,
            _ => Verdict::Unsent,
        },
        _ => Verdict::Refuse,
    }
}

impl Paused {
    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.request.headers.iter();
        headers.find(|(known, _)| known.eq_ignore_ascii_case(name))?.1.as_str()
    }

    /// The headers that the page's script has set, and what the browser says of the page.
    fn headers(&self) -> Vec<(String, String)> {
        let mut room = MAX_HEADERS;
        let sent = self.request.headers.iter().filter_map(|(name, value)| {
            let (name, value) = (name.to_ascii_lowercase(), value.as_str()?);
            let known = OWN.contains(&name.as_str())
                || name == "accept"
                || ["sec-", "proxy-", "if-"].iter().any(|start| name.starts_with(start));
            room = room.checked_sub(name.len() + value.len())?;
            (!known).then(|| (name, value.to_owned()))
        });
        sent.collect()
    }
}

/// Refuses a request; the page stays as it is.
pub(super) fn refusal(paused: &Paused, reason: &str) -> (&'static str, Value) {
    ("Fetch.failRequest", json!({ "requestId": paused.request_id, "errorReason": reason }))
}

/// Answers a request with a page that is here already.
pub(super) fn page_answer(paused: &Paused, page: &Response) -> (&'static str, Value) {
    let kind = page.content_type.as_deref().unwrap_or("text/html");
    answer(paused, 200, vec![("content-type".to_owned(), kind.to_owned())], &page.body)
}

/// Allows a request of the same site that has headers of its own.
pub(super) fn permission(paused: &Paused) -> (&'static str, Value) {
    let names = paused.header("access-control-request-headers").unwrap_or("*");
    let headers = [
        ("access-control-allow-origin", paused.header("origin").unwrap_or("*")),
        ("access-control-allow-methods", "GET"),
        ("access-control-allow-headers", names),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    answer(paused, 204, headers.to_vec(), b"")
}

fn answer(
    paused: &Paused,
    status: u16,
    headers: Vec<(String, String)>,
    body: &[u8],
) -> (&'static str, Value) {
    let headers: Vec<Value> =
        headers.into_iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let answer = json!({
        "requestId": paused.request_id,
        "responseCode": status,
        "responseHeaders": headers,
        "body": BASE64.encode(body),
    });
    ("Fetch.fulfillRequest", answer)
}

/// Fetches what a page asks for.
pub(super) struct Fetcher {
    client: Client,
    session: Option<Session>,
    max_bytes: usize,
    turns: Semaphore,
}

impl Fetcher {
    pub(super) fn new(what: &ToShow<'_>) -> Self {
        // A page of another site must not speak in the user's name.
        let session = what.session.filter(|session| session.covers(&what.page.url)).cloned();
        let (client, turns) = (what.client.clone(), Semaphore::new(AT_A_TIME));
        Self { client, session, max_bytes: what.max_bytes, turns }
    }

    /// The order that answers a request, and the bytes that it cost.
    pub(super) async fn fetch(&self, paused: &Paused, url: &Url) -> (&'static str, Value, usize) {
        let _turn = self.turns.acquire().await.expect("the semaphore is never closed");
        match self.ask(paused, url).await {
            Ok(Ok((status, headers, body))) => {
                let (method, order) = answer(paused, status, headers, &body);
                (method, order, body.len())
            }
            Ok(Err(target)) => {
                let mut headers = vec![("location".to_owned(), target.into())];
                if let Some(origin) = paused.header("origin") {
                    // The target decides who may read it.
                    headers.push(("access-control-allow-origin".to_owned(), origin.to_owned()));
                }
                let (method, order) = answer(paused, 307, headers, b"");
                (method, order, 0)
            }
            Err(error) => {
                tracing::debug!(%error, "a page's request failed");
                let (method, order) = refusal(paused, reason(&error));
                (method, order, 0)
            }
        }
    }

    /// The answer, or where it redirects.
    #[allow(clippy::type_complexity, reason = "the parts of an answer, used once")]
    async fn ask(
        &self,
        paused: &Paused,
        url: &Url,
    ) -> Result<Result<(u16, Vec<(String, String)>, Vec<u8>), Url>, NetError> {
        let options = GetOptions {
            headers: paused.headers(),
            session: self.session.clone(),
            body_bytes: Some(self.max_bytes),
            overflow: Overflow::Fail,
            ..GetOptions::default()
        };
        let mut trail = self.client.trail(url, options);
        let Some(reply) = trail.follow().await? else { return Ok(Err(trail.address().clone())) };
        let headers = KEPT
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), reply.header(name)?.to_owned())))
            .collect();
        let status = reply.status();
        Ok(Ok((status, headers, reply.read().await?.body)))
    }
}

/// What the browser tells the page's script about an error.
const fn reason(error: &NetError) -> &'static str {
    match error {
        NetError::Refused { .. } => "BlockedByClient",
        NetError::Dns { .. } => "NameNotResolved",
        NetError::Timeout { .. } => "TimedOut",
        _ => "Failed",
    }
}
