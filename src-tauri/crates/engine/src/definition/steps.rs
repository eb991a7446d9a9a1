//! The steps of a definition: the fields that every step has, its type's configuration, and what
//! it waits for.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
    time::Duration,
};

use quaero_store::MAX_TASKS;
use serde_json::{Value, json};

use super::{
    LIMITS, OnError, Step,
    condition::{self, Condition, ConditionError},
    duration::parse_duration,
    fault::{Fault, Faults, Span, Text, did_you_mean, quote, suggest},
    order,
    placeholder::{self, Values},
    schema::{Schema, Schemas, Subject, View},
    source::{Field, Node, Tree},
    template,
};
use crate::work::{Registry, Targets};

/// Fields of a crawl that can stand at the top of a file without steps.
pub(super) const SHORTHAND: [&str; 7] = [
    "start_urls",
    "include_patterns",
    "exclude_patterns",
    "max_depth",
    "max_pages",
    "concurrency",
    "follow_links",
];

/// The name and the type of the step that the shorthand stands for.
pub(super) const SHORTHAND_STEP: &str = "crawl";

/// Fields that every step has, whatever its type.
const STEP_FIELDS: [&str; 17] = [
    "type",
    "description",
    "on_error",
    "depends",
    "condition",
    "always_run",
    "timeout",
    "on_timeout",
    "max_attempts",
    "retry_delay",
    "max_retry_delay",
    "task_timeout",
    "task_attempts",
    "max_tasks",
    "priority",
    "output_tags",
    "config",
];

/// Of the fields of a step, those that [`LABELS`] checks.
const LABELLED: [&str; 2] = ["description", "output_tags"];

/// Fields that say more of `on_error = "retry"`, and nothing without it.
const OF_RETRY: [&str; 3] = ["max_attempts", "retry_delay", "max_retry_delay"];

/// Attempts at a step, if it does not say.
const MAX_ATTEMPTS: u32 = 3;
/// The pause before the second attempt at a step, if it does not say.
const RETRY_DELAY: Duration = Duration::from_secs(2);
/// The longest pause between two attempts at a step, if it does not say.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5 * 60);
/// How long one attempt at a task may take, if its step does not say.
const TASK_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// Attempts at a task, if its step does not say.
const TASK_ATTEMPTS: u32 = 4;

static STEP: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new(json!({
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": {"type": "string"},
            "on_error": {"enum": ["continue", "fail", "fatal", "retry"]},
            "depends": {"type": ["string", "array"], "items": {"type": "string"}},
            "condition": {"type": "string"},
            "always_run": {"type": "boolean"},
            "timeout": {"type": "string", "format": "timeout"},
            "on_timeout": {"enum": ["fail", "keep"]},
            "max_attempts": {"type": "integer", "minimum": 1, "maximum": 20},
            "retry_delay": {"type": "string", "format": "duration"},
            "max_retry_delay": {"type": "string", "format": "duration"},
            "task_timeout": {"type": "string", "format": "timeout"},
            "task_attempts": {"type": "integer", "minimum": 1, "maximum": 20},
            "max_tasks": {"type": "integer", "minimum": 1, "maximum": 100_000_000},
            "priority": {"type": "integer", "minimum": -100, "maximum": 100},
            "config": {"type": "object"}
        }
    }))
    .expect("a constant that the tests compile")
});

/// The texts of a definition or a step that can have placeholders, beside the configuration.
pub(super) static LABELS: LazyLock<Schema> = LazyLock::new(|| {
    let tags =
        json!({"type": "array", "items": {"type": "string", "format": "tag"}, "maxItems": 100});
    Schema::new(json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 200},
            "description": {"type": "string"},
            "tags": tags,
            "output_tags": tags
        }
    }))
    .expect("a constant that the tests compile")
});

/// Reads all steps and their order.
pub(super) fn read(
    root: &Node,
    told_of_list: bool,
    targets: Targets<'_>,
    values: &Values<'_>,
    text: &Text,
    registry: &Registry,
    faults: &mut Faults,
) -> Vec<Step> {
    let settings = root.get("config");
    let schemas = Schemas::new(registry);
    Reader { schemas, registry, settings, targets, values, text, faults }.read(root, told_of_list)
}

/// Says of each of these fields, if it is there and means something, that it does nothing.
pub(super) fn warn_of_no_effect(node: &Node, names: &[&str], why: &str, faults: &mut Faults) {
    for field in node.fields().iter().filter(|field| names.contains(&field.key.as_str())) {
        let nothing = match &field.node.tree {
            Tree::Null | Tree::Unusable => true,
            Tree::Bool(value) => !value,
            Tree::String(text) => text.is_empty(),
            Tree::List(items) => items.is_empty(),
            Tree::Table(fields) => fields.is_empty(),
            Tree::Integer(_) | Tree::Float(_) => false,
        };
        if !nothing {
            let message = format!("`{}` {why}.", field.key);
            faults.add(Fault::new(&field.key_span, "no_effect", message).warning());
        }
    }
}

