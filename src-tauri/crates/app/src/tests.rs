//! The use cases on a real data folder, with the real engine and the shipped step types.

mod runs;
mod word_count;

use std::{fs, path::Path};

use quaero_contract::{DocumentId, JobStatus, RunRequest, RunStatus, SearchRequest, Theme};

use super::*;

/// A folder for data and one with documents to index.
pub(crate) struct Bench {
    pub(crate) data: tempfile::TempDir,
    pub(crate) documents: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let bench = Self {
            data: tempfile::tempdir().expect("a folder"),
            documents: tempfile::tempdir().expect("a folder"),
        };
        bench.write("alpha.md", "# Alpha\n\nThe quick brown fox.\n\n<script>alert(1)</script>\n");
        bench.write("beta.md", "# Beta\n\nThe lazy dog.\n");
        bench
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.documents.path().join(name), text).expect("written");
    }

    pub(crate) async fn open(&self, role: Role) -> App {
        open(self.data.path(), role).await.expect("opened")
    }

    /// The wish to index the documents.
    pub(crate) fn wish(&self, request_id: &str) -> RunText {
        let folder = self.documents.path().to_string_lossy().into_owned();
        RunText {
            file: "index.toml".to_owned(),
            text: "id = \"index\"\nname = \"Index\"\n[config]\nfolder = \"\"\n[step.index]\ntype = \"local_dir\"\npath = \"{config.folder}\"\n".to_owned(),
            set: BTreeMap::from([("folder".to_owned(), folder)]),
            request_id: request_id.to_owned(),
            anyway: false,
        }
    }
}

async fn open(data_dir: &Path, role: Role) -> Result<App, ApiError> {
    App::open(AppOptions { data_dir: data_dir.to_owned(), role }).await
}

#[tokio::test]
async fn a_folder_is_indexed_found_and_read() {
    let bench = Bench::new();
    let app = bench.open(Role::Engine).await;
    let request = RunRequest {
        request_id: "one".to_owned(),
        definition_id: "index-folder".to_owned(),
        set: vec![("folder".to_owned(), bench.documents.path().to_string_lossy().into_owned())],
        anyway: false,
    };
    let run = app.run_definition(request.clone()).await.expect("accepted");
    let ended = app.wait_run(run).await.expect("ended");
    assert_eq!((ended.status, ended.documents.created), (RunStatus::Completed, 2), "{ended:?}");

    assert_eq!(app.run_definition(request).await, Ok(run), "the same request is the same run");
    assert_eq!(app.list_runs(None, 10).await.expect("listed").len(), 1);
    let view = app.get_run(run).await.expect("found");
    assert!(view.steps.iter().all(|step| step.status == JobStatus::Completed));
    assert!(view.definition_text.contains("index-folder"));

    let request =
        SearchRequest { query: "quick fox".to_owned(), limit: 10, ..SearchRequest::default() };
    let found = app.search(request).await.expect("searched");
    assert_eq!(found.hits.iter().map(|hit| hit.title.as_str()).collect::<Vec<_>>(), ["Alpha"]);
    let document = app.get_document(found.hits[0].id).await.expect("found");
    assert!(document.html.contains("<p>The quick brown fox.</p>"), "{}", document.html);
    assert!(!document.html.contains("<script"));

    let info = app.info().await.expect("facts");
    assert_eq!((info.documents, info.live_runs), (2, 0));
    assert_eq!(app.doctor().await.into_iter().filter(|check| !check.ok).collect::<Vec<_>>(), []);
    app.close().await;
}

#[tokio::test]
async fn a_reader_works_beside_the_engine_and_changes_nothing() {
    let bench = Bench::new();
    let nothing =
        open(bench.data.path(), Role::Reader).await.map(|_| ()).expect_err("nothing there");
    assert_eq!(nothing.code, ErrorCode::NotFound);
    assert_eq!(
        fs::read_dir(bench.data.path()).expect("listed").count(),
        0,
        "looking creates nothing"
    );

    let engine = bench.open(Role::Engine).await;
    let second =
        open(bench.data.path(), Role::EngineForOwnRuns).await.map(|_| ()).expect_err("taken");
    assert_eq!(second.code, ErrorCode::Busy, "{second}");
    let run = engine.run_text(bench.wish("one")).await.expect("accepted");
    engine.wait_run(run).await.expect("ended");

    let reader = bench.open(Role::Reader).await;
    assert_eq!(reader.get_run(run).await.expect("read").summary.status, RunStatus::Completed);
    assert_eq!(
        reader
            .search(SearchRequest { limit: 10, ..SearchRequest::default() })
            .await
            .expect("read")
            .total,
        2
    );
    for refused in [
        reader.run_text(bench.wish("two")).await.map(|_| ()),
        reader.cancel_run(run).await,
        reader.resume_run(run).await,
    ] {
        assert_eq!(refused.map_err(|error| error.code), Err(ErrorCode::Conflict));
    }
    engine.close().await;
    assert_eq!(reader.list_runs(None, 10).await.expect("still readable").len(), 1);
}

