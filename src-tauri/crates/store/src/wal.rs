//! The size of the write-ahead log. It grows beyond all bounds while a program reads the database
//! without an end, and nothing else tells of that before the disk is full.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::Store;

/// A log of more bytes is told of. It is cut to a quarter of that whenever nobody needs it.
pub(crate) const LARGE_WAL: u64 = 256 << 20;

/// Watches the log of a database.
#[derive(Debug)]
pub(crate) struct WalSize {
    /// None of a database in memory.
    path: Option<PathBuf>,
    told: bool,
}

impl WalSize {
    pub(crate) fn of(conn: &Connection) -> Self {
        let database = conn.path().filter(|path| !path.is_empty());
        Self { path: database.map(|database| beside(database.as_ref())), told: false }
    }

    /// The size in bytes, once, when it has become more than `large`; again when it was half of that
    /// in between.
    pub(crate) fn outgrown(&mut self, large: u64) -> Option<u64> {
        let bytes = self.path.as_ref()?.metadata().ok()?.len();
        let is_news = bytes > large && !self.told;
        self.told = bytes > large || (self.told && bytes > large / 2);
        is_news.then_some(bytes)
    }
}

/// Where SQLite keeps the log of a database.
fn beside(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    path.into()
}

impl Store {
    /// The size of the write-ahead log in bytes, if it is larger than it becomes by itself: a program
    /// reads the database without an end, so that the log cannot be folded in.
    #[must_use]
    pub fn large_wal(&self) -> Option<u64> {
        let bytes = beside(&self.database()).metadata().ok()?.len();
        Some(bytes).filter(|bytes| *bytes > LARGE_WAL)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn a_log_that_grows_is_told_of_once_until_it_was_small_again() {
        let folder = tempfile::tempdir().unwrap();
        let conn = Connection::open(folder.path().join("a.db")).unwrap();
        let file = std::fs::File::create(folder.path().join("a.db-wal")).unwrap();
        let mut size = WalSize::of(&conn);
        let rows = [(0, false), (100, false), (101, true), (300, false), (60, false)];
        for (bytes, told) in rows.into_iter().chain([(101, false), (50, false), (101, true)]) {
            file.set_len(bytes).unwrap();
            assert_eq!(size.outgrown(100), told.then_some(bytes), "{bytes} bytes");
        }
        let none = Connection::open_in_memory().unwrap();
        assert_eq!(WalSize::of(&none).outgrown(0), None);
    }
}
