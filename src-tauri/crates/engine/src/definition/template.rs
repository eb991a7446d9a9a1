//! Steps of type `job_template`: they run a template once for each set of variables. The step type
//! is reserved: the engine runs the instances, no manager does.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    BoundDefinition, Definition, LIMITS, Step,
    bind::Given,
    fault::{Fault, Faults, Span, quote},
    nest::{Link, Nest, wrapped},
    placeholder,
    source::{Node, Tree},
};

/// The type of these steps.
pub(super) const STEP_TYPE: &str = "job_template";

/// The JSON Schema of their configuration.
pub(super) fn schema() -> Value {
    let scalars = json!({"type": ["string", "number", "boolean"]});
    let set = json!({"type": "object", "minProperties": 1, "additionalProperties": scalars});
    json!({
        "type": "object",
        "required": ["template"],
        "additionalProperties": false,
        "properties": {
            "template": {
                "type": "string", "format": "id",
                "description": "The id of the template."
            },
            "variables": {
                "type": ["array", "string"], "items": set, "minItems": 1, "maxItems": LIMITS.instances,
                "description": "The sets that the template is run with, or `config.NAME` for a list of `[config]`."
            },
            "parallel": {
                "type": "integer", "minimum": 1, "maximum": 32,
                "description": "How many instances run at a time."
            },
            "singleton": {
                "type": "boolean",
                "description": "Whether an instance waits while another run of the template goes on."
            }
        }
    })
}

