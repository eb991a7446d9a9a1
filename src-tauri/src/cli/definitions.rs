//! Definitions: list them, change them, and look at what they have been.
//!
//! A change needs no running engine: this process writes the file, and whoever has the data folder
//! open keeps the history.

use std::path::{Path, PathBuf};

use quaero_app::{App, AppOptions, Role, render::visible};
use quaero_contract::{
    ApiError, DefinitionView, DiffHunk, DiffKind, ErrorCode, JobId, Origin, TextDiff,
};

use super::{
    Exit,
    args::Definitions,
    output::{Look, Output, count, one_line, short},
    read::{moment, row},
    reader,
};

/// `quaero definitions …`
pub(super) async fn command(
    data_dir: PathBuf,
    command: Definitions,
    output: &mut Output,
) -> Result<Exit, ApiError> {
    match command {
        Definitions::List { json } => list(&data_dir, json, output),
        Definitions::History { id, json } => history(data_dir, &id, json, output).await,
        Definitions::Diff { id, old, new, json } => {
            versions(data_dir, &id, old, new, json, output).await
        }
        Definitions::Trash { json } => trash(data_dir, json, output).await,
        Definitions::Export { id, path, replace } => {
            let app = changer(data_dir).await?;
            let written = app.export_definition(&id, path, replace).await;
            app.close().await;
            let path = written.map_err(|error| match error.code {
                ErrorCode::Conflict => error.with_hint("Name another file, or add --replace."),
                _ => error,
            })?;
            output.line(format_args!("Written: {}", visible(&path.to_string_lossy())));
            Ok(Exit::Done)
        }
        Definitions::Import { file, id, json } => import(data_dir, file, id, json, output).await,
        Definitions::Delete { id } => {
            let app = changer(data_dir).await?;
            let deleted = app.delete_definition(&id).await;
            app.close().await;
            let entry = deleted?.entry;
            output.line(format_args!("Deleted: {}", one_line(&id)));
            let entry = one_line(&entry);
            output.note(format_args!("It can come back: quaero definitions undelete {entry}"));
            Ok(Exit::Done)
        }
        Definitions::Enable { id } => {
            let app = changer(data_dir).await?;
            let view = app.set_enabled(&id, true).await;
            changed(app, view, "Enabled", output).await
        }
        Definitions::Disable { id } => {
            let app = changer(data_dir).await?;
            let view = app.set_enabled(&id, false).await;
            changed(app, view, "Disabled", output).await
        }
        Definitions::Restore { id, version } => {
            let app = changer(data_dir).await?;
            let view = app.restore_version(&id, version).await;
            changed(app, view, "Restored", output).await
        }
        Definitions::Copy { id, new_id } => {
            let app = changer(data_dir).await?;
            let view = app.copy_definition(&id, &new_id).await;
            changed(app, view, "Copied", output).await
        }
        Definitions::Undelete { entry } => {
            let app = changer(data_dir).await?;
            let view = app.undelete_definition(&entry).await;
            changed(app, view, "Restored", output).await
        }
    }
}

/// `quaero runs diff`
pub(super) async fn runs(
    data_dir: PathBuf,
    old: JobId,
    new: JobId,
    json: bool,
    output: &mut Output,
) -> Result<Exit, ApiError> {
    let diff = reader(data_dir).await?.diff_runs(old, new).await?;
    show(&format!("run {old}"), &format!("run {new}"), &diff, json, output);
    Ok(Exit::Done)
}

/// An application that may change files: with the history if nobody else keeps it.
pub(super) async fn changer(data_dir: PathBuf) -> Result<App, ApiError> {
    let role = Role::EngineForOwnRuns;
    match App::open(AppOptions { data_dir: data_dir.clone(), role }).await {
        Err(error) if error.code == ErrorCode::Busy => reader(data_dir).await,
        opened => opened,
    }
}

/// Says what has become of a definition.
async fn changed(
    app: App,
    view: Result<DefinitionView, ApiError>,
    what: &str,
    output: &mut Output,
) -> Result<Exit, ApiError> {
    app.close().await;
    let view = view?;
    say(&view, what, output);
    Ok(Exit::Done)
}

fn say(view: &DefinitionView, what: &str, output: &mut Output) {
    let summary = &view.summary;
    let file = one_line(&summary.file);
    output.line(format_args!("{what}: {} ({file})", one_line(&summary.id)));
    if summary.errors > 0 {
        let errors = output.paint_note(Look::Warning, count(summary.errors, "error"));
        output.note(format_args!("It has {errors}: quaero validate {file}"));
    }
}

/// `quaero definitions list`: needs no database.
fn list(data_dir: &Path, json: bool, output: &mut Output) -> Result<Exit, ApiError> {
    let views = App::definitions_in(data_dir)?;
    if json {
        output.json(&views.iter().map(|view| &view.summary).collect::<Vec<_>>());
        return Ok(Exit::Done);
    }
    let mut rows = vec![row(["ID", "FROM", "STATE", "SCHEDULE", "SET", "DESCRIPTION"])];
    rows.extend(views.iter().map(|view| {
        let summary = &view.summary;
        let state = match summary.errors {
            0 if summary.enabled => "valid".to_owned(),
            0 => "disabled".to_owned(),
            errors => count(errors, "error"),
        };
        let origin = match summary.origin {
            Origin::Shipped => "Quaero",
            Origin::User => "you",
        };
        let inputs =
            summary.inputs.iter().map(|input| input.key.as_str()).collect::<Vec<_>>().join(" ");
        let schedule = summary.schedule.as_deref().unwrap_or("-");
        let description = short(&summary.description, 80);
        row([&summary.id, origin, &state, schedule, &inputs, &description])
    }));
    output.table(&rows);
    Ok(Exit::Done)
}

