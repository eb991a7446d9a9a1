//! What can be typed, and the keys of what is printed for scripts.

use std::{collections::BTreeSet, path::PathBuf};

use clap::CommandFactory;
use quaero_app::AppEvent;
use quaero_contract::{
    DocumentCounts, DocumentHit, DocumentId, DocumentView, JobCounts, JobId, JobKind, JobNode,
    JobProgress, JobStatus, JobStatusChange, LogAppended, ResultSaved, RunStatus, RunSummary,
    RunView, SnippetPart, StartedBy,
};
use serde_json::{Value, json};

use super::*;

fn parse(line: &str) -> Result<Cli, clap::error::ErrorKind> {
    Cli::try_parse_from(line.split(' ')).map_err(|error| error.kind())
}

#[test]
fn the_commands_make_sense_to_clap() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_of_the_readme_is_understood() {
    let readme = include_str!("../../../README.md");
    let commands: Vec<&str> =
        readme.lines().filter_map(|line| line.trim().strip_prefix("quaero ")).collect();
    assert!(commands.len() >= 10, "the README shows {} commands", commands.len());
    for command in commands {
        let command = command.split(" #").next().unwrap_or(command).trim();
        let words = iter::once("quaero").chain(command.split_whitespace());
        if let Err(error) = Cli::try_parse_from(words) {
            panic!("quaero {command}: {error}");
        }
    }
}

#[test]
fn the_data_folder_can_be_named_anywhere() {
    for line in [
        "quaero --data-dir d runs list",
        "quaero runs list --data-dir d",
        "quaero runs --data-dir=d list",
    ] {
        assert_eq!(parse(line).expect(line).data_dir, Some(PathBuf::from("d")), "{line}");
    }
}

#[test]
fn values_are_pairs() {
    let Command::Run { set, .. } =
        parse("quaero run x --set a=1 --set b=c=d --set e=").expect("parsed").command
    else {
        panic!("not a run");
    };
    let expected = [("a", "1"), ("b", "c=d"), ("e", "")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(set, expected);
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for line in [
        "quaero run",
        "quaero run x --set a",
        "quaero run x --set =1",
        "quaero validate",
        "quaero runs show",
        "quaero runs show x",
        "quaero runs list --limit 0",
        "quaero docs list --limit 201",
        "quaero docs search",
        "quaero nonsense",
        "quaero --nonsense",
    ] {
        let error = Cli::try_parse_from(line.split(' ')).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
    }
    for line in ["quaero --version", "quaero --help", "quaero run --help"] {
        let shown = Cli::try_parse_from(line.split(' ')).expect_err(line);
        assert_eq!(shown.exit_code(), 0, "{line}");
    }
}

#[test]
fn work_that_cannot_be_interrupted_does_not_hold_up_the_end() {
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let result = to_its_end(async move {
            tokio::task::spawn_blocking(move || held.recv());
            Ok(())
        });
        tell.send(result)
    });
    let result = told.recv_timeout(std::time::Duration::from_secs(10));
    assert_eq!(result, Ok(Ok(())));
    drop(hold);
}

#[test]
fn exit_codes_are_those_of_the_contract() {
    let codes = [Exit::Done, Exit::Failed, Exit::Invalid, Exit::Cancelled, Exit::Interrupted]
        .map(Exit::code);
    assert_eq!(codes, [0, 1, 2, 3, 130]);
    for (code, exit) in [
        (ErrorCode::NotFound, Exit::Invalid),
        (ErrorCode::Invalid, Exit::Invalid),
        (ErrorCode::Busy, Exit::Failed),
        (ErrorCode::NotSetUp, Exit::Failed),
        (ErrorCode::Corrupt, Exit::Failed),
    ] {
        assert_eq!(Exit::of(&ApiError::new(code, "")), exit);
    }
}

/// Has at least these keys; a path such as `jobs.total` goes down.
fn check(value: &Value, keys: &[&str]) {
    for key in keys {
        let found = key.split('.').try_fold(value, |value, part| value.get(part));
        assert!(found.is_some(), "{key} is missing from {value}");
    }
}