#[tokio::test]
async fn a_wrong_request_says_what_is_wrong() {
    let bench = Bench::new();
    let app = bench.open(Role::Engine).await;
    let wish = bench.wish("w");
    let with = |text: &str| RunText { text: text.to_owned(), ..wish.clone() };
    let rows = [
        (with(""), "index.toml:1"),
        (with("id = \"x\"\nname = \"X\"\n[step.a]\ntype = \"crawll\"\n"), "index.toml:4"),
        (
            RunText { set: BTreeMap::from([("foldr".to_owned(), "x".to_owned())]), ..wish.clone() },
            "index.toml:",
        ),
        (RunText { set: BTreeMap::new(), ..wish.clone() }, "index.toml:"),
        (
            RunText {
                set: BTreeMap::from([("folder".to_owned(), "x".repeat(10_000_000))]),
                ..wish.clone()
            },
            "index.toml:",
        ),
        (RunText { request_id: String::new(), ..wish.clone() }, ""),
        (RunText { request_id: "x".repeat(65), ..wish.clone() }, ""),
    ];
    for (request, place) in rows {
        let error = app.run_text(request.clone()).await.expect_err("refused");
        assert_eq!(error.code, ErrorCode::Invalid, "{request:?}");
        let found =
            error.place.as_ref().map(|p| format!("{}:{}", p.file, p.line)).unwrap_or_default();
        assert!(found.starts_with(place), "{found} for {error}");
    }
    let unknown = RunRequest {
        request_id: "1".to_owned(),
        definition_id: "none".to_owned(),
        set: Vec::new(),
        anyway: false,
    };
    assert_eq!(app.run_definition(unknown).await.expect_err("unknown").code, ErrorCode::NotFound);
    for missing in [
        app.get_run(JobId(99)).await.map(|_| ()),
        app.cancel_run(JobId(99)).await,
        app.resume_run(JobId(99)).await,
        app.wait_run(JobId(-1)).await.map(|_| ()),
        app.get_document(DocumentId(99)).await.map(|_| ()),
    ] {
        assert_eq!(missing.map_err(|error| error.code), Err(ErrorCode::NotFound));
    }
    assert_eq!(app.list_runs(None, 10).await.expect("listed"), [], "nothing was accepted");
    app.close().await;
}

#[tokio::test]
async fn a_run_that_was_cut_off_goes_on_where_it_was() {
    let bench = Bench::new();
    let app = bench.open(Role::EngineForOwnRuns).await;
    let run = app.run_text(bench.wish("one")).await.expect("accepted");
    // Closing may interrupt the run anywhere, or come too late; both must end well.
    app.close().await;
    let reader = bench.open(Role::Reader).await;
    let status = reader.get_run(run).await.expect("read").summary.status;
    assert!(matches!(status, RunStatus::Interrupted | RunStatus::Completed), "{status:?}");

    let app = bench.open(Role::Engine).await;
    let ended = app.wait_run(run).await.expect("ended");
    let seen = ended.documents.created + ended.documents.unchanged;
    assert_eq!(
        (ended.status, ended.documents.created, seen),
        (RunStatus::Completed, 2, 2),
        "{ended:?}"
    );
    assert_eq!(app.resume_run(run).await.expect_err("it has ended").code, ErrorCode::Conflict);
    app.close().await;
}

#[tokio::test]
async fn settings_survive_the_process() {
    let bench = Bench::new();
    let app = bench.open(Role::Engine).await;
    app.set_settings(Settings { theme: Theme::Dark, ..Settings::default() }).await.expect("saved");
    app.close().await;
    let app = bench.open(Role::Engine).await;
    assert_eq!(app.settings().await, Ok(Settings { theme: Theme::Dark, ..Settings::default() }));
    app.close().await;
}

