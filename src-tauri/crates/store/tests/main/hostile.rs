//! Callers that go away, odd ids and texts, times that cannot be, and very many rows.

use std::{future::poll_fn, pin::pin, task::Poll};

use quaero_contract::{DocumentId, JobId, JobQuery, LogLevel, LogQuery, SearchRequest};
use quaero_store::{Lease, StoreError};
use tempfile::tempdir;

use crate::{
    assert_consistent, claim, document,
    folder::{connect, settled},
    open, row, started,
};

/// Lets a future go after so many polls, wherever it is by then.
async fn drop_after<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

#[tokio::test]
async fn callers_that_go_away_leave_no_transaction_open_and_no_connection_spoilt() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    let place = started(&store, &["first"]).await;
    let mut dropped = 0;
    for n in 0..1_000_usize {
        let key = format!("task {n}");
        let write = store.write(move |tx| {
            let written = tx.insert_tasks(place, &[row(&key)], None, 2_000)?;
            // Some fail half-way, with nobody there to hear it.
            if n % 3 == 0 { Err(StoreError::Full) } else { Ok(written) }
        });
        let reads = async {
            store.list_runs(None, 10).await.unwrap();
            store.list_jobs(place.run, &JobQuery { limit: 100, ..JobQuery::default() }).await
        };
        dropped += usize::from(drop_after(n % 3, write).await.is_none());
        dropped += usize::from(drop_after(n % 5, reads).await.is_none());
    }
    assert!(dropped > 500, "{dropped} are too few to prove anything");
    // Whatever was asked for has been done, whole or not at all.
    let query = JobQuery { limit: 1_000, ..JobQuery::default() };
    store.write(|_| Ok(())).await.unwrap();
    let tasks = store.list_jobs(place.run, &query).await.unwrap().jobs.len();
    assert_eq!(tasks, 1 + 666, "those that did not fail");
    assert_consistent(&store).await;
    // Every reading connection still works: there are four.
    let reads = (0..8).map(|_| store.list_runs(None, 10));
    for read in futures::future::join_all(reads).await {
        assert_eq!(read.unwrap().len(), 1);
    }
    store.close(3_000).await.unwrap();
    assert!(!open(&folder).await.was_unclean());
}

#[tokio::test]
async fn ids_that_cannot_be_name_nothing() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    started(&store, &["a"]).await;
    for id in [i64::MIN, -1, 0, 1 << 53, i64::MAX] {
        let job = JobId(id);
        assert!(store.run_progress(job).await.unwrap().is_none(), "{id}");
        assert!(store.get_run(job, None, 0).await.unwrap().is_none(), "{id}");
        assert!(store.get_document(DocumentId(id)).await.unwrap().is_none(), "{id}");
        let query = JobQuery { parent: Some(job), after: Some(job), ..JobQuery::default() };
        assert_eq!(store.list_jobs(job, &query).await.unwrap().jobs, [], "{id}");
        assert!(store.list_runs(Some(job), u32::MAX).await.is_ok(), "{id}");
        for after in [0, u64::MAX] {
            assert_eq!(store.events_after(Some(job), after, u32::MAX).await.unwrap().events, []);
        }
        let (run, min_level) = (job, LogLevel::Debug);
        let log = LogQuery { run, job: None, min_level, after: Some(u32::MAX), limit: u32::MAX };
        assert_eq!(store.logs().read(&log).await.unwrap().lines, [], "{id}");
        let lease = Lease { job, attempt: id };
        assert!(store.write(move |tx| tx.leased(lease)).await.unwrap().is_none(), "{id}");
        assert!(store.write(move |tx| tx.job_status(job)).await.unwrap().is_none(), "{id}");
    }
    assert_consistent(&store).await;
}

#[tokio::test]
async fn texts_that_are_odd_are_kept_as_they_are_and_found() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    let place = started(&store, &["a"]).await;
    let texts = [
        "before\0after",
        "\u{202e}backwards\u{2066}",
        "'; DROP TABLE jobs; --",
        "{\"$ref\": \"file:///etc/passwd\"}",
        "\u{feff}mark\u{fffe}",
        "e\u{301} \u{1f980}\u{200d}\u{1f980}",
    ];
    for (n, text) in texts.into_iter().enumerate() {
        let text = format!("{text} needle{n}");
        let new = document(&format!("https://example.org/{n}/{text}"), "T", &text);
        store.write(move |tx| tx.save_document(place, &new, 2_000)).await.unwrap();
        let key = text.clone();
        store.write(move |tx| tx.insert_tasks(place, &[row(&key)], None, 2_000)).await.unwrap();
        let query = format!("needle{n}");
        let request = SearchRequest { query, limit: 10, ..SearchRequest::default() };
        let hit = store.search(&request, 0).await.unwrap().hits.remove(0);
        let kept = store.get_document(hit.id).await.unwrap().unwrap();
        assert_eq!(kept.markdown, text);
    }
    let query = JobQuery { limit: 100, ..JobQuery::default() };
    let names: Vec<String> = store
        .list_jobs(place.run, &query)
        .await
        .unwrap()
        .jobs
        .into_iter()
        .map(|job| job.name)
        .collect();
    assert_eq!(names.len(), 1 + texts.len(), "{names:?}");
    assert_consistent(&store).await;
}

