//! Views of runs and their jobs.

use serde::{Deserialize, Serialize};
use specta::Type;

use crate::{DocumentId, JobId, JobKind, JobStatus, OnError, RunStatus, StartedBy};

/// How many tasks are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct JobCounts {
    /// All tasks known so far; it grows while a crawl finds links.
    pub total: u32,
    /// Not started, or to be tried again.
    pub pending: u32,
    /// With a worker now.
    pub running: u32,
    /// Done themselves, with open children.
    pub waiting: u32,
    /// Ended well.
    pub completed: u32,
    /// Ended with an error.
    pub failed: u32,
    /// Ended by a cancel.
    pub cancelled: u32,
    /// Never started.
    pub skipped: u32,
}

impl JobCounts {
    /// Tasks whose own work is over, whatever the outcome.
    #[must_use]
    pub const fn done(&self) -> u32 {
        self.waiting + self.completed + self.failed + self.cancelled + self.skipped
    }
}

/// What a run did to the document store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct DocumentCounts {
    /// New documents.
    pub created: u32,
    /// Documents whose content changed.
    pub updated: u32,
    /// Documents seen again with the same content.
    pub unchanged: u32,
}

/// Why a job failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct JobError {
    /// A stable word for the kind of failure, such as `not_found` or `timeout`.
    pub code: String,
    /// What happened, in a sentence.
    pub message: String,
}

/// One run in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct RunSummary {
    /// The id of the run's parent job.
    pub id: JobId,
    /// The definition that ran.
    pub definition_id: String,
    /// Its name at that time.
    pub name: String,
    /// What it works on, such as a folder or an address; empty if that is not known.
    pub subject: String,
    /// The state of the run.
    pub status: RunStatus,
    /// When it was accepted.
    pub started: String,
    /// When it ended.
    pub finished: Option<String>,
    /// From accepted to ended, or to now while it is open.
    pub duration_ms: u32,
    /// Tasks by state.
    pub jobs: JobCounts,
    /// Documents by outcome.
    pub documents: DocumentCounts,
    /// Things that went wrong without ending the run.
    pub warnings: u32,
    /// Why the run failed.
    pub error: Option<JobError>,
    /// What has started it.
    pub started_by: StartedBy,
    /// The run whose work it does again.
    pub rerun_of: Option<JobId>,
    /// The run that has started it and waits for it.
    pub parent_run: Option<JobId>,
}

/// One step of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct StepView {
    /// The step's job.
    pub id: JobId,
    /// The name in the definition.
    pub name: String,
    /// The step type.
    #[serde(rename = "type")]
    pub step_type: String,
    /// What the definition says of it.
    pub description: String,
    /// The state of the step.
    pub status: JobStatus,
    /// Its predecessors.
    pub depends: Vec<String>,
    /// Tasks by state.
    pub jobs: JobCounts,
    /// Documents by outcome.
    pub documents: DocumentCounts,
    /// Why it failed or was skipped.
    pub error: Option<JobError>,
    /// When its first task was written.
    pub started: Option<String>,
    /// When it ended.
    pub finished: Option<String>,
    /// What happens when it fails.
    pub on_error: OnError,
    /// Whether it runs even if steps before it failed.
    pub always_run: bool,
    /// The condition under which it runs; empty if there is none.
    pub condition: String,
    /// How often the step as a whole has been started.
    pub attempt: u32,
    /// How often it may be.
    pub max_attempts: u32,
    /// When it is tried again.
    pub next_attempt: Option<String>,
    /// The run whose results of this step stand for its own.
    pub reused_from: Option<JobId>,
    /// Runs it has started, oldest first, at most 100.
    pub runs: Vec<JobId>,
}

/// How often a host answered in one way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct AnswerCount {
    /// The status of the answers, or the code of the error that came instead.
    pub answer: String,
    /// How often.
    pub count: u32,
}

/// What a step has asked of one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct HostRequests {
    /// The step's name.
    pub step: String,
    /// The host, with the port if it is not the usual one.
    pub host: String,
    /// Requests.
    pub count: u32,
    /// How they were answered, the most frequent first.
    pub answers: Vec<AnswerCount>,
    /// Bytes of all answers, decompressed.
    #[specta(type = specta_typescript::Number)]
    pub bytes: u64,
    /// How long an answer took on average, in milliseconds.
    pub average_ms: u32,
    /// How long the slowest one took, in milliseconds.
    pub slowest_ms: u32,
    /// Which one that was.
    pub slowest: String,
}

/// A run with its steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct RunView {
    /// The run as it stands in a list.
    pub summary: RunSummary,
    /// Its steps in the order of the definition.
    pub steps: Vec<StepView>,
    /// The values it ran with.
    pub variables: Vec<(String, String)>,
    /// Those of them that were given for this run.
    pub given: Vec<(String, String)>,
    /// The definition's text as it was when the run was accepted.
    pub definition_text: String,
    /// Warnings, oldest first, at most 100.
    pub warnings: Vec<String>,
}

/// Which part of an earlier run is done again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum RerunPart {
    /// Everything.
    Whole,
    /// The steps that did not succeed, and of the others the tasks that failed; what depends on
    /// them is done again.
    Failed,
    /// This step and what depends on it.
    From(String),
}

