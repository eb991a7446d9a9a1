//! Emulators and fixtures shared by the tests.

pub mod data;
pub mod folders;
pub mod program;
pub mod site;