/// Hosts named in `[config]` are allowed for every step that can be told of hosts.
pub(super) fn allow_hosts(schema: &Schema, settings: Option<&Node>, config: &mut Value) {
    let common = settings.and_then(|settings| settings.get("allow_hosts")).map(Node::strings);
    let common = common.unwrap_or_default();
    if common.is_empty() || !schema.has("allow_hosts") {
        return;
    }
    let Some(map) = config.as_object_mut() else { return };
    let list = map.entry("allow_hosts").or_insert_with(|| json!([]));
    let Some(list) = list.as_array_mut() else { return };
    for host in common {
        if !list.iter().any(|known| known.as_str() == Some(&host)) {
            list.push(host.into());
        }
    }
}

/// Takes a field out of a table.
pub(super) fn take(node: &mut Node, key: &str) -> Option<Field> {
    let Tree::Table(fields) = &mut node.tree else { return None };
    let at = fields.iter().position(|field| field.key == key)?;
    Some(fields.remove(at))
}

/// A duration that is greater than 0.
pub(super) fn duration(node: Option<&Node>) -> Option<Duration> {
    parse_duration(node?.as_str()?).ok().filter(|duration| !duration.is_zero())
}

struct Reader<'a> {
    schemas: Schemas<'a>,
    registry: &'a Registry,
    settings: Option<&'a Node>,
    targets: Targets<'a>,
    values: &'a Values<'a>,
    text: &'a Text,
    faults: &'a mut Faults,
}

