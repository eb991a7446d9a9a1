//! Documents are written when their content changes, and only then.

use quaero_store::{DocumentFilter, SaveOutcome, Store};
use tempfile::tempdir;

use crate::{assert_consistent, document, open, started};

async fn save(store: &Store, place: quaero_store::Place, text: &'static str) -> SaveOutcome {
    let saved = store
        .write(move |tx| {
            tx.save_document(place, &document("https://example.org/a", "A", text), 5_000)
        })
        .await;
    saved.unwrap().1
}

#[tokio::test]
async fn the_same_content_again_changes_only_when_it_was_seen() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    let first = started(&store, &["a"]).await;
    assert_eq!(save(&store, first, "one").await, SaveOutcome::Created);
    let second = started(&store, &["a"]).await;
    assert_eq!(save(&store, second, "one").await, SaveOutcome::Unchanged);
    let state = store.document_state("web", "https://example.org/a").await.unwrap().unwrap();
    let view = store.get_document(state.id).await.unwrap().unwrap();
    assert_eq!(view.run_id, first.run, "the run that wrote the content");
    assert_eq!(view.tags, ["job", "mixed case"]);
    assert_eq!(save(&store, second, "two").await, SaveOutcome::Updated);
    assert_eq!(store.get_document(state.id).await.unwrap().unwrap().run_id, second.run);
    let counts = store.run_progress(second.run).await.unwrap().unwrap().documents;
    assert_eq!(
        (counts.created, counts.updated, counts.unchanged),
        (0, 0, 1),
        "a document counts once for a run"
    );
    assert_consistent(&store).await;
}

#[tokio::test]
async fn the_original_comes_back_as_it_was() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    let place = started(&store, &["a"]).await;
    save(&store, place, "one").await;
    let ids = store
        .document_ids(&DocumentFilter { run: Some(place.run), ..Default::default() }, None, 10)
        .await
        .unwrap();
    let whole = store.document_with_original(ids[0]).await.unwrap().unwrap();
    assert_eq!(whole.original.as_deref(), Some(&b"<html>original</html>"[..]));
    let none =
        DocumentFilter { tags: vec!["job".to_owned(), "absent".to_owned()], ..Default::default() };
    assert_eq!(store.document_ids(&none, None, 10).await.unwrap(), []);
}

#[tokio::test]
async fn new_content_has_its_own_day_and_keeps_its_other_tags() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    let place = started(&store, &["a"]).await;
    let save = async |text: &str, tags: &[&str]| {
        let new = quaero_store::NewDocument {
            source_type: "asx_stock".to_owned(),
            source_id: "ABC.AU".to_owned(),
            markdown: text.to_owned(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            ..quaero_store::NewDocument::default()
        };
        let document = quaero_store::PreparedDocument::new(new, &[]);
        let id = store.write(move |tx| tx.save_document(place, &document, 5_000)).await.unwrap().0;
        store.get_document(id).await.unwrap().unwrap().tags
    };
    assert_eq!(save("one", &["abc", "date:2026-11-24"]).await, ["abc", "date:2026-11-24"]);
    assert_eq!(save("two", &["date:2026-11-25"]).await, ["abc", "date:2026-11-25"]);
    assert_eq!(save("three", &["more"]).await, ["abc", "date:2026-11-25", "more"]);
    assert_consistent(&store).await;
}
