//! Where keys and passwords are kept: the environment, the system's keychain, a file that a
//! passphrase opens, or only the memory of this process. Never anywhere in plain text, and never
//! somewhere else than the user has chosen.
//!
//! A secret goes in and never comes out to the window or the command line; both only learn where it is.

mod keychain;
mod sealed;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use quaero_contract::{KeyPlace, Keychain as KeychainState, SecretsInfo};
use quaero_net::SecretString;
use tokio::time::timeout;

pub use keychain::{Keychain, SystemKeychain};
pub(crate) use sealed::{Sealed, SealedFile, Sealer};

/// How long the keychain may take: it may wait for somebody to unlock it who is not there.
const KEYCHAIN_TIME: Duration = Duration::from_secs(5);
/// The environment variable with the passphrase of the file with keys.
const PASSPHRASE: &str = "QUAERO_PASSPHRASE";
/// Bytes of a secret.
const MAX_SECRET: usize = 8 * 1024;

/// Why a secret cannot be kept or read. The messages say what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's message says what it means")]
pub enum SecretError {
    #[error(
        "This computer has no keychain that can be used: {0} Keep the key in a file with a passphrase, or for this session only."
    )]
    NoKeychain(String),
    #[error(
        "The keychain did not answer within 5 seconds. Unlock it and try again, or keep the key in a file with a passphrase, or for this session only."
    )]
    KeychainSilent,
    #[error(
        "The keychain refused: {0} Unlock it and let Quaero use it, or keep the key in a file with a passphrase, or for this session only."
    )]
    Keychain(String),
    #[error(
        "The file with your keys is locked. Unlock it in the settings, or set QUAERO_PASSPHRASE."
    )]
    Locked,
    #[error("The passphrase does not open the file with your keys.")]
    WrongPassphrase,
    #[error("A passphrase has at least 8 characters.")]
    ShortPassphrase,
    #[error("The file with your keys cannot be used: {0} It was left as it is.")]
    File(String),
    #[error("{0}")]
    NotASecret(String),
    #[error("It is set by the environment variable {0}. Change it there.")]
    InEnvironment(String),
}

/// The environment's variables.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The secrets of one data folder. Cheap to clone.
#[derive(Clone)]
pub struct Secrets {
    environment: Environment,
    keychain: Arc<dyn Keychain>,
    sealed: SealedFile,
    session: Arc<Mutex<BTreeMap<String, SecretString>>>,
    /// How long the keychain may take.
    patience: Duration,
    /// Questions to the keychain that were given up and may still be answered.
    given_up: Arc<AtomicUsize>,
}

impl Secrets {
    /// The secrets of `data_dir`, and those in this keychain and environment. Nothing is read yet.
    #[must_use]
    pub fn new(data_dir: &Path, keychain: Arc<dyn Keychain>, environment: Environment) -> Self {
        let (sealed, session) = (SealedFile::new(data_dir), Arc::default());
        let (patience, given_up) = (KEYCHAIN_TIME, Arc::default());
        Self { environment, keychain, sealed, session, patience, given_up }
    }

