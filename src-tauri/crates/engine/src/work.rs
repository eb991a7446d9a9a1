//! The two traits behind every step type, and what passes through them.
//!
//! A [`StepManager`] is pure: it checks a configuration and says what the first tasks are. A
//! [`JobWorker`] does one task and *returns* everything that should become true (documents, child
//! tasks) as an [`Outcome`]; the engine commits it in one transaction together with the task's
//! state. A worker whose process dies half-way has therefore changed nothing, and is run again.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use quaero_contract::{JobId, LogLevel};
use quaero_store::{DocumentId, NewDocument, Request, Store, Unseen};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// Which tasks may run at the same time, and how close together they may start.
///
/// Lanes are global: two runs that fetch from the same host share one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// `host:example.org`, `local`, …
    pub name: Cow<'static, str>,
    /// How many tasks of the lane run at the same time, at least 1.
    pub limit: u32,
    /// Milliseconds from one start to the next.
    pub delay_ms: u32,
}

impl Lane {
    /// Work that only needs this computer: as wide as the processor allows.
    #[must_use]
    pub const fn local() -> Self {
        Self { name: Cow::Borrowed("local"), limit: u32::MAX, delay_ms: 0 }
    }

    /// Requests to one host.
    #[must_use]
    pub fn host(host: &str, limit: u32, delay_ms: u32) -> Self {
        Self { name: Cow::Owned(format!("host:{host}")), limit: limit.max(1), delay_ms }
    }
}

/// Bytes of a task's name, key, lane and payload together. What is larger belongs into a document.
pub const MOST_TASK_BYTES: usize = 64 << 10;

/// A task to be written to the queue.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTask {
    /// Which worker does it ([`JobWorker::task_type`]).
    pub task_type: &'static str,
    /// What it works on, for people: an address, a path.
    pub name: String,
    /// Within a step, a second task with the same key is not written. Keyed tasks can be spawned
    /// again by a repeated attempt without doubling.
    pub key: Option<String>,
    /// What the worker needs to know. All of the task is at most [`MOST_TASK_BYTES`].
    pub payload: Value,
    /// Where it queues.
    pub lane: Lane,
    /// Higher first, within a lane of its run.
    pub priority: i32,
}

impl NewTask {
    /// Refuses a task that is too large to be queued.
    pub(crate) fn check(&self) -> Result<(), TaskError> {
        let key = self.key.as_ref().map_or(0, String::len);
        let bytes = self.name.len() + key + self.lane.name.len() + bytes(&self.payload);
        if bytes <= MOST_TASK_BYTES {
            return Ok(());
        }
        let name: String = self.name.chars().take(100).collect();
        let message = format!(
            "The task `{name}` takes {bytes} bytes, and at most {MOST_TASK_BYTES} can be queued."
        );
        Err(TaskError::permanent("task_too_large", message))
    }
}

/// About as many as it has as JSON.
fn bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => 2 + text.len(),
        Value::Array(values) => values.iter().map(|value| 1 + bytes(value)).sum::<usize>() + 2,
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| 4 + key.len() + bytes(value)).sum::<usize>() + 2
        }
    }
}

impl Default for NewTask {
    fn default() -> Self {
        Self {
            task_type: "",
            name: String::new(),
            key: None,
            payload: Value::Null,
            lane: Lane::local(),
            priority: 0,
        }
    }
}

/// What a step's manager is told when the step starts.
#[derive(Clone, Debug)]
pub struct StepStart {
    /// The step's name in the definition.
    pub name: String,
    /// Its configuration with all placeholders filled.
    pub config: Value,
}

/// Something wrong with a step's configuration that its JSON Schema cannot say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// Where: a JSON pointer into the configuration, such as `/start_urls/0`.
    pub pointer: String,
    /// A stable word.
    pub code: &'static str,
    /// What is wrong, in a plain sentence.
    pub message: String,
    /// What to do about it.
    pub fix: Option<String>,
}

/// What a definition is about.
#[derive(Clone, Copy, Debug)]
pub struct Targets<'a> {
    /// `[config] variables`: a table for each target.
    pub variables: &'a [Map<String, Value>],
    /// `[config] benchmarks`: what targets are compared with.
    pub benchmarks: &'a [Map<String, Value>],
}

