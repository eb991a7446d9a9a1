//! `attacks/sitemaps.toml`: what a site's own lists of its pages lead a crawl to.

use std::collections::BTreeSet;

use quaero_contract::RunStatus;
use quaero_tests::site::{Outcome, Row, ScriptedSite, Site};
use serde::Deserialize;

use super::{Desk, Ended, hostile::tasks};

/// How much shorter pauses are than on a clock.
const HURRY: u32 = 1_000;
/// Each takes a second or two, and a busy machine a few more.
const LONGEST_MS: u32 = 20_000;
const SITEMAP: &str = "/sitemap.xml";
/// The codes with which the account of requests has what was not asked.
const NOT_ASKED: [&str; 3] = ["address_refused", "elsewhere", "robots"];

#[derive(Deserialize)]
struct Expected {
    #[serde(default)]
    as_page: bool,
    max_pages: Option<u32>,
    #[serde(default)]
    pages: BTreeSet<String>,
    count: Option<usize>,
    asked: Option<usize>,
    code: Option<String>,
    says: Option<String>,
}

#[tokio::test]
async fn a_list_of_pages_leads_to_pages_of_the_site_and_ends() {
    let page = Row::<Outcome>::all("http.toml").into_iter().find(|row| row.name == "a page");
    let page = page.expect("the row").answers();
    let desk = Desk::hurried(HURRY).await;
    let rows: Vec<Row<Expected>> = Row::all("sitemaps.toml");
    let mut wrong = Vec::new();
    for row in &rows {
        let site = ScriptedSite::serve([(SITEMAP, row.answers()), ("/", page.clone())]);
        let site = site.expect("a port");
        let Expected { as_page, max_pages, .. } = row.expected;
        let start = site.url(if as_page { SITEMAP } else { "/" });
        let ended = desk
            .run(&format!(
                "[step.read]\ntype = \"crawl\"\nstart_urls = [\"{start}\"]\nallow_hosts = [\"{}\"]\nrequest_delay = \"0\"\n\
                 sitemaps = {}\nmax_pages = {}\nconcurrency = 8\ntask_attempts = 1\ntask_timeout = \"12h\"",
                site.host(),
                !as_page,
                max_pages.unwrap_or(1_000),
            ))
            .await;
        if let Err(what) = check(&row.expected, &site, &ended).await {
            wrong.push(format!("`{}`: {what}", row.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    for source in desk.documents().keys() {
        assert!(source.starts_with("http://127.0.0.1:"), "{source}");
    }
    desk.close().await;
}

async fn check(expected: &Expected, site: &Site, ended: &Ended) -> Result<(), String> {
    let must = |holds: bool, what: String| if holds { Ok(()) } else { Err(what) };
    must(ended.view.summary.status == RunStatus::Completed, format!("{ended:?}"))?;
    let took = ended.view.summary.duration_ms / HURRY;
    must(took < LONGEST_MS, format!("it takes {took} ms"))?;
    let hits = site.hits();
    let of_sitemap = |path: &str| path.starts_with(SITEMAP);
    let asked: usize = hits.iter().filter(|(path, _)| of_sitemap(path)).map(|(_, n)| n).sum();
    must(asked == expected.asked.unwrap_or(1), format!("{asked} requests: {hits:?}"))?;
    let others =
        hits.keys().filter(|path| !of_sitemap(path) && !["/", "/robots.txt"].contains(&&***path));
    let pages: BTreeSet<String> = others.cloned().collect();
    match expected.count {
        Some(count) => must(pages.len() == count, format!("{} pages", pages.len()))?,
        None => must(pages == expected.pages, format!("it leads to {pages:?}"))?,
    }
    let tasks = tasks(ended).await;
    let errors: Vec<&str> =
        tasks.values().filter_map(|task| task.error.as_ref()).map(|error| &*error.code).collect();
    let code: Vec<&str> = expected.code.iter().map(|code| &**code).collect();
    must(errors == code, format!("it fails with {errors:?}: {ended:?}"))?;
    if let Some(words) = &expected.says {
        let is_told = ended.tells(|line| line.contains(words)).await;
        must(is_told, format!("nobody says {words:?}: {ended:?}"))?;
    }
    let account = ended.app.run_statistics(ended.view.summary.id).await.expect("found").requests;
    let outside = account.iter().filter(|of| of.host != site.host());
    let outside: Vec<_> = outside
        .filter(|of| of.answers.iter().any(|answer| !NOT_ASKED.contains(&&*answer.answer)))
        .collect();
    must(outside.is_empty(), format!("{outside:?}"))
}
