//! Job definitions: parsed with places, checked all at once, never run while being checked.
//!
//! [`check`] turns a file into a [`Definition`] or into a list of all that is wrong with it;
//! [`Definition::bind`] puts the values of one run into it. Nothing here has side effects or
//! evaluates anything, and everything has a limit ([`LIMITS`]).
//!
//! The way through the files: `source` reads text into a tree that knows its places, `shape` and
//! `steps` make a definition of it, `order` and `condition` say when a step runs, `schema` and
//! `format` check configurations, `placeholder`, `fill` and `bind` put values in, `template` and
//! `nest` go on to the definitions that one leads to.

mod bind;
pub mod condition;
mod duration;
mod fault;
mod fill;
mod format;
mod nest;
mod order;
mod placeholder;
mod schema;
mod shape;
mod source;
mod steps;
mod template;
#[cfg(test)]
mod tests;

use std::time::Duration;

use quaero_contract::Problem;
pub use quaero_contract::{FailureAction, MissedRuns, OnError, Overlap};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use condition::Condition;
pub use duration::{DurationError, MAX_DURATION, parse_duration};
pub use nest::{Library, LibraryFile, World};

use crate::work::Registry;
use fault::{Faults, Span, Text};
use nest::Role;
use source::Node;

/// How much of anything a definition can hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the file.
    pub bytes: usize,
    /// Levels of nested tables and lists.
    pub depth: usize,
    /// Steps of a definition.
    pub steps: usize,
    /// Bytes of one text.
    pub string_bytes: usize,
    /// Entries of one list or table.
    pub items: usize,
    /// Problems that are reported.
    pub problems: usize,
    /// Regular expressions and file patterns of one definition: compiling them takes the most time.
    pub patterns: usize,
    /// Characters of one pattern.
    pub pattern_chars: usize,
    /// Bytes of one compiled pattern.
    pub pattern_bytes: usize,
    /// Different patterns of one run, with all that it leads to.
    pub run_patterns: usize,
    /// Bytes that filling placeholders may produce for one run, with all that it leads to.
    pub output_bytes: usize,
    /// Instances of templates and jobs before and after that one run may lead to.
    pub instances: usize,
    /// Bytes that the texts of all these may have.
    pub nested_bytes: usize,
    /// How deep templates and jobs before and after may lead.
    pub nesting: usize,
}

/// The limits that hold for every definition.
pub const LIMITS: Limits = Limits {
    bytes: 256 * 1024,
    depth: 32,
    steps: 200,
    string_bytes: 64 * 1024,
    items: 10_000,
    problems: 200,
    patterns: 200,
    pattern_chars: 500,
    pattern_bytes: 1024 * 1024,
    run_patterns: 1_000,
    output_bytes: 1024 * 1024,
    instances: 1_000,
    nested_bytes: 16 * 1024 * 1024,
    nesting: 8,
};

/// How many failures of tasks a run bears.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorTolerance {
    /// This many may fail; 0 means any number.
    pub max_child_failures: u32,
    /// This share of the finished tasks may fail, in percent.
    pub max_failure_percent: Option<f64>,
    /// The share counts from this many finished tasks on; 20 unless the definition says otherwise.
    pub min_sample: u32,
    /// What happens beyond that.
    pub failure_action: FailureAction,
}

