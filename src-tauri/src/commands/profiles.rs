//! Sign-in profiles. What is in them comes in and never goes out.

use quaero_app::SignIn;
use quaero_contract::{ApiError, ErrorCode, ImportProfile, ImportedProfile, KeyPlace, ProfileView};
use tauri::{AppHandle, State};

use crate::{host::Host, sign_in};

/// The sign-in profiles, by name.
#[tauri::command]
#[specta::specta]
pub(crate) async fn list_profiles(host: State<'_, Host>) -> Result<Vec<ProfileView>, ApiError> {
    host.app().await?.profiles().await
}

/// Keeps a sign-in profile, in the place of the one of the same name.
#[tauri::command]
#[specta::specta]
pub(crate) async fn import_profile(
    host: State<'_, Host>,
    request: ImportProfile,
) -> Result<ImportedProfile, ApiError> {
    host.app().await?.import_profile(request).await
}

/// Forgets a sign-in profile.
#[tauri::command]
#[specta::specta]
pub(crate) async fn delete_profile(host: State<'_, Host>, name: String) -> Result<(), ApiError> {
    host.app().await?.delete_profile(&name).await
}

/// Opens a window in which the user signs in at an address, to keep that as a profile of this name.
#[tauri::command]
#[specta::specta]
pub(crate) async fn open_sign_in(
    app: AppHandle,
    name: String,
    address: String,
) -> Result<(), ApiError> {
    sign_in::open(&app, SignIn::new(&name, &address)?)
}

/// Keeps the sign-in of that window as a profile, and closes the window.
#[tauri::command]
#[specta::specta]
pub(crate) async fn keep_sign_in(
    app: AppHandle,
    host: State<'_, Host>,
    place: KeyPlace,
) -> Result<ImportedProfile, ApiError> {
    let (sign_in, cookies) = sign_in::cookies(&app).await?;
    let kept = host.app().await?.import_profile(sign_in.profile(cookies, place)).await;
    let kept = kept.map_err(|error| match error.code {
        // Its name and site were looked at before.
        ErrorCode::Invalid => sign_in.nothing_yet(),
        _ => error,
    })?;
    sign_in::close(&app);
    Ok(kept)
}

/// Closes that window without keeping anything.
#[tauri::command]
#[specta::specta]
pub(crate) async fn close_sign_in(app: AppHandle) -> Result<(), ApiError> {
    sign_in::close(&app);
    Ok(())
}
