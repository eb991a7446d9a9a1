//! `quaero serve`: the engine without a window. It goes on with every run, starts what is scheduled,
//! takes requests of other commands, and ends gracefully at the first signal.

use std::path::PathBuf;

use quaero_app::{App, AppEvent, AppOptions, Role};
use quaero_contract::{ApiError, JobKind};
use tokio::sync::broadcast::error::RecvError;

use super::{
    Exit,
    follow::waits,
    output::{Output, one_line},
    run::stop_signal,
};

pub(super) async fn serve(
    data_dir: PathBuf,
    json: bool,
    output: &mut Output,
) -> Result<Exit, ApiError> {
    let mut stop = stop_signal();
    // Without a log the command works just as well.
    let _log = crate::logging::start(&data_dir).ok();
    let app = App::open(AppOptions { data_dir: data_dir.clone(), role: Role::Engine }).await?;
    let mut events = app.events();
    if json {
        output.json_line(&serde_json::json!({ "type": "serving", "data_dir": data_dir }));
    } else {
        output.line(format_args!("Serving {}. Ctrl-C ends it.", data_dir.display()));
        for schedule in app.schedules().await?.iter().filter(|schedule| schedule.enabled) {
            let next = schedule.next.first().map_or("never", String::as_str);
            output.line(format_args!(
                "{}: {}; next {next}",
                one_line(&schedule.name),
                schedule.description
            ));
        }
    }
    loop {
        let event = tokio::select! {
            // The sender lives as long as the process.
            Ok(_) = stop.wait_for(|stop| *stop) => break,
            event = events.recv() => event,
        };
        match event {
            Ok(event) if json => output.json_line(&event),
            Ok(AppEvent::Status(change)) if change.kind == JobKind::Parent => {
                let what = if change.status.is_terminal() {
                    format!("is {}", change.status)
                } else {
                    "has started".to_owned()
                };
                output.line(format_args!(
                    "Run {} ({}) {what}.",
                    change.run_id,
                    one_line(&change.name)
                ));
            }
            Ok(AppEvent::Waits(wait)) => output.note(waits(&wait)),
            // Missed events are no loss: each one after them is whole.
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => break,
        }
    }
    output.note("Stopping. Press Ctrl-C again to stop at once.");
    app.close().await;
    Ok(Exit::Done)
}