#[tokio::test]
async fn leases_from_the_future_are_void_like_any_other() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    let place = started(&store, &["a", "b"]).await;
    store.write(move |tx| claim(tx, place.run, 1)).await.unwrap();
    drop(store);
    settled(folder.path()).await;
    let mut conn = connect(folder.path()).await;
    let year_2099 = 4_070_908_800_000_i64;
    for sql in [
        "UPDATE jobs SET started_ms = ?1, changed_ms = ?1 WHERE status = 'running'",
        "UPDATE epochs SET started_ms = ?1",
        "UPDATE runs SET paused_ms = NULL, deadline_ms = ?1",
    ] {
        sqlx::query(sql).bind(year_2099).execute(&mut conn).await.unwrap();
    }
    let store = open(&folder).await;
    store.write(|tx| tx.void_dead_leases(2_000)).await.unwrap();
    let claimed = store.write(move |tx| claim(tx, place.run, 10)).await.unwrap();
    assert_eq!(claimed.len(), 2, "both may start at once");
    assert_consistent(&store).await;
}

#[tokio::test]
async fn very_many_events_are_read_page_by_page() {
    let many: i64 = if std::env::var_os("QUAERO_LONG").is_some() { 1_000_000 } else { 50_000 };
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    let place = started(&store, &["a"]).await;
    let mut conn = connect(folder.path()).await;
    let insert = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?3)
         INSERT INTO events (run_id, job_id, from_status, to_status, attempt, at_ms)
         SELECT ?1, ?2, 'pending', 'running', 1, n FROM n";
    sqlx::query(insert)
        .bind(place.run.0)
        .bind(place.step.0)
        .bind(many)
        .execute(&mut conn)
        .await
        .unwrap();
    let (mut after, mut read, mut pages) = (0, 0, 0);
    loop {
        let page = store.events_after(Some(place.run), after, u32::MAX).await.unwrap();
        assert!(page.events.len() <= 10_000, "{}", page.events.len());
        assert!(page.events.iter().all(|event| event.seq > after));
        read += page.events.len();
        pages += 1;
        after = page.events.last().map_or(after, |event| event.seq);
        if !page.more {
            break;
        }
    }
    let before = read - usize::try_from(many).unwrap();
    assert!(before < 10, "those of the run itself: {before}");
    assert_eq!(pages, read.div_ceil(10_000));
}

#[tokio::test]
async fn bytes_that_are_no_text_are_told_of_and_hide_nothing_else() {
    let folder = tempdir().unwrap();
    let store = open(&folder).await;
    let place = started(&store, &["a"]).await;
    for column in ["title", "markdown", "metadata", "url", "content_hash"] {
        let save = |id: &str| document(id, &format!("Title of {id}"), &format!("{column} words"));
        let (bad, good) = (save(&format!("bad {column}")), save(&format!("good {column}")));
        let save = store.write(move |tx| {
            let (bad, _) = tx.save_document(place, &bad, 1_000)?;
            Ok((bad, tx.save_document(place, &good, 1_000)?.0))
        });
        let (bad, good) = save.await.unwrap();
        let mut other = connect(folder.path()).await;
        let damage =
            format!("UPDATE documents SET {column} = CAST(x'ff' AS TEXT) WHERE id = {bad}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(damage)).execute(&mut other).await.unwrap();
        drop(other);
        match store.get_document(bad).await {
            Ok(read) => assert_eq!(read.unwrap().id, bad),
            Err(error) => assert!(error.to_string().contains(column), "{error}"),
        }
        assert_eq!(store.get_document(good).await.unwrap().unwrap().id, good);
        let request =
            SearchRequest { query: format!("\"{column} words\""), limit: 10, ..Default::default() };
        let found = store.search(&request, 0).await.unwrap();
        assert!(found.hits.iter().any(|hit| hit.id == good), "{column}: {found:?}");
        let all = SearchRequest { limit: 100, ..Default::default() };
        assert!(store.search(&all, 0).await.unwrap().total >= 2, "{column}");
    }
    let found = store.check_integrity().await.unwrap();
    for column in ["title", "markdown", "metadata", "content_hash"] {
        let named = |line: &String| line.contains(&format!("(bad {column}) is not as it was"));
        assert!(found.iter().any(named), "{column}: {found:?}");
    }
    let mut other = connect(folder.path()).await;
    let damage = "UPDATE documents SET headings = '', markdown = CAST(x'2320ff' AS TEXT) WHERE source_id = 'bad markdown'";
    sqlx::raw_sql(damage).execute(&mut other).await.unwrap();
    store.rebuild_index().await.unwrap();
    let (good, bad) =
        (document("good markdown", "Good", "else"), document("bad markdown", "Bad", "else"));
    let save = store.write(move |tx| {
        tx.save_document(place, &good, 2_000)?;
        tx.save_document(place, &bad, 2_000)
    });
    save.await.unwrap();
    assert_consistent(&store).await;
}
