//! Settings and facts about the program.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use specta::Type;

/// How the window looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// As the desktop does.
    #[default]
    System,
    /// Always light.
    Light,
    /// Always dark.
    Dark,
}

/// What the user can set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How the window looks.
    pub theme: Theme,
    /// Values that definitions use by name: `{company}`. Names are `[a-z0-9_]{1,64}`. Never secrets:
    /// the values are kept as they are, and appear in runs, logs and reports.
    pub values: BTreeMap<String, String>,
    /// At most so many of the newest runs are kept; all of them without a number.
    pub keep_runs: Option<u32>,
    /// Only runs that ended in the last so many days are kept; all of them without a number.
    pub keep_days: Option<u32>,
    /// Outside services, by id, where they differ from what comes with Quaero.
    pub providers: BTreeMap<String, ProviderSettings>,
    /// Search services in the order in which they are asked. Empty: all that are set up.
    pub search_order: Vec<String>,
    /// How reports are sent.
    pub mail: MailSettings,
}

/// What the user has set for an outside service. Its key is kept elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderSettings {
    /// Where it is.
    pub base_url: Option<String>,
}

/// A mail server. The password is kept as the key of the service `smtp`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields, default)]
pub struct MailSettings {
    /// Its name, such as `smtp.example.org`.
    pub host: String,
    /// Its port; without one the usual one for `security`.
    pub port: Option<u16>,
    /// How the connection is protected.
    pub security: MailSecurity,
    /// Who signs in; empty if nobody has to.
    pub user: String,
    /// The sender's address.
    pub from: String,
}

/// How the connection to a mail server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum MailSecurity {
    /// TLS from the first byte, usually port 465.
    Tls,
    /// TLS after the server's greeting, usually port 587; nothing is sent without it.
    #[default]
    StartTls,
    /// None, for a server on this computer.
    None,
}

/// Facts for the settings page and for a report of a fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct AppInfo {
    /// The version of Quaero.
    pub version: String,
    /// The version of SQLite.
    pub sqlite_version: String,
    /// Where everything is kept.
    pub data_dir: String,
    /// Where the user's definitions are.
    pub definitions_dir: String,
    /// Documents stored.
    pub documents: u32,
    /// The database's size in bytes.
    #[specta(type = specta_typescript::Number)]
    pub database_bytes: u64,
    /// Runs that are under way now.
    pub live_runs: u32,
}