fn summary() -> RunSummary {
    RunSummary {
        id: JobId(5),
        definition_id: "d".to_owned(),
        subject: String::new(),
        name: "D".to_owned(),
        status: RunStatus::Completed,
        started: "2026-11-21T10:00:00.000Z".to_owned(),
        finished: None,
        duration_ms: 1,
        jobs: JobCounts { total: 3, completed: 3, ..JobCounts::default() },
        documents: DocumentCounts::default(),
        warnings: 1,
        error: None,
        started_by: StartedBy::Manual,
        rerun_of: None,
        parent_run: None,
    }
}

fn run_view() -> RunView {
    RunView {
        summary: summary(),
        steps: Vec::new(),
        variables: vec![("folder".to_owned(), "/x".to_owned())],
        given: Vec::new(),
        definition_text: "id".to_owned(),
        warnings: vec!["w".to_owned()],
    }
}

fn node(id: i64, parent: Option<i64>, kind: JobKind) -> JobNode {
    JobNode {
        id: JobId(id),
        parent_id: parent.map(JobId),
        kind,
        job_type: "t".to_owned(),
        name: "n".to_owned(),
        status: JobStatus::Completed,
        depth: 0,
        attempt: 1,
        children: 0,
        open_children: 0,
        error: None,
        started: None,
        finished: None,
        document_id: None,
    }
}

const RUN: [&str; 8] = [
    "id",
    "definition_id",
    "name",
    "status",
    "started",
    "finished",
    "jobs.total",
    "documents.created",
];

#[test]
fn the_lines_of_run_have_their_keys() {
    let started = json::run_started(JobId(5));
    assert_eq!(started, json!({ "type": "run_started", "run_id": "5" }));
    let finished = json::run_finished(&run_view());
    check(
        &finished,
        &[
            "type",
            "run_id",
            "status",
            "jobs.total",
            "jobs.completed",
            "jobs.failed",
            "jobs.cancelled",
            "jobs.skipped",
            "documents.created",
            "documents.updated",
            "documents.unchanged",
            "reports",
            "warnings",
            "duration_ms",
            "cost.currency",
            "cost.amount",
            "cost.input_tokens",
            "cost.output_tokens",
            "cost.calls",
        ],
    );
    assert_eq!(
        (&finished["type"], &finished["run_id"], &finished["status"]),
        (&json!("run_finished"), &json!("5"), &json!("completed"))
    );
    assert_eq!((&finished["reports"], &finished["warnings"]), (&json!([]), &json!(["w"])));

    let rows = [
        (
            AppEvent::Progress(Box::new(JobProgress {
                run: summary(),
                steps: Vec::new(),
                tasks_per_minute: None,
                remaining_ms: None,
            })),
            "progress",
            "run.id",
        ),
        (
            AppEvent::Status(JobStatusChange {
                run_id: JobId(5),
                job_id: JobId(6),
                kind: JobKind::Step,
                name: "s".to_owned(),
                status: JobStatus::Waiting,
                error: None,
            }),
            "status_change",
            "run_id",
        ),
        (
            AppEvent::Saved(ResultSaved {
                run_id: JobId(5),
                document_ids: vec![DocumentId(1)],
                count: 1,
            }),
            "result_saved",
            "document_ids",
        ),
        (AppEvent::Log(LogAppended { run_id: JobId(5), lines: Vec::new() }), "log", "lines"),
    ];
    for (event, name, key) in rows {
        let value = serde_json::to_value(&event).expect("plain data");
        assert_eq!(value["type"], name);
        check(&value, &[key]);
        let back: AppEvent =
            serde_json::from_value(value).expect("it is read by other processes, too");
        assert_eq!(back.run_id(), Some(JobId(5)));
    }
}

#[test]
fn runs_have_their_keys_and_jobs_form_a_tree() {
    check(&json!(summary()), &RUN);
    let jobs = vec![
        node(6, Some(5), JobKind::Step),
        node(7, Some(6), JobKind::Task),
        node(8, Some(6), JobKind::Task),
        node(9, Some(7), JobKind::Task),
    ];
    let shown = json::run(&run_view(), jobs, true);
    check(&shown, &RUN);
    check(
        &shown,
        &["steps", "variables.folder", "tree", "plan_revisions", "model_calls", "cost.amount"],
    );
    let ids = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .expect("a list")
            .iter()
            .map(|job| job["id"].as_str().expect("text").to_owned())
            .collect()
    };
    let step = &shown["tree"][0];
    assert_eq!(ids(&shown["tree"]), ["6"]);
    assert_eq!(ids(&step["children"]), ["7", "8"]);
    assert_eq!(ids(&step["children"][0]["children"]), ["9"]);
}

