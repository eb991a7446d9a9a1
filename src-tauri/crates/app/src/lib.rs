//! Use cases for any host: the window, the command line and the tests call these functions and
//! nothing below them. Errors become codes here, once.

mod control;
mod doctor;
mod error;
mod follow;
pub mod library;
pub mod render;
pub mod settings;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use quaero_contract::{
    ApiError, AppInfo, DefinitionSummary, DefinitionView, DocumentId, DocumentView, ErrorCode, JobId,
    JobPage, JobProgress, JobQuery, JobStatusChange, LogAppended, LogPage, LogQuery, Origin, Problem,
    ResultSaved, RunRequest, RunSummary, RunView, SearchRequest, SearchResults, Settings,
};
use quaero_engine::{
    Adopt, Clock, Engine, EngineOptions, Event, SystemClock,
    definition::{Checked, check},
    work::Registry,
};
use quaero_store::{Access, Store};
use quaero_workers::extract::PdfExtractor;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, broadcast};
use tokio_util::sync::CancellationToken;

pub use control::{EngineAt, Remote};
pub use follow::{Follow, Followed};
use library::Library;
use settings::SettingsFile;

/// Documents rendered at the same time. Rendering cannot be interrupted.
const RENDERERS: usize = 2;
/// How long running tasks get to end when the application closes.
const CLOSE_TIME: Duration = Duration::from_secs(10);

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
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum AppEvent {
    /// Progress of a run.
    #[serde(rename = "progress")]
    Progress(JobProgress),
    /// A run or step changed state.
    #[serde(rename = "status_change")]
    Status(JobStatusChange),
    /// Documents were written.
    #[serde(rename = "result_saved")]
    Saved(ResultSaved),
    /// Log lines were written.
    #[serde(rename = "log")]
    Log(LogAppended),
}

impl AppEvent {
    /// The run it is about.
    #[must_use]
    pub const fn run_id(&self) -> JobId {
        match self {
            Self::Progress(event) => event.run.id,
            Self::Status(event) => event.run_id,
            Self::Saved(event) => event.run_id,
            Self::Log(event) => event.run_id,
        }
    }
}

/// A definition to run that is not in the library: `quaero run FILE`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found, and what to do if it is not ok.
    pub detail: String,
}

/// The application. Cheap to clone.
#[derive(Clone)]
pub struct App {
    core: Arc<Core>,
}

/// What the clones share.
struct Core {
    data_dir: PathBuf,
    store: Store,
    clock: Arc<dyn Clock>,
    /// `None` for a reader.
    engine: Option<Engine>,
    library: Library,
    settings: SettingsFile,
    events: broadcast::Sender<AppEvent>,
    renderers: Semaphore,
    server: Mutex<Option<control::Server>>,
    closing: CancellationToken,
}
