//! What it takes to show that no moment is a bad one to die in.
//!
//! [`wal`] cuts the write-ahead log of a recorded run at every commit: each state that a killed
//! process can leave behind, cheaply and without luck. [`kill`] kills a real process, the
//! `engine-driver`, at random moments, for everything that is not in the log: files, locks,
//! checkpoints, the start and the stop. A [`story`] comes by every named point of the code, at
//! which a driver dies, or a call fails, as its order says.

#[cfg(unix)]
pub mod kill;
pub mod story;
pub mod wal;

use std::{
    path::Path,
    process::{Command, Stdio},
};

use quaero_contract::{DocumentCounts, JobCounts, JobId, JobStatus};
use serde::{Deserialize, Serialize};

use crate::{program::Process, workers::Script};
use story::Act;

/// What a driver is to do: its only argument beside the data folder, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    /// Runs to ask for, by request id. Whatever the folder has open is gone on with anyway.
    pub runs: Vec<(String, Script)>,
    /// Scripts that hang do hang.
    pub hold: bool,
    /// Tasks at the same time.
    pub width: usize,
    /// How long running tasks may still take at an orderly stop, in milliseconds of the engine's
    /// clock, which is [`SPEED`] times as fast as the computer's.
    pub grace_ms: u64,
    /// Plays this act of the [`story`], too.
    pub act: Option<Act>,
    /// What goes wrong, by the name of a point.
    pub faults: Vec<(String, Fault)>,
    /// Tells in the end how often each point was reached.
    pub counts: bool,
    /// Dies at this step of SQLite's virtual machine while the store is opened.
    pub dies_opening: Option<u64>,
}

/// What goes wrong at a point.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Fault {
    /// The process dies as by `kill -9` when it comes by for so manieth time, from 1.
    Dies(u64),
    /// From the so manieth time on, from 1, the call fails, so many times.
    Fails {
        /// The first time.
        from: u64,
        /// How many times.
        times: u64,
    },
}

impl Default for Order {
    fn default() -> Self {
        Self {
            runs: Vec::new(),
            hold: false,
            width: 8,
            grace_ms: 0,
            act: None,
            faults: Vec::new(),
            counts: false,
            dies_opening: None,
        }
    }
}

/// How fast time passes for the engine of a driver: a task may take half a minute.
pub const SPEED: u32 = 20;

/// A line that a driver prints, when what it says is durable.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Said {
    /// It listens to signals.
    Begun,
    /// The store is open.
    Opened,
    /// The engine has taken back what a dead process was doing, and works.
    Ready,
    /// A run is accepted.
    Accepted {
        /// As it was asked for.
        request: String,
        /// Its id.
        run: JobId,
    },
    /// An attempt at a task has started.
    Started {
        /// The task's name.
        task: String,
    },
    /// A run has ended.
    Finished(Ended),
    /// The act of the story is over.
    Played,
    /// It was told to stop.
    Stopping,
    /// Everything is written and closed.
    Stopped,
    /// It came by a point.
    Reached {
        /// The point's name.
        point: String,
        /// How often.
        times: u64,
    },
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Its id.
    pub run: JobId,
    /// Its state.
    pub status: JobStatus,
    /// Its tasks by state.
    pub jobs: JobCounts,
    /// Its documents by outcome.
    pub documents: DocumentCounts,
}

/// Starts a driver on a data folder. `driver` is its program: `env!("CARGO_BIN_EXE_engine-driver")`
/// in a test.
///
/// # Panics
/// If it cannot be started.
#[must_use]
pub fn drive(driver: &Path, data_dir: &Path, order: &Order) -> Process {
    let order = serde_json::to_string(order).expect("an order is plain data");
    let mut command = Command::new(driver);
    command.arg(data_dir).arg(order);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Process::start(&mut command, "engine-driver")
        .unwrap_or_else(|error| panic!("{} cannot be started: {error}", driver.display()))
}

/// What a driver has said, by line.
///
/// # Panics
/// If a line is not one of a driver's.
#[must_use]
pub fn said(lines: &[String]) -> Vec<Said> {
    let parse = |line: &String| {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"))
    };
    lines.iter().map(parse).collect()
}
