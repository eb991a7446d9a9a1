//! `reindex`: builds the full-text index anew and proves it against the documents.

use quaero_contract::LogLevel;
use quaero_engine::work::{
    JobContext, JobWorker, Lane, NewTask, Outcome, StepManager, StepStart, TaskError,
};
use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;
use serde_json::Value;

const REBUILD: &str = "reindex.rebuild";

/// The settings of a `reindex` step: there are none.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Rebuild the search index")]
struct ReindexConfig {}

/// Checks `reindex` steps.
pub struct ReindexManager;

impl StepManager for ReindexManager {
    fn step_type(&self) -> &'static str {
        "reindex"
    }

    fn schema(&self) -> Schema {
        schema_for!(ReindexConfig)
    }

    fn first_tasks(&self, _step: &StepStart) -> Result<Vec<NewTask>, TaskError> {
        Ok(vec![NewTask {
            task_type: REBUILD,
            name: "Search index".to_owned(),
            key: Some("rebuild".to_owned()),
            payload: Value::Null,
            // Two at the same time would do the same work twice.
            lane: Lane { name: "index".into(), limit: 1, delay_ms: 0 },
            ..NewTask::default()
        }])
    }
}

/// Rebuilds the index.
pub struct ReindexWorker;

#[async_trait::async_trait]
impl JobWorker for ReindexWorker {
    fn task_type(&self) -> &'static str {
        REBUILD
    }

    async fn run(&self, job: &JobContext) -> Result<Outcome, TaskError> {
        let documents = job.store().rebuild_index().await?;
        job.log(
            LogLevel::Info,
            format!(
                "Rebuilt the search index over {documents} documents and proved it against them."
            ),
        );
        Ok(Outcome::default())
    }
}
