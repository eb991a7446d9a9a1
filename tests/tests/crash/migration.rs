//! A database of an earlier version is brought up to date whatever happens meanwhile: the process is
//! killed, or a statement fails, at any step of SQLite's virtual machine, or the disk is full. After
//! that it is old or new, never in between, and the next start goes on.
//!
//! `QUAERO_LONG=1` tries many more steps.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use quaero_contract::JobStatus;
use quaero_store::{Access, Result, Store, StoreError, faults};
use quaero_tests::{
    crash::{Order, drive},
    data,
    dice::Dice,
    folders, note,
    workers::{SCRIPTED, Script},
};
use tempfile::{TempDir, tempdir};

use super::{driver, is_long};

/// What the run of the old database does when it goes on.
fn script() -> Script {
    Script::tree(2, 1)
}

fn make_old(folder: &Path, format: i64) {
    let config = serde_json::to_string(&script()).expect("a script is plain data");
    data::wait(faults::make_old(folder, format, SCRIPTED, &config)).expect("made");
}

/// A folder of each earlier format.
fn earlier() -> impl Iterator<Item = (i64, TempDir)> {
    (1..faults::newest_format()).map(|format| {
        let folder = tempdir().expect("a folder");
        make_old(folder.path(), format);
        (format, folder)
    })
}

fn copy(folder: &Path) -> TempDir {
    let copy = tempdir().expect("a folder");
    folders::copy(folder, copy.path()).expect("copied");
    copy
}

/// The schema of each format.
fn schemas() -> &'static BTreeMap<i64, Vec<String>> {
    static SCHEMAS: OnceLock<BTreeMap<i64, Vec<String>>> = OnceLock::new();
    SCHEMAS.get_or_init(|| {
        let all = (1..=faults::newest_format()).map(|format| {
            let folder = tempdir().expect("a folder");
            make_old(folder.path(), format);
            let (found, schema) = data::wait(faults::schema(folder.path())).expect("readable");
            assert_eq!(found, format);
            (format, schema)
        });
        all.collect()
    })
}

/// Fails unless the database is of one format, from `oldest` on, in every part. Looks at a copy,
/// because looking changes files.
fn is_whole(folder: &Path, oldest: i64, what: &str) {
    let copy = copy(folder);
    let (format, schema) = data::wait(faults::schema(copy.path())).expect("readable");
    assert!(format >= oldest, "{what}: format {format}");
    assert!(schemas().get(&format) == Some(&schema), "{what}: not of format {format}: {schema:#?}");
}

/// Fails unless everything that bears a copy's name is the whole database in the format that it names,
/// from `oldest` on, and opens. Returns how many there are.
fn copies_are_whole(folder: &Path, oldest: i64, what: &str) -> usize {
    let entries = std::fs::read_dir(folder.join("backups")).into_iter().flatten();
    let paths = entries.map(|entry| entry.expect("listed").path());
    let copies: Vec<_> = paths.filter(|path| path.extension().is_some_and(|e| e == "db")).collect();
    for copy in &copies {
        let name = copy.file_name().unwrap_or_default().to_string_lossy();
        let format = name.split('-').nth(1).and_then(|format| format.parse().ok());
        let format = format.filter(|format| (oldest..faults::newest_format()).contains(format));
        let format = format.unwrap_or_else(|| panic!("{what}: {name}"));
        let restored = tempdir().expect("a folder");
        std::fs::copy(copy, restored.path().join("quaero.db")).expect("copied");
        let (found, schema) = data::wait(faults::schema(restored.path())).expect("readable");
        assert_eq!((found, Some(&schema)), (format, schemas().get(&format)), "{what}: {name}");
        // It can be gone on from.
        let (runs, contradictions) = data::wait(reopened(restored.path())).expect("opened");
        assert_eq!((runs, contradictions), (2, Vec::new()), "{what}: {name}");
    }
    copies.len()
}

/// Opens the folder with faults that say when; `None` if it opened.
fn open_with(
    folder: &Path,
    fails: impl Fn() -> bool + Send + Sync + 'static,
) -> Option<StoreError> {
    data::wait(async {
        let store = faults::open(folder, 10, 1, fails).await;
        match store {
            Ok(store) => {
                store.close(10).await.expect("closed");
                None
            }
            Err(error) => Some(error),
        }
    })
}

/// How many steps an undisturbed opening takes.
fn steps(folder: &Path) -> u64 {
    let counter = Arc::new(AtomicU64::new(0));
    let counted = counter.clone();
    let count = move || {
        counted.fetch_add(1, SeqCst);
        false
    };
    assert!(open_with(copy(folder).path(), count).is_none(), "it opens without a fault");
    counter.load(SeqCst)
}

