//! `transform`: makes the Markdown of documents again, from the bytes they were made from, with
//! other options. Useful for whole pages instead of the main content, or text without links.

use quaero_contract::{DocumentId, LogLevel};
use quaero_engine::work::{
    JobContext, JobWorker, Lane, NewTask, Outcome, StepManager, StepStart, TaskError,
};
use quaero_store::{DocumentFilter, NewDocument};
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use crate::{
    extract::{self, ExtractError, PageMode, PageOptions},
    parsing,
};

const SELECT: &str = "transform.select";
const DOCUMENT: &str = "transform.document";
/// Documents handed over at once.
const CHUNK: u32 = 500;

/// Which documents are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Scope {
    /// Those that this run has written or seen.
    #[default]
    Run,
    /// All that are stored.
    All,
}

/// How much of a page is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Mode {
    /// The main content, without navigation and the like.
    #[default]
    Main,
    /// Everything.
    Full,
}

/// The settings of a `transform` step.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Convert pages again")]
struct TransformConfig {
    /// Only documents with all of these tags.
    #[serde(default)]
    #[schemars(title = "Filter tags", length(max = 32), extend("items" = {"type": "string", "format": "tag"}))]
    filter_tags: Vec<String>,
    /// Only documents from these sources. Empty: all.
    #[serde(default)]
    #[schemars(title = "Sources", length(max = 8))]
    source_types: Vec<SourceType>,
    /// The documents of this run, or all that are stored.
    #[serde(default)]
    #[schemars(title = "Documents")]
    scope: Scope,
    /// The main content of a page, or everything on it.
    #[serde(default)]
    #[schemars(title = "Content")]
    mode: Mode,
    /// Keep links; otherwise only their text stays.
    #[serde(default = "yes")]
    #[schemars(title = "Keep links")]
    keep_links: bool,
    /// Keep images as links with their description. They are never loaded.
    #[serde(default = "yes")]
    #[schemars(title = "Keep images")]
    keep_images: bool,
    /// Tags for every document that is converted, beside those it has.
    #[serde(default)]
    #[schemars(title = "Tags", length(max = 32), extend("items" = {"type": "string", "format": "tag"}))]
    output_tags: Vec<String>,
}

/// Where documents come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum SourceType {
    /// Pages of web sites.
    Web,
    /// Files of this computer.
    File,
}

impl SourceType {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::File => "file",
        }
    }
}

const fn yes() -> bool {
    true
}

/// Checks `transform` steps and starts their selection.
pub struct TransformManager;

impl StepManager for TransformManager {
    fn step_type(&self) -> &'static str {
        "transform"
    }

    fn schema(&self) -> Schema {
        schema_for!(TransformConfig)
    }

    fn first_tasks(&self, _step: &StepStart) -> Result<Vec<NewTask>, TaskError> {
        Ok(vec![NewTask {
            task_type: SELECT,
            name: "Choose documents".to_owned(),
            key: Some("select".to_owned()),
            payload: Value::Null,
            lane: Lane::local(),
            ..NewTask::default()
        }])
    }
}

#[derive(Serialize, Deserialize)]
struct DocumentTask {
    id: DocumentId,
}

/// Finds the documents to convert.
pub struct SelectWorker;

#[async_trait::async_trait]
impl JobWorker for SelectWorker {
    fn task_type(&self) -> &'static str {
        SELECT
    }

    async fn run(&self, job: &JobContext) -> Result<Outcome, TaskError> {
        let config: TransformConfig = job.config()?;
        let filter = DocumentFilter {
            tags: config.filter_tags,
            source_types: config
                .source_types
                .into_iter()
                .map(|kind| kind.as_str().to_owned())
                .collect(),
            run: (config.scope == Scope::Run).then_some(job.run_id),
        };
        let mut after = None;
        let mut found = 0_usize;
        loop {
            let ids = job.store().document_ids(&filter, after, CHUNK).await?;
            let Some(last) = ids.last().copied() else { break };
            found += ids.len();
            job.spawn(ids.into_iter().map(task).collect()).await?;
            after = Some(last);
        }
        job.log(LogLevel::Info, format!("Chose {found} documents."));
        Ok(Outcome::default())
    }
}

fn task(id: DocumentId) -> NewTask {
    NewTask {
        task_type: DOCUMENT,
        name: format!("Document {id}"),
        key: Some(id.to_string()),
        payload: json!(DocumentTask { id }),
        lane: Lane::local(),
        ..NewTask::default()
    }
}

/// Converts one document.
pub struct DocumentWorker;

