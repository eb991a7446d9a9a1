//! Crawls of sites on this computer: of one that behaves, and of one that does not. The queue is
//! played by a loop that keeps what the engine promises: one task per key, depth + 1, the limit of
//! tasks per step.

mod decisions;
mod scripts;
mod sign_in;

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::Arc,
};

use quaero_contract::LogLevel;
use quaero_engine::work::{NewTask, Retry, StepManager as _, StepStart, TaskError};
use quaero_net::{Client, Limits};
use quaero_store::NewDocument;
use serde_json::{Value, json};
use url::Url;

use super::{
    CrawlConfig, CrawlManager,
    frontier::{Frontier, MAX_LINKS},
    visit::{Visit, Visitor},
};
use crate::{browser::Browser, extract::PdfExtractor};

#[path = "../../../../../tests/src/site/mod.rs"]
#[allow(dead_code, unreachable_pub, unused_imports, reason = "the tests crate uses the rest of it")]
mod site;

use site::{HostileSite, RobotsFile, Site, StaticSite};

/// What a crawl left behind.
#[derive(Default)]
struct Crawled {
    /// By the path and query of their source.
    documents: BTreeMap<String, NewDocument>,
    errors: BTreeMap<String, TaskError>,
    warnings: Vec<String>,
    log: Vec<(LogLevel, String)>,
    tasks: Vec<NewTask>,
}

impl Crawled {
    fn paths(&self) -> Vec<&str> {
        self.documents.keys().map(String::as_str).collect()
    }
}

/// The path and query of an address.
fn target(address: &str) -> String {
    let url = Url::parse(address).expect("an address");
    url[url::Position::BeforePath..].to_owned()
}

fn visitor(config: Value) -> Visitor {
    let config: CrawlConfig = serde_json::from_value(config).expect("a configuration");
    let frontier = Frontier::new(config).expect("a configuration that fits");
    Visitor {
        client: Client::new(frontier.policy.clone(), Limits::default()),
        frontier: frontier.into(),
        pdf: PdfExtractor::InProcess,
        throttle: Arc::default(),
        account: Arc::new(|_| {}),
        store: None,
        known_hosts: Arc::default(),
        refused: Arc::default(),
        browser: Browser::default(),
        session: None,
    }
}

/// Crawls a site from some paths with a configuration that leaves out what all tests share.
async fn crawl(site: &Site, start: &[&str], more: Value) -> Crawled {
    let mut config = json!({
        "start_urls": start.iter().map(|path| site.url(path)).collect::<Vec<_>>(),
        "allow_hosts": [site.host()],
        "request_delay": "0",
        "page_timeout": "2s",
    });
    let (Value::Object(config), Value::Object(more)) = (&mut config, more) else {
        panic!("objects")
    };
    config.extend(more);
    let config = Value::Object(config.clone());
    let step = StepStart { name: "crawl".to_owned(), config: config.clone() };
    assert_eq!(CrawlManager.check(&step.config), [], "the test's own configuration");
    let visitor = visitor(config);
    let mut crawled = Crawled::default();
    let mut known = HashSet::new();
    let mut queue = VecDeque::new();
    let mut add =
        |tasks: Vec<NewTask>, depth: u32, limit: u32, queue: &mut VecDeque<(NewTask, u32, u32)>| {
            for task in tasks {
                if known.len() < limit as usize && known.insert(task.key.clone().expect("a key")) {
                    queue.push_back((task, depth, 1));
                }
            }
        };
    add(CrawlManager.first_tasks(&step).expect("tasks"), 0, u32::MAX, &mut queue);
    while let Some((task, depth, attempt)) = queue.pop_front() {
        let url = task.payload["url"].as_str().expect("an address").to_owned();
        let visit = Visit {
            depth: task.payload["depth"]
                .as_u64()
                .map_or(depth, |at| u32::try_from(at).expect("small")),
            deeper: task.payload["depth"].is_u64(),
            attempt,
            now_ms: 1_000,
            known: None,
        };
        match visitor.visit(&Url::parse(&url).expect("an address"), visit).await {
            Ok(visited) => {
                let outcome = visited.outcome;
                add(outcome.children, depth + 1, outcome.max_step_tasks.unwrap_or(0), &mut queue);
                crawled.documents.extend(
                    outcome
                        .documents
                        .into_iter()
                        .map(|document| (target(&document.source_id), document)),
                );
                crawled.warnings.extend(outcome.warnings);
                crawled.log.extend(visited.log);
                crawled.tasks.push(task);
            }
            // The pauses are the queue's business.
            Err(error) if error.retry != Retry::Never && attempt < 3 => {
                queue.push_back((task, depth, attempt + 1))
            }
            Err(error) => {
                crawled.errors.insert(target(&url), error);
            }
        }
    }
    crawled
}

