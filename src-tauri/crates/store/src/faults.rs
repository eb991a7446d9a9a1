//! Faults on purpose, and databases of earlier versions, for tests: only built with the feature
//! `failpoints`.

use std::{
    cell::RefCell,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
};

use sqlx::{Connection, SqliteConnection};
use tokio::sync::Notify;

use crate::{
    Access, Store,
    error::{Result, StoreError},
    folder,
    point::Point,
    writer::Tx,
};

/// Asked again and again while SQLite works; true ends the statement that is running.
type Fails = Arc<dyn Fn() -> bool + Send + Sync>;

thread_local! {
    /// On the writer's thread: whether its connection is not to write, as it is and as it shall be.
    static READ_ONLY: RefCell<(bool, Arc<AtomicBool>)> = RefCell::default();
    /// On the writer's thread: told when there is no room for a change.
    static FULL: RefCell<Arc<Notify>> = RefCell::default();
    /// On the writer's thread: how many commits have not waited for the disk.
    static LIGHT: RefCell<Arc<AtomicU64>> = RefCell::default();
}

tokio::task_local! {
    /// Faults of the store that is being opened.
    static OPENING: (i32, Fails);
}

impl Tx {
    /// From now on SQLite asks `fails` again and again while the writer's statements run, commits
    /// included, after so many steps of its virtual machine; true ends the statement that is running
    /// with SQLITE_INTERRUPT, and with it, in a writing statement, the whole transaction. To the
    /// program this looks like an I/O error at that point.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn interrupt_when(
        &mut self,
        steps: i32,
        fails: impl FnMut() -> bool + Send + 'static,
    ) -> Result<()> {
        Ok(self.conn.progress_handler(steps, Some(fails))?)
    }

    /// Lets the database grow by no more than so many pages: then the disk is full.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn leave_room(&mut self, pages: u32) -> Result<()> {
        let now: i64 = self.scalar("PRAGMA page_count", [])?;
        let most = now.saturating_add(i64::from(pages)).min(i64::from(i32::MAX));
        self.scalar::<i64>(&format!("PRAGMA max_page_count = {most}"), [])?;
        Ok(())
    }

    /// Tells `full` whenever there is no room for a change, from now on.
    pub fn tell_when_full(&mut self, full: Arc<Notify>) {
        FULL.set(full);
    }

    /// Counts the commits that do not wait for the disk, from the next one on.
    pub fn count_light(&mut self, count: Arc<AtomicU64>) {
        LIGHT.set(count);
    }

    /// Has the database be read-only whenever `is_read_only` is set, from the next commit on.
    pub fn read_only_when(&mut self, is_read_only: Arc<AtomicBool>) {
        READ_ONLY.with_borrow_mut(|(_, wanted)| *wanted = is_read_only);
    }

    /// Has SQLite forget what it has read, so that it reads from the disk again.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn forget_pages(&mut self) -> Result<()> {
        Ok(self.conn.execute_batch("PRAGMA shrink_memory")?)
    }
}

/// Another program that uses the database of a folder, whatever the store says.
#[derive(Debug)]
pub struct Outside(rusqlite::Connection);

impl Outside {
    /// Connects to it.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn open(folder: &Path) -> Result<Self> {
        Ok(Self(rusqlite::Connection::open(folder.join(folder::DATABASE))?))
    }

    /// Keeps the database to itself, or lets go of it. Others can read meanwhile.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn keep_to_itself(&self, keeps: bool) -> Result<()> {
        Ok(self.0.execute_batch(if keeps { "BEGIN EXCLUSIVE" } else { "COMMIT" })?)
    }

    /// Makes the last letter in this column another one, in every document whose source matches this
    /// pattern of GLOB. Returns how many there are. The search index follows.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn change_letter(&self, column: &str, sources: &str) -> Result<usize> {
        let rest = format!("substr({column}, 1, length({column}) - 1)");
        let changes = [
            "INSERT INTO documents_fts (documents_fts, rowid, title, headings, markdown)
                 SELECT 'delete', id, title, headings, markdown FROM documents WHERE source_id GLOB ?",
            &format!("UPDATE documents SET {column} = {rest} || 'X' WHERE source_id GLOB ?"),
            "INSERT INTO documents_fts (rowid, title, headings, markdown)
                 SELECT id, title, headings, markdown FROM documents WHERE source_id GLOB ?",
        ];
        let together = self.0.unchecked_transaction()?;
        let mut changed = 0;
        for change in changes {
            changed = together.execute(change, [sources])?;
        }
        together.commit()?;
        Ok(changed)
    }
}

