//! `attacks/traps.toml`: sites that lead a crawl on for ever.

use quaero_contract::RunStatus;
use quaero_tests::site::{EndlessSite, Site};
use serde::Deserialize;

use super::{Desk, Ended};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    #[serde(default = "front")]
    start: String,
    links: Vec<String>,
    #[serde(default)]
    same_text: bool,
    #[serde(default)]
    settings: Vec<String>,
    pages: Option<usize>,
    pages_at_most: Option<usize>,
    documents: Option<usize>,
    says: Option<String>,
}

fn front() -> String {
    "/".to_owned()
}

#[tokio::test]
async fn a_site_without_an_end_is_left() {
    #[derive(Deserialize)]
    struct Table {
        row: Vec<Row>,
    }
    let table: Table = toml::from_str(include_str!("../../attacks/traps.toml")).expect("the rows");
    let desk = Desk::hurried(1).await;
    let mut wrong = Vec::new();
    for row in &table.row {
        let site = EndlessSite::serve(row.links.clone(), row.same_text).expect("a port");
        let mut settings = row.settings.join("\n");
        for (name, value) in [("max_pages", 60), ("max_depth", 100)] {
            if !settings.contains(name) {
                settings += &format!("\n{name} = {value}");
            }
        }
        let ended = desk
            .run(&format!(
                "[step.read]\ntype = \"crawl\"\nstart_urls = [\"{}\"]\nallow_hosts = [\"{}\"]\nrequest_delay = \"0\"\nconcurrency = 4\n{settings}",
                site.url(&row.start),
                site.host(),
            ))
            .await;
        if let Err(what) = check(row, &site, &ended).await {
            wrong.push(format!("`{}`: {what}", row.name));
        }
    }
    let all = table.row.len();
    assert!(wrong.is_empty(), "{} of {all} rows:\n{}", wrong.len(), wrong.join("\n"));
    desk.close().await;
}

async fn check(row: &Row, site: &Site, ended: &Ended) -> Result<(), String> {
    let must = |holds: bool, what: String| if holds { Ok(()) } else { Err(what) };
    let summary = &ended.view.summary;
    must(summary.status == RunStatus::Completed, format!("{ended:?}"))?;
    let mut hits = site.hits();
    hits.remove("/robots.txt");
    let again: Vec<_> = hits.iter().filter(|(_, times)| **times > 1).collect();
    must(again.is_empty(), format!("asked more than once: {again:?}"))?;
    let pages = hits.len();
    must(row.pages.is_some() || row.pages_at_most.is_some(), "the row expects nothing".to_owned())?;
    must(row.pages.is_none_or(|expected| pages == expected), format!("{pages} pages: {hits:?}"))?;
    must(row.pages_at_most.is_none_or(|most| pages <= most), format!("{pages} pages"))?;
    let documents = summary.documents.created as usize;
    must(documents == row.documents.unwrap_or(pages), format!("{documents} documents"))?;
    let tasks = summary.jobs.total as usize;
    must(tasks <= pages.max(60) + 1, format!("{tasks} tasks"))?;
    if let Some(words) = &row.says {
        let is_told = ended.tells(|line| line.contains(words)).await;
        must(is_told, format!("nobody says {words:?}: {ended:?}"))?;
    }
    Ok(())
}
