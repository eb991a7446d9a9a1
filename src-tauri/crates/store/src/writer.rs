//! The one writer. A thread owns the only writing connection; everything else sends it closures.
//! They run on that thread, one statement after the other, without a wait in between: handing each
//! statement to another thread and waiting for it would cost more than the statement.
//!
//! Group commit: whatever has queued while the last commit ran goes into one transaction, each
//! command in a savepoint of its own, and every caller is answered after the commit. Under load
//! the cost of a durable commit (one fsync) is therefore shared; alone, a command commits at once.
//! The first command of a commit needs no savepoint: if it fails, the whole transaction is undone
//! and the next one begins again.
//!
//! Progress of the runs that were touched is read here, inside the commit that changes it, so that
//! it is never ahead of the truth or behind: at once if a run or step has changed its state,
//! otherwise at most 20 times a second for each run.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use futures::FutureExt;
use quaero_contract::JobId;
use rusqlite::{Connection, config::DbConfig};
use tokio::{
    runtime,
    sync::{Notify, broadcast, mpsc, oneshot},
    time::{Sleep, sleep},
};

use crate::{
    Durability,
    change::Change,
    error::{Result, StoreError},
    index::Unindexed,
    known::KnownKeys,
    point::Point,
    tally::Tally,
    wal::{LARGE_WAL, WalSize},
};

/// How many commands share one commit at most.
const BATCH: usize = 256;
/// The shortest time between two looks at the progress of one run.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(50);

/// A transaction in the hands of a command.
#[derive(Debug)]
pub struct Tx {
    pub(crate) conn: Connection,
    pub(crate) epoch: i64,
    changes: Vec<Change>,
    /// Runs whose progress has changed, and whether that is to be told at once.
    touched: BTreeMap<JobId, bool>,
    pub(crate) tally: Tally,
    pub(crate) known: KnownKeys,
    pub(crate) unindexed: Unindexed,
    /// Whether no transaction was left open by an error.
    clean: bool,
    /// Whether commits wait for the disk if what they commit is to be durable, and whether they do now.
    durability: Durability,
    waits: bool,
    /// Why nothing is written any more: the database is damaged and must get no worse, or belongs to
    /// another process.
    refused: Option<StoreError>,
    /// Changes when another connection has changed the database.
    version: Option<i64>,
    wal: WalSize,
}

impl Tx {
    fn new(conn: Connection, epoch: i64, durability: Durability) -> Self {
        let (changes, touched, tally, known, unindexed) = Default::default();
        let waits = durability == Durability::Disk;
        let (clean, refused, version) = (true, None, None);
        let wal = WalSize::of(&conn);
        Self {
            conn,
            epoch,
            changes,
            touched,
            tally,
            known,
            unindexed,
            clean,
            durability,
            waits,
            refused,
            version,
            wal,
        }
    }

    /// Has the commits from now on wait for the disk, or not. Not possible within a transaction.
    fn wait_for_disk(&mut self, waits: bool) -> Result<()> {
        if self.durability == Durability::Disk && self.waits != waits {
            self.conn.pragma_update(None, "synchronous", if waits { "FULL" } else { "NORMAL" })?;
            self.waits = waits;
        }
        Ok(())
    }

    /// From the first sign of damage, or of another process that writes, everything is refused.
    fn notice_refusal(&mut self, error: &StoreError) {
        let is_final = matches!(error, StoreError::Corrupt { .. } | StoreError::Superseded { .. });
        if is_final && self.refused.is_none() {
            tracing::error!(%error, "nothing is written to the database any more");
            // Not by closing it either.
            let _ = self.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
            self.refused = Some(error.clone());
        }
    }

    /// Itself, with no transaction open, if this process may still write.
    fn outside(&mut self) -> Result<&mut Self> {
        if let Some(why) = &self.refused {
            return Err(why.clone());
        }
        clean(&self.conn)?;
        execute(&self.conn, "BEGIN IMMEDIATE")?;
        let checked = self.check_epoch();
        clean(&self.conn)?;
        checked.map(|()| self)
    }

