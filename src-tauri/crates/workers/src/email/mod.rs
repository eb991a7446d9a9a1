//! `email`: sends a text or a report through the user's mail server, and keeps a copy of what was sent
//! as a document. With `send = false` that is all it does, and the message can be read before it goes out.
//!
//! Each recipient is a task of its own, so that who has got the message does not get it again because
//! another address was refused. The copy is a document under the message's id, which follows from the
//! run, the step and the recipient; it commits together with the task. An attempt that finds the copy
//! sends nothing. As with all steps, one message that is refused among several is a warning.
//!
//! One window remains, as with all mail: the server has taken the message and the process dies before
//! that is committed, or the connection breaks before the server's last word. The message is sent again
//! then, under the same `Message-ID`, by which mail servers and programs recognise it.

mod letter;
mod send;

use std::{borrow::Cow, sync::Arc};

use async_trait::async_trait;
use lettre::message::Mailbox;
use quaero_contract::{DocumentView, JobStatus, LogLevel, LogQuery, RunView};
use quaero_engine::work::{
    ConfigProblem, JobContext, JobWorker, Lane, Need, NewTask, Outcome, StepManager, StepStart,
    TaskError,
};
use quaero_net::Providers;
use quaero_store::{DocumentFilter, DocumentId, NewDocument, rfc3339};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::services::not_set_up;
pub use letter::{FailedStep, Letter, Material, compose};
pub(crate) use send::test_mail;

const TASK_TYPE: &str = "email.send";
/// The type of the documents that are copies of what was sent.
const COPY: &str = "email";
/// The type of those that were to be looked at first.
const DRAFT: &str = "email_draft";
/// Lines of the log in the message about a failed run.
const LOG_LINES: u32 = 30;
/// Documents with a tag that are looked at for the newest one.
const MOST_DOCUMENTS: u32 = 1_000;

/// One or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl JsonSchema for OneOrMany {
    fn schema_name() -> Cow<'static, str> {
        "OneOrMany".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let text = json!({"type": "string", "minLength": 1, "maxLength": 320});
        json_schema!({
            "type": ["string", "array"], "minLength": 1, "maxLength": 320, "items": text,
            "minItems": 1, "maxItems": 50,
        })
    }
}

impl OneOrMany {
    fn list(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// How the document is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Attachment {
    /// As its Markdown.
    Markdown,
    /// As a page that stands alone.
    Html,
}

/// Sends a text or a report by e-mail.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Send an e-mail")]
pub struct EmailConfig {
    /// Who gets it: an address or a list of them. Each gets a message of their own.
    #[schemars(title = "To")]
    to: OneOrMany,
    /// What it is about.
    #[serde(default = "subject")]
    #[schemars(title = "Subject", length(min = 1, max = 200))]
    subject: String,
    /// The text, in Markdown. Without a text and a document the message tells how the run went.
    #[serde(default)]
    #[schemars(title = "Text", length(min = 1, max = 1_000_000))]
    body: Option<String>,
    /// The newest document with all of these tags is the text. One of this run comes first.
    #[serde(default)]
    #[schemars(title = "Document with the tags")]
    body_from_tag: Option<OneOrMany>,
    /// The document with this number, or with this source: an address, a path, a list's name.
    #[serde(default)]
    #[schemars(title = "Document", length(min = 1, max = 2_000))]
    body_from_document: Option<String>,
    /// Without it nothing is sent: the message is kept as a document, to be looked at first.
    #[serde(default = "yes")]
    #[schemars(title = "Send")]
    send: bool,
    /// Also attach the document.
    #[serde(default)]
    #[schemars(title = "Attach")]
    attachment: Option<Attachment>,
    /// What it is about if a step has failed.
    #[serde(default)]
    #[schemars(title = "Subject after a failure", length(min = 1, max = 200))]
    on_error_subject: Option<String>,
    /// Add the last lines of the log if a step has failed.
    #[serde(default = "yes")]
    #[schemars(title = "Log after a failure")]
    include_logs_on_error: bool,
}

fn subject() -> String {
    "Quaero Job Results".to_owned()
}

const fn yes() -> bool {
    true
}

/// Checks `email` steps.
pub struct EmailManager;

impl StepManager for EmailManager {
    fn step_type(&self) -> &'static str {
        "email"
    }

    fn schema(&self) -> Schema {
        schema_for!(EmailConfig)
    }

    fn needs(&self, config: &Value) -> Vec<Need> {
        let config = serde_json::from_value::<EmailConfig>(config.clone());
        if config.is_ok_and(|config| config.send) { vec![Need::Mail] } else { Vec::new() }
    }