/// `quaero definitions history`
async fn history(
    data_dir: PathBuf,
    id: &str,
    json: bool,
    output: &mut Output,
) -> Result<Exit, ApiError> {
    let versions = match reader(data_dir).await {
        Ok(app) => app.definition_history(id).await?,
        Err(error) if error.code == ErrorCode::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    if json {
        output.json(&versions);
    } else if versions.is_empty() {
        output.line(format_args!("Nothing is known of `{}` yet.", one_line(id)));
    } else {
        let mut rows = vec![row(["VERSION", "SINCE", "WHY", "RUN", "BYTES"])];
        rows.extend(versions.iter().map(|version| {
            row([
                &version.version.to_string(),
                &moment(&version.at),
                &version.why.as_str().replace('_', " "),
                &version.run_id.map_or_else(|| "-".to_owned(), |run| run.to_string()),
                &version.bytes.to_string(),
            ])
        }));
        output.table(&rows);
    }
    Ok(Exit::Done)
}

/// `quaero definitions diff`: without versions, what the newest one changed.
async fn versions(
    data_dir: PathBuf,
    id: &str,
    old: Option<u32>,
    new: Option<u32>,
    json: bool,
    output: &mut Output,
) -> Result<Exit, ApiError> {
    let app = reader(data_dir).await?;
    let (old, new) = match old {
        Some(old) => (old, new),
        None => match app.definition_history(id).await?.as_slice() {
            [newest, before, ..] => (before.version, Some(newest.version)),
            [only] => (only.version, None),
            [] => {
                let message = format!("Nothing is known of `{id}` yet.");
                return Err(ApiError::new(ErrorCode::NotFound, message)
                    .with_hint("List the definitions: quaero definitions list"));
            }
        },
    };
    let diff = app.diff_versions(id, old, new).await?;
    let new = new.map_or_else(|| "the present text".to_owned(), |new| format!("version {new}"));
    show(&format!("version {old}"), &new, &diff, json, output);
    Ok(Exit::Done)
}

/// Two texts compared, as `diff -u` would.
fn show(old: &str, new: &str, diff: &TextDiff, json: bool, output: &mut Output) {
    if json {
        output.json(diff);
        return;
    }
    if diff.removed + diff.added == 0 {
        output.note(format_args!("{old} and {new} are the same."));
        return;
    }
    output.line(output.paint(Look::Bad, format_args!("--- {old}")));
    output.line(output.paint(Look::Good, format_args!("+++ {new}")));
    for DiffHunk { old_start, old_lines, new_start, new_lines, lines } in &diff.hunks {
        let head = format!("@@ -{old_start},{old_lines} +{new_start},{new_lines} @@");
        output.line(output.paint(Look::Faint, head));
        for line in lines {
            let text: String = line.parts.iter().map(|part| part.text.as_str()).collect();
            let text = visible(&text);
            match line.kind {
                DiffKind::Same => output.line(format_args!(" {text}")),
                DiffKind::Added => output.line(output.paint(Look::Good, format_args!("+{text}"))),
                DiffKind::Removed => output.line(output.paint(Look::Bad, format_args!("-{text}"))),
            }
            if line.unterminated {
                output.line("\\ No newline at end of file");
            }
        }
    }
    if diff.truncated {
        output.note("There are more differences than are shown.");
    }
}

/// `quaero definitions import`
async fn import(
    data_dir: PathBuf,
    file: PathBuf,
    id: Option<String>,
    json: bool,
    output: &mut Output,
) -> Result<Exit, ApiError> {
    let app = changer(data_dir).await?;
    let imported = app.import_definition_file(file, id).await;
    app.close().await;
    let imported = imported.map_err(|error| match error.code {
        ErrorCode::Conflict => error.with_hint("Give it another one: --id NEW-ID"),
        _ => error,
    })?;
    if json {
        output.json(&imported);
        return Ok(Exit::Done);
    }
    say(&imported.definition, "Imported, disabled", output);
    let lists = [
        ("It signs in with", &imported.profiles),
        ("It wants to reach private hosts", &imported.allow_hosts),
    ];
    for (what, names) in lists.into_iter().filter(|(_, names)| !names.is_empty()) {
        output.line(format_args!("{what}: {}", short(&names.join(", "), 500)));
    }
    let id = one_line(&imported.definition.summary.id);
    output.note(format_args!("Read it, then: quaero definitions enable {id}"));
    Ok(Exit::Done)
}

/// `quaero definitions trash`
async fn trash(data_dir: PathBuf, json: bool, output: &mut Output) -> Result<Exit, ApiError> {
    let deleted = match reader(data_dir).await {
        Ok(app) => app.deleted_definitions().await?,
        Err(error) if error.code == ErrorCode::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    if json {
        output.json(&deleted);
    } else if deleted.is_empty() {
        output.line("The trash is empty.");
    } else {
        let mut rows = vec![row(["ENTRY", "DELETED", "FILE"])];
        rows.extend(deleted.iter().map(|d| row([&d.entry, &moment(&d.deleted), &d.file])));
        output.table(&rows);
    }
    Ok(Exit::Done)
}
