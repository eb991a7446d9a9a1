//! What `cargo xtask bench crawl` measures: a crawl by the whole application below its window, and a site
//! of any size to be crawled.
//!
//! `crawl run URL DATA_DIR CONCURRENCY MAX_PAGES` prints what was found as one line of JSON;
//! `crawl search DATA_DIR` prints how long searches of what was crawled take, in milliseconds;
//! `crawl serve PAGES` prints its address and serves until its input ends.

use std::{collections::BTreeMap, error::Error, io::Read as _, path::PathBuf, time::Instant};

use quaero_app::{App, AppOptions, Role, RunText};
use quaero_contract::SearchRequest;
use quaero_tests::site::{GeneratedSite, vocable};
use serde_json::json;
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
        ["run", url, data_dir, concurrency, max_pages] => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(run(url, data_dir.into(), concurrency, max_pages))
        }
        ["search", data_dir] => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(search(data_dir.into()))
        }
        _ => Err("Usage: crawl run URL DATA_DIR CONCURRENCY MAX_PAGES | crawl serve PAGES | crawl search DATA_DIR".into()),
    }
}

async fn run(
    url: &str,
    data_dir: PathBuf,
    concurrency: &str,
    max_pages: &str,
) -> Result<(), Box<dyn Error>> {
    let parsed = Url::parse(url)?;
    let (name, port) = (parsed.host_str().unwrap_or_default(), parsed.port_or_known_default());
    let host = format!("{name}:{}", port.unwrap_or_default());
    let text = format!(
        "id = \"bench\"\nname = \"Bench\"\n[step.read]\ntype = \"crawl\"\nstart_urls = [{url:?}]\n\
         allow_hosts = [{host:?}]\nrequest_delay = \"0\"\nconcurrency = {concurrency}\n\
         max_depth = 100\nmax_pages = {max_pages}\n"
    );
    let app = App::open(AppOptions { data_dir, role: Role::Engine }).await?;
    let request = RunText {
        file: "bench.toml".to_owned(),
        text,
        set: BTreeMap::new(),
        request_id: "bench".to_owned(),
    };
    let run = app.run_text(request).await?;
    app.wait_run(run).await?;
    let summary = app.get_run(run).await?.summary;
    let hosts = app.run_statistics(run).await?.requests;
    let found = json!({
        "status": summary.status, "documents": summary.documents.created,
        "unchanged": summary.documents.unchanged, "jobs": summary.jobs.total,
        "failed": summary.jobs.failed, "ms": summary.duration_ms, "answers": hosts[0].answers,
        "bytes": hosts[0].bytes,
    });
    println!("{found}");
    app.close().await;
    Ok(())
}

/// Searches for one, two and three words as they occur in the texts, and for phrases.
async fn search(data_dir: PathBuf) -> Result<(), Box<dyn Error>> {
    let app = App::open(AppOptions { data_dir, role: Role::Reader }).await?;
    let mut times = Vec::new();
    let (mut state, mut hits) = (7_u64, 0_u64);
    for n in 0..600_usize {
        let mut word = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            vocable(state >> 33)
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
    let found = json!({
        "documents": app.info().await?.documents, "searches": times.len(),
        "hits_per_search": hits / 600, "p50_ms": at(50), "p95_ms": at(95), "p99_ms": at(99),
        "max_ms": at(100),
    });
    println!("{found}");
    app.close().await;
    Ok(())
}
