//! Runs: list, read, cancel, resume.

use quaero_contract::{ApiError, JobId, JobPage, JobQuery, LogPage, LogQuery, RunSummary, RunView};
use tauri::State;

use crate::host::Host;

/// Runs, newest first, from the one before `before` on.
#[tauri::command]
#[specta::specta]
pub(crate) async fn list_runs(
    host: State<'_, Host>,
    before: Option<JobId>,
    limit: u32,
) -> Result<Vec<RunSummary>, ApiError> {
    host.app().await?.list_runs(before, limit).await
}

/// One run with its steps.
#[tauri::command]
#[specta::specta]
pub(crate) async fn get_run(host: State<'_, Host>, id: JobId) -> Result<RunView, ApiError> {
    host.app().await?.get_run(id).await
}

/// A page of a run's jobs.
#[tauri::command]
#[specta::specta]
pub(crate) async fn list_jobs(
    host: State<'_, Host>,
    run: JobId,
    query: JobQuery,
) -> Result<JobPage, ApiError> {
    host.app().await?.list_jobs(run, query).await
}

/// Lines of a run's log.
#[tauri::command]
#[specta::specta]
pub(crate) async fn read_log(host: State<'_, Host>, query: LogQuery) -> Result<LogPage, ApiError> {
    host.app().await?.read_log(query).await
}

/// Stops a run and everything below it.
#[tauri::command]
#[specta::specta]
pub(crate) async fn cancel_run(host: State<'_, Host>, id: JobId) -> Result<(), ApiError> {
    host.app().await?.cancel_run(id).await
}

/// Goes on with a run that was cut off.
#[tauri::command]
#[specta::specta]
pub(crate) async fn resume_run(host: State<'_, Host>, id: JobId) -> Result<(), ApiError> {
    host.app().await?.resume_run(id).await
}
