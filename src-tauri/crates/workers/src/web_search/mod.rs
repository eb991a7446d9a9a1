//! `web_search`: asks search services in the user's order and keeps what they found as one document.
//!
//! "Nothing found" and "could not search" are different things: the first is an empty document with a
//! warning, the second a failed task.

mod services;

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use quaero_contract::LogLevel;
use quaero_engine::work::{
    JobContext, JobWorker, Lane, Need, NewTask, Outcome, StepManager, StepStart, TaskError,
};
use quaero_net::{Provider, ProviderError, Providers, normalise};
use quaero_store::NewDocument;
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use crate::services::{fresh_document, link, not_set_up, plain};
pub(crate) use services::test_search;
use services::{Found, Hit, SERVICES, search, word};

const TASK_TYPE: &str = "web_search.query";
/// The constant of reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009).
const FUSION: f64 = 60.0;

/// How far back results may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum TimeRange {
    Day,
    Week,
    Month,
    Year,
}

/// Searches the web and keeps the results as a document.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Search the web")]
struct WebSearchConfig {
    /// What to search for.
    #[schemars(title = "Query", length(min = 1, max = 400))]
    query: String,
    /// How many pages of results each service is asked for.
    #[serde(default = "one")]
    #[schemars(title = "Pages of results", range(min = 1, max = 10))]
    depth: u32,
    /// The results of how many services are merged. 1 takes the first service that answers.
    #[serde(default = "one")]
    #[schemars(title = "Services", range(min = 1, max = 5))]
    breadth: u32,
    /// How many results are kept.
    #[serde(default = "max_results")]
    #[schemars(title = "Results", range(min = 1, max = 200))]
    max_results: u32,
    /// Only results of the last day, week, month or year.
    #[serde(default)]
    #[schemars(title = "Not older than")]
    time_range: Option<TimeRange>,
    /// The language of the results: `en`, `de`, `pt-BR`.
    #[serde(default)]
    #[schemars(title = "Language", regex(pattern = "^[a-z]{2}(-[A-Z]{2})?$"))]
    language: Option<String>,
    /// The same search is not made again for so many hours. 0 always searches.
    #[serde(default = "cache_hours")]
    #[schemars(title = "Fresh for hours", range(min = 0, max = 8760))]
    cache_hours: u32,
    /// Search even if there is a fresh result.
    #[serde(default)]
    #[schemars(title = "Always search")]
    force_refresh: bool,
    /// Tags that the document gets.
    #[serde(default)]
    #[schemars(title = "Tags", length(max = 50), extend("items" = {"type": "string", "format": "tag"}))]
    output_tags: Vec<String>,
}

const fn one() -> u32 {
    1
}

const fn max_results() -> u32 {
    10
}

const fn cache_hours() -> u32 {
    24
}

/// Checks `web_search` steps.
pub struct WebSearchManager;

impl StepManager for WebSearchManager {
    fn step_type(&self) -> &'static str {
        "web_search"
    }

    fn schema(&self) -> Schema {
        schema_for!(WebSearchConfig)
    }

    fn needs(&self, _config: &Value) -> Vec<Need> {
        vec![Need::WebSearch]
    }

    fn subject(&self, config: &Value) -> Option<String> {
        config["query"].as_str().map(str::to_owned)
    }

    fn first_tasks(&self, step: &StepStart) -> Result<Vec<NewTask>, TaskError> {
        let query = step.config["query"].as_str().unwrap_or_default();
        Ok(vec![NewTask {
            task_type: TASK_TYPE,
            name: query.to_owned(),
            key: Some(query.to_owned()),
            // The plans of some services allow one request in a second.
            lane: Lane { name: "web_search".into(), limit: 1, delay_ms: 1_000 },
            ..NewTask::default()
        }])
    }
}

/// Does the tasks of `web_search` steps.
pub struct WebSearchWorker {
    providers: Arc<dyn Providers>,
}

impl WebSearchWorker {
    /// A worker that finds search services here.
    #[must_use]
    pub fn new(providers: Arc<dyn Providers>) -> Self {
        Self { providers }
    }
}

