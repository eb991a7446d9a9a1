//! Everything that the store knows of a run, as text that a person can read and that is the same each
//! time: no ids, and times as offsets from the start of the story.
//!
//! A line is a job, its state, what there is to say of it, and behind `|` what happened to it.

use std::collections::BTreeMap;

use futures::future::{BoxFuture, FutureExt};
use quaero_contract::{DocumentCounts, JobCounts, JobError, JobId, JobNode, JobQuery};
use quaero_store::Store;

/// When each story starts, in milliseconds since 1970.
pub const START_MS: i64 = 1_700_000_000_000;

/// Draws a run and the runs below it.
pub async fn draw(store: &Store, run: JobId) -> String {
    let mut lines = Vec::new();
    draw_run(store, run, 0, &mut lines).await;
    lines.push(String::new());
    lines.join("\n")
}

fn draw_run<'a>(
    store: &'a Store,
    run: JobId,
    indent: usize,
    lines: &'a mut Vec<String>,
) -> BoxFuture<'a, ()> {
    async move {
        let live = store.live_epoch().await.unwrap();
        let view = store.get_run(run, live, START_MS).await.unwrap().unwrap();
        let query = JobQuery { limit: 1_000, ..JobQuery::default() };
        let tasks = store.list_jobs(run, &query).await.unwrap().jobs;
        let events = events(store, run).await;
        let happened = |job: JobId| events.get(&job).cloned().unwrap_or_default();

        let summary = &view.summary;
        let mut head = format!("run {}: {}", summary.name, summary.status.as_str());
        if summary.rerun_of.is_some() {
            head.push_str(", again");
        }
        head.push_str(&said(summary.error.as_ref()));
        lines.push(line(indent, &head, &happened(run)));
        lines.push(line(indent + 1, &counted(&summary.jobs, &summary.documents), ""));
        for warning in &view.warnings {
            lines.push(line(indent + 1, &format!("! {warning}"), ""));
        }
        for step in &view.steps {
            let mut head = format!("step {}: {}", step.name, step.status);
            if step.attempt > 1 {
                head.push_str(&format!(", attempt {} of {}", step.attempt, step.max_attempts));
            }
            if step.reused_from.is_some() {
                head.push_str(", with earlier results");
            }
            head.push_str(&said(step.error.as_ref()));
            lines.push(line(indent + 1, &head, &happened(step.id)));
            if step.jobs.total > 0 || step.documents != DocumentCounts::default() {
                lines.push(line(indent + 2, &counted(&step.jobs, &step.documents), ""));
            }
            draw_tasks(&tasks, step.id, indent + 2, &happened, lines);
            for below in &step.runs {
                draw_run(store, *below, indent + 2, lines).await;
            }
        }
    }
    .boxed()
}

fn draw_tasks(
    tasks: &[JobNode],
    parent: JobId,
    indent: usize,
    happened: &impl Fn(JobId) -> String,
    lines: &mut Vec<String>,
) {
    for task in tasks.iter().filter(|task| task.parent_id == Some(parent)) {
        let mut head = format!("{}: {}", task.name, task.status);
        if task.attempt > 1 {
            head.push_str(&format!(", attempt {}", task.attempt));
        }
        head.push_str(&said(task.error.as_ref()));
        lines.push(line(indent, &head, &happened(task.id)));
        draw_tasks(tasks, task.id, indent + 1, happened, lines);
    }
}

fn line(indent: usize, head: &str, happened: &str) -> String {
    let head = format!("{}{head}", "  ".repeat(indent));
    if happened.is_empty() { head } else { format!("{head:<64} | {happened}") }
}

fn said(error: Option<&JobError>) -> String {
    error.map_or_else(String::new, |error| format!(" ({}: {})", error.code, error.message))
}

fn counted(jobs: &JobCounts, documents: &DocumentCounts) -> String {
    let states = [
        (jobs.pending, "pending"),
        (jobs.running, "running"),
        (jobs.waiting, "waiting"),
        (jobs.completed, "completed"),
        (jobs.failed, "failed"),
        (jobs.cancelled, "cancelled"),
        (jobs.skipped, "skipped"),
    ];
    let outcomes = [
        (documents.created, "created"),
        (documents.updated, "updated"),
        (documents.unchanged, "unchanged"),
    ];
    let list = |numbers: &[(u32, &str)]| {
        let some = numbers.iter().filter(|(count, _)| *count > 0);
        some.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
    };
    let (states, outcomes) = (list(&states), list(&outcomes));
    let documents = if outcomes.is_empty() { "none".to_owned() } else { outcomes };
    match jobs.total {
        0 => format!("= no tasks; documents: {documents}"),
        1 => format!("= 1 task: {states}; documents: {documents}"),
        total => format!("= {total} tasks: {states}; documents: {documents}"),
    }
}

/// What happened to each job of a run: `from→to`, and after how many seconds.
async fn events(store: &Store, run: JobId) -> BTreeMap<JobId, String> {
    let page = store.events_after(Some(run), 0, 10_000).await.unwrap();
    assert!(!page.more, "a story has few events");
    let mut jobs: BTreeMap<JobId, String> = BTreeMap::new();
    for event in page.events {
        let at: jiff::Timestamp = event.at.parse().unwrap();
        let after_ms = at.as_millisecond() - START_MS;
        let text = jobs.entry(event.job_id).or_default();
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&format!("{}→{}", event.from, event.to));
        if after_ms != 0 {
            text.push_str(&format!(" +{after_ms} ms"));
        }
    }
    jobs
}
