//! `local_dir`: the readable files of a folder as documents.
//!
//! The first task walks the folder and spawns one task per file, in bounded chunks; a file whose
//! content is known is not extracted again. Documents whose file is gone are marked, and stay: a folder on
//! a drive that is not plugged in must not empty the store.

mod file;
mod gone;
#[cfg(test)]
mod tests;
mod walk;

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use quaero_contract::LogLevel;
use quaero_engine::work::{
    JobContext, JobWorker, Lane, NewTask, Outcome, StepManager, StepStart, TaskError,
};
use quaero_store::Unseen;
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;

pub use file::FileWorker;
pub use gone::GoneWorker;
use walk::{Found, Walk};

const SCAN: &str = "local_dir.scan";
const FILE: &str = "local_dir.file";
/// Files handed over at once.
const CHUNK: usize = 500;

/// The settings of a `local_dir` step.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Index a folder")]
pub(crate) struct LocalDirConfig {
    /// The folder to read, with everything below it. `~` is the home folder.
    #[schemars(title = "Folder", extend("format" = "folder"))]
    path: String,
    /// Only files that match one of these patterns, such as `*.md` or `docs/**`. Empty: all files.
    #[serde(default)]
    #[schemars(title = "Include", length(max = 100), extend("items" = {"type": "string", "format": "glob"}))]
    include: Vec<String>,
    /// Files and folders to leave out, such as `drafts` or `*.min.js`.
    #[serde(default)]
    #[schemars(title = "Exclude", length(max = 100), extend("items" = {"type": "string", "format": "glob"}))]
    exclude: Vec<String>,
    /// Only files with one of these extensions, without the dot. Empty: everything that can be read
    /// as text.
    #[serde(default)]
    #[schemars(title = "Extensions", length(max = 100), inner(length(min = 1, max = 32)))]
    extensions: Vec<String>,
    /// Larger files are left out, in bytes.
    #[serde(default = "default_max_file_size")]
    #[schemars(title = "Largest file", range(min = 1, max = 104_857_600))]
    max_file_size: u64,
    /// The walk stops after this many files.
    #[serde(default = "default_max_files")]
    #[schemars(title = "Most files", range(min = 1, max = 1_000_000))]
    max_files: u32,
    /// Leave out what `.gitignore` files exclude, and the folders of build tools such as
    /// `node_modules` and `target`.
    #[serde(default = "yes")]
    #[schemars(title = "Respect .gitignore")]
    respect_gitignore: bool,
    /// Also read files and folders whose name begins with a dot.
    #[serde(default)]
    #[schemars(title = "Hidden files")]
    hidden: bool,
    /// Tags for every document of this step.
    #[serde(default)]
    #[schemars(title = "Tags", length(max = 32), extend("items" = {"type": "string", "format": "tag"}))]
    output_tags: Vec<String>,
}

const fn default_max_file_size() -> u64 {
    10 * 1024 * 1024
}

const fn default_max_files() -> u32 {
    100_000
}

const fn yes() -> bool {
    true
}

