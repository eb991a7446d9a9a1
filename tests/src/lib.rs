//! Emulators and fixtures shared by the tests.

pub mod site;
