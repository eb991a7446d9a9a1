//! `type = "word_count"`: counts the words of documents and saves the counts as a document.

use async_trait::async_trait;
use quaero_engine::work::*;
use quaero_store::{DocumentFilter, NewDocument};

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Only documents with all of these tags are counted.
    #[serde(default)]
    #[schemars(title = "Tags")]
    filter_tags: Vec<String>,
}

pub(super) struct WordCount;

impl StepManager for WordCount {
    fn step_type(&self) -> &'static str {
        "word_count"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Config)
    }

    fn first_tasks(&self, step: &StepStart) -> Result<Vec<NewTask>, TaskError> {
        let name = step.name.clone();
        Ok(vec![NewTask { task_type: "word_count", name, ..NewTask::default() }])
    }
}

#[async_trait]
impl JobWorker for WordCount {
    fn task_type(&self) -> &'static str {
        "word_count"
    }

    async fn run(&self, job: &JobContext) -> Result<Outcome, TaskError> {
        let tags = job.config::<Config>()?.filter_tags;
        let filter = DocumentFilter { tags, ..DocumentFilter::default() };
        let mut markdown = "| document | words |\n|---|--:|\n".to_owned();
        for id in job.store().document_ids(&filter, None, 1000).await? {
            if let Some(document) = job.store().document_with_original(id).await? {
                let words = document.markdown.split_whitespace().count();
                markdown += &format!("| {} | {words} |\n", document.title);
            }
        }
        let report = NewDocument {
            source_type: "report".to_owned(),
            source_id: format!("word_count/{}", job.step_id),
            title: "Word counts".to_owned(),
            markdown,
            fetched_ms: job.now_ms(),
            ..NewDocument::default()
        };
        Ok(Outcome { documents: vec![report], ..Outcome::default() })
    }
}