    fn check(&self, config: &Value) -> Vec<ConfigProblem> {
        let Ok(config) = serde_json::from_value::<EmailConfig>(config.clone()) else {
            return Vec::new();
        };
        let mut problems = Vec::new();
        let mut problem = |pointer: String, code, message: String, fix: &str| {
            problems.push(ConfigProblem { pointer, code, message, fix: Some(fix.to_owned()) });
        };
        let is_list = matches!(config.to, OneOrMany::Many(_));
        for (at, address) in config.to.list().iter().enumerate() {
            if let Err(error) = address.parse::<Mailbox>() {
                let pointer = if is_list { format!("/to/{at}") } else { "/to".to_owned() };
                let message = format!("`{address:.100}` is no e-mail address: {error}.");
                problem(pointer, "bad_address", message, "Write it as `name@example.org`.");
            }
        }
        let bodies = [
            ("/body_from_document", config.body_from_document.is_some()),
            ("/body_from_tag", config.body_from_tag.is_some()),
            ("/body", config.body.is_some()),
        ];
        let mut given = bodies.iter().filter(|(_, given)| *given);
        if let (Some((pointer, _)), Some(_)) = (given.next(), given.next()) {
            let message = "The text comes from one place only.".to_owned();
            let fix = "Keep one of `body`, `body_from_tag` and `body_from_document`.";
            problem((*pointer).to_owned(), "conflict", message, fix);
        }
        let has_document = config.body_from_document.is_some() || config.body_from_tag.is_some();
        if config.attachment.is_some() && !has_document {
            let message = "There is no document that could be attached.".to_owned();
            let fix = "Name one with `body_from_tag` or `body_from_document`.";
            problem("/attachment".to_owned(), "conflict", message, fix);
        }
        problems
    }

    fn subject(&self, config: &Value) -> Option<String> {
        let config = serde_json::from_value::<EmailConfig>(config.clone()).ok()?;
        Some(config.to.list().join(", "))
    }

    fn first_tasks(&self, step: &StepStart) -> Result<Vec<NewTask>, TaskError> {
        let config = serde_json::from_value::<EmailConfig>(step.config.clone());
        let config = config.map_err(|error| {
            let message = format!("The step's settings do not fit: {error}.");
            TaskError::permanent("invalid_config", message)
        })?;
        let task = |address: &String| NewTask {
            task_type: TASK_TYPE,
            name: address.clone(),
            key: Some(address.trim().to_lowercase()),
            payload: json!({"to": address, "step": step.name}),
            lane: Lane { name: "email".into(), limit: 1, delay_ms: 0 },
            ..NewTask::default()
        };
        Ok(config.to.list().iter().map(task).collect())
    }
}

#[derive(Deserialize)]
struct Payload {
    to: String,
    step: String,
}

/// Sends the messages of `email` steps.
pub struct EmailWorker {
    providers: Arc<dyn Providers>,
}

impl EmailWorker {
    /// A worker that finds the mail server here.
    #[must_use]
    pub fn new(providers: Arc<dyn Providers>) -> Self {
        Self { providers }
    }
}

#[async_trait]
impl JobWorker for EmailWorker {
    fn task_type(&self) -> &'static str {
        TASK_TYPE
    }

    async fn run(&self, job: &JobContext) -> Result<Outcome, TaskError> {
        let (config, Payload { to, step }) = (job.config::<EmailConfig>()?, job.payload()?);
        let server = match config.send {
            true => Some(self.providers.mail().await.map_err(|error| not_set_up(&error))?),
            false => None,
        };
        let from = server.as_ref().map_or("", |server| &server.from);
        let run = job.store().get_run(job.run_id, None, job.now_ms()).await?;
        let run = run.ok_or_else(|| TaskError::permanent("not_found", "The run is gone."))?;
        let id = message_id(&run, &step, &to, from);
        if let Some(sent) = job.store().document_state(COPY, &id).await? {
            job.log(LogLevel::Info, format!("{to} has got this message already."));
            return Ok(Outcome { unchanged: vec![sent.id], ..Outcome::default() });
        }
        let material = material(job, &config, run, &step).await?;
        let letter = {
            let config = config.clone();
            // Rendering takes time that belongs to no async thread.
            let composed = tokio::task::spawn_blocking(move || compose(&config, &material)).await;
            composed.map_err(|error| TaskError::permanent("panic", format!("{error}.")))??
        };
        if let Some(server) = &server {
            let message = letter.message(from, &to, &id, job.now_ms())?;
            send::send(server, message).await?;
            job.log(LogLevel::Info, format!("{} has taken the message to {to}.", server.host));
        } else {
            job.log(LogLevel::Info, format!("The message to {to} is kept and was not sent."));
        }
        let copy = copy(job, &letter, &to, server.as_ref().map(|server| &*server.from), id);
        Ok(Outcome { documents: vec![copy], ..Outcome::default() })
    }
}

