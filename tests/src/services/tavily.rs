//! Tavily: `POST /search` (<https://docs.tavily.com/documentation/api-reference/endpoint/search>) and
//! `GET /usage` (`…/usage`).

use serde_json::{Value, json};

use super::{Asked, KEY, Reply, Service};

/// A server that finds these.
#[derive(Clone, Debug, Default)]
pub struct Tavily {
    /// Addresses of the results, best first.
    pub found: Vec<String>,
    /// The key's own limit of credits, of which 150 are used; most have none.
    pub key_limit: Option<u64>,
}

impl Tavily {
    /// A server with these results.
    #[must_use]
    pub fn finding(urls: &[&str]) -> Self {
        Self { found: urls.iter().map(ToString::to_string).collect(), key_limit: None }
    }
}

impl Tavily {
    fn usage(&self) -> Reply {
        let used = |of: u64| {
            json!({
                "search_usage": of, "crawl_usage": 0, "extract_usage": 0, "map_usage": 0,
                "research_usage": 0,
            })
        };
        let (mut key, mut account) = (used(150), used(500));
        key["usage"] = 150.into();
        key["limit"] = self.key_limit.into();
        account["current_plan"] = "Bootstrap".into();
        account["plan_usage"] = 500.into();
        account["plan_limit"] = 15_000.into();
        account["paygo_usage"] = 25.into();
        account["paygo_limit"] = 100.into();
        Reply::json(200, &json!({"key": key, "account": account}))
    }
}

impl Service for Tavily {
    fn answer(&self, asked: &Asked) -> Reply {
        if self.key(asked) != KEY {
            return self.error(401, "Unauthorized: missing or invalid API key.");
        }
        match (&*asked.method, &*asked.path) {
            ("POST", "/search") => {}
            ("GET", "/usage") => return self.usage(),
            _ => return self.error(404, "Not Found"),
        }
        let query = asked.body["query"].as_str().unwrap_or_default();
        let most = asked.body["max_results"].as_u64().unwrap_or(5);
        if query.is_empty() {
            return self.error(400, "Query is missing.");
        }
        // "0 <= x <= 20"
        if most > 20 {
            return self.error(400, "Max results must be between 0 and 20.");
        }
        let results: Vec<Value> = self
            .found
            .iter()
            .take(usize::try_from(most).unwrap_or(20))
            .map(|url| {
                json!({
                    "title": format!("Tavily: {url}"), "url": url,
                    "content": format!("About {url}"), "score": 0.9, "raw_content": null,
                })
            })
            .collect();
        Reply::json(
            200,
            &json!({
                "query": query, "answer": null, "images": [], "follow_up_questions": null,
                "results": results, "response_time": 1.2,
                "request_id": "123e4567-e89b-12d3-a456-426614174111",
            }),
        )
    }

    /// 400, 401, 429, 432 (the plan's limit), 433 (the limit of pay-as-you-go) and 500 have this form.
    fn error(&self, status: u16, message: &str) -> Reply {
        Reply::json(status, &json!({"detail": {"error": message}}))
    }

    fn key(&self, asked: &Asked) -> String {
        asked.header("authorization").trim_start_matches("Bearer ").to_owned()
    }
}