/// As [`Store::open`] for writing, with faults as those of [`Tx::interrupt_when`] while it opens.
///
/// # Errors
/// As [`Store::open`], and what comes of the faults.
pub async fn open(
    folder: &Path,
    now_ms: i64,
    steps: i32,
    fails: impl Fn() -> bool + Send + Sync + 'static,
) -> Result<Store> {
    let open = Store::open(folder, Access::Write, now_ms);
    OPENING.scope((steps, Arc::new(fails)), open).await
}

/// Sets up the faults of a commit. Called on the writer's thread.
pub(crate) fn before_commit(conn: &rusqlite::Connection) -> Result<()> {
    READ_ONLY.with_borrow_mut(|(now, wanted)| {
        let wanted = wanted.load(SeqCst);
        if *now != wanted {
            conn.pragma_update(None, "query_only", wanted)?;
            *now = wanted;
        }
        Ok(())
    })
}

/// A commit was made that a power failure can take back. Called on the writer's thread.
pub(crate) fn light_commit() {
    LIGHT.with_borrow(|count| count.fetch_add(1, SeqCst));
}

/// A command or a commit has failed. Called on the writer's thread.
pub(crate) fn failed(error: &StoreError) {
    if matches!(error, StoreError::Full) {
        FULL.with_borrow(|full| full.notify_one());
    }
}

/// Sets up the faults of the store that is being opened, if it has any.
pub(crate) async fn while_opening(conn: &mut SqliteConnection) -> Result<()> {
    if let Ok((steps, fails)) = OPENING.try_with(Clone::clone) {
        conn.lock_handle().await?.set_progress_handler(steps, move || !fails());
    }
    Ok(())
}

/// What a call meets that fails at a point: storage that does not answer.
pub(crate) fn error(point: Point) -> StoreError {
    sqlx::Error::Io(std::io::Error::other(point.name())).into()
}

/// Makes a data folder as the first version of the database had it after its process was killed:
/// with a run that has ended (request id `old`) and one whose only step, `script`, has this
/// configuration and type and whose task `script 0` was running (`version 1`). Then brings the
/// database up to `format`.
///
/// # Errors
/// If the folder cannot be written.
pub async fn make_old(folder: &Path, format: i64, step_type: &str, config: &str) -> Result<()> {
    folder::create(folder)?;
    let path = folder.join(folder::DATABASE);
    let mut conn = folder::connect(&path).await?;
    let migrate = async |conn: &mut SqliteConnection, to| {
        let migrated = folder::MIGRATIONS.run_direct(Some(to), conn, false).await;
        migrated
            .map_err(|error| StoreError::Corrupt { path: path.clone(), detail: error.to_string() })
    };
    migrate(&mut conn, 1).await?;
    sqlx::raw_sql(include_str!("version_1.sql")).execute(&mut conn).await?;
    sqlx::query("UPDATE steps SET config = ?").bind(config).execute(&mut conn).await?;
    sqlx::query("UPDATE jobs SET type = ? WHERE kind <> 'parent'")
        .bind(step_type)
        .execute(&mut conn)
        .await?;
    migrate(&mut conn, format).await?;
    conn.close().await?;
    let marker = folder.join(folder::INITIALISED);
    std::fs::write(&marker, "").map_err(StoreError::io(&marker))
}

/// The newest format of the database.
#[must_use]
pub fn newest_format() -> i64 {
    folder::newest_format()
}

/// The format that a database says it has, and everything that its schema is made of.
///
/// # Errors
/// If it cannot be read.
pub async fn schema(folder: &Path) -> Result<(i64, Vec<String>)> {
    let path = folder.join(folder::DATABASE);
    let mut conn = folder::connect(&path).await?;
    let format = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut conn).await?;
    let parts = sqlx::query_scalar(
        "SELECT type || ' ' || name || ': ' || coalesce(sql, '') FROM sqlite_schema
         WHERE name NOT LIKE 'sqlite_stat%' ORDER BY 1",
    )
    .fetch_all(&mut conn)
    .await?;
    conn.close().await?;
    Ok((format, parts))
}