impl LocalDirConfig {
    /// The folder as the system knows it.
    fn root(&self) -> Result<PathBuf, TaskError> {
        let given = match (self.path.strip_prefix('~'), std::env::home_dir()) {
            (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with(['/', '\\']) => {
                home.join(rest.trim_start_matches(['/', '\\']))
            }
            _ => PathBuf::from(&self.path),
        };
        if given.is_relative() {
            // Below which folder? The window, a command and a run that goes on after a restart
            // have different ones.
            return Err(TaskError::permanent(
                "relative_folder",
                format!(
                    "The folder `{}` is not a whole path. Write it from the root or from `~` on, as in ~/notes.",
                    self.path
                ),
            ));
        }
        let root = dunce(&given).map_err(|error| folder_error(&given, &error))?;
        if !root.is_dir() {
            return Err(TaskError::permanent(
                "not_a_folder",
                format!(
                    "{} is not a folder. Name the folder that holds the files.",
                    given.display()
                ),
            ));
        }
        std::fs::read_dir(&root).map_err(|error| folder_error(&given, &error))?;
        Ok(root)
    }
}

/// The absolute path without links. Windows' `\\?\` form stays out of names that people read.
fn dunce(path: &Path) -> std::io::Result<PathBuf> {
    let path = path.canonicalize()?;
    let plain = path
        .to_str()
        .and_then(|text| text.strip_prefix(r"\\?\"))
        .filter(|text| !text.starts_with("UNC\\"));
    Ok(plain.map_or_else(|| path.clone(), PathBuf::from))
}

fn folder_error(path: &Path, error: &std::io::Error) -> TaskError {
    let path = path.display();
    match error.kind() {
        std::io::ErrorKind::NotFound => TaskError::permanent(
            "folder_not_found",
            format!(
                "The folder {path} does not exist. Check the path, and that its drive is connected."
            ),
        ),
        std::io::ErrorKind::PermissionDenied => TaskError::permanent(
            "permission_denied",
            format!("The folder {path} may not be read. Give your user the right to read it."),
        ),
        _ => TaskError::transient(
            "folder_unreadable",
            format!("The folder {path} cannot be read: {error}."),
        ),
    }
}

/// Checks `local_dir` steps and starts their walk.
pub struct LocalDirManager;

impl StepManager for LocalDirManager {
    fn step_type(&self) -> &'static str {
        "local_dir"
    }

    fn schema(&self) -> Schema {
        schema_for!(LocalDirConfig)
    }

    fn subject(&self, config: &Value) -> Option<String> {
        config["path"].as_str().map(ToOwned::to_owned)
    }

    fn first_tasks(&self, step: &StepStart) -> Result<Vec<NewTask>, TaskError> {
        let config: LocalDirConfig =
            serde_json::from_value(step.config.clone()).map_err(|error| {
                TaskError::permanent(
                    "invalid_config",
                    format!("The step's settings do not fit: {error}."),
                )
            })?;
        Ok(vec![NewTask {
            task_type: SCAN,
            name: config.path,
            key: Some("scan".to_owned()),
            payload: Value::Null,
            lane: Lane::local(),
            ..NewTask::default()
        }])
    }

    fn sweeps(&self) -> bool {
        true
    }

    fn look_after(&self, _step: &StepStart, _unseen: &[Unseen]) -> Vec<NewTask> {
        vec![gone::task()]
    }
}

/// One file, as the walk hands it to [`FileWorker`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FileTask {
    /// The folder that the walk began in.
    root: PathText,
    /// Below the root.
    path: PathText,
}

/// A path that survives JSON even where it is not text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum PathText {
    Text(String),
    /// The bytes of a Unix path that is not UTF-8.
    Bytes(Vec<u8>),
}

impl PathText {
    fn new(path: &Path) -> Option<Self> {
        if let Some(text) = path.to_str() {
            return Some(Self::Text(text.to_owned()));
        }
        #[cfg(unix)]
        return Some(Self::Bytes(
            std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()).to_vec(),
        ));
        #[cfg(not(unix))]
        None
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::Text(text) => PathBuf::from(text),
            #[cfg(unix)]
            Self::Bytes(bytes) => {
                PathBuf::from(<OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes))
            }
            #[cfg(not(unix))]
            Self::Bytes(bytes) => PathBuf::from(OsStr::new(&*String::from_utf8_lossy(bytes))),
        }
    }
}

/// A path below a folder, with `/` on every system.
fn slashed(path: &Path) -> String {
    let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

/// Walks the folder.
pub struct ScanWorker;

#[async_trait::async_trait]
impl JobWorker for ScanWorker {
    fn task_type(&self) -> &'static str {
        SCAN
    }

    async fn run(&self, job: &JobContext) -> Result<Outcome, TaskError> {
        let config: LocalDirConfig = job.config()?;
        let cancelled = job.cancelled.clone();
        let (send, mut receive) = mpsc::channel::<Vec<Found>>(2);
        let walking = tokio::task::spawn_blocking(move || {
            let root = config.root()?;
            Walk::new(root, &config)?
                .run(CHUNK, |chunk| !cancelled.is_cancelled() && send.blocking_send(chunk).is_ok())
        });
        let mut spawned = 0;
        while let Some(chunk) = receive.recv().await {
            spawned += job.spawn(chunk.into_iter().filter_map(task).collect()).await?;
        }
        let summary = walking.await.map_err(|error| {
            TaskError::permanent(
                "scan_failed",
                format!("The walk through {} broke off: {error}.", job.name),
            )
        })??;
        job.log(
            LogLevel::Info,
            format!(
                "Found {} files in {} ({spawned} not seen before in this run).",
                summary.found, job.name
            ),
        );
        if let Some(line) = summary.skipped() {
            job.log(LogLevel::Info, line);
        }
        Ok(Outcome { warnings: summary.warnings(), ..Outcome::default() })
    }
}

fn task(found: Found) -> Option<NewTask> {
    let name = slashed(&found.path);
    let payload = FileTask { root: PathText::new(&found.root)?, path: PathText::new(&found.path)? };
    Some(NewTask {
        task_type: FILE,
        key: Some(name.clone()),
        name,
        payload: serde_json::to_value(payload).ok()?,
        lane: if found.pdf {
            Lane { name: "pdf".into(), limit: 2, delay_ms: 0 }
        } else {
            Lane::local()
        },
        ..NewTask::default()
    })
}