#[tokio::test]
async fn a_folder_of_pages_becomes_documents() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = [
        (
            "index.html",
            "<title>Home</title><h1>Home</h1><p>Welcome to the site.</p><a href='a.html#x'>a</a><a href='./sub'>sub</a><a href='notes.txt'>n</a><a href='gone.html'>gone</a><a href='x.png'>x</a>",
        ),
        (
            "a.html",
            "<title>A</title><link rel=canonical href='A.HTML'><p>The first page.</p><a href='index.html'>home</a><a href='sub/deep.html'>deep</a>",
        ),
        (
            "sub/index.html",
            "<title>Sub</title><p>A folder's page.</p><a href='deep.html'>deep</a><a href='../read.md'>read</a>",
        ),
        (
            "sub/deep.html",
            "<title>Deep</title><p>The deepest page.</p><a href='deeper.html'>deeper</a>",
        ),
        ("sub/deeper.html", "<title>Deeper</title><p>Too deep.</p>"),
        ("notes.txt", "Some notes."),
        ("read.md", "# Read\n\nSome *Markdown*."),
        ("x.png", "not asked for"),
    ];
    std::fs::create_dir(folder.path().join("sub")).expect("a folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    let site = StaticSite::serve(folder.path()).expect("a port");
    let crawled = crawl(&site, &["/"], json!({ "max_depth": 2, "output_tags": ["docs"] })).await;
    let paths =
        ["/", "/a.html", "/index.html", "/notes.txt", "/read.md", "/sub/", "/sub/deep.html"];
    assert_eq!(crawled.paths(), paths, "{:?}", crawled.errors);
    assert_eq!(crawled.errors.keys().collect::<Vec<_>>(), ["/gone.html"]);
    assert_eq!(crawled.warnings, Vec::<String>::new());
    let page = &crawled.documents["/a.html"];
    assert_eq!(
        (page.title.as_str(), page.fetched_ms, page.tags.as_slice()),
        ("A", 1_000, ["docs".to_owned()].as_slice())
    );
    assert!(page.markdown.contains("The first page."), "{}", page.markdown);
    assert_eq!(page.original.as_deref(), Some(files[1].1.as_bytes()));
    assert_eq!(page.source_hash, blake3::hash(files[1].1.as_bytes()).to_hex().to_string());
    assert_eq!(crawled.documents["/read.md"].metadata["format"], "markdown");
    assert_eq!(site.hits().get("/x.png"), None, "pictures are not asked for");
    assert!(
        site.hits().iter().all(|(path, hits)| path == "/sub/" || *hits == 1),
        "{:?}",
        site.hits()
    );
    let lane = &crawled.tasks[0].lane;
    assert_eq!(
        (lane.name.as_ref(), lane.limit, lane.delay_ms),
        (format!("host:{}", site.host()).as_str(), 2, 0)
    );
}

