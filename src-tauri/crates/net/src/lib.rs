//! The one HTTP client of the program.
//!
//! Architecture invariant: no other crate makes an HTTP client. Every request, its redirects and
//! its robots.txt pass the [`AddressPolicy`], so no page, link or redirect can reach this computer
//! or its network unless the user's own job definition named the host.
//!
//! What is deliberately absent: cookies and credentials that are not named with a request (a
//! [`Session`]), proxies from the environment, a switch that
//! turns certificate checks off, and automatic retries (the engine's queue does those).

mod account;
mod address;
mod body;
mod charset;
mod client;
mod error;
mod policy;
mod provider;
mod redact;
mod retry_after;
mod robots;
mod service;
mod session;

#[cfg(test)]
mod tests;

pub use account::{Account, Exchange};
pub use address::{Site, normalise};
pub use body::Overflow;
pub use charset::decode;
pub use client::{Client, GetOptions, Limits, Reply, Response, Trail};
pub use error::{NetError, Phase};
pub use policy::{AddressPolicy, InvalidHost, MAX_URL_BYTES, Refusal};
pub use provider::{
    MailServer, NoProviders, PROVIDERS, Provider, ProviderError, ProviderInfo, Providers,
    provider_info,
};
pub use redact::Redactor;
pub use retry_after::{LONGEST_WAIT, SHORTEST_WAIT};
pub use robots::{KEEP_FAILURE, LONGEST_CRAWL_DELAY, RobotRules};
pub use secrecy::{ExposeSecret, SecretString};
pub use service::ServiceRequest;
pub use session::{Cookie, InvalidSite, Session, can_be_sent, site_name};

/// What Quaero calls itself when it asks for a page.
pub const USER_AGENT: &str =
    concat!("Quaero/", env!("CARGO_PKG_VERSION"), " (desktop research application)");
/// The name that robots.txt files know it by.
pub const ROBOT_NAME: &str = "quaero";
