//! One page: asked, read, and turned into a document and the next tasks.

use std::{sync::Arc, time::Duration};

use quaero_contract::LogLevel;
use quaero_engine::work::{Outcome, Retry, TaskError};
use quaero_net::{
    Client, GetOptions, LONGEST_WAIT, NetError, Overflow, Reply, Response, RobotRules, Session,
    decode, normalise,
};
use quaero_store::NewDocument;
use serde_json::{Map, Value};
use url::Url;

use super::{
    frontier::{Frontier, MAX_LINKS},
    kind::{self, Promise},
};
use crate::{
    browser::Browser,
    extract::{self, ExtractError, Format, PdfExtractor},
    parsing,
};

const ACCEPT: &str = "text/html,application/xhtml+xml,text/markdown,text/plain;q=0.9,application/pdf;q=0.8,*/*;q=0.1";
/// How long to leave a host alone that asks for it without saying how long, the first time.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// What a visit needs.
#[derive(Clone)]
pub(super) struct Visitor {
    pub(super) frontier: Arc<Frontier>,
    pub(super) client: Client,
    pub(super) pdf: PdfExtractor,
    pub(super) browser: Browser,
    /// The step's sign-in, if it names one.
    pub(super) session: Option<Session>,
}

/// Which visit of which page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visit {
    pub(super) depth: u32,
    pub(super) attempt: u32,
    pub(super) now_ms: i64,
}

/// What a visit leaves behind.
#[derive(Debug, Default)]
pub(super) struct Visited {
    pub(super) outcome: Outcome,
    pub(super) log: Vec<(LogLevel, String)>,
}

impl Visited {
    fn warn(mut self, message: String) -> Self {
        self.outcome.warnings.push(message);
        self
    }

    fn info(mut self, message: String) -> Self {
        self.log.push((LogLevel::Info, message));
        self
    }
}

/// What a body says.
struct Content {
    title: String,
    markdown: String,
    metadata: Map<String, Value>,
    charset: Option<&'static str>,
    canonical: Option<Url>,
    links: Vec<Url>,
    more_links: bool,
    /// Links that robots.txt has taken out of `links`.
    forbidden_links: usize,
    noindex: bool,
}

impl Visitor {
    /// Fetches one page.
    ///
    /// # Errors
    /// If it cannot be had. What is not to be had by agreement (robots.txt, another site, a picture)
    /// is no error.
    pub(super) async fn visit(&self, url: &Url, visit: Visit) -> Result<Visited, TaskError> {
        self.need_browser()?;
        let options = GetOptions {
            accept: ACCEPT,
            body_bytes: Some(self.frontier.config.max_page_bytes as usize),
            overflow: Overflow::Fail,
            total: Some(self.frontier.page_timeout),
            session: self.session.clone(),
            ..GetOptions::default()
        };
        let mut trail = self.client.trail(url, options);
        let mut redirected = false;
        let (reply, rules) = loop {
            let here = trail.address().clone();
            if redirected && visit.depth > 0 && self.frontier.excludes(&normalise(&here)) {
                let message = format!("{url} leads to {here}, which `exclude_patterns` leave out.");
                return Ok(Visited::default().info(message));
            }
            if redirected && !self.frontier.covers(&here) {
                let message = format!(
                    "{url} leads to {here}, which is not on the crawled site. To fetch it, add it to `start_urls`."
                );
                let expired = self.asks_to_sign_in(url, &here);
                return Ok(Visited::default().warn(expired.unwrap_or(message)));
            }
            let rules = self.rules(&here, visit).await?;
            if rules.as_ref().is_some_and(|rules| !rules.allow(&here)) {
                let message =
                    format!("{here} is not fetched: the robots.txt of the site does not allow it.");
                let visited = Visited::default();
                // A start address was asked for by the user, who wonders where it went.
                return Ok(if visit.depth == 0 {
                    visited.warn(message)
                } else {
                    visited.info(message)
                });
            }
            if let Some(reply) = trail.follow().await.map_err(|error| failed(&error))? {
                break (reply, rules);
            }
            redirected = true;
        };
        if let Some(error) = refusal(&reply, visit.attempt) {
            return Err(self.if_expired(&reply, error));
        }
        let address = reply.url().clone();
        let expired = redirected.then(|| self.asks_to_sign_in(url, &address)).flatten();
        let content_type = reply.header("content-type").map(str::to_owned);
        if kind::promised(content_type.as_deref()) == Promise::Other {
            return Ok(Visited::default().warn(unsuitable(&address, content_type.as_deref())));
        }
        let response = reply.read().await.map_err(|error| failed(&error))?;
        let Some(format) =
            kind::format(response.content_type.as_deref(), address.path(), &response.body)
        else {
            return Ok(Visited::default().warn(unsuitable(&address, content_type.as_deref())));
        };
        let (response, scripts) = self.run_scripts(response, format).await?;
        let followed =
            self.frontier.config.follow_links && visit.depth < self.frontier.config.max_depth;
        let read = self.read(response, format, followed, rules.clone()).await;
        let (content, response) = match read {
            Ok(read) => read,
            Err(ExtractError::Binary) => {
                return Ok(Visited::default().warn(unsuitable(&address, content_type.as_deref())));
            }
            Err(error @ ExtractError::Unavailable(_)) => {
                return Err(TaskError::transient(
                    error.code(),
                    format!("{address} cannot be read: {error}."),
                ));
            }
            Err(error) => {
                return Err(TaskError::permanent(
                    error.code(),
                    format!("{address} cannot be read: {error}."),
                ));
            }
        };
        let mut visited = self.keep(content, response, format, rules.as_deref(), visit);
        visited.outcome.warnings.extend(expired);
        if let Some(scripts) = scripts {
            self.note_scripts(&mut visited, scripts, followed);
        }
        Ok(visited)
    }

