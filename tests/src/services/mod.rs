//! Emulators of outside services, one file each: what they answer, and what they answer when something
//! is wrong, as their documentation and their users tell it.
//!
//! Each listens on a port of this computer that the system chooses, notes what it was asked, and fails
//! on demand ([`Emulator::fail_next`]).

mod brave;
mod eodhd;
mod google_places;
mod http;
mod members;
mod searxng;
mod smtp;
mod tavily;

pub use brave::Brave;
pub use eodhd::EodhdAccount;
pub use google_places::GooglePlaces;
pub use http::{Asked, Emulator, Fault, Reply, Service};
pub use members::{COOKIE, Members};
pub use searxng::Searxng;
pub use smtp::{Mail, SmtpFault, SmtpServer, USER};
pub use tavily::Tavily;

/// A key as no service has given one out, with signs that texts of every kind write in another way: it
/// is looked for wherever it must not be.
pub const KEY: &str = r#"canary-7f3a"91\c2/d8+4e%b5&a6='e1"#;
