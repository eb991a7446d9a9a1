//! What is accepted is not lost, and what is done is done once, whenever the process ends and
//! however: every commit boundary of a recorded run, and a real process killed at random moments
//! and told to end by every signal.

#![cfg(unix)]

mod cut;
mod kills;
mod signals;

use std::path::Path;

/// The program that the tests kill.
fn driver() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_engine-driver"))
}
