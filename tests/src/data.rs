//! What a data folder holds, read beside or after the program.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use quaero_contract::{DocumentView, JobId, JobNode, JobQuery};
use quaero_store::{Access, DocumentFilter, RunProgress, Store};

use crate::crash::Ended;

/// A document as far as two runs over the same sources must agree on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its title.
    pub title: String,
    /// Its text.
    pub markdown: String,
    /// Its tags, sorted.
    pub tags: Vec<String>,
    /// Its metadata as JSON.
    pub metadata: String,
    /// Whether its source is known to be gone.
    pub gone: bool,
}

/// Every document by where it comes from.
pub type Documents = BTreeMap<String, Content>;

/// Reads every document of a data folder.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn documents(data_dir: &Path) -> Documents {
    reading(data_dir, async |store| {
        let filter = DocumentFilter::default();
        let mut all = Documents::new();
        let mut after = None;
        loop {
            let ids = store.document_ids(&filter, after, 1_000).await.expect("readable");
            let Some(last) = ids.last() else { return all };
            after = Some(*last);
            for id in ids {
                let view = store.get_document(id).await.expect("readable").expect("just listed");
                let DocumentView { source_id, title, markdown, tags, metadata, gone, .. } = view;
                let (metadata, gone) = (metadata.to_string(), gone.is_some());
                let content = Content { title, markdown, tags, metadata, gone };
                let before = all.insert(source_id.clone(), content);
                assert_eq!(before, None, "{source_id} is there twice");
            }
        }
    })
}

/// Where the documents come from.
///
/// # Panics
/// If they cannot be read.
#[must_use]
pub fn sources(data_dir: &Path) -> BTreeSet<String> {
    documents(data_dir).into_keys().collect()
}

/// Fails if the database contradicts itself. Reads only, so that it may stand between a kill and
/// the next start.
///
/// # Panics
/// If it does, or cannot be read.
pub fn assert_consistent(data_dir: &Path) {
    let found = reading(data_dir, async |store| store.inconsistencies().await.expect("readable"));
    assert_eq!(found, [""; 0], "{} contradicts itself", data_dir.display());
}

/// As [`assert_consistent`], and compares the search index with the documents, for which the folder
/// must be free.
///
/// # Panics
/// If they differ.
pub fn assert_whole(data_dir: &Path) {
    let found = with(data_dir, Access::Write, async |store| {
        store.inconsistencies().await.expect("readable")
    });
    assert_eq!(found, [""; 0], "{} contradicts itself", data_dir.display());
}

/// Reads from the store of a data folder.
///
/// # Panics
/// If it cannot be opened.
pub fn reading<T: Send>(data_dir: &Path, read: impl AsyncFnOnce(&Store) -> T + Send) -> T {
    with(data_dir, Access::Read, read)
}

fn with<T: Send>(data_dir: &Path, access: Access, read: impl AsyncFnOnce(&Store) -> T + Send) -> T {
    let work = async move || {
        let store = Store::open(data_dir, access, 0).await;
        let store =
            store.unwrap_or_else(|error| panic!("{} cannot be read: {error}", data_dir.display()));
        let result = read(&store).await;
        store.close(0).await.expect("closed");
        result
    };
    on_a_thread(work)
}

/// Waits for something on a thread of its own, so that tests with a runtime can use it too.
///
/// # Panics
/// If it does.
pub fn wait<T: Send>(what: impl Future<Output = T> + Send) -> T {
    on_a_thread(async move || what.await)
}

fn on_a_thread<T: Send>(work: impl AsyncFnOnce() -> T + Send) -> T {
    let result = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(work())
        });
        thread.join()
    });
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The runs of a data folder, at most 1,000.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn runs(data_dir: &Path) -> Vec<JobId> {
    reading(data_dir, async |store| {
        let runs = store.list_runs(None, 1_000).await.expect("readable");
        runs.into_iter().map(|run| run.id).collect()
    })
}

/// Where a run stands.
///
/// # Panics
/// If there is no such run.
#[must_use]
pub fn ended(data_dir: &Path, run: JobId) -> Ended {
    reading(data_dir, async |store| {
        let progress = store.run_progress(run).await.expect("readable");
        let progress = progress.unwrap_or_else(|| panic!("there is no run {run}"));
        let RunProgress { status, jobs, documents, .. } = progress;
        Ended { run, status, jobs, documents }
    })
}

/// Jobs of a run, at most one page of them.
///
/// # Panics
/// If they cannot be read.
#[must_use]
pub fn jobs(data_dir: &Path, run: JobId, query: &JobQuery) -> Vec<JobNode> {
    reading(data_dir, async |store| store.list_jobs(run, query).await.expect("readable").jobs)
}
