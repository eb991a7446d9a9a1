//! Handing requests to the process that runs the engine on a data folder.
//!
//! That process (it holds the folder's lock) listens on a local socket that only its user can open.
//! A request is one line of JSON; the answer is one line, followed, for a run, by a line for every
//! event and one for the end. Requests are limited in size, time and number, though whoever can
//! open the socket can read the data folder anyway.

mod socket;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::Duration,
};

use interprocess::local_socket::tokio::{Listener, Stream, prelude::*};
use quaero_contract::{ApiError, ErrorCode, JobId, RerunRequest, RunView};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    sync::{Semaphore, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::{App, AppEvent, AppOptions, Core, Follow, Followed, Role, RunText, follow::stopped};

/// Longest request: a definition of the greatest allowed size, escaped as JSON.
const MAX_REQUEST: u64 = 2 * 1024 * 1024;
/// Longest line of an answer.
const MAX_ANSWER: u64 = 16 * 1024 * 1024;
/// How long a caller may take to send its request.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// How long the process that has the engine may take to answer. One that was suspended never does.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// Callers at the same time.
const MAX_CALLERS: usize = 32;
/// How long to look for a process that has the lock but does not listen: it is starting or ending.
const SEARCH_TIME: Duration = Duration::from_secs(5);

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Request {
    Ping,
    Cancel { run: JobId },
    Resume { run: JobId },
    Pause { run: JobId },
    PauseAll { pause: bool },
    Prune { keep_runs: Option<u32>, keep_days: Option<u32> },
    Rerun(RerunRequest),
    Run(RunText),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Done,
    Count(u32),
    Started { run: JobId },
    Event(AppEvent),
    Ended(Box<RunView>),
    Failed(ApiError),
}

/// Where the engine of a data folder is.
pub enum EngineAt {
    /// In this process, which has just taken it.
    Here(App),
    /// In another process, which takes requests.
    There(Remote),
}

impl EngineAt {
    /// Takes the engine of a data folder, or finds the process that has it.
    ///
    /// # Errors
    /// `busy` if another process has it and does not answer, or what [`App::open`] reports.
    pub async fn open(data_dir: &Path) -> Result<Self, ApiError> {
        let deadline = Instant::now() + SEARCH_TIME;
        loop {
            let options =
                AppOptions { data_dir: data_dir.to_owned(), role: Role::EngineForOwnRuns };
            let busy = match App::open(options).await {
                Ok(app) => return Ok(Self::Here(app)),
                Err(error) if error.code == ErrorCode::Busy => error,
                Err(error) => return Err(error),
            };
            let remote = Remote { data_dir: data_dir.to_owned(), patience: ANSWER_TIME };
            if remote.ping().await.is_ok() {
                return Ok(Self::There(remote));
            }
            if Instant::now() >= deadline {
                return Err(busy);
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The process that runs the engine on a data folder, seen from another one.
#[derive(Clone, Debug)]
pub struct Remote {
    data_dir: PathBuf,
    /// How long to wait for an answer.
    patience: Duration,
}

impl Remote {
    /// Asks whether it is there.
    ///
    /// # Errors
    /// If nobody answers.
    pub async fn ping(&self) -> Result<(), ApiError> {
        self.done(&Request::Ping).await
    }

    /// As [`App::cancel_run`].
    ///
    /// # Errors
    /// What the other process answers, or that it does not.
    pub async fn cancel(&self, run: JobId) -> Result<(), ApiError> {
        self.done(&Request::Cancel { run }).await
    }

    /// As [`App::resume_run`], and follows the run.
    ///
    /// # Errors
    /// What the other process answers, or that it does not.
    pub async fn resume(&self, run: JobId) -> Result<Follow, ApiError> {
        self.followed(&Request::Resume { run }).await
    }

    /// As [`App::pause_run`].
    ///
    /// # Errors
    /// What the other process answers, or that it does not.
    pub async fn pause(&self, run: JobId) -> Result<(), ApiError> {
        self.done(&Request::Pause { run }).await
    }

    /// As [`App::pause_all`].
    ///
    /// # Errors
    /// What the other process answers, or that it does not.
    pub async fn pause_all(&self, pause: bool) -> Result<(), ApiError> {
        self.done(&Request::PauseAll { pause }).await
    }

    /// As [`App::prune_runs`].
    ///
    /// # Errors
    /// What the other process answers, or that it does not.
    pub async fn prune(
        &self,
        keep_runs: Option<u32>,
        keep_days: Option<u32>,
    ) -> Result<u32, ApiError> {
        let mut lines = self.ask(&Request::Prune { keep_runs, keep_days }).await?;
        match self.first_answer(&mut lines).await? {
            Answer::Count(count) => Ok(count),
            Answer::Failed(error) => Err(error),
            Answer::Done | Answer::Started { .. } | Answer::Event(_) | Answer::Ended(_) => {
                Err(strange())
            }
        }
    }

    /// As [`App::rerun`], and follows the new run.
    ///
    /// # Errors
    /// What the other process answers, or that it does not.
    pub async fn rerun(&self, request: RerunRequest) -> Result<Follow, ApiError> {
        self.followed(&Request::Rerun(request)).await
    }

    /// As [`App::run_text`], and follows the run.
    ///
    /// # Errors
    /// What the other process answers, or that it does not.
    pub async fn run(&self, text: RunText) -> Result<Follow, ApiError> {
        self.followed(&Request::Run(text)).await
    }

    async fn done(&self, request: &Request) -> Result<(), ApiError> {
        let mut lines = self.ask(request).await?;
        match self.first_answer(&mut lines).await? {
            Answer::Done => Ok(()),
            Answer::Failed(error) => Err(error),
            Answer::Count(_) | Answer::Started { .. } | Answer::Event(_) | Answer::Ended(_) => {
                Err(strange())
            }
        }
    }

    async fn followed(&self, request: &Request) -> Result<Follow, ApiError> {
        let mut lines = self.ask(request).await?;
        let run = match self.first_answer(&mut lines).await? {
            Answer::Started { run } => run,
            Answer::Failed(error) => return Err(error),
            Answer::Done | Answer::Count(_) | Answer::Event(_) | Answer::Ended(_) => {
                return Err(strange());
            }
        };
        let (sender, follow) = Follow::channel(run);
        tokio::spawn(async move {
            loop {
                let answer = tokio::select! {
                    answer = next_answer(&mut lines) => answer,
                    () = sender.closed() => return,
                };
                let (message, last) = match answer {
                    Ok(Answer::Event(event)) => (Ok(Followed::Event(event)), false),
                    Ok(Answer::Ended(view)) => (Ok(Followed::Ended(view)), true),
                    Ok(Answer::Failed(error)) => (Err(error), true),
                    Ok(Answer::Done | Answer::Count(_) | Answer::Started { .. }) => {
                        (Err(strange()), true)
                    }
                    // It was killed, or has crashed.
                    Err(_) => (Err(stopped(run)), true),
                };
                if sender.send(message).await.is_err() || last {
                    return;
                }
            }
        });
        Ok(follow)
    }

    async fn first_answer(&self, lines: &mut BufReader<Stream>) -> Result<Answer, ApiError> {
        let answer = timeout(self.patience, next_answer(lines)).await;
        answer.unwrap_or_else(|_| Err(silent(&std::io::ErrorKind::TimedOut.into())))
    }

    async fn ask(&self, request: &Request) -> Result<BufReader<Stream>, ApiError> {
        let connected = async {
            let address = socket::Address::of(&self.data_dir)?;
            let stream = Stream::connect(address.name()?).await?;
            write_line(&mut &stream, request).await?;
            Ok(BufReader::new(stream))
        };
        match timeout(REQUEST_TIME, connected).await {
            Ok(Ok(lines)) => Ok(lines),
            Ok(Err(error)) => Err(silent(&error)),
            Err(_) => Err(silent(&std::io::ErrorKind::TimedOut.into())),
        }
    }
}

/// Listens for the requests of other processes. Ends when dropped.
pub(crate) struct Server {
    task: JoinHandle<()>,
    /// How many runs of other processes are under way here.
    handed: watch::Receiver<usize>,
}

impl Server {
    /// Starts to listen. The folder's lock must be held: what is left of an earlier process is
    /// removed.
    ///
    /// # Errors
    /// If the folder cannot hold a socket.
    pub(crate) fn start(core: &Arc<Core>, data_dir: &Path) -> std::io::Result<Self> {
        let address = socket::Address::of(data_dir)?;
        let listener = address.listen()?;
        let (count, handed) = watch::channel(0);
        let core = Arc::downgrade(core);
        let task = tokio::spawn(async move {
            // The address holds what its name depends on.
            let _address = address;
            accept(listener, core, Arc::new(count)).await;
        });
        Ok(Self { task, handed })
    }

    /// Stops listening. After this the socket is gone.
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        // It was aborted: there is no other result to learn of.
        let _ = (&mut self.task).await;
    }

    /// Tells how many runs of other processes are under way here.
    pub(crate) fn handed_over(&self) -> watch::Receiver<usize> {
        self.handed.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: Listener, core: Weak<Core>, handed: Arc<watch::Sender<usize>>) {
    let callers = Arc::new(Semaphore::new(MAX_CALLERS));
    loop {
        let permit =
            Arc::clone(&callers).acquire_owned().await.expect("the semaphore is never closed");
        let stream = match listener.accept().await {
            Ok(stream) => stream,
            Err(error) => {
                // Out of files, for example. Trying at once would fail again.
                tracing::warn!(%error, "A request from another process could not be taken.");
                sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let Some(core) = core.upgrade() else { return };
        let handed = Arc::clone(&handed);
        tokio::spawn(async move {
            let app = App { core };
            if let Err(error) = serve(&app, stream, &handed).await {
                tracing::debug!(%error, "A caller from another process has gone.");
            }
            drop(permit);
        });
    }
}

async fn serve(
    app: &App,
    stream: Stream,
    handed: &Arc<watch::Sender<usize>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(&stream);
    let mut sender = &stream;
    let request = match timeout(REQUEST_TIME, read_line::<Request>(&mut lines, MAX_REQUEST)).await {
        Ok(Ok(request)) => request,
        Ok(Err(error)) => {
            let refused = ApiError::new(
                ErrorCode::Invalid,
                format!("The request was not understood: {error}."),
            )
            .with_hint(
                "The two processes may be different versions of Quaero. Close the other one first.",
            );
            return write_line(&mut sender, &Answer::Failed(refused)).await;
        }
        Err(_) => return Ok(()),
    };
    // From before the run is accepted until its follower knows the end: closing any sooner would
    // cut one of them off.
    let counted = Arc::new(Counted::new(Arc::clone(handed)));
    let events = app.events();
    let asked = match request {
        Request::Ping => Ok(Answer::Done),
        Request::Cancel { run } => app.cancel_run(run).await.map(|()| Answer::Done),
        Request::Pause { run } => app.pause_run(run).await.map(|()| Answer::Done),
        Request::PauseAll { pause } => app.pause_all(pause).await.map(|()| Answer::Done),
        Request::Prune { keep_runs, keep_days } => {
            app.prune_runs(keep_runs, keep_days).await.map(Answer::Count)
        }
        Request::Resume { run } => app.resume_run(run).await.map(|()| Answer::Started { run }),
        Request::Rerun(request) => app.rerun(request).await.map(|run| Answer::Started { run }),
        Request::Run(text) => app.run_text(text).await.map(|run| Answer::Started { run }),
    };
    let answer = asked.unwrap_or_else(Answer::Failed);
    let Answer::Started { run } = answer else { return write_line(&mut sender, &answer).await };
    // The run counts until it ends, even if its follower leaves before.
    let (until_its_end, host) = (Arc::clone(&counted), app.clone());
    tokio::spawn(async move {
        // An error means that the run does not go on here, which is an end as well.
        let _ = host.wait_run(run).await;
        drop(until_its_end);
    });
    write_line(&mut sender, &answer).await?;
    let mut follow = app.follow(run, events);
    while let Some(message) = follow.next().await {
        let answer = match message {
            Ok(Followed::Event(event)) => Answer::Event(event),
            Ok(Followed::Ended(view)) => Answer::Ended(view),
            Err(error) => Answer::Failed(error),
        };
        write_line(&mut sender, &answer).await?;
    }
    Ok(())
}

/// Counts a run for as long as it lives.
struct Counted(Arc<watch::Sender<usize>>);

impl Counted {
    fn new(count: Arc<watch::Sender<usize>>) -> Self {
        count.send_modify(|n| *n += 1);
        Self(count)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|n| *n -= 1);
    }
}

async fn next_answer(lines: &mut BufReader<Stream>) -> Result<Answer, ApiError> {
    read_line(lines, MAX_ANSWER).await.map_err(|error| silent(&error))
}

async fn read_line<T: for<'de> Deserialize<'de>>(
    lines: &mut (impl AsyncBufRead + Unpin),
    max: u64,
) -> std::io::Result<T> {
    let mut line = Vec::new();
    lines.take(max).read_until(b'\n', &mut line).await?;
    if line.last() != Some(&b'\n') {
        let what =
            if line.is_empty() { "nothing was sent" } else { "a line is too long or incomplete" };
        return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, what));
    }
    Ok(serde_json::from_slice(&line)?)
}

async fn write_line(
    stream: &mut (impl AsyncWrite + Unpin),
    value: &impl Serialize,
) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    stream.flush().await
}

fn silent(error: &std::io::Error) -> ApiError {
    ApiError::new(
        ErrorCode::Busy,
        format!("The process that runs the engine does not answer: {error}."),
    )
    .with_hint("Close Quaero's window, or wait for the other command to end.")
}

fn strange() -> ApiError {
    ApiError::new(
        ErrorCode::Internal,
        "The process that runs the engine gave an answer that does not fit.",
    )
    .with_hint("It may be another version of Quaero. Close it first.")
}

#[cfg(test)]
mod tests;