/// The services that are set up, in the order in which they are to be asked.
///
/// # Errors
/// `no_search_service` if there is none.
pub(crate) async fn services(providers: &dyn Providers) -> Result<Vec<Provider>, TaskError> {
    let mut order = providers.search_order().await;
    if order.is_empty() {
        order = SERVICES.iter().map(|id| (*id).to_owned()).collect();
    }
    order.retain(|id| SERVICES.contains(&id.as_str()));
    let (mut ready, mut lacking, mut problems) = (Vec::new(), Vec::new(), String::new());
    for id in order {
        match providers.find(&id).await {
            Ok(provider) => ready.push(provider),
            Err(ProviderError::NoKey(name)) => lacking.push(format!("{name} needs a key")),
            Err(ProviderError::NoAddress(name)) => lacking.push(format!("{name} needs an address")),
            Err(error) => problems.extend([" ", &not_set_up(&error).message]),
        }
    }
    if ready.is_empty() {
        let why =
            if lacking.is_empty() { String::new() } else { format!(": {}", lacking.join(", ")) };
        let message = format!(
            "No search service is set up{why}.{problems} Set one up in the settings, under Services."
        );
        return Err(TaskError::permanent("no_search_service", message));
    }
    Ok(ready)
}

/// What one service gave.
struct Answer {
    provider: &'static str,
    name: &'static str,
    hits: Vec<Hit>,
}

#[async_trait]
impl JobWorker for WebSearchWorker {
    fn task_type(&self) -> &'static str {
        TASK_TYPE
    }

    async fn run(&self, job: &JobContext) -> Result<Outcome, TaskError> {
        let config: WebSearchConfig = job.config()?;
        let source_id = source_id(&config);
        let request_hash = request_hash(&config);
        if !config.force_refresh {
            let source = ("web_search", source_id.as_str());
            if let Some(document) =
                fresh_document(job, source, &request_hash, config.cache_hours).await?
            {
                job.log(LogLevel::Info, format!("The results for `{source_id}` are still fresh."));
                return Ok(Outcome { documents: vec![document], ..Outcome::default() });
            }
        }
        let services = services(&*self.providers).await?;
        let breadth = usize::try_from(config.breadth).unwrap_or(1);
        let (mut answers, mut failures, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
        for provider in &services {
            if answers.len() == breadth {
                break;
            }
            match search(provider, &config, Some(job)).await {
                Ok(Found { hits, warning }) => {
                    warnings.extend(warning);
                    let line = format!("{} found {} results.", provider.info.name, hits.len());
                    job.log(LogLevel::Info, line);
                    let (id, name) = (provider.info.id, provider.info.name);
                    answers.push(Answer { provider: id, name, hits });
                }
                Err(error) => {
                    job.log(LogLevel::Warn, error.message.clone());
                    failures.push(error);
                }
            }
        }
        if answers.is_empty() {
            return Err(no_answer(failures));
        }
        warnings.extend(failures.into_iter().map(|error| error.message));
        let results = fuse(&answers, usize::try_from(config.max_results).unwrap_or(10));
        if results.is_empty() {
            warnings.push(format!("Nothing was found for `{source_id}`."));
        }
        let document = document(job, &config, &source_id, &answers, &results, request_hash);
        Ok(Outcome { documents: vec![document], warnings, ..Outcome::default() })
    }
}

/// All services failed: the one error that says when another try may help, or the first.
fn no_answer(failures: Vec<TaskError>) -> TaskError {
    use quaero_engine::work::Retry;
    let all: Vec<&str> = failures.iter().map(|error| error.message.as_str()).collect();
    let message = format!("Nobody could search. {}", all.join(" "));
    let retry = failures.iter().map(|error| error.retry).find(|retry| *retry != Retry::Never);
    TaskError {
        code: failures.first().map_or("no_search_service".into(), |error| error.code.clone()),
        message,
        retry: retry.unwrap_or(Retry::Never),
    }
}

/// The words, and what else makes it another search: a language, a time.
fn source_id(config: &WebSearchConfig) -> String {
    let mut words: Vec<&str> = config.query.split_whitespace().collect();
    words.extend(config.language.as_deref());
    words.extend(config.time_range.map(word));
    words.join(" ")
}

