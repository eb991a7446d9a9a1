//! The engine: what a definition means, and how its work is done and never lost.
//!
//! It knows neither the window nor any particular kind of work. Step types are plugged in as a
//! [`work::StepManager`] (what a step's configuration means, and its first tasks) and a
//! [`work::JobWorker`] (how one task is done).
//!
//! The way of a run: [`Engine::submit`] writes it; the `coordinator` starts its steps; the
//! `processor` hands their tasks to workers; `complete` commits what a worker brings back, and asks
//! the coordinator what follows, in the same transaction; the [`JobMonitor`] tells of it.

mod attempt;
mod backoff;
mod clock;
mod complete;
mod coordinator;
pub mod definition;
mod engine;
#[cfg(test)]
mod machine;
mod monitor;
mod pace;
mod processor;
pub mod schedule;
mod threads;
mod waiting;
pub mod work;

pub use clock::{Clock, SystemClock};
pub use engine::{Adopt, Engine, EngineError, EngineOptions};
pub use monitor::{Event, JobMonitor};
pub use threads::{Panicked, Threads, compute};
