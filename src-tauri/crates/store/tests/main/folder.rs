//! Opening a folder never makes things worse.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use quaero_store::{Access, Lock, Store, StoreError};
use sqlx::{Connection, SqliteConnection};
use tempfile::tempdir;

use crate::{open, started};

#[tokio::test]
async fn one_process_writes_and_others_read_beside_it() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    started(&store, &["a"]).await;
    match Store::open(folder.path(), Access::Write, 0).await {
        Err(StoreError::Locked { pid, .. }) => assert_eq!(pid, std::process::id()),
        other => panic!("a second writer was let in: {other:?}"),
    }
    let reader = Store::open(folder.path(), Access::Read, 0).await.unwrap();
    assert_eq!(reader.list_runs(None, 10).await.unwrap().len(), 1);
    assert!(reader.live_epoch().await.unwrap().is_some());
    assert!(matches!(reader.changes(), Err(StoreError::ReadOnly)));
    store.close(2_000).await.unwrap();
    assert_eq!(Lock::holder(folder.path()).unwrap(), None);
    assert_eq!(reader.live_epoch().await.unwrap(), None);
}

#[tokio::test]
async fn a_writer_that_was_superseded_by_force_stops_writing() {
    let folder = tempdir().unwrap();
    let first = open(&folder).await;
    started(&first, &["a"]).await;
    // Another program that writes changes nothing of that.
    let mut other = connect(folder.path()).await;
    sqlx::query("UPDATE jobs SET priority = 1").execute(&mut other).await.unwrap();
    started(&first, &["b"]).await;

    fs::remove_file(folder.path().join("engine.lock")).unwrap();
    let second = open(&folder).await;
    started(&second, &["c"]).await;
    for _ in 0..2 {
        let refused = first.write(|tx| tx.keep_text("more")).await;
        assert!(matches!(refused, Err(StoreError::Superseded { .. })), "{refused:?}");
        assert!(!refused.unwrap_err().may_pass());
    }
    assert!(matches!(first.close(2_000).await, Err(StoreError::Superseded { .. })));
    started(&second, &["d"]).await;
    assert_eq!(second.list_runs(None, 10).await.unwrap().len(), 4);
    crate::assert_consistent(&second).await;
    second.close(3_000).await.unwrap();
    assert!(!open(&folder).await.was_unclean(), "the second was closed");
}

#[tokio::test]
async fn asking_who_writes_keeps_nobody_from_writing() {
    let folder = tempdir().unwrap();
    let asking = Arc::new(AtomicBool::new(true));
    let others = {
        let (path, asking) = (folder.path().to_owned(), asking.clone());
        std::thread::spawn(move || {
            while asking.load(Relaxed) {
                Lock::holder(&path).unwrap();
            }
        })
    };
    for _ in 0..20 {
        open(&folder).await.close(0).await.unwrap();
    }
    asking.store(false, Relaxed);
    others.join().unwrap();
}

#[tokio::test]
async fn the_linked_sqlite_has_no_wal_reset_race() {
    let folder = tempdir().unwrap();
    drop(open(&folder).await);
    let version: Vec<u32> =
        Store::sqlite_version().split('.').map(|n| n.parse().unwrap()).collect();
    assert!(version >= vec![3, 51, 3], "{version:?}");
    let mut conn = connect(folder.path()).await;
    let running: String =
        sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut conn).await.unwrap();
    assert_eq!(running, Store::sqlite_version());
}

#[tokio::test]
async fn an_unclean_stop_is_noticed() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    assert!(!store.was_unclean());
    drop(store);
    settled(folder.path()).await;
    let store = open(&folder).await;
    assert!(store.was_unclean(), "the store was dropped, not closed");
    store.close(0).await.unwrap();
    assert!(!open(&folder).await.was_unclean());
}

#[tokio::test]
async fn a_database_whose_creation_was_cut_off_is_made_anew() {
    let (source, folder) = (tempdir().unwrap(), tempdir().unwrap());
    // A first transaction that has reached the file, and whose journal is still there.
    let mut conn = SqliteConnection::connect_with(
        &sqlx::sqlite::SqliteConnectOptions::new()
            .filename(source.path().join("quaero.db"))
            .create_if_missing(true)
            .pragma("cache_size", "1"),
    )
    .await
    .unwrap();
    for sql in [
        "BEGIN",
        "CREATE TABLE t (x)",
        "INSERT INTO t SELECT zeroblob(500000)",
        "INSERT INTO t SELECT zeroblob(500000)",
    ] {
        sqlx::query(sql).execute(&mut conn).await.unwrap();
    }
    for name in ["quaero.db", "quaero.db-journal"] {
        fs::copy(source.path().join(name), folder.path().join(name)).unwrap();
    }
    sqlx::query("ROLLBACK").execute(&mut conn).await.unwrap();

    assert!(!Store::exists(folder.path()), "there is nothing to read yet");
    let store = open(&folder).await;
    assert_eq!(store.list_runs(None, 10).await.unwrap().len(), 0);
    assert!(Store::exists(folder.path()));
}