    /// Whether this process is still the one that writes. Within a transaction; nobody else can begin
    /// to write before it ends.
    fn check_epoch(&mut self) -> Result<()> {
        let version =
            self.conn.prepare_cached("PRAGMA data_version")?.query_one([], |r| r.get(0))?;
        if self.version == Some(version) {
            return Ok(());
        }
        let newest = "SELECT pid FROM epochs WHERE id > ? ORDER BY id DESC LIMIT 1";
        if let Some(pid) = self.first_scalar(newest, [self.epoch])? {
            return Err(StoreError::Superseded { pid });
        }
        self.version = Some(version);
        Ok(())
    }

    /// Notes something that others are told of after the commit.
    pub(crate) fn note(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// The progress of this run has changed, or is to be told again.
    pub fn touch(&mut self, run: JobId) {
        self.touched.entry(run).or_default();
    }

    /// As [`Tx::touch`], to be told with this commit.
    pub fn touch_now(&mut self, run: JobId) {
        self.touched.insert(run, true);
    }
}

type Answer = Box<dyn FnOnce(Result<()>) + Send>;
/// Gets the transaction, or why there is none, and says whether its changes stay or why not.
type Run = Box<dyn FnOnce(Result<&mut Tx>) -> (Result<()>, Answer) + Send>;

/// How much a command matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// Before everything that is queued.
    Urgent,
    Normal,
    /// Nothing would be lost if a power failure undid it: its commit does not wait for the disk, unless
    /// it was queued behind one that does.
    Light,
    /// What SQLite does in no transaction; everything else waits for it.
    Outside,
}

struct Command {
    weight: Weight,
    run: Run,
}

/// Sends commands to the writer. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    normal: mpsc::Sender<Command>,
    urgent: mpsc::Sender<Command>,
    changes: broadcast::Sender<Arc<[Change]>>,
    stop: Arc<Notify>,
    runtime: runtime::Handle,
}

impl Writer {
    /// Starts the writer on its connection. Its thread gives the connection back after
    /// [`Writer::stopper`] was notified, or when nobody can write any more.
    pub(crate) fn start(
        conn: Connection,
        epoch: i64,
        durability: Durability,
    ) -> Result<(Self, JoinHandle<Connection>)> {
        let (normal, normal_rx) = mpsc::channel(1024);
        let (urgent, urgent_rx) = mpsc::channel(64);
        let (changes, _) = broadcast::channel(4096);
        let stop = Arc::new(Notify::new());
        let (told, stopped) = (changes.clone(), stop.clone());
        let waiting = runtime::Builder::new_current_thread().enable_all().build();
        let waiting = waiting.map_err(StoreError::io("the writer"))?;
        let runtime = waiting.handle().clone();
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || {
                let tx = Tx::new(conn, epoch, durability);
                waiting.block_on(serve(tx, normal_rx, urgent_rx, told, stopped))
            })
            .map_err(StoreError::io("the writer"))?;
        Ok((Self { normal, urgent, changes, stop, runtime }, thread))
    }

    /// The writer's thread, for what it does when it has nothing to write.
    pub(crate) const fn runtime(&self) -> &runtime::Handle {
        &self.runtime
    }

    /// Ends the writer when its queues are empty. Commands that come later find it closed.
    pub(crate) fn stopper(&self) -> Arc<Notify> {
        Arc::clone(&self.stop)
    }

    /// What has been committed, from now on, in order.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<[Change]>> {
        self.changes.subscribe()
    }

    /// Runs `change` in a transaction and answers after it is committed, and durable unless it is light.
    pub(crate) async fn write<T, F>(&self, weight: Weight, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx) -> Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let run: Run = Box::new(move |tx: Result<&mut Tx>| {
            let result = tx.and_then(|tx| {
                catch_unwind(AssertUnwindSafe(|| change(tx)))
                    .unwrap_or_else(|panic| Err(StoreError::Panicked(panic_text(&*panic))))
            });
            let done = result.as_ref().map(|_| ()).map_err(Clone::clone);
            let finish: Answer = Box::new(move |committed| {
                // A caller that has gone away does not need the answer.
                let _ = reply.send(match committed {
                    Ok(()) => result,
                    Err(error) => Err(error),
                });
            });
            (done, finish)
        });
        let queue = if weight == Weight::Urgent { &self.urgent } else { &self.normal };
        queue.send(Command { weight, run }).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

