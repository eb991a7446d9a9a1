//! Promises of the whole module. The bad inputs are rows in `tests/attacks/definitions.toml`.

mod conditions;
mod properties;
mod templates;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use quaero_contract::{InputKind, Problem, Severity};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    BoundDefinition, Definition, LIMITS, Library, LibraryFile, MissedRuns, OnError, Overlap, World,
    check, check_in, check_template,
};
use crate::work::{ConfigProblem, NewTask, Registry, StepManager, StepStart, TaskError};

/// What to do with links to other sites.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code)] // only its schema is used
enum Links {
    /// Ignore them.
    Ignore,
    /// Follow them.
    Follow,
}

/// Reads pages.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)] // only its schema is used
struct Crawl {
    /// Where to begin.
    #[schemars(length(min = 1), extend("items" = {"type": "string", "format": "uri"}))]
    start_urls: Vec<String>,
    /// How many pages at most.
    #[schemars(range(min = 1, max = 100_000))]
    max_pages: Option<u32>,
    max_depth: Option<u8>,
    follow_links: Option<bool>,
    #[schemars(extend("items" = {"type": "string", "format": "regex"}))]
    include_patterns: Option<Vec<String>>,
    #[schemars(extend("format" = "duration"))]
    request_delay: Option<String>,
    #[schemars(extend("items" = {"type": "string", "format": "host"}))]
    allow_hosts: Option<Vec<String>>,
    other_sites: Option<Links>,
    #[schemars(extend("items" = {"type": "string", "format": "tag"}))]
    output_tags: Option<Vec<String>>,
}

/// Reads a folder.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)] // only its schema is used
struct LocalDir {
    /// The folder to read.
    #[schemars(extend("format" = "folder"))]
    path: String,
    #[schemars(extend("items" = {"type": "string", "format": "glob"}))]
    include: Option<Vec<String>>,
    max_file_size: Option<u64>,
    share: Option<f64>,
}

/// Takes no settings.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Reindex {}

struct Manager<C>(&'static str, &'static [&'static str], std::marker::PhantomData<C>);

impl<C: JsonSchema + Send + Sync + 'static> StepManager for Manager<C> {
    fn step_type(&self) -> &'static str {
        self.0
    }

    fn aliases(&self) -> &'static [&'static str] {
        self.1
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(C)
    }

    fn check(&self, config: &Value) -> Vec<ConfigProblem> {
        let hosts = config["allow_hosts"]
            .as_array()
            .is_some_and(|hosts| hosts.contains(&json!("localhost")));
        if config["start_urls"][0] == json!("http://localhost/") && !hosts {
            return vec![ConfigProblem {
                pointer: "/start_urls/0".to_owned(),
                code: "address_refused",
                message: "This host is not allowed.".to_owned(),
                fix: None,
            }];
        }
        if config["path"] != json!("/") {
            return Vec::new();
        }
        vec![ConfigProblem {
            pointer: "/path".to_owned(),
            code: "too_wide",
            message: "The whole disk cannot be read.".to_owned(),
            fix: None,
        }]
    }

    fn first_tasks(&self, _: &StepStart) -> Result<Vec<NewTask>, TaskError> {
        Ok(Vec::new())
    }
}

fn registry() -> Registry {
    Registry::default()
        .with_manager(Manager::<Crawl>("crawl", &["crawler"], std::marker::PhantomData))
        .with_manager(Manager::<Reindex>("reindex", &[], std::marker::PhantomData))
        .with_manager(Manager::<LocalDir>("local_dir", &[], std::marker::PhantomData))
}

/// One row of the table of inputs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    #[serde(default)]
    text: String,
    /// Bytes before the text, in hexadecimal digits.
    #[serde(default)]
    hex: String,
    /// Pieces after the text, each repeated.
    #[serde(default)]
    repeat: Vec<(String, usize)>,
    #[serde(default)]
    json: bool,
    /// It is a template.
    #[serde(default)]
    template: bool,
    /// What `template/ID` and `definition/ID` are; without it there is no library.
    library: Option<Shelf>,
    /// The settings of the program.
    #[serde(default)]
    settings: BTreeMap<String, String>,
    /// If given, the definition must be right, and is bound to these values.
    set: Option<BTreeMap<String, String>>,
    #[serde(default)]
    problems: Vec<Expected>,
    /// A part of the first problem's fix.
    fix: Option<String>,
}

