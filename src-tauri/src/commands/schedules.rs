//! Schedules: when definitions run by themselves.

use quaero_contract::{ApiError, SchedulePreview, ScheduleView};
use tauri::State;

use crate::host::Host;

/// The schedule of every definition that has one, with its next times.
#[tauri::command]
#[specta::specta]
pub(crate) async fn list_schedules(host: State<'_, Host>) -> Result<Vec<ScheduleView>, ApiError> {
    host.app().await?.schedules().await
}

/// What five cron fields mean, in words and as the next times.
#[tauri::command]
#[specta::specta]
pub(crate) async fn preview_schedule(
    host: State<'_, Host>,
    cron: String,
    timezone: Option<String>,
) -> Result<SchedulePreview, ApiError> {
    host.app().await?.preview_schedule(&cron, timezone.as_deref())
}
