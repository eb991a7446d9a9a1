//! The typed bridge: every command and event in one place. `cargo xtask bindings` writes the front
//! end's copy of it, `ui/src/bindings.ts`, and a test says when that copy is out of date.

use tauri::Wry;
use tauri_specta::{Builder, collect_commands, collect_events};

use crate::{
    bridge::{
        DefinitionsChangedBatch, EngineHaltedEvent, EventsMissed, JobProgressBatch,
        JobStatusChangeBatch, LogAppendedBatch, ResultSavedBatch, StorageWaitEvent,
    },
    commands::{definitions, documents, profiles, providers, runs, schedules, settings},
};

/// All commands and events.
pub(crate) fn builder() -> Builder<Wry> {
    Builder::new()
        // A type is the same in both directions: every field is always sent.
        .disable_serde_phases()
        .commands(collect_commands![
            definitions::list_definitions,
            definitions::get_definition,
            definitions::run_definition,
            definitions::save_definition,
            definitions::create_definition,
            definitions::copy_definition,
            definitions::set_enabled,
            definitions::delete_definition,
            definitions::deleted_definitions,
            definitions::undelete_definition,
            definitions::definition_history,
            definitions::definition_version,
            definitions::diff_versions,
            definitions::diff_runs,
            definitions::restore_version,
            definitions::import_definition,
            definitions::export_definition,
            definitions::list_templates,
            definitions::get_template,
            runs::storage_wait,
            runs::list_runs,
            runs::get_run,
            runs::list_jobs,
            runs::read_log,
            runs::cancel_run,
            runs::resume_run,
            runs::pause_run,
            runs::pause_all,
            runs::is_paused,
            runs::rerun,
            runs::prune_runs,
            runs::run_statistics,
            runs::events_after,
            schedules::list_schedules,
            schedules::preview_schedule,
            documents::search_documents,
            documents::get_document,
            documents::find_document,
            documents::open_link,
            documents::open_source,
            providers::list_providers,
            providers::keep_key,
            providers::forget_key,
            providers::unlock_keys,
            providers::test_provider,
            profiles::list_profiles,
            profiles::import_profile,
            profiles::delete_profile,
            profiles::open_sign_in,
            profiles::keep_sign_in,
            profiles::close_sign_in,
            settings::get_settings,
            settings::set_settings,
            settings::app_info,
            settings::startup_error,
            settings::choose_folder,
            settings::open_data_dir,
            settings::window_ready,
        ])
        .events(collect_events![
            JobProgressBatch,
            JobStatusChangeBatch,
            ResultSavedBatch,
            LogAppendedBatch,
            DefinitionsChangedBatch,
            StorageWaitEvent,
            EngineHaltedEvent,
            EventsMissed,
        ])
}

#[cfg(test)]
mod tests {
    use std::{env, fs, path::Path};

    use specta_typescript::Typescript;

    /// Set by `cargo xtask bindings`: write the file instead of comparing it.
    const WRITE: &str = "QUAERO_WRITE_BINDINGS";

    #[test]
    fn the_front_end_has_the_present_bindings() {
        let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ui/src/bindings.ts");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let fresh = folder.path().join("bindings.ts");
        super::builder()
            .export(
                Typescript::default()
                    .header("// Written by `cargo xtask bindings`. Do not edit.\n"),
                &fresh,
            )
            .expect("every type can be exported");
        let fresh = fs::read_to_string(fresh).expect("the export is text");

        if env::var_os(WRITE).is_some() {
            fs::create_dir_all(committed.parent().expect("a file is in a folder"))
                .expect("ui/src can be made");
            fs::write(&committed, &fresh).expect("ui/src/bindings.ts can be written");
        }
        let committed = fs::read_to_string(&committed).unwrap_or_default();
        assert!(
            committed == fresh,
            "ui/src/bindings.ts is out of date. Run `cargo xtask bindings`."
        );
    }
}