/// What one step type's configuration means. No function here has side effects.
pub trait StepManager: Send + Sync + 'static {
    /// The name used in definitions.
    fn step_type(&self) -> &'static str;

    /// Other names it answers to.
    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    /// The configuration's JSON Schema: an object with `additionalProperties: false`, each property
    /// with a title and a description. The formats `regex`, `glob`, `duration` (`500ms`, `2h30m`),
    /// `uri` (http or https), `folder`, `host` and `tag` are checked by the validator.
    fn schema(&self) -> schemars::Schema;

    /// Changes when the same configuration gives other results than before: the results of an
    /// earlier run are then not reused.
    fn version(&self) -> u32 {
        1
    }

    /// Puts what the definition says for all of its steps into a configuration that does not say it
    /// itself. Called before anything is checked.
    fn take_targets(&self, _config: &mut Value, _targets: &Targets<'_>) {}

    /// Checks what the schema cannot say. Called only with a configuration that fits the schema.
    fn check(&self, _config: &Value) -> Vec<ConfigProblem> {
        Vec::new()
    }

    /// What a step with this configuration asks when it has to collect anything.
    fn needs(&self, _config: &Value) -> Vec<Need> {
        Vec::new()
    }

    /// What a step with this configuration works on, for people: a folder, an address.
    fn subject(&self, _config: &Value) -> Option<String> {
        None
    }

    /// The first tasks of a step. None means that there is nothing to do and the step is complete.
    ///
    /// # Errors
    /// Fails the step.
    fn first_tasks(&self, step: &StepStart) -> Result<Vec<NewTask>, TaskError>;

    /// Whether a step that has gone well looks after documents that earlier runs of it brought and
    /// this one has not seen.
    fn sweeps(&self) -> bool {
        false
    }

    /// The tasks that find out what has become of such documents. Not asked if there are none.
    fn look_after(&self, _step: &StepStart, _unseen: &[Unseen]) -> Vec<NewTask> {
        Vec::new()
    }
}

/// Something that only the user can provide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// The outside service with this id.
    Service(&'static str),
    /// A mail server.
    Mail,
    /// Any of the services that search the web.
    WebSearch,
    /// The sign-in profile of this name.
    SignIn(String),
    /// An installed browser.
    Browser,
}

/// How one type of task is done.
#[async_trait]
pub trait JobWorker: Send + Sync + 'static {
    /// The type of task it does.
    fn task_type(&self) -> &'static str;

    /// How many tasks of this type run at the same time, whatever their runs and lanes.
    fn limit(&self) -> Option<u32> {
        None
    }

    /// Does one task. May be dropped at any await when the run is cancelled, and may be called
    /// again for the same task after a crash.
    ///
    /// # Errors
    /// Says what went wrong and whether trying again can help.
    async fn run(&self, job: &JobContext) -> Result<Outcome, TaskError>;
}

/// What a task leaves behind. All of it is committed at once, or none.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Documents to save.
    pub documents: Vec<NewDocument>,
    /// Documents whose source was seen again, unchanged.
    pub unchanged: Vec<DocumentId>,
    /// Tasks to write, one level deeper.
    pub children: Vec<NewTask>,
    /// Children are written only while the step has fewer tasks than this.
    pub max_step_tasks: Option<u32>,
    /// Things that went wrong without failing the task; shown with the run.
    pub warnings: Vec<String>,
    /// Documents whose source is no longer there.
    pub gone: Vec<DocumentId>,
    /// Why the step needs no more of its tasks: those that have not ended are cancelled, this is shown
    /// as a warning, and what the step has brought stands.
    pub enough: Option<String>,
    /// How long nothing else of the task's lane starts, in milliseconds.
    pub pause_lane_ms: u64,
}

/// Whether and when a failed task is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same would happen again.
    Never,
    /// With growing pauses, up to the task's number of attempts.
    Backoff,
    /// After a pause, as often as it takes: the computer is at fault and not the task.
    Later,
    /// Not before this many milliseconds; nothing else of the lane starts before then either.
    PauseLane {
        /// How long.
        ms: u64,
    },
}

/// Why a task failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct TaskError {
    /// A stable word, such as `not_found` or `timeout`.
    pub code: Cow<'static, str>,
    /// What happened, in a sentence that names the thing it is about.
    pub message: String,
    /// Whether trying again can help.
    pub retry: Retry,
}

impl TaskError {
    /// A failure that would happen again.
    pub fn permanent(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), retry: Retry::Never }
    }

    /// A failure that may pass.
    pub fn transient(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), retry: Retry::Backoff }
    }
}

impl From<quaero_store::StoreError> for TaskError {
    fn from(error: quaero_store::StoreError) -> Self {
        let retry = if error.may_pass() { Retry::Later } else { Retry::Backoff };
        Self { code: "storage".into(), message: error.to_string(), retry }
    }
}

/// Receives the log lines of a task.
pub(crate) type LogSink = Arc<dyn Fn(LogLevel, String) + Send + Sync>;
/// Writes child tasks while a task is running.
pub(crate) type SpawnSink = Arc<
    dyn Fn(Vec<NewTask>) -> futures::future::BoxFuture<'static, Result<u32, TaskError>>
        + Send
        + Sync,
>;

/// What a task has asked of other computers so far.
pub(crate) type Asked = Arc<Mutex<Vec<Request>>>;

