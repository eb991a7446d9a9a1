//! Sign-in profiles. What is in them comes in and never goes out.

use quaero_contract::{ApiError, ImportProfile, ImportedProfile, ProfileView};
use tauri::State;

use crate::host::Host;

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
