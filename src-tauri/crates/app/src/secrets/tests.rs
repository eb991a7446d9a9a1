//! Secrets go in, are found by workers, and are seen nowhere else.

use std::sync::{Condvar, MutexGuard};

use quaero_contract::KeepKey;
use quaero_net::ExposeSecret as _;
use serde::Deserialize;

use super::*;
use crate::{App, AppOptions, Role, World};

/// `tests/attacks/secrets.toml`, as far as it is about keeping.
#[derive(Deserialize)]
struct Table {
    pasted: Vec<Pasted>,
    keychain: Vec<Kept>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pasted {
    name: String,
    #[serde(default = "brave")]
    provider: String,
    text: String,
    #[serde(default = "once")]
    times: usize,
    kept: Option<String>,
    says: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    name: String,
    #[serde(default)]
    state: State,
    secret: String,
    #[serde(default = "once")]
    times: usize,
    shown: KeychainState,
    says: Option<String>,
    /// It is kept nowhere else either.
    #[serde(default)]
    unfit: bool,
}

fn brave() -> String {
    "brave".to_owned()
}

const fn once() -> usize {
    1
}

fn table() -> Table {
    toml::from_str(include_str!("../../../../../tests/attacks/secrets.toml")).expect("the rows")
}

/// A keychain in memory that can be as keychains are.
#[derive(Default)]
struct Memory {
    kept: Mutex<BTreeMap<String, String>>,
    state: Mutex<State>,
    changed: Condvar,
    /// How often it was asked.
    asked: AtomicUsize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    #[default]
    There,
    Absent,
    Locked,
    Denied,
    Silent,
    Broken,
}

impl Memory {
    fn open(&self, secret: &str) -> Result<MutexGuard<'_, BTreeMap<String, String>>, SecretError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let state = *self.state.lock().expect("no panic before");
        match state {
            State::There => Ok(self.kept.lock().expect("no panic before")),
            State::Absent => Err(SecretError::NoKeychain("There is none.".to_owned())),
            State::Locked => Err(SecretError::Keychain("It is locked.".to_owned())),
            State::Denied => Err(SecretError::Keychain("Access was denied.".to_owned())),
            State::Silent => {
                let state = self.state.lock().expect("no panic before");
                drop(self.changed.wait_while(state, |state| *state == State::Silent));
                Err(SecretError::Keychain("It is too late.".to_owned()))
            }
            State::Broken => panic!("no entry for {secret}"),
        }
    }

    fn becomes(&self, state: State) {
        *self.state.lock().expect("no panic before") = state;
        self.changed.notify_all();
    }
}

impl Keychain for Memory {
    fn read(&self, name: &str) -> Result<Option<SecretString>, SecretError> {
        Ok(self.open(name)?.get(name).cloned().map(SecretString::from))
    }

    fn write(&self, name: &str, secret: &SecretString) -> Result<(), SecretError> {
        self.open(secret.expose_secret())?
            .insert(name.to_owned(), secret.expose_secret().to_owned());
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), SecretError> {
        self.open(name)?.remove(name);
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

/// Whether something of the secret stands in a file of the folder.
fn written(folder: &Path, secret: &str) -> bool {
    let part = &secret.as_bytes()[..12];
    let files = std::fs::read_dir(folder).expect("read").flatten();
    let texts = files.map(|file| std::fs::read(file.path()).expect("a file"));
    texts.into_iter().any(|text| text.windows(part.len()).any(|there| there == part))
}

#[tokio::test]
async fn a_keychain_that_cannot_be_used_is_told_and_nothing_is_written_in_the_clear() {
    for row in table().keychain {
        let name = &row.name;
        let mut bench = bench(&[]);
        if row.state == State::Silent {
            bench.secrets.patience = Duration::from_millis(50);
        }
        bench.keychain.becomes(row.state);
        let secret = row.secret.repeat(row.times);

        let kept = bench.secrets.keep("brave", &secret, KeyPlace::Keychain).await;
        let error = kept.err().map(|error| format!("{error} {error:?}"));
        assert_eq!(error.is_some(), row.says.is_some(), "{name}: {error:?}");
        if let (Some(error), Some(says)) = (&error, &row.says) {
            assert!(error.contains(says) && !error.contains(&row.secret), "{name}: {error}");
        }
        assert_eq!(bench.secrets.info().await.keychain, row.shown, "{name}");
        let asked = bench.keychain.asked.load(Ordering::SeqCst);
        if row.state == State::Silent {
            for _ in 0..20 {
                assert_eq!(bench.secrets.place("brave").await, Err(SecretError::KeychainSilent));
            }
            assert_eq!(bench.keychain.asked.load(Ordering::SeqCst), asked, "one waits, not twenty");
        }
        let file = bench.secrets.keep("brave", &secret, KeyPlace::File).await;
        let expected = if row.unfit { error.is_some() } else { file == Err(SecretError::Locked) };
        assert!(expected, "{name}: {file:?}");
        if !row.unfit {
            let place = match row.state {
                State::There => KeyPlace::Keychain,
                _ => {
                    let kept = bench.secrets.keep("brave", &secret, KeyPlace::Session).await;
                    kept.unwrap_or_else(|error| panic!("{name}: {error}"));
                    KeyPlace::Session
                }
            };
            assert_eq!(bench.found("brave").await, Some((secret, place)), "{name}");
        }
        assert!(!written(bench.dir.path(), &row.secret), "{name}");

        bench.secrets.patience = KEYCHAIN_TIME;
        bench.keychain.becomes(State::There);
        while bench.secrets.given_up.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(bench.secrets.info().await.keychain, KeychainState::Ready, "{name}: later");
    }
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

#[tokio::test]
async fn what_is_pasted_is_taken_as_it_was_meant_or_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let keychain = Arc::new(Memory::default());
    keychain.becomes(State::Absent);
    let world = World { keychain, environment: Arc::new(|_| None), ..World::default() };
    let options = AppOptions { data_dir: dir.path().to_owned(), role: Role::EngineForOwnRuns };
    let app = App::open_in(world, options).await.expect("opened");
    for row in table().pasted {
        let Pasted { name, provider, text, times, kept, says } = row;
        let request =
            |key: String| KeepKey { provider: provider.clone(), key, place: KeyPlace::Session };
        app.keep_key(request("before".to_owned())).await.expect("kept");
        let said = app.keep_key(request(text.repeat(times))).await;
        let found = app.core.secrets.find(&provider).await.expect("found").expect("there");
        let found = found.0.expose_secret().to_owned();
        match (said, kept, says) {
            (Ok(()), Some(kept), None) => assert_eq!(found, kept.repeat(times), "{name}"),
            (Err(error), None, Some(says)) => {
                assert!(error.message.contains(&says), "{name}: {error:?}");
                let shown = format!("{error:?}");
                assert!(text.len() < 5 || !shown.contains(&text), "{name}: {shown}");
                assert_eq!(found, "before", "{name}");
            }
            (said, ..) => panic!("{name}: {said:?}"),
        }
    }
    app.close().await;
}