#[tokio::test]
async fn a_hostile_site_gives_what_can_be_had() {
    let site = HostileSite::serve().expect("a port");
    let crawled = crawl(&site, &["/"], json!({})).await;
    let paths = [
        "/",
        "/busy",
        "/charset/meta",
        "/charset/missing",
        "/charset/utf16",
        "/charset/wrong",
        "/flaky",
        "/hops/0",
        "/lies/html",
        "/nested",
        "/nofollow",
        "/page/from-noindex",
        "/page/one",
        "/page/two",
        "/session/a",
        "/session/b",
        "/session/c",
    ];
    assert_eq!(crawled.paths(), paths, "{:?} {:?}", crawled.errors, crawled.warnings);
    assert_eq!(crawled.errors.len(), 0, "{:?}", crawled.errors);
    for name in ["meta", "missing", "utf16", "wrong"] {
        let text = &crawled.documents[&format!("/charset/{name}")].markdown;
        assert!(
            text.contains("Съешь же ещё этих мягких французских булок, да выпей чаю."),
            "{name}: {text}"
        );
    }
    let nested = &crawled.documents["/nested"].markdown;
    assert!(nested.contains("Before.") && nested.contains("Inside."), "{nested:.200}");
}

#[tokio::test]
async fn each_failure_has_its_kind() {
    let site = HostileSite::serve().expect("a port");
    let backoff = Retry::Backoff;
    let rows = [
        ("/gone", "not_found", Retry::Never),
        ("/none", "not_found", Retry::Never),
        ("/closed", "forbidden", Retry::Never),
        ("/teapot", "unexpected_status", Retry::Never),
        ("/busy-for-ever", "too_many_requests", Retry::PauseLane { ms: 20_000 }),
        ("/busy-until-far", "server_error", Retry::PauseLane { ms: 900_000 }),
        ("/down", "server_error", backoff),
        ("/loop", "redirect_loop", Retry::Never),
        ("/hops/11", "too_many_redirects", Retry::Never),
        ("/growing?n=1", "too_many_redirects", Retry::Never),
        ("/to-nowhere", "bad_redirect", Retry::Never),
        ("/to-far", "headers_too_large", Retry::Never),
        ("/silent", "timeout", backoff),
        ("/slow", "timeout", backoff),
        ("/reset", "interrupted", backoff),
        ("/short", "interrupted", backoff),
        ("/two-lengths", "interrupted", backoff),
        ("/bad-chunk", "interrupted", backoff),
        ("/cut-gzip", "interrupted", backoff),
        ("/endless", "too_large", Retry::Never),
        ("/announced", "too_large", Retry::Never),
        ("/bomb", "decompression_bomb", Retry::Never),
        ("/wrapped", "bad_encoding", Retry::Never),
        ("/huge-header", "headers_too_large", Retry::Never),
        ("/many-headers", "interrupted", backoff),
    ];
    let (slow, quick): (Vec<&str>, Vec<&str>) =
        rows.iter().map(|row| row.0).partition(|path| matches!(*path, "/silent" | "/slow"));
    let patient = json!({ "page_timeout": "20s", "max_page_bytes": 2_000_000 });
    let mut crawled = crawl(&site, &quick, patient).await;
    let timed_out = crawl(&site, &slow, json!({ "page_timeout": "200ms" })).await;
    crawled.errors.extend(timed_out.errors);
    crawled.documents.extend(timed_out.documents);
    for (path, code, retry) in rows {
        let error = crawled
            .errors
            .get(path)
            .unwrap_or_else(|| panic!("{path} succeeded: {:?}", crawled.paths()));
        // How long depends on how often it was asked.
        let retry = match (path, error.retry) {
            ("/down", pause @ Retry::PauseLane { ms: 1_000.. }) => pause,
            _ => retry,
        };
        assert_eq!((error.code.as_ref(), error.retry), (code, retry), "{path}: {error}");
        assert!(
            error.message.contains(&site.host()),
            "{path}: the message names the address: {error}"
        );
    }
    assert_eq!(crawled.documents.len(), 0, "nothing broken is stored: {:?}", crawled.paths());
}