/// Where the sets of a step stand.
enum Sets<'a> {
    /// In the step, with placeholders.
    Own(&'a Node),
    /// Under `[config]`, as they are.
    Config(&'a Node),
}

/// Finds the sets of a step.
fn sets<'a>(own: &'a Node, settings: Option<&'a Node>, place: &Span) -> Result<Sets<'a>, Fault> {
    let (node, path) = match own.get("variables") {
        None => (None, "variables"),
        Some(node) => match &node.tree {
            Tree::String(text) => {
                let Some(path) = text.strip_prefix("config.") else {
                    let message = format!("`{}` does not name a list of `[config]`.", quote(text));
                    return Err(Fault::new(&node.span, "not_allowed", message)
                        .fix("Write a list of tables, or `config.NAME`."));
                };
                (Some(node), path)
            }
            _ => return Ok(Sets::Own(node)),
        },
    };
    let found = path.split('.').try_fold(settings, |node, part| Some(node?.get(part))).flatten();
    found.map(Sets::Config).ok_or_else(|| {
        let span = node.map_or(place, |node| &node.span);
        let message = format!("There are no variables: `[config]` has no `{}`.", quote(path));
        Fault::new(span, "missing_value", message).fix(
            "Write `variables = [{ name = \"…\" }]`, with an entry for each run of the template.",
        )
    })
}

/// Checks what the schema cannot say: that the sets are there, and are tables of plain values.
pub(super) fn check(own: &Node, settings: Option<&Node>, place: &Span, faults: &mut Faults) {
    let list = match sets(own, settings, place) {
        Ok(Sets::Config(list)) => list,
        Ok(Sets::Own(_)) => return,
        Err(fault) => return faults.add(fault),
    };
    let mut fault = |span: &Span, code, message: &str, fix: &str| {
        faults.add(Fault::new(span, code, message).fix(fix));
    };
    let example = "Write for example `[{ name = \"…\" }]`.";
    let Tree::List(items) = &list.tree else {
        return fault(&list.span, "wrong_type", "Variables must be a list of tables.", example);
    };
    if items.is_empty() {
        fault(
            &list.span,
            "missing_value",
            "There are no variables to run the template with.",
            example,
        );
    }
    if items.len() > LIMITS.instances {
        let message =
            format!("There are {} sets; at most {} are allowed.", items.len(), LIMITS.instances);
        fault(&list.span, "too_many", &message, "Split the list.");
    }
    for item in items.iter().take(LIMITS.instances) {
        if !matches!(item.tree, Tree::Table(_)) || item.fields().is_empty() {
            let message = "A set of variables must be a table with at least one value.";
            fault(&item.span, "wrong_type", message, "Write for example `{ name = \"…\" }`.");
        }
        for field in item.fields() {
            if matches!(field.node.tree, Tree::List(_) | Tree::Table(_) | Tree::Null) {
                let message =
                    format!("`{}` must be text, a number, or true or false.", quote(&field.key));
                fault(
                    &field.node.span,
                    "wrong_type",
                    &message,
                    "A set of variables has plain values only.",
                );
            }
        }
    }
}

/// Checks that every set has what the template asks for.
pub(super) fn check_keys(
    step: &Step,
    definition: &Definition,
    template: &Definition,
    faults: &mut Faults,
) {
    let settings = definition.settings.as_ref();
    let Ok(Sets::Own(list) | Sets::Config(list)) = sets(&step.source, settings, &step.place) else {
        return;
    };
    let needed = template.set_keys();
    for item in list.items() {
        let keys: Map<String, Value> =
            item.fields().iter().map(|field| (field.key.clone(), Value::Null)).collect();
        for key in needed.iter().filter(|key| placeholder::of_set(&keys, key).is_none()) {
            let message = format!(
                "The template `{}` uses `{{set:{}}}`, which this set does not have.",
                quote(&template.id),
                quote(key)
            );
            faults.add(
                Fault::new(&item.span, "missing_value", message)
                    .fix(format!("Add `{}`.", quote(key))),
            );
        }
    }
}

/// Binds the template once for each set.
pub(super) fn bind(
    definition: &Definition,
    step: &Step,
    config: &Value,
    nest: &mut Nest<'_>,
    faults: &mut Faults,
) -> Vec<BoundDefinition> {
    let span = step.source.get("template").map_or(&step.place, |node| &node.span);
    let given = match sets(&step.source, definition.settings.as_ref(), &step.place) {
        Ok(Sets::Own(_)) => config["variables"].clone(),
        Ok(Sets::Config(list)) => list.to_value(),
        Err(fault) => {
            faults.add(fault);
            return Vec::new();
        }
    };
    let id = config["template"].as_str().unwrap_or_default();
    let link = Link::template(id);
    let what = link.to_string();
    let found = match nest.enter(link) {
        Ok(found) => found,
        Err(blocked) => {
            faults.add(blocked.fault(span));
            return Vec::new();
        }
    };
    let mut bound = Vec::new();
    match found.as_ref() {
        Err(problems) => wrapped(&what, problems, span).for_each(|fault| faults.add(fault)),
        Ok(template) => {
            // What is wrong with one instance is mostly wrong with all.
            let mut wrong = 0;
            for set in given.as_array().into_iter().flatten().filter_map(Value::as_object) {
                if let Err(blocked) = nest.count(template) {
                    faults.add(blocked.fault(span));
                    break;
                }
                match template.bind_nested(&Given::Set(set), nest) {
                    Ok(instance) => bound.push(instance),
                    Err(problems) => {
                        let what = format!("{what} with {}", title(set));
                        wrapped(&what, &problems, span).for_each(|fault| faults.add(fault));
                        wrong += 1;
                    }
                }
                if wrong == 3 {
                    break;
                }
            }
        }
    }
    nest.leave();
    bound
}

/// What tells a set from others, for people.
fn title(set: &Map<String, Value>) -> String {
    let key = ["ticker", "name", "id"].into_iter().find(|key| set.contains_key(*key));
    let key = key.or_else(|| set.keys().next().map(String::as_str)).unwrap_or_default();
    let value = set.get(key).map(placeholder::text_of).unwrap_or_default();
    format!("{} = {}", quote(key), quote(&value))
}

impl Definition {
    /// What a template asks of each set of variables: the keys of its `{set:KEY}`, as written.
    #[must_use]
    pub fn set_keys(&self) -> Vec<String> {
        let mut keys = BTreeSet::new();
        let nodes = self.steps.iter().flat_map(|step| [&step.source, &step.labels]);
        for node in nodes.chain([&self.labels]) {
            placeholder::uses(node, None, &mut |placeholder, _| {
                keys.extend(placeholder::set_key(placeholder).map(str::to_owned));
            });
        }
        keys.into_iter().collect()
    }
}
