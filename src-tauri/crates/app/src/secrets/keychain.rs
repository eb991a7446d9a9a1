//! The system's keychain: Keychain on macOS, Credential Manager on Windows, the Secret Service
//! elsewhere.

use keyring::{Entry, Error};
use quaero_net::{ExposeSecret, SecretString};

use super::SecretError;

/// Under which the system shows them to the user.
const SERVICE: &str = "Quaero";

/// With the value `off` the keychain is left alone, for a computer without a desktop.
const SWITCH: &str = "QUAERO_KEYCHAIN";

/// A place for secrets outside the program. Calls may block.
pub trait Keychain: Send + Sync + 'static {
    /// The secret of this name.
    ///
    /// # Errors
    /// If there is no keychain or it refuses.
    fn read(&self, name: &str) -> Result<Option<SecretString>, SecretError>;

    /// Keeps a secret.
    ///
    /// # Errors
    /// If there is no keychain or it refuses.
    fn write(&self, name: &str, secret: &SecretString) -> Result<(), SecretError>;

    /// Removes a secret, if it is there.
    ///
    /// # Errors
    /// If there is no keychain or it refuses.
    fn remove(&self, name: &str) -> Result<(), SecretError>;
}

/// The one of the user who runs the program. All data folders share what is in it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemKeychain;

impl SystemKeychain {
    fn entry(name: &str) -> Result<Entry, SecretError> {
        if std::env::var_os(SWITCH).is_some_and(|value| value == "off") {
            return Err(SecretError::NoKeychain(format!("{SWITCH} is off.")));
        }
        if let Err(error) = Entry::store_status() {
            return Err(SecretError::NoKeychain(format!("{error}.")));
        }
        Entry::new(SERVICE, name).map_err(|error| refused(&error))
    }
}

impl Keychain for SystemKeychain {
    fn read(&self, name: &str) -> Result<Option<SecretString>, SecretError> {
        match Self::entry(name)?.get_password() {
            Ok(secret) => Ok(Some(SecretString::from(secret))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(refused(&error)),
        }
    }

    fn write(&self, name: &str, secret: &SecretString) -> Result<(), SecretError> {
        let written = Self::entry(name)?.set_password(secret.expose_secret());
        written.map_err(|error| refused(&error))
    }

    fn remove(&self, name: &str) -> Result<(), SecretError> {
        match Self::entry(name)?.delete_credential() {
            Ok(()) | Err(Error::NoEntry) => Ok(()),
            Err(error) => Err(refused(&error)),
        }
    }
}

/// The library's messages name the entry and never its secret, except for one that is no text.
fn refused(error: &Error) -> SecretError {
    match error {
        Error::NoStorageAccess(_) | Error::NoDefaultStore => {
            SecretError::NoKeychain("it cannot be reached.".to_owned())
        }
        Error::BadEncoding(_) => SecretError::Keychain("what it holds is no text.".to_owned()),
        other => SecretError::Keychain(format!("{other}.")),
    }
}