async fn serve(
    mut tx: Tx,
    mut normal: mpsc::Receiver<Command>,
    mut urgent: mpsc::Receiver<Command>,
    changes: broadcast::Sender<Arc<[Change]>>,
    stop: Arc<Notify>,
) -> Connection {
    let mut told = Told::default();
    let mut told_refusal = false;
    // A command that must not share the commit of those before it.
    let mut apart = None;
    loop {
        let mut first = tokio::select! {
            biased;
            () = stop.notified() => {
                // What is queued is still written; what comes later finds it closed.
                normal.close();
                urgent.close();
                continue;
            }
            command = async { apart.take() }, if apart.is_some() => command,
            command = next(&mut normal, &mut urgent) => match command {
                Some(command) => Some(command),
                None => return tx.conn,
            },
            () = told.over(&tx.touched) => {
                // A moment that is over must not be awaited again.
                told = Told::default();
                None
            }
        };
        if let Some(command) = first.take_if(|command| command.weight == Weight::Outside) {
            let (done, answer) = (command.run)(tx.outside());
            if let Err(error) = &done {
                tx.notice_refusal(error);
            }
            tx.clean = clean(&tx.conn).is_ok();
            // What it has done needs no commit.
            answer(Ok(()));
            continue;
        }
        let mut answers = Vec::new();
        let queued = || urgent.try_recv().or_else(|_| normal.try_recv()).ok();
        let outcome = group(&mut tx, first, queued, &mut apart, &mut told, &mut answers);
        if let Err(error) = &outcome {
            tracing::error!(%error, "a commit failed");
            #[cfg(feature = "failpoints")]
            crate::faults::failed(error);
            tx.notice_refusal(error);
            tx.clean = clean(&tx.conn).is_ok();
            tx.changes.clear();
            tx.tally.clear();
            tx.known.undo(0);
        }
        tx.known.keep();
        tx.unindexed = Unindexed::default();
        if let Some(bytes) = tx.wal.outgrown(LARGE_WAL) {
            tracing::warn!(bytes, "the write-ahead log grows: a program reads without an end");
        }
        if let (Some(why), false) = (&tx.refused, told_refusal) {
            told_refusal = true;
            tx.changes.push(Change::Refused(why.clone()));
        }
        let committed: Vec<Change> = std::mem::take(&mut tx.changes);
        if !committed.is_empty() {
            // Without a listener there is nobody to tell.
            let _ = changes.send(committed.into());
        }
        Point::CommitTold.pass();
        for answer in answers {
            answer(outcome.clone());
        }
        Point::CommitAnswered.pass();
        // What goes on beside this may want something of the next commit.
        tokio::task::yield_now().await;
    }
}

/// The runs whose progress was told a moment ago: not again before the moment is over.
#[derive(Default)]
struct Told {
    runs: BTreeSet<JobId>,
    moment: Option<Pin<Box<Sleep>>>,
}

impl Told {
    /// Ends with the moment, if one of the runs that were touched waits for that; else never.
    async fn over(&mut self, touched: &BTreeMap<JobId, bool>) {
        match &mut self.moment {
            Some(moment) if touched.keys().any(|run| self.runs.contains(run)) => moment.await,
            _ => std::future::pending().await,
        }
    }

    /// Takes the runs out of `touched` that are to be told now.
    fn take_due(&mut self, touched: &mut BTreeMap<JobId, bool>) -> BTreeSet<JobId> {
        if self.moment.as_mut().is_none_or(|moment| moment.now_or_never().is_some()) {
            self.moment = None;
            self.runs.clear();
        }
        let due: BTreeSet<JobId> = touched
            .iter()
            .filter(|(run, at_once)| **at_once || !self.runs.contains(run))
            .map(|(run, _)| *run)
            .collect();
        touched.retain(|run, _| !due.contains(run));
        if !due.is_empty() {
            self.moment.get_or_insert_with(|| Box::pin(sleep(PROGRESS_INTERVAL)));
            self.runs.extend(&due);
        }
        due
    }
}

