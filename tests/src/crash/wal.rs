//! Every state that a killed process can leave behind, from one recorded run.
//!
//! Between checkpoints the write-ahead log only grows, so every such state is a prefix of it: whole
//! transactions, perhaps with a torn last frame. (A kill inside a checkpoint is none of them; the
//! kill loop meets those.) The format of the log: <https://sqlite.org/fileformat2.html#walformat>.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

const DATABASE: &str = "quaero.db";
const LOG: &str = "quaero.db-wal";
/// Of no use to another process.
const NOT_COPIED: [&str; 4] = [DATABASE, LOG, "quaero.db-shm", "lock"];

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// A folder whose work is being recorded.
#[derive(Debug)]
pub struct Recording {
    folder: PathBuf,
    database: Vec<u8>,
}

impl Recording {
    /// Begins, on a folder whose store was closed, so that its log is empty.
    ///
    /// # Panics
    /// If the folder holds no such store.
    #[must_use]
    pub fn begin(folder: &Path) -> Self {
        let log = fs::metadata(folder.join(LOG)).map_or(0, |file| file.len());
        assert_eq!(log, 0, "the store in {} has not been closed", folder.display());
        Self { database: read(&folder.join(DATABASE)), folder: folder.to_owned() }
    }

    /// Ends it, while the store is still open: closing it empties the log.
    ///
    /// # Panics
    /// If there was a checkpoint in between. The store makes one for each thousand pages, so a
    /// recording has to write fewer.
    #[must_use]
    pub fn end(self) -> Cuts {
        let log = read(&self.folder.join(LOG));
        assert!(log.len() > HEADER, "nothing was written");
        assert!(
            self.database == read(&self.folder.join(DATABASE)),
            "the log was folded into the database during the recording: record less at a time"
        );
        let field = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().expect("four"));
        let frame = FRAME_HEADER + usize::try_from(field(8)).expect("a page is small");
        let salt = &log[16..24];
        let commits = (HEADER..(log.len() + 1).saturating_sub(frame))
            .step_by(frame)
            .take_while(|at| &log[at + 8..at + 16] == salt)
            // A frame that ends a transaction names the size of the database.
            .filter(|at| field(at + 4) != 0)
            .map(|at| at + frame)
            .collect();
        let files = fs::read_dir(&self.folder).expect("a folder").map(|entry| {
            let path = entry.expect("readable").path();
            (path.file_name().expect("an entry has a name").to_string_lossy().into_owned(), path)
        });
        let others = files
            .filter(|(name, path)| path.is_file() && !NOT_COPIED.contains(&name.as_str()))
            .map(|(name, path)| (name, read(&path)))
            .collect();
        Cuts { database: self.database, log, frame, commits, others }
    }
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A recorded run, to be cut anywhere.
#[derive(Debug)]
pub struct Cuts {
    database: Vec<u8>,
    log: Vec<u8>,
    /// Bytes of a frame with its header.
    frame: usize,
    /// Where each transaction ends in the log.
    commits: Vec<usize>,
    /// The other files of the folder as they were in the end, by name.
    others: Vec<(String, Vec<u8>)>,
}

/// One state of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// How many transactions it holds.
    pub commits: usize,
    /// Whether half a frame of the next one is there, too.
    pub torn: bool,
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let torn = if self.torn { " and half a frame" } else { "" };
        write!(f, "{} commits{torn}", self.commits)
    }
}

impl Cuts {
    /// How many transactions were recorded.
    #[must_use]
    pub fn commits(&self) -> usize {
        self.commits.len()
    }

    /// Every state in order: before the first transaction and after each, whole and torn.
    pub fn all(&self) -> impl Iterator<Item = Cut> + use<> {
        (0..=self.commits.len()).flat_map(|commits| [false, true].map(|torn| Cut { commits, torn }))
    }

    /// Makes a folder in that state.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn folder(&self, cut: Cut) -> TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let end = match cut.commits {
            0 => HEADER,
            commits => self.commits[commits - 1],
        };
        let end = if cut.torn { end + self.frame / 2 } else { end };
        let write = |name: &str, bytes: &[u8]| {
            fs::write(folder.path().join(name), bytes).expect("written");
        };
        write(DATABASE, &self.database);
        write(LOG, &self.log[..end.min(self.log.len())]);
        for (name, bytes) in &self.others {
            write(name, bytes);
        }
        folder
    }
}

/// How far the log has been folded into the database, in frames.
///
/// From the index of the log (<https://sqlite.org/walformat.html#the_wal_index_file_format>), which
/// is memory shared through a file, and survives the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folded {
    /// Up to here everything is in the database.
    done: u32,
    /// Up to here the last checkpoint wanted to come. (Whoever opens a log without an index sets it
    /// to the end of the log.)
    wanted: u32,
}

impl Folded {
    /// As it is now; `None` if nobody has had the database open since it was closed.
    #[must_use]
    pub fn read(folder: &Path) -> Option<Self> {
        let index = fs::read(folder.join("quaero.db-shm")).ok()?;
        let field = |at: usize| {
            let bytes = index.get(at..at + 4)?;
            Some(u32::from_ne_bytes(bytes.try_into().expect("four")))
        };
        Some(Self { done: field(96)?, wanted: field(128)? })
    }

    /// Whether a checkpoint has begun since `before`, in the same process, and not come to its end.
    #[must_use]
    pub fn was_cut_since(self, before: Self) -> bool {
        self.wanted > self.done && self.wanted != before.wanted
    }
}
