//! From the tree to a definition: the fields that every definition has.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::{
    Definition, ErrorTolerance, FailureAction, Header, LIMITS, MissedRuns, Overlap,
    fault::{Fault, Faults, Text, quote},
    nest::{Role, World},
    placeholder::{self, Sets, Values},
    schema::{Schema, Subject},
    source::{Node, Tree},
    steps::{self, LABELS, SHORTHAND, SHORTHAND_STEP, duration, take},
};
use crate::work::Targets;

/// Of the fields of a definition, those that [`LABELS`] checks.
const LABELLED: [&str; 3] = ["name", "description", "tags"];

/// Fields that say more of `schedule`, and nothing without it.
const OF_SCHEDULE: [&str; 3] = ["timezone", "missed_runs", "overlap"];

static DEFINITION: LazyLock<Schema> = LazyLock::new(|| {
    let texts = json!({"type": "array", "items": {"type": "string"}});
    let ids = json!({"type": "array", "items": {"type": "string", "format": "id"}, "maxItems": 100, "uniqueItems": true});
    let targets = json!({"type": "array", "items": {"type": "object"}});
    let mut schema = json!({
        "type": "object",
        "required": ["id", "name"],
        "additionalProperties": false,
        "properties": {
            "id": {"type": "string", "format": "id"},
            // The three that `LABELS` checks.
            "name": {},
            "description": {},
            "tags": {},
            "type": {"type": "string"},
            "job_type": {"enum": ["user", "system"]},
            "schedule": {"type": "string", "format": "schedule"},
            "timezone": {"type": "string", "format": "timezone"},
            "missed_runs": {"enum": ["skip", "once", "all"]},
            "overlap": {"enum": ["skip", "queue", "allow"]},
            "priority": {"type": "integer", "minimum": -100, "maximum": 100},
            "max_running": {"type": "integer", "format": "uint32", "minimum": 1},
            "singleton": {"type": "boolean"},
            "timeout": {"type": "string", "format": "timeout"},
            "enabled": {"type": "boolean"},
            "auto_start": {"type": "boolean"},
            "authentication": {"type": "string"},
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
    role: Role,
    world: &World<'_>,
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
    let settings = root.get("config").cloned();
    let sets = match role {
        Role::Definition => Sets::Absent,
        Role::Template => Sets::Open,
    };
    let values = Values::new(settings.as_ref(), world.settings, sets);
    let labels = root.fields().iter().filter(|field| LABELLED.contains(&field.key.as_str()));
    let labels = Node { span: 0..0, tree: Tree::Table(labels.cloned().collect()) };
    LABELS.check(
        &Subject {
            name: "The definition",
            place: &(0..0),
            node: &labels,
            value: &labels.to_value(),
            skip: &placeholder::has_any,
            also: &[],
        },
        faults,
    );
    placeholder::check(&labels, Some(LABELS.view()), &values, text, faults);
    let text_of = |key| root.get(key).and_then(Node::as_str).unwrap_or_default().to_owned();
    let some = |key| Some(text_of(key)).filter(|text| !text.is_empty());
    let strings = |key| root.get(key).map(Node::strings).unwrap_or_default();
    let flag = |key, default| root.get(key).and_then(Node::as_bool).unwrap_or(default);
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
    if text_of("schedule").is_empty() {
        steps::warn_of_no_effect(&root, &OF_SCHEDULE, "has no effect without `schedule`", faults);
    }
    let (variables, benchmarks) = (tables("variables"), tables("benchmarks"));
    let targets = Targets { variables: &variables, benchmarks: &benchmarks };
    let listed = list_of_steps.is_some();
    let steps = steps::read(&root, listed, targets, &values, text, world.registry, faults);
    let jobs = |key| root.get(key).map(|node: &Node| node.items().to_vec()).unwrap_or_default();
    Some(Definition {
        name: text_of("name"),
        description: text_of("description"),
        tags: strings("tags"),
        timeout: duration(root.get("timeout")),
        enabled: flag("enabled", true),
        auto_start: flag("auto_start", false),
        schedule: some("schedule"),
        timezone: some("timezone"),
        missed_runs: match root.get("missed_runs").and_then(Node::as_str) {
            Some("skip") => MissedRuns::Skip,
            Some("all") => MissedRuns::All,
            _ => MissedRuns::Once,
        },
        overlap: match root.get("overlap").and_then(Node::as_str) {
            Some("queue") => Overlap::Queue,
            Some("allow") => Overlap::Allow,
            _ => Overlap::Skip,
        },
        priority: root.get("priority").and_then(Node::as_i32).unwrap_or(0),
        max_running: root.get("max_running").and_then(Node::as_u32),
        singleton: flag("singleton", false),
        config: settings
            .as_ref()
            .and_then(|node| node.to_value().as_object().cloned())
            .unwrap_or_default(),
        variables,
        benchmarks,
        error_tolerance: root.get("error_tolerance").map(tolerance),
        pre_jobs: strings("pre_jobs"),
        post_jobs: strings("post_jobs"),
        authentication: some("authentication"),
        steps,
        pre: jobs("pre_jobs"),
        post: jobs("post_jobs"),
        labels,
        role,
        text: text.clone(),
        settings,
        id,
    })
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