/// Tells two different searches for the same words apart.
fn request_hash(config: &WebSearchConfig) -> String {
    let WebSearchConfig { depth, breadth, max_results, time_range, language, .. } = config;
    let text = json!([depth, breadth, max_results, time_range, language]).to_string();
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// One result of all services that found it.
struct Merged<'a> {
    hit: &'a Hit,
    /// The services that found it, each with its rank there.
    found_by: Vec<(&'static str, usize)>,
    score: f64,
}

/// Merges the services' lists: what several of them rank high comes first.
fn fuse(answers: &[Answer], most: usize) -> Vec<Merged<'_>> {
    let mut order: Vec<Merged<'_>> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for answer in answers {
        for (at, hit) in answer.hits.iter().enumerate() {
            let rank = at + 1;
            let score = 1.0 / (FUSION + rank as f64);
            let key = Url::parse(&hit.url).map_or_else(|_| hit.url.clone(), |u| identity(&u));
            match known.get(&key) {
                Some(place) => {
                    let merged = &mut order[*place];
                    // A service that lists an address twice does not count for it twice.
                    if merged.found_by.iter().all(|(id, _)| *id != answer.provider) {
                        merged.found_by.push((answer.provider, rank));
                        merged.score += score;
                    }
                }
                None => {
                    known.insert(key, order.len());
                    order.push(Merged { hit, found_by: vec![(answer.provider, rank)], score });
                }
            }
        }
    }
    // Stable: what is equal stays in the order of the services.
    order.sort_by(|a, b| b.score.total_cmp(&a.score));
    order.truncate(most);
    order
}

fn identity(url: &Url) -> String {
    normalise(url).as_str().trim_end_matches('/').replacen("http://", "https://", 1)
}

fn document(
    job: &JobContext,
    config: &WebSearchConfig,
    source_id: &str,
    answers: &[Answer],
    results: &[Merged<'_>],
    request_hash: String,
) -> NewDocument {
    use std::fmt::Write as _;
    let at = quaero_store::rfc3339(job.now_ms());
    let asked: Vec<String> =
        answers.iter().map(|a| format!("{} ({} results)", a.name, a.hits.len())).collect();
    let mut text = format!("# Web search: {}\n\n", plain(source_id));
    let _ = write!(text, "Asked {} at {at}.\n\n", asked.join(", "));
    if results.is_empty() {
        text.push_str("Nothing was found.\n");
    }
    for (at, Merged { hit, found_by, .. }) in results.iter().enumerate() {
        let _ = write!(text, "{}. {}", at + 1, link(&hit.title, &hit.url));
        if let Some(date) = &hit.published {
            let _ = write!(text, " ({})", plain(date));
        }
        text.push('\n');
        if !hit.snippet.is_empty() {
            let _ = writeln!(text, "   {}", plain(&hit.snippet));
        }
        let names: Vec<String> = found_by.iter().map(|(id, rank)| format!("{id} {rank}")).collect();
        let _ = writeln!(text, "   Found by: {}", names.join(", "));
    }
    let listed: Vec<Value> = results
        .iter()
        .enumerate()
        .map(|(at, Merged { hit, found_by, .. })| {
            json!({
                "rank": at + 1, "title": hit.title, "url": hit.url, "snippet": hit.snippet,
                "published": hit.published,
                "found_by": found_by.iter().map(|(id, rank)| json!({"provider": id, "rank": rank}))
                    .collect::<Vec<_>>(),
            })
        })
        .collect();
    let metadata = json!({
        "query": config.query, "providers": answers.iter().map(|a| a.provider).collect::<Vec<_>>(),
        "retrieved_at": at, "results": listed,
    });
    let mut tags = vec!["web-search".to_owned(), format!("date:{}", &at[..10])];
    tags.extend(config.output_tags.iter().cloned());
    NewDocument {
        source_type: "web_search".to_owned(),
        source_id: source_id.to_owned(),
        title: format!("Web search: {source_id}"),
        markdown: text,
        metadata: metadata.as_object().cloned().unwrap_or_default(),
        tags,
        source_hash: request_hash,
        fetched_ms: job.now_ms(),
        ..NewDocument::default()
    }
}
