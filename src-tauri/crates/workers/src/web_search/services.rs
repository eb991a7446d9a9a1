//! The search services, each with its own way of being asked and of answering. What they answer is
//! read tolerantly: a result without an address is left out, anything else may be missing.

use quaero_engine::work::TaskError;
use quaero_net::{Client, Limits, Provider, ServiceRequest};
use serde_json::{Value, json};

use super::{TimeRange, WebSearchConfig};
use crate::services::{ask_json, not_set_up};

/// In the order in which they are asked if the user has set none: an own server first.
pub(super) const SERVICES: [&str; 3] = ["searxng", "brave", "tavily"];
/// Characters that are kept of a title and of a snippet.
const MAX_TITLE: usize = 300;
const MAX_SNIPPET: usize = 1_000;
/// Results that are read from one answer.
const MAX_HITS: usize = 100;

/// A result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) title: String,
    pub(super) url: String,
    pub(super) snippet: String,
    pub(super) published: Option<String>,
}

/// All pages of results that are wanted, best first.
pub(super) async fn search(
    client: &Client,
    provider: &Provider,
    config: &WebSearchConfig,
) -> Result<Vec<Hit>, TaskError> {
    match provider.info.id {
        "searxng" => searxng(client, provider, config).await,
        "brave" => brave(client, provider, config).await,
        _ => tavily(client, provider, config).await,
    }
}

/// Makes the smallest search there is.
pub(crate) async fn test_search(provider: &Provider) -> Result<Option<String>, TaskError> {
    let config = serde_json::from_value(json!({"query": "test", "max_results": 1}));
    let config = config.expect("the settings of a search");
    search(&provider.client(Limits::default()), provider, &config).await.map(|_| None)
}

/// <https://docs.searxng.org/dev/search_api.html>. JSON has to be switched on at the server, which
/// else answers 403.
async fn searxng(
    client: &Client,
    provider: &Provider,
    config: &WebSearchConfig,
) -> Result<Vec<Hit>, TaskError> {
    let mut found = Vec::new();
    for page in 1..=config.depth {
        let mut url = provider.url("search");
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("q", &config.query).append_pair("format", "json");
            query.append_pair("pageno", &page.to_string());
            if let Some(language) = &config.language {
                query.append_pair("language", language);
            }
            if let Some(range) = config.time_range {
                query.append_pair("time_range", word(range));
            }
        }
        let answer = ask_json(client, provider, ServiceRequest::get(url)).await;
        let answer = answer.map_err(|error| match &*error.code {
            "key_refused" => TaskError::permanent(
                "json_is_off",
                "SearXNG does not give results as JSON. Add `json` to `search.formats` in its settings.yml.",
            ),
            _ => error,
        })?;
        let hits = hits(&answer["results"], "content", "publishedDate");
        let silent = answer["unresponsive_engines"].as_array().map_or(0, Vec::len);
        if hits.is_empty() && found.is_empty() && silent > 0 {
            let message = format!(
                "SearXNG found nothing, but {silent} of its search engines did not answer. It may be blocked or offline."
            );
            return Err(TaskError::transient("search_engines_silent", message));
        }
        if hits.is_empty() {
            break;
        }
        found.extend(hits);
    }
    Ok(found)
}

/// <https://api-dashboard.search.brave.com/app/documentation/web-search>. A wrong key is answered with
/// 422.
async fn brave(
    client: &Client,
    provider: &Provider,
    config: &WebSearchConfig,
) -> Result<Vec<Hit>, TaskError> {
    let key = provider.key().map_err(|error| not_set_up(&error))?;
    let mut found = Vec::new();
    // `offset` counts pages and goes to 9.
    for offset in 0..config.depth.min(10) {
        let mut url = provider.url("res/v1/web/search");
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("q", &config.query).append_pair("count", "20");
            query.append_pair("offset", &offset.to_string());
            if let Some(range) = config.time_range {
                let freshness = match range {
                    TimeRange::Day => "pd",
                    TimeRange::Week => "pw",
                    TimeRange::Month => "pm",
                    TimeRange::Year => "py",
                };
                query.append_pair("freshness", freshness);
            }
            if let Some(language) = &config.language {
                let (language, country) = language.split_once('-').unwrap_or((language, ""));
                query.append_pair("search_lang", language);
                if !country.is_empty() {
                    query.append_pair("country", country);
                }
            }
        }
        let request = ServiceRequest::get(url).secret_header("x-subscription-token", key.clone());
        let answer = ask_json(client, provider, request).await;
        let answer = answer.map_err(|error| match error.message.contains("(422") {
            true => TaskError::permanent(
                "key_refused",
                "Brave Search refused the key (422). Check it in the settings, under Services.",
            ),
            false => error,
        })?;
        let hits = hits(&answer["web"]["results"], "description", "page_age");
        if hits.is_empty() {
            break;
        }
        found.extend(hits);
        if answer["query"]["more_results_available"] == false {
            break;
        }
    }
    Ok(found)
}

/// <https://docs.tavily.com/documentation/api-reference/endpoint/search>. It has no pages: 20 results
/// at most.
async fn tavily(
    client: &Client,
    provider: &Provider,
    config: &WebSearchConfig,
) -> Result<Vec<Hit>, TaskError> {
    let key = provider.key().map_err(|error| not_set_up(&error))?;
    let wanted = config.max_results.max(config.depth.saturating_mul(10)).min(20);
    let mut body = json!({"query": config.query, "max_results": wanted});
    if let Some(range) = config.time_range {
        body["time_range"] = word(range).into();
    }
    let bearer = format!("Bearer {}", quaero_net::ExposeSecret::expose_secret(key));
    let request = ServiceRequest::post_json(provider.url("search"), body.to_string().into_bytes())
        .secret_header("authorization", bearer.into());
    let answer = ask_json(client, provider, request).await?;
    Ok(hits(&answer["results"], "content", "published_date"))
}

const fn word(range: TimeRange) -> &'static str {
    match range {
        TimeRange::Day => "day",
        TimeRange::Week => "week",
        TimeRange::Month => "month",
        TimeRange::Year => "year",
    }
}

fn hits(results: &Value, snippet: &str, published: &str) -> Vec<Hit> {
    let text = |value: &Value, most: usize| -> String {
        // Some mark the words that were searched for.
        let text = value.as_str().unwrap_or_default();
        let text = text.replace("<strong>", "").replace("</strong>", "");
        html_escape::decode_html_entities(&text).trim().chars().take(most).collect()
    };
    let read = |result: &Value| {
        let url = url::Url::parse(result["url"].as_str()?.trim()).ok()?;
        if !matches!(url.scheme(), "http" | "https") {
            return None;
        }
        let title = text(&result["title"], MAX_TITLE);
        Some(Hit {
            title: if title.is_empty() { url.to_string() } else { title },
            url: url.into(),
            snippet: text(&result[snippet], MAX_SNIPPET),
            published: result[published].as_str().map(|date| date.chars().take(40).collect()),
        })
    };
    results.as_array().into_iter().flatten().take(MAX_HITS).filter_map(read).collect()
}
