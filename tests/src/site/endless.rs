//! Sites without an end: every address is a page, and its links are made from its address.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{io::BufReader, net::TcpStream};

use super::{Log, Site, read_request, respond};

/// A site whose every address is a page with links as `attacks/traps.toml` writes them.
pub struct EndlessSite;

impl EndlessSite {
    /// Serves pages that say something of their own, or all the same.
    ///
    /// # Errors
    /// If no port can be had.
    pub fn serve(links: Vec<String>, same_text: bool) -> io::Result<Site> {
        let (links, fresh) = (Arc::new(links), Arc::new(AtomicU64::new(1_000_000)));
        Site::start(move |stream, log| {
            serve(BufReader::new(stream), links.clone(), same_text, fresh.clone(), log)
        })
    }
}

async fn serve(
    mut stream: BufReader<TcpStream>,
    links: Arc<Vec<String>>,
    same_text: bool,
    fresh: Arc<AtomicU64>,
    log: Arc<Log>,
) -> io::Result<()> {
    while let Some(request) = read_request(&mut stream).await? {
        log.note(&request.target);
        if request.target == "/robots.txt" {
            respond(&mut stream, &request, "404 Not Found", "", b"").await?;
            continue;
        }
        let links: String = links
            .iter()
            .map(|link| format!("<a href=\"{}\">on</a>\n", filled(link, &request.target, &fresh)))
            .collect();
        let own = if same_text { "" } else { &request.target };
        // The words of its own are most of what a page says.
        let text: String = (0..30).map(|n| format!("Word {n} of {own} here. ")).collect();
        let body = format!(
            "<!doctype html><title>Page {own}</title><main><h1>Page {own}</h1><p>{text}</p></main><nav>{links}</nav>"
        );
        let headers = "Content-Type: text/html; charset=utf-8\r\n";
        respond(&mut stream, &request, "200 OK", headers, body.as_bytes()).await?;
    }
    Ok(())
}

/// A link of the page at `target`.
fn filled(link: &str, target: &str, fresh: &AtomicU64) -> String {
    let path = target.split('?').next().unwrap_or_default();
    let digits = target.trim_start_matches(|c: char| !c.is_ascii_digit());
    let digits = digits.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    let is_negative = target.contains(&format!("-{digits}")) && target.contains('=');
    let number = digits.parse().unwrap_or(0_i64) * if is_negative { -1 } else { 1 };
    let mut link = link.replace("{here}", target).replace("{path}", path);
    for (name, value) in [("{n}", number), ("{n+1}", number + 1), ("{n-1}", number - 1)] {
        link = link.replace(name, &value.to_string());
    }
    while link.contains("{fresh}") {
        let number = fresh.fetch_add(1, Ordering::Relaxed);
        link = link.replacen("{fresh}", &number.to_string(), 1);
    }
    link.replace('&', "&amp;")
}