#[tokio::test]
async fn what_is_no_page_is_passed_over_with_a_warning() {
    let site = HostileSite::serve().expect("a port");
    let paths = [
        "/lies/png",
        "/lies/elf",
        "/lies/zip",
        "/empty",
        "/to?http://elsewhere.example/",
        "/to?http://169.254.169.254/",
    ];
    let crawled = crawl(&site, &paths, json!({})).await;
    assert_eq!(crawled.documents.len(), 0, "{:?}", crawled.paths());
    assert_eq!(crawled.warnings.len(), 4, "{:?}", crawled.warnings);
    for (path, warning) in paths.iter().zip(&crawled.warnings) {
        assert!(warning.contains(path), "{warning}");
    }
    let codes: Vec<_> = crawled.errors.values().map(|error| error.code.as_ref()).collect();
    assert_eq!(codes, ["address_refused", "leads_elsewhere"], "{:?}", crawled.errors);
}

#[tokio::test]
async fn too_many_links_and_bad_ones_are_left() {
    let site = HostileSite::serve().expect("a port");
    let links = crawl(&site, &["/links/20000"], json!({ "max_depth": 1, "max_pages": 10 })).await;
    assert_eq!(links.documents.len(), 10);
    assert!(
        links.warnings.iter().any(|warning| warning.contains(&MAX_LINKS.to_string())),
        "{:?}",
        links.warnings
    );
    let bad = crawl(&site, &["/bad-links"], json!({ "same_site": false })).await;
    assert_eq!(
        (bad.paths(), bad.errors.len()),
        (vec!["/bad-links"], 0),
        "no bad link becomes a task"
    );
}

#[tokio::test]
async fn the_settings_decide_what_is_followed() {
    let site = HostileSite::serve().expect("a port");
    let rows = [
        (json!({ "max_depth": 0 }), vec!["/"]),
        (json!({ "follow_links": false }), vec!["/"]),
        (
            json!({ "include_patterns": ["^http://[^/]*/page/"] }),
            vec!["/", "/page/one", "/page/two"],
        ),
        (
            json!({ "include_patterns": ["^http://[^/]*/page/"], "exclude_patterns": ["one$"] }),
            vec!["/", "/page/two"],
        ),
        (json!({ "exclude_patterns": ["."] }), vec!["/"]),
        (
            json!({ "max_pages": 3, "include_patterns": ["^http://[^/]*/page/"] }),
            vec!["/", "/page/one", "/page/two"],
        ),
        (json!({ "max_pages": 1 }), vec!["/"]),
    ];
    for (config, paths) in rows {
        assert_eq!(crawl(&site, &["/"], config.clone()).await.paths(), paths, "{config}");
    }
    let kept = crawl(&site, &["/page/one"], json!({ "keep_original": false })).await;
    assert_eq!(kept.documents["/page/one"].original, None);
}

#[tokio::test]
async fn robots_txt_and_the_pages_own_wishes_are_obeyed() {
    let both = ["/private/x", "/page/x"];
    let unavailable = Some("robots_unavailable");
    let rows = [
        (RobotsFile::Missing, true, None),
        (RobotsFile::Private, false, None),
        (RobotsFile::Text("User-agent: other\nDisallow: /\n".to_owned()), true, None),
        (RobotsFile::Html, true, None),
        (RobotsFile::Endless, false, None),
        (RobotsFile::Status(403), true, None),
        (RobotsFile::Redirect("http://10.0.0.1/robots.txt".to_owned()), true, None),
        (RobotsFile::Status(500), false, unavailable),
    ];
    for (robots, private, error) in rows {
        let site = HostileSite::with_robots(robots.clone()).expect("a port");
        let crawled = crawl(&site, &both, json!({})).await;
        let found: Vec<_> = crawled.errors.values().map(|error| error.code.as_ref()).collect();
        assert_eq!(found, error.map_or(vec![], |code| vec![code; 2]), "{robots:?}");
        if error.is_none() {
            assert_eq!(crawled.documents.contains_key("/private/x"), private, "{robots:?}");
            assert!(crawled.documents.contains_key("/page/x"), "{robots:?}");
            assert_eq!(
                crawled.warnings.len(),
                usize::from(!private),
                "a start address is not dropped in silence: {robots:?}"
            );
        }
        assert_eq!(site.hits().get("/robots.txt"), Some(&1), "{robots:?}");
        let ignoring = crawl(&site, &both, json!({ "respect_robots": false })).await;
        assert_eq!(ignoring.documents.len(), 2, "{robots:?}");
    }

    let site = HostileSite::serve().expect("a port");
    let polite = crawl(&site, &["/noindex", "/nofollow", "/header-noindex"], json!({})).await;
    assert_eq!(polite.paths(), ["/nofollow", "/page/from-noindex"]);
    let slow = HostileSite::with_robots(RobotsFile::Text(
        "User-agent: *\nCrawl-delay: 3\nDisallow: /page/two\n".to_owned(),
    ))
    .expect("a port");
    let delayed =
        crawl(&slow, &["/"], json!({ "include_patterns": ["^http://[^/]*/page/"] })).await;
    assert_eq!(delayed.paths(), ["/", "/page/one"]);
    assert_eq!(delayed.tasks.iter().map(|task| task.lane.delay_ms).collect::<Vec<_>>(), [0, 3000]);
}

