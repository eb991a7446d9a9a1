//! The commands that only read. They work beside a running window.

use std::path::PathBuf;

use quaero_app::{App, Check};
use quaero_contract::{
    ApiError, DocumentId, ErrorCode, HostRequests, JobId, JobNode, JobQuery, JobStatus, RunStatus,
    RunSummary, SearchRequest,
};
use serde_json::{Value, json};

use super::{
    Exit,
    args::Filter,
    json,
    output::{Look, Output, count, duration, one_line, short},
    reader,
};
use quaero_app::render::visible;

/// More jobs of a run than this are not printed.
const MAX_JOBS: usize = 10_000;

/// A reader, or `None` where nothing has been collected yet: an empty list, not an error.
async fn reader_if_any(data_dir: PathBuf) -> Result<Option<App>, ApiError> {
    match reader(data_dir).await {
        Ok(app) => Ok(Some(app)),
        Err(error) if error.code == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// `quaero runs list`
pub(super) async fn runs(
    data_dir: PathBuf,
    limit: u32,
    json: bool,
    output: &mut Output,
) -> Result<Exit, ApiError> {
    let runs = match reader_if_any(data_dir).await? {
        Some(app) => app.list_runs(None, limit).await?,
        None => Vec::new(),
    };
    if json {
        output.json(&runs);
    } else if runs.is_empty() {
        output
            .line("There are no runs yet. Start one: quaero run index-folder --set folder=FOLDER");
    } else {
        let mut rows =
            vec![row(["RUN", "STATUS", "STARTED", "TIME", "JOBS", "DOCUMENTS", "NAME", "OF"])];
        rows.extend(runs.iter().map(|run| {
            row([
                &run.id.to_string(),
                run.status.as_str(),
                &moment(&run.started),
                &duration(run.duration_ms),
                &format!("{}/{}", run.jobs.done(), run.jobs.total),
                &documents_of(run).to_string(),
                &run.name,
                &run.subject,
            ])
        }));
        output.table(&rows);
    }
    Ok(Exit::Done)
}

/// What a run has asked of other computers, host by host.
fn requests(requests: &[HostRequests], output: &mut Output) {
    if requests.is_empty() {
        return;
    }
    output.line("");
    let mut rows = vec![row(["STEP", "HOST", "REQUESTS", "ANSWERS", "BYTES", "MEAN", "SLOWEST"])];
    rows.extend(requests.iter().map(|host| {
        let answers: Vec<String> = host
            .answers
            .iter()
            .map(|answer| format!("{} × {}", answer.count, answer.answer))
            .collect();
        row([
            &one_line(&host.step),
            &one_line(&host.host),
            &host.count.to_string(),
            &answers.join(", "),
            &host.bytes.to_string(),
            &duration(host.average_ms),
            &duration(host.slowest_ms),
        ])
    }));
    output.table(&rows);
}

/// `quaero runs show`
pub(super) async fn run(
    data_dir: PathBuf,
    id: JobId,
    json: bool,
    output: &mut Output,
) -> Result<Exit, ApiError> {
    let app = reader(data_dir).await?;
    let view = app.get_run(id).await?;
    if json {
        let (jobs, complete) = all_jobs(&app, id).await?;
        output.json(&json::run(&view, jobs, complete));
        return Ok(Exit::Done);
    }
    let run = &view.summary;
    output.line(format_args!(
        "{} {}",
        output.paint(Look::Strong, format!("Run {id}:")),
        one_line(format!("{} {}", run.name, run.subject).trim())
    ));
    let look = look_of(run.status);
    output.line(format_args!(
        "{} · started {} · {}",
        output.paint(look, run.status.as_str()),
        moment(&run.started),
        duration(run.duration_ms)
    ));
    if let Some(error) = &run.error {
        output.line(visible(&error.message));
    }
    for (key, value) in &view.variables {
        output.line(format_args!("  {} = {}", one_line(key), short(value, 100)));
    }
    output.line("");
    let mut rows = vec![row(["STEP", "TYPE", "STATUS", "JOBS", "FAILED", "DOCUMENTS"])];
    rows.extend(view.steps.iter().map(|step| {
        let documents = step.documents.created + step.documents.updated + step.documents.unchanged;
        row([
            &step.name,
            &step.step_type,
            step.status.as_str(),
            &format!("{}/{}", step.jobs.done(), step.jobs.total),
            &step.jobs.failed.to_string(),
            &documents.to_string(),
        ])
    }));
    output.table(&rows);
    for step in view.steps.iter().filter(|step| step.status != JobStatus::Completed) {
        if let Some(error) = &step.error {
            output.line(format_args!("{}: {}", one_line(&step.name), visible(&error.message)));
        }
    }
    requests(&app.run_statistics(id).await?.requests, output);
    if run.warnings > 0 {
        output.line(format_args!(
            "\n{}",
            output.paint(Look::Warning, count(run.warnings, "warning"))
        ));
        for warning in &view.warnings {
            output.line(format_args!("  {}", one_line(warning)));
        }
    }
    if matches!(run.status, RunStatus::Interrupted | RunStatus::Paused) {
        output.line(format_args!("\nGo on with it: quaero runs resume {id}"));
    }
    Ok(Exit::Done)
}

/// `quaero runs stats`
pub(super) async fn statistics(
    data_dir: PathBuf,
    id: JobId,
    json: bool,
    output: &mut Output,
) -> Result<Exit, ApiError> {
    let found = reader(data_dir).await?.run_statistics(id).await?;
    if json {
        output.json(&found);
        return Ok(Exit::Done);
    }
    let mut rows = vec![row(["TYPE", "JOBS", "COMPLETED", "FAILED", "MEAN"])];
    rows.extend(found.types.iter().map(|of_type| {
        row([
            &of_type.task_type,
            &of_type.jobs.total.to_string(),
            &of_type.jobs.completed.to_string(),
            &of_type.jobs.failed.to_string(),
            &duration(of_type.mean_ms),
        ])
    }));
    output.table(&rows);
    if !found.failures.is_empty() {
        output.line("");
        let mut rows = vec![row(["FAILURE", "JOBS", "EXAMPLE"])];
        rows.extend(found.failures.iter().map(|failure| {
            let example = failure.example.error.as_ref().map_or("", |error| &error.message);
            let example = format!("{}: {example}", failure.example.name);
            row([&failure.code, &failure.count.to_string(), &short(&example, 120)])
        }));
        output.table(&rows);
    }
    if !found.slowest.is_empty() {
        output.line("");
        let mut rows = vec![row(["SLOWEST", "STARTED", "ENDED"])];
        rows.extend(found.slowest.iter().map(|job| {
            let at = |time: &Option<String>| time.as_deref().map(moment).unwrap_or_default();
            row([&short(&job.name, 100), &at(&job.started), &at(&job.finished)])
        }));
        output.table(&rows);
    }
    Ok(Exit::Done)
}

/// `quaero runs events`
pub(super) async fn events(
    data_dir: PathBuf,
    run: Option<JobId>,
    mut after: u64,
    limit: u32,
    output: &mut Output,
) -> Result<Exit, ApiError> {
    let app = reader(data_dir).await?;
    let mut left = limit;
    while left > 0 {
        let page = app.events_after(run, after, left.min(10_000)).await?;
        for event in &page.events {
            output.json_line(event);
        }
        left -= u32::try_from(page.events.len()).unwrap_or(left).min(left);
        match page.events.last() {
            Some(last) if page.more => after = last.seq,
            _ => break,
        }
    }
    Ok(Exit::Done)
}

/// `quaero schedule list`
pub(super) async fn schedules(
    data_dir: PathBuf,
    json: bool,
    output: &mut Output,
) -> Result<Exit, ApiError> {
    let schedules = match reader_if_any(data_dir).await? {
        Some(app) => app.schedules().await?,
        None => Vec::new(),
    };
    if json {
        output.json(&schedules);
    } else if schedules.is_empty() {
        output.line("No definition has a schedule. Give one: schedule = \"0 7 * * 1-5\"");
    } else {
        let mut rows = vec![row(["DEFINITION", "WHEN", "NEXT", "LAST", ""])];
        rows.extend(schedules.iter().map(|schedule| {
            let next = match schedule.next.first() {
                Some(next) => moment(next),
                None if schedule.enabled => "never".to_owned(),
                None => "disabled".to_owned(),
            };
            let last = schedule.last_slot.as_deref().map(moment).unwrap_or_default();
            row([&schedule.definition_id, &schedule.description, &next, &last, &schedule.note])
        }));
        output.table(&rows);
    }
    Ok(Exit::Done)
}

/// The run itself, its steps and its tasks, by id, and whether that is all of them.
async fn all_jobs(app: &App, run: JobId) -> Result<(Vec<JobNode>, bool), ApiError> {
    let mut jobs: Vec<JobNode> = Vec::new();
    let steps = JobQuery { parent: Some(run), limit: 1000, ..JobQuery::default() };
    let steps = app.list_jobs(run, steps).await?.jobs;
    jobs.extend(steps);
    let mut after = None;
    let mut complete = false;
    while !complete && jobs.len() < MAX_JOBS {
        let query = JobQuery { after, limit: 1000, ..JobQuery::default() };
        let page = app.list_jobs(run, query).await?;
        complete = !page.more;
        after = page.jobs.last().map(|job| job.id);
        jobs.extend(page.jobs);
    }
    jobs.sort_by_key(|job| job.id);
    jobs.dedup_by_key(|job| job.id);
    Ok((jobs, complete))
}

/// `quaero docs list` and `quaero docs search`
pub(super) async fn documents(
    data_dir: PathBuf,
    query: String,
    filter: Filter,
    json: bool,
    output: &mut Output,
) -> Result<Exit, ApiError> {
    let searched = !query.is_empty();
    let request = SearchRequest {
        query,
        tags: filter.tag,
        run: filter.run,
        limit: filter.limit,
        ..SearchRequest::default()
    };
    let (hits, total) = match reader_if_any(data_dir).await? {
        Some(app) => {
            let results = app.search(request).await?;
            (results.hits, results.total)
        }
        None => (Vec::new(), 0),
    };
    if json {
        output.json(&hits.iter().map(json::hit).collect::<Vec<Value>>());
        return Ok(Exit::Done);
    }
    if hits.is_empty() {
        output.line(if searched { "Nothing was found." } else { "There are no documents." });
        return Ok(Exit::Done);
    }
    let width = hits.iter().map(|hit| hit.id.to_string().len()).max().unwrap_or(0);
    for hit in &hits {
        let title = output.paint(Look::Strong, short(&hit.title, 100));
        output.line(format_args!("{:>width$}  {title}", hit.id.to_string()));
        let tags = hit.tags.iter().map(|tag| format!("  #{}", one_line(tag))).collect::<String>();
        let source = format!("{}{tags}", one_line(hit.url.as_ref().unwrap_or(&hit.source_id)));
        output.line(format_args!("{:width$}  {}", "", output.paint(Look::Faint, source)));
        if searched {
            let passage: String = hit
                .snippet
                .iter()
                .map(|part| {
                    let text = visible(&part.text).replace('\n', " ");
                    if part.hit { output.paint(Look::Warning, text) } else { text }
                })
                .collect();
            output.line(format_args!("{:width$}  {}", "", passage.trim()));
        }
    }
    let shown = u32::try_from(hits.len()).unwrap_or(u32::MAX);
    if total > shown {
        output.note(format_args!("{shown} of {}. More: --limit", count(total, "document")));
    }
    Ok(Exit::Done)
}

/// `quaero docs show`
pub(super) async fn document(
    data_dir: PathBuf,
    id: DocumentId,
    json: bool,
    output: &mut Output,
) -> Result<Exit, ApiError> {
    let view = reader(data_dir).await?.get_document(id).await?;
    if json {
        output.json(&json::document(&view));
    } else {
        output.line(visible(&view.markdown).trim_end());
    }
    Ok(Exit::Done)
}

/// `quaero doctor`
pub(super) async fn doctor(data_dir: PathBuf, json: bool, output: &mut Output) -> Exit {
    let failed = |name: &str, ok: bool, detail: String| Check { name: name.to_owned(), ok, detail };
    let checks = match reader(data_dir.clone()).await {
        Ok(app) => app.doctor().await,
        Err(error) => vec![
            failed("Quaero", true, env!("CARGO_PKG_VERSION").to_owned()),
            failed("Data folder", error.code == ErrorCode::NotFound, error.to_string()),
        ],
    };
    let all_well = checks.iter().all(|check| check.ok);
    if json {
        output.json(&json!(checks));
    } else {
        let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
        for check in &checks {
            let (mark, look) = if check.ok { ("ok   ", Look::Good) } else { ("wrong", Look::Bad) };
            let mark = output.paint(look, mark);
            output.line(format_args!("{mark}  {:width$}  {}", check.name, visible(&check.detail)));
        }
    }
    if all_well { Exit::Done } else { Exit::Failed }
}

pub(super) fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.into_iter().map(str::to_owned).collect()
}

fn documents_of(run: &RunSummary) -> u32 {
    run.documents.created + run.documents.updated + run.documents.unchanged
}

/// `2026-11-21 10:05:00Z`, from RFC 3339.
pub(super) fn moment(rfc3339: &str) -> String {
    let seconds = rfc3339.split('.').next().unwrap_or(rfc3339).trim_end_matches('Z');
    format!("{}Z", seconds.replace('T', " "))
}

pub(super) const fn look_of(status: RunStatus) -> Look {
    match status {
        RunStatus::Completed => Look::Good,
        RunStatus::Failed => Look::Bad,
        RunStatus::Running | RunStatus::Queued => Look::Strong,
        RunStatus::Paused | RunStatus::Interrupted | RunStatus::Cancelled => Look::Warning,
    }
}