/// The next command; none when nobody can send any more.
async fn next(
    normal: &mut mpsc::Receiver<Command>,
    urgent: &mut mpsc::Receiver<Command>,
) -> Option<Command> {
    tokio::select! {
        biased;
        Some(command) = urgent.recv() => Some(command),
        Some(command) = normal.recv() => Some(command),
        else => None,
    }
}

/// One transaction: `first` and what has queued behind it; if that is light, up to the first command
/// that is not and would have it wait for the disk.
fn group(
    tx: &mut Tx,
    first: Option<Command>,
    mut queued: impl FnMut() -> Option<Command>,
    apart: &mut Option<Command>,
    told: &mut Told,
    answers: &mut Vec<Answer>,
) -> Result<()> {
    if !tx.clean {
        tx.clean = clean(&tx.conn).is_ok();
    }
    let is_light = first.as_ref().is_none_or(|command| command.weight == Weight::Light);
    Point::CommandsWait.pass();
    #[cfg(feature = "failpoints")]
    crate::faults::before_commit(&tx.conn)?;
    let mut state = tx.refused.clone().map_or_else(|| tx.wait_for_disk(!is_light), Err);
    state = state.and_then(|()| execute(&tx.conn, "BEGIN IMMEDIATE"));
    state = state.and_then(|()| Point::Begun.reach());
    state = state.and_then(|()| tx.check_epoch());
    if let (Err(error), false) = (&state, tx.clean) {
        // What keeps the last transaction from being undone may pass, so this may pass as well.
        tracing::debug!(%error, "the last transaction is still open");
        state = Err(StoreError::Unsettled);
    }
    let mut alone = true;
    let mut next = first;
    while let Some(command) = next {
        if state.is_ok() && !alone {
            state = execute(&tx.conn, "SAVEPOINT command");
        }
        if let Err(error) = state {
            let mut refused = Some(command);
            while let Some(command) = refused {
                answers.push((command.run)(Err(error.clone())).1);
                // Each one more would wait for the other program as long as this one has.
                refused = if matches!(error, StoreError::InUse) { queued() } else { None };
            }
            return Err(error);
        }
        let (mark, known, unindexed) = (tx.changes.len(), tx.known.mark(), tx.unindexed.mark());
        let (mut done, answer) = (command.run)(Ok(tx));
        done = done.and_then(|()| Point::CommandDone.reach());
        if done.is_ok() {
            done = tx.flush();
            // Whoever ends tasks settles what is above them; of steps the coordinator is asked.
            tx.tally.take_emptied();
        }
        match (&done, alone) {
            // It went on after an error that has undone the transaction.
            (Ok(()), _) if tx.conn.is_autocommit() => state = Err(StoreError::Unsettled),
            (Ok(()), true) => alone = false,
            (Ok(()), false) => state = execute(&tx.conn, "RELEASE command"),
            (Err(cause), _) => {
                #[cfg(feature = "failpoints")]
                crate::faults::failed(cause);
                tx.notice_refusal(cause);
                tx.changes.truncate(mark);
                tx.tally.clear();
                tx.known.undo(known);
                tx.unindexed.undo(unindexed);
                // After a full disk, for one, SQLite has undone the whole transaction by itself.
                state = undo(&tx.conn, alone).map_err(|_| cause.clone());
                state = state.and_then(|()| tx.refused.clone().map_or(Ok(()), Err));
            }
        }
        // What the command found is its answer, unless the commit fails as a whole.
        answers.push(Box::new(move |committed| answer(committed.and(done))));
        state.clone()?;
        next = if answers.len() < BATCH { queued() } else { None };
        let apart_from = |next: &Command| {
            next.weight == Weight::Outside || (is_light && next.weight != Weight::Light)
        };
        if next.as_ref().is_some_and(apart_from) {
            *apart = next.take();
        }
    }
    state?;
    tx.write_index()?;
    let due = told.take_due(&mut tx.touched);
    let committed = tell_and_commit(tx, &due);
    #[cfg(feature = "failpoints")]
    if committed.is_ok() && !tx.waits && !answers.is_empty() {
        crate::faults::light_commit();
    }
    if committed.is_err() {
        // They have not been told.
        tx.touched.extend(due.into_iter().map(|run| (run, true)));
    }
    committed
}

