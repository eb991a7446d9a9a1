//! Search finds what is there, and no query is wrong.

use proptest::prelude::*;
use quaero_contract::SearchRequest;
use quaero_store::{Place, Store, StoreError, Tx};
use tempfile::{TempDir, tempdir};

use crate::{document, open, started};

const DAY: i64 = 86_400_000;
const NOW: i64 = 20_000 * DAY;

async fn library() -> (TempDir, Store) {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    let place = started(&store, &["a"]).await;
    store
        .write(move |tx| {
            for (id, title, text) in [
                (
                    "https://a.example.org/cash",
                    "Cash flow",
                    "The *cash flow* of 2025 rose to 36.1 million.",
                ),
                (
                    "https://b.example.org/debt",
                    "Debt",
                    "Net debt fell while cash stayed. See [notes](https://x/y).",
                ),
                ("https://other.test/divid", "Dividends", "A dividend of 12 cents. Café crème."),
            ] {
                tx.save_document(place, &document(id, title, text), 5_000)?;
            }
            Ok(())
        })
        .await
        .unwrap();
    (folder, store)
}

async fn titles(store: &Store, query: &str) -> Vec<String> {
    let request = SearchRequest { query: query.to_owned(), limit: 10, ..Default::default() };
    let results = store.search(&request, NOW).await.unwrap();
    assert_eq!(results.total as usize, results.hits.len(), "{query}");
    results.hits.into_iter().map(|hit| hit.title).collect()
}

#[tokio::test]
async fn queries_find_what_they_say() {
    let (_folder, store) = library().await;
    let check = async |query: &str, expected: &[&str]| {
        let mut found = titles(&store, query).await;
        found.sort();
        assert_eq!(found, expected, "{query}");
    };
    check("cash", &["Cash flow", "Debt"]).await;
    check("\"cash flow\"", &["Cash flow"]).await;
    check("cash -debt", &["Cash flow"]).await;
    check("cash NOT title:debt", &["Cash flow"]).await;
    check("debt OR dividend", &["Debt", "Dividends"]).await;
    check("divid*", &["Dividends"]).await;
    check("cafe creme", &["Dividends"]).await;
    check("site:example.org", &["Cash flow", "Debt"]).await;
    check("site:a.example.org", &["Cash flow"]).await;
    check("site:ample.org", &[]).await;
    check("tag:JOB cash", &["Cash flow", "Debt"]).await;
    check("source:file", &[]).await;
    check("before:1970-01-02", &[]).await;
    check("after:1970-01-02 36.1", &["Cash flow"]).await;
    check("dividend OR site:a.example.org", &["Cash flow", "Dividends"]).await;
    check("-cash", &["Dividends"]).await;
    check("", &["Cash flow", "Debt", "Dividends"]).await;
}

#[tokio::test]
async fn the_title_counts_for_more_and_hits_are_marked() {
    let (_folder, store) = library().await;
    assert_eq!(titles(&store, "cash").await, ["Cash flow", "Debt"]);
    let request = SearchRequest { query: "notes".to_owned(), limit: 1, ..Default::default() };
    let results = store.search(&request, NOW).await.unwrap();
    let hits: Vec<&str> =
        results.hits[0].snippet.iter().filter(|p| p.hit).map(|p| p.text.as_str()).collect();
    assert_eq!(hits, ["notes"]);
    let facets =
        store.search(&SearchRequest { limit: 1, ..Default::default() }, NOW).await.unwrap().facets;
    assert_eq!((facets.tags.len(), facets.sites.len(), facets.source_types[0].count), (2, 3, 3));
}

