//! The shapes of `--json`. A contract: the tests name every key.

use std::collections::HashMap;

use quaero_contract::{DocumentHit, DocumentView, JobId, JobNode, RunView};
use serde_json::{Value, json};

/// What a run has cost. No step type spends money yet.
fn cost() -> Value {
    json!({ "currency": "USD", "amount": 0.0, "input_tokens": 0, "output_tokens": 0, "calls": 0 })
}

/// The first line of `run`.
pub(super) fn run_started(run: JobId) -> Value {
    json!({ "type": "run_started", "run_id": run })
}

/// The last line of `run`.
pub(super) fn run_finished(view: &RunView) -> Value {
    let run = &view.summary;
    json!({
        "type": "run_finished",
        "run_id": run.id,
        "status": run.status,
        "error": run.error,
        "jobs": {
            "total": run.jobs.total,
            "completed": run.jobs.completed,
            "failed": run.jobs.failed,
            "cancelled": run.jobs.cancelled,
            "skipped": run.jobs.skipped,
        },
        "documents": run.documents,
        "reports": [],
        "warnings": view.warnings,
        "duration_ms": run.duration_ms,
        "cost": cost(),
    })
}

/// `runs show`: `jobs` are all jobs of the run, parents before their children.
pub(super) fn run(view: &RunView, jobs: Vec<JobNode>, complete: bool) -> Value {
    let mut run = json!(view.summary);
    run["steps"] = json!(view.steps);
    run["variables"] =
        view.variables.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    run["definition_text"] = json!(view.definition_text);
    run["warning_texts"] = json!(view.warnings);
    run["tree"] = tree(jobs);
    run["tree_complete"] = json!(complete);
    run["plan_revisions"] = json!([]);
    run["model_calls"] = json!([]);
    run["cost"] = cost();
    run
}

/// Jobs as a list of trees: `children` holds the jobs below instead of their number.
fn tree(jobs: Vec<JobNode>) -> Value {
    let mut below: HashMap<Option<JobId>, Vec<Value>> = HashMap::new();
    let known: std::collections::HashSet<JobId> = jobs.iter().map(|job| job.id).collect();
    // A child has a higher id than its parent: from the back every job finds its children ready.
    for job in jobs.into_iter().rev() {
        let mut node = json!(job);
        let mut children = below.remove(&Some(job.id)).unwrap_or_default();
        children.reverse();
        node["children"] = Value::Array(children);
        below.entry(job.parent_id.filter(|parent| known.contains(parent))).or_default().push(node);
    }
    let mut roots = below.remove(&None).unwrap_or_default();
    roots.reverse();
    Value::Array(roots)
}

/// One document of `docs list` and `docs search`: the passage is one plain text.
pub(super) fn hit(hit: &DocumentHit) -> Value {
    let mut value = json!(hit);
    value["snippet"] = json!(hit.snippet.iter().map(|part| part.text.as_str()).collect::<String>());
    value
}

/// `docs show`.
pub(super) fn document(view: &DocumentView) -> Value {
    let start: String = view.markdown.chars().take(200).collect();
    json!({
        "id": view.id,
        "title": view.title,
        "source_type": view.source_type,
        "source_id": view.source_id,
        "url": view.url,
        "tags": view.tags,
        "score": 0.0,
        "snippet": super::output::one_line(&start),
        "run_id": view.run_id,
        "fetched": view.fetched,
        "last_synced": view.last_synced,
        "gone": view.gone,
        "markdown": view.markdown,
        "metadata": view.metadata,
    })
}
