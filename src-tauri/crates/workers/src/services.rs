//! What all workers that ask outside services share: one request with its errors told in plain words,
//! and documents that are still fresh.

use std::sync::Arc;

use quaero_engine::work::{JobContext, Retry, TaskError};
use quaero_net::{
    Account, Client, Exchange, NetError, Provider, ProviderError, Reply, Response, ServiceRequest,
};
use quaero_store::{DocumentId, NewDocument, Request};
use serde_json::Value;

/// The pause after "too many requests" if the service does not say how long, in milliseconds.
const PAUSE_MS: u64 = 30_000;
/// Characters of what a service says about an error.
const MAX_SAID: usize = 300;

/// An account that counts requests with the step of a task.
pub(crate) fn accounted(job: &JobContext) -> Account {
    let count = job.account();
    Arc::new(move |exchange: Exchange| {
        count(Request {
            host: exchange.host,
            answer: exchange.answer,
            address: exchange.address,
            bytes: exchange.bytes,
            took_ms: u32::try_from(exchange.took.as_millis()).unwrap_or(u32::MAX),
        });
    })
}

/// Asks a service for JSON.
///
/// # Errors
/// `no_key` and `key_refused` if it cannot be opened, `quota_exhausted` and `too_many_requests` if it
/// has had enough, `service_error` if it fails, `bad_answer` if what came is no JSON, and the errors of
/// the connection.
pub(crate) async fn ask_json(
    client: &Client,
    provider: &Provider,
    request: ServiceRequest,
) -> Result<Value, TaskError> {
    let reply = client.ask(request).await.map_err(connection)?;
    json_of(provider, reply).await
}

/// The JSON of an answer.
///
/// # Errors
/// As [`ask_json`].
pub(crate) async fn json_of(provider: &Provider, reply: Reply) -> Result<Value, TaskError> {
    let answer = reply.read().await.map_err(connection)?;
    if !(200..300).contains(&answer.status) {
        return Err(refusal(provider, &answer));
    }
    serde_json::from_slice(&answer.body).map_err(|error| {
        let cut = error.is_eof() && !answer.body.is_empty();
        let error = bad_answer(provider, &format!("something that is no JSON ({error})"));
        // What broke off may come whole the next time.
        if cut { TaskError { retry: Retry::Backoff, ..error } } else { error }
    })
}

/// What came is not what the service gives.
pub(crate) fn bad_answer(provider: &Provider, what: &str) -> TaskError {
    let name = provider.info.name;
    let message = format!("{name} answered with {what}. Check its address in the settings.");
    TaskError::permanent("bad_answer", message)
}

/// What an answer with an error status means.
fn refusal(provider: &Provider, answer: &Response) -> TaskError {
    let name = provider.info.name;
    let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let said = said(&told);
    let status = answer.status;
    match status {
        _ if blames_key(status, &told) => TaskError::permanent(
            "key_refused",
            format!(
                "{name} refused the key ({status}{said}). Check it in the settings, under Services."
            ),
        ),
        // The last two are Tavily's own.
        402 | 432 | 433 => TaskError::permanent(
            "quota_exhausted",
            format!("{name} asks for payment ({status}{said}). The plan's requests are used up."),
        ),
        429 => {
            let ms = answer
                .retry_after
                .map_or(PAUSE_MS, |pause| u64::try_from(pause.as_millis()).unwrap_or(PAUSE_MS));
            let message = format!("{name} was asked too often ({status}{said}).");
            TaskError { code: "too_many_requests".into(), message, retry: Retry::PauseLane { ms } }
        }
        408 | 500.. => TaskError::transient(
            "service_error",
            format!("{name} cannot answer at present ({status}{said})."),
        ),
        _ => TaskError::permanent(
            "request_refused",
            format!("{name} did not accept the request ({status}{said})."),
        ),
    }
}

/// Whether the key is at fault. Brave says so with 422 and Google with 400, which both also mean other
/// things.
fn blames_key(status: u16, told: &Value) -> bool {
    let reason = |detail: &Value| detail["reason"] == "API_KEY_INVALID";
    matches!(status, 401 | 403)
        || told["error"]["code"] == "SUBSCRIPTION_TOKEN_INVALID"
        || told["error"]["details"].as_array().is_some_and(|list| list.iter().any(reason))
}

/// What a service says about an error, as the rest of a bracket.
fn said(told: &Value) -> String {
    let places =
        ["/error/message", "/error/detail", "/detail/error", "/detail", "/message", "/error"];
    // A page of a server in between says nothing that helps.
    let text = places.iter().find_map(|place| told.pointer(place)?.as_str()).unwrap_or_default();
    let text: String = text
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_SAID)
        .collect::<String>()
        .trim()
        .to_owned();
    if text.is_empty() { text } else { format!(": {text}") }
}

pub(crate) fn connection(error: NetError) -> TaskError {
    match error.is_transient() {
        true => TaskError::transient(error.code(), error.to_string()),
        false => TaskError::permanent(error.code(), error.to_string()),
    }
}

pub(crate) fn not_set_up(error: &ProviderError) -> TaskError {
    TaskError::permanent(error.code(), error.to_string())
}

/// A document that was made from the same request not longer ago than `cache_hours`. Handed in again it
/// gets the tags of the step.
pub(crate) async fn fresh_document(
    job: &JobContext,
    source: (&str, &str),
    request_hash: &str,
    cache_hours: u32,
) -> Result<Option<NewDocument>, TaskError> {
    let Some(document) = stored(job, source).await? else { return Ok(None) };
    let age_ms = job.now_ms() - document.fetched_ms;
    // One from the future is as unknown as one that is too old.
    let fresh = (0..i64::from(cache_hours) * 3_600_000).contains(&age_ms);
    Ok((fresh && document.source_hash == request_hash).then_some(document))
}

/// The document of this type and id, if there is one.
pub(crate) async fn stored(
    job: &JobContext,
    source: (&str, &str),
) -> Result<Option<NewDocument>, TaskError> {
    Ok(provided(job, source).await?.map(|(_, document)| document))
}

/// The document of this type and id that another worker has made, if there is one, with the number by
/// which what is made of it can name it.
pub(crate) async fn provided(
    job: &JobContext,
    source: (&str, &str),
) -> Result<Option<(DocumentId, NewDocument)>, TaskError> {
    let Some(state) = job.store().document_state(source.0, source.1).await? else {
        return Ok(None);
    };
    let document = job.store().document_with_original(state.id).await?;
    Ok(document.map(|document| (state.id, document)))
}

/// Text within a line of Markdown, so that it stays text.
pub(crate) fn plain(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '~') {
            line.push('\\');
        }
        line.push(c);
    }
    line
}

/// A link in Markdown; only the text if the address is none of the web.
pub(crate) fn link(text: &str, url: &str) -> String {
    match url::Url::parse(url) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => {
            let address = url.as_str().replace('(', "%28").replace(')', "%29");
            format!("[{}]({address})", plain(text))
        }
        _ => plain(text),
    }
}
