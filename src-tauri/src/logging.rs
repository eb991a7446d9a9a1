//! The program's own log: one file a day in the data folder, for finding faults. What a run did is
//! in the run's log, not here.

use std::{fs, io, panic, path::Path};

use tracing_appender::{
    non_blocking::WorkerGuard,
    rolling::{RollingFileAppender, Rotation},
};
use tracing_subscriber::EnvFilter;

/// Chooses what is logged, in the syntax of `tracing-subscriber`: `debug`, `quaero_engine=trace`.
const VARIABLE: &str = "QUAERO_LOG";
/// Our own crates tell what they do; the others only what went wrong.
const USUAL: &str = "warn,quaero=info,quaero_app=info,quaero_engine=info,quaero_net=info,quaero_store=info,quaero_workers=info";
/// Days that are kept.
const DAYS: usize = 14;

/// Starts logging into `logs/` of the data folder. Panics go there too, and not to the terminal. What
/// is still in memory is written when the guard is dropped.
///
/// # Errors
/// If the folder cannot be written.
pub(crate) fn start(data_dir: &Path) -> io::Result<WorkerGuard> {
    let dir = data_dir.join("logs");
    // The appender complains on the terminal about a folder that is not there yet.
    fs::create_dir_all(&dir)?;
    let file = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("quaero")
        .filename_suffix("log")
        .max_log_files(DAYS)
        .build(&dir)
        .map_err(io::Error::other)?;
    let (writer, guard) = tracing_appender::non_blocking(file);
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new(USUAL));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(false)
        .try_init()
        .map_err(io::Error::other)?;

    panic::set_hook(Box::new(|info| tracing::error!(%info, "A part of Quaero failed.")));
    Ok(guard)
}
