//! A file of secrets that a passphrase opens: the key is derived with Argon2id (RFC 9106), and what is
//! in it is sealed with XChaCha20-Poly1305. The names stand open, so that it is known what is there.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, Generate, KeyInit, Payload},
};
use quaero_net::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::SecretError;
use crate::whole_file;

const FILE: &str = "keys.json";
/// A larger file is not one of ours.
const MAX_BYTES: u64 = 1 << 20;
const VERSION: u32 = 1;
/// 64 MiB, three passes, four lanes: the second recommendation of RFC 9106.
const COST: Cost = Cost { memory_kib: 64 * 1024, passes: 3, lanes: 4 };
/// More than this is not asked of the computer by a file from elsewhere.
const MOST: Cost = Cost { memory_kib: 1024 * 1024, passes: 16, lanes: 16 };

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// The file. Bytes are written as hexadecimal digits.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    version: u32,
    cost: Cost,
    salt: String,
    /// Sealed, to see whether a passphrase opens the file.
    check: Sealed,
    secrets: BTreeMap<String, Sealed>,
}

/// Something secret, sealed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sealed {
    nonce: String,
    sealed: String,
}

/// The file in a data folder, and whether this process has opened it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct SealedFile {
    path: PathBuf,
    cost: Cost,
    /// One reader or writer at a time.
    cipher: Arc<Mutex<Option<XChaCha20Poly1305>>>,
}

impl SealedFile {
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self { path: data_dir.join(FILE), cost: COST, cipher: Arc::default() }
    }

    /// As [`SealedFile::new`], with a key that is found quickly.
    #[cfg(test)]
    pub(crate) fn cheap(data_dir: &Path) -> Self {
        Self { cost: Cost { memory_kib: 64, passes: 1, lanes: 1 }, ..Self::new(data_dir) }
    }

    pub(crate) fn exists(&self) -> bool {
        self.path.exists()
    }

    pub(crate) fn is_unlocked(&self) -> bool {
        self.cipher().is_some()
    }

    /// What secrets there are.
    pub(crate) fn names(&self) -> Result<Vec<String>, SecretError> {
        Ok(self.load()?.map(|content| content.secrets.into_keys().collect()).unwrap_or_default())
    }

    pub(crate) fn unlock(&self, passphrase: &SecretString) -> Result<(), SecretError> {
        let mut unlocked = self.cipher();
        if let Some(content) = self.load()? {
            let cipher = derive(passphrase, &content.salt, content.cost)?;
            open(&cipher, "", &content.check).ok_or(SecretError::WrongPassphrase)?;
            *unlocked = Some(cipher);
            return Ok(());
        }
        if passphrase.expose_secret().chars().count() < 8 {
            return Err(SecretError::ShortPassphrase);
        }
        let salt = hex(&<[u8; 16]>::generate());
        let cipher = derive(passphrase, &salt, self.cost)?;
        let check = seal(&cipher, "", "quaero")?;
        let secrets = BTreeMap::new();
        self.save(&Content { version: VERSION, cost: self.cost, salt, check, secrets })?;
        *unlocked = Some(cipher);
        Ok(())
    }

    pub(crate) fn read(&self, name: &str) -> Result<Option<SecretString>, SecretError> {
        let cipher = self.cipher();
        let Some(content) = self.load()? else { return Ok(None) };
        let Some(sealed) = content.secrets.get(name) else { return Ok(None) };
        let cipher = cipher.as_ref().ok_or(SecretError::Locked)?;
        let opened = open(cipher, name, sealed);
        opened.map(Some).ok_or_else(|| SecretError::File(format!("`{name}` was changed.")))
    }

    /// Replaces a secret, or removes it.
    pub(crate) fn write(
        &self,
        name: &str,
        secret: Option<&SecretString>,
    ) -> Result<(), SecretError> {
        let cipher = self.cipher();
        let mut content = self.load()?.ok_or(SecretError::Locked)?;
        match secret {
            None => drop(content.secrets.remove(name)),
            Some(secret) => {
                let cipher = cipher.as_ref().ok_or(SecretError::Locked)?;
                let sealed = seal(cipher, name, secret.expose_secret())?;
                content.secrets.insert(name.to_owned(), sealed);
            }
        }
        self.save(&content)
    }

    fn cipher(&self) -> std::sync::MutexGuard<'_, Option<XChaCha20Poly1305>> {
        self.cipher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self) -> Result<Option<Content>, SecretError> {
        let file = |why: String| SecretError::File(format!("{}: {why}.", self.path.display()));
        let found = fs::metadata(&self.path).and_then(|found| match found.len() > MAX_BYTES {
            true => Err(io::Error::other("it is larger than any of ours")),
            false => fs::read(&self.path),
        });
        let text = match found {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(file(error.to_string())),
        };
        // The message of a JSON error may quote what it stumbled over; all of it is sealed or open.
        let content: Content =
            serde_json::from_slice(&text).map_err(|error| file(error.to_string()))?;
        let Cost { memory_kib, passes, lanes } = content.cost;
        if content.version != VERSION {
            return Err(file("it was made by another version of Quaero".to_owned()));
        }
        if memory_kib > MOST.memory_kib || passes > MOST.passes || lanes > MOST.lanes {
            return Err(file("it asks for more memory or time than it may".to_owned()));
        }
        Ok(Some(content))
    }

    fn save(&self, content: &Content) -> Result<(), SecretError> {
        let mut text = serde_json::to_vec_pretty(content).expect("text and numbers");
        text.push(b'\n');
        let saved = whole_file::replace(&self.path, &text).and_then(|()| {
            #[cfg(unix)]
            fs::set_permissions(&self.path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
            Ok(())
        });
        saved.map_err(|error| SecretError::File(format!("{}: {error}.", self.path.display())))
    }
}