    /// The secret of this name and where it was found.
    ///
    /// # Errors
    /// If it may exist where it cannot be read now.
    pub async fn find(&self, name: &str) -> Result<Option<(SecretString, KeyPlace)>, SecretError> {
        if let Some(found) = self.in_environment(name) {
            return Ok(Some((found, KeyPlace::Environment)));
        }
        if let Some(found) = self.session().get(name) {
            return Ok(Some((found.clone(), KeyPlace::Session)));
        }
        if self.sealed.names().is_ok_and(|names| names.iter().any(|known| known == name)) {
            self.unlock_from_environment().await?;
            let found = self.sealed.read(name)?;
            return Ok(found.map(|secret| (secret, KeyPlace::File)));
        }
        let wanted = name.to_owned();
        match self.ask_keychain(move |keychain| keychain.read(&wanted)).await {
            Ok(found) => Ok(found.map(|secret| (secret, KeyPlace::Keychain))),
            // Nothing can be in a keychain that is not there.
            Err(SecretError::NoKeychain(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Where the secret of this name is, if it is anywhere. A file need not be unlocked for that.
    ///
    /// # Errors
    /// If the keychain does not say.
    pub async fn place(&self, name: &str) -> Result<Option<KeyPlace>, SecretError> {
        match self.find(name).await {
            Ok(found) => Ok(found.map(|(_, place)| place)),
            Err(SecretError::Locked) => Ok(Some(KeyPlace::File)),
            Err(error) => Err(error),
        }
    }

    /// Keeps a secret, and forgets what was kept of the same name elsewhere.
    ///
    /// # Errors
    /// If it is none, or cannot be kept there. Then nothing has changed.
    pub async fn keep(&self, name: &str, secret: &str, place: KeyPlace) -> Result<(), SecretError> {
        let secret = trimmed(secret)?;
        if self.in_environment(name).is_some() {
            return Err(SecretError::InEnvironment(variable(name)));
        }
        match place {
            KeyPlace::Environment => return Err(SecretError::InEnvironment(variable(name))),
            KeyPlace::Session => {}
            KeyPlace::File => {
                self.unlock_from_environment().await?;
                self.sealed.write(name, Some(&secret))?;
            }
            KeyPlace::Keychain => {
                let (name, secret) = (name.to_owned(), secret.clone());
                self.ask_keychain(move |keychain| keychain.write(&name, &secret)).await?;
            }
        }
        self.forget_except(name, Some(place)).await?;
        if place == KeyPlace::Session {
            self.session().insert(name.to_owned(), secret);
        }
        Ok(())
    }

    /// Forgets a secret, wherever it is kept.
    ///
    /// # Errors
    /// If it stands in the environment, or where it cannot be removed from now.
    pub async fn forget(&self, name: &str) -> Result<(), SecretError> {
        if self.in_environment(name).is_some() {
            return Err(SecretError::InEnvironment(variable(name)));
        }
        self.forget_except(name, None).await
    }

    async fn forget_except(&self, name: &str, kept: Option<KeyPlace>) -> Result<(), SecretError> {
        self.session().remove(name);
        if kept != Some(KeyPlace::File)
            && self.sealed.names().is_ok_and(|names| names.iter().any(|known| known == name))
        {
            self.sealed.write(name, None)?;
        }
        if kept != Some(KeyPlace::Keychain) {
            let name = name.to_owned();
            match self.ask_keychain(move |keychain| keychain.remove(&name)).await {
                Ok(()) | Err(SecretError::NoKeychain(_)) => {}
                // A keychain that is silent must not keep a key from being set elsewhere.
                Err(error) if kept.is_some() => {
                    tracing::warn!(%error, "an older key may still be in the keychain");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Opens the file with keys, or makes one that this passphrase opens.
    ///
    /// # Errors
    /// If the passphrase does not open it, or is too short for a new one.
    pub async fn unlock(&self, passphrase: SecretString) -> Result<(), SecretError> {
        let sealed = self.sealed.clone();
        // Finding the key from a passphrase takes its time on purpose.
        let opened = tokio::task::spawn_blocking(move || sealed.unlock(&passphrase)).await;
        let failed = || SecretError::File("opening it failed unexpectedly.".to_owned());
        opened.unwrap_or_else(|_| Err(failed()))
    }

    /// Opens the file with keys if the environment has its passphrase: for a process nobody types at.
    async fn unlock_from_environment(&self) -> Result<(), SecretError> {
        match (self.environment)(PASSPHRASE) {
            Some(passphrase) if !self.sealed.is_unlocked() => {
                self.unlock(SecretString::from(passphrase)).await
            }
            _ => Ok(()),
        }
    }

    /// What places there are for secrets here.
    pub async fn info(&self) -> SecretsInfo {
        let keychain = match self.ask_keychain(|keychain| keychain.read("probe")).await {
            Ok(_) => KeychainState::Ready,
            Err(SecretError::KeychainSilent | SecretError::Keychain(_)) => KeychainState::Locked,
            Err(_) => KeychainState::Missing,
        };
        SecretsInfo {
            keychain,
            file_exists: self.sealed.exists(),
            file_unlocked: self.sealed.is_unlocked(),
        }
    }

    fn in_environment(&self, name: &str) -> Option<SecretString> {
        let value = (self.environment)(&variable(name))?;
        trimmed(&value).ok()
    }

    fn session(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, SecretString>> {
        // The map is whole even if a holder panicked between two operations on it.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// While one question waits for an answer that may never come, no other one does: a list of keys
    /// would take as many times as long, and each would hold a thread.
    async fn ask_keychain<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&dyn Keychain) -> Result<T, SecretError> + Send + 'static,
    ) -> Result<T, SecretError> {
        if self.given_up.load(Ordering::SeqCst) > 0 {
            return Err(SecretError::KeychainSilent);
        }
        let keychain = Arc::clone(&self.keychain);
        let mut asked = tokio::task::spawn_blocking(move || ask(&*keychain));
        match timeout(self.patience, &mut asked).await {
            Ok(Ok(answer)) => answer,
            // What a panic says may hold what it stumbled over.
            Ok(Err(_)) => Err(SecretError::Keychain("it failed unexpectedly.".to_owned())),
            Err(_) => {
                let given_up = Arc::clone(&self.given_up);
                given_up.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    // Whatever it is, nobody waits for it any more.
                    let _ = asked.await;
                    given_up.fetch_sub(1, Ordering::SeqCst);
                });
                Err(SecretError::KeychainSilent)
            }
        }
    }
}

/// The environment variable that holds a secret.
#[must_use]
pub fn variable(name: &str) -> String {
    format!("QUAERO_{}_API_KEY", name.to_ascii_uppercase())
}

/// A key as it was meant: without the spaces, quotes and line breaks that copying brings along, and
/// without the word `Bearer` that examples have before it.
pub(crate) fn trimmed(text: &str) -> Result<SecretString, SecretError> {
    let wrong = |why: &str| Err(SecretError::NotASecret(why.to_owned()));
    let around = |c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}');
    let text = text.trim_matches(around);
    let text = match text.as_bytes() {
        [b'"', .., b'"'] | [b'\'', .., b'\''] => &text[1..text.len() - 1],
        _ => text,
    };
    let text = text.trim_matches(around);
    let text = match text.split_once(' ') {
        Some((word, rest)) if word.eq_ignore_ascii_case("bearer") => rest.trim_matches(around),
        _ => text,
    };
    if text.is_empty() || text.eq_ignore_ascii_case("bearer") {
        return wrong("There is no key in what was given.");
    }
    if text.len() > MAX_SECRET {
        return wrong("That is too long for a key. Copy the key alone.");
    }
    if text.chars().any(|c| c.is_control()) {
        return wrong("A key has no line breaks and no tabs. Copy it again.");
    }
    Ok(SecretString::from(text.to_owned()))
}

#[cfg(test)]
mod tests;
