//! Looking after the database while it is in use: copies of it, checks, and making it small and fast
//! again. Runs go on meanwhile; only [`Store::vacuum`] makes what they write wait.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags};
use tokio::task::spawn_blocking;

use crate::{
    Durability, Store,
    documents::content_hash,
    error::{Result, StoreError},
    folder,
    time::rfc3339,
    writer::Weight,
};

/// So many things that are wrong are named, of each kind.
const MOST_NAMED: usize = 20;
/// So many documents are read at a time. Between two times the write-ahead log can be folded in.
const DOCUMENTS: i64 = 100;
/// How the copies begin that are made on demand. Those before a migration are called otherwise.
const PREFIX: &str = "backup-";

/// A copy of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// How many older copies were removed for it.
    pub removed: usize,
}

/// What the database file was and is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shrunk {
    /// Before.
    pub before: u64,
    /// After.
    pub after: u64,
}

impl Store {
    /// Copies the database as it is at one moment into `backups`, checks the copy, and then removes the
    /// oldest ones but for the newest `keep`. Nothing is overwritten, and nothing that is half a copy has
    /// a copy's name.
    ///
    /// # Errors
    /// [`StoreError::Full`] if there is no room for it; [`StoreError::Corrupt`] if the copy is not whole,
    /// because the database is not. No older copy is removed then.
    pub async fn back_up(&self, keep: usize, now_ms: i64) -> Result<Backup> {
        // Only the process that has the folder's lock writes into it.
        self.writer()?;
        let (folder, database) = (self.folder().to_owned(), self.database());
        blocking(move || back_up(&folder, &database, keep.max(1), now_ms)).await
    }

    /// Everything that SQLite, the rules of [`Store::inconsistencies`] and the hashes of the documents
    /// find wrong; empty if all is well.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn check_integrity(&self) -> Result<Vec<String>> {
        let database = self.database();
        let check = move || {
            let conn = read(&database)?;
            let mut found = integrity(&conn, MOST_NAMED)?;
            if found.is_empty() {
                // Of a database whose pages are damaged, reading all of it would only fail.
                found = changed_documents(&conn)?;
            }
            Ok(found)
        };
        let mut found = blocking(check).await?;
        found.extend(self.inconsistencies().await?);
        Ok(found)
    }

    /// Writes the database file anew without the room that deleted content has left. Needs as much free
    /// disk as the database has, and what is written meanwhile waits.
    ///
    /// # Errors
    /// [`StoreError::Full`] if there is no room for that. The database is as before then.
    pub async fn vacuum(&self) -> Result<Shrunk> {
        let database = self.database();
        let vacuum = move |tx: &mut crate::Tx| {
            let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
            fold(&tx.conn)?;
            let before = size(&database);
            // It would build the whole new database in memory.
            tx.conn.pragma_update(None, "temp_store", "FILE")?;
            let done = tx.conn.execute_batch("VACUUM");
            tx.conn.pragma_update(None, "temp_store", "MEMORY")?;
            done?;
            fold(&tx.conn)?;
            Ok(Shrunk { before, after: size(&database) })
        };
        self.writer()?.write(Weight::Outside, vacuum).await
    }

    /// Lets SQLite count what it chooses its ways by.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn analyze(&self) -> Result<()> {
        self.write(|tx| tx.execute("ANALYZE", []).map(drop)).await
    }

    /// Merges the parts of the search index into one.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn optimize_index(&self) -> Result<()> {
        let optimize = "INSERT INTO documents_fts (documents_fts) VALUES ('optimize')";
        self.write(move |tx| tx.execute(optimize, []).map(drop)).await
    }

    /// Writes what is in the write-ahead log into the database file and empties the log. False if a reader
    /// has kept some of it from that; it happens later by itself.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn checkpoint(&self) -> Result<bool> {
        self.writer()?.write(Weight::Outside, |tx| fold(&tx.conn)).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    spawn_blocking(work).await.unwrap_or_else(|panic| Err(StoreError::Panicked(panic.to_string())))
}

