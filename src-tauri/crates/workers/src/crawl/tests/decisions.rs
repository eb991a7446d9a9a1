//! What is decided without asking anyone.

use std::collections::BTreeSet;

use quaero_engine::work::{Need, StepManager as _};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::super::{
    CrawlManager,
    frontier::{Frontier, Selected},
    kind,
};
use crate::extract::{Format, Link};

fn frontier(config: Value) -> Frontier {
    Frontier::new(serde_json::from_value(config).expect("a configuration"))
        .expect("a configuration that fits")
}

#[test]
fn a_link_is_followed_where_a_reader_would_follow_it() {
    let frontier = frontier(json!({ "start_urls": ["https://www.example.org/docs/"] }));
    let rows = [
        ("https://example.org/", true),
        ("http://blog.example.org:8080/a?b=c", true),
        ("https://example.org/a/manual.pdf", true),
        ("https://example.org/v1.2", true),
        ("https://example.org/setup.exe", false),
        ("https://example.org/Photo.JPG?size=1", false),
        ("https://example.com/", false),
        ("https://example.org:22/", false),
        ("https://example.org/a/b/a/b/a/b", true),
        ("https://example.org/a/b/a/b/a/b/a/b", false),
        (
            "https://example.org/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23/24",
            true,
        ),
        (
            "https://example.org/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23/24/25",
            false,
        ),
        ("https://example.org/?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q", false),
        ("https://example.org/?page=1&page=2&page=3&page=4", false),
        ("https://example.org/?tag[]=1&tag[]=2&tag[]=3&tag[]=4", true),
        ("https://example.org/events/2026/12/01", true),
        ("https://example.org/events/2091/12/01", false),
        ("https://example.org/events?month=1871-03", false),
        ("https://example.org/events?year=2077&month=4", false),
        ("https://example.org/page/2091/intro", true),
        ("https://example.org/isbn/9780-12345", true),
    ];
    for (url, expected) in rows {
        assert_eq!(frontier.admits(&Url::parse(url).expect("an address")), expected, "{url}");
    }
    let long =
        Url::parse(&format!("https://example.org/?q={}", "x".repeat(600))).expect("an address");
    assert!(!frontier.admits(&long), "a query of 600 bytes");
}

#[test]
fn links_are_one_per_page_and_without_those_that_ask_not_to_be_followed() {
    let frontier = frontier(json!({ "start_urls": ["https://example.org/"] }));
    let link = |url: &str, nofollow| Link {
        url: Url::parse(url).expect("an address"),
        text: String::new(),
        nofollow,
    };
    let links = [
        link("https://example.org/b?utm_source=x", false),
        link("https://example.org/a", false),
        link("https://example.org/%62", false),
        link("https://example.org/c", true),
    ];
    let Selected { links: selected, more, .. } = frontier.select(&links);
    assert_eq!(
        selected.iter().map(Url::as_str).collect::<Vec<_>>(),
        ["https://example.org/b", "https://example.org/a"]
    );
    assert!(!more);
}