#[test]
fn documents_have_their_keys() {
    let hit = DocumentHit {
        id: DocumentId(1),
        title: "T".to_owned(),
        source_type: "web".to_owned(),
        source_id: "s".to_owned(),
        url: None,
        tags: vec!["a".to_owned()],
        score: 1.5,
        snippet: ["the ", "cash", " flow"]
            .map(|text| SnippetPart { text: text.to_owned(), hit: text == "cash" })
            .to_vec(),
        run_id: JobId(5),
        last_synced: "2026-11-21T10:00:00.000Z".to_owned(),
    };
    let keys = [
        "id",
        "title",
        "source_type",
        "source_id",
        "url",
        "tags",
        "score",
        "snippet",
        "run_id",
        "last_synced",
    ];
    let shown = json::hit(&hit);
    check(&shown, &keys);
    assert_eq!(shown["snippet"], "the cash flow");

    let view = DocumentView {
        id: hit.id,
        title: hit.title,
        source_type: hit.source_type,
        source_id: hit.source_id,
        url: hit.url,
        tags: hit.tags,
        run_id: hit.run_id,
        fetched: hit.last_synced.clone(),
        last_synced: hit.last_synced,
        gone: None,
        markdown: "# T".to_owned(),
        html: "<h1>T</h1>".to_owned(),
        truncated: false,
        metadata: json!({ "author": "A" }),
    };
    let shown = json::document(&view);
    check(&shown, &keys);
    check(&shown, &["markdown", "metadata.author"]);
}

#[test]
fn times_and_numbers_are_written_for_people() {
    let rows = [
        (0, "0 ms"),
        (1850, "1.8 s"),
        (12_999, "12 s"),
        (65_000, "1 min 5 s"),
        (7_800_000, "2 h 10 min"),
    ];
    for (ms, text) in rows {
        assert_eq!(output::duration(ms), text);
    }
    assert_eq!(
        (output::count(1, "job"), output::count(0, "job")),
        ("1 job".to_owned(), "0 jobs".to_owned())
    );
    assert_eq!(output::one_line("a\u{1b}[31m\n b\u{202e}"), "a[31m b");
    assert_eq!(output::short("abcdef", 4), "abc…");
    let exits: BTreeSet<u8> = [Exit::Done, Exit::Failed].map(Exit::code).into();
    assert_eq!(exits.len(), 2);
}

/// What a command printed.
#[derive(Clone, Default)]
struct Printed(std::rc::Rc<std::cell::RefCell<Vec<u8>>>);

impl std::io::Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Printed {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).expect("UTF-8")
    }
}

/// A data folder and the commands on it.
struct Bench {
    data: tempfile::TempDir,
    files: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self {
            data: tempfile::tempdir().expect("a folder"),
            files: tempfile::tempdir().expect("a folder"),
        };
        std::fs::write(bench.files.path().join("a.md"), "# Alpha\n\nquick fox\n").expect("written");
        std::fs::write(bench.files.path().join("b.md"), "# Beta\n\nlazy dog\n").expect("written");
        bench
    }

    /// Runs a command: its exit code, standard output and standard error.
    async fn quaero(&self, line: &str) -> (u8, String, String) {
        let data_dir = self.data.path().to_string_lossy();
        let files = self.files.path().to_string_lossy();
        let words: Vec<String> =
            line.split(' ').map(|word| word.replace("FILES", &files)).collect();
        let args = ["quaero", "--data-dir", &data_dir].map(str::to_owned).into_iter().chain(words);
        let cli = Cli::try_parse_from(args).expect(line);
        let (out, err) = (Printed::default(), Printed::default());
        let mut output = Output::to(out.clone(), err.clone());
        let exit = command(cli, &mut output).await.unwrap_or_else(|error| {
            output.error(&error);
            Exit::of(&error)
        });
        (exit.code(), out.text(), err.text())
    }

    async fn json(&self, line: &str) -> Value {
        let (code, out, err) = self.quaero(line).await;
        assert_eq!(code, 0, "{line}: {err}");
        serde_json::from_str(&out).expect(line)
    }
}

