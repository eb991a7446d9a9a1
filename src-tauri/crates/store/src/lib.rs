//! SQLite: connections, migrations, one module per table. All SQL of Quaero is in this crate, and
//! only its writer writes.
//!
//! Architecture invariants, held by the schema and by [`Store::inconsistencies`]:
//! - a status moves only along the table of transitions, and its event is written with it;
//! - counters equal what they count;
//! - a running job has a lease, and a lease of another process is void;
//! - a job ends after its children, and gets none once it has ended.

mod change;
mod claim;
mod consistent;
mod control;
mod create;
mod definitions;
mod documents;
mod error;
#[cfg(feature = "failpoints")]
pub mod faults;
mod folder;
mod history;
mod index;
mod jobs;
mod known;
mod logs;
mod place;
mod point;
mod query;
mod recover;
mod runs;
mod schedules;
mod search;
mod sources;
mod state;
mod statement;
mod tally;
mod time;
mod upkeep;
mod views;
mod wal;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

pub use quaero_contract::DocumentId;
use rusqlite::Connection;
use sqlx::SqlitePool;
use tokio::sync::{Mutex, Notify, broadcast};

pub use change::Change;
pub use claim::{Claimed, LaneState, Rooms};
pub use definitions::{VERSIONS_KEPT, text_hash};
pub use documents::{DocumentFilter, DocumentState, NewDocument, PreparedDocument, SaveOutcome};
pub use error::{Result, StoreError};
pub use folder::Lock;
pub use history::Keep;
pub use jobs::{Inserted, Lease, Leased, Place, TaskRow};
pub use logs::{LogRow, Logs};
pub use place::shared_file_system;
pub use point::Point;
pub use query::Query;
pub use recover::{POISON_AFTER, SUSPECT_AFTER};
pub use runs::{
    MAX_TASKS, NewRun, NewStep, Reuse, RunLimits, RunProgress, RunState, StepConfig, StepRow,
    Tolerance,
};
pub use schedules::{ScheduleState, Settled, Slot};
pub use sources::{PageState, Request, Unseen};
pub use time::rfc3339;
pub use upkeep::{Backup, Shrunk};
pub use writer::Tx;

use writer::{Weight, Writer};

/// What a process may do with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Take the folder's lock, bring the schema up to date and write.
    Write,
    /// Only read, beside a process that may be writing.
    Read,
}

/// What a commit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The disk, but for what is light ([`Store::write_light`]): what is committed survives a power
    /// failure. What the program uses.
    Disk,
    /// The operating system: what is committed survives the death of the process, but a power
    /// failure can take the last commits back. For measurements.
    System,
}

/// The store. Cheap to clone; closed when [`Store::close`] is called on one of the clones.
#[derive(Clone, Debug)]
pub struct Store {
    folder: Arc<Path>,
    readers: SqlitePool,
    logs: Logs,
    writing: Option<Writing>,
}

#[derive(Clone, Debug)]
struct Writing {
    writer: Writer,
    epoch: i64,
    was_unclean: bool,
    held: Arc<Mutex<Option<Held>>>,
}

/// What is held until close: the writer's thread with its connection, and the lock file.
#[derive(Debug)]
struct Held {
    stop: Arc<Notify>,
    thread: Option<thread::JoinHandle<Connection>>,
    lock: Option<Lock>,
}

impl Held {
    /// Ends the writer once its queues are empty, and waits for that. What it panicked with has been
    /// told.
    fn join(&mut self) -> Option<Connection> {
        self.stop.notify_one();
        self.thread.take()?.join().ok()
    }
}

impl Drop for Held {
    /// Nothing is written any more when the lock goes.
    fn drop(&mut self) {
        let is_writer =
            |thread: &thread::JoinHandle<_>| thread.thread().id() == thread::current().id();
        if self.thread.as_ref().is_some_and(is_writer) {
            // A task beside the writer was the last to know the store. No thread can wait for itself.
            let (thread, lock) = (self.thread.take(), self.lock.take());
            let last = move || {
                drop(thread.map(thread::JoinHandle::join));
                drop(lock);
            };
            // Without a thread to be had the lock goes now, and the writer as soon as it can.
            let _ = thread::Builder::new().spawn(last);
        }
        self.join();
    }
}

impl Store {
    /// Opens the store in a data folder, creating both if need be (for writing).
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another process writes; [`StoreError::Newer`] and
    /// [`StoreError::Corrupt`] without having changed a byte; [`StoreError::Io`] if the folder
    /// cannot be used.
    pub async fn open(folder: &Path, access: Access, now_ms: i64) -> Result<Self> {
        match access {
            Access::Read => {
                folder::check_name(folder)?;
                folder::check_database(folder, false).await?;
                let readers = folder::readers(folder).await?;
                let logs = Logs::open(folder, access).await?;
                Ok(Self { folder: folder.into(), readers, logs, writing: None })
            }
            Access::Write => Self::open_writer(folder, Durability::Disk, now_ms).await,
        }
    }

