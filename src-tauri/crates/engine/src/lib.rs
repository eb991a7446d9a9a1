//! The engine: what a definition means, and how its work is done and never lost.
//!
//! It knows neither the window nor any particular kind of work. Step types are plugged in as a
//! [`work::StepManager`] (what a step's configuration means, and its first tasks) and a
//! [`work::JobWorker`] (how one task is done).

pub mod definition;
pub mod work;