/// Whether all of the log was folded in.
fn fold(conn: &Connection) -> Result<bool> {
    let busy: i64 = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(busy == 0)
}

fn read(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Ok(Connection::open_with_flags(path, flags)?)
}

/// What SQLite finds wrong, at most so many things.
fn integrity(conn: &Connection, most: usize) -> Result<Vec<String>> {
    let mut check = conn.prepare(&format!("PRAGMA integrity_check({most})"))?;
    let found =
        check.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    Ok(found.into_iter().filter(|line| line != "ok").collect())
}

/// The documents that are not as they were saved. SQLite does not see it when a letter is another.
fn changed_documents(conn: &Connection) -> Result<Vec<String>> {
    let mut next = conn.prepare(
        "SELECT id, source_id, title, markdown, metadata, content_hash FROM documents
         WHERE id > ? ORDER BY id LIMIT ?",
    )?;
    let (mut found, mut more, mut last) = (Vec::new(), 0, 0);
    loop {
        let before = last;
        let mut rows = next.query([last, DOCUMENTS])?;
        while let Some(row) = rows.next()? {
            last = row.get("id")?;
            // What is no valid text any more is told of as well.
            let bytes = |column| row.get_ref(column).map(|value| value.as_bytes().unwrap_or(b""));
            let content = [bytes("title")?, bytes("markdown")?, bytes("metadata")?];
            if content_hash(content).as_bytes() == bytes("content_hash")? {
                continue;
            }
            if found.len() == MOST_NAMED {
                more += 1;
                continue;
            }
            let source = String::from_utf8_lossy(bytes("source_id")?).into_owned();
            found.push(format!("document {last} ({source}) is not as it was saved"));
        }
        if last == before {
            break;
        }
    }
    if more > 0 {
        found.push(format!("{more} more documents are not as they were saved"));
    }
    Ok(found)
}

fn back_up(folder: &Path, database: &Path, keep: usize, now_ms: i64) -> Result<Backup> {
    let backups = folder.join(folder::BACKUPS);
    folder::create(&backups)?;
    let stamp = rfc3339(now_ms).replace(':', "-");
    let named = |again: u32| match again {
        1 => backups.join(format!("{PREFIX}{stamp}.db")),
        again => backups.join(format!("{PREFIX}{stamp}-{again}.db")),
    };
    let target = (1..).map(named).find(|path| !path.exists()).unwrap_or_else(|| named(1));
    let partial = backups.join(format!("{PREFIX}unfinished.partial"));
    let bytes = copy(database, &partial, &target).inspect_err(|_| remove(&partial))?;
    let removed = folder::keep_newest(&backups, PREFIX, keep)?;
    Ok(Backup { path: target, bytes, removed })
}

/// Copies the database to `partial`, and gives the copy its name when it is known to be whole.
fn copy(database: &Path, partial: &Path, target: &Path) -> Result<u64> {
    // Of a process that has died.
    remove(partial);
    {
        let conn = folder::connect_writer(database, Durability::Disk)?;
        conn.execute("VACUUM INTO ?", [partial.to_string_lossy()])?;
    }
    folder::restrict(partial)?;
    let found = integrity(&read(partial)?, 1)?;
    if let Some(detail) = found.into_iter().next() {
        let detail = format!("a copy of it is not whole: {detail}");
        return Err(StoreError::Corrupt { path: database.to_owned(), detail });
    }
    let file = File::open(partial).map_err(StoreError::io(partial))?;
    file.sync_all().map_err(StoreError::io(partial))?;
    let bytes = file.metadata().map_err(StoreError::io(partial))?.len();
    std::fs::rename(partial, target).map_err(StoreError::io(target))?;
    Ok(bytes)
}

/// Removes half a copy and what SQLite keeps beside it. There may be none.
pub(crate) fn remove(partial: &Path) {
    for ending in ["", "-journal"] {
        let mut path = partial.as_os_str().to_owned();
        path.push(ending);
        let _ = std::fs::remove_file(path);
    }
}
