//! The program's own log in the data folder, for finding faults. What a run did is in the run's log,
//! not here.
//!
//! It is bounded: files of [`MOST`] bytes, one that is written and [`KEPT`] before it. A disk that is
//! full or cannot be written costs lines of the log and nothing else.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    panic,
    path::{Path, PathBuf},
};

use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::EnvFilter;

/// Chooses what is logged, in the syntax of `tracing-subscriber`: `debug`, `quaero_engine=trace`.
const VARIABLE: &str = "QUAERO_LOG";
/// Our own crates tell what they do; the others only what went wrong.
const USUAL: &str = "warn,quaero=info,quaero_app=info,quaero_engine=info,quaero_net=info,quaero_store=info,quaero_workers=info";
/// Bytes in one file.
const MOST: u64 = 10_000_000;
/// Full files that are kept, the newest.
const KEPT: u32 = 4;

/// Starts logging into `logs/` of the data folder. Panics go there too, and not to the terminal. What
/// is still in memory is written when the guard is dropped.
///
/// # Errors
/// If this process logs already.
pub(crate) fn start(data_dir: &Path) -> io::Result<WorkerGuard> {
    let file = LogFile::new(data_dir.join("logs"), MOST);
    // Lines that come faster than they can be written are left out; nobody waits for them.
    let (writer, guard) = tracing_appender::non_blocking(file);
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new(USUAL));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(false)
        .try_init()
        .map_err(io::Error::other)?;

    panic::set_hook(Box::new(|info| tracing::error!(%info, "A part of Quaero failed.")));
    Ok(guard)
}

/// `quaero.log`, which begins anew when it is full. Those before it are `quaero.1.log`, the newest, to
/// `quaero.4.log`. Several processes can write one.
struct LogFile {
    folder: PathBuf,
    /// Bytes in one file.
    most: u64,
    /// Not there before the first line, and after an error.
    file: Option<File>,
    bytes: u64,
}

impl LogFile {
    const fn new(folder: PathBuf, most: u64) -> Self {
        Self { folder, most, file: None, bytes: 0 }
    }

    fn path(&self, age: u32) -> PathBuf {
        self.folder.join(match age {
            0 => "quaero.log".to_owned(),
            age => format!("quaero.{age}.log"),
        })
    }

    /// The file, with room for a line of so many bytes.
    fn with_room(&mut self, line: u64) -> io::Result<&mut File> {
        let fits = |bytes: u64| bytes == 0 || bytes.saturating_add(line) <= self.most;
        let file = match self.file.take() {
            Some(file) if fits(self.bytes) => file,
            _ => {
                fs::create_dir_all(&self.folder)?;
                let path = self.path(0);
                // Another process may have begun it anew already.
                self.bytes = fs::metadata(&path).map_or(0, |file| file.len());
                if !fits(self.bytes) {
                    self.put_aside()?;
                    self.bytes = 0;
                }
                OpenOptions::new().create(true).append(true).open(path)?
            }
        };
        Ok(self.file.insert(file))
    }

    /// Makes every file one older, and forgets the oldest.
    fn put_aside(&self) -> io::Result<()> {
        for age in (0..KEPT).rev() {
            match fs::rename(self.path(age), self.path(age + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Write for LogFile {
    /// Lines come whole.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let written = self.with_room(line.len() as u64)?.write(line);
        match &written {
            Ok(bytes) => self.bytes += *bytes as u64,
            // The folder may be another one, or the disk have room, when the next line comes.
            Err(_) => self.file = None,
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each file holds, the newest first; none after the first that is not there.
    fn held(log: &LogFile) -> Vec<String> {
        (0..).map_while(|age| fs::read_to_string(log.path(age)).ok()).collect()
    }

    #[test]
    fn the_log_has_a_largest_size_and_keeps_what_is_newest() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = LogFile::new(folder.path().join("logs"), 20);
        for n in 10..99 {
            log.write_all(format!("line {n}\n").as_bytes()).expect("written");
        }
        let expected =
            ["line 98\n", "line 96\nline 97\n", "line 94\nline 95\n", "line 92\nline 93\n"];
        let held = held(&log);
        assert_eq!((&held[..4], held.len()), (&expected.map(str::to_owned)[..], 5), "{held:?}");
        // One that goes on where another has stopped keeps to it, too.
        let mut next = LogFile::new(folder.path().join("logs"), 20);
        next.write_all(b"line 99\n").expect("written");
        assert_eq!(self::held(&next)[0], "line 98\nline 99\n");
        // A line that is longer than a file is not lost.
        next.write_all(&[b'x'; 50]).expect("written");
        assert_eq!(self::held(&next)[0].len(), 50);
    }

    #[test]
    fn two_processes_share_a_log_of_that_size() {
        let folder = tempfile::tempdir().expect("a folder");
        let new = || LogFile::new(folder.path().to_owned(), 100);
        let mut logs = [new(), new()];
        for n in 0..1_000 {
            logs[n % 2].write_all(b"a line\n").expect("written");
        }
        let held = held(&logs[0]);
        assert_eq!(held.len(), 5);
        let total: usize = held.iter().map(String::len).sum();
        assert!((200..=2 * 5 * 100).contains(&total), "{total} bytes: {held:?}");
        assert!(held.iter().all(|file| file.lines().all(|line| line == "a line")), "{held:?}");
    }

    #[test]
    fn what_cannot_be_written_is_lost_and_the_next_line_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let logs = folder.path().join("logs");
        fs::write(&logs, "in the way").expect("written");
        let mut log = LogFile::new(logs.clone(), 100);
        assert!(log.write_all(b"lost\n").is_err());
        fs::remove_file(&logs).expect("removed");
        log.write_all(b"kept\n").expect("written");
        assert_eq!(held(&log), ["kept\n"]);
    }
}