/// Files by `template/ID` or `definition/ID`.
#[derive(Default, Deserialize)]
struct Shelf(BTreeMap<String, String>);

impl Shelf {
    fn file(&self, key: &str) -> Option<LibraryFile> {
        let text = self.0.get(key)?.clone();
        Some(LibraryFile { name: format!("{key}.toml"), text })
    }

    fn ids(&self, prefix: &str) -> Vec<String> {
        self.0.keys().filter_map(|key| key.strip_prefix(prefix).map(str::to_owned)).collect()
    }
}

impl Library for Shelf {
    fn definition(&self, id: &str) -> Option<LibraryFile> {
        self.file(&format!("definition/{id}"))
    }

    fn template(&self, id: &str) -> Option<LibraryFile> {
        self.file(&format!("template/{id}"))
    }

    fn definition_ids(&self) -> Vec<String> {
        self.ids("definition/")
    }

    fn template_ids(&self) -> Vec<String> {
        self.ids("template/")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    code: String,
    line: Option<u32>,
    column: Option<u32>,
    step: Option<String>,
}

impl Row {
    fn bytes(&self) -> Vec<u8> {
        let digits: Vec<u8> = self.hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let mut bytes: Vec<u8> = digits
            .chunks(2)
            .map(|pair| {
                let text = std::str::from_utf8(pair).expect("hexadecimal digits are ASCII");
                u8::from_str_radix(text, 16).expect("two hexadecimal digits")
            })
            .collect();
        bytes.extend_from_slice(self.text.as_bytes());
        for (piece, times) in &self.repeat {
            bytes.extend(piece.as_bytes().repeat(*times));
        }
        bytes
    }

