//! `attacks/pages.toml` and `pdf.toml`: what the real program makes of bodies that lie or cost too much.

use std::collections::BTreeMap;

use quaero_tests::{
    data, note,
    site::{Row, ScriptedSite},
};
use serde::Deserialize;
use serde_json::Value;

use super::{Place, run};

/// Bytes of memory that the program may take, whatever the pages are.
const MEMORY: u64 = 1 << 30;

#[derive(Deserialize)]
struct Expected {
    crawl: String,
    title: Option<String>,
    #[serde(default)]
    has: Vec<String>,
    #[serde(default)]
    lacks: Vec<String>,
    #[serde(default)]
    says: String,
}

#[test]
fn a_page_is_read_as_far_as_it_is_one_and_costs_no_more_than_its_share() {
    check("pages.toml");
}

#[test]
fn a_pdf_is_read_or_fails_alone() {
    check("pdf.toml");
}

fn check(file: &str) {
    let rows: Vec<Row<Expected>> = Row::all(file);
    let paths: Vec<String> = (0..rows.len()).map(|at| format!("/row/{at}")).collect();
    let site =
        ScriptedSite::serve(paths.iter().map(String::as_str).zip(rows.iter().map(Row::answers)));
    let site = site.expect("a port");
    let place = Place::new();
    let quaero = place.quaero();
    let starts: Vec<&str> = paths.iter().map(String::as_str).collect();
    let settings = "follow_links = false\nrequest_delay = \"0s\"\nconcurrency = 16\nkeep_original = false\ntask_attempts = 1";
    let mut process = quaero.start(run(&place.crawl(&site, &starts, settings)));
    let id = process.run_id();
    let mut memory = 0;
    while let Some(line) = process.next_json() {
        memory = memory.max(process.peak_memory());
        if line["type"] == "run_finished" {
            break;
        }
    }
    process.finish().expect(0);
    note(&format!("{} MiB", memory >> 20));
    assert!((1..MEMORY).contains(&memory), "{} MiB", memory >> 20);

    let show = quaero.ask(["runs", "show", &id, "--json"]).expect(0).json();
    let warnings: Vec<String> = show["warning_texts"]
        .as_array()
        .map(|all| all.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect())
        .unwrap_or_default();
    let (tasks, documents) = (tasks(&show["tree"]), data::documents(quaero.data_dir()));
    let mut wrong = Vec::new();
    for (row, path) in rows.iter().zip(&paths) {
        let (address, expected) = (site.url(path), &row.expected);
        let mut must = |holds: bool, what: String| {
            if !holds {
                wrong.push(format!("`{}`: {what:.600}", row.name));
            }
        };
        let task = &tasks[&address];
        note(&format!("{} {} {}", row.name, task["started"], task["finished"]));
        let error = &task["error"];
        let document = documents.get(&address);
        let end = match (error["code"].as_str(), document) {
            (Some(code), _) => code,
            (None, Some(_)) => "kept",
            (None, None) => "left",
        };
        must(end == expected.crawl, format!("{end} in place of {}: {error}", expected.crawl));
        let Some(document) = document else {
            let told = |text: &String| text.starts_with(&address) && text.contains(&expected.says);
            must(warnings.iter().any(told), format!("nothing says {:?}", expected.says));
            continue;
        };
        if let Some(title) = &expected.title {
            must(document.title == *title, format!("its title is {:?}", document.title));
        }
        let text = format!("{}\n{}", document.title, document.markdown);
        for words in &expected.has {
            must(text.contains(words), format!("it does not say {words:?}: {text:?}"));
        }
        for words in &expected.lacks {
            must(!text.contains(words), format!("it says {words:?}: {text:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    data::assert_whole(quaero.data_dir());
}

/// The tasks of a tree of jobs by their names.
pub(crate) fn tasks(tree: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    let mut open: Vec<&Value> = tree.as_array().into_iter().flatten().collect();
    while let Some(job) = open.pop() {
        if job["kind"] == "task" {
            found.insert(job["name"].as_str().expect("a name").to_owned(), job.clone());
        }
        open.extend(job["children"].as_array().into_iter().flatten());
    }
    found
}