#[async_trait::async_trait]
impl JobWorker for DocumentWorker {
    fn task_type(&self) -> &'static str {
        DOCUMENT
    }

    async fn run(&self, job: &JobContext) -> Result<Outcome, TaskError> {
        let config: TransformConfig = job.config()?;
        let DocumentTask { id } = job.payload()?;
        let Some(document) = job.store().document_with_original(id).await? else {
            job.log(LogLevel::Debug, format!("Document {id} has been removed."));
            return Ok(Outcome::default());
        };
        let source = document.source_id.clone();
        // Its source has not been asked, so it is handed in as it was read.
        let as_it_is = NewDocument { original: None, ..document.clone() };
        let converted = parsing::run(document.bytes(), move || convert(document, &config))
            .await
            .map_err(|error| {
                TaskError::permanent("internal", format!("Converting {source} broke off: {error}."))
            })?
            .map_err(|error| TaskError::permanent(error.code(), format!("{source}: {error}.")))?;
        match converted {
            Some(document) => Ok(Outcome { documents: vec![document], ..Outcome::default() }),
            None => {
                job.log(
                    LogLevel::Debug,
                    format!("{source} is not an HTML page and stays as it is."),
                );
                Ok(Outcome { documents: vec![as_it_is], ..Outcome::default() })
            }
        }
    }
}

/// The document with new Markdown; None if it was not made from HTML.
fn convert(
    mut document: NewDocument,
    config: &TransformConfig,
) -> Result<Option<NewDocument>, ExtractError> {
    let Some(original) = document.original.as_deref() else { return Ok(None) };
    let content_type = document.metadata.get("content_type").and_then(Value::as_str);
    let (html, _) = quaero_net::decode(original, content_type);
    if !extract::looks_like_html(&html) {
        return Ok(None);
    }
    let address = document.url.as_deref().and_then(|url| Url::parse(url).ok());
    let Some(url) = address.or_else(|| Url::from_file_path(&document.source_id).ok()) else {
        return Ok(None);
    };
    let options = PageOptions {
        mode: match config.mode {
            Mode::Main => PageMode::Main,
            Mode::Full => PageMode::Full,
        },
        keep_links: config.keep_links,
        keep_images: config.keep_images,
    };
    let page = extract::page_with(&html, &url, &options)?;
    if !page.title.is_empty() {
        document.title = page.title;
    }
    document.markdown = page.markdown;
    document.metadata.extend(page.metadata);
    document.tags.extend(config.output_tags.iter().cloned());
    Ok(Some(document))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(original: &str) -> NewDocument {
        NewDocument {
            source_type: "web".to_owned(),
            source_id: "https://example.org/a/".to_owned(),
            url: Some("https://example.org/a/".to_owned()),
            title: "Old".to_owned(),
            tags: vec!["kept".to_owned()],
            original: Some(original.as_bytes().to_vec()),
            source_hash: "hash".to_owned(),
            ..NewDocument::default()
        }
    }

    fn config(json: Value) -> TransformConfig {
        serde_json::from_value(json).expect("the test's settings fit")
    }

    const PAGE: &str = "<html><head><title>New</title></head><body><nav><a href=/home>Home</a></nav><main><h1>New</h1>\
        <p>The <a href=b>main</a> content is long enough to be found by anyone who looks for the main content of \
        this page, which has a second sentence, too, and a third one that ends here.</p></main></body></html>";

    #[test]
    fn a_whole_page_holds_what_the_main_content_leaves_out() {
        let main = convert(stored(PAGE), &config(json!({}))).expect("converts").expect("is HTML");
        assert!(!main.markdown.contains("Home"), "{}", main.markdown);
        let full = convert(stored(PAGE), &config(json!({"mode": "full"})))
            .expect("converts")
            .expect("is HTML");
        assert!(full.markdown.contains("[Home](https://example.org/home)"), "{}", full.markdown);
    }

    #[test]
    fn options_and_tags_are_applied_and_the_source_stays() {
        let document =
            convert(stored(PAGE), &config(json!({"keep_links": false, "output_tags": ["plain"]})))
                .expect("converts")
                .expect("is HTML");
        assert!(document.markdown.contains("The main content"), "{}", document.markdown);
        assert_eq!(document.title, "New");
        assert_eq!(document.tags, ["kept", "plain"]);
        assert_eq!(
            (document.source_id.as_str(), document.source_hash.as_str()),
            ("https://example.org/a/", "hash")
        );
        assert!(document.original.is_some(), "the original must stay for the next time");
    }

    #[test]
    fn what_is_not_html_stays_as_it_is() {
        for original in ["", "plain text", "%PDF-1.7 <html>", "\0\0<html>"] {
            let converted = convert(stored(original), &config(json!({}))).expect("no error");
            assert!(converted.is_none(), "{original:?}");
        }
    }
}