    /// As [`Store::open`] for writing, with commits that wait for what is asked for.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_writer(folder: &Path, durability: Durability, now_ms: i64) -> Result<Self> {
        folder::check_name(folder)?;
        folder::create(folder)?;
        Point::FolderMade.reach()?;
        let lock = Lock::acquire(folder)?;
        Point::Locked.reach()?;
        let opened = folder::open_writer(folder, durability, now_ms).await?;
        let readers = folder::readers(folder).await?;
        Point::ReadersOpened.reach()?;
        let logs = Logs::open(folder, Access::Write).await?;
        Point::LogsOpened.reach()?;
        let (writer, thread) = Writer::start(opened.conn, opened.epoch, durability)?;
        let stop = writer.stopper();
        let writing = Writing {
            writer,
            epoch: opened.epoch,
            was_unclean: opened.was_unclean,
            held: Arc::new(Mutex::new(Some(Held { stop, thread: Some(thread), lock: Some(lock) }))),
        };
        Ok(Self { folder: folder.into(), readers, logs, writing: Some(writing) })
    }

    /// Whether a folder holds a store that can be opened for reading.
    #[must_use]
    pub fn exists(folder: &Path) -> bool {
        folder::holds_store(folder)
    }

    /// Runs `change` in a transaction of its own savepoint and answers after it is durable.
    /// The closure must not wait for anything but the database.
    ///
    /// # Errors
    /// What the closure returns, or that the commit failed; nothing has been changed then.
    pub async fn write<T, F>(&self, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx) -> Result<T> + Send + 'static,
    {
        self.writer()?.write(Weight::Normal, change).await
    }

    /// As [`Store::write`], before everything that is queued: for cancel.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub async fn write_urgent<T, F>(&self, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx) -> Result<T> + Send + 'static,
    {
        self.writer()?.write(Weight::Urgent, change).await
    }

    /// As [`Store::write`], for a change of which nothing would be lost if a power failure undid it:
    /// its commit does not wait for the disk. It survives the death of the process all the same.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub async fn write_light<T, F>(&self, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx) -> Result<T> + Send + 'static,
    {
        self.writer()?.write(Weight::Light, change).await
    }

    /// What has been committed, from now on, in order.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`] if this process only reads.
    pub fn changes(&self) -> Result<broadcast::Receiver<Arc<[Change]>>> {
        Ok(self.writer()?.subscribe())
    }

    /// Runs a task on the writer's thread whenever nothing is being written there: one that writes and
    /// waits for that, again and again, does not have to wait for another thread as well. It must
    /// not block, it waits as long as a command takes, and it is dropped where it stands when the
    /// store is closed.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`] if this process only reads.
    pub fn spawn_beside_writer(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Result<()> {
        self.writer()?.runtime().spawn(task);
        Ok(())
    }

    fn writer(&self) -> Result<&Writer> {
        self.writing.as_ref().map(|w| &w.writer).ok_or(StoreError::ReadOnly)
    }

    /// The epoch of the process that runs the engine on this folder now, if one does.
    ///
    /// # Errors
    /// If the folder or the database cannot be read.
    pub async fn live_epoch(&self) -> Result<Option<i64>> {
        if let Some(writing) = &self.writing {
            return Ok(Some(writing.epoch));
        }
        if Lock::holder(&self.folder)?.is_none() {
            return Ok(None);
        }
        Ok(sqlx::query_scalar("SELECT max(id) FROM epochs").fetch_one(&self.readers).await?)
    }

    /// Whether this process may write.
    #[must_use]
    pub const fn writes(&self) -> bool {
        self.writing.is_some()
    }

    /// Whether the process before this one ended without closing the store.
    #[must_use]
    pub fn was_unclean(&self) -> bool {
        self.writing.as_ref().is_some_and(|w| w.was_unclean)
    }

    /// The log of runs.
    #[must_use]
    pub const fn logs(&self) -> &Logs {
        &self.logs
    }

    /// The data folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The database file.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.folder.join(folder::DATABASE)
    }

    /// The linked SQLite's version.
    #[must_use]
    pub fn sqlite_version() -> &'static str {
        folder::SQLITE_VERSION
    }

    /// Everything that contradicts what must always be true, in plain words; empty if all is well.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn inconsistencies(&self) -> Result<Vec<String>> {
        let mut found = consistent::violations(&mut *self.readers.acquire().await?).await?;
        if let Ok(writer) = self.writer() {
            let index = writer.write(Weight::Normal, consistent::check_index).await;
            found.extend(
                index.err().map(|e| format!("the search index differs from the documents: {e}")),
            );
        }
        Ok(found)
    }

    /// Writes what is queued, marks the stop as clean and closes all files. Other clones of the
    /// store get [`StoreError::Closed`] from then on.
    ///
    /// # Errors
    /// If SQLite fails. The lock is released in any case.
    pub async fn close(&self, now_ms: i64) -> Result<()> {
        let Some(writing) = &self.writing else {
            self.readers.close().await;
            self.logs.close().await;
            return Ok(());
        };
        let Some(mut held) = writing.held.lock().await.take() else { return Ok(()) };
        self.logs.close().await;
        Point::LogsClosed.pass();
        let epoch = writing.epoch;
        let marked = writing
            .writer
            .write(Weight::Normal, move |tx| {
                tx.execute("UPDATE epochs SET stopped_ms = ?1 WHERE id = ?2", [now_ms, epoch])?;
                Ok(())
            })
            .await;
        Point::CloseMarked.pass();
        self.readers.close().await;
        let closed = tokio::task::spawn_blocking(move || {
            let Some(conn) = held.join() else { return Ok(()) };
            folder::close_writer(conn).inspect(|()| Point::Closed.pass())
        });
        // It neither panics nor is it aborted.
        let closed = closed.await.unwrap_or(Ok(()));
        marked.and(closed)
    }
}