/// A task in the hands of its worker.
pub struct JobContext {
    /// The task.
    pub id: JobId,
    /// Its step's job.
    pub step_id: JobId,
    /// Its run.
    pub run_id: JobId,
    /// 0 for a step's first tasks.
    pub depth: u32,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// What the task works on.
    pub name: String,
    /// The step's configuration with all placeholders filled.
    pub config: Arc<Value>,
    /// The task's own data.
    pub payload: Value,
    /// Tags that every document of the run gets (the engine adds them; for information).
    pub tags: Arc<[String]>,
    /// Set when the run is cancelled. Work that does not await has to look at it.
    pub cancelled: CancellationToken,
    pub(crate) store: Store,
    pub(crate) log: LogSink,
    pub(crate) spawn: SpawnSink,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) now_ms: i64,
    pub(crate) asked: Asked,
}

impl JobContext {
    /// The step's configuration as a type.
    ///
    /// # Errors
    /// If it does not fit; validation makes that impossible for runs that were accepted.
    pub fn config<C: DeserializeOwned>(&self) -> Result<C, TaskError> {
        serde_json::from_value((*self.config).clone()).map_err(|e| {
            TaskError::permanent("invalid_config", format!("The step's settings do not fit: {e}."))
        })
    }

    /// The task's data as a type.
    ///
    /// # Errors
    /// If it was written by another version of the worker.
    pub fn payload<P: DeserializeOwned>(&self) -> Result<P, TaskError> {
        serde_json::from_value(self.payload.clone()).map_err(|e| {
            TaskError::permanent("invalid_payload", format!("The task's data does not fit: {e}."))
        })
    }

    /// Writes a line to the run's log.
    pub fn log(&self, level: LogLevel, message: impl Into<String>) {
        (self.log)(level, message.into());
    }

    /// Counts requests to other computers, answered or not, with the task's step, however the attempt
    /// ends.
    #[must_use]
    pub fn account(&self) -> Arc<dyn Fn(Request) + Send + Sync> {
        let asked = self.asked.clone();
        Arc::new(move |request| asked.lock().unwrap_or_else(PoisonError::into_inner).push(request))
    }

    /// Writes child tasks now, before the task ends, so that others can start on them and memory
    /// stays bounded. They must have keys. Returns how many were new.
    ///
    /// # Errors
    /// If one is larger than [`MOST_TASK_BYTES`], the task has lost its lease, its step has as many tasks as it may have, or the store fails.
    pub async fn spawn(&self, tasks: Vec<NewTask>) -> Result<u32, TaskError> {
        debug_assert!(tasks.iter().all(|task| task.key.is_some()), "spawned tasks need keys");
        (self.spawn)(tasks).await
    }

    /// Waits between two requests to somebody who does not want them closer together. What has to wait
    /// long ends instead, and asks to be tried again ([`Retry`]).
    pub async fn pause(&self, time: Duration) {
        self.clock.sleep(time).await;
    }

    /// The documents, for reading, and the search index.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The engine's clock.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    /// The time at which the task started, in milliseconds since 1970.
    #[must_use]
    pub const fn now_ms(&self) -> i64 {
        self.now_ms
    }
}

/// The step types that this program has.
#[derive(Clone, Default)]
pub struct Registry {
    managers: Vec<Arc<dyn StepManager>>,
    workers: HashMap<&'static str, Arc<dyn JobWorker>>,
}

impl Registry {
    /// Adds a step type.
    #[must_use]
    pub fn with_manager(mut self, manager: impl StepManager) -> Self {
        self.managers.push(Arc::new(manager));
        self
    }

    /// Adds a type of task.
    #[must_use]
    pub fn with_worker(mut self, worker: impl JobWorker) -> Self {
        self.workers.insert(worker.task_type(), Arc::new(worker));
        self
    }

    /// The manager for a step type or one of its aliases.
    #[must_use]
    pub fn manager(&self, step_type: &str) -> Option<&Arc<dyn StepManager>> {
        self.managers.iter().find(|manager| {
            manager.step_type() == step_type || manager.aliases().contains(&step_type)
        })
    }

    /// All managers, in the order in which they were added.
    #[must_use]
    pub fn managers(&self) -> &[Arc<dyn StepManager>] {
        &self.managers
    }

    /// The types of task of which only so many run at the same time.
    pub(crate) fn limits(&self) -> impl Iterator<Item = (&'static str, u32)> {
        self.workers
            .values()
            .filter_map(|worker| Some((worker.task_type(), worker.limit()?.max(1))))
    }

    /// The worker for a type of task.
    #[must_use]
    pub fn worker(&self, task_type: &str) -> Option<&Arc<dyn JobWorker>> {
        self.workers.get(task_type)
    }
}
