//! Emulators of outside services, one file each: what they answer, and what they answer when something
//! is wrong, as their documentation and their users tell it.
//!
//! Each listens on a port of this computer that the system chooses, notes what it was asked, and fails
//! on demand ([`Emulator::fail_next`]).

mod brave;
mod google_places;
mod http;
mod searxng;
mod smtp;
mod tavily;

pub use brave::Brave;
pub use google_places::GooglePlaces;
pub use http::{Asked, Emulator, Fault, Reply, Service};
pub use searxng::Searxng;
pub use smtp::{Mail, SmtpFault, SmtpServer, USER};
pub use tavily::Tavily;

/// A key as no service has given one out: it is looked for wherever it must not be.
pub const KEY: &str = "canary-7f3a91c2d84e";
