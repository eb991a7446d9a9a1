//! One page: asked for, read, and turned into a document and the next tasks.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use quaero_contract::LogLevel;
use quaero_engine::work::{Outcome, Retry, TaskError};
use quaero_net::{Account, Client, Response, RobotRules, Session, decode, normalise};
use quaero_store::{DocumentId, NewDocument, PageState, Store};
use serde_json::{Map, Value};
use url::Url;

use super::{
    ask::{ROBOTS, failed, refusal},
    frontier::{Frontier, MAX_LINKS, Selected},
    kind::{self, Promise},
    listing::{self, Listing},
    similar,
    sitemap::pages,
    throttle::{Down, Throttle},
    worker::KnownHosts,
};
use crate::{
    browser::Browser,
    extract::{self, ExtractError, Format, PdfExtractor},
    parsing,
};

/// Errors for which a host is to blame, or the way to it.
const HOST_FAILED: [&str; 6] = [
    "host_not_found",
    "cannot_connect",
    "timeout",
    "interrupted",
    "server_error",
    "network_sign_in",
];

/// What a visit needs.
#[derive(Clone)]
pub(super) struct Visitor {
    pub(super) frontier: Arc<Frontier>,
    pub(super) client: Client,
    pub(super) pdf: PdfExtractor,
    pub(super) throttle: Arc<Throttle>,
    /// Who is told of what `client` asks.
    pub(super) account: Account,
    /// Where pages are remembered, if anywhere.
    pub(super) store: Option<Store>,
    pub(super) known_hosts: Arc<KnownHosts>,
    /// The refused links that the step has told of.
    pub(super) refused: Arc<Mutex<HashSet<Url>>>,
    pub(super) browser: Browser,
    /// The step's sign-in, if it names one.
    pub(super) session: Option<Session>,
}

/// Which visit of which page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visit {
    /// How many links away from the start the page is.
    pub(super) depth: u32,
    /// Whether that is not the depth of its task.
    pub(super) deeper: bool,
    pub(super) attempt: u32,
    pub(super) now_ms: i64,
    /// The document that an earlier run has made of it, if this one has no link to it.
    pub(super) known: Option<DocumentId>,
}

