//! The history of definitions.

use quaero_contract::VersionReason;
use quaero_store::{VERSIONS_KEPT, text_hash};

use super::*;

async fn note(store: &Store, id: &'static str, text: &str, why: VersionReason, at: i64) -> u32 {
    let text = text.to_owned();
    let note = store.write(move |tx| {
        let hash = tx.keep_text(&text)?;
        tx.note_version(id, &hash, why, None, at)
    });
    note.await.unwrap()
}

/// `version why text`, newest first.
async fn history(store: &Store, id: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for version in store.definition_versions(id).await.unwrap() {
        let view = store.definition_version(id, version.version).await.unwrap().unwrap();
        assert_eq!(view.version, version);
        assert_eq!(version.hash, text_hash(view.text.as_bytes()));
        assert_eq!(version.bytes as usize, view.text.len());
        lines.push(format!("{} {} {}", version.version, version.why.as_str(), view.text));
    }
    lines
}

/// How many texts are kept in all.
async fn texts(folder: &TempDir) -> i64 {
    let address = format!("sqlite://{}?mode=ro", folder.path().join("quaero.db").display());
    let mut conn = <sqlx::SqliteConnection as sqlx::Connection>::connect(&address).await.unwrap();
    sqlx::query_scalar("SELECT count(*) FROM definition_texts").fetch_one(&mut conn).await.unwrap()
}

#[tokio::test]
async fn the_same_text_in_a_row_is_one_version() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let rows = [
        ("one", VersionReason::FoundOnDisk, 1),
        ("one", VersionReason::Saved, 1),
        ("two", VersionReason::Saved, 2),
        ("one", VersionReason::Restored, 3),
        ("one", VersionReason::FoundOnDisk, 3),
    ];
    for (at, (text, why, version)) in (0..).zip(rows) {
        assert_eq!(note(&store, "a", text, why, at).await, version, "{text} at {at}");
    }
    note(&store, "b", "ünö", VersionReason::Saved, 9).await;
    assert_eq!(
        history(&store, "a").await,
        ["3 restored one", "2 saved two", "1 found_on_disk one"]
    );
    assert_eq!(history(&store, "b").await, ["1 saved ünö"]);
    assert_eq!(history(&store, "c").await, [""; 0]);
    assert_eq!(store.definition_version("a", 4).await.unwrap(), None);
    store.close(10).await.unwrap();
}

#[tokio::test]
async fn a_version_names_the_newest_run_of_its_text() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let text = new_run("x").definition_text;
    note(&store, "test", &text, VersionReason::Saved, 1).await;
    let mut runs = Vec::new();
    for request in ["one", "two"] {
        let run = store.write(move |tx| {
            let run = new_run(request);
            let (id, _) = tx.create_run(&run, 2)?;
            let hash = text_hash(run.definition_text.as_bytes());
            tx.note_version("test", &hash, VersionReason::Executed, Some(id), 2)?;
            Ok(id)
        });
        runs.push(run.await.unwrap());
    }
    let versions = store.definition_versions("test").await.unwrap();
    assert_eq!(versions.len(), 1, "{versions:?}");
    assert_eq!((versions[0].why, versions[0].run_id), (VersionReason::Saved, Some(runs[1])));
    assert_eq!(store.run_text(runs[0]).await.unwrap(), Some(text));
    assert_eq!(store.run_text(JobId(99)).await.unwrap(), None);
    store.close(10).await.unwrap();
}

#[tokio::test]
async fn old_versions_are_forgotten_but_no_text_that_is_still_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let run = new_run("one");
    let pinned = run.definition_text.clone();
    let run = store.write(move |tx| tx.create_run(&run, 1));
    let (run, _) = run.await.unwrap();
    note(&store, "a", &pinned, VersionReason::Saved, 1).await;
    note(&store, "a", "shared", VersionReason::Saved, 1).await;
    note(&store, "b", "shared", VersionReason::Saved, 1).await;
    for n in 0..VERSIONS_KEPT + 50 {
        note(&store, "a", &format!("text {n}"), VersionReason::Saved, 2).await;
    }
    let lines = history(&store, "a").await;
    assert_eq!(lines.len(), VERSIONS_KEPT as usize);
    assert_eq!(lines[0], format!("{} saved text {}", VERSIONS_KEPT + 52, VERSIONS_KEPT + 49));
    assert_eq!(history(&store, "b").await, ["1 saved shared"]);
    assert_eq!(store.run_text(run).await.unwrap(), Some(pinned));
    assert_eq!(texts(&folder).await, i64::from(VERSIONS_KEPT) + 2, "the others are gone");
    store.close(10).await.unwrap();
}

#[tokio::test]
async fn a_version_needs_its_text() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let note = store.write(|tx| tx.note_version("a", "none", VersionReason::Saved, None, 1));
    note.await.expect_err("there is no such text");
    assert_eq!(history(&store, "a").await, [""; 0]);
    store.close(10).await.unwrap();
}
