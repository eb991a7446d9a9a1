//! Crawls of a site that changes: what is asked again and what is not, what is found gone, sitemaps and
//! feeds, budgets, near-duplicates, and the account of what was asked of whom.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use quaero_contract::{HostRequests, RunStatus};
use quaero_tests::site::{LivingSite, Page};

use super::{Desk, Ended};

/// A text of its own for each seed, long enough to be compared with others.
fn text(seed: usize) -> String {
    (0..60).map(|n| format!("word{} ", (n * 7_919 + seed * 104_729) % 5_003)).collect()
}

/// A crawl step of a site from its front page.
fn crawl(site: &LivingSite, more: &str) -> String {
    format!(
        "[step.read]\ntype = \"crawl\"\nstart_urls = [\"{}\"]\nallow_hosts = [\"{}\"]\nrequest_delay = \"0\"\n{more}",
        site.url("/"),
        site.host()
    )
}

async fn requests(ended: &Ended) -> Vec<HostRequests> {
    ended.app.run_statistics(ended.view.summary.id).await.expect("found").requests
}

fn site() -> LivingSite {
    let site = LivingSite::start().expect("a port");
    site.page("/", "Front", &text(0), &["/a", "/b"]);
    site.page("/a", "A", &text(1), &["/"]);
    site.page("/b", "B", &text(2), &["/"]);
    site
}

#[tokio::test]
async fn a_page_is_only_fetched_again_if_it_has_changed() {
    let (desk, site) = (Desk::with(&[]).await, site());
    let first = desk.run_as("daily", &crawl(&site, "")).await;
    assert_eq!((first.view.summary.status, first.counts()), (RunStatus::Completed, (3, 0, 0)));
    site.page("/b", "B", &text(9), &["/", "/c"]);
    site.page("/c", "C", &text(3), &[]);
    let second = desk.run_as("daily", &crawl(&site, "")).await;
    assert_eq!(second.counts(), (1, 1, 2), "{second:?}");
    let hits = site.hits();
    let of = |answer: &str| hits.get(answer).copied().unwrap_or_default();
    assert_eq!([of("200 /"), of("304 /"), of("200 /a"), of("304 /a")], [1, 1, 1, 1]);
    assert_eq!([of("200 /b"), of("304 /b"), of("200 /c")], [2, 0, 1], "links of /b were followed");
    let asked = requests(&second).await;
    let answers: Vec<(&str, u32)> =
        asked[0].answers.iter().map(|a| (a.answer.as_str(), a.count)).collect();
    assert_eq!(answers, [("200", 2), ("304", 2)]);
    // Without the bytes there is nothing to fall back on.
    let third = desk.run_as("daily", &crawl(&site, "keep_original = false")).await;
    assert_eq!(third.counts(), (0, 0, 4), "{third:?}");
    assert_eq!(site.hits()["200 /a"], 2);
    desk.close().await;
}

#[tokio::test]
async fn what_has_gone_is_noted_and_kept() {
    let (desk, site) = (Desk::with(&[]).await, site());
    desk.run_as("daily", &crawl(&site, "")).await;
    // One is gone, and to the other there is only no link any more.
    site.page("/", "Front", &text(0), &[]);
    site.remove("/a");
    let second = desk.run_as("daily", &crawl(&site, "")).await;
    assert_eq!(second.view.summary.status, RunStatus::Completed);
    assert_eq!(second.counts(), (0, 0, 2), "{second:?}");
    assert_eq!(second.view.summary.jobs.failed, 0, "{second:?}");
    second.says("/a is gone").await;
    assert_eq!([site.hits()["404 /a"], site.hits()["304 /b"]], [1, 1]);
    let gone = |documents: &crate::data::Documents| {
        documents.values().filter(|document| document.gone).count()
    };
    assert_eq!((desk.documents().len(), gone(&desk.documents())), (3, 1));
    // It is not asked for every day, and if it comes back it is there.
    desk.run_as("daily", &crawl(&site, "")).await;
    assert_eq!(site.hits()["404 /a"], 1);
    site.page("/a", "A", &text(1), &[]);
    site.page("/", "Front", &text(0), &["/a"]);
    let fourth = desk.run_as("daily", &crawl(&site, "")).await;
    assert_eq!((fourth.counts().2, gone(&desk.documents())), (2, 0), "{fourth:?}");
    // Another definition knows nothing of these pages; and who does not want to know is not told.
    site.remove("/a");
    site.page("/", "Front", &text(0), &[]);
    desk.run_as("other", &crawl(&site, "")).await;
    desk.run_as("daily", &crawl(&site, "check_gone = false")).await;
    assert_eq!((site.hits()["404 /a"], gone(&desk.documents())), (1, 0));
    desk.close().await;
}

