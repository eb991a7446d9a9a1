//! An engine with scripted work, to be killed. It does what its [`Order`] says, prints a line of
//! JSON ([`Said`]) for everything that is durable, and ends when every run has ended, or in order
//! at the first signal.

use std::{
    collections::BTreeSet, io::Write, path::Path, process::ExitCode, sync::Arc, time::Duration,
};

use quaero_contract::JobId;
use quaero_engine::{Adopt, Clock, Engine, EngineOptions, Event};
use quaero_store::{Access, Store};
use quaero_tests::{
    crash::{Ended, Order, SPEED, Said},
    workers::{Conduct, Fast, registry},
};
use tokio::sync::broadcast::{Receiver, error::RecvError};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<ExitCode, Failure> {
    let mut signals = Signals::listen()?;
    say(&Said::Begun);
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(order)) = (arguments.next(), arguments.next()) else {
        return Err("usage: engine-driver DATA_DIR ORDER".into());
    };
    let order: Order = serde_json::from_str(&order)?;
    let grace = Duration::from_millis(order.grace_ms);

    let clock = Fast(SPEED);
    let store = Store::open(Path::new(&folder), Access::Write, clock.now_ms()).await?;
    say(&Said::Opened);
    let engine = start(&store, &order, clock).await?;
    say(&Said::Ready);

    let told = tokio::select! {
        () = signals.any() => true,
        ended = work(&engine, &store, &order) => {
            ended?;
            false
        }
    };
    if told {
        say(&Said::Stopping);
    }
    let impatient = async {
        if !told {
            signals.any().await;
        }
        signals.any().await;
    };
    let stop = async {
        engine.stop(grace).await;
        store.close(clock.now_ms()).await
    };
    tokio::select! {
        closed = stop => closed?,
        // Whoever asks twice does not want to wait.
        () = impatient => return Ok(ExitCode::FAILURE),
    }
    say(&Said::Stopped);
    Ok(ExitCode::SUCCESS)
}

async fn start(store: &Store, order: &Order, clock: Fast) -> Result<Engine, Failure> {
    let conduct = Conduct {
        hold: order.hold,
        started: Arc::new(|job| say(&Said::Started { task: job.name.clone() })),
    };
    let options = EngineOptions { adopt: Adopt::All, width: order.width };
    Ok(Engine::start(store.clone(), registry(conduct), Arc::new(clock), options).await?)
}

/// Asks for the runs, and tells of the end of every run of the folder.
async fn work(engine: &Engine, store: &Store, order: &Order) -> Result<(), Failure> {
    let mut events = engine.events();
    for (request, script) in &order.runs {
        let run = engine.submit(script.run(request)).await?;
        say(&Said::Accepted { request: request.clone(), run });
    }
    let mut told = BTreeSet::new();
    loop {
        let runs = store.list_runs(None, 1_000).await?;
        let mut open = 0;
        for run in runs {
            if !run.status.is_terminal() {
                open += 1;
            } else if told.insert(run.id) {
                say(&Said::Finished(Ended {
                    run: run.id,
                    status: run.status,
                    jobs: run.jobs,
                    documents: run.documents,
                }));
            }
        }
        if open == 0 {
            return Ok(());
        }
        until_a_run_ends(&mut events).await?;
    }
}

async fn until_a_run_ends(events: &mut Receiver<Event>) -> Result<(), Failure> {
    loop {
        match events.recv().await {
            Ok(Event::Status(change)) if is_end_of_run(&change) => return Ok(()),
            Ok(_) => {}
            // The end may have been among what was missed.
            Err(RecvError::Lagged(_)) => return Ok(()),
            Err(closed @ RecvError::Closed) => return Err(closed.into()),
        }
    }
}

fn is_end_of_run(change: &quaero_contract::JobStatusChange) -> bool {
    let run: JobId = change.run_id;
    change.job_id == run && change.status.is_terminal()
}

/// The ways in which a process is asked to end.
#[cfg(unix)]
struct Signals([tokio::signal::unix::Signal; 3]);

#[cfg(unix)]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
        let [terminate, interrupt, hangup] = kinds.map(signal);
        Ok(Self([terminate?, interrupt?, hangup?]))
    }

    async fn any(&mut self) {
        let [terminate, interrupt, hangup] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// The tests that send signals are for Unix.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn any(&mut self) {
        std::future::pending().await
    }
}

fn say(said: &Said) {
    let line = serde_json::to_string(said).expect("it is plain data");
    // Nobody listens any more: whoever did will know.
    let _ = writeln!(std::io::stdout(), "{line}");
}
