//! Emulators and fixtures shared by the tests.

pub mod data;
pub mod folders;
pub mod program;
pub mod site;

use std::io::Write;

/// Says what cannot be tested on this computer, even if the test passes.
pub fn not_tested(what: &str) {
    // Past the test harness, which hides what passing tests print.
    let _ = writeln!(std::io::stderr(), "not tested: {what}");
}
