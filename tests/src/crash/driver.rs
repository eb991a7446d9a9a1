//! An engine with scripted work, to be killed. It does what its [`Order`] says, prints a line of
//! JSON ([`Said`]) for everything that is durable, and ends when every run has ended, or in order
//! at the first signal.

use std::{
    collections::BTreeSet,
    io::Write,
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use quaero_contract::JobId;
use quaero_engine::{Clock, Engine, EngineOptions, Event};
use quaero_store::{Access, Point, Store, faults};
use quaero_tests::{
    crash::{Ended, Fault, Order, SPEED, Said, story},
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
    let counts = if order.counts { count()? } else { Vec::new() };
    for (point, fault) in &order.faults {
        arm(point, *fault)?;
    }
    let store = open(Path::new(&folder), &order, clock.now_ms()).await?;
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
    for (point, times) in counts {
        say(&Said::Reached { point: point.name().to_owned(), times: times.load(SeqCst) });
    }
    Ok(ExitCode::SUCCESS)
}

async fn open(folder: &Path, order: &Order, now_ms: i64) -> quaero_store::Result<Store> {
    let Some(last) = order.dies_opening else {
        return Store::open(folder, Access::Write, now_ms).await;
    };
    let steps = AtomicU64::new(0);
    let dies = move || {
        if steps.fetch_add(1, SeqCst) == last {
            die();
        }
        false
    };
    faults::open(folder, now_ms, 1, dies).await
}

/// Counts how often each point is reached.
fn count() -> Result<Vec<(Point, Arc<AtomicU64>)>, Failure> {
    let counted = Point::ALL.iter().map(|point| {
        let times = Arc::new(AtomicU64::new(0));
        let counter = times.clone();
        fail::cfg_callback(point.name(), move || {
            counter.fetch_add(1, SeqCst);
        })?;
        Ok((*point, times))
    });
    counted.collect()
}

fn arm(point: &str, fault: Fault) -> Result<(), Failure> {
    match fault {
        Fault::Dies(last) => {
            let times = AtomicU64::new(1);
            fail::cfg_callback(point, move || {
                if times.fetch_add(1, SeqCst) == last {
                    die();
                }
            })?;
        }
        Fault::Fails { from: 1, times } => fail::cfg(point, &format!("{times}*return->off"))?,
        Fault::Fails { from, times } => {
            fail::cfg(point, &format!("{}*off->{times}*return->off", from - 1))?;
        }
    }
    Ok(())
}

/// Ends this process as `kill -9` does.
fn die() -> ! {
    #[cfg(unix)]
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}

async fn start(store: &Store, order: &Order, clock: Fast) -> Result<Engine, Failure> {
    let conduct = Conduct {
        hold: order.hold,
        started: Arc::new(|job| say(&Said::Started { task: job.name.clone() })),
    };
    let options = EngineOptions { width: order.width, ..EngineOptions::default() };
    Ok(Engine::start(store.clone(), registry(conduct), Arc::new(clock), options).await?)
}

/// Asks for the runs, and tells of the end of every run of the folder.
async fn work(engine: &Engine, store: &Store, order: &Order) -> Result<(), Failure> {
    if let Some(act) = order.act {
        story::play(act, engine, store).await?;
        say(&Said::Played);
        return Ok(());
    }
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