/// Seals with a key that is itself a secret.
pub(crate) struct Sealer(XChaCha20Poly1305);

impl Sealer {
    /// A new key, as [`Sealer::new`] takes it.
    pub(crate) fn new_key() -> SecretString {
        SecretString::from(hex(&<[u8; 32]>::generate()))
    }

    /// With this key; none if it is not one.
    pub(crate) fn new(key: &SecretString) -> Option<Self> {
        let key: [u8; 32] = bytes(key.expose_secret())?.try_into().ok()?;
        Some(Self(XChaCha20Poly1305::new(&key.into())))
    }

    pub(crate) fn seal(&self, name: &str, secret: &str) -> Result<Sealed, SecretError> {
        seal(&self.0, name, secret)
    }

    /// None if the key is another one, or what is sealed was changed.
    pub(crate) fn open(&self, name: &str, sealed: &Sealed) -> Option<SecretString> {
        open(&self.0, name, sealed)
    }
}

fn derive(
    passphrase: &SecretString,
    salt: &str,
    cost: Cost,
) -> Result<XChaCha20Poly1305, SecretError> {
    let bad = |why: &str| SecretError::File(format!("{why}."));
    let salt = bytes(salt).ok_or_else(|| bad("its salt is no number"))?;
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32))
        .map_err(|error| bad(&error.to_string()))?;
    let mut key = [0_u8; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.expose_secret().as_bytes(), &salt, &mut key)
        .map_err(|error| bad(&error.to_string()))?;
    Ok(XChaCha20Poly1305::new(&key.into()))
}

/// The name is sealed in with the secret, so that two of them cannot be exchanged.
fn seal(cipher: &XChaCha20Poly1305, name: &str, secret: &str) -> Result<Sealed, SecretError> {
    let nonce = XNonce::generate();
    let payload = Payload { msg: secret.as_bytes(), aad: name.as_bytes() };
    let sealed = cipher.encrypt(&nonce, payload);
    let sealed = sealed.map_err(|_| SecretError::File("the secret is too long.".to_owned()))?;
    Ok(Sealed { nonce: hex(&nonce), sealed: hex(&sealed) })
}

fn open(cipher: &XChaCha20Poly1305, name: &str, sealed: &Sealed) -> Option<SecretString> {
    let nonce: [u8; 24] = bytes(&sealed.nonce)?.try_into().ok()?;
    let sealed = bytes(&sealed.sealed)?;
    let payload = Payload { msg: &sealed, aad: name.as_bytes() };
    let opened = cipher.decrypt(&nonce.into(), payload).ok()?;
    String::from_utf8(opened).ok().map(SecretString::from)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    if !hex.len().is_multiple_of(2) || !hex.is_ascii() {
        return None;
    }
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok()).collect()
}
