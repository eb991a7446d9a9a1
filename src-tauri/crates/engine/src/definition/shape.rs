//! From the tree to a definition: the fields that every definition and every step has.

use std::{collections::HashMap, sync::LazyLock, time::Duration};

use serde_json::{Map, Value, json};

use super::{
    Definition, ErrorTolerance, FailureAction, Header, LIMITS, OnError, Step,
    duration::parse_duration,
    fault::{Fault, Faults, Span, Text, did_you_mean, quote, suggest},
    order::{self, Ordered},
    placeholder::{self, Values},
    schema::{Schema, Schemas, Subject, View},
    source::{Field, Node, Tree},
};
use crate::work::Registry;

/// Fields of a crawl that can stand at the top of a file without steps.
const SHORTHAND: [&str; 7] = [
    "start_urls",
    "include_patterns",
    "exclude_patterns",
    "max_depth",
    "max_pages",
    "concurrency",
    "follow_links",
];

/// The name and the type of the step that the shorthand stands for.
const SHORTHAND_STEP: &str = "crawl";

/// Fields that every step has, whatever its type.
const STEP_FIELDS: [&str; 11] = [
    "type",
    "description",
    "on_error",
    "depends",
    "condition",
    "always_run",
    "timeout",
    "max_attempts",
    "retry_delay",
    "output_tags",
    "config",
];

static DEFINITION: LazyLock<Schema> = LazyLock::new(|| {
    let tags =
        json!({"type": "array", "items": {"type": "string", "format": "tag"}, "maxItems": 100});
    let texts = json!({"type": "array", "items": {"type": "string"}});
    let ids =
        json!({"type": "array", "items": {"type": "string", "format": "id"}, "maxItems": 100});
    let targets = json!({"type": "array", "items": {"type": "object"}});
    let mut schema = json!({
        "type": "object",
        "required": ["id", "name"],
        "additionalProperties": false,
        "properties": {
            "id": {"type": "string", "format": "id"},
            "name": {"type": "string", "minLength": 1, "maxLength": 200},
            "description": {"type": "string"},
            "type": {"type": "string"},
            "job_type": {"enum": ["user", "system"]},
            "schedule": {"type": "string", "format": "schedule"},
            "timeout": {"type": "string", "format": "timeout"},
            "enabled": {"type": "boolean"},
            "auto_start": {"type": "boolean"},
            "authentication": {"type": "string"},
            "tags": tags,
            "extension": {"type": "boolean"},
            "url_patterns": texts,
            "config": {
                "type": "object",
                "properties": {
                    "variables": targets,
                    "benchmarks": targets,
                    "allow_hosts": {
                        "type": "array", "items": {"type": "string", "format": "host"}, "maxItems": 100
                    }
                }
            },
            "meta": {},
            "error_tolerance": {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "max_child_failures": {"type": "integer", "format": "uint32", "minimum": 0},
                    "max_failure_percent": {"type": "number", "minimum": 0, "maximum": 100},
                    "min_sample": {"type": "integer", "format": "uint32", "minimum": 1},
                    "failure_action": {"enum": ["stop_all", "continue", "mark_warning"]}
                }
            },
            "step": {"type": "object"},
            "pre_jobs": ids,
            "post_jobs": ids
        }
    });
    // The step's own schema checks these.
    for field in SHORTHAND {
        schema["properties"][field] = json!({});
    }
    Schema::new(schema).expect("a constant that the tests compile")
});

static STEP: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new(json!({
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": {"type": "string"},
            "description": {"type": "string"},
            "on_error": {"enum": ["continue", "fail", "fatal", "retry"]},
            "depends": {"type": ["string", "array"], "items": {"type": "string"}},
            "condition": {"type": "string"},
            "always_run": {"type": "boolean"},
            "timeout": {"type": "string", "format": "timeout"},
            "max_attempts": {"type": "integer", "minimum": 1, "maximum": 20},
            "retry_delay": {"type": "string", "format": "duration"},
            "config": {"type": "object"}
        }
    }))
    .expect("a constant that the tests compile")
});

pub(super) static TAGS: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new(json!({
        "type": "object",
        "properties": {
            "output_tags": {"type": "array", "items": {"type": "string", "format": "tag"}, "maxItems": 100}
        }
    }))
    .expect("a constant that the tests compile")
});