#[tokio::test]
async fn a_page_that_has_gone_is_noted_even_where_a_link_to_it_is_left() {
    let (desk, site) = (Desk::with(&[]).await, site());
    desk.run_as("daily", &crawl(&site, "")).await;
    site.remove("/a");
    let second = desk.run_as("daily", &crawl(&site, "")).await;
    second.says("/a is gone").await;
    assert_eq!((second.counts(), second.view.summary.jobs.failed), ((0, 0, 2), 0), "{second:?}");
    // To read what is kept anew is not to see its source.
    let anew = desk.run("[step.anew]\ntype = \"transform\"").await;
    assert_eq!(anew.view.summary.status, RunStatus::Completed, "{anew:?}");
    assert_eq!(desk.documents().values().filter(|document| document.gone).count(), 1);
    desk.close().await;
}

#[tokio::test]
async fn what_is_kept_of_another_answer_is_not_taken_for_the_page() {
    let (desk, site) = (Desk::with(&[]).await, site());
    desk.run_as("daily", &crawl(&site, "")).await;
    site.page("/a", "A", "It says something else now, and at some length.", &["/"]);
    // This run keeps the new text, and not the bytes that it is made of.
    let second = desk.run_as("daily", &crawl(&site, "keep_original = false")).await;
    assert_eq!(second.counts(), (0, 1, 2), "{second:?}");
    let third = desk.run_as("daily", &crawl(&site, "")).await;
    assert_eq!(third.counts(), (0, 0, 3), "the old bytes do not come back: {third:?}");
    desk.close().await;
}

#[tokio::test]
async fn a_server_that_lies_about_what_has_changed_is_asked_once_more() {
    let (desk, site) = (Desk::with(&[]).await, site());
    desk.run_as("daily", &crawl(&site, "keep_original = false")).await;
    // What came first was not kept, so "it has not changed" is of no use; and one server says that
    // whatever it is asked.
    site.put("/a", Page { status: 304, ..Page::default() });
    let second = desk.run_as("daily", &crawl(&site, "task_attempts = 1")).await;
    let hits = site.hits();
    assert_eq!([hits["304 /b"], hits["200 /b"], hits["304 /a"]], [1, 2, 2], "{hits:?}");
    second.says("/a answers in an unexpected way (status 304)").await;
    assert_eq!((second.counts(), second.view.summary.jobs.failed), ((0, 0, 2), 1), "{second:?}");
    // Now it is kept.
    desk.run_as("daily", &crawl(&site, "task_attempts = 1")).await;
    assert_eq!(site.hits()["200 /b"], 2);
    desk.close().await;
}

#[tokio::test]
async fn a_file_that_has_gone_is_noted_and_kept() {
    let desk = Desk::with(&[]).await;
    let (notes, other) = (desk.dir.path().join("notes"), desk.dir.path().join("other"));
    for folder in [&notes, &other] {
        std::fs::create_dir(folder).expect("created");
        std::fs::write(folder.join("keep.md"), "# Keep").expect("written");
    }
    std::fs::write(notes.join("lose.md"), "# Lose").expect("written");
    std::fs::write(notes.join("leave.txt"), "Leave").expect("written");
    let read = |folder: &std::path::Path, more: &str| {
        format!("[step.read]\ntype = \"local_dir\"\npath = {folder:?}\n{more}")
    };
    desk.run_as("notes", &read(&notes, "")).await;
    std::fs::remove_file(notes.join("lose.md")).expect("removed");
    // What the settings leave out by now is still there.
    let second = desk.run_as("notes", &read(&notes, "extensions = [\"md\"]")).await;
    second.says("lose.md is gone").await;
    let gone = || desk.documents().values().filter(|document| document.gone).count();
    assert_eq!((second.counts(), gone()), ((0, 0, 1), 1), "{second:?}");
    // So is what another folder holds, and what lies on a drive that is not there.
    desk.run_as("notes", &read(&other, "")).await;
    assert_eq!(gone(), 1);
    std::fs::rename(&notes, desk.dir.path().join("away")).expect("moved");
    let failed = desk.run_as("notes", &read(&notes, "")).await;
    assert_eq!(failed.step().status, quaero_contract::JobStatus::Failed, "{failed:?}");
    assert_eq!(gone(), 1);
    desk.close().await;
}