#[tokio::test]
async fn a_run_from_the_command_line_is_told_and_found_again() {
    let bench = Bench::new();
    let (code, out, err) = bench.quaero("run index-folder --set folder=FILES --json").await;
    assert_eq!(code, 0, "{err}");
    let lines: Vec<Value> =
        out.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let types: Vec<&str> =
        lines.iter().map(|line| line["type"].as_str().expect("a type")).collect();
    assert_eq!((types[0], types[types.len() - 1]), ("run_started", "run_finished"));
    let between = ["progress", "status_change", "result_saved", "log"];
    assert!(types[1..types.len() - 1].iter().all(|name| between.contains(name)), "{types:?}");
    let last = &lines[lines.len() - 1];
    assert_eq!((&last["status"], &last["documents"]["created"]), (&json!("completed"), &json!(2)));

    let (code, out, _) = bench.quaero("run index-folder --set folder=FILES").await;
    assert_eq!(code, 0);
    assert!(out.contains("0 new, 0 changed, 2 unchanged"), "{out}");

    let runs = bench.json("runs list --json").await;
    assert_eq!(runs.as_array().map(Vec::len), Some(2));
    let run = runs[1]["id"].as_str().expect("text");
    let shown = bench.json(&format!("runs show {run} --json")).await;
    assert_eq!(shown["tree"][0]["type"], "local_dir");
    assert!(shown["tree"][0]["children"][0]["children"].is_array());
    let found = bench.json("docs search --json quick fox").await;
    assert_eq!(
        (found[0]["title"].as_str(), found.as_array().map(Vec::len)),
        (Some("Alpha"), Some(1))
    );
    let document = found[0]["id"].as_str().expect("text");
    let (_, markdown, _) = bench.quaero(&format!("docs show {document}")).await;
    assert!(markdown.contains("quick fox"), "{markdown}");
    assert_eq!(
        bench.json("docs list --tag folder --limit 1 --json").await.as_array().map(Vec::len),
        Some(1)
    );
    assert_eq!(bench.quaero("doctor").await.0, 0);
    assert_eq!(bench.quaero(&format!("runs cancel {run}")).await.0, 1, "it has ended");
}

#[tokio::test]
async fn exit_codes_tell_how_it_went() {
    let bench = Bench::new();
    std::fs::write(bench.files.path().join("bad.toml"), "id = \"x\"\nname = \"X\"\n")
        .expect("written");
    let rows = [
        ("runs list", 0, ""),
        ("docs list --json", 0, ""),
        ("doctor", 0, ""),
        ("definitions list", 0, ""),
        ("runs show 7", 2, "no data"),
        ("run nothing", 2, "quaero definitions list"),
        ("run FILES/none.toml", 2, "none.toml"),
        ("run FILES/bad.toml", 2, "-->"),
        ("run index-folder", 2, "folder"),
        ("run index-folder --set foldr=x", 2, "foldr"),
        ("run index-folder --set folder=FILES/none", 1, ""),
        ("runs show 999", 2, "999"),
        ("docs show 999", 2, "999"),
        ("runs cancel 999", 2, "999"),
        ("runs resume 999", 2, "999"),
        ("validate FILES/bad.toml", 2, ""),
        ("validate FILES/none.toml", 2, ""),
    ];
    for (line, code, told) in rows {
        let (found, out, err) = bench.quaero(line).await;
        assert_eq!(found, code, "{line}: {out}{err}");
        assert!(err.contains(told), "{line} says {err}");
    }
}

#[tokio::test]
async fn problems_are_printed_for_scripts() {
    let bench = Bench::new();
    let file = bench.files.path().join("bad.toml");
    std::fs::write(&file, "id = \"x\"\nname = \"X\"\n[step.a]\ntype = \"crawll\"\n")
        .expect("written");
    let (code, out, _) = bench.quaero("validate --json FILES/bad.toml FILES/none.toml").await;
    assert_eq!(code, 2);
    let reports: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(reports[0]["file"].as_str(), file.to_str());
    let problem = &reports[0]["problems"][0];
    check(problem, &["code", "severity", "message", "line", "column", "step", "fix"]);
    assert_eq!((&problem["line"], &problem["severity"]), (&json!(4), &json!("error")));
    assert_eq!(reports[1]["problems"][0]["code"], "unreadable");
}
