//! Outside services and their keys. Keys come in and never go out.

use quaero_contract::{ApiError, KeepKey, ProviderTest, ProvidersView};
use tauri::State;

use crate::host::Host;

/// The services as they are set up, and the places for their keys.
#[tauri::command]
#[specta::specta]
pub(crate) async fn list_providers(host: State<'_, Host>) -> Result<ProvidersView, ApiError> {
    host.app().await?.providers().await
}

/// Keeps a service's key where the user wants it.
#[tauri::command]
#[specta::specta]
pub(crate) async fn keep_key(host: State<'_, Host>, request: KeepKey) -> Result<(), ApiError> {
    host.app().await?.keep_key(request).await
}

/// Forgets a service's key.
#[tauri::command]
#[specta::specta]
pub(crate) async fn forget_key(host: State<'_, Host>, provider: String) -> Result<(), ApiError> {
    host.app().await?.forget_key(&provider).await
}

/// Opens the file with keys, or makes one that this passphrase opens.
#[tauri::command]
#[specta::specta]
pub(crate) async fn unlock_keys(host: State<'_, Host>, passphrase: String) -> Result<(), ApiError> {
    host.app().await?.unlock_keys(passphrase).await
}

/// Asks a service whether it can be used.
#[tauri::command]
#[specta::specta]
pub(crate) async fn test_provider(
    host: State<'_, Host>,
    provider: String,
) -> Result<ProviderTest, ApiError> {
    host.app().await?.test_provider(&provider).await
}
