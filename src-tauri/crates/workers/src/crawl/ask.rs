//! Asking a host for a page: by its rules, at its pace, and with an account of every request.

use std::{sync::Arc, time::Duration};

use quaero_engine::work::{Retry, TaskError};
use quaero_net::{
    GetOptions, LONGEST_WAIT, NetError, Overflow, Reply, Response, RobotRules, Stopwatch, Trail,
    normalise,
};
use quaero_store::{DocumentId, PageState, Request};
use url::Url;

use super::{listing, visit::Visitor};

const ACCEPT: &str = "text/html,application/xhtml+xml,text/markdown,text/plain;q=0.9,application/pdf;q=0.8,*/*;q=0.1";
/// How long to leave a host alone that asks for it without saying how long, the first time.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// Where a site without a word about it has its sitemap (sitemaps.org/protocol.html).
const USUAL_SITEMAP: &str = "/sitemap.xml";

/// Takes note of a request.
pub(super) type Asked<'a> = &'a (dyn Fn(Request) + Send + Sync);

/// An answer whose body has not been read.
pub(super) struct Hop {
    pub(super) reply: Reply,
    /// How long its host is to be left alone.
    pub(super) pause: Duration,
    watch: Stopwatch,
}

impl Hop {
    /// The request, answered with so many bytes.
    pub(super) fn answered(&self, bytes: usize) -> Request {
        request(self.reply.url(), &self.reply.status().to_string(), bytes, self.watch.elapsed())
    }

    pub(super) async fn read(self, asked: Asked<'_>) -> Result<Response, TaskError> {
        let (url, watch) = (self.reply.url().clone(), self.watch);
        let read = self.reply.read().await;
        let (answer, bytes) = match &read {
            Ok(response) => (response.status.to_string(), response.body.len()),
            Err(error) => (error.code().to_owned(), 0),
        };
        asked(request(&url, &answer, bytes, watch.elapsed()));
        read.map_err(|error| failed(&error))
    }
}

fn request(url: &Url, answer: &str, bytes: usize, took: Duration) -> Request {
    Request {
        host: host(url),
        answer: answer.to_owned(),
        address: url.to_string(),
        bytes: bytes as u64,
        took_ms: u32::try_from(took.as_millis()).unwrap_or(u32::MAX),
    }
}

/// What would have been asked for, but for a reason.
pub(super) fn unanswered(url: &Url, reason: &str) -> Request {
    request(url, reason, 0, Duration::ZERO)
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

impl Visitor {
    pub(super) fn options(&self) -> GetOptions {
        GetOptions {
            accept: ACCEPT,
            body_bytes: Some(self.frontier.config.max_page_bytes as usize),
            overflow: Overflow::Fail,
            total: Some(self.frontier.page_timeout),
        }
    }

    /// Asks the trail's present address; None if it redirects.
    pub(super) async fn hop(
        &self,
        trail: &mut Trail,
        asked: Asked<'_>,
    ) -> Result<Option<Hop>, TaskError> {
        let here = trail.address().clone();
        let followed = trail.follow().await;
        let (watch, took) = (trail.watch(), trail.watch().elapsed());
        match followed {
            Ok(Some(reply)) => {
                let pause = self.throttle.pause(&host(&here), reply.status(), took);
                Ok(Some(Hop { reply, pause, watch }))
            }
            Ok(None) => {
                asked(request(&here, "redirect", 0, took));
                Ok(None)
            }
            Err(error) => {
                asked(request(&here, error.code(), 0, took));
                Err(failed(&error))
            }
        }
    }

    /// The document that an address has been made into, with its state, if it can be asked for under a
    /// condition.
    pub(super) async fn known(
        &self,
        url: &Url,
    ) -> Result<Option<(DocumentId, PageState)>, TaskError> {
        let Some(store) = self.store.as_ref().filter(|_| self.frontier.config.keep_original) else {
            return Ok(None);
        };
        let known = store.page(normalise(url).as_str()).await?;
        Ok(known.filter(|(_, page)| page.etag.is_some() || page.last_modified.is_some()))
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

    /// Fetches a file that is no page; None if robots.txt does not allow it.
    pub(super) async fn fetch(
        &self,
        url: &Url,
        attempt: u32,
        asked: Asked<'_>,
    ) -> Result<Option<Response>, TaskError> {
        let options = GetOptions {
            accept: "application/xml,text/xml,*/*;q=0.1",
            body_bytes: Some(listing::MOST_BYTES),
            ..self.options()
        };
        let mut trail = self.client.trail(url, options);
        loop {
            let here = trail.address().clone();
            let allowed = self.rules(&here, attempt).await?.is_none_or(|rules| rules.allow(&here));
            if !allowed || !self.frontier.covers(&here) {
                asked(unanswered(&here, if allowed { "elsewhere" } else { "robots" }));
                return Ok(None);
            }
            if let Some(hop) = self.hop(&mut trail, asked).await? {
                if let Some(error) = refusal(&hop.reply, attempt) {
                    asked(hop.answered(0));
                    return Err(error);
                }
                return hop.read(asked).await.map(Some);
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
        200..=299 => return None,
        404 | 410 => ("not_found", "does not exist", Retry::Never),
        401 | 402 | 403 | 407 | 451 => ("forbidden", "is not open to everyone", Retry::Never),
        429 => (
            "too_many_requests",
            "asks for a pause",
            pause(wait.unwrap_or_else(|| growing_pause(attempt))),
        ),
        408 | 425 => ("server_busy", "is too busy", wait.map_or(Retry::Backoff, pause)),
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

fn failed(error: &NetError) -> TaskError {
    let retry = if error.is_transient() { Retry::Backoff } else { Retry::Never };
    TaskError { code: error.code().into(), message: error.to_string(), retry }
}
