//! Brave Search: `GET /res/v1/web/search`
//! (<https://api-dashboard.search.brave.com/app/documentation/web-search/get-started>).

use serde_json::{Value, json};

use super::{Asked, KEY, Reply, Service};

/// A server whose pages of results are these, the first one first.
#[derive(Clone, Debug, Default)]
pub struct Brave {
    /// Addresses of the results, page by page.
    pub pages: Vec<Vec<String>>,
    /// A plan that is paid by use: it has no limit for the month.
    pub by_use: bool,
}

impl Brave {
    /// A server with one page of results.
    #[must_use]
    pub fn finding(urls: &[&str]) -> Self {
        Self { pages: vec![urls.iter().map(ToString::to_string).collect()], by_use: false }
    }
}

impl Service for Brave {
    fn answer(&self, asked: &Asked) -> Reply {
        if asked.path != "/res/v1/web/search" {
            return self.error(404, "Not found");
        }
        if self.key(asked) != KEY {
            // Users meet 422 and not 401.
            let said = "The provided subscription token is invalid.";
            return error(422, "SUBSCRIPTION_TOKEN_INVALID", said);
        }
        let query = asked.value("q");
        let number = |name: &str, otherwise| asked.value(name).parse().unwrap_or(otherwise);
        // "maximum of 400 characters and 50 words"; `count` at most 20, `offset` at most 9.
        let fits = !query.is_empty()
            && query.chars().count() <= 400
            && query.split_whitespace().count() <= 50
            && number("count", 20_usize) <= 20
            && number("offset", 0_usize) <= 9
            && ["", "pd", "pw", "pm", "py"].contains(&asked.value("freshness"))
            // Of Portuguese it knows `pt-br` and `pt-pt`, of English `en` and `en-gb`.
            && ["", "en", "en-gb", "de", "fr", "pt-br", "pt-pt"].contains(&asked.value("search_lang"));
        if !fits {
            return error(422, "VALIDATION", "Unable to validate request parameter(s)");
        }
        let offset = number("offset", 0_usize);
        let found = self.pages.get(offset).cloned().unwrap_or_default();
        let results: Vec<Value> = found
            .iter()
            .map(|url| {
                json!({
                    "type": "search_result", "subtype": "generic", "title": format!("Brave: {url}"),
                    "url": url, "description": format!("About <strong>{url}</strong> &#x27;now&#x27;"),
                    "page_age": "2026-01-04T09:30:00", "age": "1 day ago", "language": "en",
                    "family_friendly": true, "profile": {"name": "Example"}, "extra_snippets": [],
                })
            })
            .collect();
        let mut body = json!({
            "type": "search",
            "query": {
                "original": query, "show_strict_warning": false, "is_navigational": false,
                "more_results_available": offset + 1 < self.pages.len(),
            },
            "mixed": {"type": "mixed", "main": [], "top": [], "side": []},
        });
        if !results.is_empty() {
            // Without results there is no `web` at all.
            body["web"] = json!({"type": "search", "results": results, "family_friendly": true});
        }
        let (limit, left) = if self.by_use { ("50, 0", "49, 0") } else { ("1, 15000", "0, 14523") };
        Reply::json(200, &body)
            .with("x-ratelimit-limit", limit)
            .with("x-ratelimit-remaining", left)
            .with("x-ratelimit-reset", "1, 1419704")
    }

    fn error(&self, status: u16, message: &str) -> Reply {
        let code = if status == 429 { "RATE_LIMITED" } else { "ERROR" };
        error(status, code, message)
    }

    fn key(&self, asked: &Asked) -> String {
        asked.header("x-subscription-token").to_owned()
    }
}

fn error(status: u16, code: &str, detail: &str) -> Reply {
    Reply::json(
        status,
        &json!({
            "type": "ErrorResponse", "time": 1_767_600_000,
            "error": {
                "id": "5f6d7a52-1d30-4b4a-9a51-6d1dd1f6ad3f", "status": status, "code": code,
                "detail": detail, "meta": {"component": "authentication"},
            },
        }),
    )
}