/// What came of asking for a page.
enum Came {
    Page {
        response: Response,
        rules: Option<Arc<RobotRules>>,
        /// Whether its bytes are those of an earlier visit.
        stored: bool,
    },
    Nothing(Visited),
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
    /// Links that lead where no request may go.
    refused: HashSet<Url>,
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
        if let Some(down) = self.throttle.down(url, visit.now_ms) {
            return Err(not_asked(url, down));
        }
        let (mut pause, mut asked) = (Duration::ZERO, url.clone());
        let came = self.ask(url, visit, &mut pause, &mut asked).await;
        match &came {
            Err(error) if error.retry == Retry::Backoff => {
                // Not what this computer could not do, nor who has asked for patience.
                if HOST_FAILED.contains(&&*error.code) {
                    self.throttle.note(&asked, true, visit.now_ms);
                }
            }
            _ => self.throttle.note(&asked, false, visit.now_ms),
        }
        if let Ok(Came::Page { rules: Some(rules), .. }) = &came {
            pause = pause.max(rules.crawl_delay().unwrap_or_default());
        }
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        let visited = match (came, visit.known) {
            (Ok(Came::Page { response, rules, stored }), _) => {
                let expired = self.asks_to_sign_in(url, &response.url);
                self.take(response, rules, stored, visit).await.map(|mut visited| {
                    visited.outcome.warnings.extend(expired);
                    visited
                })
            }
            (Ok(Came::Nothing(visited)), _) => Ok(visited),
            // What was there once is gone, which is not the fault of who asks for it.
            (Err(error), known) if error.code == "not_found" => {
                let document = match known {
                    Some(document) => Some(document),
                    None => self.remembered(url).await?.map(|(document, _)| document),
                };
                let mut visited = Visited::default();
                visited.outcome.gone.push(document.ok_or(error)?);
                Ok(visited)
            }
            // Who has too much to do is left alone by the others of his lane, too.
            (Err(error), _)
                if matches!(error.code.as_ref(), "server_error" | "server_busy")
                    && error.retry == Retry::Backoff
                    && pause_ms > 0 =>
            {
                Err(TaskError { retry: Retry::PauseLane { ms: pause_ms }, ..error })
            }
            (Err(error), _) => Err(error),
        };
        let visited = visited.map(|mut visited| {
            visited.outcome.pause_lane_ms = pause_ms;
            visited
        });
        self.without_secrets(visited)
    }

    /// The same without what the sign-in is made of: a site may put it into an address, for one.
    fn without_secrets(&self, visited: Result<Visited, TaskError>) -> Result<Visited, TaskError> {
        let Some(session) = &self.session else { return visited };
        match visited {
            Ok(mut visited) => {
                let warnings = visited.outcome.warnings.iter_mut();
                let mut said: Vec<&mut String> =
                    warnings.chain(visited.log.iter_mut().map(|(_, line)| line)).collect();
                if !said.is_empty() {
                    let secrets = session.redactor();
                    said.iter_mut().for_each(|text| **text = secrets.text(text));
                }
                Ok(visited)
            }
            Err(error) => {
                let message = session.redactor().text(&error.message);
                Err(TaskError { message, ..error })
            }
        }
    }

    /// Asks for a page, along its redirects; whoever was `asked` last has given what came.
    async fn ask(
        &self,
        url: &Url,
        visit: Visit,
        pause: &mut Duration,
        asked: &mut Url,
    ) -> Result<Came, TaskError> {
        let nothing = |visited| Ok(Came::Nothing(visited));
        let mut trail = self.client.trail(url, self.options());
        let (mut redirected, mut under_condition) = (false, true);
        loop {
            let here = trail.address().clone();
            asked.clone_from(&here);
            if redirected && visit.depth > 0 && self.frontier.excludes(&normalise(&here)) {
                let message = format!("{url} leads to {here}, which `exclude_patterns` leave out.");
                return nothing(Visited::default().info(message));
            }
            if redirected && !self.frontier.covers(&here) {
                let message = format!(
                    "{url} leads to {here}, which is not on the crawled site. To fetch it, add it to `start_urls`."
                );
                let expired = self.asks_to_sign_in(url, &here);
                if visit.depth > 0 {
                    return nothing(Visited::default().warn(expired.unwrap_or(message)));
                }
                // What was asked for by name was not brought, which must not look like success.
                let portal = "If every site does this, your network asks you to sign in first.";
                return Err(match expired {
                    Some(message) => TaskError::permanent("signed_out", message),
                    None => TaskError::permanent("leads_elsewhere", format!("{message} {portal}")),
                });
            }
            let rules = self.rules(&here, visit.attempt).await?;
            if rules.as_ref().is_some_and(|rules| !rules.allow(&here)) {
                self.left_out(&here, ROBOTS);
                let message =
                    format!("{here} is not fetched: the robots.txt of the site does not allow it.");
                let visited = Visited::default();
                // A start address was asked for by the user, who wonders where it went.
                return nothing(if visit.depth == 0 {
                    visited.warn(message)
                } else {
                    visited.info(message)
                });
            }
            let known = if under_condition { self.known(&here).await? } else { None };
            if let Some((_, page)) = &known {
                trail.unless_still(page.etag.as_deref(), page.last_modified.as_deref());
            }
            let Some(reply) = trail.follow().await.map_err(|error| failed(&error))? else {
                redirected = true;
                continue;
            };
            // Another host has a lane of its own.
            if here.origin() == url.origin() {
                *pause = self.pause_after(&reply);
            }
            if let (304, Some((document, page))) = (reply.status(), known) {
                if let Some(response) = self.stored(document, page, &here).await? {
                    return Ok(Came::Page { response, rules, stored: true });
                }
                // Its bytes are gone here, so it is asked for without a condition, once.
                under_condition = false;
                continue;
            }
            if let Some(error) = refusal(&reply, visit.attempt) {
                return Err(self.if_expired(&reply, error));
            }
            let content_type = reply.header("content-type").map(str::to_owned);
            if kind::promised(content_type.as_deref()) == Promise::Other {
                let message = unsuitable(&here, content_type.as_deref());
                return nothing(Visited::default().warn(message));
            }
            let response = reply.read().await.map_err(|error| failed(&error))?;
            return Ok(Came::Page { response, rules, stored: false });
        }
    }

    /// Takes from a page what is to be kept and where it leads.
    async fn take(
        &self,
        response: Response,
        rules: Option<Arc<RobotRules>>,
        stored: bool,
        visit: Visit,
    ) -> Result<Visited, TaskError> {
        let address = response.url.clone();
        let content_type = response.content_type.clone();
        let unsuitable =
            || Ok(Visited::default().warn(unsuitable(&address, content_type.as_deref())));
        let config = &self.frontier.config;
        let followed =
            config.follow_links && visit.depth < config.max_depth && visit.known.is_none();
        if listing::may_be(response.content_type.as_deref(), &response.body) {
            let (body, base) = (response.body.clone(), address.clone());
            let read =
                parsing::run(listing::bytes(&body), move || listing::read(&body, &base)).await;
            if let Ok(Some(Listing::Pages(named))) = read {
                let mut visited = Visited::default();
                if followed {
                    visited.outcome.children = pages(&self.frontier, &named, visit.depth + 1);
                    visited.outcome.max_step_tasks = Some(config.max_pages);
                }
                let count = named.len();
                return Ok(
                    visited.info(format!("{address} is a feed or sitemap of {count} pages."))
                );
            }
        }
        let format = kind::format(response.content_type.as_deref(), address.path(), &response.body);
        let Some(format) = format else { return unsuitable() };
        let (response, scripts) = self.run_scripts(response, format).await?;
        let (content, response) = match self.read(response, format, followed, rules.clone()).await {
            Ok(read) => read,
            Err(ExtractError::Binary) => return unsuitable(),
            Err(error) => {
                let message = format!("{address}: {error}.");
                return Err(match error {
                    ExtractError::Unavailable(_) => TaskError::transient(error.code(), message),
                    _ => TaskError::permanent(error.code(), message),
                });
            }
        };
        let mut visited = self.keep(content, response, format, rules.as_deref(), visit);
        if let Some(scripts) = scripts {
            self.note_scripts(&mut visited, scripts, followed);
        }
        if stored {
            // The bytes are where they were.
            visited.outcome.documents.iter_mut().for_each(|document| document.original = None);
        }
        Ok(visited)
    }

    /// What a body says.
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
        let parsed = parsing::run(response.body.len(), move || {
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
            .map(|link| match visit.deeper {
                true => self.frontier.at_depth(link, delay(link), visit.depth + 1),
                false => self.frontier.task(link, delay(link)),
            })
            .collect();
        self.account_refused(content.refused);
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
        let page = PageState {
            address: normalise(address).to_string(),
            etag: response.etag,
            last_modified: response.last_modified,
            content_type: response.content_type.clone(),
            robots_tag: response.robots_tag,
            body_hash: blake3::hash(&response.body).to_hex().to_string(),
            fingerprint: similar::fingerprint(&content.markdown),
        };
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
            source_hash: page.body_hash.clone(),
            original: config.keep_original.then_some(response.body),
            fetched_ms: visit.now_ms,
            page: Some(page),
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
            refused: HashSet::new(),
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
    let Selected { links, more, refused } =
        if followed && !nofollow { frontier.select(&page.links) } else { Selected::default() };
    Ok(Content {
        title: page.title,
        markdown: page.markdown,
        metadata: page.metadata,
        charset,
        canonical: page.canonical,
        links,
        more_links: more,
        refused,
        forbidden_links: 0,
        noindex: page.noindex || says("noindex"),
    })
}

/// What a task of a host that is down says; the others of its lane wait with it.
fn not_asked(url: &Url, down: Down) -> TaskError {
    let Down { minutes, wait_ms } = down;
    let host = url.host_str().unwrap_or_default();
    let given = format!("{url} was not asked for: {host} has given nothing for {minutes} minutes");
    let (message, retry) = match wait_ms {
        Some(ms) => (format!("{given}. It is asked again later."), Retry::PauseLane { ms }),
        None => (format!("{given}. Run what has failed again when it is back."), Retry::Never),
    };
    TaskError { code: "host_down".into(), message, retry }
}

fn unsuitable(address: &Url, content_type: Option<&str>) -> String {
    let kind: String = content_type.unwrap_or("unknown").chars().take(80).collect();
    format!("{address} is not kept: it is not a page, text or PDF (it is sent as `{kind}`).")
}
