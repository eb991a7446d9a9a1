//! The outside services that need an address or a key, and how a worker gets at them.
//!
//! Workers know a [`Provider`]: where it is, what opens it, and a client that may ask it. Where keys
//! are kept is not their concern.

use async_trait::async_trait;
use quaero_contract::MailSecurity;
use secrecy::SecretString;
use url::Url;

use crate::{AddressPolicy, Client, Limits, Session};

/// What is known of a kind of service before anything is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProviderInfo {
    /// The name used in settings and definitions.
    pub id: &'static str,
    /// The name that people know.
    pub name: &'static str,
    /// What it is for, in a sentence.
    pub purpose: &'static str,
    /// Where it is; none if only the user knows.
    pub base_url: Option<&'static str>,
    /// Whether it answers only with a key.
    pub needs_key: bool,
    /// Where a key is to be had.
    pub key_page: Option<&'static str>,
    /// What all of its keys begin with, if they do.
    pub key_prefix: Option<&'static str>,
}

/// Every service that can be set up, in the order in which they are shown.
pub const PROVIDERS: &[ProviderInfo] = &[
    ProviderInfo {
        id: "eodhd",
        name: "EODHD",
        purpose: "Prices, fundamentals and dividends of shares and indices.",
        base_url: Some("https://eodhd.com/api/"),
        needs_key: true,
        key_page: Some("https://eodhd.com/register"),
        key_prefix: None,
    },
    ProviderInfo {
        id: "asx",
        name: "ASX",
        purpose: "Announcements of Australian companies, from the exchange's pages.",
        base_url: Some("https://www.asx.com.au/"),
        needs_key: false,
        key_page: None,
        key_prefix: None,
    },
    ProviderInfo {
        id: "asx_service",
        name: "ASX research service",
        purpose: "Announcements of Australian companies, from the service behind the exchange's pages.",
        base_url: Some("https://asx.api.markitdigital.com/asx-research/1.0/"),
        needs_key: false,
        key_page: None,
        key_prefix: None,
    },
    ProviderInfo {
        id: "searxng",
        name: "SearXNG",
        purpose: "Web search by a server of your own.",
        base_url: None,
        needs_key: false,
        key_page: None,
        key_prefix: None,
    },
    ProviderInfo {
        id: "brave",
        name: "Brave Search",
        purpose: "Web search.",
        base_url: Some("https://api.search.brave.com/"),
        needs_key: true,
        key_page: Some("https://api-dashboard.search.brave.com/"),
        key_prefix: Some("BSA"),
    },
    ProviderInfo {
        id: "tavily",
        name: "Tavily",
        purpose: "Web search.",
        base_url: Some("https://api.tavily.com/"),
        needs_key: true,
        key_page: Some("https://app.tavily.com/"),
        key_prefix: Some("tvly-"),
    },
    ProviderInfo {
        id: "google_places",
        name: "Google Places",
        purpose: "Businesses and places near a location.",
        base_url: Some("https://places.googleapis.com/"),
        needs_key: true,
        key_page: Some("https://console.cloud.google.com/google/maps-apis"),
        key_prefix: Some("AIza"),
    },
    ProviderInfo {
        id: "smtp",
        name: "E-mail",
        purpose: "Sends reports through your mail server.",
        base_url: None,
        needs_key: false,
        key_page: None,
        key_prefix: None,
    },
];

/// What is known of the service with this id.
#[must_use]
pub fn provider_info(id: &str) -> Option<&'static ProviderInfo> {
    PROVIDERS.iter().find(|info| info.id == id)
}

/// A service that is set up.
#[derive(Clone, Debug)]
pub struct Provider {
    /// What is known of it.
    pub info: &'static ProviderInfo,
    /// Where it is; it ends with a slash.
    pub base_url: Url,
    /// What opens it.
    pub key: Option<SecretString>,
    /// Whether the user has set the address, which then may also be one of the own network.
    pub is_own: bool,
}

impl Provider {
    /// A client that may ask it.
    #[must_use]
    pub fn client(&self, limits: Limits) -> Client {
        let own = self.base_url.host_str().filter(|_| self.is_own).map(|host| {
            match self.base_url.port_or_known_default() {
                Some(port) => format!("{host}:{port}"),
                None => host.to_owned(),
            }
        });
        let hosts: Vec<String> = own.into_iter().collect();
        // A host that cannot be named is asked as any other of the internet.
        Client::new(AddressPolicy::new(&hosts).unwrap_or_default(), limits)
    }

