//! What the store promises: the folder is safe, the schema refuses what must not be, documents are
//! written once, and search finds them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod crash;
mod definitions;
mod documents;
mod folder;
mod hostile;
mod outside;
mod schedules;
mod schema;
mod search;

use quaero_contract::JobId;
use quaero_store::{
    Access, Claimed, LaneState, NewDocument, NewRun, NewStep, Place, PreparedDocument, Result,
    Store, TaskRow, Tx,
};
use serde_json::json;
use tempfile::TempDir;

async fn open(folder: &TempDir) -> Store {
    Store::open(folder.path(), Access::Write, 1_000).await.unwrap()
}

fn new_run(request_id: &str) -> NewRun {
    NewRun {
        request_id: request_id.to_owned(),
        definition_id: "test".to_owned(),
        name: "Test".to_owned(),
        definition_text: "id = \"test\"".to_owned(),
        variables: vec![("folder".to_owned(), "x".to_owned())],
        steps: vec![NewStep {
            name: "only".to_owned(),
            step_type: "test".to_owned(),
            config: json!({}),
            ..NewStep::default()
        }],
        ..NewRun::default()
    }
}

fn row(key: &str) -> TaskRow {
    TaskRow {
        task_type: "test".to_owned(),
        name: key.to_owned(),
        key: Some(key.to_owned()),
        payload: json!({"key": key}),
        lane: "local".to_owned(),
        lane_limit: 8,
        lane_delay_ms: 0,
        priority: 0,
    }
}

/// A run with one open step that has these tasks.
fn start_run(tx: &mut Tx, request_id: &str, keys: &[&str]) -> Result<Place> {
    let (run, _) = tx.create_run(&new_run(request_id), 1_000)?;
    let step = tx.run_state(run)?.unwrap().steps[0].id;
    tx.open_step(step, 1_000)?;
    let place = Place { run, step, parent: step, depth: 0 };
    let rows: Vec<TaskRow> = keys.iter().map(|key| row(key)).collect();
    tx.insert_tasks(place, &rows, None, 1_000)?;
    Ok(place)
}

async fn started(store: &Store, keys: &'static [&'static str]) -> Place {
    let request = format!("request {}", store.list_runs(None, 1_000).await.unwrap().len());
    store.write(move |tx| start_run(tx, &request, keys)).await.unwrap()
}

fn claim(tx: &mut Tx, run: JobId, limit: u32) -> Result<Vec<Claimed>> {
    let state = LaneState { delayed: true, ..LaneState::default() };
    tx.claim(run, "local", state, &Vec::new(), limit, 2_000)
}

fn document(source_id: &str, title: &str, markdown: &str) -> PreparedDocument {
    let document = NewDocument {
        source_type: "web".to_owned(),
        source_id: source_id.to_owned(),
        url: Some(source_id.to_owned()),
        title: title.to_owned(),
        markdown: markdown.to_owned(),
        tags: vec![" Mixed Case ".to_owned()],
        source_hash: "hash".to_owned(),
        original: Some(b"<html>original</html>".to_vec()),
        fetched_ms: 86_400_000,
        ..NewDocument::default()
    };
    PreparedDocument::new(document, &["Job".to_owned()])
}

async fn assert_consistent(store: &Store) {
    assert_eq!(store.inconsistencies().await.unwrap(), Vec::<String>::new());
}