    /// Checks the row; gives what does not hold.
    fn failures(&self, registry: &Registry) -> Vec<String> {
        let bytes = self.bytes();
        let file = if self.json { "row.json" } else { "row.toml" };
        let start = Instant::now();
        let library = self.library.as_ref().map(|shelf| -> &dyn Library { shelf });
        let world = World { registry, settings: &self.settings, library };
        let check = if self.template { check_template } else { check_in };
        let checked = check(file, &bytes, &world);
        let took = start.elapsed();
        let mut failures = Vec::new();
        let problems = match (&checked.definition, &self.set) {
            (Some(definition), Some(set)) => {
                definition.bind_in(set, &world).err().unwrap_or_default()
            }
            (None, Some(_)) => {
                failures.push("is not accepted before binding".to_owned());
                checked.problems.clone()
            }
            (_, None) => checked.problems.clone(),
        };
        if checked.definition.is_none() != has_errors(&checked.problems) {
            failures.push("must be a definition or have errors".to_owned());
        }
        // Far above what it takes, far below what a quadratic input would.
        if took.as_secs() >= 3 {
            failures.push(format!("takes {took:?}"));
        }
        failures.extend(malformed(&problems, bytes.len()));
        let fits = problems.len() == self.problems.len()
            && problems.iter().zip(&self.problems).all(|(problem, expected)| {
                problem.code == expected.code
                    && expected.line.is_none_or(|line| line == problem.line)
                    && expected.column.is_none_or(|column| column == problem.column)
                    && expected.step.as_ref().is_none_or(|step| problem.step.as_ref() == Some(step))
            });
        if !fits {
            failures.push(format!("gives\n{}", show(&problems)));
        }
        if let Some(fix) = &self.fix {
            let first =
                problems.first().and_then(|problem| problem.fix.clone()).unwrap_or_default();
            if !first.contains(fix) {
                failures.push(format!("is fixed by \"{first}\", not \"{fix}\""));
            }
        }
        failures.into_iter().map(|failure| format!("{}: {failure}", self.name)).collect()
    }
}

fn has_errors(problems: &[Problem]) -> bool {
    problems.iter().any(|problem| problem.severity == Severity::Error)
}

/// What every problem must be like, whatever it is about.
fn malformed(problems: &[Problem], length: usize) -> Vec<String> {
    let mut found = Vec::new();
    for problem in problems {
        let sentence =
            problem.message.ends_with('.') && !problem.message.contains(char::is_control);
        let place = problem.line >= 1
            && problem.column >= 1
            && problem.start <= problem.end
            && problem.end as usize <= length;
        if !sentence || !place || problem.message.len() > 1_000 {
            found.push(format!("has a malformed problem {problem:?}"));
        }
    }
    if !problems.is_sorted_by_key(|problem| problem.start) {
        found.push("does not sort its problems".to_owned());
    }
    found
}

fn show(problems: &[Problem]) -> String {
    let line = |p: &Problem| {
        format!(
            "  {}:{} {} [{}] {} | {}",
            p.line,
            p.column,
            p.code,
            p.step.as_deref().unwrap_or("-"),
            p.message,
            p.fix.as_deref().unwrap_or("-")
        )
    };
    problems.iter().take(40).map(line).collect::<Vec<_>>().join("\n")
}

fn repository(path: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..").join(path)
}

fn definition(text: &str) -> Definition {
    let checked = check("test.toml", text.as_bytes(), &registry());
    let problems = show(&checked.problems);
    checked.definition.unwrap_or_else(|| panic!("not accepted:\n{problems}"))
}

#[test]
fn every_bad_input_is_refused_with_code_and_place() {
    #[derive(Deserialize)]
    struct Table {
        case: Vec<Row>,
    }
    let path = repository("tests/attacks/definitions.toml");
    let text = std::fs::read_to_string(&path).expect("the table of inputs");
    let table: Table = toml::from_str(&text).expect("the table of inputs parses");
    assert!(table.case.len() > 50, "the table of inputs is complete");
    let registry = registry();
    let failures: Vec<String> = table.case.iter().flat_map(|row| row.failures(&registry)).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

const BEFORE: &str = "id = 'before'\nname = 'B'\n[step.s]\ntype = 'local_dir'\npath = '/x'";

#[test]
fn a_definition_says_all_that_its_file_says() {
    let definition = definition(
        r#"
id = "all"
name = "All"
description = "Everything"
type = "custom"
job_type = "user"
tags = ["a", "date:2026-01-01"]
timeout = "1h30m"
enabled = false
auto_start = true
schedule = "0 7 * * mon"
timezone = "Europe/Berlin"
missed_runs = "all"
overlap = "queue"
priority = 5
max_running = 3
singleton = true
authentication = "work"
pre_jobs = ["before"]

[config]
allow_hosts = ["localhost"]
variables = [{ ticker = "BHP" }]
benchmarks = [{ code = "XJO", name = "Index" }]

[meta]
anything = { goes = ["here"] }

[error_tolerance]
max_child_failures = 3
max_failure_percent = 12.5
failure_action = "mark_warning"

[step.zeta]
type = "crawler"
start_urls = ["https://example.com"]
on_error = "retry"
max_attempts = 5
retry_delay = "1s"
max_retry_delay = "1m"
timeout = "1h"
task_timeout = "30s"
task_attempts = 2
max_tasks = 500
priority = -7
[step.zeta.config]
max_pages = 5.0

[step.alpha]
type = "local_dir"
path = '/tmp'
output_tags = ["files"]
always_run = true
condition = "failed('zeta')"

[step.mid]
type = "local_dir"
path = '/tmp'
depends = "zeta, alpha"

[step.free]
type = "local_dir"
path = '/tmp'
depends = []
"#,
    );
    assert_eq!(definition.timeout, Some(Duration::from_secs(5400)));
    assert!(!definition.enabled);
    assert_eq!(definition.schedule.as_deref(), Some("0 7 * * mon"));
    assert_eq!(definition.tags, ["a", "date:2026-01-01"]);
    assert_eq!(definition.variables[0]["ticker"], "BHP");
    assert_eq!(definition.benchmarks[0]["code"], "XJO");
    assert_eq!(definition.error_tolerance.map(|tolerance| tolerance.max_child_failures), Some(3));
    let order: Vec<&str> = definition.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(order, ["zeta", "alpha", "mid", "free"], "steps keep the order of the file");
    let [zeta, alpha, mid, free] = definition.steps.as_slice() else { panic!("four steps") };
    assert_eq!(zeta.step_type, "crawl", "an alias is resolved");
    assert_eq!(zeta.config, json!({"start_urls": ["https://example.com"], "max_pages": 5}));
    assert_eq!((zeta.on_error, zeta.max_attempts), (OnError::Retry, 5));
    assert!(zeta.depends.is_empty() && free.depends.is_empty());
    assert_eq!(alpha.depends, ["zeta"], "a step follows the one before it");
    assert_eq!(mid.depends, ["zeta", "alpha"]);
    assert_eq!(alpha.config, json!({"path": "/tmp"}), "common fields are not the step type's");
    assert!(definition.auto_start && definition.singleton);
    assert_eq!(definition.timezone.as_deref(), Some("Europe/Berlin"));
    assert_eq!((definition.missed_runs, definition.overlap), (MissedRuns::All, Overlap::Queue));
    assert_eq!((definition.priority, definition.max_running), (5, Some(3)));
    let seconds = Duration::from_secs;
    assert_eq!((zeta.retry_delay, zeta.max_retry_delay), (seconds(1), seconds(60)));
    assert_eq!((zeta.timeout, zeta.task_timeout), (Some(seconds(3600)), seconds(30)));
    assert_eq!((zeta.task_attempts, zeta.priority), (2, Some(-7)));
    assert_eq!((zeta.max_tasks, free.max_tasks), (500, 1_000_000));
    assert_eq!((free.max_attempts, free.task_attempts, free.timeout), (3, 4, None));
    assert_eq!((free.retry_delay, free.max_retry_delay), (seconds(2), seconds(300)));
    assert_eq!(free.task_timeout, seconds(600));
    assert_eq!(
        alpha.condition.as_ref().map(ToString::to_string).as_deref(),
        Some("failed('zeta')")
    );
    let tolerance = definition.error_tolerance.expect("it is there");
    assert_eq!((tolerance.max_failure_percent, tolerance.min_sample), (Some(12.5), 20));
    let registry = registry();
    let shelf = Shelf([("definition/before".to_owned(), BEFORE.to_owned())].into());
    let world = World { library: Some(&shelf), ..World::new(&registry) };
    let bound = definition.bind_in(&BTreeMap::new(), &world).expect("nothing is missing");
    assert_eq!((bound.priority, bound.max_running, bound.singleton), (5, Some(3), true));
    assert_eq!((bound.steps[0].priority, bound.steps[3].priority), (-7, 5));
    assert_eq!(bound.steps[1].condition, alpha.condition);
    assert_eq!(bound.pre.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), ["before"]);
    assert_eq!(bound.text, definition.text());
    assert_eq!(bound.steps[0].config["allow_hosts"], json!(["localhost"]));
    assert_eq!(bound.steps[1].config.get("allow_hosts"), None, "only where there is such a field");
    assert_eq!(bound.steps[1].output_tags, ["files"]);
    let stored = serde_json::to_string(&bound).expect("it can be stored");
    assert_eq!(serde_json::from_str::<BoundDefinition>(&stored).expect("and read"), bound);
}

#[test]
fn json_and_toml_mean_the_same() {
    let toml = definition(
        "id = 'a'\nname = 'A'\n[step.b]\ntype = 'local_dir'\npath = '/x'\n[step.a]\ntype = 'local_dir'\npath = '/y'",
    );
    let text = r#"{"id": "a", "name": "A", "step": {"b": {"type": "local_dir", "path": "/x"},
        "a": {"type": "local_dir", "path": "/y"}}}"#;
    let json = check("a.json", text.as_bytes(), &registry()).definition.expect("JSON is accepted");
    let bind = |definition: &Definition| {
        let bound = definition.bind(&BTreeMap::new(), &registry()).expect("binds");
        BoundDefinition { text: String::new(), ..bound }
    };
    assert_eq!(bind(&toml), bind(&json));
}