#[tokio::test]
async fn sitemaps_and_feeds_lead_to_pages_without_links() {
    let (desk, site) = (Desk::with(&[]).await, site());
    let map = |paths: &[&str]| {
        let urls: String =
            paths.iter().map(|path| format!("<url><loc>{}</loc></url>", site.url(path))).collect();
        format!("<?xml version=\"1.0\"?><urlset>{urls}</urlset>")
    };
    let index = format!(
        "<sitemapindex><sitemap><loc>{}</loc></sitemap><sitemap><loc>{}</loc></sitemap><sitemap><loc>/index.xml</loc></sitemap>\
         <sitemap><loc>http://127.0.0.1:9/elsewhere.xml</loc></sitemap></sitemapindex>",
        site.url("/one.xml"),
        site.url("/two.xml.gz")
    );
    let robots =
        format!("User-agent: *\nDisallow: /private\nSitemap: {}\n", site.url("/index.xml"));
    site.file("/robots.txt", "text/plain", robots.as_bytes());
    site.file("/index.xml", "application/xml", index.as_bytes());
    site.file(
        "/one.xml",
        "text/xml",
        map(&["/", "/hidden", "/private/x", "/photo.jpg"]).as_bytes(),
    );
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(map(&["/packed"]).as_bytes()).expect("memory takes it");
    site.file("/two.xml.gz", "application/gzip", &packed.finish().expect("memory takes it"));
    site.page("/hidden", "Hidden", &text(4), &["/deep"]);
    site.page("/packed", "Packed", &text(5), &[]);
    site.page("/deep", "Deep", &text(6), &["/deeper"]);
    site.page("/deeper", "Deeper", &text(7), &[]);
    let bare = LivingSite::start().expect("a port");
    bare.page("/", "Front", &text(0), &[]);
    let none = desk.run(&crawl(&bare, "sitemaps = true")).await;
    assert_eq!((none.counts(), none.view.summary.jobs.failed), ((1, 0, 0), 0), "{none:?}");
    none.says("There is no sitemap").await;
    let without = desk.run(&crawl(&site, "")).await;
    assert_eq!(without.counts(), (3, 0, 0), "{without:?}");
    let with = desk.run(&crawl(&site, "sitemaps = true\nmax_depth = 2")).await;
    assert_eq!(with.counts(), (3, 0, 3), "{with:?}");
    assert!(!site.hits().keys().any(|hit| hit.contains("/deeper") || hit.contains("/photo")));
    // A feed as the start, and one that a page links to.
    let feed = format!(
        "<rss version=\"2.0\"><channel><title>News</title><item><link>{}</link></item></channel></rss>",
        site.url("/news")
    );
    site.file("/feed", "application/rss+xml", feed.as_bytes());
    site.page("/news", "News", &text(8), &[]);
    site.page("/b", "B", &text(2), &["/feed"]);
    let third = desk.run(&crawl(&site, "")).await;
    assert_eq!(third.counts(), (1, 1, 2), "{third:?}");
    // What is said to be a sitemap and is none.
    site.file("/index.xml", "application/xml", b"<html>Sorry</html>");
    let fourth = desk.run(&crawl(&site, "sitemaps = true")).await;
    fourth.says("/index.xml is no sitemap").await;
    assert_eq!(fourth.view.summary.status, RunStatus::Completed);
    desk.close().await;
}

#[tokio::test]
async fn a_crawl_that_has_read_enough_ends_with_what_it_has() {
    let (desk, site) = (Desk::with(&[]).await, site());
    let links: Vec<String> = (0..40).map(|n| format!("/page/{n}")).collect();
    let links: Vec<&str> = links.iter().map(String::as_str).collect();
    site.page("/", "Front", &text(0), &links);
    for (n, link) in links.iter().enumerate() {
        site.page(link, link, &text(n + 10), &[]);
    }
    let ended = desk.run(&crawl(&site, "max_total_bytes = 4096\nconcurrency = 1")).await;
    assert_eq!(ended.view.summary.status, RunStatus::Completed, "{ended:?}");
    let bytes = requests(&ended).await[0].bytes;
    assert!((4_096..6_500).contains(&bytes), "{bytes} bytes: {ended:?}");
    let told = ended.view.warnings.iter().filter(|text| text.contains("max_total_bytes")).count();
    assert_eq!(told, 1, "{ended:?}");
    assert!(ended.counts().0 > 1 && ended.view.summary.jobs.cancelled > 20, "{ended:?}");
    desk.close().await;
}

