//! Emulators and fixtures shared by the tests.

pub mod canary;
pub mod crash;
pub mod data;
pub mod dice;
pub mod folders;
pub mod market;
pub mod program;
pub mod services;
pub mod site;
pub mod workers;

use std::io::Write;

/// Says what cannot be tested on this computer, even if the test passes.
pub fn not_tested(what: &str) {
    // Past the test harness, which hides what passing tests print.
    let _ = writeln!(std::io::stderr(), "not tested: {what}");
}

/// Says what helps to find the cause if the test fails.
#[allow(clippy::print_stdout, reason = "the test harness shows it with the failure, and only then")]
pub fn note(what: &str) {
    println!("{what}");
}
