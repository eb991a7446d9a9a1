//! Secrets go in, are found by workers, and are seen nowhere else.

use std::sync::atomic::{AtomicBool, Ordering};

use quaero_net::ExposeSecret as _;

use super::*;

/// A keychain in memory that can be absent, locked or silent.
#[derive(Default)]
struct Memory {
    kept: Mutex<BTreeMap<String, String>>,
    missing: AtomicBool,
    locked: AtomicBool,
}

impl Memory {
    fn open(&self) -> Result<std::sync::MutexGuard<'_, BTreeMap<String, String>>, SecretError> {
        if self.missing.load(Ordering::SeqCst) {
            return Err(SecretError::NoKeychain("There is none.".to_owned()));
        }
        if self.locked.load(Ordering::SeqCst) {
            return Err(SecretError::Keychain("It is locked.".to_owned()));
        }
        Ok(self.kept.lock().expect("no panic before"))
    }
}

impl Keychain for Memory {
    fn read(&self, name: &str) -> Result<Option<SecretString>, SecretError> {
        Ok(self.open()?.get(name).cloned().map(SecretString::from))
    }

    fn write(&self, name: &str, secret: &SecretString) -> Result<(), SecretError> {
        self.open()?.insert(name.to_owned(), secret.expose_secret().to_owned());
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), SecretError> {
        self.open()?.remove(name);
        Ok(())
    }
}

struct Bench {
    dir: tempfile::TempDir,
    keychain: Arc<Memory>,
    secrets: Secrets,
}

fn bench(environment: &'static [(&str, &str)]) -> Bench {
    let dir = tempfile::tempdir().expect("a folder");
    let keychain = Arc::new(Memory::default());
    let found = Arc::new(move |name: &str| {
        environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    });
    let mut secrets = Secrets::new(dir.path(), keychain.clone(), found);
    secrets.sealed = SealedFile::cheap(dir.path());
    Bench { dir, keychain, secrets }
}

impl Bench {
    async fn found(&self, name: &str) -> Option<(String, KeyPlace)> {
        let found = self.secrets.find(name).await.expect("found or not");
        found.map(|(secret, place)| (secret.expose_secret().to_owned(), place))
    }

    async fn unlock(&self, passphrase: &str) -> Result<(), SecretError> {
        self.secrets.unlock(SecretString::from(passphrase.to_owned())).await
    }
}

#[tokio::test]
async fn a_secret_is_found_where_it_was_kept_and_only_there() {
    let bench = bench(&[]);
    bench.unlock("a long passphrase").await.expect("made");
    for place in [KeyPlace::Keychain, KeyPlace::File, KeyPlace::Session, KeyPlace::Keychain] {
        let key = format!("key for {place:?}");
        bench.secrets.keep("brave", &key, place).await.expect("kept");
        assert_eq!(bench.found("brave").await, Some((key.clone(), place)));
        let in_keychain =
            bench.keychain.kept.lock().expect("no panic before").contains_key("brave");
        assert_eq!(in_keychain, place == KeyPlace::Keychain, "{place:?}");
        let in_file = bench.secrets.sealed.names().expect("read").contains(&"brave".to_owned());
        assert_eq!(in_file, place == KeyPlace::File, "{place:?}");
        for entry in std::fs::read_dir(bench.dir.path()).expect("read") {
            let text = std::fs::read(entry.expect("an entry").path()).expect("a file");
            assert!(!String::from_utf8_lossy(&text).contains(&key), "in the clear");
        }
    }
    bench.secrets.forget("brave").await.expect("forgotten");
    assert_eq!(bench.found("brave").await, None);
}

#[tokio::test]
async fn the_environment_wins_and_is_not_changed() {
    let bench = bench(&[("QUAERO_BRAVE_API_KEY", " \"from outside\"\n")]);
    assert_eq!(
        bench.found("brave").await,
        Some(("from outside".to_owned(), KeyPlace::Environment))
    );
    let kept = bench.secrets.keep("brave", "another", KeyPlace::Session).await;
    let refused = Err(SecretError::InEnvironment("QUAERO_BRAVE_API_KEY".to_owned()));
    assert_eq!(kept, refused);
    assert_eq!(bench.secrets.forget("brave").await, refused);
}