#[tokio::test]
async fn a_page_is_believed_only_about_its_own_spelling() {
    let site = HostileSite::serve().expect("a port");
    let base = site.base_url();
    let own = |name: &str| format!("/canonical?{name}");
    // What the page says it is, and what it is kept as.
    let rows = [
        (format!("{base}/canonical"), "/canonical".to_owned()),
        (format!("{base}/canonical/"), "/canonical/".to_owned()),
        (format!("{base}/canonical/index.html"), "/canonical/index.html".to_owned()),
        (format!("{base}/canonical?page=1#x"), "/canonical?page=1".to_owned()),
        (format!("{base}/other"), own(&format!("{base}/other"))),
        ("http://example.org/canonical".to_owned(), own("http://example.org/canonical")),
        ("http://10.0.0.1/canonical".to_owned(), own("http://10.0.0.1/canonical")),
        ("file:///canonical".to_owned(), own("file:///canonical")),
    ];
    for (canonical, kept) in rows {
        let crawled = crawl(&site, &[&own(&canonical)], json!({})).await;
        let fetched = target(&site.url(&kept));
        let expected = quaero_net::normalise(&Url::parse(&site.url(&fetched)).expect("an address"));
        assert_eq!(crawled.paths(), [target(expected.as_str())], "{canonical}");
    }
}

#[tokio::test]
async fn a_page_does_not_speak_for_another_port() {
    let site = HostileSite::serve().expect("a port");
    let path = "/canonical?http://127.0.0.1:1/canonical";
    let crawled = crawl(&site, &[path], json!({ "allow_hosts": ["127.0.0.1"] })).await;
    let sources: Vec<_> = crawled.documents.values().map(|page| page.source_id.as_str()).collect();
    assert_eq!(sources.len(), 1, "{:?}", crawled.errors);
    assert!(sources[0].starts_with(&site.base_url()), "{sources:?}");
}

#[tokio::test]
async fn a_redirect_does_not_lead_where_no_link_may() {
    let site = HostileSite::serve().expect("a port");
    let visitor = visitor(json!({
        "start_urls": [site.url("/")],
        "allow_hosts": [site.host()],
        "exclude_patterns": ["/page/one$"],
    }));
    let address = Url::parse(&site.url(&format!("/to?{}", site.url("/page/one")))).expect("one");
    for (depth, documents) in [(0, 1), (1, 0)] {
        let visit = Visit { depth, deeper: false, attempt: 1, now_ms: 1_000, known: None };
        let visited = visitor.visit(&address, visit).await.expect("an answer");
        assert_eq!(visited.outcome.documents.len(), documents, "at depth {depth}");
    }
    assert_eq!(site.hits().get("/page/one"), Some(&1), "the second was not asked for");
}

#[tokio::test]
async fn a_pdf_is_read_and_a_broken_one_fails() {
    let site = HostileSite::serve().expect("a port");
    let crawled = crawl(&site, &["/lies/pdf"], json!({})).await;
    assert_eq!(
        crawled.errors["/lies/pdf"].code, "damaged",
        "what begins like a PDF is read as one, whatever it is called"
    );
}
