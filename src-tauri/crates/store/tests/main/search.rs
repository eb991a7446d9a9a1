//! Search finds what is there, and no query is wrong.

use proptest::prelude::*;
use quaero_contract::SearchRequest;
use quaero_store::Store;
use tempfile::{TempDir, tempdir};

use crate::{document, open, started};

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
    let results = store.search(&request).await.unwrap();
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
    let results = store.search(&request).await.unwrap();
    let hits: Vec<&str> =
        results.hits[0].snippet.iter().filter(|p| p.hit).map(|p| p.text.as_str()).collect();
    assert_eq!(hits, ["notes"]);
    let facets =
        store.search(&SearchRequest { limit: 1, ..Default::default() }).await.unwrap().facets;
    assert_eq!((facets.tags.len(), facets.sites.len(), facets.source_types[0].count), (2, 3, 3));
}

#[test]
fn no_query_is_an_error() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (_folder, store) = runtime.block_on(library());
    let ask = |query: &str| {
        let request = SearchRequest { query: query.to_owned(), limit: 5, ..Default::default() };
        runtime.block_on(store.search(&request)).unwrap_or_else(|e| panic!("{query:?}: {e}"))
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
