//! Files of the database that are damaged, before a start and under a working engine. What opens is
//! a state that was committed; what does not says so, and the files are kept.
//!
//! `QUAERO_LONG=1` tries more places.

use std::{fs, path::Path, sync::Arc, time::Duration};

use quaero_contract::JobId;
use quaero_engine::{Engine, EngineError, EngineOptions, Event};
use quaero_store::{Access, Result, Store, StoreError};
use quaero_tests::{
    data,
    dice::Dice,
    folders, note,
    workers::{Conduct, Fast, Script, registry},
};
use tempfile::{TempDir, tempdir};
use tokio::sync::broadcast::{self, error::RecvError};

use super::is_long;

const DATABASE: &str = "quaero.db";
const LOG: &str = "quaero.db-wal";
const INDEX: &str = "quaero.db-shm";
const JOURNAL: &str = "quaero.db-journal";
const PAGE: usize = 4_096;
/// No start or stop takes this long; one that does is stuck.
const LIMIT: Duration = Duration::from_secs(30);

/// What happens to the files.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Garbage { file: &'static str, pages: u64 },
    FewBytes(&'static str),
    LastPageZero,
    Truncated(&'static str),
    Missing(&'static str),
    LogOfAnother,
    StaleJournal,
}

const ALL: &[Damage] = &[
    Damage::Garbage { file: DATABASE, pages: 1 },
    Damage::Garbage { file: DATABASE, pages: 20 },
    Damage::FewBytes(DATABASE),
    Damage::LastPageZero,
    Damage::Truncated(DATABASE),
    Damage::Garbage { file: LOG, pages: 1 },
    Damage::FewBytes(LOG),
    Damage::Truncated(LOG),
    Damage::Missing(LOG),
    Damage::LogOfAnother,
    Damage::Garbage { file: INDEX, pages: 8 },
    Damage::StaleJournal,
];

impl Damage {
    fn apply(self, folder: &Path, other: &Path, dice: &mut Dice) {
        let read = |name: &str| fs::read(folder.join(name)).unwrap_or_default();
        let write =
            |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).expect("written");
        let mut at =
            |length: usize| usize::try_from(dice.roll()).unwrap_or(usize::MAX) % length.max(1);
        match self {
            Self::Garbage { file, pages } => {
                let mut bytes = read(file);
                for _ in 0..pages {
                    let page = at(bytes.len() / PAGE + 1) * PAGE;
                    let end = (page + PAGE).min(bytes.len());
                    for byte in &mut bytes[page.min(end)..end] {
                        *byte = u8::try_from(at(256)).expect("a byte");
                    }
                }
                write(file, &bytes);
            }
            Self::FewBytes(file) => {
                let mut bytes = read(file);
                for _ in 0..3 {
                    let place = at(bytes.len());
                    bytes[place] ^= 1 << at(8);
                }
                write(file, &bytes);
            }
            Self::LastPageZero => {
                let mut bytes = read(DATABASE);
                let last = bytes.len() - PAGE;
                bytes[last..].fill(0);
                write(DATABASE, &bytes);
            }
            Self::Truncated(file) => {
                let bytes = read(file);
                write(file, &bytes[..at(bytes.len())]);
            }
            Self::Missing(file) => drop(fs::remove_file(folder.join(file))),
            Self::LogOfAnother => {
                write(LOG, &fs::read(other.join(LOG)).expect("it was not closed"));
            }
            Self::StaleJournal => {
                let garbage: Vec<u8> =
                    (0..PAGE).map(|_| u8::try_from(at(256)).expect("a byte")).collect();
                write(JOURNAL, &garbage);
            }
        }
    }

    /// Bytes inside of texts can change without anything that SQLite could notice before it needs
    /// them, and nothing in a log says of which database it is.
    fn may_pass_unnoticed(self) -> bool {
        matches!(self, Self::FewBytes(DATABASE) | Self::LogOfAnother)
    }
}

async fn open(folder: &Path) -> Result<Store> {
    Store::open(folder, Access::Write, 1_000).await
}

async fn start(store: &Store) -> std::result::Result<Engine, EngineError> {
    let (workers, clock) = (registry(Conduct::default()), Arc::new(Fast(1_000)));
    Engine::start(store.clone(), workers, clock, EngineOptions::default()).await
}

async fn until_ended(engine: &Engine, store: &Store, run: JobId) -> Result<()> {
    let mut events = engine.events();
    loop {
        let progress = store.run_progress(run).await?;
        if progress.is_none_or(|run| run.status.is_terminal()) {
            return Ok(());
        }
        let _ = events.recv().await;
    }
}

fn script() -> Script {
    Script { text_bytes: 3_000, ..Script::tree(4, 2) }
}

/// A folder with an ended run in the database and another in the log; copied while it is open, as
/// when the computer loses power, or closed.
async fn healthy(closed: bool) -> TempDir {
    let folder = tempdir().expect("a folder");
    for name in ["first", "second"] {
        let store = open(folder.path()).await.expect("opened");
        let engine = start(&store).await.expect("started");
        let run = engine.submit(script().run(name)).await.expect("accepted");
        until_ended(&engine, &store, run).await.expect("ended");
        engine.stop(Duration::ZERO).await;
        if name == "second" && !closed {
            let copy = tempdir().expect("a folder");
            folders::copy(folder.path(), copy.path()).expect("copied");
            store.close(1_000).await.expect("closed");
            return copy;
        }
        store.close(1_000).await.expect("closed");
    }
    folder
}

fn copy(folder: &Path) -> TempDir {
    let copy = tempdir().expect("a folder");
    folders::copy(folder, copy.path()).expect("copied");
    copy
}

#[tokio::test]
async fn what_a_lost_power_supply_and_a_bad_disk_leave_is_a_committed_state_or_refused() {
    let mut dice = Dice::default();
    let (folder, other) = (healthy(false).await, healthy(false).await);
    let before = data::documents(folder.path());
    let (mut refused, mut opened) = (0, 0);
    for damage in ALL {
        for n in 0..if is_long() { 200 } else { 8 } {
            let what = format!("{damage:?}, time {n}");
            let damaged = copy(folder.path());
            damage.apply(damaged.path(), other.path(), &mut dice);
            let bytes = fs::read(damaged.path().join(DATABASE)).expect("readable");
            match open(damaged.path()).await {
                Ok(store) => {
                    opened += 1;
                    let contradictions = store.inconsistencies().await;
                    store.close(1_000).await.expect("closed");
                    let contradictions = contradictions.unwrap_or_else(|e| panic!("{what}: {e}"));
                    if !damage.may_pass_unnoticed() {
                        assert_eq!(contradictions, [""; 0], "{what}");
                        let after = data::documents(damaged.path());
                        let same = |(id, text)| before.get(id) == Some(text);
                        assert!(after.iter().all(same), "{what}: a document that never was");
                    }
                }
                Err(error) => {
                    refused += 1;
                    let told =
                        matches!(error, StoreError::Corrupt { .. } | StoreError::Newer { .. });
                    assert!(told, "{what}: {error:?}");
                    let kept = fs::read(damaged.path().join(DATABASE)).expect("readable");
                    let kept = kept == bytes || damage.may_pass_unnoticed();
                    assert!(kept, "{what}: the database was changed: {error}");
                    // The next start is refused as well, and so is who only reads.
                    assert!(open(damaged.path()).await.is_err(), "{what}: opened after {error}");
                }
            }
        }
    }
    note(&format!("{opened} opened, {refused} were refused"));
    assert!(opened > 10 && refused > 10, "{opened} opened, {refused} refused");
}

/// What an engine is asked to do, on a store whose files may be damaged. Returns the first error.
async fn work(store: &Store, name: &str) -> Option<StoreError> {
    let engine = match start(store).await {
        Ok(engine) => engine,
        Err(EngineError::Store(error)) => return Some(error),
        Err(error) => panic!("{error}"),
    };
    let events = engine.events();
    let worked = async {
        let run = engine.submit(script().run(name)).await?;
        tokio::select! {
            ended = until_ended(&engine, store, run) => ended?,
            // It may be that only the engine finds the damage: it tells of it.
            error = until_halted(events) => return Err(error.into()),
        }
        Ok(())
    };
    let worked: std::result::Result<(), EngineError> = worked.await;
    engine.stop(Duration::ZERO).await;
    match worked {
        Ok(()) => None,
        Err(EngineError::Store(error)) => Some(error),
        Err(error) => panic!("{error}"),
    }
}

async fn until_halted(mut events: broadcast::Receiver<Event>) -> StoreError {
    loop {
        match events.recv().await {
            Ok(Event::Halted(error)) => return error,
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => panic!("the engine has gone without a word"),
        }
    }
}

#[tokio::test]
async fn a_disk_that_decays_is_noticed_at_the_latest_at_work_and_stops_it() {
    let mut dice = Dice::default();
    let folder = healthy(true).await;
    let mut found = 0;
    for n in 0..if is_long() { 200 } else { 20 } {
        let damaged = copy(folder.path());
        let pages = 1 + dice.roll() % 30;
        Damage::Garbage { file: DATABASE, pages }.apply(damaged.path(), folder.path(), &mut dice);
        let store = match open(damaged.path()).await {
            Ok(store) => store,
            Err(error) => {
                assert!(matches!(error, StoreError::Corrupt { .. }), "{n}: {error:?}");
                continue;
            }
        };
        let error = tokio::time::timeout(LIMIT, work(&store, "third")).await.expect("not stuck");
        if let Some(error) = &error {
            found += 1;
            assert!(matches!(error, StoreError::Corrupt { .. }), "{n}: {error:?}");
        }
        let closed = store.close(1_000).await;
        assert!(closed.is_ok() || error.is_some(), "{n}: {closed:?}");
    }
    note(&format!("{found} were found at work"));
}

#[tokio::test]
async fn an_engine_whose_database_is_damaged_stops_writing() {
    let mut dice = Dice::default();
    let folder = healthy(true).await;
    for n in 0..if is_long() { 50 } else { 5 } {
        let damaged = copy(folder.path());
        let store = open(damaged.path()).await.expect("opened");
        assert!(work(&store, "third").await.is_none(), "it is healthy");
        for file in [DATABASE, LOG] {
            Damage::Garbage { file, pages: 500 }.apply(damaged.path(), folder.path(), &mut dice);
        }
        store.write(|tx| tx.forget_pages()).await.unwrap_or_else(|error| note(&error.to_string()));
        let error = tokio::time::timeout(LIMIT, work(&store, "fourth")).await.expect("not stuck");
        let error = error.unwrap_or_else(|| panic!("{n}: nobody noticed"));
        assert!(matches!(error, StoreError::Corrupt { .. }), "{n}: {error:?}");
        let files = || [DATABASE, LOG].map(|file| fs::read(damaged.path().join(file)).ok());
        let before = files();
        let again = store.write(|tx| tx.keep_text("more")).await;
        assert!(matches!(again, Err(StoreError::Corrupt { .. })), "{n}: {again:?}");
        assert!(files() == before, "{n}: it goes on writing");
        let _ = store.close(1_000).await;
        // And the next start says it again.
        let next = open(damaged.path()).await;
        assert!(next.is_err(), "{n}: opened");
    }
}
