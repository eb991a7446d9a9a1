//! The real window on a real display: what a user sees, clicks and types.

#![cfg(target_os = "linux")]

mod desk;
mod first_run;
mod recovery;
mod safety;
mod sign_in;
