//! Hostile servers as whole crawls meet them: the rows of `attacks/http.toml`, each the start page of a
//! crawl, on a host of its own.

use std::collections::BTreeMap;

use quaero_contract::{JobNode, JobQuery, RunStatus};
use quaero_tests::site::{Answer, LivingSite, Made, Outcome, Row, ScriptedSite, Site};

use super::{Desk, Ended};

/// What every page of `http.toml` says that is sent whole.
const WHOLE: &str = "A whole page.";

/// A crawl step from these addresses on. Its tasks have time: on the test's clock a second is a few hours.
fn crawl(start: &[String], more: &str) -> String {
    format!(
        "[step.read]\ntype = \"crawl\"\nstart_urls = {start:?}\nallow_hosts = [\"127.0.0.1\"]\nrequest_delay = \"0\"\n\
         page_timeout = \"2s\"\nmax_page_bytes = 2097152\nmax_pages = 1000\ntask_timeout = \"12h\"\n{more}"
    )
}

/// The tasks of a run by the address that they are about.
pub(crate) async fn tasks(ended: &Ended) -> BTreeMap<String, JobNode> {
    let query = JobQuery { limit: 1_000, ..JobQuery::default() };
    let jobs = ended.app.list_jobs(ended.view.summary.id, query).await.expect("found").jobs;
    jobs.into_iter().map(|job| (job.name.clone(), job)).collect()
}

/// What came of a task: `kept`, `left`, or the code of its failure.
fn end_of(task: &JobNode) -> &str {
    match (&task.error, task.document_id) {
        (Some(error), _) => &error.code,
        (None, Some(_)) => "kept",
        (None, None) => "left",
    }
}

/// What a crawl must make of a row, and how many requests it takes.
fn expected(row: &Row<Outcome>) -> (&str, usize) {
    let Outcome { client, crawl, asked, .. } = &row.expected;
    let (end, requests) = match (client, crawl) {
        (_, Some(end)) => (&**end, 1),
        (Made::Status(200), None) => ("kept", 1),
        (Made::Code(code), None) if matches!(&**code, "interrupted" | "timeout") => (&**code, 2),
        (Made::Code(code), None) => (&**code, 1),
        (Made::Status(status), None) => panic!("`{}`: what does {status} lead to?", row.name),
    };
    (end, asked.unwrap_or(requests))
}

#[tokio::test]
async fn every_answer_ends_its_page_in_a_known_way() {
    let rows: Vec<Row<Outcome>> = Row::all("http.toml");
    let serve = |row: &Row<Outcome>| ScriptedSite::serve([("/row", row.answers())]);
    let sites: Vec<Site> = rows.iter().map(|row| serve(row).expect("a port")).collect();
    let start: Vec<String> = sites.iter().map(|site| site.url("/row")).collect();
    let desk = Desk::hurried(1_000).await;
    let ended = desk.run(&crawl(&start, "follow_links = false\ntask_attempts = 2")).await;
    assert_eq!(ended.view.summary.status, RunStatus::Completed, "{ended:?}");
    let (tasks, documents) = (tasks(&ended).await, desk.documents());
    let mut wrong = Vec::new();
    for ((row, site), address) in rows.iter().zip(&sites).zip(&start) {
        let mut check = |holds: bool, what: String| {
            if !holds {
                wrong.push(format!("`{}`: {what}", row.name));
            }
        };
        let ((end, asked), Outcome { says, waits, .. }) = (expected(row), &row.expected);
        let task = &tasks[address];
        check(end_of(task) == end, format!("{} in place of {end}: {task:?}", end_of(task)));
        let hits = site.hits();
        let hits = hits.iter().filter(|(target, _)| target.starts_with("/row"));
        let requests: usize = hits.map(|(_, count)| count).sum();
        check(requests == asked, format!("{requests} requests in place of {asked}"));
        // A redirect may have led elsewhere on the site.
        let below = site.url("/");
        let document = documents.iter().find(|(source, _)| source.starts_with(&below));
        check((end == "kept") == document.is_some(), format!("the document is {document:?}"));
        match (document, &task.error) {
            (Some((_, document)), _) => {
                let words = says.as_deref().unwrap_or(WHOLE);
                check(document.markdown.contains(words), format!("it says {document:?}"));
            }
            (None, Some(error)) => {
                let words = says.as_deref().unwrap_or_default();
                check(error.message.contains(words), format!("it is told as {error:?}"));
            }
            (None, None) => {
                let words = says.as_deref().unwrap_or("is not kept");
                let fits = |line: &str| line.starts_with(address) && line.contains(words);
                check(ended.tells(fits).await, format!("nobody says {words:?}"));
            }
        }
        if let Some(seconds) = waits {
            let pause = format!("Trying again in {seconds} s.");
            let fits = |line: &str| line.starts_with(address) && line.ends_with(&pause);
            check(ended.tells(fits).await, format!("there is no pause of {seconds} s"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    desk.close().await;
}

#[tokio::test]
async fn who_asks_for_a_pause_is_left_alone_by_all_pages_of_his_host_and_nobody_else_is() {
    let row = |name: &str| -> Vec<Answer> {
        let rows: Vec<Row<Outcome>> = Row::all("http.toml");
        rows.iter().find(|row| row.name == name).expect("the row").answers()
    };
    let busy = ScriptedSite::serve([
        ("/busy", [row("too busy for five seconds"), row("a page")].concat()),
        ("/calm", row("a page")),
    ]);
    let (busy, other) = (busy.expect("a port"), LivingSite::start().expect("a port"));
    let links: Vec<String> = (0..3).map(|n| format!("/{n}")).collect();
    let links: Vec<&str> = links.iter().map(String::as_str).collect();
    other.page("/", "Front", "It has a few pages.", &links);
    for link in &links {
        other.page(link, link, &format!("This is page {link}."), &[]);
    }
    let start = [busy.url("/busy"), busy.url("/calm"), other.url("/")];
    // On a clock that is not hurried, the other host is read long before five seconds are over.
    let desk = Desk::hurried(1).await;
    let ended = desk.run(&crawl(&start, "concurrency = 1\nrespect_robots = false")).await;
    assert_eq!(ended.counts(), (6, 0, 0), "{ended:?}");
    let tasks = tasks(&ended).await;
    let time = |address: &str, what: fn(&JobNode) -> &Option<String>| -> jiff::Timestamp {
        let task = &tasks[address];
        let text = what(task).as_ref().unwrap_or_else(|| panic!("{task:?} has no such time"));
        text.parse().expect("a time")
    };
    let refused = time(&start[0], |task| &task.started);
    let next = time(&start[1], |task| &task.started);
    let last = links.iter().map(|link| time(&other.url(link), |task| &task.finished)).max();
    let after =
        |other: jiff::Timestamp| (other - refused).total(jiff::Unit::Second).expect("short");
    assert!(after(next) >= 5.0, "the same host is asked again after {} s", after(next));
    let last = last.expect("many");
    assert!(last < next, "the other host waits, too: {} s", after(last));
    assert_eq!(busy.hits()["/busy"], 2, "{:?}", busy.hits());
    desk.close().await;
}
