//! Crawling sites on this computer, good and bad.

use std::{collections::BTreeMap, net::TcpListener};

use super::{Place, counts, pages::tasks, run};
use quaero_tests::{
    data, folders,
    site::{HostileSite, RobotsFile, StaticSite},
};

/// A program that takes more for a handful of pages keeps something that it should let go.
const MEMORY: u64 = 400 << 20;

#[test]
fn a_site_is_read_as_far_as_its_links_lead() {
    let place = Place::new();
    let (pages, quaero) = (place.folder("site"), place.quaero());
    folders::web_site(&pages, 120).expect("a site");
    folders::write(&pages, "orphan.html".as_ref(), b"<title>Alone</title><p>Nobody links here.")
        .expect("written");
    let site = StaticSite::serve(&pages).expect("a port");
    let definition = place.crawl(&site, &["/"], "request_delay = \"0s\"\nconcurrency = 4");

    let finished = quaero.ask(run(&definition)).expect(0).finished();
    let walked: Vec<String> =
        folders::reachable(&pages).expect("readable").iter().map(|path| site.url(path)).collect();
    assert_eq!(walked.len(), 120, "the test's own walk reaches every page");
    let sources: Vec<String> = data::sources(quaero.data_dir()).into_iter().collect();
    assert_eq!(sources, walked);
    assert_eq!(counts(&finished), (120, 0, 0), "{finished}");
    let again: BTreeMap<_, _> = site.hits().into_iter().filter(|(_, hits)| *hits > 1).collect();
    assert_eq!(again, BTreeMap::new(), "no page is fetched twice");

    let hits = quaero.ask(["docs", "search", &folders::word(77), "--json"]).expect(0).json();
    assert_eq!(hits[0]["title"], "Page 77");
    assert_eq!(hits.as_array().map(Vec::len), Some(1));

    let again = quaero.ask(run(&definition)).expect(0).finished();
    assert_eq!(counts(&again), (0, 0, 120), "{again}");
    data::assert_whole(quaero.data_dir());
}

#[test]
fn a_site_that_is_down_fails_the_run_and_says_so() {
    let place = Place::new();
    let quaero = place.quaero();
    // A port on which nobody listens.
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address")
    };
    let definition = place.file(
        "down.toml",
        &format!(
            "id = \"down\"\nname = \"Down\"\n[step.crawl]\ntype = \"crawl\"\nstart_urls = [\"http://{address}/\"]\n\
             allow_hosts = [\"{address}\"]\non_error = \"fail\"\nrespect_robots = false\n"
        ),
    );
    let finished = quaero.ask(run(&definition)).expect(1).finished();
    assert_eq!(finished["status"], "failed");
    let message = finished["error"]["message"].as_str().expect("a sentence");
    assert!(message.contains(&address.to_string()), "the message names the address: {message}");
    assert_eq!(data::sources(quaero.data_dir()).len(), 0);
    data::assert_whole(quaero.data_dir());
}

/// What becomes of each page of the hostile site: `kept`, `left` (no error, nothing kept), or the
/// code of its failure.
const HOSTILE: [(&str, &str); 34] = [
    ("/page/a", "kept"),
    ("/flaky", "kept"),
    ("/down", "server_error"),
    ("/gone", "not_found"),
    ("/closed", "forbidden"),
    ("/teapot", "unexpected_status"),
    ("/empty", "left"),
    ("/loop", "redirect_loop"),
    ("/hops/2", "kept"),
    ("/hops/100", "too_many_redirects"),
    ("/to?http://10.0.0.1/", "address_refused"),
    ("/to?file:///etc/passwd", "address_refused"),
    ("/to-nowhere", "bad_redirect"),
    ("/to-far", "headers_too_large"),
    ("/growing?n=1", "too_many_redirects"),
    ("/charset/wrong", "kept"),
    ("/charset/utf16", "kept"),
    ("/slow", "timeout"),
    ("/silent", "timeout"),
    ("/reset", "interrupted"),
    ("/short", "interrupted"),
    ("/bad-chunk", "interrupted"),
    ("/endless", "too_large"),
    ("/announced", "too_large"),
    ("/bomb", "decompression_bomb"),
    ("/cut-gzip", "interrupted"),
    ("/huge-header", "headers_too_large"),
    ("/lies/png", "left"),
    ("/lies/elf", "left"),
    ("/nested", "kept"),
    ("/noindex", "left"),
    ("/canonical?http://evil.example/", "kept"),
    ("/bad-links", "kept"),
    ("/private/x", "left"),
];

#[test]
fn a_hostile_site_ends_every_page_in_a_known_way_and_costs_little() {
    let place = Place::new();
    let quaero = place.quaero();
    let site = HostileSite::with_robots(RobotsFile::Private).expect("a port");
    let paths: Vec<&str> = HOSTILE.iter().map(|(path, _)| *path).collect();
    let settings = "follow_links = false\nrequest_delay = \"0s\"\nconcurrency = 16\n\
                    page_timeout = \"2s\"\nmax_page_bytes = 2000000";
    let definition = place.crawl(&site, &paths, settings);

    let mut process = quaero.start(run(&definition));
    let id = process.run_id();
    let mut memory = 0;
    while let Some(line) = process.next_json() {
        if line["type"] == "run_finished" {
            break;
        }
        memory = memory.max(process.peak_memory());
    }
    process.finish().expect(0);
    assert!(memory < MEMORY, "{} MiB", memory >> 20);

    let kept = data::sources(quaero.data_dir());
    let show = quaero.ask(["runs", "show", &id, "--json"]).expect(0).json();
    let tasks = tasks(&show["tree"]);
    let found: Vec<(&str, String)> = HOSTILE
        .iter()
        .map(|(path, _)| {
            let task = tasks.get(&site.url(path)).unwrap_or_else(|| panic!("no task for {path}"));
            let code = task["error"]["code"].as_str();
            let saved = task["document_id"].is_string();
            (*path, code.unwrap_or(if saved { "kept" } else { "left" }).to_owned())
        })
        .collect();
    let expected: Vec<(&str, String)> =
        HOSTILE.iter().map(|(path, end)| (*path, (*end).to_owned())).collect();
    assert_eq!(found, expected);
    assert!(kept.iter().all(|source| source.starts_with(&site.base_url())), "{kept:?}");
    data::assert_whole(quaero.data_dir());
}