/// Some of these steps: evenly, from a random one on.
fn some_of(steps: u64, dice: &mut Dice, few: u64) -> impl Iterator<Item = u64> + use<> {
    let many = if is_long() { 20 * few } else { few };
    let part = (steps / many).max(1);
    (dice.roll() % part..steps).step_by(usize::try_from(part).expect("small"))
}

/// The next process opens the database and ends the run that the first one had begun.
fn goes_on(folder: &Path, what: &str) {
    drive(driver(), folder, &Order::default()).finish().expect(0);
    let runs = data::reading(folder, async |store| store.list_runs(None, 10).await);
    let runs = runs.unwrap_or_else(|error| panic!("{what}: {error}"));
    let ended: Vec<_> = runs.iter().map(|run| (run.status, run.jobs.completed)).collect();
    let total = script().expected().total;
    assert_eq!(ended, [(JobStatus::Completed, total), (JobStatus::Completed, 0)], "{what}");
    data::assert_whole(folder);
}

#[test]
fn a_process_that_is_killed_while_it_migrates_leaves_an_old_or_a_new_database() {
    let mut dice = Dice::default();
    let mut deaths = 0;
    for (format, old) in earlier() {
        let steps = steps(old.path());
        for last in some_of(steps, &mut dice, 8) {
            let what = format!("killed at step {last} of {steps} from format {format} on");
            let folder = copy(old.path());
            let order = Order { dies_opening: Some(last), ..Order::default() };
            let answer = drive(driver(), folder.path(), &order).finish();
            deaths += u32::from(answer.code().is_none());
            is_whole(folder.path(), format, &what);
            copies_are_whole(folder.path(), format, &what);
            goes_on(folder.path(), &what);
            let copies = copies_are_whole(folder.path(), format, &what);
            assert!(copies > 0, "{what}: there is no copy of what it was");
        }
    }
    note(&format!("{deaths} deaths"));
    assert!(deaths > 20, "{deaths} deaths are too few to prove anything");
}

#[test]
fn a_migration_that_is_interrupted_is_undone_and_goes_through_the_next_time() {
    let mut dice = Dice::default();
    let mut interrupted = 0;
    for (format, old) in earlier() {
        let steps = steps(old.path());
        for (n, first) in some_of(steps, &mut dice, 25).enumerate() {
            // For a moment, and from now on.
            let last = if n % 2 == 0 { first } else { u64::MAX };
            let what = format!("interrupted from step {first} of {steps}, format {format}");
            let folder = copy(old.path());
            let counter = AtomicU64::new(0);
            let fails = move || (first..=last).contains(&counter.fetch_add(1, SeqCst));
            if let Some(error) = open_with(folder.path(), fails) {
                assert!(error.may_pass(), "{what}: {error:?}");
                interrupted += 1;
            }
            is_whole(folder.path(), format, &what);
            let found = data::wait(reopened(folder.path()));
            let (runs, contradictions) = found.unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!((runs, contradictions), (2, Vec::new()), "{what}");
        }
    }
    assert!(interrupted > 20, "{interrupted} are too few to prove anything");
}

async fn reopened(folder: &Path) -> Result<(usize, Vec<String>)> {
    let store = Store::open(folder, Access::Write, 20).await?;
    let found = (store.list_runs(None, 10).await?.len(), store.inconsistencies().await?);
    store.close(20).await?;
    Ok(found)
}

#[cfg(target_os = "linux")]
#[test]
fn on_a_full_disk_a_database_stays_as_it_was_and_is_migrated_when_there_is_room() {
    use quaero_tests::folders::Disk;
    let place = tempdir().expect("a folder");
    let mut full = 0;
    for format in 1..faults::newest_format() {
        let at = place.path().join(format!("format {format}"));
        std::fs::create_dir(&at).expect("made");
        let Some(disk) = Disk::mount(at.clone(), "size=16m") else { return };
        let folder = at.join("data");
        make_old(&folder, format);
        let used = (16 << 20) - disk.free();
        // A page of the file system more each time, until it is enough.
        for pages in (0..).step_by(if is_long() { 1 } else { 8 }) {
            let what = format!("from format {format} with {pages} pages");
            disk.change(&format!("size={}", used + pages * 4_096));
            let opened = data::wait(reopened(&folder));
            disk.change("size=16m");
            match opened {
                Ok((runs, contradictions)) => {
                    assert_eq!((runs, contradictions), (2, Vec::new()), "{what}");
                    break;
                }
                Err(error) => assert!(error.may_pass(), "{what}: {error:?}"),
            }
            is_whole(&folder, format, &what);
            full += 1;
        }
        goes_on(&folder, &format!("format {format}"));
    }
    assert!(full > 10, "the disk was full {full} times, too few to prove anything");
}
