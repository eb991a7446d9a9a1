//! Job definitions and templates: list, read, run, change, compare.

use quaero_contract::{
    ApiError, DefinitionSummary, DefinitionVersion, DefinitionVersionView, DefinitionView,
    DeletedDefinition, ErrorCode, ImportedDefinition, JobId, RunRequest, SaveDefinition, TextDiff,
};
use tauri::{State, WebviewWindow};
use tauri_plugin_dialog::{DialogExt, FilePath};
use tokio::sync::oneshot;

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

/// Replaces the text of a definition of the user's, unless its file was changed meanwhile.
#[tauri::command]
#[specta::specta]
pub(crate) async fn save_definition(
    host: State<'_, Host>,
    request: SaveDefinition,
) -> Result<DefinitionView, ApiError> {
    host.app().await?.save_definition(request).await
}

/// Writes a new definition of the user's.
#[tauri::command]
#[specta::specta]
pub(crate) async fn create_definition(
    host: State<'_, Host>,
    file: Option<String>,
    text: String,
) -> Result<DefinitionView, ApiError> {
    host.app().await?.create_definition(file, text).await
}

/// Copies a definition to a new one of the user's.
#[tauri::command]
#[specta::specta]
pub(crate) async fn copy_definition(
    host: State<'_, Host>,
    id: String,
    new_id: String,
) -> Result<DefinitionView, ApiError> {
    host.app().await?.copy_definition(&id, &new_id).await
}

/// Lets the schedule run a definition of the user's, or not.
#[tauri::command]
#[specta::specta]
pub(crate) async fn set_enabled(
    host: State<'_, Host>,
    id: String,
    enabled: bool,
) -> Result<DefinitionView, ApiError> {
    host.app().await?.set_enabled(&id, enabled).await
}

/// Moves a definition of the user's to the trash.
#[tauri::command]
#[specta::specta]
pub(crate) async fn delete_definition(
    host: State<'_, Host>,
    id: String,
) -> Result<DeletedDefinition, ApiError> {
    host.app().await?.delete_definition(&id).await
}

/// The deleted definitions that can come back, the newest first.
#[tauri::command]
#[specta::specta]
pub(crate) async fn deleted_definitions(
    host: State<'_, Host>,
) -> Result<Vec<DeletedDefinition>, ApiError> {
    host.app().await?.deleted_definitions().await
}

/// Puts a deleted definition back.
#[tauri::command]
#[specta::specta]
pub(crate) async fn undelete_definition(
    host: State<'_, Host>,
    entry: String,
) -> Result<DefinitionView, ApiError> {
    host.app().await?.undelete_definition(&entry).await
}

/// The texts a definition has had, the newest first.
#[tauri::command]
#[specta::specta]
pub(crate) async fn definition_history(
    host: State<'_, Host>,
    id: String,
) -> Result<Vec<DefinitionVersion>, ApiError> {
    host.app().await?.definition_history(&id).await
}

/// A text that a definition has had.
#[tauri::command]
#[specta::specta]
pub(crate) async fn definition_version(
    host: State<'_, Host>,
    id: String,
    version: u32,
) -> Result<DefinitionVersionView, ApiError> {
    host.app().await?.definition_version(&id, version).await
}

/// How one version of a definition became another; without `to`, its present text.
#[tauri::command]
#[specta::specta]
pub(crate) async fn diff_versions(
    host: State<'_, Host>,
    id: String,
    from: u32,
    to: Option<u32>,
) -> Result<TextDiff, ApiError> {
    host.app().await?.diff_versions(&id, from, to).await
}

/// How the definition of one run differs from that of another.
#[tauri::command]
#[specta::specta]
pub(crate) async fn diff_runs(
    host: State<'_, Host>,
    from: JobId,
    to: JobId,
) -> Result<TextDiff, ApiError> {
    host.app().await?.diff_runs(from, to).await
}

/// Puts a version back as the definition's text.
#[tauri::command]
#[specta::specta]
pub(crate) async fn restore_version(
    host: State<'_, Host>,
    id: String,
    version: u32,
) -> Result<DefinitionView, ApiError> {
    host.app().await?.restore_version(&id, version).await
}

/// All job templates, the user's first.
#[tauri::command]
#[specta::specta]
pub(crate) async fn list_templates(
    host: State<'_, Host>,
) -> Result<Vec<DefinitionSummary>, ApiError> {
    host.app().await?.list_templates().await
}

/// One job template with its text and everything wrong with it.
#[tauri::command]
#[specta::specta]
pub(crate) async fn get_template(
    host: State<'_, Host>,
    id: String,
) -> Result<DefinitionView, ApiError> {
    host.app().await?.get_template(&id).await
}

/// Asks for a file and takes the definition in it, disabled; nothing if the user changes their mind.
/// The window never names a path.
#[tauri::command]
#[specta::specta]
pub(crate) async fn import_definition(
    window: WebviewWindow,
    host: State<'_, Host>,
    new_id: Option<String>,
) -> Result<Option<ImportedDefinition>, ApiError> {
    let (answer, chosen) = oneshot::channel();
    window
        .dialog()
        .file()
        .set_title("Import a definition")
        .add_filter("Definitions", &["toml", "json"])
        .set_parent(&window)
        .pick_file(move |file| {
            // The window may have been closed meanwhile; then nobody waits for the answer.
            let _ = answer.send(file);
        });
    let Some(file) = chosen.await.ok().flatten() else { return Ok(None) };
    let path = path_of(file)?;
    host.app().await?.import_definition_file(path, new_id).await.map(Some)
}

/// Asks where to write a definition's text, and returns the file; nothing if the user changes their
/// mind. The desktop's dialog has asked about a file that is there already.
#[tauri::command]
#[specta::specta]
pub(crate) async fn export_definition(
    window: WebviewWindow,
    host: State<'_, Host>,
    id: String,
) -> Result<Option<String>, ApiError> {
    let view = host.app().await?.get_definition(&id).await?;
    let name = std::path::Path::new(&view.summary.file).file_name().unwrap_or_default();
    let (answer, chosen) = oneshot::channel();
    window
        .dialog()
        .file()
        .set_title("Export the definition")
        .set_file_name(name.to_string_lossy())
        .set_parent(&window)
        .save_file(move |file| {
            // The window may have been closed meanwhile; then nobody waits for the answer.
            let _ = answer.send(file);
        });
    let Some(file) = chosen.await.ok().flatten() else { return Ok(None) };
    let path = path_of(file)?;
    let written = host.app().await?.export_definition(&id, path, true).await?;
    Ok(Some(written.to_string_lossy().into_owned()))
}

fn path_of(file: FilePath) -> Result<std::path::PathBuf, ApiError> {
    file.into_path().map_err(|error| {
        ApiError::new(ErrorCode::Invalid, format!("This file cannot be used: {error}."))
            .with_hint("Choose a file on this computer.")
    })
}