    async fn rules(&self, url: &Url, visit: Visit) -> Result<Option<Arc<RobotRules>>, TaskError> {
        if !self.frontier.config.respect_robots {
            return Ok(None);
        }
        match self.client.robots(url).await {
            Ok(rules) => Ok(Some(rules)),
            Err(ref error @ NetError::Robots { wait_ms, .. }) => {
                let ms = wait_ms.saturating_mul(visit.attempt.max(1).into());
                Err(TaskError { retry: Retry::PauseLane { ms }, ..failed(error) })
            }
            Err(error) => Err(failed(&error)),
        }
    }

    /// Parsing takes the processor for a while; it has threads of its own, as many as there are
    /// processors.
    async fn read(
        &self,
        response: Response,
        format: Format,
        followed: bool,
        rules: Option<Arc<RobotRules>>,
    ) -> Result<(Content, Response), ExtractError> {
        let limit = |what: &str| ExtractError::Limit(what.to_owned());
        if format == Format::Pdf {
            let text = self.pdf.extract(response.body.clone()).await?;
            let mut metadata = Map::new();
            if !text.author.is_empty() {
                metadata.insert("author".to_owned(), text.author.clone().into());
            }
            metadata.insert("pages".to_owned(), text.pages.len().into());
            let markdown = text.markdown();
            return Ok((
                Content { title: text.title, markdown, metadata, ..Content::none() },
                response,
            ));
        }
        let frontier = self.frontier.clone();
        let parsed = parsing::run(move || {
            let mut content = parse(&frontier, &response, format, followed)?;
            if let Some(rules) = rules {
                content.keep_allowed(&rules, &response.url);
            }
            Ok((content, response))
        });
        parsed.await.unwrap_or_else(|_| Err(limit("the parser stopped working on this page")))
    }