#[tokio::test]
async fn a_damaged_database_is_reported_and_left_alone() {
    let bench = Bench::new();
    bench.open(Role::Engine).await.close().await;
    let path = bench.data.path().join("quaero.db");
    fs::write(&path, "this is no database").expect("written");
    for role in [Role::Engine, Role::EngineForOwnRuns, Role::Reader] {
        let error = open(bench.data.path(), role).await.map(|_| ()).expect_err("refused");
        assert_eq!(error.code, ErrorCode::Corrupt, "{error}");
        assert!(error.hint.is_some());
    }
    assert_eq!(fs::read(&path).expect("read"), b"this is no database");
}

#[tokio::test]
async fn an_engine_that_gives_up_is_told_and_nobody_waits_for_its_runs() {
    let bench = Bench::new();
    let first = bench.open(Role::Engine).await;
    let mut events = first.events();
    first.pause_all(true).await.expect("paused");
    let run = first.run_text(bench.wish("one")).await.expect("accepted");
    let waiting = tokio::spawn({
        let first = first.clone();
        async move { first.wait_run(run).await }
    });
    // The lock does not hold, and another process takes over.
    fs::remove_file(bench.data.path().join("engine.lock")).expect("removed");
    let second = bench.open(Role::Engine).await;
    let refused = first.pause_all(false).await.expect_err("it does not write any more");
    assert_eq!(refused.code, ErrorCode::Busy, "{refused}");
    let waited = waiting.await.expect("no panic").expect_err("nobody works on it here");
    assert!([ErrorCode::Busy, ErrorCode::Conflict].contains(&waited.code), "{waited}");
    let halted = async {
        loop {
            if let AppEvent::Halted(halted) = events.recv().await.expect("told") {
                return halted.error;
            }
        }
    };
    assert_eq!(halted.await, refused);
    second.pause_all(false).await.expect("goes on");
    second.wait_run(run).await.expect("ended");
    first.close().await;
    second.close().await;
}

#[tokio::test]
async fn a_data_folder_may_have_any_name_but_must_be_a_folder() {
    let root = tempfile::tempdir().expect("a folder");
    for name in ["with spaces", "Größe 📁", "a'b\"c", "x?mode=memory&y=1#z", "%41"] {
        let data_dir = root.path().join(name);
        let app = open(&data_dir, Role::Engine).await.expect(name);
        app.close().await;
        assert!(data_dir.join("quaero.db").is_file(), "{name}");
        open(&data_dir, Role::Reader).await.expect(name).close().await;
    }
    let file = root.path().join("a file");
    fs::write(&file, "x").expect("written");
    for data_dir in [file.clone(), file.join("below")] {
        let error = open(&data_dir, Role::Engine).await.map(|_| ()).expect_err("refused");
        assert_eq!(error.code, ErrorCode::Storage, "{error}");
        assert!(error.message.contains("a file"), "it names the folder: {error}");
    }
}

#[test]
fn opening_can_be_moved_between_threads() {
    const fn movable<T: Send>(_: &T) {}
    let options = AppOptions { data_dir: PathBuf::new(), role: Role::Reader };
    movable(&App::open(options));
}

#[tokio::test]
async fn the_step_type_of_the_readme_works() {
    let readme = include_str!("../../../../README.md");
    let example = include_str!("tests/word_count.rs");
    assert!(readme.contains(&format!("```rust\n{example}```")), "the README shows another example");
    assert!(example.lines().count() <= 60);

    let bench = Bench::new();
    let world = World::default();
    let shipped = world.registry.clone();
    let registry = Arc::new(move |providers| {
        shipped(providers).with_manager(word_count::WordCount).with_worker(word_count::WordCount)
    });
    let options = AppOptions { data_dir: bench.data.path().to_owned(), role: Role::Engine };
    let app = App::open_in(World { registry, ..world }, options).await.expect("opened");
    let mut wish = bench.wish("one");
    wish.text +=
        "output_tags = [\"mine\"]\n[step.count]\ntype = \"word_count\"\nfilter_tags = [\"mine\"]\n";
    let run = app.run_text(wish).await.expect("accepted");
    let ended = app.wait_run(run).await.expect("ended");
    assert_eq!((ended.status, ended.warnings), (RunStatus::Completed, 0), "{ended:?}");
    let request = SearchRequest {
        query: "title:\"Word counts\"".to_owned(),
        limit: 10,
        ..SearchRequest::default()
    };
    let found = app.search(request).await.expect("searched");
    let report = app.get_document(found.hits[0].id).await.expect("found");
    assert!(report.html.contains("<td>Beta</td><td align=\"right\">5</td>"), "{}", report.html);
    app.close().await;
}