/// The same for each attempt to send the same message. Runs of two data folders can have the same
/// number, but not the same moment.
fn message_id(run: &RunView, step: &str, to: &str, from: &str) -> String {
    let summary = &run.summary;
    let parts = json!([summary.id, summary.started, summary.definition_id, step, to]).to_string();
    let hash = blake3::hash(parts.as_bytes()).to_hex();
    let domain = from.trim_end_matches('>').rsplit('@').next().unwrap_or("localhost");
    format!("<{}@{domain}>", &hash[..32])
}

/// Everything that the message is made of.
async fn material(
    job: &JobContext,
    config: &EmailConfig,
    run: RunView,
    step: &str,
) -> Result<Material, TaskError> {
    let bad = |status| matches!(status, JobStatus::Failed | JobStatus::Cancelled);
    let failed: Vec<FailedStep> = run
        .steps
        .iter()
        .filter(|other| other.name != step && bad(other.status))
        .map(|other| {
            let reason = other.error.as_ref().map(|error| error.message.clone());
            FailedStep { name: other.name.clone(), reason: reason.unwrap_or_default() }
        })
        .collect();
    let mut log = Vec::new();
    if !failed.is_empty() && config.include_logs_on_error {
        let query = LogQuery {
            run: job.run_id,
            job: None,
            min_level: LogLevel::Info,
            after: None,
            limit: LOG_LINES,
        };
        let lines = job.store().logs().read(&query).await?.lines;
        let line = |line: quaero_contract::LogLine| {
            format!("{} {} {}", line.at, line.level.as_str(), line.message)
        };
        log.extend(lines.into_iter().map(line));
    }
    let document = match document(job, config).await {
        // The failure is told all the same.
        Err(error) if !failed.is_empty() && error.code == "no_document" => None,
        found => found?,
    };
    Ok(Material { run, step: step.to_owned(), failed, log, document })
}

/// The document that the step names, if it names one.
async fn document(
    job: &JobContext,
    config: &EmailConfig,
) -> Result<Option<DocumentView>, TaskError> {
    if let Some(name) = &config.body_from_document {
        let missing = || {
            let message = format!("There is no document `{name:.200}`.");
            TaskError::permanent("no_document", message)
        };
        let mut found = None;
        if let Ok(id) = name.parse() {
            found = job.store().get_document(DocumentId(id)).await?;
        }
        if found.is_none()
            && let Some(id) = job.store().document_by_source(name).await?
        {
            found = job.store().get_document(id).await?;
        }
        return found.ok_or_else(missing).map(Some);
    }
    let Some(tags) = &config.body_from_tag else { return Ok(None) };
    for run in [Some(job.run_id), None] {
        let filter =
            DocumentFilter { tags: tags.list().to_vec(), run, ..DocumentFilter::default() };
        let mut newest: Option<DocumentView> = None;
        for id in job.store().document_ids(&filter, None, MOST_DOCUMENTS).await? {
            let Some(view) = job.store().get_document(id).await? else { continue };
            let is_newer = newest.as_ref().is_none_or(|n| view.last_synced >= n.last_synced);
            if ![COPY, DRAFT].contains(&view.source_type.as_str()) && is_newer {
                newest = Some(view);
            }
        }
        if newest.is_some() {
            return Ok(newest);
        }
    }
    let message = format!("No document has the tags {}.", tags.list().join(", "));
    Err(TaskError::permanent("no_document", message))
}

/// What is kept of a message; without a sender it was not sent.
fn copy(
    job: &JobContext,
    letter: &Letter,
    to: &str,
    from: Option<&str>,
    id: String,
) -> NewDocument {
    let at = rfc3339(job.now_ms());
    let kind = if from.is_some() { COPY } else { DRAFT };
    let metadata = json!({
        "to": to, "from": from, "subject": letter.subject, "message_id": id,
        "sent_at": from.map(|_| &at),
        "attachment": letter.attachment.as_ref().map(|(name, ..)| name),
    });
    NewDocument {
        source_type: kind.to_owned(),
        source_hash: blake3::hash(letter.markdown.as_bytes()).to_hex().to_string(),
        source_id: id,
        title: letter.subject.clone(),
        markdown: letter.markdown.clone(),
        metadata: metadata.as_object().cloned().unwrap_or_default(),
        tags: vec![kind.replace('_', "-"), format!("date:{}", &at[..10])],
        fetched_ms: job.now_ms(),
        ..NewDocument::default()
    }
}
