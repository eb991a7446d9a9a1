//! Outside services, and where their keys are.

use serde::{Deserialize, Serialize};
use specta::Type;

/// Where a key is kept. Keys themselves never cross the window in this direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum KeyPlace {
    /// An environment variable.
    Environment,
    /// The system's keychain.
    Keychain,
    /// The data folder's file that a passphrase opens.
    File,
    /// The memory of this process.
    Session,
}

/// Whether the system has a keychain that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum Keychain {
    /// It answers.
    Ready,
    /// It is there, but refuses or does not answer.
    Locked,
    /// There is none.
    Missing,
}

/// What places there are for keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct SecretsInfo {
    /// The system's keychain.
    pub keychain: Keychain,
    /// Whether there is a file that a passphrase opens.
    pub file_exists: bool,
    /// Whether it is open.
    pub file_unlocked: bool,
}

/// An outside service as it is set up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct ProviderView {
    /// The name used in settings and definitions.
    pub id: String,
    /// The name that people know.
    pub name: String,
    /// What it is for.
    pub purpose: String,
    /// Where it is, as it comes with Quaero; none if only the user knows.
    pub default_base_url: Option<String>,
    /// Where it is, as the user has set it.
    pub base_url: Option<String>,
    /// Whether it answers only with a key.
    pub needs_key: bool,
    /// Where its key is, if it has one.
    pub key: Option<KeyPlace>,
    /// Why it is not known whether it has one.
    pub key_problem: Option<String>,
    /// The environment variable that may hold the key.
    pub key_variable: String,
    /// Where a key is to be had.
    pub key_page: Option<String>,
    /// Whether it can be used.
    pub ready: bool,
}

/// The services and the places for their keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct ProvidersView {
    /// Every service that can be set up.
    pub providers: Vec<ProviderView>,
    /// The places for keys.
    pub secrets: SecretsInfo,
}

/// A key to be kept.
#[derive(Clone, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct KeepKey {
    /// Of which service.
    pub provider: String,
    /// The key.
    pub key: String,
    /// Where.
    pub place: KeyPlace,
}

impl std::fmt::Debug for KeepKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeepKey")
            .field("provider", &self.provider)
            .field("key", &"***")
            .field("place", &self.place)
            .finish()
    }
}

/// What a service said when it was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct ProviderTest {
    /// Whether it can be used.
    pub ok: bool,
    /// What it said, in a sentence.
    pub message: String,
    /// How many requests are left of how many, in which time, if it says so.
    pub quota: Option<String>,
}
