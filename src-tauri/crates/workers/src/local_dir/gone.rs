//! What has become of files that earlier runs of the step read and this one has not seen.

use std::io::ErrorKind;

use quaero_engine::work::{JobContext, JobWorker, Lane, NewTask, Outcome, TaskError};
use serde_json::Value;

use super::LocalDirConfig;

const GONE: &str = "local_dir.gone";
/// More files are not looked for in one run.
const MOST: u32 = 100_000;

/// The task of looking for them.
pub(super) fn task() -> NewTask {
    NewTask {
        task_type: GONE,
        name: "Files that have gone".to_owned(),
        key: Some("gone".to_owned()),
        payload: Value::Null,
        lane: Lane::local(),
        ..NewTask::default()
    }
}

/// Looks whether files are still there.
pub struct GoneWorker;

#[async_trait::async_trait]
impl JobWorker for GoneWorker {
    fn task_type(&self) -> &'static str {
        GONE
    }

    async fn run(&self, job: &JobContext) -> Result<Outcome, TaskError> {
        let config: LocalDirConfig = job.config()?;
        let mut files = job.store().unseen(job.step_id, MOST).await?;
        let looked = tokio::task::spawn_blocking(move || {
            let root = config.root()?;
            files.retain(|file| {
                let path = std::path::Path::new(&file.source_id);
                // Of another folder that the step once read nothing is known; and a name that cannot
                // be shown is not the name by which the file is found.
                path.starts_with(&root)
                    && !file.source_id.contains(char::REPLACEMENT_CHARACTER)
                    && std::fs::symlink_metadata(path)
                        .is_err_and(|error| error.kind() == ErrorKind::NotFound)
            });
            Ok(files)
        });
        let gone = looked.await.map_err(|error| {
            TaskError::permanent("internal", format!("Looking for files broke off: {error}."))
        });
        let gone = gone.and_then(|looked| looked)?.into_iter().map(|file| file.id).collect();
        Ok(Outcome { gone, ..Outcome::default() })
    }
}
