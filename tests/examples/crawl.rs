//! What `cargo xtask bench crawl` measures: a crawl by the whole application below its window, and a site
//! of any size to be crawled.
//!
//! `crawl crawl dir=… url=… concurrency=… [pages=…]` crawls and searches as tests/bench/README.md says;
//! `crawl serve PAGES` prints its address and serves until its input ends.

#![allow(clippy::print_stdout, reason = "its results are what it prints")]

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    io::Read as _,
    path::PathBuf,
    time::Instant,
};

use quaero_app::{App, AppOptions, Role, RunText};
use quaero_contract::SearchRequest;
use quaero_tests::site::{GeneratedSite, vocable};
use serde_json::{Value, json};
use url::Url;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["serve", pages] => {
            let site = GeneratedSite::start(pages.parse()?)?;
            println!("{}", site.url("/"));
            std::io::stdin().read_to_end(&mut Vec::new())?;
            Ok(())
        }
        ["crawl", rest @ ..] => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(run(&rest.iter().filter_map(|word| word.split_once('=')).collect()))
        }
        _ => {
            Err("Usage: crawl crawl dir=DIR url=URL concurrency=N [pages=N] | crawl serve PAGES"
                .into())
        }
    }
}

async fn run(given: &HashMap<&str, &str>) -> Result<(), Box<dyn Error>> {
    let word = |name: &str| given.get(name).copied().ok_or_else(|| format!("`{name}` is missing"));
    let (url, concurrency) = (word("url")?, word("concurrency")?);
    let pages = given.get("pages").copied();
    let max_pages = pages.unwrap_or("100000");
    let data_dir = PathBuf::from(word("dir")?);
    let parsed = Url::parse(url)?;
    let (name, port) = (parsed.host_str().unwrap_or_default(), parsed.port_or_known_default());
    let host = format!("{name}:{}", port.unwrap_or_default());
    let text = format!(
        "id = \"bench\"\nname = \"Bench\"\n[step.read]\ntype = \"crawl\"\nstart_urls = [{url:?}]\n\
         allow_hosts = [{host:?}]\nrequest_delay = \"0\"\nconcurrency = {concurrency}\n\
         max_depth = 100\nmax_pages = {max_pages}\n"
    );
    println!("{}", json!({"ready": {"peer": "quaero"}}));
    let app = App::open(AppOptions { data_dir, role: Role::Engine }).await?;
    let request = RunText {
        file: "bench.toml".to_owned(),
        text,
        set: BTreeMap::new(),
        request_id: "bench".to_owned(),
        anyway: false,
    };
    let start = Instant::now();
    let run = app.run_text(request).await?;
    app.wait_run(run).await?;
    let seconds = start.elapsed().as_secs_f64();
    let summary = app.get_run(run).await?.summary;
    let mut found = json!({
        "seconds": seconds, "pages": summary.documents.created, "failed": summary.jobs.failed,
        "status": summary.status,
    });
    if pages.is_some() {
        found["search"] = search(&app).await?;
    }
    println!("{}", json!({ "result": found }));
    std::io::stdin().read_to_end(&mut Vec::new())?;
    app.close().await;
    Ok(())
}

/// The chance of a word that is rarer than 50 others: ln 50 / ln 20,000 of 2^31.
const RARER: u64 = 848_300_000;

/// Searches for one, two and three words as they occur in the texts, and for phrases.
async fn search(app: &App) -> Result<Value, Box<dyn Error>> {
    let mut times = Vec::new();
    let (mut state, mut hits) = (7_u64, 0_u64);
    for n in 0..600_usize {
        let mut word = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            // Nobody searches for what is in every text: the 50 most frequent words are left out.
            let chance = state >> 33;
            vocable(RARER + chance * ((1 << 31) - RARER) / (1 << 31))
        };
        let words: Vec<String> = (0..=n % 3).map(|_| word()).collect();
        let query = if n % 10 == 9 { format!("\"{}\"", words.join(" ")) } else { words.join(" ") };
        let request = SearchRequest { query, limit: 20, ..SearchRequest::default() };
        let start = Instant::now();
        hits += u64::from(app.search(request).await?.total);
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    Ok(json!({
        "documents": app.info().await?.documents, "searches": times.len(),
        "hits_per_search": hits / 600, "p50_ms": at(50), "p95_ms": at(95), "p99_ms": at(99),
        "max_ms": at(100),
    }))
}
