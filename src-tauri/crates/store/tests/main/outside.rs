//! Other programs that use the database while the store does.

use std::fs;

use quaero_store::{Access, Durability, Store, StoreError};
use sqlx::Connection;
use tempfile::tempdir;

use crate::{assert_consistent, document, folder::connect, open, started};

#[tokio::test]
async fn a_program_that_keeps_the_database_to_itself_is_waited_for() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    started(&store, &["before"]).await;
    let mut other = connect(folder.path()).await;
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
    let writing = tokio::spawn({
        let store = store.clone();
        async move { started(&store, &["while"]).await }
    });
    // Whoever reads does not wait.
    assert_eq!(store.list_runs(None, 10).await.unwrap().len(), 1);
    assert!(!writing.is_finished(), "nobody writes beside the other program");
    sqlx::query("COMMIT").execute(&mut other).await.unwrap();
    writing.await.unwrap();
    assert_eq!(store.list_runs(None, 10).await.unwrap().len(), 2);
    assert_consistent(&store).await;
}

#[tokio::test]
async fn a_program_that_keeps_the_database_for_long_is_named_and_writing_goes_on_after_it() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    let mut other = connect(folder.path()).await;
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
    let error = store.write(|tx| tx.open_runs()).await.unwrap_err();
    assert!(matches!(error, StoreError::InUse) && error.may_pass(), "{error:?}");
    assert!(error.to_string().contains("Another program"), "{error}");
    sqlx::query("COMMIT").execute(&mut other).await.unwrap();
    started(&store, &["after"]).await;
    assert_consistent(&store).await;
}

/// Bytes that do not get smaller: splitmix64, Steele et al. 2014.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed;
    let mut noise = Vec::with_capacity(bytes);
    while noise.len() < bytes {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        noise.extend((z ^ (z >> 31)).to_le_bytes());
    }
    noise
}

async fn write_megabytes(store: &Store, count: u64, from: u64) {
    let place = started(store, &["task"]).await;
    for n in from..from + count {
        let mut new = quaero_store::NewDocument {
            source_type: "test".to_owned(),
            source_id: n.to_string(),
            title: n.to_string(),
            markdown: n.to_string(),
            ..Default::default()
        };
        new.original = Some(noise(n, 4 << 20));
        let document = quaero_store::PreparedDocument::new(new, &[]);
        store.write(move |tx| tx.save_document(place, &document, 1_000)).await.unwrap();
    }
}

#[tokio::test]
async fn a_reader_that_never_ends_lets_the_log_grow_only_as_long_as_it_reads() {
    let folder = tempdir().unwrap();
    let store = Store::open_writer(folder.path(), Durability::System, 0).await.unwrap();
    let log = folder.path().join("quaero.db-wal");
    let mut reader = connect(folder.path()).await;
    sqlx::query("BEGIN").execute(&mut reader).await.unwrap();
    sqlx::query("SELECT count(*) FROM jobs").fetch_one(&mut reader).await.unwrap();
    write_megabytes(&store, 20, 0).await;
    let grown = fs::metadata(&log).unwrap().len();
    assert!(grown > 70 << 20, "the log has to keep what the reader may want: {grown}");
    sqlx::query("COMMIT").execute(&mut reader).await.unwrap();
    reader.close().await.unwrap();
    write_megabytes(&store, 3, 100).await;
    let after = fs::metadata(&log).unwrap().len();
    assert!(after <= 66 << 20, "the log is cut when nobody needs it: {after}");
    assert_consistent(&store).await;
    store.close(0).await.unwrap();
    assert!(!log.exists(), "a closed store leaves no log");
}

#[tokio::test]
async fn two_writers_whose_lock_was_removed_record_nothing_twice() {
    let folder = tempdir().unwrap();
    let first = open(&folder).await;
    let place = started(&first, &["a", "b"]).await;
    let held = first.write(move |tx| crate::claim(tx, place.run, 2)).await.unwrap();
    fs::remove_file(folder.path().join("engine.lock")).unwrap();
    let second = Store::open(folder.path(), Access::Write, 2_000).await.unwrap();
    let taken = second.write(move |tx| {
        tx.void_dead_leases(2_000)?;
        crate::claim(tx, place.run, 2)
    });
    let taken = taken.await.unwrap();
    assert_eq!(taken.len(), 2, "the second one takes everything over");
    let save = |store: &Store, lease: quaero_store::Lease, text: &'static str| {
        let store = store.clone();
        async move {
            let written = store.write(move |tx| {
                let Some(task) = tx.leased(lease)? else { return Ok(false) };
                tx.save_document(task.below, &document(text, text, text), 3_000)?;
                tx.end_task(lease.job, None, 3_000)?;
                Ok(true)
            });
            written.await
        }
    };
    for (old, new) in held.iter().zip(&taken) {
        let refused = save(&first, old.lease, "old").await;
        assert!(matches!(refused, Err(StoreError::Superseded { .. })), "{refused:?}");
        assert!(save(&second, new.lease, "new").await.unwrap());
        assert!(!save(&second, new.lease, "again").await.unwrap());
    }
    assert_eq!(second.count_documents().await.unwrap(), 1);
    second.close(4_000).await.unwrap();
    assert!(first.close(4_000).await.is_err(), "it has nothing to say any more");
}
