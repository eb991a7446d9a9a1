//! The search services, each with its own way of being asked and of answering. What they answer is
//! read tolerantly: a result without an address is left out, anything else may be missing.

use std::time::Duration;

use quaero_engine::work::{JobContext, TaskError};
use quaero_net::{Client, Limits, Provider, Reply, ServiceRequest};
use serde_json::{Value, json};

use super::{TimeRange, WebSearchConfig};
use crate::services::{accounted, ask_json, bad_answer, connection, json_of, not_set_up};

/// In the order in which they are asked if the user has set none: an own server first.
pub(super) const SERVICES: [&str; 3] = ["searxng", "brave", "tavily"];
/// Characters that are kept of a title and of a snippet.
const MAX_TITLE: usize = 300;
const MAX_SNIPPET: usize = 1_000;
/// Brave's smaller plans allow one request in a second.
const BRAVE_PAUSE: Duration = Duration::from_millis(1_050);
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

/// What a service has found.
#[derive(Default)]
pub(super) struct Found {
    /// Best first.
    pub(super) hits: Vec<Hit>,
    /// Why not all pages came.
    pub(super) warning: Option<String>,
}

/// A page of results, and whether there may be another one.
type Page = (Vec<Hit>, bool);

/// All pages of results that are wanted. `job` waits between them where the service wants that.
pub(super) async fn search(
    provider: &Provider,
    config: &WebSearchConfig,
    job: Option<&JobContext>,
) -> Result<Found, TaskError> {
    let client = provider.client(Limits::default());
    let client = job.map_or_else(|| client.clone(), |job| client.accounted(accounted(job)));
    let mut found = Found::default();
    for number in 0..config.depth {
        if let (Some(job), "brave", 1..) = (job, provider.info.id, number) {
            job.pause(BRAVE_PAUSE).await;
        }
        let page = match provider.info.id {
            "searxng" => searxng(&client, provider, config, number).await,
            "brave" => brave(&client, provider, config, number).await,
            _ => tavily(&client, provider, config).await,
        };
        match page {
            Ok((hits, more)) => {
                let more = more && !hits.is_empty();
                found.hits.extend(hits);
                if !more {
                    break;
                }
            }
            // What the first pages brought stays.
            Err(error) if number > 0 => {
                found.warning = Some(format!("Not all pages came. {}", error.message));
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Asks for the least there is. Returns how much is left, if the service says so.
pub(crate) async fn test_search(provider: &Provider) -> Result<Option<String>, TaskError> {
    let config = serde_json::from_value(json!({"query": "test", "max_results": 1}));
    let config: WebSearchConfig = config.expect("the settings of a search");
    let client = provider.client(Limits::default());
    match provider.info.id {
        "brave" => {
            let request = brave_request(provider, &config, 0)?;
            let reply = client.ask(request).await.map_err(connection)?;
            let left = brave_left(&reply);
            brave_page(provider, &json_of(provider, reply).await?)?;
            Ok(left)
        }
        "tavily" => match tavily_left(&client, provider).await {
            Ok(left) => Ok(left),
            Err(error) if error.code == "key_refused" => Err(error),
            // A server in between may know searches only.
            Err(_) => search(provider, &config, None).await.map(|_| None),
        },
        _ => search(provider, &config, None).await.map(|_| None),
    }
}

/// How much of the month is left, after
/// <https://api-dashboard.search.brave.com/app/documentation/web-search/response-headers>: a number for
/// each span of time, the longest last.
fn brave_left(reply: &Reply) -> Option<String> {
    let longest = |name| reply.header(name)?.rsplit(',').next()?.trim().parse::<u64>().ok();
    let (limit, left) = (longest("x-ratelimit-limit")?, longest("x-ratelimit-remaining")?);
    // A plan that is paid by use has none.
    (limit > 0).then(|| format!("{left} of {limit} requests are left this month"))
}

/// How much of the plan is left, by `GET /usage`
/// (<https://docs.tavily.com/documentation/api-reference/endpoint/usage>), which costs nothing. A key
/// may have a limit of its own.
async fn tavily_left(client: &Client, provider: &Provider) -> Result<Option<String>, TaskError> {
    let key = provider.key().map_err(|error| not_set_up(&error))?;
    let request = ServiceRequest::get(provider.url("usage")).bearer(key.clone());
    let answer = ask_json(client, provider, request).await?;
    let number = |place: &str| answer.pointer(place).and_then(Value::as_u64);
    let left = |used: &str, limit: &str| {
        let limit = number(limit)?;
        Some((limit.saturating_sub(number(used)?), limit))
    };
    let key = left("/key/usage", "/key/limit");
    let plan = left("/account/plan_usage", "/account/plan_limit");
    let least = key.into_iter().chain(plan).min();
    Ok(least.map(|(left, limit)| format!("{left} of {limit} credits are left this month")))
}

/// <https://docs.searxng.org/dev/search_api.html>. JSON has to be switched on at the server, which
/// else answers 403.
async fn searxng(
    client: &Client,
    provider: &Provider,
    config: &WebSearchConfig,
    number: u32,
) -> Result<Page, TaskError> {
    let mut url = provider.url("search");
    {
        let mut query = url.query_pairs_mut();
        query.append_pair("q", &config.query).append_pair("format", "json");
        query.append_pair("pageno", &(number + 1).to_string());
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
    let hits = hits(results(provider, &answer)?, "content", "publishedDate");
    let silent = answer["unresponsive_engines"].as_array().map_or(0, Vec::len);
    if hits.is_empty() && number == 0 && silent > 0 {
        let message = format!(
            "SearXNG found nothing, but {silent} of its search engines did not answer. It may be blocked or offline."
        );
        return Err(TaskError::transient("search_engines_silent", message));
    }
    Ok((hits, true))
}

/// <https://api-dashboard.search.brave.com/app/documentation/web-search>. A wrong key is answered with
/// 422.
async fn brave(
    client: &Client,
    provider: &Provider,
    config: &WebSearchConfig,
    number: u32,
) -> Result<Page, TaskError> {
    let request = brave_request(provider, config, number)?;
    brave_page(provider, &ask_json(client, provider, request).await?)
}

fn brave_request(
    provider: &Provider,
    config: &WebSearchConfig,
    number: u32,
) -> Result<ServiceRequest, TaskError> {
    let key = provider.key().map_err(|error| not_set_up(&error))?;
    let mut url = provider.url("res/v1/web/search");
    {
        let mut query = url.query_pairs_mut();
        query.append_pair("q", &config.query).append_pair("count", "20");
        // It counts pages, and goes to 9, as `depth` does.
        query.append_pair("offset", &number.to_string());
        if let Some(range) = config.time_range {
            let freshness = match range {
                TimeRange::Day => "pd",
                TimeRange::Week => "pw",
                TimeRange::Month => "pm",
                TimeRange::Year => "py",
            };
            query.append_pair("freshness", freshness);
        }
        if let Some(language) = config.language.as_deref().and_then(brave_language) {
            query.append_pair("search_lang", language);
        }
    }
    Ok(ServiceRequest::get(url).secret_header("x-subscription-token", key.clone()))
}

fn brave_page(provider: &Provider, answer: &Value) -> Result<Page, TaskError> {
    if !answer["query"].is_object() {
        return Err(bad_answer(provider, "something that is no list of results"));
    }
    let more = answer["query"]["more_results_available"] != false;
    // Without results there is no `web` at all.
    let listed = answer["web"]["results"].as_array().map_or(&[][..], Vec::as_slice);
    Ok((hits(listed, "description", "page_age"), more))
}

/// How Brave calls a language: a few have a name of its own, and one that it does not know is an error.
fn brave_language(language: &str) -> Option<&'static str> {
    const KNOWN: &str = "ar eu bn bg ca zh-hans zh-hant hr cs da nl en en-gb et fi fr gl de el gu he hi \
                         hu is it jp kn ko lv lt ms ml mr nb pl pt-br pt-pt pa ro ru sr sk sl es sv ta te \
                         th tr uk vi";
    let whole = language.to_ascii_lowercase();
    let wanted = match whole.as_str() {
        "zh-tw" | "zh-hk" => "zh-hant",
        other => match other.split('-').next().unwrap_or_default() {
            "zh" => "zh-hans",
            "ja" => "jp",
            "no" | "nn" => "nb",
            "pt" if whole != "pt-br" => "pt-pt",
            "pt" => "pt-br",
            "en" if whole == "en-gb" => "en-gb",
            short => short,
        },
    };
    KNOWN.split_whitespace().find(|known| *known == wanted)
}

/// <https://docs.tavily.com/documentation/api-reference/endpoint/search>. It has no pages: 20 results
/// at most.
async fn tavily(
    client: &Client,
    provider: &Provider,
    config: &WebSearchConfig,
) -> Result<Page, TaskError> {
    let key = provider.key().map_err(|error| not_set_up(&error))?;
    let wanted = config.max_results.max(config.depth.saturating_mul(10)).min(20);
    let mut body = json!({"query": config.query, "max_results": wanted});
    if let Some(range) = config.time_range {
        body["time_range"] = word(range).into();
    }
    let request = ServiceRequest::post_json(provider.url("search"), body.to_string().into_bytes())
        .bearer(key.clone());
    let answer = ask_json(client, provider, request).await?;
    Ok((hits(results(provider, &answer)?, "content", "published_date"), false))
}

/// The list of results, which is there even if it is empty.
fn results<'a>(provider: &Provider, answer: &'a Value) -> Result<&'a [Value], TaskError> {
    let listed = answer["results"].as_array().map(Vec::as_slice);
    listed.ok_or_else(|| bad_answer(provider, "something that is no list of results"))
}

pub(super) const fn word(range: TimeRange) -> &'static str {
    match range {
        TimeRange::Day => "day",
        TimeRange::Week => "week",
        TimeRange::Month => "month",
        TimeRange::Year => "year",
    }
}

fn hits(results: &[Value], snippet: &str, published: &str) -> Vec<Hit> {
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
    results.iter().take(MAX_HITS).filter_map(read).collect()
}