const INPUTS: &str = r#"
id = "inputs"
name = "Inputs"
[config]
folder = ""
url = "https://example.com"
max_pages = 20
deep = true
note = "unused"
word = "a.b"
[step.read]
type = "local_dir"
path = "{folder}"
[step.crawl]
type = "crawl"
start_urls = ["{config.url}", "https://example.com/{word}?q={config.note}"]
max_pages = "{config.max_pages}"
follow_links = "{deep}"
include_patterns = ["^{word}$", "a{2}\\p{greek}"]
"#;

#[test]
fn inputs_are_the_scalars_of_config_and_know_what_they_fill() {
    let inputs = definition(INPUTS).inputs(&registry());
    let seen: Vec<_> =
        inputs.iter().map(|i| (i.key.as_str(), i.kind, i.required, i.default.as_str())).collect();
    assert_eq!(
        seen,
        [
            ("folder", InputKind::Folder, true, ""),
            ("url", InputKind::Url, false, "https://example.com"),
            ("max_pages", InputKind::Number, false, "20"),
            ("deep", InputKind::Boolean, false, "true"),
            ("note", InputKind::Url, false, "unused"),
            ("word", InputKind::Url, false, "a.b"),
        ]
    );
    assert_eq!(inputs[0].help, "The folder to read.");
    assert_eq!(inputs[1].help, "Where to begin.");
    assert_eq!(inputs[2].label, "Max pages");
}