#[tokio::test]
async fn headings_count_for_more_than_text_and_new_documents_for_more_than_old_ones() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    let place = started(&store, &["a"]).await;
    let save = async |id: &str, text: &str, age_days: i64| {
        let mut new = quaero_store::NewDocument {
            source_type: "file".to_owned(),
            source_id: id.to_owned(),
            title: format!("Title {id}"),
            markdown: text.to_owned(),
            ..Default::default()
        };
        new.fetched_ms = NOW - age_days * DAY;
        let document = quaero_store::PreparedDocument::new(new, &[]);
        store.write(move |tx| tx.save_document(place, &document, 1)).await.unwrap();
    };
    save("text", "About something.\n\nThe harvest was good, and the weather was fair.", 0).await;
    save("heading", "## The harvest\n\nIt was good, and the weather was fair as ever.", 0).await;
    save("code", "```\n# harvest\n```\n\nIt was good, and the weather was fair as ever.", 0).await;
    assert_eq!(titles(&store, "harvest").await[0], "Title heading");
    let in_headings = titles(&store, "harvest").await;
    assert!(in_headings[1..].contains(&"Title code".to_owned()), "{in_headings:?}");
    for (id, age) in [("old", 3_000), ("new", 1), ("middle", 80)] {
        save(id, "The orchard is in bloom.", age).await;
    }
    assert_eq!(titles(&store, "orchard").await, ["Title new", "Title middle", "Title old"]);
    // A better hit stays before a newer one.
    save("best", "# Orchard\n\nThe orchard, and nothing but the orchard.", 3_000).await;
    assert_eq!(titles(&store, "orchard").await[0], "Title best");
    // Pages of hits neither repeat nor leave out any.
    let mut seen = Vec::new();
    for offset in 0..4 {
        let request =
            SearchRequest { query: "orchard".to_owned(), limit: 1, offset, ..Default::default() };
        seen.extend(store.search(&request, NOW).await.unwrap().hits.into_iter().map(|h| h.title));
    }
    assert_eq!(seen, titles(&store, "orchard").await);
    store.rebuild_index().await.unwrap();
    assert_eq!(titles(&store, "harvest").await[0], "Title heading");
}

#[test]
fn no_query_is_an_error() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (_folder, store) = runtime.block_on(library());
    let ask = |query: &str| {
        let request = SearchRequest { query: query.to_owned(), limit: 5, ..Default::default() };
        runtime.block_on(store.search(&request, NOW)).unwrap_or_else(|e| panic!("{query:?}: {e}"))
    };
    for query in [
        "\"",
        "*",
        "NEAR(",
        "a OR",
        "col:",
        "-",
        "^",
        "🦀",
        "a\0b",
        "'; DROP",
        "{title}: x",
        "a + b",
        "(",
        "tag:",
        "\"\"",
        "title:*",
    ] {
        ask(query);
    }
    ask(&"word ".repeat(10_000));
    proptest!(ProptestConfig::with_cases(200), |(query in "[a-c \"()*:^+{}\\-]{0,40}|(AND|OR|NOT|title:|tag:|[a-z]|[\"()*-]| ){0,20}|\\PC{0,40}")| {
        ask(&query);
    });
}

/// What another program, or a disk, does to the tables in which FTS5 keeps the index.
#[tokio::test]
async fn a_damaged_search_index_is_named_and_made_anew() {
    let damages = [
        "DELETE FROM documents_fts_data WHERE id > 10",
        "DELETE FROM documents_fts_data WHERE id = 10",
        "DELETE FROM documents_fts_data WHERE id = 1",
        "DELETE FROM documents_fts_data",
        "UPDATE documents_fts_data SET block = zeroblob(length(block)) WHERE id > 10",
        "UPDATE documents_fts_data SET block = substr(block, 1, length(block) / 2) WHERE id > 10",
        "UPDATE documents_fts_data SET block = x'ffffffffffffffff' WHERE id = 10",
        "DELETE FROM documents_fts_docsize WHERE id = 2",
        "UPDATE documents_fts_docsize SET sz = x'ff'",
    ];
    for damage in damages {
        let (folder, store) = library().await;
        let right = titles(&store, "cash").await;
        let mut other = crate::folder::connect(folder.path()).await;
        let changed = sqlx::query(damage).execute(&mut other).await.unwrap().rows_affected();
        assert!(changed > 0, "{damage}");

        let found = store.inconsistencies().await.unwrap();
        assert!(found.iter().any(|line| line.contains("search index")), "{damage}: {found:?}");
        let request = SearchRequest { query: "cash".to_owned(), limit: 10, ..Default::default() };
        match store.search(&request, NOW).await {
            Ok(results) => {
                let all_right = results.hits.iter().all(|hit| right.contains(&hit.title));
                assert!(all_right, "{damage}: {results:?}");
            }
            Err(error) => {
                let text = error.to_string();
                let says = text.contains("search index is damaged") && text.contains("`reindex`");
                assert!(says, "{damage}: {text}");
            }
        }
        // What is not searched for is there as before.
        let all = SearchRequest { limit: 10, ..Default::default() };
        assert_eq!(store.search(&all, NOW).await.unwrap().total, 3, "{damage}");

        assert_eq!(store.rebuild_index().await.unwrap(), 3, "{damage}");
        crate::assert_consistent(&store).await;
        assert_eq!(titles(&store, "cash").await, right, "{damage}");
    }
}