/// What a list can show, right or wrong.
pub(super) fn header(file_name: &str, root: Option<&Node>) -> Header {
    let file = file_name.rsplit(['/', '\\']).next().unwrap_or(file_name);
    let text =
        |key| root.and_then(|root| root.get(key)?.as_str()).map(quote_line).unwrap_or_default();
    let id = Some(text("id")).filter(|id| !id.is_empty()).unwrap_or_else(|| quote(file));
    let steps = root.and_then(|root| root.get("step")).map(Node::fields).unwrap_or_default();
    let mut step_types: Vec<String> = steps
        .iter()
        .take(LIMITS.steps)
        .filter_map(|step| step.node.get("type")?.as_str().map(quote))
        .collect();
    if steps.is_empty()
        && root.is_some_and(|root| SHORTHAND.iter().any(|key| root.get(key).is_some()))
    {
        step_types.push(SHORTHAND_STEP.to_owned());
    }
    let name = Some(text("name")).filter(|name| !name.is_empty()).unwrap_or_else(|| id.clone());
    Header { name, description: text("description"), step_types, id }
}

/// A text on one line and of a length that fits a list.
fn quote_line(text: &str) -> String {
    text.chars()
        .take(500)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>()
        .trim()
        .to_owned()
}

/// Reads the whole definition. None if something it cannot do without is missing; otherwise the
/// result means something only if there are no faults.
pub(super) fn definition(
    mut root: Node,
    text: &Text,
    registry: &Registry,
    faults: &mut Faults,
) -> Option<Definition> {
    if !matches!(root.tree, Tree::Table(_)) {
        faults.add(Fault::new(&root.span, "wrong_type", "A definition must be an object."));
        return None;
    }
    let mut list_of_steps = take(&mut root, "steps");
    if root.get("step").is_some_and(|node| matches!(node.tree, Tree::List(_))) {
        list_of_steps = take(&mut root, "step");
    }
    if let Some(field) = &list_of_steps {
        faults.add(
            Fault::new(
                &field.key_span,
                "steps_are_a_list",
                "Steps are not a list; each has a name.",
            )
            .fix(format!("Write `[step.NAME]` in place of `[[{}]]`.", field.key)),
        );
    }
    let value = root.to_value();
    DEFINITION.check(
        &Subject {
            name: "The definition",
            place: &(0..0),
            node: &root,
            value: &value,
            skip: &|_, _| false,
            also: &["config", "step"],
        },
        faults,
    );
    let text_of = |key| root.get(key).and_then(Node::as_str).unwrap_or_default().to_owned();
    let some = |key| Some(text_of(key)).filter(|text| !text.is_empty());
    let strings = |key| root.get(key).map(Node::strings).unwrap_or_default();
    let flag = |key, default| root.get(key).and_then(Node::as_bool).unwrap_or(default);
    let settings = root.get("config").cloned();
    let tables = |key| -> Vec<Map<String, Value>> {
        let list = settings.as_ref().and_then(|settings| settings.get(key)).map(Node::items);
        list.unwrap_or_default()
            .iter()
            .filter_map(|item| item.to_value().as_object().cloned())
            .collect()
    };
    let id = text_of("id");
    for key in ["pre_jobs", "post_jobs"] {
        for item in root.get(key).map(Node::items).unwrap_or_default() {
            if item.as_str() == Some(&id) {
                let message = format!("`{key}` names this definition itself.");
                faults.add(Fault::new(&item.span, "self_dependency", message).fix("Remove it."));
            }
        }
    }
    let steps = StepReader {
        schemas: Schemas::new(registry),
        registry,
        values: Values::new(settings.as_ref()),
        text,
        faults,
    }
    .read(&root, list_of_steps.is_some());
    Some(Definition {
        name: text_of("name"),
        description: text_of("description"),
        tags: strings("tags"),
        timeout: duration(root.get("timeout")),
        enabled: flag("enabled", true),
        auto_start: flag("auto_start", false),
        schedule: some("schedule"),
        config: settings
            .as_ref()
            .and_then(|node| node.to_value().as_object().cloned())
            .unwrap_or_default(),
        variables: tables("variables"),
        benchmarks: tables("benchmarks"),
        error_tolerance: root.get("error_tolerance").map(tolerance),
        pre_jobs: strings("pre_jobs"),
        post_jobs: strings("post_jobs"),
        authentication: some("authentication"),
        steps,
        settings,
        text: text.clone(),
        id,
    })
}

