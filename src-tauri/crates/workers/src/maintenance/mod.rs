//! `database_maintenance`: looks after the database while other runs work. Each operation is a task of
//! its own with its own end, and one runs at a time, in the order of the list.

use quaero_contract::LogLevel;
use quaero_engine::work::{
    ConfigProblem, JobContext, JobWorker, Lane, NewTask, Outcome, StepManager, StepStart, TaskError,
};
use quaero_store::{Backup, Keep, Shrunk, StoreError};
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const TASK_TYPE: &str = "database_maintenance.operation";
/// Of what an integrity check finds, so much is told with the run.
const MOST_TOLD: usize = 50;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Operation {
    /// Copies the database into the folder `backups`, and checks the copy.
    Backup,
    /// Checks the database, every document, the states of all jobs and the search index.
    IntegrityCheck,
    /// Merges the parts of the search index.
    OptimizeSearch,
    /// Counts what queries are planned by.
    Analyze,
    /// Forgets old runs; documents stay.
    Prune,
    /// Gives the room of deleted content back to the disk. Other work waits meanwhile.
    Vacuum,
    /// Folds the write-ahead log into the database.
    Checkpoint,
}

impl Operation {
    /// What people call it.
    const fn name(self) -> &'static str {
        match self {
            Self::Backup => "Back up the database",
            Self::IntegrityCheck => "Check the database",
            Self::OptimizeSearch => "Optimise the search index",
            Self::Analyze => "Gather statistics",
            Self::Prune => "Forget old runs",
            Self::Vacuum => "Shrink the database",
            Self::Checkpoint => "Fold in the write-ahead log",
        }
    }
}

/// Looks after the database.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Look after the database")]
struct MaintenanceConfig {
    /// What is done, one after the other. Without a list everything but `prune` and `vacuum`.
    #[serde(default = "operations")]
    #[schemars(title = "Operations", length(min = 1, max = 7))]
    operations: Vec<Operation>,
    /// So many copies are kept, the newest ones.
    #[serde(default = "keep_backups")]
    #[schemars(title = "Copies kept", range(min = 1, max = 1000))]
    keep_backups: u32,
    /// So many runs are kept by `prune`, the newest ones and those that have not ended.
    #[serde(default)]
    #[schemars(title = "Runs kept", range(min = 1, max = 1_000_000))]
    keep_runs: Option<u32>,
}

fn operations() -> Vec<Operation> {
    use Operation as O;
    vec![O::Backup, O::IntegrityCheck, O::OptimizeSearch, O::Analyze, O::Checkpoint]
}

const fn keep_backups() -> u32 {
    5
}

/// Checks `database_maintenance` steps.
pub struct MaintenanceManager;

impl StepManager for MaintenanceManager {
    fn step_type(&self) -> &'static str {
        "database_maintenance"
    }

    fn schema(&self) -> Schema {
        schema_for!(MaintenanceConfig)
    }

    fn check(&self, config: &Value) -> Vec<ConfigProblem> {
        let Ok(config) = serde_json::from_value::<MaintenanceConfig>(config.clone()) else {
            return Vec::new();
        };
        let prunes = config.operations.contains(&Operation::Prune);
        let (pointer, code, message, fix) = match (prunes, config.keep_runs) {
            (true, None) => {
                let message = "`prune` has to know how many runs are kept.";
                ("/operations", "required", message, "Set `keep_runs`.")
            }
            (false, Some(_)) => {
                let message = "Nothing is forgotten without the operation `prune`.";
                ("/keep_runs", "conflict", message, "Add `prune` to `operations`.")
            }
            _ => return Vec::new(),
        };
        vec![ConfigProblem {
            pointer: pointer.to_owned(),
            code,
            message: message.to_owned(),
            fix: Some(fix.to_owned()),
        }]
    }

    fn first_tasks(&self, step: &StepStart) -> Result<Vec<NewTask>, TaskError> {
        let config = serde_json::from_value::<MaintenanceConfig>(step.config.clone());
        let config = config.map_err(|error| {
            let message = format!("The step's settings do not fit: {error}.");
            TaskError::permanent("invalid_config", message)
        })?;
        let task = |(priority, operation): (i32, &Operation)| NewTask {
            task_type: TASK_TYPE,
            name: operation.name().to_owned(),
            // The same twice does the same work in vain.
            key: Some(operation.name().to_owned()),
            payload: json!(operation),
            lane: Lane { name: "maintenance".into(), limit: 1, delay_ms: 0 },
            priority,
        };
        Ok((0..).map(|place: i32| -place).zip(&config.operations).map(task).collect())
    }
}