#[test]
fn what_an_answer_is_depends_on_its_header_and_its_bytes() {
    type Row = (Option<&'static str>, &'static str, &'static [u8], Option<Format>);
    let rows: [Row; 16] = [
        (Some("text/html; charset=utf-8"), "/", b"<p>x", Some(Format::Html)),
        (Some("application/xhtml+xml"), "/", b"<?xml version='1.0'?><html/>", Some(Format::Html)),
        (Some("TEXT/Plain"), "/a.html", b"x", Some(Format::Text)),
        (Some("text/plain"), "/README.md", b"# x", Some(Format::Markdown)),
        (Some("text/markdown"), "/a", b"# x", Some(Format::Markdown)),
        (Some("text/html"), "/a", b"%PDF-1.4", Some(Format::Pdf)),
        (Some("application/pdf"), "/a", b"<p>not found", None),
        (Some("text/html"), "/a", b"\x89PNG\r\n\x1a\n\0", None),
        (Some("text/html; charset=utf-16le"), "/a", b"<\0p\0", Some(Format::Html)),
        (Some("application/octet-stream"), "/a.md", b"# x", Some(Format::Markdown)),
        (Some("application/octet-stream"), "/a", b"# x", None),
        (Some("application/octet-stream"), "/a", b"\n<!DOCTYPE html>", Some(Format::Html)),
        (Some("text/xml"), "/feed", b"<?xml version='1.0'?><rss/>", None),
        (None, "/a", b"x", Some(Format::Text)),
        (None, "/a", b"<html>", Some(Format::Html)),
        (Some("application/json"), "/a", b"{}", None),
    ];
    for (content_type, path, body, expected) in rows {
        assert_eq!(kind::format(content_type, path, body), expected, "{content_type:?} {path}");
    }
}

#[test]
fn the_schema_explains_every_field() {
    let schema = Value::from(CrawlManager.schema());
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], json!(["start_urls"]));
    let properties = schema["properties"].as_object().expect("properties");
    assert_eq!(properties.len(), 23);
    for (name, property) in properties {
        for key in ["title", "description"] {
            assert!(
                property[key].as_str().is_some_and(|text| !text.is_empty()),
                "{name} has a {key}"
            );
        }
        assert!(name == "start_urls" || property.get("default").is_some(), "{name} has a default");
    }
    assert_eq!(properties["start_urls"]["items"]["format"], "uri");
    assert_eq!(properties["include_patterns"]["items"]["format"], "regex");
    assert_eq!(properties["request_delay"]["format"], "duration");
    assert_eq!(properties["max_pages"]["maximum"], 1_000_000);
}

#[test]
fn no_definition_can_start_where_nobody_may_go() {
    #[derive(Deserialize)]
    struct Row {
        name: String,
        url: String,
        why: String,
    }
    #[derive(Deserialize)]
    struct File {
        row: Vec<Row>,
    }
    let file: File =
        toml::from_str(include_str!("../../../../../../tests/attacks/net.toml")).expect("the rows");
    let frontier = frontier(json!({ "start_urls": ["https://example.org/"], "same_site": false }));
    for row in file.row.iter().filter(|row| row.why != "text") {
        let url = row.url.replace("{port}", "8080").replace("{long}", &"x".repeat(2048));
        let problems = CrawlManager.check(&json!({ "start_urls": ["https://example.org/", url] }));
        let found: Vec<_> =
            problems.iter().map(|problem| (problem.pointer.as_str(), problem.code)).collect();
        assert_eq!(found, [("/start_urls/1", "address_refused")], "{}", row.name);
        assert!(!frontier.admits(&Url::parse(&url).expect("an address")), "{} as a link", row.name);
    }
}

#[test]
fn settings_that_contradict_are_told_with_a_remedy() {
    let rows = [
        (
            json!({ "start_urls": ["http://127.0.0.1:1/"] }),
            "/start_urls/0",
            "allow_hosts = [\"127.0.0.1\"]",
        ),
        (
            json!({ "start_urls": ["http://a.example/", "http://b.example/"], "max_pages": 1 }),
            "/max_pages",
            "max_pages = 2",
        ),
        (
            json!({ "start_urls": ["http://a.example/"], "page_timeout": "0s" }),
            "/page_timeout",
            "60s",
        ),
    ];
    for (config, pointer, remedy) in rows {
        let problems = CrawlManager.check(&config);
        assert_eq!(problems.len(), 1, "{config}: {problems:?}");
        assert_eq!(problems[0].pointer, pointer);
        assert!(problems[0].fix.as_ref().is_some_and(|fix| fix.contains(remedy)), "{problems:?}");
    }
    let problems = CrawlManager.check(&json!({ "start_urls": ["http://a.example/"], "allow_hosts": ["http://x/", "::1", "y:8080"] }));
    let pointers: BTreeSet<_> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
    assert_eq!(pointers, BTreeSet::from(["/allow_hosts/0"]));
}

#[test]
fn a_crawl_needs_a_browser_and_a_sign_in_only_if_it_says_so() {
    let start = ["https://example.org/"];
    for (more, expected) in [
        (json!({}), vec![]),
        (json!({"enable_javascript": true}), vec![Need::Browser]),
        (json!({"authentication": "work"}), vec![Need::SignIn("work".to_owned())]),
    ] {
        let mut config = json!({"start_urls": start});
        config.as_object_mut().expect("a table").extend(more.as_object().expect("a table").clone());
        assert_eq!(CrawlManager.needs(&config), expected, "{config}");
    }
}