/// Takes a field out of a table.
fn take(node: &mut Node, key: &str) -> Option<Field> {
    let Tree::Table(fields) = &mut node.tree else { return None };
    let at = fields.iter().position(|field| field.key == key)?;
    Some(fields.remove(at))
}

/// A duration that is greater than 0.
fn duration(node: Option<&Node>) -> Option<Duration> {
    parse_duration(node?.as_str()?).ok().filter(|duration| !duration.is_zero())
}

fn tolerance(node: &Node) -> ErrorTolerance {
    let number = |key| node.get(key).and_then(Node::as_u32);
    ErrorTolerance {
        max_child_failures: number("max_child_failures").unwrap_or(0),
        max_failure_percent: node
            .get("max_failure_percent")
            .and_then(|node| node.to_value().as_f64()),
        min_sample: number("min_sample").unwrap_or(20),
        failure_action: match node.get("failure_action").and_then(Node::as_str) {
            Some("continue") => FailureAction::Continue,
            Some("mark_warning") => FailureAction::MarkWarning,
            _ => FailureAction::StopAll,
        },
    }
}

struct StepReader<'a> {
    schemas: Schemas<'a>,
    registry: &'a Registry,
    values: Values,
    text: &'a Text,
    faults: &'a mut Faults,
}

impl StepReader<'_> {
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
        self.order(named, &mut steps);
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
        let tags = own.iter().find(|field| field.key == "output_tags").cloned();
        let (common, mut own) = (table(common), table(own));
        let closed = |_: &str, _: Option<View<'_>>| false;
        let open = |text: &str, view: Option<View<'_>>| placeholder::has_any(text, view);
        fn subject<'a>(
            of: (&'a str, &'a Span),
            node: &'a Node,
            value: &'a Value,
            skip: &'a dyn Fn(&str, Option<View<'_>>) -> bool,
        ) -> Subject<'a> {
            Subject { name: of.0, place: of.1, node, value, skip, also: &STEP_FIELDS }
        }
        let of = (title.as_str(), &field.key_span);
        let before = self.faults.len();
        if common.get("type").is_none() {
            let typo = suggest("type", own.fields().iter().map(|field| field.key.as_str()));
            let fix = typo.map_or_else(
                || "Add a line `type = …`, for example `type = \"local_dir\"`.".to_owned(),
                |typo| format!("Did you mean `type` in place of `{}`?", quote(typo)),
            );
            self.faults.add(
                Fault::new(&field.key_span, "missing_field", format!("{title} needs `type`."))
                    .fix(fix),
            );
        } else {
            STEP.check(&subject(of, &common, &common.to_value(), &closed), self.faults);
        }
        if let Some(condition) = common.field("condition").filter(|c| c.node.as_str() != Some("")) {
            self.faults.add(
                Fault::new(&condition.key_span, "not_supported", "Conditions are not supported.")
                    .fix("Remove it, or use `depends` and `on_error`."),
            );
        }
        let tags = tags.map(|tags| table(vec![tags]));
        if let Some(tags) = &tags {
            TAGS.check(&subject(of, tags, &tags.to_value(), &open), self.faults);
            placeholder::check(tags, Some(TAGS.view()), &self.values, self.text, self.faults);
        }
        let written = common.get("type").and_then(Node::as_str)?;
        let Some(manager) = self.registry.manager(written) else {
            self.unknown_type(&common, written);
            return None;
        };
        let step_type = manager.step_type();
        let Some(schema) = self.schemas.get(step_type) else {
            let message =
                format!("The step type `{step_type}` is not usable: its schema is wrong.");
            self.faults.add(Fault::new(&field.key_span, "bad_schema", message));
            return None;
        };
        if tags.is_some() && !schema.has("output_tags") {
            take(&mut own, "output_tags");
        }
        placeholder::check(&own, Some(schema.view()), &self.values, self.text, self.faults);
        let config = own.to_value();
        schema.check(&subject(of, &own, &config, &open), self.faults);
        let mut filled = true;
        placeholder::uses(&own, Some(schema.view()), &mut |_, _| filled = false);
        if filled && self.faults.len() == before {
            for problem in manager.check(&config) {
                let place = own.follow(&problem.pointer);
                self.faults.add(
                    Fault::new(&place.span, problem.code, problem.message).maybe_fix(problem.fix),
                );
            }
        }
        let text_of = |key| common.get(key).and_then(Node::as_str).unwrap_or_default();
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
            max_attempts: common.get("max_attempts").and_then(Node::as_u32).unwrap_or(3),
            retry_delay: parse_duration(text_of("retry_delay")).unwrap_or(Duration::from_secs(2)),
            timeout: duration(common.get("timeout")),
            always_run: common.get("always_run").and_then(Node::as_bool).unwrap_or(false),
            config,
            tags: tags.and_then(|tags| tags.get("output_tags").cloned()),
            source: own,
            place: field.key_span.clone(),
        })
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
        for field in nested.iter().flat_map(Node::fields) {
            if own.iter().any(|other| other.key == field.key) {
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
        let known: Vec<&str> = managers.iter().map(|manager| manager.step_type()).collect();
        let fix = did_you_mean(written, names())
            .unwrap_or_else(|| format!("Known are: {}.", known.join(", ")));
        let message = format!("There is no step type `{}`.", quote(written));
        self.faults.add(Fault::new(&node.span, "unknown_step_type", message).fix(fix));
    }

    /// Resolves `depends` of all steps, and looks for cycles.
    fn order(&mut self, named: &[Field], steps: &mut [Step]) {
        let index: HashMap<&str, usize> =
            named.iter().enumerate().map(|(at, field)| (field.key.as_str(), at)).collect();
        let mut ordered = Vec::with_capacity(named.len());
        for (at, field) in named.iter().enumerate() {
            let depends = field.node.get("depends");
            let needs = match depends {
                Some(node) => {
                    self.faults.in_step(Some(&field.key));
                    let needs = self.depends(node, at, named, &index);
                    self.faults.in_step(None);
                    needs
                }
                None => at.checked_sub(1).into_iter().collect(),
            };
            if let Some(step) = steps.iter_mut().find(|step| step.name == field.key) {
                step.depends = needs.iter().map(|need| named[*need].key.clone()).collect();
            }
            ordered.push(Ordered {
                name: &field.key,
                needs,
                explicit: depends.is_some(),
                place: depends.map_or_else(|| field.key_span.clone(), |node| node.span.clone()),
            });
        }
        order::check(&ordered, self.faults);
    }

    fn depends(
        &mut self,
        node: &Node,
        own: usize,
        named: &[Field],
        index: &HashMap<&str, usize>,
    ) -> Vec<usize> {
        let mut written: Vec<(&str, Span)> = Vec::new();
        match &node.tree {
            Tree::String(list) if !list.trim().is_empty() => {
                let mut start = 0;
                for part in list.split(',') {
                    let name = part.trim();
                    let at = start + (part.len() - part.trim_start().len());
                    written.push((name, self.text.within(&node.span, list, at..at + name.len())));
                    start += part.len() + 1;
                }
            }
            Tree::List(items) => written.extend(
                items.iter().filter_map(|item| Some((item.as_str()?.trim(), item.span.clone()))),
            ),
            _ => {}
        }
        let mut needs = Vec::new();
        for (name, span) in written {
            if self.faults.full() {
                break;
            }
            let shown = quote(name);
            let fault = |code, message: String| Fault::new(&span, code, message);
            match index.get(name) {
                None => {
                    let others = named.iter().enumerate().filter(|(at, _)| *at != own);
                    let fix = did_you_mean(name, others.map(|(_, field)| field.key.as_str()))
                        .unwrap_or_else(|| {
                            "Name steps of this definition, separated by commas.".to_owned()
                        });
                    self.faults.add(
                        fault("unknown_dependency", format!("There is no step `{shown}`."))
                            .fix(fix),
                    );
                }
                Some(at) if *at == own => {
                    let message = format!("Step `{shown}` depends on itself.");
                    self.faults
                        .add(fault("self_dependency", message).fix("Remove it from `depends`."));
                }
                Some(at) if needs.contains(at) => {
                    let message = format!("Step `{shown}` is named twice.");
                    self.faults.add(fault("duplicate_dependency", message).fix("Name it once."));
                }
                Some(at) => needs.push(*at),
            }
        }
        needs
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