#[tokio::test]
async fn a_damaged_database_is_told_apart_from_a_new_one() {
    check_refused("it is missing", |database| fs::remove_file(database).unwrap()).await;
    check_refused("it is empty", |database| fs::write(database, b"").unwrap()).await;
    check_refused("its header is garbage", |database| {
        let mut bytes = fs::read(database).unwrap();
        bytes[..100].fill(0xAA);
        fs::write(database, bytes).unwrap();
    })
    .await;
    check_refused("it is another program's", |database| {
        let mut bytes = fs::read(database).unwrap();
        bytes[68..72].copy_from_slice(b"Else");
        fs::write(database, bytes).unwrap();
    })
    .await;
    check_refused("it is cut in half", |database| {
        let bytes = fs::read(database).unwrap();
        fs::write(database, &bytes[..bytes.len() / 2]).unwrap();
    })
    .await;
}

async fn check_refused(what: &str, damage: impl FnOnce(&Path)) {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    started(&store, &["a", "b"]).await;
    // An unclean stop, so that the start looks closely.
    drop(store);
    settled(folder.path()).await;
    let mut conn = connect(folder.path()).await;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    let database = folder.path().join("quaero.db");
    damage(&database);
    let before = fs::read(&database).ok();
    let opened = Store::open(folder.path(), Access::Write, 0).await;
    assert!(matches!(opened, Err(StoreError::Corrupt { .. })), "{what}: {opened:?}");
    assert_eq!(fs::read(&database).ok(), before, "{what}: the file was changed");
}

#[tokio::test]
async fn a_newer_database_is_refused_without_changing_a_byte() {
    let folder = tempdir().unwrap();
    open(&folder).await.close(0).await.unwrap();
    let database = folder.path().join("quaero.db");
    let mut conn = connect(folder.path()).await;
    sqlx::query("PRAGMA user_version = 999").execute(&mut conn).await.unwrap();
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    let before = fs::read(&database).unwrap();
    let opened = Store::open(folder.path(), Access::Write, 0).await;
    assert!(matches!(opened, Err(StoreError::Newer { found: 999, .. })), "{opened:?}");
    assert_eq!(fs::read(&database).unwrap(), before);
}

#[tokio::test]
async fn a_schema_that_this_version_has_not_made_is_refused_with_a_reason_and_left_alone() {
    let rows = [
        (
            "UPDATE _sqlx_migrations SET success = 0 WHERE version = 3",
            "migration 3 was not finished",
        ),
        (
            "UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 2",
            "migration 2 is not the",
        ),
        ("DELETE FROM _sqlx_migrations WHERE version = 4", "lacks migration 4"),
        ("DELETE FROM _sqlx_migrations WHERE version = 1", "lacks migration 1"),
        ("DROP TABLE _sqlx_migrations", "lacks migration 1"),
        ("PRAGMA user_version = 5", "has migration 6 but says format 5"),
        ("UPDATE _sqlx_migrations SET version = -1 WHERE version = 2", "migration -1 is not known"),
    ];
    for (sql, reason) in rows {
        let folder = closed_after(sql).await;
        let refused = refused_unchanged(folder.path()).await;
        let text = refused.to_string();
        assert!(matches!(refused, StoreError::Corrupt { .. }), "{sql}: {refused:?}");
        assert!(text.contains(reason) && text.contains("Open it with that build"), "{sql}: {text}");
    }
    // It went through all that is known here, and more.
    let newer =
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (99, 'later', 1, x'00', 0)";
    let refused = refused_unchanged(closed_after(newer).await.path()).await;
    assert!(matches!(refused, StoreError::Newer { found: 99, .. }), "{refused:?}");
}

/// The folder of a store that was closed and to whose database another program has done this.
async fn closed_after(sql: &'static str) -> tempfile::TempDir {
    let folder = tempdir().unwrap();
    open(&folder).await.close(0).await.unwrap();
    let mut conn = connect(folder.path()).await;
    for sql in [sql, "PRAGMA wal_checkpoint(TRUNCATE)"] {
        sqlx::query(sql).execute(&mut conn).await.unwrap();
    }
    conn.close().await.unwrap();
    folder
}

