//! SearXNG: `GET /search?q=…&format=json` (<https://docs.searxng.org/dev/search_api.html>).

use serde_json::{Value, json};

use super::{Asked, Reply, Service};

/// A server whose pages of results are these, the first one first.
#[derive(Clone, Debug, Default)]
pub struct Searxng {
    /// Addresses of the results, page by page.
    pub pages: Vec<Vec<String>>,
    /// Engines that do not answer: name and reason.
    pub unresponsive: Vec<(&'static str, &'static str)>,
    /// JSON is off, as it is after an installation: "Requesting an unset format will return a 403
    /// Forbidden error" (docs, *Search API*).
    pub json_off: bool,
}

impl Searxng {
    /// A server with one page of results.
    #[must_use]
    pub fn finding(urls: &[&str]) -> Self {
        Self { pages: vec![urls.iter().map(ToString::to_string).collect()], ..Self::default() }
    }
}

impl Service for Searxng {
    fn answer(&self, asked: &Asked) -> Reply {
        if asked.path != "/search" {
            return self.error(404, "Not Found");
        }
        if self.json_off && asked.value("format") == "json" {
            return self.error(403, "Forbidden");
        }
        if asked.value("q").is_empty() {
            // searx/webapp.py: `index_error(output_format, 'No query')`, 400.
            return Reply::json(400, &json!({"error": "No query"}));
        }
        let page: usize = asked.value("pageno").parse().unwrap_or(1);
        let found = self.pages.get(page - 1).cloned().unwrap_or_default();
        let results: Vec<Value> = found
            .iter()
            .enumerate()
            .map(|(at, url)| {
                json!({
                    "url": url, "title": format!("SearXNG &amp; {url}"), "content": format!("About {url}"),
                    // Most engines tell no date.
                    "publishedDate": (at == 0).then_some("2026-01-05T00:00:00"),
                    "engine": "duckduckgo", "engines": ["duckduckgo"], "score": 1.0,
                    "category": "general", "parsed_url": ["https", "example.org", "/", "", "", ""],
                })
            })
            .collect();
        Reply::json(
            200,
            &json!({
                "query": asked.value("q"), "number_of_results": 0, "results": results,
                "answers": [], "corrections": [], "infoboxes": [], "suggestions": [],
                "unresponsive_engines": self.unresponsive,
            }),
        )
    }

    /// Its errors are pages of its web server.
    fn error(&self, status: u16, message: &str) -> Reply {
        Reply::page(
            status,
            &format!(
                "<!doctype html><html lang=en><title>{status} {message}</title><h1>{message}</h1>"
            ),
        )
    }

    fn key(&self, _asked: &Asked) -> String {
        String::new()
    }
}