type Change = Box<dyn FnOnce(&mut Tx) -> Result<(), StoreError> + Send>;

/// Has the store do in one commit whatever this queues at once.
async fn together<T>(store: &Store, what: impl Future<Output = T>) -> T {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    // What is queued while this waits is done with it.
    let first = store.write(move |_| {
        wait.recv().expect("told to go on");
        Ok(())
    });
    let (first, what, ()) = tokio::join!(first, what, async { go.send(()).unwrap() });
    first.unwrap();
    what
}

/// Whether each of these changes was made.
async fn made(store: &Store, changes: Vec<Change>) -> Vec<bool> {
    let changes = changes.into_iter().map(|change| store.write(change));
    futures::future::join_all(changes).await.iter().map(Result::is_ok).collect()
}

/// Has the store do these changes in one commit. Returns whether each was made.
async fn in_one_commit(store: &Store, changes: Vec<Change>) -> Vec<bool> {
    together(store, made(store, changes)).await
}

/// Has the store rebuild the index in one commit with these changes before it and those after it.
async fn rebuild_amid(store: &Store, before: Vec<Change>, after: Vec<Change>) -> u32 {
    let all =
        async { tokio::join!(made(store, before), store.rebuild_index(), made(store, after)) };
    let (before, rebuilt, after) = together(store, all).await;
    assert!(before.into_iter().chain(after).all(|made| made));
    rebuilt.unwrap()
}

async fn sorted_titles(store: &Store, query: &str) -> Vec<String> {
    let mut titles = titles(store, query).await;
    titles.sort();
    titles
}

fn saves(place: Place, id: &'static str, text: &'static str) -> Change {
    Box::new(move |tx| tx.save_document(place, &document(id, id, text), 5_000).map(drop))
}

#[tokio::test]
async fn documents_of_one_commit_are_found_as_they_were_at_its_end() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    let place = started(&store, &["a"]).await;
    let save = move |tx: &mut Tx, id: &str, text: &str| {
        tx.save_document(place, &document(id, id, text), 5_000).map(drop)
    };
    let outcomes = in_one_commit(
        &store,
        vec![
            Box::new(move |tx| save(tx, "one", "apple")),
            Box::new(move |tx| {
                save(tx, "undone", "apple")?;
                save(tx, "undone", "pear")?;
                save(tx, "one", "pear")?;
                Err(StoreError::Unsettled)
            }),
            Box::new(move |tx| save(tx, "two", "apple")),
            Box::new(move |tx| save(tx, "two", "cherry")),
            Box::new(move |tx| save(tx, "three", "cherry")),
            Box::new(move |tx| {
                save(tx, "undone, too", "cherry")?;
                Err(StoreError::Unsettled)
            }),
        ],
    );
    assert_eq!(outcomes.await, [true, false, true, true, true, false]);
    for (query, expected) in [("apple", &["one"][..]), ("pear", &[]), ("cherry", &["three", "two"])]
    {
        assert_eq!(sorted_titles(&store, query).await, expected, "{query}");
    }
    crate::assert_consistent(&store).await;
}