    /// The address of something the service has: a path below its base, without a leading slash.
    ///
    /// # Panics
    /// If `path` is no path; it is part of the program.
    #[must_use]
    pub fn url(&self, path: &str) -> Url {
        self.base_url.join(path).expect("the paths of services are fixed")
    }

    /// Its key.
    ///
    /// # Errors
    /// [`ProviderError::NoKey`] without one.
    pub fn key(&self) -> Result<&SecretString, ProviderError> {
        self.key.as_ref().ok_or(ProviderError::NoKey(self.info.name))
    }
}

/// A mail server that is set up. Only this host is ever connected to.
#[derive(Clone, Debug)]
pub struct MailServer {
    /// Its name or address.
    pub host: String,
    /// Its port; without one the usual one for `security`.
    pub port: Option<u16>,
    /// How the connection is protected.
    pub security: MailSecurity,
    /// Who signs in; empty if nobody has to.
    pub user: String,
    /// What signs them in; there is one if there is a user.
    pub password: Option<SecretString>,
    /// The sender's address.
    pub from: String,
}

/// Why a service cannot be used. The messages say what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's message says what it means")]
pub enum ProviderError {
    #[error("There is no service `{0}`.")]
    Unknown(String),
    #[error("{0} needs a key. Set one in the settings, under Services.")]
    NoKey(&'static str),
    #[error("{0} has no address yet. Set it in the settings, under Services.")]
    NoAddress(&'static str),
    #[error(
        "The address of {name} cannot be used: {reason}. Change it in the settings, under Services."
    )]
    BadAddress { name: &'static str, reason: String },
    #[error("The key of {name} cannot be read: {reason}")]
    KeyUnreadable { name: &'static str, reason: String },
    #[error(
        "There is no sign-in profile `{0}`. Import it in the settings, under Services, or with: quaero profiles import {0} --cookies FILE"
    )]
    NoProfile(String),
    #[error("The sign-in profile `{name}` cannot be used: {reason}")]
    ProfileUnreadable { name: String, reason: String },
}

impl ProviderError {
    /// A stable word for the kind of error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "unknown_provider",
            Self::NoKey(_) => "no_key",
            Self::NoAddress(_) | Self::BadAddress { .. } => "no_address",
            Self::KeyUnreadable { .. } => "key_unreadable",
            Self::NoProfile(_) => "no_profile",
            Self::ProfileUnreadable { .. } => "profile_unreadable",
        }
    }
}

/// Where workers find services.
#[async_trait]
pub trait Providers: Send + Sync + 'static {
    /// The service with this id, as it is set up now.
    ///
    /// # Errors
    /// If it is not set up, or its key cannot be read.
    async fn find(&self, id: &str) -> Result<Provider, ProviderError>;

    /// The search services that are to be asked, the first one first.
    async fn search_order(&self) -> Vec<String>;

    /// The mail server, as it is set up now.
    ///
    /// # Errors
    /// If it is not set up, or its password cannot be read.
    async fn mail(&self) -> Result<MailServer, ProviderError>;

    /// A new session of the sign-in profile with this name, at this time (in seconds since 1970).
    ///
    /// # Errors
    /// If there is none, or it cannot be opened.
    async fn session(&self, profile: &str, now: i64) -> Result<Session, ProviderError> {
        let _ = now;
        Err(ProviderError::NoProfile(profile.to_owned()))
    }
}

/// Nothing is set up.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProviders;

#[async_trait]
impl Providers for NoProviders {
    async fn find(&self, id: &str) -> Result<Provider, ProviderError> {
        let info = provider_info(id).ok_or_else(|| ProviderError::Unknown(id.to_owned()))?;
        match (info.base_url, info.needs_key) {
            (None, _) => Err(ProviderError::NoAddress(info.name)),
            (Some(_), true) => Err(ProviderError::NoKey(info.name)),
            (Some(url), false) => Ok(Provider {
                info,
                base_url: Url::parse(url).expect("the addresses of services are fixed"),
                key: None,
                is_own: false,
            }),
        }
    }

    async fn search_order(&self) -> Vec<String> {
        Vec::new()
    }

    async fn mail(&self) -> Result<MailServer, ProviderError> {
        Err(ProviderError::NoAddress("E-mail"))
    }
}