impl Reader<'_> {
    fn read(mut self, root: &Node, told_of_list: bool) -> Vec<Step> {
        let shorthand: Vec<Field> = root
            .fields()
            .iter()
            .filter(|field| SHORTHAND.contains(&field.key.as_str()))
            .cloned()
            .collect();
        let named = root.get("step").map(Node::fields).unwrap_or_default();
        if named.is_empty() && !shorthand.is_empty() {
            return self.step(&shorthand_step(shorthand)).into_iter().collect();
        }
        for field in shorthand {
            self.faults.add(
                Fault::new(
                    &field.key_span,
                    "misplaced_field",
                    format!("`{}` at the top has no effect beside `[step.NAME]`.", field.key),
                )
                .fix("Move it into the step that crawls."),
            );
        }
        if named.is_empty() {
            let place = root.field("step").map_or(0..0, |field| field.key_span.clone());
            let table = root.get("step").is_none_or(|node| matches!(node.tree, Tree::Table(_)));
            if table && !told_of_list {
                self.faults.add(
                    Fault::new(&place, "no_steps", "The definition has no steps.")
                        .fix("Add `[step.NAME]` with a `type`."),
                );
            }
            return Vec::new();
        }
        if let Some(beyond) = named.get(LIMITS.steps) {
            let message =
                format!("There are {} steps; at most {} are allowed.", named.len(), LIMITS.steps);
            self.faults.add(
                Fault::new(&beyond.key_span, "too_many", message).fix("Split the definition."),
            );
        }
        let named = &named[..named.len().min(LIMITS.steps)];
        self.names(named);
        let mut steps: Vec<Step> = named.iter().filter_map(|field| self.step(field)).collect();
        order::resolve(named, &mut steps, self.text, self.faults);
        steps
    }

    fn names(&mut self, named: &[Field]) {
        let mut seen: HashMap<String, &str> = HashMap::new();
        for field in named {
            let name = &field.key;
            let shown = quote(name);
            let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if name.is_empty() || name.len() > 64 || !name.chars().all(allowed) {
                let message = format!(
                    "The step name `{shown}` must be 1 to 64 of the characters A-Z, a-z, 0-9, `_` and `-`."
                );
                self.faults.add(Fault::new(&field.key_span, "bad_step_name", message));
            }
            if let Some(other) = seen.insert(name.to_ascii_lowercase(), name) {
                let message =
                    format!("The step names `{}` and `{shown}` differ only in case.", quote(other));
                self.faults.add(
                    Fault::new(&field.key_span, "duplicate_step", message)
                        .fix("Rename one of them."),
                );
            }
        }
    }

    /// Reads one step, without its dependencies.
    fn step(&mut self, field: &Field) -> Option<Step> {
        self.faults.in_step(Some(&field.key));
        let step = self.step_body(field);
        self.faults.in_step(None);
        step
    }

    fn step_body(&mut self, field: &Field) -> Option<Step> {
        let title = format!("Step `{}`", quote(&field.key));
        let Tree::Table(fields) = &field.node.tree else {
            if !matches!(field.node.tree, Tree::Unusable) {
                self.faults.add(
                    Fault::new(&field.node.span, "wrong_type", format!("{title} must be a table."))
                        .fix(format!("Write `[step.{}]` and its fields below.", quote(&field.key))),
                );
            }
            return None;
        };
        let (common, own) = self.split(fields);
        let table = |fields| Node { span: field.key_span.clone(), tree: Tree::Table(fields) };
        let labels =
            common.iter().chain(&own).filter(|field| LABELLED.contains(&field.key.as_str()));
        let labels = table(labels.cloned().collect());
        let (common, mut own) = (table(common), table(own));
        let closed = |_: &str, _: Option<View<'_>>| false;
        let open = |text: &str, view: Option<View<'_>>| placeholder::has_any(text, view);
        let of = (title.as_str(), &field.key_span);
        let before = self.faults.errors();
        if common.get("type").is_none() {
            let typo = suggest("type", own.fields().iter().map(|field| field.key.as_str()));
            let fix = typo.map_or_else(
                || "Add a `type`, for example `type = \"local_dir\"`.".to_owned(),
                |typo| format!("Did you mean `type` in place of `{}`?", quote(typo)),
            );
            self.faults.add(
                Fault::new(&field.key_span, "missing_field", format!("{title} needs `type`."))
                    .fix(fix),
            );
        } else {
            STEP.check(&subject(of, &common, &common.to_value(), &closed), self.faults);
        }
        if common.get("on_error").and_then(Node::as_str) != Some("retry") {
            let why = "has no effect without `on_error = \"retry\"`";
            warn_of_no_effect(&common, &OF_RETRY, why, self.faults);
        }
        if common.get("timeout").is_none() {
            let why = "has no effect without `timeout`";
            warn_of_no_effect(&common, &["on_timeout"], why, self.faults);
        }
        let condition = common.get("condition").and_then(|node| self.condition(node));
        LABELS.check(&subject(of, &labels, &labels.to_value(), &open), self.faults);
        placeholder::check(&labels, Some(LABELS.view()), self.values, self.text, self.faults);
        let written = common.get("type").and_then(Node::as_str)?;
        let manager = self.registry.manager(written).filter(|_| written != template::STEP_TYPE);
        let step_type = match manager {
            Some(manager) => manager.step_type(),
            None if written == template::STEP_TYPE => template::STEP_TYPE,
            None => {
                self.unknown_type(&common, written);
                return None;
            }
        };
        let Some(schema) = self.schemas.get(step_type) else {
            let message =
                format!("The step type `{step_type}` is not usable: its schema is wrong.");
            self.faults.add(Fault::new(&field.key_span, "bad_schema", message));
            return None;
        };
        if !schema.has("output_tags") {
            take(&mut own, "output_tags");
        }
        placeholder::check(&own, Some(schema.view()), self.values, self.text, self.faults);
        let config = own.to_value();
        schema.check(&subject(of, &own, &config, &open), self.faults);
        let mut filled = true;
        placeholder::uses(&own, Some(schema.view()), &mut |_, _| filled = false);
        if manager.is_none() {
            template::check(&own, self.settings, &field.key_span, self.faults);
        }
        if let Some(manager) = manager
            && filled
            && self.faults.errors() == before
        {
            let mut config = config.clone();
            allow_hosts(&schema, self.settings, &mut config);
            manager.take_targets(&mut config, &self.targets);
            for problem in manager.check(&config) {
                let place = own.follow(&problem.pointer);
                self.faults.add(
                    Fault::new(&place.span, problem.code, problem.message).maybe_fix(problem.fix),
                );
            }
        }
        let text_of = |key| common.get(key).and_then(Node::as_str).unwrap_or_default();
        let number = |key, default| common.get(key).and_then(Node::as_u32).unwrap_or(default);
        let retry_delay = parse_duration(text_of("retry_delay")).unwrap_or(RETRY_DELAY);
        let longest = parse_duration(text_of("max_retry_delay"));
        if let (Ok(longest), Some(node)) = (&longest, common.get("max_retry_delay"))
            && *longest < retry_delay
        {
            let message = "`max_retry_delay` must not be shorter than `retry_delay`.";
            self.faults.add(Fault::new(&node.span, "out_of_range", message));
        }
        Some(Step {
            name: field.key.clone(),
            step_type: step_type.to_owned(),
            description: text_of("description").to_owned(),
            depends: Vec::new(),
            on_error: match text_of("on_error") {
                "fail" => OnError::Fail,
                "fatal" => OnError::Fatal,
                "retry" => OnError::Retry,
                _ => OnError::Continue,
            },
            max_attempts: number("max_attempts", MAX_ATTEMPTS),
            retry_delay,
            max_retry_delay: longest.unwrap_or(MAX_RETRY_DELAY.max(retry_delay)),
            timeout: duration(common.get("timeout")),
            keep_on_timeout: text_of("on_timeout") == "keep",
            task_timeout: duration(common.get("task_timeout")).unwrap_or(TASK_TIMEOUT),
            task_attempts: number("task_attempts", TASK_ATTEMPTS),
            max_tasks: number("max_tasks", MAX_TASKS),
            priority: common.get("priority").and_then(Node::as_i32),
            always_run: common.get("always_run").and_then(Node::as_bool).unwrap_or(false),
            condition,
            config,
            labels,
            source: own,
            place: field.key_span.clone(),
        })
    }

    /// Reads a condition and checks its variables. `order` checks the steps that it names.
    fn condition(&mut self, node: &Node) -> Option<Condition> {
        let text = node.as_str().filter(|text| !text.trim().is_empty())?;
        let place = |span: &Span| self.text.within(&node.span, text, span.clone());
        let fault = |error: ConditionError| {
            Fault::new(&place(&error.span), "bad_condition", error.message).maybe_fix(error.fix)
        };
        let condition = match condition::parse(text) {
            Ok(condition) => condition,
            Err(error) => {
                self.faults.add(fault(error));
                return None;
            }
        };
        let before = self.faults.errors();
        for (name, span) in condition.variables() {
            let shown = format!("config.{name}");
            if let Some((message, fix)) = self.values.unknown(&format!("{{{shown}}}"), &shown) {
                let fault = Fault::new(&place(span), "unknown_placeholder", message);
                self.faults.add(fault.maybe_fix(fix));
            }
        }
        if self.faults.errors() > before {
            return None;
        }
        if let Err(error) = condition.check_kinds(&|name| self.values.kind(name)) {
            self.faults.add(fault(error));
        }
        Some(condition)
    }

    /// Separates the fields of every step from those of its type, with `config` merged in.
    fn split(&mut self, fields: &[Field]) -> (Vec<Field>, Vec<Field>) {
        let (mut common, mut own) = (Vec::new(), Vec::new());
        for field in fields {
            let list = match field.key.as_str() {
                "output_tags" => &mut own,
                key if STEP_FIELDS.contains(&key) => &mut common,
                _ => &mut own,
            };
            list.push(field.clone());
        }
        let nested =
            common.iter().find(|field| field.key == "config").map(|field| field.node.clone());
        let in_step: HashSet<String> = own.iter().map(|field: &Field| field.key.clone()).collect();
        for field in nested.iter().flat_map(Node::fields) {
            if in_step.contains(&field.key) {
                let message =
                    format!("`{}` stands in the step and in its `config`.", quote(&field.key));
                self.faults.add(
                    Fault::new(&field.key_span, "duplicate_key", message)
                        .fix("Keep one of the two."),
                );
            } else {
                own.push(field.clone());
            }
        }
        (common, own)
    }

    fn unknown_type(&mut self, common: &Node, written: &str) {
        let Some(node) = common.get("type") else { return };
        let managers = self.registry.managers();
        let names = || {
            managers.iter().flat_map(|manager| {
                std::iter::once(manager.step_type()).chain(manager.aliases().iter().copied())
            })
        };
        let known: Vec<&str> = managers
            .iter()
            .map(|manager| manager.step_type())
            .chain([template::STEP_TYPE])
            .collect();
        let fix = did_you_mean(written, names().chain([template::STEP_TYPE]))
            .unwrap_or_else(|| format!("Known are: {}.", known.join(", ")));
        let message = format!("There is no step type `{}`.", quote(written));
        self.faults.add(Fault::new(&node.span, "unknown_step_type", message).fix(fix));
    }
}

/// The step that the crawler fields at the top stand for.
fn shorthand_step(mut fields: Vec<Field>) -> Field {
    let place = fields.first().map_or(0..0, |field| field.key_span.clone());
    let kind = Node { span: place.clone(), tree: Tree::String(SHORTHAND_STEP.to_owned()) };
    fields.push(Field { key: "type".to_owned(), key_span: place.clone(), node: kind });
    let node = Node { span: place.clone(), tree: Tree::Table(fields) };
    Field { key: SHORTHAND_STEP.to_owned(), key_span: place, node }
}

/// A part of a step, to be checked. `of` is how the step is called and where its name stands.
fn subject<'a>(
    of: (&'a str, &'a Span),
    node: &'a Node,
    value: &'a Value,
    skip: &'a dyn Fn(&str, Option<View<'_>>) -> bool,
) -> Subject<'a> {
    Subject { name: of.0, place: of.1, node, value, skip, also: &STEP_FIELDS }
}
