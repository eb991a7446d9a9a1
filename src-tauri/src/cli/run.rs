//! The commands that need the engine: `run`, `runs resume`, `runs cancel` and the like. If another process runs
//! it on the data folder, that one does the work and this one watches.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    path::{Path, absolute},
};

use quaero_app::{App, EngineAt, Follow, Remote, RunText, library};
use quaero_contract::{ApiError, DefinitionView, ErrorCode, InputKind, JobId, RerunRequest};
use tokio::sync::watch;

use super::{
    Exit, follow,
    output::{Output, count},
    problems,
};

/// `quaero run`
pub(super) async fn definition(
    data_dir: &Path,
    name: &str,
    (set, anyway): (Vec<(String, String)>, bool),
    json: bool,
    output: &mut Output,
) -> Result<Exit, ApiError> {
    let view = find(data_dir, name)?;
    if view.summary.errors > 0 {
        return Ok(problems::refuse(&view.summary.file, &view.text, &view.problems, output));
    }
    let set = values(&view, set)?;
    let (file, text, request_id) = (view.summary.file, view.text, request_id());
    let text = RunText { file, text, set, request_id, anyway };
    let mut at = open(data_dir).await?;
    let follow = match &at.engine {
        EngineAt::Here(app) => {
            let events = app.events();
            let started = app.run_text(text).await;
            started.map(|run| app.follow(run, events))
        }
        EngineAt::There(remote) => remote.run(text).await,
    };
    at.watch(follow.map_err(or_anyway), json, output).await
}

/// `quaero runs resume`
pub(super) async fn resume(
    data_dir: &Path,
    id: JobId,
    json: bool,
    output: &mut Output,
) -> Result<Exit, ApiError> {
    // Says that there is no such run without creating a data folder.
    super::reader(data_dir.to_owned()).await?.get_run(id).await?;
    let mut at = open(data_dir).await?;
    let follow = match &at.engine {
        EngineAt::Here(app) => {
            let events = app.events();
            let resumed = app.resume_run(id).await;
            resumed.map(|()| app.follow(id, events))
        }
        EngineAt::There(remote) => remote.resume(id).await,
    };
    at.watch(follow, json, output).await
}

/// `quaero runs cancel`
pub(super) async fn cancel(
    data_dir: &Path,
    id: JobId,
    output: &mut Output,
) -> Result<Exit, ApiError> {
    super::reader(data_dir.to_owned()).await?.get_run(id).await?;
    ask(data_dir, async |app| app.cancel_run(id).await, async |remote| remote.cancel(id).await)
        .await?;
    output.line(format_args!("Run {id} was cancelled."));
    Ok(Exit::Done)
}

/// `quaero runs pause`
pub(super) async fn pause(
    data_dir: &Path,
    id: JobId,
    output: &mut Output,
) -> Result<Exit, ApiError> {
    super::reader(data_dir.to_owned()).await?.get_run(id).await?;
    ask(data_dir, async |app| app.pause_run(id).await, async |remote| remote.pause(id).await)
        .await?;
    output.line(format_args!("Run {id} is paused. Go on with it: quaero runs resume {id}"));
    Ok(Exit::Done)
}

/// `quaero runs pause --all` and `quaero runs resume --all`
pub(super) async fn pause_all(
    data_dir: &Path,
    pause: bool,
    output: &mut Output,
) -> Result<Exit, ApiError> {
    super::reader(data_dir.to_owned()).await?;
    ask(
        data_dir,
        async |app| app.pause_all(pause).await,
        async |remote| remote.pause_all(pause).await,
    )
    .await?;
    output.line(if pause {
        "Everything is paused. Go on: quaero runs resume --all"
    } else {
        "Everything goes on."
    });
    Ok(Exit::Done)
}

/// `quaero runs prune`
pub(super) async fn prune(
    data_dir: &Path,
    keep_runs: Option<u32>,
    keep_days: Option<u32>,
    output: &mut Output,
) -> Result<Exit, ApiError> {
    super::reader(data_dir.to_owned()).await?;
    let forgotten = ask(
        data_dir,
        async |app| app.prune_runs(keep_runs, keep_days).await,
        async |remote| remote.prune(keep_runs, keep_days).await,
    )
    .await?;
    output.line(format_args!("{} forgotten.", count(forgotten, "run")));
    Ok(Exit::Done)
}