/// A definition without errors.
#[derive(Clone, Debug)]
pub struct Definition {
    /// `[a-z0-9_-]{1,64}`.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Tags for every document of a run.
    pub tags: Vec<String>,
    /// How long a run may take.
    pub timeout: Option<Duration>,
    /// Whether the schedule and the start of the program may run it.
    pub enabled: bool,
    /// Whether it is run when the program starts.
    pub auto_start: bool,
    /// When it is run: five cron fields or a word such as `@daily`; see [`crate::schedule`].
    pub schedule: Option<String>,
    /// The IANA name of the zone that the schedule's times belong to; None means that of the
    /// computer.
    pub timezone: Option<String>,
    /// What happens to scheduled times that passed while the program did not run.
    pub missed_runs: MissedRuns,
    /// What happens at a scheduled time while an earlier run is not over.
    pub overlap: Overlap,
    /// Which runs get workers first: −100 to 100, the higher the earlier.
    pub priority: i32,
    /// How many of a run's tasks run at a time, at least 1; None means as many as there is room for.
    pub max_running: Option<u32>,
    /// Whether at most one run of it goes on at a time. A second one waits.
    pub singleton: bool,
    /// The whole of `[config]`.
    pub config: Map<String, Value>,
    /// The targets: `[config] variables`.
    pub variables: Vec<Map<String, Value>>,
    /// What targets are compared with: `[config] benchmarks`.
    pub benchmarks: Vec<Map<String, Value>>,
    /// How many failures a run bears.
    pub error_tolerance: Option<ErrorTolerance>,
    /// Definitions to run before.
    pub pre_jobs: Vec<String>,
    /// Definitions to run after.
    pub post_jobs: Vec<String>,
    /// The sign-in profile to use.
    pub authentication: Option<String>,
    /// In the order of the file, at least one.
    pub steps: Vec<Step>,
    /// The trees of `pre_jobs` and `post_jobs`.
    pre: Vec<Node>,
    post: Vec<Node>,
    /// The tree of those of its own texts that can have placeholders.
    labels: Node,
    /// The tree of `[config]`, if it has one.
    settings: Option<Node>,
    role: Role,
    text: Text,
}

/// One step of a definition.
#[derive(Clone, Debug)]
pub struct Step {
    /// `[A-Za-z0-9_-]{1,64}`, unique whatever the case.
    pub name: String,
    /// The name of its manager, never an alias.
    pub step_type: String,
    /// What it does.
    pub description: String,
    /// The steps it waits for. A step without `depends` waits for the one before it.
    pub depends: Vec<String>,
    /// What happens when it fails.
    pub on_error: OnError,
    /// Attempts in all, if `on_error` is `Retry`.
    pub max_attempts: u32,
    /// The pause before the second attempt, if `on_error` is `Retry`. It doubles with each.
    pub retry_delay: Duration,
    /// The longest pause between two attempts, at least `retry_delay`.
    pub max_retry_delay: Duration,
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// Whether what it has brought stands when that time is over, and the step with it.
    pub keep_on_timeout: bool,
    /// How long one attempt at one of its tasks may take.
    pub task_timeout: Duration,
    /// Attempts at one of its tasks in all, 1 to 20.
    pub task_attempts: u32,
    /// How many tasks an attempt may have; work that leads to itself ends there.
    pub max_tasks: u32,
    /// Which tasks of a run are done first: −100 to 100, the higher the earlier. None means the
    /// definition's.
    pub priority: Option<i32>,
    /// Whether it runs even if steps before it failed.
    pub always_run: bool,
    /// It is skipped unless this holds when the steps before it have ended.
    pub condition: Option<Condition>,
    /// Everything else, with placeholders still in it.
    pub config: Value,
    /// The tree of `config`.
    source: Node,
    /// The tree of its other texts that can have placeholders.
    labels: Node,
    /// Its name in the text.
    place: Span,
}

/// What can be read of a definition, right or wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Its id, or the file's name.
    pub id: String,
    /// Its name, or its id.
    pub name: String,
    /// What it does.
    pub description: String,
    /// The types of its steps as written, in the order of the file.
    pub step_types: Vec<String>,
}

/// The result of checking a file.
#[derive(Clone, Debug)]
pub struct Checked {
    /// There exactly if there are no errors.
    pub definition: Option<Definition>,
    /// Everything that is wrong, in the order of the text.
    pub problems: Vec<Problem>,
    /// What a list can show in any case.
    pub header: Header,
}