    fn keep(
        &self,
        content: Content,
        response: Response,
        format: Format,
        rules: Option<&RobotRules>,
        visit: Visit,
    ) -> Visited {
        let config = &self.frontier.config;
        let address = &response.url;
        let mut visited = Visited::default();
        visited.outcome.max_step_tasks = Some(config.max_pages);
        let delay = |link: &Url| {
            rules.filter(|_| link.origin() == address.origin()).and_then(RobotRules::crawl_delay)
        };
        visited.outcome.children = content
            .links
            .iter()
            .filter(|link| !self.signs_out(link))
            .map(|link| self.frontier.task(link, delay(link)))
            .collect();
        if content.forbidden_links > 0 {
            visited = visited.info(format!(
                "{} links of {address} are not followed: robots.txt does not allow it.",
                content.forbidden_links
            ));
        }
        if content.more_links {
            visited = visited.warn(format!(
                "{address} has more than {MAX_LINKS} links to follow; the rest is passed over."
            ));
        }
        if content.noindex && config.respect_robots {
            return visited.info(format!("{address} is not kept: it asks not to be (noindex)."));
        }
        if content.title.is_empty() && content.markdown.trim().is_empty() {
            return visited.warn(format!(
                "{address} has no text to keep. Pages that need JavaScript look like this."
            ));
        }
        let canonical =
            content.canonical.as_ref().filter(|canonical| self.is_same_page(canonical, address));
        let identity = normalise(canonical.unwrap_or(address)).to_string();
        let mut metadata = content.metadata;
        let mut add = |key: &str, value: Option<&str>| {
            if let Some(value) = value {
                metadata.insert(key.to_owned(), value.into());
            }
        };
        add("format", Some(format.name()));
        add("content_type", response.content_type.as_deref());
        add("charset", content.charset);
        visited.outcome.documents.push(NewDocument {
            source_type: "web".to_owned(),
            source_id: identity.clone(),
            // Not the address that led here: the document must not depend on which link came first.
            url: Some(identity),
            title: content.title,
            markdown: content.markdown,
            metadata,
            tags: config.output_tags.clone(),
            source_hash: blake3::hash(&response.body).to_hex().to_string(),
            original: config.keep_original.then_some(response.body),
            fetched_ms: visit.now_ms,
        });
        visited
    }

    /// Whether a page's canonical address may stand for the page: a page can name anything, so it is
    /// believed only about its own spelling.
    fn is_same_page(&self, canonical: &Url, address: &Url) -> bool {
        fn bare(path: &str) -> &str {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            let index = name.split('.').next() == Some("index");
            if index || name.is_empty() { folder } else { path }
        }
        let (canonical, address) = (normalise(canonical), normalise(address));
        self.frontier.policy.check(&canonical).is_ok()
            && canonical.host() == address.host()
            && canonical.port() == address.port()
            && bare(canonical.path()) == bare(address.path())
    }
}

impl Content {
    fn none() -> Self {
        Self {
            title: String::new(),
            markdown: String::new(),
            metadata: Map::new(),
            charset: None,
            canonical: None,
            links: Vec::new(),
            more_links: false,
            forbidden_links: 0,
            noindex: false,
        }
    }

    /// Takes out the links to the page's own host that its robots.txt does not allow; other hosts'
    /// rules are asked when their pages are. Thousands of links meet thousands of rules here, so it
    /// is the parser's work.
    fn keep_allowed(&mut self, rules: &RobotRules, address: &Url) {
        let before = self.links.len();
        self.links.retain(|link| link.origin() != address.origin() || rules.allow(link));
        self.forbidden_links = before - self.links.len();
    }
}

fn parse(
    frontier: &Frontier,
    response: &Response,
    format: Format,
    followed: bool,
) -> Result<Content, ExtractError> {
    let (text, charset) = decode(&response.body, response.content_type.as_deref());
    let charset = Some(charset);
    let header = response.robots_tag.as_deref().unwrap_or_default().to_ascii_lowercase();
    let says = |word: &str| {
        header.split([',', ':']).map(str::trim).any(|part| part == word || part == "none")
    };
    if format != Format::Html {
        let name = response
            .url
            .path_segments()
            .and_then(|mut parts| parts.next_back())
            .unwrap_or_default();
        let file = extract::text(&text, name, format)?;
        return Ok(Content {
            title: file.title,
            markdown: file.markdown,
            metadata: file.metadata,
            charset,
            noindex: says("noindex"),
            ..Content::none()
        });
    }
    let page = extract::page(&text, &response.url)?;
    let nofollow = frontier.config.respect_robots && (page.nofollow || says("nofollow"));
    let (links, more_links) =
        if followed && !nofollow { frontier.select(&page.links) } else { (Vec::new(), false) };
    Ok(Content {
        title: page.title,
        markdown: page.markdown,
        metadata: page.metadata,
        charset,
        canonical: page.canonical,
        links,
        more_links,
        forbidden_links: 0,
        noindex: page.noindex || says("noindex"),
    })
}

fn unsuitable(address: &Url, content_type: Option<&str>) -> String {
    let kind: String = content_type.unwrap_or("unknown").chars().take(80).collect();
    format!("{address} is not kept: it is not a page, text or PDF (it is sent as `{kind}`).")
}

/// The failure that an answer's status means, if it means one.
fn refusal(reply: &Reply, attempt: u32) -> Option<TaskError> {
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