/// `quaero runs rerun`
pub(super) async fn rerun(
    data_dir: &Path,
    request: RerunRequest,
    json: bool,
    output: &mut Output,
) -> Result<Exit, ApiError> {
    super::reader(data_dir.to_owned()).await?.get_run(request.run).await?;
    let mut at = open(data_dir).await?;
    let follow = match &at.engine {
        EngineAt::Here(app) => {
            let events = app.events();
            app.rerun(request).await.map(|run| app.follow(run, events))
        }
        EngineAt::There(remote) => remote.rerun(request).await,
    };
    at.watch(follow.map_err(or_anyway), json, output).await
}

/// How the command line runs what is not set up.
fn or_anyway(error: ApiError) -> ApiError {
    match error.code {
        ErrorCode::NotSetUp => {
            error.with_hint("Set it up first, or add --anyway: what does not need it works.")
        }
        _ => error,
    }
}

/// Asks one thing of the engine, wherever it is.
async fn ask<T>(
    data_dir: &Path,
    here: impl AsyncFnOnce(&App) -> Result<T, ApiError>,
    there: impl AsyncFnOnce(&Remote) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    match EngineAt::open(data_dir).await? {
        EngineAt::Here(app) => {
            let answer = here(&app).await;
            app.close().await;
            answer
        }
        EngineAt::There(remote) => there(&remote).await,
    }
}

/// The engine for one command, with the signals that can end it.
struct Engine {
    engine: EngineAt,
    stop: watch::Receiver<bool>,
    /// Writes what is still in memory when the command ends.
    _log: Option<tracing_appender::non_blocking::WorkerGuard>,
}

async fn open(data_dir: &Path) -> Result<Engine, ApiError> {
    let engine = EngineAt::open(data_dir).await?;
    // Without a log the command works just as well.
    let log = crate::logging::start(data_dir).ok();
    Ok(Engine { engine, stop: stop_signal(), _log: log })
}

impl Engine {
    /// Follows the run to its end, or until a signal.
    async fn watch(
        &mut self,
        follow: Result<Follow, ApiError>,
        json: bool,
        output: &mut Output,
    ) -> Result<Exit, ApiError> {
        let result = match follow {
            Ok(follow) => follow::follow(follow, json, &mut self.stop, output).await,
            Err(error) => Err(error),
        };
        let interrupted = matches!(&result, Ok(follow::End::Signal(_)));
        if let EngineAt::Here(app) = &self.engine {
            self.close(app.clone(), interrupted, output).await;
        }
        match result? {
            follow::End::Run(exit) => Ok(exit),
            follow::End::Signal(run) => {
                output.note(match &self.engine {
                    EngineAt::Here(_) => {
                        format!("Run {run} was interrupted. Go on with it: quaero runs resume {run}")
                    }
                    EngineAt::There(_) => {
                        format!("Run {run} goes on in another process. Stop it: quaero runs cancel {run}")
                    }
                });
                Ok(Exit::Interrupted)
            }
        }
    }

    async fn close(&self, app: App, interrupted: bool, output: &mut Output) {
        if !interrupted {
            let mut stop = self.stop.clone();
            tokio::select! {
                biased;
                () = app.handed_over_runs_ended() => {}
                () = async {
                    output.note("Waiting for runs that other commands have handed over.");
                    // The sender lives as long as the process.
                    let _ = stop.wait_for(|stop| *stop).await;
                } => {}
            }
        }
        app.close().await;
    }
}

/// Turns true at the first Ctrl-C, request to end or loss of the terminal; the second one ends the
/// process at once.
#[allow(clippy::disallowed_methods, reason = "the second Ctrl-C asks for exactly that")]
pub(super) fn stop_signal() -> watch::Receiver<bool> {
    let (sender, receiver) = watch::channel(false);
    let mut signals = Signals::listen();
    tokio::spawn(async move {
        signals.next().await;
        sender.send_replace(true);
        signals.next().await;
        std::process::exit(i32::from(Exit::Interrupted.code()));
    });
    receiver
}

/// The ways in which a process is asked to end. None is missed from the start on.
#[cfg(unix)]
struct Signals(Vec<tokio::signal::unix::Signal>);

