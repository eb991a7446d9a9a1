//! What the engine tells the window. Always whole values, never differences: the window is right
//! after missing any of them.

use serde::{Deserialize, Serialize};
use specta::Type;

use crate::{
    ApiError, DocumentCounts, DocumentId, JobCounts, JobError, JobId, JobKind, JobStatus, LogLine,
    RunSummary,
};

/// The progress of a run; at most 20 a second for each run, the final one always.
#[derive(Clone, Debug, Serialize, Deserialize, Type)]
pub struct JobProgress {
    /// The run as it stands in a list.
    pub run: RunSummary,
    /// The steps' own progress, in the order of the definition.
    pub steps: Vec<StepProgress>,
    /// Tasks done per minute of late; none until that can be told.
    pub tasks_per_minute: Option<f32>,
    /// Milliseconds until the known tasks will be done at that rate; none while more of them are
    /// found than done, or while later steps have not yet found theirs.
    pub remaining_ms: Option<u32>,
}

/// The progress of one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct StepProgress {
    /// The step's job.
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// Its state.
    pub status: JobStatus,
    /// Its tasks by state.
    pub jobs: JobCounts,
    /// Its documents by outcome.
    pub documents: DocumentCounts,
}

/// A run or a step has moved to another state. Tasks are in [`JobProgress`], as counts.
#[derive(Clone, Debug, Serialize, Deserialize, Type)]
pub struct JobStatusChange {
    /// The run.
    pub run_id: JobId,
    /// The run or the step.
    pub job_id: JobId,
    /// Which of the two.
    pub kind: JobKind,
    /// The definition's or the step's name.
    pub name: String,
    /// The new state.
    pub status: JobStatus,
    /// Why, if it failed or was skipped.
    pub error: Option<JobError>,
}

/// Documents have been written. Many may be told of at once; the ids are the newest, at most 50.
#[derive(Clone, Debug, Serialize, Deserialize, Type)]
pub struct ResultSaved {
    /// The run.
    pub run_id: JobId,
    /// The newest documents written since the last such event.
    pub document_ids: Vec<DocumentId>,
    /// How many were written since the last such event.
    pub count: u32,
}

/// Lines were added to a run's log; at most 500 at once, the rest can be read.
#[derive(Clone, Debug, Serialize, Deserialize, Type)]
pub struct LogAppended {
    /// The run.
    pub run_id: JobId,
    /// The newest lines, oldest first.
    pub lines: Vec<LogLine>,
}

/// Definitions or templates were added, changed or removed, by Quaero or from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct DefinitionsChanged {
    /// The definitions, by id.
    pub ids: Vec<String>,
    /// The job templates, by id.
    pub templates: Vec<String>,
}

/// Work waits because the data folder cannot be written at present: the disk is full, for one. It goes
/// on by itself when that is over.
#[derive(Clone, Debug, Serialize, Deserialize, Type)]
pub struct StorageWait {
    /// Why, and what to do; none if nothing waits any more.
    pub error: Option<ApiError>,
}

/// The engine has given up: the database is damaged, or another process has taken over the data
/// folder. Nothing runs until the next start; what has been done is kept.
#[derive(Clone, Debug, Serialize, Deserialize, Type)]
pub struct EngineHalted {
    /// Why, and what to do.
    pub error: ApiError,
}