fn tell_and_commit(tx: &mut Tx, due: &BTreeSet<JobId>) -> Result<()> {
    for run in due {
        let progress = tx.progress(*run)?;
        tx.changes.extend(progress.map(Change::Progress));
    }
    Point::CommitBegun.reach()?;
    execute(&tx.conn, "COMMIT").inspect(|()| Point::Committed.pass())
}

/// Leaves no transaction open. After most errors SQLite has undone it by itself.
fn clean(conn: &Connection) -> Result<()> {
    if conn.is_autocommit() { Ok(()) } else { execute(conn, "ROLLBACK") }
}

/// Undoes the last command: alone, with its whole transaction.
fn undo(conn: &Connection, alone: bool) -> Result<()> {
    if alone {
        clean(conn)?;
        execute(conn, "BEGIN IMMEDIATE")
    } else {
        execute(conn, "ROLLBACK TO command")?;
        execute(conn, "RELEASE command")
    }
}

fn execute(conn: &Connection, sql: &'static str) -> Result<()> {
    conn.prepare_cached(sql)?.execute([])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    fn start() -> (Writer, JoinHandle<Connection>) {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(
            "CREATE TABLE t (x); CREATE TABLE epochs (id, pid); PRAGMA max_page_count = 20",
        )
        .unwrap();
        Writer::start(conn, 1, Durability::Disk).unwrap()
    }

    #[tokio::test]
    async fn a_full_disk_is_named_to_everyone_in_the_commit_and_passes() {
        let (writer, _thread) = start();
        let write = |bytes: i64| {
            writer.write(Weight::Normal, move |tx| {
                tx.execute("INSERT INTO t VALUES (zeroblob(?))", [bytes])
            })
        };
        let (small, large) = tokio::join!(write(10), write(1_000_000));
        assert!(matches!(large, Err(StoreError::Full)), "{large:?}");
        assert!(matches!(small, Ok(1) | Err(StoreError::Full)), "{small:?}");
        write(10).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_light_does_not_wait_for_the_disk_unless_it_is_behind_what_does() {
        let (writer, _thread) = start();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let first = writer.write(Weight::Normal, move |_| {
            wait.recv().expect("told to go on");
            Ok(true)
        });
        let weights =
            [Weight::Outside, Weight::Light, Weight::Light, Weight::Normal, Weight::Light];
        let writes = weights.map(|weight| writer.write(weight, |tx| Ok(tx.waits)));
        let rest = futures::future::join_all(writes);
        let (_, rest, ()) = tokio::join!(first, rest, async { go.send(()).unwrap() });
        let rest: Vec<bool> = rest.into_iter().map(Result::unwrap).collect();
        assert_eq!(rest[1..], [false, false, true, true]);
    }

    #[tokio::test]
    async fn what_needs_no_transaction_gets_none_and_shares_no_commit() {
        let (writer, _thread) = start();
        let outside = [false, true, false, true, true, false];
        let writes = outside.map(|outside| {
            let weight = if outside { Weight::Outside } else { Weight::Normal };
            writer.write(weight, |tx| Ok(tx.conn.is_autocommit()))
        });
        let free = futures::future::join_all(writes).await;
        for (outside, free) in outside.into_iter().zip(free) {
            assert_eq!(free.unwrap(), outside);
        }
        let vacuum = writer.write(Weight::Outside, |tx| tx.execute("VACUUM", []));
        vacuum.await.unwrap();
        let left_open = writer.write(Weight::Outside, |tx| tx.execute("BEGIN", []));
        left_open.await.unwrap();
        let next = writer.write(Weight::Outside, |tx| Ok(tx.conn.is_autocommit()));
        assert!(next.await.unwrap(), "what was left open is undone");
        let other = writer.write(Weight::Normal, |tx| {
            tx.execute("INSERT INTO epochs VALUES (2, 7)", [])?;
            tx.version = None;
            Ok(())
        });
        other.await.unwrap();
        let refused = writer.write(Weight::Outside, |_| Ok(())).await;
        assert!(matches!(refused, Err(StoreError::Superseded { pid: 7 })), "{refused:?}");
    }

    #[test]
    fn the_writer_ends_when_nobody_can_write_any_more() {
        let (writer, thread) = start();
        drop(writer);
        thread.join().unwrap();
    }
}