/// Why the store is opened neither for writing nor for reading, and nothing is written.
async fn refused_unchanged(folder: &Path) -> StoreError {
    let database = folder.join("quaero.db");
    let before = fs::read(&database).unwrap();
    let write = Store::open(folder, Access::Write, 0).await.map(drop).unwrap_err();
    let read = Store::open(folder, Access::Read, 0).await.map(drop).unwrap_err();
    assert_eq!(write.to_string(), read.to_string());
    assert_eq!(fs::read(&database).unwrap(), before, "{write}");
    assert!(!folder.join("backups").exists(), "{write}");
    write
}

#[tokio::test]
async fn a_database_in_use_by_another_program_is_not_called_damaged() {
    let folder = tempdir().unwrap();
    open(&folder).await.close(0).await.unwrap();
    let mut other = connect(folder.path()).await;
    for sql in ["PRAGMA locking_mode = EXCLUSIVE", "BEGIN IMMEDIATE", "DELETE FROM events"] {
        sqlx::query(sql).execute(&mut other).await.unwrap();
    }
    let opened = Store::open(folder.path(), Access::Write, 0).await;
    assert!(matches!(opened, Err(StoreError::InUse)), "{opened:?}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_named() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    let Err(error) = Store::open(&file, Access::Write, 0).await else {
        panic!("a file is no folder")
    };
    assert!(error.to_string().contains("file"), "{error}");
    let odd = folder.path().join("with spaces and ünïcödé 🦀");
    Store::open(&odd, Access::Write, 0).await.unwrap().close(0).await.unwrap();
}

/// What a data folder is, and what the error says of it, if it cannot be used.
#[cfg(unix)]
#[tokio::test]
async fn an_odd_data_folder_works_or_is_refused_with_a_reason_and_left_alone() {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt};

    let root = tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    fs::create_dir(path("real")).unwrap();
    std::os::unix::fs::symlink("real", path("link")).unwrap();
    std::os::unix::fs::symlink("nowhere", path("dangling")).unwrap();
    std::os::unix::fs::symlink("circle", path("circle")).unwrap();
    std::os::unix::fs::symlink("/dev/null", path("device")).unwrap();
    let not_text = root.path().join(OsString::from_vec(b"\xff\xfe".to_vec()));
    let rows = [
        (path("link"), None),
        (path(&"n".repeat(255)), None),
        (path(&"n".repeat(256)), Some("too long")),
        (path("dangling"), Some("dangling")),
        (path("circle"), Some("circle")),
        (path("device"), Some("device")),
        (not_text.clone(), Some("not valid text")),
        ("/proc/nothing/here".into(), Some("/proc/nothing")),
        ("/dev/full/here".into(), Some("/dev/full")),
    ];
    for (folder, reason) in rows {
        let opened = Store::open(&folder, Access::Write, 0).await;
        match (opened, reason) {
            (Ok(store), None) => {
                started(&store, &["a"]).await;
                store.close(0).await.unwrap();
                let reader = Store::open(&folder, Access::Read, 0).await.unwrap();
                assert_eq!(reader.list_runs(None, 10).await.unwrap().len(), 1);
            }
            (Err(error @ StoreError::Io { .. }), Some(reason)) => {
                assert!(error.to_string().contains(reason), "{error}");
                let read = Store::open(&folder, Access::Read, 0).await;
                assert!(read.is_err(), "{}", folder.display());
            }
            (opened, _) => panic!("{}: {opened:?}", folder.display()),
        }
    }
    assert!(!not_text.exists() && !path("nowhere").exists(), "nothing is left behind");
}

#[tokio::test]
async fn a_damaged_log_does_not_keep_the_store_from_opening() {
    let folder = tempdir().unwrap();
    open(&folder).await.close(0).await.unwrap();
    fs::write(
        folder.path().join("logs.db"),
        b"this is not a database, and long enough to be looked at",
    )
    .unwrap();
    open(&folder).await.close(0).await.unwrap();
    assert!(folder.path().join("logs.db.damaged").exists(), "the damaged log is kept");
}

pub(crate) async fn connect(folder: &Path) -> SqliteConnection {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.join("quaero.db"));
    SqliteConnection::connect_with(&options).await.unwrap()
}

/// Waits until a dropped store has let go of its lock.
pub(crate) async fn settled(folder: &Path) {
    while Lock::holder(folder).unwrap().is_some() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_close_that_is_given_up_half_way_still_ends_the_writer_and_frees_the_folder() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    let other = store.clone();
    assert!(futures::future::poll_immediate(Box::pin(store.close(1))).await.is_none());
    let late = other.write(|tx| tx.engine_paused()).await;
    assert!(matches!(late, Err(StoreError::Closed)), "{late:?}");
    open(&folder).await.close(2).await.unwrap();
}