#[tokio::test]
async fn what_is_collected_while_the_search_index_is_damaged_is_kept_and_says_so() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    let place = started(&store, &["a"]).await;
    let save = |id, text| saves(place, id, text);
    let before = vec![save("before", "cash"), save("as before", "cash")];
    assert_eq!(in_one_commit(&store, before).await, [true; 2]);
    let mut other = crate::folder::connect(folder.path()).await;
    let damage = "UPDATE documents_fts_data SET block = x'ffffffffffffffff' WHERE id = 10";
    sqlx::query(damage).execute(&mut other).await.unwrap();

    let second = started(&store, &["a"]).await;
    let again: Change = Box::new(move |tx| {
        let before = document("before", "before", "cash, changed");
        tx.save_document(second, &document("before", "before", "cash, once more"), 5_000)?;
        tx.save_document(second, &before, 5_000).map(drop)
    });
    let apart: Change = Box::new(move |tx| tx.warn(place.run, place.step, "else", 5_000));
    let changes = vec![
        save("before", "cash, changed"),
        save("one", "cash"),
        apart,
        save("as before", "cash"),
        save("two", "cash"),
        again,
    ];
    assert_eq!(in_one_commit(&store, changes).await, [true; 6], "the index is nobody's fault");
    assert_eq!(in_one_commit(&store, vec![save("three", "cash")]).await, [true]);
    assert_eq!(store.count_documents().await.unwrap(), 5);
    let run = store.get_run(place.run, None, NOW).await.unwrap().unwrap();
    let warnings = run.warnings;
    let told = warnings.iter().filter(|warning| warning.contains("search does not find it"));
    assert_eq!((told.count(), warnings.len()), (1, 2), "{warnings:?}");
    let second = store.get_run(second.run, None, NOW).await.unwrap().unwrap();
    assert_eq!(second.warnings.len(), 1, "both are told");

    let changes = vec![save("three", "cash, changed")];
    assert_eq!(rebuild_amid(&store, changes, Vec::new()).await, 5);
    let all = ["as before", "before", "one", "three", "two"];
    assert_eq!(sorted_titles(&store, "cash").await, all);
    assert_eq!(sorted_titles(&store, "changed").await, ["before", "three"]);
    crate::assert_consistent(&store).await;
}

#[tokio::test]
async fn what_the_index_is_given_within_a_commit_follows_what_becomes_of_the_command() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    let place = started(&store, &["a"]).await;
    let save = |id, text| saves(place, id, text);
    // A rebuild reads what waits for the index, which must not get it twice.
    let changes = vec![save("one", "apple"), save("two", "apple")];
    let more = vec![save("one", "pear"), save("three", "pear")];
    assert_eq!(rebuild_amid(&store, changes, more).await, 2);
    crate::assert_consistent(&store).await;
    assert_eq!(sorted_titles(&store, "pear").await, ["one", "three"]);
    assert_eq!(titles(&store, "apple").await, ["two"]);

    // Old contents of more than 16 MiB are not held, so the index is written within the command.
    let large = |word: &str| format!("{word} {}", ".".repeat(9 << 20));
    let save_large = move |tx: &mut Tx, word: &str| {
        for id in ["large", "larger"] {
            tx.save_document(place, &document(id, id, &large(word)), 5_000)?;
        }
        tx.save_document(place, &document("last", "last", word), 5_000).map(drop)
    };
    store.write(move |tx| save_large(tx, "plum")).await.unwrap();
    let fails: Change = Box::new(move |tx| {
        save_large(tx, "fig")?;
        Err(StoreError::Unsettled)
    });
    let changes = vec![save("four", "fig"), fails, save("five", "fig")];
    assert_eq!(in_one_commit(&store, changes).await, [true, false, true]);
    assert_eq!(sorted_titles(&store, "fig").await, ["five", "four"]);
    assert_eq!(titles(&store, "plum").await.len(), 3);
    crate::assert_consistent(&store).await;
}

/// What SQLite undoes by itself takes the savepoints with it.
#[tokio::test]
async fn an_index_that_finds_no_room_says_so() {
    let mut met = 0;
    for pages in 0..60 {
        let folder = tempdir().unwrap();
        let store = open(&folder).await;
        let place = started(&store, &["a"]).await;
        store.write(move |tx| tx.leave_room(pages)).await.unwrap();
        let words: Vec<String> =
            (0..6_000).map(|n| format!("word{}", n * 7_919 % 99_991)).collect();
        let large = document("large", "large", &words.join(" "));
        let save = store.write(move |tx| tx.save_document(place, &large, 5_000).map(drop)).await;
        match save {
            Ok(()) => {}
            Err(StoreError::Full) => met += 1,
            Err(error) => panic!("with room for {pages} pages: {error:?}"),
        }
        store.write(|tx| tx.leave_room(10_000)).await.unwrap();
        let small = vec![saves(place, "small", "words")];
        assert_eq!(made(&store, small).await, [true], "with room for {pages} pages");
        crate::assert_consistent(&store).await;
    }
    // The document itself takes about 15 pages, so at least five of these were met by the index.
    assert!(met > 20, "{met}");
}
