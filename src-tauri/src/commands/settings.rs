//! Settings, facts about the program, and the window itself.

use quaero_contract::{ApiError, AppInfo, ErrorCode, Settings};
use tauri::{AppHandle, State, WebviewWindow};
use tauri_plugin_dialog::DialogExt;
use tauri_plugin_opener::OpenerExt;
use tokio::sync::oneshot;

use crate::host::{self, Host};

/// What the user has set.
#[tauri::command]
#[specta::specta]
pub(crate) async fn get_settings(host: State<'_, Host>) -> Result<Settings, ApiError> {
    host.app().await?.settings().await
}

/// Replaces what the user has set.
#[tauri::command]
#[specta::specta]
pub(crate) async fn set_settings(
    host: State<'_, Host>,
    settings: Settings,
) -> Result<(), ApiError> {
    host.app().await?.set_settings(settings).await
}

/// Facts about the program.
#[tauri::command]
#[specta::specta]
pub(crate) async fn app_info(host: State<'_, Host>) -> Result<AppInfo, ApiError> {
    host.app().await?.info().await
}

/// Why the data folder could not be opened; nothing if it could. Waits until that is known. With an
/// error, every other command fails with the same one.
#[tauri::command]
#[specta::specta]
pub(crate) async fn startup_error(host: State<'_, Host>) -> Result<Option<ApiError>, ApiError> {
    Ok(host.app().await.err())
}

/// Asks for a folder; nothing if the user changes their mind.
#[tauri::command]
#[specta::specta]
pub(crate) async fn choose_folder(window: WebviewWindow) -> Result<Option<String>, ApiError> {
    let (answer, chosen) = oneshot::channel();
    window.dialog().file().set_title("Choose a folder").set_parent(&window).pick_folder(
        move |folder| {
            // The window may have been closed meanwhile; then nobody waits for the answer.
            let _ = answer.send(folder);
        },
    );
    let Some(folder) = chosen.await.ok().flatten() else { return Ok(None) };
    let path = folder.into_path().map_err(|error| {
        ApiError::new(ErrorCode::Invalid, format!("This folder cannot be used: {error}."))
    })?;
    match path.into_os_string().into_string() {
        Ok(path) => Ok(Some(path)),
        Err(path) => Err(ApiError::new(
            ErrorCode::Invalid,
            format!("The name of {} is not valid text.", path.display()),
        )
        .with_hint("Rename the folder, or choose the one above it.")),
    }
}

/// Shows the data folder in the file manager.
#[tauri::command]
#[specta::specta]
pub(crate) async fn open_data_dir(app: AppHandle, host: State<'_, Host>) -> Result<(), ApiError> {
    let dir = host.data_dir().to_owned();
    host::blocking(move || {
        app.opener().open_path(dir.to_string_lossy(), None::<&str>).map_err(|error| {
            ApiError::new(
                ErrorCode::Internal,
                format!("{} could not be opened: {error}.", dir.display()),
            )
            .with_hint("Check that a file manager is installed.")
        })
    })
    .await
}

/// The front end has painted: the window, hidden until now, may be seen.
#[tauri::command]
#[specta::specta]
pub(crate) async fn window_ready(window: WebviewWindow) -> Result<(), ApiError> {
    window.show().and_then(|()| window.set_focus()).map_err(|error| {
        ApiError::new(ErrorCode::Internal, format!("The window could not be shown: {error}."))
    })
}
