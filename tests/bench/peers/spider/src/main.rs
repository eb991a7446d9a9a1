//! The crawler spider with Quaero's extractor: a Markdown file for each page.
//! `bench-spider crawl dir=… url=… concurrency=…`

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use quaero_workers::extract;
use spider::website::Website;
use url::Url;

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(2).collect();
    let given: HashMap<&str, &str> =
        words.iter().filter_map(|word| word.split_once('=')).collect();
    let dir = PathBuf::from(given["dir"]);
    println!("{}", serde_json::json!({"ready": {"peer": "spider"}}));
    let start = Instant::now();
    let mut website = Website::new(given["url"]);
    website
        .with_respect_robots_txt(true)
        .with_delay(0)
        .with_concurrency_limit(given["concurrency"].parse().ok());
    // A slow reader of the channel loses pages, so it is given room for all of them.
    let mut pages = website.subscribe(200_000);
    let (written, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (done, lost) = (written.clone(), failed.clone());
    let reading = tokio::spawn(async move {
        let mut tasks = tokio::task::JoinSet::new();
        while let Ok(page) = pages.recv().await {
            let (dir, written, failed) = (dir.clone(), done.clone(), lost.clone());
            // As many at a time as there are processors, as in Quaero.
            while tasks.len() >= std::thread::available_parallelism().map_or(2, Into::into) {
                tasks.join_next().await;
            }
            tasks.spawn_blocking(move || {
                let read = Url::parse(page.get_url())
                    .ok()
                    .and_then(|url| extract::page(&page.get_html(), &url).ok());
                match read {
                    Some(read) => {
                        let number = written.fetch_add(1, Ordering::Relaxed);
                        let text = format!("# {}\n\n{}", read.title, read.markdown);
                        std::fs::write(dir.join(format!("{number}.md")), text).expect("written");
                    }
                    None => {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        while tasks.join_next().await.is_some() {}
    });
    website.crawl().await;
    website.unsubscribe();
    reading.await.expect("all pages are read");
    let seconds = start.elapsed().as_secs_f64();
    let (pages, failed) = (written.load(Ordering::Relaxed), failed.load(Ordering::Relaxed));
    println!("{}", serde_json::json!({"result": {"seconds": seconds, "pages": pages, "failed": failed}}));
    let _ = std::io::stdin().lines().count();
}