/// The wish to do an earlier run's work again. Steps of the part that is not done again keep their
/// results if their configuration, inputs and step type are still the same.
#[derive(Clone, Debug, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct RerunRequest {
    /// As in [`crate::RunRequest`].
    pub request_id: String,
    /// The earlier run; it has ended.
    pub run: JobId,
    /// What is done again.
    pub part: RerunPart,
    /// Values that replace those of the earlier run.
    pub set: Vec<(String, String)>,
    /// Use the definition as it is now, not as it was then.
    pub current_definition: bool,
    /// As in [`crate::RunRequest`].
    pub anyway: bool,
}

/// One change of a job's state. The sequence number grows over all runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct JobEvent {
    /// Its place in the order of all events.
    #[specta(type = specta_typescript::Number)]
    pub seq: u64,
    /// The job.
    pub job_id: JobId,
    /// Its place in the tree.
    pub kind: JobKind,
    /// What it works on.
    pub name: String,
    /// The state it left.
    pub from: JobStatus,
    /// The state it reached.
    pub to: JobStatus,
    /// Which attempt.
    pub attempt: u32,
    /// When.
    pub at: String,
}

/// A page of events, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct EventPage {
    /// The events.
    pub events: Vec<JobEvent>,
    /// Whether there are more after the last one.
    pub more: bool,
}

/// How the tasks of one type stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct TypeCounts {
    /// The type of the tasks.
    #[serde(rename = "type")]
    pub task_type: String,
    /// Tasks by state.
    pub jobs: JobCounts,
    /// The mean time from first start to end of those that have ended, in milliseconds.
    pub mean_ms: u32,
}

/// A kind of failure, and how often it happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct FailureCount {
    /// See [`JobError::code`].
    pub code: String,
    /// Failed tasks.
    pub count: u32,
    /// One of them.
    pub example: JobNode,
}

/// What stands out in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct RunStatistics {
    /// By type of task.
    pub types: Vec<TypeCounts>,
    /// The tasks that took longest from first start to end, at most 10.
    pub slowest: Vec<JobNode>,
    /// Failures by code, the most frequent first, at most 10.
    pub failures: Vec<FailureCount>,
    /// What its steps have asked of other computers, in the order of the steps, the busiest hosts
    /// first, at most 100 for each step.
    pub requests: Vec<HostRequests>,
}

/// One job of a run's tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct JobNode {
    /// The job.
    pub id: JobId,
    /// The job above it; `None` for the run itself.
    pub parent_id: Option<JobId>,
    /// Its place in the tree.
    pub kind: JobKind,
    /// The step type or worker type.
    #[serde(rename = "type")]
    pub job_type: String,
    /// What it works on: a step's name, an address, a path.
    pub name: String,
    /// The state of the job.
    pub status: JobStatus,
    /// How far below its step: 0 for a step's first tasks.
    pub depth: u32,
    /// How often it has been started.
    pub attempt: u32,
    /// Direct children.
    pub children: u32,
    /// Direct children that have not ended.
    pub open_children: u32,
    /// Why it failed.
    pub error: Option<JobError>,
    /// When it was first started.
    pub started: Option<String>,
    /// When it ended.
    pub finished: Option<String>,
    /// The first document it saved.
    pub document_id: Option<DocumentId>,
}

/// Which jobs to list.
#[derive(Clone, Debug, Default, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields, default)]
pub struct JobQuery {
    /// Only the direct children of this job; without it, every task of the run.
    pub parent: Option<JobId>,
    /// Only jobs in these states; empty means all.
    pub statuses: Vec<JobStatus>,
    /// Only jobs whose name holds this text.
    pub text: String,
    /// Only jobs after this id (the last one of the page before).
    pub after: Option<JobId>,
    /// At most this many, 1 to 1,000.
    pub limit: u32,
}

/// A page of jobs in the order of their ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<JobNode>,
    /// Whether there are more after the last one.
    pub more: bool,
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Detail for finding a fault.
    Debug,
    /// What happened.
    Info,
    /// Something went wrong that did not end the work.
    Warn,
    /// Something failed.
    Error,
}

impl LogLevel {
    /// The word stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// One line of a run's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct LogLine {
    /// Grows within the log.
    pub seq: u32,
    /// When it was written.
    pub at: String,
    /// How much it matters.
    pub level: LogLevel,
    /// The job that wrote it.
    pub job_id: Option<JobId>,
    /// The text, without line breaks.
    pub message: String,
}

/// Which log lines to read.
#[derive(Clone, Debug, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct LogQuery {
    /// The run.
    pub run: JobId,
    /// Only the lines of this job.
    pub job: Option<JobId>,
    /// Only lines that matter at least this much.
    pub min_level: LogLevel,
    /// Only lines after this sequence number; without it, the newest `limit` lines.
    pub after: Option<u32>,
    /// At most this many, 1 to 5,000.
    pub limit: u32,
}

/// Lines of a log, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct LogPage {
    /// The lines.
    pub lines: Vec<LogLine>,
    /// Whether lines older than these (without `after`) or newer (with it) were left out.
    pub more: bool,
}