/// A definition with the values of one run put in; what the engine stores and works from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoundDefinition {
    /// See [`Definition::id`].
    pub id: String,
    /// See [`Definition::name`].
    pub name: String,
    /// See [`Definition::tags`].
    pub tags: Vec<String>,
    /// See [`Definition::timeout`].
    pub timeout: Option<Duration>,
    /// See [`Definition::priority`].
    pub priority: i32,
    /// See [`Definition::max_running`].
    pub max_running: Option<u32>,
    /// See [`Definition::singleton`].
    pub singleton: bool,
    /// Scalars of `[config]` as text, sorted by key; those in tables by their dotted path. For an
    /// instance of a template also those of its set, as `set:KEY`.
    pub variables: Vec<(String, String)>,
    /// The values it was bound with: binding its text with them again gives the same.
    pub given: Vec<(String, String)>,
    /// See [`Definition::variables`].
    pub targets: Vec<Map<String, Value>>,
    /// See [`Definition::benchmarks`].
    pub benchmarks: Vec<Map<String, Value>>,
    /// See [`Definition::error_tolerance`].
    pub error_tolerance: Option<ErrorTolerance>,
    /// What runs before, one after the other.
    pub pre: Vec<BoundDefinition>,
    /// What runs after, one after the other.
    pub post: Vec<BoundDefinition>,
    /// See [`Definition::authentication`].
    pub authentication: Option<String>,
    /// In the order of the file, at least one.
    pub steps: Vec<BoundStep>,
    /// The text that it was read from; see [`Definition::text`].
    pub text: String,
}

/// A step with the values of one run put in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoundStep {
    /// See [`Step::name`].
    pub name: String,
    /// See [`Step::step_type`].
    pub step_type: String,
    /// See [`Step::description`].
    pub description: String,
    /// See [`Step::depends`].
    pub depends: Vec<String>,
    /// See [`Step::on_error`].
    pub on_error: OnError,
    /// See [`Step::max_attempts`].
    pub max_attempts: u32,
    /// See [`Step::retry_delay`].
    pub retry_delay: Duration,
    /// See [`Step::max_retry_delay`].
    pub max_retry_delay: Duration,
    /// See [`Step::timeout`].
    pub timeout: Option<Duration>,
    /// See [`Step::keep_on_timeout`].
    pub keep_on_timeout: bool,
    /// See [`Step::task_timeout`].
    pub task_timeout: Duration,
    /// See [`Step::task_attempts`].
    pub task_attempts: u32,
    /// See [`Step::max_tasks`].
    pub max_tasks: u32,
    /// The step's own, or that of the definition.
    pub priority: i32,
    /// See [`Step::always_run`].
    pub always_run: bool,
    /// See [`Step::condition`].
    pub condition: Option<Condition>,
    /// Tags for every document of this step, beyond those of the definition. They are in `config`
    /// too if the step type has such a field.
    pub output_tags: Vec<String>,
    /// The configuration; it fits the step type's schema.
    pub config: Value,
    /// What a step of the type `job_template` runs, in this order. Empty for every other type: the
    /// engine itself runs these steps, no manager does.
    pub instances: Vec<BoundDefinition>,
    /// How many of the instances run at a time, 1 to 32.
    pub parallel: u32,
    /// Whether an instance waits while another run of its template goes on, in whatever run.
    pub singleton: bool,
}

/// Checks a file. A name that ends in `.json` means JSON, any other TOML.
#[must_use]
pub fn check(file_name: &str, bytes: &[u8], registry: &Registry) -> Checked {
    check_in(file_name, bytes, &World::new(registry))
}

/// As [`check`], with settings for placeholders and with a library, in which everything must exist
/// to which the definition leads.
#[must_use]
pub fn check_in(file_name: &str, bytes: &[u8], world: &World<'_>) -> Checked {
    check_file(file_name, bytes, Role::Definition, world)
}

/// As [`check_in`] for a template: its texts may have `{set:KEY}` in them.
#[must_use]
pub fn check_template(file_name: &str, bytes: &[u8], world: &World<'_>) -> Checked {
    check_file(file_name, bytes, Role::Template, world)
}

fn check_file(file_name: &str, bytes: &[u8], role: Role, world: &World<'_>) -> Checked {
    let mut faults = Faults::default();
    let source = source::read(file_name, bytes, &mut faults);
    let header = shape::header(file_name, source.node.as_ref());
    let definition = match source.node {
        Some(node) if source.complete => {
            shape::definition(node, &source.text, role, world, &mut faults)
        }
        _ => None,
    };
    if let Some(definition) = &definition {
        nest::check(definition, *world, &mut faults);
    }
    let definition = definition.filter(|_| faults.errors() == 0);
    Checked { definition, problems: faults.into_problems(&source.text), header }
}

impl Definition {
    /// The text it was read from, without a byte order mark.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text.source
    }
}