#[test]
fn values_are_put_in_once_with_their_type_and_escaped_where_needed() {
    let set = [
        ("folder", "/data/{config.url}"),
        ("config.max_pages", "7"),
        ("deep", "no"),
        ("note", "x&y=1 #"),
    ];
    let set = set.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let bound = definition(INPUTS).bind(&set, &registry()).expect("binds");
    assert_eq!(bound.steps[0].config["path"], "/data/{config.url}", "never expanded again");
    assert_eq!(
        bound.steps[1].config,
        json!({
            "start_urls": ["https://example.com", "https://example.com/a.b?q=x%26y%3D1%20%23"],
            "max_pages": 7,
            "follow_links": false,
            "include_patterns": [r"^a\.b$", r"a{2}\p{greek}"],
        })
    );
    assert!(bound.variables.contains(&("note".to_owned(), "x&y=1 #".to_owned())));
}

#[test]
fn crawler_fields_at_the_top_make_a_step() {
    let definition = definition(
        "id='a'\nname='A'\ntype='crawler'\nstart_urls=['https://example.com']\nmax_pages=3",
    );
    let step = &definition.steps[0];
    assert_eq!((step.name.as_str(), step.step_type.as_str()), ("crawl", "crawl"));
    assert_eq!(step.config["max_pages"], 3);
}

#[test]
fn a_broken_file_still_has_a_header() {
    let checked = check(
        "dir/x.toml",
        b"id = 'good'\nname = 'Good'\n[step.a]\ntype = 'crawl'\nbad = [1,",
        &registry(),
    );
    assert_eq!((checked.header.id.as_str(), checked.header.name.as_str()), ("good", "Good"));
    assert_eq!(checked.header.step_types, ["crawl"]);
    assert_eq!(check("dir/x.toml", b"\xff", &registry()).header.id, "x.toml");
}

#[test]
fn at_most_200_steps_are_taken() {
    let text = |count: usize| {
        let steps = (0..count).map(|n| format!("[step.s{n}]\ntype = 'local_dir'\npath = '/x'\n"));
        format!("id = 'a'\nname = 'A'\n{}", steps.collect::<String>())
    };
    assert_eq!(definition(&text(200)).steps.len(), 200);
    for count in [201, 5_000] {
        let problems = check("a.toml", text(count).as_bytes(), &registry()).problems;
        let codes: Vec<&str> = problems.iter().map(|problem| problem.code.as_str()).collect();
        assert_eq!(codes, ["too_many"], "{}", show(&problems));
    }
}

#[test]
fn a_file_full_of_mistakes_tells_of_some_and_says_so() {
    let text: String = (0..9_000).map(|n| format!("field_number_{n} = {n}\n")).collect();
    let problems = check("a.toml", text.as_bytes(), &registry()).problems;
    assert_eq!(problems.len(), LIMITS.problems + 1);
    assert_eq!(problems.last().map(|problem| problem.code.as_str()), Some("too_many_problems"));
}

#[test]
fn the_header_of_an_empty_object_does_not_panic() {
    for text in ["{}", "[]", "null", "1", "\"x\"", "{\"step\": []}", "{\"step\": {\"a\": []}}"] {
        assert!(check("a.json", text.as_bytes(), &registry()).definition.is_none(), "{text}");
    }
}
