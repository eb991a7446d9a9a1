//! Job definitions: list, read, run.

use quaero_contract::{ApiError, DefinitionSummary, DefinitionView, JobId, RunRequest};
use tauri::State;

use crate::host::Host;

/// All definitions, shipped ones first, each group by name.
#[tauri::command]
#[specta::specta]
pub(crate) async fn list_definitions(
    host: State<'_, Host>,
) -> Result<Vec<DefinitionSummary>, ApiError> {
    host.app().await?.list_definitions().await
}

/// One definition with its text and everything wrong with it.
#[tauri::command]
#[specta::specta]
pub(crate) async fn get_definition(
    host: State<'_, Host>,
    id: String,
) -> Result<DefinitionView, ApiError> {
    host.app().await?.get_definition(&id).await
}

/// Starts a run and returns its id. The same request id twice starts one run.
#[tauri::command]
#[specta::specta]
pub(crate) async fn run_definition(
    host: State<'_, Host>,
    request: RunRequest,
) -> Result<JobId, ApiError> {
    host.app().await?.run_definition(request).await
}