#[tokio::test]
async fn without_a_keychain_nothing_is_written_in_the_clear() {
    let bench = bench(&[]);
    bench.keychain.missing.store(true, Ordering::SeqCst);
    let kept = bench.secrets.keep("brave", "canary", KeyPlace::Keychain).await;
    assert!(matches!(kept, Err(SecretError::NoKeychain(_))), "{kept:?}");
    let kept = bench.secrets.keep("brave", "canary", KeyPlace::File).await;
    assert_eq!(kept, Err(SecretError::Locked));
    assert_eq!(bench.found("brave").await, None);
    assert_eq!(std::fs::read_dir(bench.dir.path()).expect("read").count(), 0);
    bench.secrets.keep("brave", "canary", KeyPlace::Session).await.expect("kept in memory");
    assert_eq!(bench.secrets.info().await.keychain, KeychainState::Missing);
}

#[tokio::test]
async fn a_locked_keychain_is_told_and_hides_no_key_of_the_session() {
    let bench = bench(&[]);
    bench.secrets.keep("brave", "old", KeyPlace::Keychain).await.expect("kept");
    bench.keychain.locked.store(true, Ordering::SeqCst);
    assert!(matches!(bench.secrets.find("brave").await, Err(SecretError::Keychain(_))));
    assert_eq!(bench.secrets.info().await.keychain, KeychainState::Locked);
    bench.secrets.keep("brave", "new", KeyPlace::Session).await.expect("kept in memory");
    assert_eq!(bench.found("brave").await, Some(("new".to_owned(), KeyPlace::Session)));
}

#[tokio::test]
async fn a_passphrase_opens_the_file_again_and_no_other_one_does() {
    let bench = bench(&[]);
    assert_eq!(bench.unlock("short").await, Err(SecretError::ShortPassphrase));
    bench.unlock("correct horse").await.expect("made");
    bench.secrets.keep("brave", "canary", KeyPlace::File).await.expect("kept");

    let mut later = Secrets::new(bench.dir.path(), bench.keychain.clone(), Arc::new(|_| None));
    later.sealed = SealedFile::cheap(bench.dir.path());
    assert_eq!(later.place("brave").await, Ok(Some(KeyPlace::File)), "it is known to be there");
    assert_eq!(later.find("brave").await.map(|_| ()), Err(SecretError::Locked));
    let unlock = |text: &str| later.unlock(SecretString::from(text.to_owned()));
    assert_eq!(unlock("wrong horse").await, Err(SecretError::WrongPassphrase));
    unlock("correct horse").await.expect("opened");
    let found = later.find("brave").await.expect("read").expect("there");
    assert_eq!(found.0.expose_secret(), "canary");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let file = std::fs::metadata(bench.dir.path().join("keys.json")).expect("the file");
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn a_file_that_was_tampered_with_opens_nothing_and_stays() {
    let bench = bench(&[]);
    bench.unlock("correct horse").await.expect("made");
    bench.secrets.keep("brave", "one", KeyPlace::File).await.expect("kept");
    bench.secrets.keep("tavily", "two", KeyPlace::File).await.expect("kept");
    let path = bench.dir.path().join("keys.json");
    let good = std::fs::read_to_string(&path).expect("read");
    let swapped = good.replace("\"brave\"", "\"x\"").replace("\"tavily\"", "\"brave\"");
    let costly = good.replace("\"passes\": 1", "\"passes\": 4000000");
    let newer = good.replace("\"version\": 1", "\"version\": 2");
    for bad in [swapped.as_str(), "", "{", "[]", &costly, &newer] {
        std::fs::write(&path, bad).expect("written");
        let found = bench.secrets.find("brave").await;
        let opened = found.is_ok_and(|found| found.is_some());
        assert!(!opened, "{bad:.80}");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), bad, "it is left as it is");
    }
}

#[test]
fn what_is_pasted_is_taken_as_it_was_meant() {
    let long = "x".repeat(MAX_SECRET + 1);
    let rows = [
        (" abc\n", Some("abc")),
        ("\u{feff}abc", Some("abc")),
        ("\"abc\"", Some("abc")),
        ("' abc '", Some("abc")),
        ("a b", Some("a b")),
        ("pässwörd", Some("pässwörd")),
        ("", None),
        ("\"\"", None),
        ("\"", Some("\"")),
        ("a\nb", None),
        ("a\u{0}b", None),
        (&long, None),
    ];
    for (text, meant) in rows {
        let found = trimmed(text).ok();
        assert_eq!(found.as_ref().map(|secret| secret.expose_secret()), meant, "{text:.20}");
        let said = trimmed(text).map(|_| ()).map_err(|error| error.to_string());
        assert!(said.is_ok() || text.len() < 3 || !said.expect_err("an error").contains(text));
    }
}