#[cfg(unix)]
impl Signals {
    fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let mut kinds = vec![SignalKind::terminate(), SignalKind::interrupt()];
        if !outlives_terminal() {
            kinds.push(SignalKind::hangup());
        }
        // A signal that cannot be had ends the process, as it does by itself.
        Self(kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect())
    }

    async fn next(&mut self) {
        use std::task::Poll;
        std::future::poll_fn(|cx| {
            let any = self.0.iter_mut().any(|signal| signal.poll_recv(cx).is_ready());
            if any { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Whether it was started to go on without its terminal: `nohup` has SIGHUP ignored, and that stays so.
/// Known on Linux only.
#[cfg(unix)]
fn outlives_terminal() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // Signal 1 is the lowest bit; see proc_pid_status(5).
    ignored.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).is_ok_and(|m| m & 1 == 1))
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    const fn listen() -> Self {
        Self
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without signals the command can only be ended by force.
            std::future::pending::<()>().await;
        }
    }
}

/// A file, if it is one or looks like one; else a definition of the library.
fn find(data_dir: &Path, name: &str) -> Result<DefinitionView, ApiError> {
    let path = Path::new(name);
    let looks_like_a_file = path.extension().is_some_and(|e| e == "toml" || e == "json")
        || path.components().count() > 1;
    if path.is_file() || looks_like_a_file {
        let bytes = library::read(path).map_err(|error| {
            ApiError::new(ErrorCode::Invalid, format!("{name} cannot be read: {error}."))
                .with_hint("Definitions that need no file: quaero definitions list")
        })?;
        return Ok(App::inspect(name, &bytes));
    }
    let found = App::definitions_in(data_dir)?.into_iter().find(|view| view.summary.id == name);
    found.ok_or_else(|| {
        ApiError::new(ErrorCode::NotFound, format!("There is no file and no definition `{name}`."))
            .with_hint("List them: quaero definitions list")
    })
}

/// The values for the run. Folders become absolute, because the process that runs the engine may be
/// in another folder.
fn values(
    view: &DefinitionView,
    set: Vec<(String, String)>,
) -> Result<BTreeMap<String, String>, ApiError> {
    let mut values = BTreeMap::new();
    for (key, mut value) in set {
        let input = view.summary.inputs.iter().find(|input| input.key == key);
        let is_folder = input.is_some_and(|input| input.kind == InputKind::Folder);
        // `~` is the home folder, here as in the definition; not every shell puts it in.
        if is_folder && !value.is_empty() && !Path::new(&value).starts_with("~") {
            value = absolute(&value)
                .map_err(|error| {
                    ApiError::new(ErrorCode::Invalid, format!("{value} is no folder: {error}."))
                })?
                .to_string_lossy()
                .into_owned();
        }
        if values.insert(key.clone(), value).is_some() {
            return Err(ApiError::new(ErrorCode::Invalid, format!("`{key}` is set twice.")));
        }
    }
    Ok(values)
}

/// Each call of the command is a wish of its own.
pub(super) fn request_id() -> String {
    let process = std::process::id();
    format!("cli-{process}-{:016x}", RandomState::new().hash_one(process))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_sent_as_absolute_paths() {
        let text = "id = \"x\"\nname = \"X\"\n[config]\nfolder = \"\"\nnote = \"\"\n[step.a]\ntype = \"local_dir\"\npath = \"{config.folder}\"\n";
        let view = App::inspect("x.toml", text.as_bytes());
        assert_eq!(view.summary.errors, 0, "{:?}", view.problems);
        let set =
            vec![("folder".to_owned(), "docs".to_owned()), ("note".to_owned(), "docs".to_owned())];
        let values = values(&view, set).expect("values");
        assert_eq!(
            Path::new(&values["folder"]),
            absolute("docs").expect("there is a current folder")
        );
        assert_eq!(values["note"], "docs");
        for home in ["~", "~/docs"] {
            let set = vec![("folder".to_owned(), home.to_owned())];
            assert_eq!(super::values(&view, set).expect("values")["folder"], home);
        }
    }

    #[test]
    fn a_key_is_set_once() {
        let view = App::inspect("x.toml", b"");
        let set = vec![("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())];
        assert_eq!(values(&view, set).map_err(|error| error.code), Err(ErrorCode::Invalid));
    }
}