#[tokio::test]
async fn near_duplicates_are_named_or_left_out() {
    let (desk, site) = (Desk::with(&[]).await, site());
    let long: String = (0..8).map(text).collect();
    site.page("/a", "A", &long, &[]);
    site.page("/b", "A", &format!("{long} Printed today."), &[]);
    let kept = desk.run(&crawl(&site, "concurrency = 1")).await;
    assert_eq!(kept.counts(), (3, 0, 0), "{kept:?}");
    kept.says("has nearly the same text as").await;
    // A page that is a document already stays one.
    let again = desk.run(&crawl(&site, "concurrency = 1\nskip_near_duplicates = true")).await;
    assert_eq!(again.counts(), (0, 0, 3), "{again:?}");
    desk.close().await;
    let desk = Desk::with(&[]).await;
    let fresh = desk.run(&crawl(&site, "concurrency = 1\nskip_near_duplicates = true")).await;
    assert_eq!(fresh.counts(), (2, 0, 0), "{fresh:?}");
    fresh.says("is not kept: it has nearly the same text as").await;
    desk.close().await;
}

#[tokio::test]
async fn a_run_gives_account_of_what_it_asked_of_whom() {
    let (desk, site) = (Desk::with(&[]).await, site());
    site.file("/robots.txt", "text/plain", b"User-agent: *\nDisallow: /b\n");
    site.page("/", "Front", &text(0), &["/a", "/missing", "/moved"]);
    let headers = "Location: /b\r\n".to_owned();
    site.put("/moved", Page { status: 302, headers, body: Vec::new() });
    let ended = desk.run(&crawl(&site, "")).await;
    let all = requests(&ended).await;
    let [requests] = all.as_slice() else { panic!("{ended:?}") };
    let answers: Vec<String> = requests
        .answers
        .iter()
        .map(|answer| format!("{} {}", answer.count, answer.answer))
        .collect();
    let mut sorted = answers.clone();
    sorted.sort();
    assert_eq!(sorted, ["1 302", "1 404", "1 robots", "3 200"]);
    assert_eq!((requests.host.clone(), requests.count), (site.host(), 6));
    assert!(requests.bytes > 600 && requests.slowest.starts_with(&site.base_url()), "{requests:?}");
    desk.close().await;
}

#[tokio::test]
async fn what_is_refused_is_accounted_for_under_the_host_it_was_for() {
    let (desk, site) = (Desk::with(&[]).await, site());
    let inside = ["http://10.0.0.1/x", "http://10.0.0.1/x#y", "mailto:a@example.com"];
    site.page("/", "Front", &text(0), &[&inside[..], &["/a", "/moved"]].concat());
    site.page("/a", "A", &text(1), &inside);
    let headers = "Location: http://169.254.169.254/latest\r\n".to_owned();
    site.put("/moved", Page { status: 302, headers, body: Vec::new() });
    let ended = desk.run(&crawl(&site, "same_site = false\n")).await;
    let all = requests(&ended).await;
    let mut told: Vec<(&str, u32, &str)> = all
        .iter()
        .flat_map(|host| {
            host.answers.iter().map(|answer| (&*host.host, answer.count, &*answer.answer))
        })
        .filter(|(host, ..)| *host != site.host())
        .collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [("10.0.0.1", 1, "address_refused"), ("169.254.169.254", 1, "address_refused")],
        "{all:?}"
    );
    desk.close().await;
}

#[test]
fn a_crawl_asks_at_least_once_at_a_time_and_never_without_bounds() {
    for (concurrency, is_right) in
        [("0", false), ("1", true), ("64", true), ("1_000_000_000", false)]
    {
        let text = format!(
            "id = \"a\"\nname = \"A\"\n[step.s]\ntype = \"crawl\"\n\
             start_urls = [\"https://example.org/\"]\nconcurrency = {concurrency}\n"
        );
        let problems = quaero_app::App::validate("a.toml", text.as_bytes());
        let codes: Vec<_> = problems.iter().map(|p| (p.code.as_str(), p.line)).collect();
        let expected = if is_right { vec![] } else { vec![("out_of_range", 6)] };
        assert_eq!(codes, expected, "{concurrency}: {problems:?}");
    }
}
