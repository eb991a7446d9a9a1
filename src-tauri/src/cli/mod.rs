//! The command line: the same program without a window, for schedules, servers and tests.
//!
//! With `--json` the output is a contract for scripts: fields may be added, not changed. Exit
//! codes: 0 done or completed, 1 failed, 2 invalid input or usage, 3 cancelled, 130 interrupted by
//! a signal.

mod args;
mod definitions;
mod follow;
mod json;
mod output;
mod problems;
mod profiles;
mod providers;
mod read;
mod run;
mod serve;

use std::{ffi::OsString, iter, path::PathBuf, process::ExitCode};

use clap::Parser;
use quaero_contract::{ApiError, ErrorCode, RerunPart, RerunRequest};

use args::{Cli, Command, Docs, Runs, Schedule};
use output::Output;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// It did what was asked; a run has completed.
    Done,
    /// It could not; a run has failed.
    Failed,
    /// What was asked makes no sense.
    Invalid,
    /// The run was cancelled.
    Cancelled,
    /// A signal ended the command; the run can be resumed.
    Interrupted,
}

impl Exit {
    const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Invalid => 2,
            Self::Cancelled => 3,
            // 128 + SIGINT, as shells have it.
            Self::Interrupted => 130,
        }
    }

    const fn of(error: &ApiError) -> Self {
        match error.code {
            ErrorCode::NotFound | ErrorCode::Invalid => Self::Invalid,
            ErrorCode::Conflict
            | ErrorCode::Busy
            | ErrorCode::NotSetUp
            | ErrorCode::Storage
            | ErrorCode::Corrupt
            | ErrorCode::Internal => Self::Failed,
        }
    }
}

/// Runs one command and returns its exit code. `args` are those after the program's name.
pub(crate) fn run(args: Vec<OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(iter::once(OsString::from("quaero")).chain(args)) {
        Ok(cli) => cli,
        Err(wrong) => {
            // Help and version are such errors too. If nobody reads them, nothing is lost.
            let _ = wrong.print();
            return ExitCode::from(u8::try_from(wrong.exit_code()).unwrap_or(2));
        }
    };
    let mut output = Output::new();
    let result = to_its_end(command(cli, &mut output));
    let exit = result.unwrap_or_else(|error| {
        output.error(&error);
        Exit::of(&error)
    });
    ExitCode::from(exit.code())
}

/// Does the work of a command and nothing after it: a parser that cannot be interrupted must not hold
/// up the end of the process, when no signal is listened for any more.
fn to_its_end<T>(work: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
            ApiError::new(ErrorCode::Internal, format!("Quaero cannot start: {error}."))
        })?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}

async fn command(cli: Cli, output: &mut Output) -> Result<Exit, ApiError> {
    let data_dir = || crate::data_dir::resolve(cli.data_dir.clone());
    match cli.command {
        Command::Validate { files, json } => Ok(problems::validate(&files, json, output)),
        Command::Run { definition, set, anyway, json } => {
            run::definition(&data_dir()?, &definition, (set, anyway), json, output).await
        }
        Command::Profiles(asked) => profiles::command(data_dir()?, asked, output).await,
        Command::Providers(asked) => providers::command(data_dir()?, asked, output).await,
        Command::Serve { json } => serve::serve(data_dir()?, json, output).await,
        Command::Runs(Runs::Resume { id: Some(id), json, .. }) => {
            run::resume(&data_dir()?, id, json, output).await
        }
        Command::Runs(Runs::Resume { id: None, .. }) => {
            run::pause_all(&data_dir()?, false, output).await
        }
        Command::Runs(Runs::Pause { id: Some(id), .. }) => {
            run::pause(&data_dir()?, id, output).await
        }
        Command::Runs(Runs::Pause { id: None, .. }) => {
            run::pause_all(&data_dir()?, true, output).await
        }
        Command::Runs(Runs::Rerun { id, from, failed, set, current, anyway, json }) => {
            let part = match (from, failed) {
                (Some(step), _) => RerunPart::From(step),
                (None, true) => RerunPart::Failed,
                (None, false) => RerunPart::Whole,
            };
            let request = RerunRequest {
                request_id: run::request_id(),
                run: id,
                part,
                set,
                current_definition: current,
                anyway,
            };
            run::rerun(&data_dir()?, request, json, output).await
        }
        Command::Runs(Runs::Prune { keep_runs, keep_days }) => {
            run::prune(&data_dir()?, keep_runs, keep_days, output).await
        }
        Command::Runs(Runs::Stats { id, json }) => {
            read::statistics(data_dir()?, id, json, output).await
        }
        Command::Runs(Runs::Events { id, after, limit }) => {
            read::events(data_dir()?, id, after, limit, output).await
        }
        Command::Schedule(Schedule::List { json }) => {
            read::schedules(data_dir()?, json, output).await
        }
        Command::Runs(Runs::Cancel { id }) => run::cancel(&data_dir()?, id, output).await,
        Command::Runs(Runs::List { limit, json }) => {
            read::runs(data_dir()?, limit, json, output).await
        }
        Command::Runs(Runs::Show { id, json }) => read::run(data_dir()?, id, json, output).await,
        Command::Docs(Docs::List { filter, json }) => {
            read::documents(data_dir()?, String::new(), filter, json, output).await
        }
        Command::Docs(Docs::Search { query, filter, json }) => {
            read::documents(data_dir()?, query.join(" "), filter, json, output).await
        }
        Command::Docs(Docs::Show { id, json }) => {
            read::document(data_dir()?, id, json, output).await
        }
        Command::Runs(Runs::Diff { old, new, json }) => {
            definitions::runs(data_dir()?, old, new, json, output).await
        }
        Command::Definitions(command) => definitions::command(data_dir()?, command, output).await,
        Command::Doctor { json } => Ok(read::doctor(data_dir()?, json, output).await),
    }
}

/// A reader of a data folder.
async fn reader(data_dir: PathBuf) -> Result<quaero_app::App, ApiError> {
    let role = quaero_app::Role::Reader;
    quaero_app::App::open(quaero_app::AppOptions { data_dir, role }).await
}

#[cfg(test)]
mod tests;
