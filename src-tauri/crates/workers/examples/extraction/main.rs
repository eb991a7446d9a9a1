//! Measures the extraction of content: against pages in which people marked the content, beside the
//! libraries that it stands on, and by how much of the structure of documentation survives.
//! `cargo xtask bench extraction` runs it.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]

mod measure;
mod pages;
mod structure;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use quaero_workers::extract;
use serde_json::{Value, json};

use measure::{Score, half, present, shown};
use pages::Page;

const USAGE: &str = "\
  --pages FOLDER      measure against html/ID.html.gz and ground-truth/ID.json of the folder
  --structure FOLDER  measure how much structure of the .html files in the folder survives
  --json FILE         leave the figures there
";

/// What is measured, in the order of the columns.
const TOOLS: [&str; 4] = ["Quaero", "rs-trafilatura", "dom_smoothie", "all text"];
/// Pages that are named as the worst.
const WORST: usize = 10;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, String> {
    let mut figures = serde_json::Map::new();
    let mut json = None;
    let mut rest = env::args().skip(1);
    while let Some(word) = rest.next() {
        let mut path = || {
            rest.next().map(PathBuf::from).ok_or_else(|| format!("{word} needs a path.\n{USAGE}"))
        };
        match word.as_str() {
            "--pages" => {
                figures.insert("pages".to_owned(), against_pages(&path()?)?);
            }
            "--structure" => {
                figures.insert("structure".to_owned(), structure::measure(&path()?)?);
            }
            "--json" => json = Some(path()?),
            _ => {
                eprint!("{USAGE}");
                return Ok(ExitCode::from(2));
            }
        }
    }
    if figures.is_empty() {
        eprint!("{USAGE}");
        return Ok(ExitCode::from(2));
    }
    if let Some(path) = json {
        fs::write(&path, format!("{:#}\n", Value::Object(figures)))
            .map_err(|error| format!("{} cannot be written: {error}.", path.display()))?;
        println!("\nThe figures are in {}.", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// What one tool makes of one page.
struct Outcome {
    score: Score,
    with: usize,
    without: usize,
    ms: f64,
}

fn against_pages(folder: &Path) -> Result<Value, String> {
    let pages = pages::pages(folder)?;
    if pages.is_empty() {
        return Err(format!("{} holds no pages.", folder.display()));
    }
    let mut told = Told::default();
    let outcomes: Vec<[Outcome; 4]> = pages
        .iter()
        .map(|page| {
            let tools = [quaero, trafilatura, readability, all_text];
            tools.map(|tool| {
                let start = Instant::now();
                let (text, of_itself) = tool(page);
                let ms = start.elapsed().as_secs_f64() * 1e3;
                if let Some(of_itself) = of_itself {
                    told.add(page, &of_itself);
                }
                Outcome {
                    score: Score::of(&text, &page.content),
                    with: present(&text, &page.with),
                    without: present(&text, &page.without),
                    ms,
                }
            })
        })
        .collect();
    table(&pages, &outcomes);
    println!("\n{}", told.line());
    worst(&pages, &outcomes);
    let each = pages.iter().zip(&outcomes).map(|(page, outcomes)| {
        let f1: BTreeMap<&str, f64> =
            TOOLS.iter().zip(outcomes).map(|(tool, outcome)| (*tool, outcome.score.f1())).collect();
        json!({ "id": page.id, "type": page.kind, "half": half(&page.id), "f1": f1 })
    });
    Ok(json!({ "pages": each.collect::<Vec<_>>(), "metadata": told.line() }))
}

fn quaero(page: &Page) -> (String, Option<extract::Page>) {
    let found = extract::page(&page.html, &page.url);
    let text = found.as_ref().map(|found| shown(&found.markdown)).unwrap_or_default();
    (text, found.ok())
}

fn trafilatura(page: &Page) -> (String, Option<extract::Page>) {
    let options = rs_trafilatura::Options {
        url: Some(page.url.to_string()),
        ..rs_trafilatura::Options::default()
    };
    let found = rs_trafilatura::extract_with_options(&page.html, &options);
    (found.map(|found| found.content_text).unwrap_or_default(), None)
}

fn readability(page: &Page) -> (String, Option<extract::Page>) {
    let reader = dom_smoothie::Readability::new(page.html.as_str(), Some(page.url.as_str()), None);
    let article = reader.and_then(|mut reader| reader.parse());
    // Its own text runs neighbouring blocks into one word.
    let text = article.map(|article| text_of(&article.content)).unwrap_or_default();
    (text, None)
}

fn all_text(page: &Page) -> (String, Option<extract::Page>) {
    (text_of(&page.html), None)
}

/// The text of HTML with a space between its elements.
fn text_of(html: &str) -> String {
    let document = dom_query::Document::from(html);
    document.select("head, script, style, template, noscript").remove();
    let nodes = document.root().descendants();
    let texts = nodes.iter().filter(|node| node.is_text()).map(|node| node.text().to_string());
    texts.collect::<Vec<_>>().join(" ")
}

/// Rows of the table: every type, every page, and the two halves.
fn table(pages: &[Page], outcomes: &[[Outcome; 4]]) {
    let mut rows: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, page) in pages.iter().enumerate() {
        rows.entry(page.kind.clone()).or_default().push(index);
        rows.entry("~ all".to_owned()).or_default().push(index);
        let half = ["~ half to tune on", "~ half to check on"][half(&page.id)];
        rows.entry(half.to_owned()).or_default().push(index);
    }
    println!(
        "\nF1 of words, means over pages; snippets that must be there and that must not, in %.\n"
    );
    println!("| | pages | {} |", TOOLS.join(" | "));
    println!("|---|---|---|---|---|---|");
    for (name, members) in &rows {
        let cell = |tool: usize| {
            let of = |value: &dyn Fn(&Outcome) -> f64| -> f64 {
                members.iter().map(|index| value(&outcomes[*index][tool])).sum()
            };
            let count = |list: &dyn Fn(&Page) -> usize| -> usize {
                members.iter().map(|index| list(&pages[*index])).sum()
            };
            let with = of(&|o| small(o.with)) / small(count(&|p| p.with.len()).max(1));
            let without = of(&|o| small(o.without)) / small(count(&|p| p.without.len()).max(1));
            let n = small(members.len());
            format!(
                "{:.3} (+{:.0} −{:.0}) {:.1} ms",
                of(&|o| o.score.f1()) / n,
                with * 100.0,
                without * 100.0,
                of(&|o| o.ms) / n,
            )
        };
        let cells: Vec<String> = (0..TOOLS.len()).map(cell).collect();
        println!(
            "| {} | {} | {} |",
            name.trim_start_matches("~ "),
            members.len(),
            cells.join(" | ")
        );
    }
}

fn worst(pages: &[Page], outcomes: &[[Outcome; 4]]) {
    let mut order: Vec<usize> = (0..pages.len()).collect();
    let f1 = |index: usize, tool: usize| outcomes[index][tool].score.f1();
    order.sort_by(|a, b| f1(*a, 0).total_cmp(&f1(*b, 0)));
    println!("\nThe worst pages:\n\n| id | type | F1 | rs-trafilatura | precision | recall | |");
    println!("|---|---|---|---|---|---|---|");
    for index in order.into_iter().take(WORST) {
        let (page, score) = (&pages[index], outcomes[index][0].score);
        println!(
            "| {} | {} | {:.3} | {:.3} | {:.2} | {:.2} | {}: {} words of {} |",
            page.id,
            page.kind,
            score.f1(),
            f1(index, 1),
            score.precision(),
            score.recall(),
            score.fault(),
            score.found,
            score.wanted,
        );
    }
}

/// What pages tell of themselves: how often it is known to people, found, and right.
#[derive(Default)]
struct Told([[usize; 3]; 3]);

impl Told {
    const WHAT: [&str; 3] = ["title", "author", "published"];

    fn add(&mut self, page: &Page, found: &extract::Page) {
        let text = |key: &str| found.metadata.get(key).and_then(Value::as_str).unwrap_or_default();
        for (index, what) in Self::WHAT.into_iter().enumerate() {
            let Some(known) = page.told.get(what) else { continue };
            let found = if what == "title" { found.title.as_str() } else { text(what) };
            let right = if what == "published" {
                // To the day.
                found.get(..10) == known.get(..10)
            } else {
                Score::of(found, known).f1() > 0.8
            };
            self.0[index][0] += 1;
            self.0[index][1] += usize::from(!found.is_empty());
            self.0[index][2] += usize::from(right);
        }
    }

    fn line(&self) -> String {
        let parts = Self::WHAT.iter().zip(self.0).map(|(what, [known, found, right])| {
            format!("{what}: {right} right, {found} found of {known}")
        });
        parts.collect::<Vec<_>>().join("; ")
    }
}

#[allow(clippy::cast_precision_loss, reason = "a few thousand")]
fn small(n: usize) -> f64 {
    n as f64
}
