//! What is accepted is not lost, and what is done is done once, whenever the process ends and
//! however: every commit boundary of a recorded run, a real process killed at random moments and at
//! every named point of the code, told to end by every signal, and storage that fails at any point.

#![cfg(unix)]

mod clock;
mod cut;
mod damage;
mod faults;
mod kills;
mod migration;
mod points;
mod signals;

use std::path::Path;

/// The program that the tests kill.
fn driver() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_engine-driver"))
}

/// Whether there is time for much more of the same.
fn is_long() -> bool {
    std::env::var_os("QUAERO_LONG").is_some()
}
