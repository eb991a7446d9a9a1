//! Runs: list, read, cancel, pause, resume, do again, forget.

use quaero_contract::{
    ApiError, EventPage, JobId, JobPage, JobQuery, LogPage, LogQuery, RerunRequest, RunStatistics,
    RunSummary, RunView,
};
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

/// Goes on with a run that was cut off or paused.
#[tauri::command]
#[specta::specta]
pub(crate) async fn resume_run(host: State<'_, Host>, id: JobId) -> Result<(), ApiError> {
    host.app().await?.resume_run(id).await
}

/// Lets nothing more of a run start until it is resumed.
#[tauri::command]
#[specta::specta]
pub(crate) async fn pause_run(host: State<'_, Host>, id: JobId) -> Result<(), ApiError> {
    host.app().await?.pause_run(id).await
}

/// Why work waits for the storage at present, if it does.
#[tauri::command]
#[specta::specta]
pub(crate) async fn storage_wait(host: State<'_, Host>) -> Result<Option<ApiError>, ApiError> {
    host.app().await?.storage_wait().await
}

/// Pauses everything, or goes on.
#[tauri::command]
#[specta::specta]
pub(crate) async fn pause_all(host: State<'_, Host>, pause: bool) -> Result<(), ApiError> {
    host.app().await?.pause_all(pause).await
}

/// Whether everything is paused.
#[tauri::command]
#[specta::specta]
pub(crate) async fn is_paused(host: State<'_, Host>) -> Result<bool, ApiError> {
    host.app().await?.is_paused().await
}

/// Does an earlier run's work again, all of it or a part.
#[tauri::command]
#[specta::specta]
pub(crate) async fn rerun(host: State<'_, Host>, request: RerunRequest) -> Result<JobId, ApiError> {
    host.app().await?.rerun(request).await
}

/// Forgets runs that have ended: all but the newest, and those that ended long ago.
#[tauri::command]
#[specta::specta]
pub(crate) async fn prune_runs(
    host: State<'_, Host>,
    keep_runs: Option<u32>,
    keep_days: Option<u32>,
) -> Result<u32, ApiError> {
    host.app().await?.prune_runs(keep_runs, keep_days).await
}

/// What stands out in a run.
#[tauri::command]
#[specta::specta]
pub(crate) async fn run_statistics(
    host: State<'_, Host>,
    id: JobId,
) -> Result<RunStatistics, ApiError> {
    host.app().await?.run_statistics(id).await
}

/// Changes of state after the one with this number, oldest first.
#[tauri::command]
#[specta::specta]
pub(crate) async fn events_after(
    host: State<'_, Host>,
    run: Option<JobId>,
    after: u32,
    limit: u32,
) -> Result<EventPage, ApiError> {
    host.app().await?.events_after(run, after.into(), limit).await
}
