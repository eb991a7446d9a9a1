//! Emulators and fixtures shared by the tests.
