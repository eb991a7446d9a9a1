//! Use cases for any host: the window, the command line and the tests call these functions and
//! nothing below them. Errors become codes here, once.

use std::{collections::BTreeMap, path::PathBuf};

use quaero_contract::{
    ApiError, AppInfo, DefinitionSummary, DefinitionView, DocumentId, DocumentView, JobId, JobPage,
    JobProgress, JobQuery, JobStatusChange, LogAppended, LogPage, LogQuery, Problem, ResultSaved,
    RunRequest, RunSummary, RunView, SearchRequest, SearchResults, Settings,
};
use tokio::sync::broadcast;

/// What a process wants of the data folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Run the engine and go on with every interrupted run: the window.
    Engine,
    /// Run the engine for the runs that this process starts or resumes: `quaero run`.
    EngineForOwnRuns,
    /// Only read: `quaero runs list`, `quaero docs search`.
    Reader,
}

/// How to open the application.
#[derive(Clone, Debug)]
pub struct AppOptions {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// What this process wants.
    pub role: Role,
}

/// Something happened. Lagging receivers lose old events, never the truth: read again.
#[derive(Clone, Debug)]
pub enum AppEvent {
    /// Progress of a run.
    Progress(JobProgress),
    /// A run or step changed state.
    Status(JobStatusChange),
    /// Documents were written.
    Saved(ResultSaved),
    /// Log lines were written.
    Log(LogAppended),
}

/// A definition to run that is not in the library: `quaero run FILE`.
#[derive(Clone, Debug)]
pub struct RunText {
    /// The file's name, for messages; its ending (`.toml`, `.json`) tells the format.
    pub file: String,
    /// The definition.
    pub text: String,
    /// Values for keys of `[config]`.
    pub set: BTreeMap<String, String>,
    /// See [`RunRequest::request_id`].
    pub request_id: String,
}

/// One line of `quaero doctor`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found, and what to do if it is not ok.
    pub detail: String,
}

/// The application.
pub struct App;

#[allow(clippy::unused_async, clippy::todo, clippy::missing_errors_doc, unused_variables, missing_docs)]
impl App {
    pub async fn open(options: AppOptions) -> Result<Self, ApiError> { todo!() }
    pub fn events(&self) -> broadcast::Receiver<AppEvent> { todo!() }

    pub async fn list_definitions(&self) -> Result<Vec<DefinitionSummary>, ApiError> { todo!() }
    pub async fn get_definition(&self, id: &str) -> Result<DefinitionView, ApiError> { todo!() }
    /// Checks a definition's text. No side effects; needs no open data folder.
    pub fn validate(file: &str, text: &[u8]) -> Vec<Problem> { todo!() }
    pub async fn run_definition(&self, request: RunRequest) -> Result<JobId, ApiError> { todo!() }
    /// Errors carry the first problem; `validate` gives all.
    pub async fn run_text(&self, request: RunText) -> Result<JobId, ApiError> { todo!() }

    /// Newest first.
    pub async fn list_runs(&self, before: Option<JobId>, limit: u32) -> Result<Vec<RunSummary>, ApiError> { todo!() }
    pub async fn get_run(&self, id: JobId) -> Result<RunView, ApiError> { todo!() }
    pub async fn list_jobs(&self, run: JobId, query: JobQuery) -> Result<JobPage, ApiError> { todo!() }
    pub async fn read_log(&self, query: LogQuery) -> Result<LogPage, ApiError> { todo!() }
    pub async fn cancel_run(&self, id: JobId) -> Result<(), ApiError> { todo!() }
    pub async fn resume_run(&self, id: JobId) -> Result<(), ApiError> { todo!() }
    /// Resolves when the run has ended.
    pub async fn wait_run(&self, id: JobId) -> Result<RunSummary, ApiError> { todo!() }

    pub async fn search(&self, request: SearchRequest) -> Result<SearchResults, ApiError> { todo!() }
    pub async fn get_document(&self, id: DocumentId) -> Result<DocumentView, ApiError> { todo!() }

    pub async fn settings(&self) -> Result<Settings, ApiError> { todo!() }
    pub async fn set_settings(&self, settings: Settings) -> Result<(), ApiError> { todo!() }
    pub async fn info(&self) -> Result<AppInfo, ApiError> { todo!() }
    pub async fn doctor(&self) -> Vec<Check> { todo!() }
    /// Stops starting work, lets running tasks end or go back to the queue within 10 s, and closes the files.
    pub async fn close(self) { todo!() }
}
