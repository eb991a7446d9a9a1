//! Embeds the front end and declares the commands, so that each needs a permission of its own.

use std::{fs, path::Path};

/// Every command. `capabilities/main.json` allows each by name; a test holds the two and the
/// generated bindings together.
const COMMANDS: &[&str] = &[
    "pause_run",
    "pause_all",
    "storage_wait",
    "is_paused",
    "rerun",
    "prune_runs",
    "run_statistics",
    "events_after",
    "list_schedules",
    "preview_schedule",
    "list_providers",
    "keep_key",
    "forget_key",
    "unlock_keys",
    "test_provider",
    "list_profiles",
    "import_profile",
    "delete_profile",
    "open_sign_in",
    "keep_sign_in",
    "close_sign_in",
    "app_info",
    "cancel_run",
    "choose_folder",
    "copy_definition",
    "create_definition",
    "definition_history",
    "definition_version",
    "delete_definition",
    "deleted_definitions",
    "diff_runs",
    "diff_versions",
    "export_definition",
    "get_definition",
    "get_document",
    "get_run",
    "get_settings",
    "get_template",
    "import_definition",
    "list_definitions",
    "list_jobs",
    "list_runs",
    "list_templates",
    "open_data_dir",
    "find_document",
    "open_link",
    "open_source",
    "read_log",
    "restore_version",
    "resume_run",
    "run_definition",
    "save_definition",
    "search_documents",
    "set_enabled",
    "set_settings",
    "startup_error",
    "undelete_definition",
    "window_ready",
];

/// Shown by a program that was built without its front end, so that `cargo build` and `cargo test`
/// work before the first build of the front end.
const NOT_BUILT: &str = "<!doctype html><meta charset=utf-8><title>Quaero</title>\
    <p>The front end is not built. Run <code>cargo xtask build</code>.</p>\n";

fn main() {
    let dist = Path::new("../ui/dist");
    if !dist.join("index.html").exists() {
        fs::create_dir_all(dist).expect("ui/dist can be created");
        fs::write(dist.join("index.html"), NOT_BUILT).expect("ui/dist can be written");
    }
    let attributes = tauri_build::Attributes::new()
        .app_manifest(tauri_build::AppManifest::new().commands(COMMANDS))
        .codegen(tauri_build::CodegenContext::new());
    tauri_build::try_build(attributes)
        .expect("tauri.conf.json, the capability and ui/dist are as they should be");
}