/// Does the operations of `database_maintenance` steps.
pub struct MaintenanceWorker;

#[async_trait::async_trait]
impl JobWorker for MaintenanceWorker {
    fn task_type(&self) -> &'static str {
        TASK_TYPE
    }

    async fn run(&self, job: &JobContext) -> Result<Outcome, TaskError> {
        let (config, store) = (job.config::<MaintenanceConfig>()?, job.store());
        let mut warnings = Vec::new();
        let done = match job.payload::<Operation>()? {
            Operation::Backup => {
                let keep = usize::try_from(config.keep_backups).unwrap_or(usize::MAX);
                let Backup { path, bytes, removed } =
                    store.back_up(keep, job.now_ms()).await.map_err(final_error)?;
                format!(
                    "Copied the database to {} ({}) and checked the copy; {removed} older copies were removed.",
                    path.display(),
                    size(bytes)
                )
            }
            Operation::IntegrityCheck => {
                let found = store.check_integrity().await?;
                if !found.is_empty() {
                    for line in found.iter().take(MOST_TOLD) {
                        job.log(LogLevel::Error, line.clone());
                    }
                    let message = format!(
                        "The database contradicts itself in {} places, for one: {}. Restore a copy from the folder `backups`, or rebuild the search index with a `reindex` step if only that is wrong.",
                        found.len(),
                        found[0]
                    );
                    return Err(TaskError::permanent("damaged", message));
                }
                "The database, the documents, the states of all jobs and the search index are as they should be."
                    .to_owned()
            }
            Operation::OptimizeSearch => {
                store.optimize_index().await?;
                "Merged the parts of the search index.".to_owned()
            }
            Operation::Analyze => {
                store.analyze().await?;
                "Gathered what queries are planned by.".to_owned()
            }
            Operation::Prune => {
                let keep = Keep { runs: config.keep_runs, ended_after_ms: None };
                let mut count = 0;
                loop {
                    let forgotten = store.write(move |tx| tx.prune_runs(keep)).await?;
                    if forgotten.is_empty() {
                        break;
                    }
                    count += forgotten.len();
                    store.logs().forget(&forgotten).await?;
                }
                format!("Forgot {count} runs. Their documents stay.")
            }
            Operation::Vacuum => {
                let Shrunk { before, after } = store.vacuum().await.map_err(final_error)?;
                format!("The database had {} and has {}.", size(before), size(after))
            }
            Operation::Checkpoint => {
                if store.checkpoint().await? {
                    "Folded the write-ahead log into the database.".to_owned()
                } else {
                    let message =
                        "Part of the write-ahead log was being read and is folded in later.";
                    warnings.push(message.to_owned());
                    message.to_owned()
                }
            }
        };
        job.log(LogLevel::Info, done);
        Ok(Outcome { warnings, ..Outcome::default() })
    }
}

/// Waiting for a better disk would keep a step going that nobody looks after; what is left out can be
/// done again.
fn final_error(error: StoreError) -> TaskError {
    match error {
        StoreError::Full => TaskError::permanent(
            "disk_full",
            "There is not enough room on the disk that holds the data folder. Nothing was changed.",
        ),
        StoreError::Io { .. } | StoreError::Database { .. } => {
            TaskError::permanent("storage", error.to_string())
        }
        error => error.into(),
    }
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} KB", bytes / 1_000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}
