//! The values of one run: what can be given, and the definition with them put in.

use std::collections::BTreeMap;

use quaero_contract::{InputField, InputKind, Problem};
use serde_json::Value;

use super::{
    BoundDefinition, BoundStep, Definition, LIMITS, Step,
    fault::{Fault, Faults, did_you_mean, quote},
    placeholder::{self, Filler, TooLarge, Values},
    schema::{Schemas, Subject, View},
    source::{Field, Node, Tree},
    steps::{TAGS, allow_hosts},
};
use crate::work::Registry;

impl Definition {
    /// What can be given for a run: every scalar of `[config]`, in the order of the file.
    #[must_use]
    pub fn inputs(&self, registry: &Registry) -> Vec<InputField> {
        let used = self.used(registry);
        self.scalars().map(|field| input(field, used.get(&field.key))).collect()
    }

    /// Puts the values of one run into the definition and checks the result. Keys of `set` are keys
    /// of `[config]`.
    ///
    /// # Errors
    /// All problems at once: unknown keys, values that do not fit, inputs that the run needs and
    /// that have no value.
    pub fn bind(
        &self,
        set: &BTreeMap<String, String>,
        registry: &Registry,
    ) -> Result<BoundDefinition, Vec<Problem>> {
        let mut faults = Faults::default();
        let values = self.values(set, &mut faults);
        self.missing(&values, registry, &mut faults);
        let mut schemas = Schemas::new(registry);
        let mut filler = Filler::new(&values);
        let mut steps = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            faults.in_step(Some(&step.name));
            match self.bind_step(step, &values, &mut filler, &mut schemas, registry, &mut faults) {
                Ok(bound) => steps.extend(bound),
                Err(TooLarge) => {
                    let message = format!(
                        "With its values put in, the definition has more than {} bytes.",
                        LIMITS.output_bytes
                    );
                    faults.add(
                        Fault::new(&step.place, "too_large", message).fix("Use shorter values."),
                    );
                    break;
                }
            }
        }
        if faults.errors() > 0 {
            return Err(faults.into_problems(&self.text));
        }
        Ok(BoundDefinition {
            id: self.id.clone(),
            name: self.name.clone(),
            tags: self.tags.clone(),
            timeout: self.timeout,
            variables: values.texts(),
            targets: self.variables.clone(),
            benchmarks: self.benchmarks.clone(),
            error_tolerance: self.error_tolerance,
            pre_jobs: self.pre_jobs.clone(),
            post_jobs: self.post_jobs.clone(),
            authentication: self.authentication.clone(),
            steps,
        })
    }

    fn scalars(&self) -> impl Iterator<Item = &Field> {
        self.settings.iter().flat_map(Node::fields).filter(|field| {
            matches!(
                field.node.tree,
                Tree::Bool(_) | Tree::Integer(_) | Tree::Float(_) | Tree::String(_)
            )
        })
    }

    /// The values of `[config]` with those of the run over them.
    fn values(&self, set: &BTreeMap<String, String>, faults: &mut Faults) -> Values {
        let mut values = Values::new(self.settings.as_ref());
        let place = self.settings.as_ref().map_or(0..0, |node| node.span.clone());
        for (given, text) in set {
            let key = given.strip_prefix("config.").unwrap_or(given);
            let Some(field) = self.scalars().find(|field| field.key == key) else {
                let list =
                    self.settings.as_ref().is_some_and(|settings| settings.get(key).is_some());
                let message = if list {
                    format!("`{}` is a list or a table and cannot be set for a run.", quote(key))
                } else {
                    format!("There is no input `{}`.", quote(given))
                };
                let names: Vec<&str> =
                    self.scalars().map(|field| field.key.as_str()).take(30).collect();
                let fix = did_you_mean(key, names.iter().copied()).unwrap_or_else(|| {
                    if names.is_empty() {
                        "This definition has no inputs.".to_owned()
                    } else {
                        format!("Inputs are: {}.", names.join(", "))
                    }
                });
                faults.add(Fault::new(&place, "unknown_input", message).fix(fix));
                continue;
            };
            let fault = |code, message: String| Fault::new(&field.node.span, code, message);
            if text.len() > LIMITS.string_bytes {
                let message = format!(
                    "The value for `{key}` has {} bytes; at most {} are allowed.",
                    text.len(),
                    LIMITS.string_bytes
                );
                faults.add(fault("too_long", message));
            } else if text.contains('\0') {
                faults.add(fault(
                    "nul_byte",
                    format!("The value for `{key}` contains a NUL character."),
                ));
            } else if let Some(value) = parse(text, &field.node.tree) {
                values.set(key, value);
            } else {
                let kind = match field.node.tree {
                    Tree::Bool(_) => "true or false",
                    Tree::Integer(_) => "a whole number",
                    _ => "a number",
                };
                let message = format!("`{key}` must be {kind}, not \"{}\".", quote(text));
                faults.add(
                    fault("wrong_type", message)
                        .fix(format!("Write for example `--set {key}={}`.", field.node.to_value())),
                );
            }
        }
        values
    }

    /// Reports every input that a step uses and that has no value, once.
    fn missing(&self, values: &Values, registry: &Registry, faults: &mut Faults) {
        let used = self.used(registry);
        for (key, usage) in &used {
            if !values.is_empty(key) {
                continue;
            }
            let field = self.settings.as_ref().and_then(|settings| settings.field(key));
            let span = field.map_or(0..0, |field| field.node.span.clone());
            let example = match usage.kind {
                Some(InputKind::Folder) => "PATH",
                Some(InputKind::Url) => "https://…",
                _ => "…",
            };
            let fix = if field.is_some() {
                format!("Give it with `--set {key}={example}`, or write it under `[config]`.")
            } else {
                "Write it under `[config]`.".to_owned()
            };
            faults
                .add(Fault::new(&span, "missing_value", format!("`{key}` has no value.")).fix(fix));
        }
    }

    fn bind_step(
        &self,
        step: &Step,
        values: &Values,
        filler: &mut Filler<'_>,
        schemas: &mut Schemas<'_>,
        registry: &Registry,
        faults: &mut Faults,
    ) -> Result<Option<BoundStep>, TooLarge> {
        let (Some(manager), Some(schema)) =
            (registry.manager(&step.step_type), schemas.get(&step.step_type))
        else {
            let message = format!("There is no step type `{}` any more.", step.step_type);
            faults.add(Fault::new(&step.place, "unknown_step_type", message));
            return Ok(None);
        };
        let before = faults.errors();
        let mut config = filler.fill(&step.source, Some(schema.view()))?;
        allow_hosts(schema, self.settings.as_ref(), &mut config);
        let title = format!("Step `{}`", step.name);
        let skip = |text: &str, view: Option<View<'_>>| values.leaves_open(text, view);
        let subject = |node, value| Subject {
            name: &title,
            place: &step.place,
            node,
            value,
            skip: &skip,
            also: &[],
        };
        schema.check(&subject(&step.source, &config), faults);
        let mut output_tags = Vec::new();
        if let Some(tags) = &step.tags {
            let view = TAGS.view().child("output_tags");
            let filled = filler.fill(tags, view)?;
            let list = filled.as_array().into_iter().flatten().filter_map(Value::as_str);
            output_tags.extend(list.map(str::to_owned));
            let key = Field {
                key: "output_tags".to_owned(),
                key_span: tags.span.clone(),
                node: tags.clone(),
            };
            let table = Node { span: tags.span.clone(), tree: Tree::Table(vec![key]) };
            TAGS.check(&subject(&table, &serde_json::json!({"output_tags": filled})), faults);
        }
        let mut open = false;
        placeholder::uses(&step.source, Some(schema.view()), &mut |key, _| {
            open |= values.is_empty(key)
        });
        if !open && faults.errors() == before {
            for problem in manager.check(&config) {
                let span = &step.source.follow(&problem.pointer).span;
                faults.add(Fault::new(span, problem.code, problem.message).maybe_fix(problem.fix));
            }
        }
        Ok(Some(BoundStep {
            name: step.name.clone(),
            step_type: step.step_type.clone(),
            description: step.description.clone(),
            depends: step.depends.clone(),
            on_error: step.on_error,
            max_attempts: step.max_attempts,
            retry_delay: step.retry_delay,
            timeout: step.timeout,
            always_run: step.always_run,
            output_tags,
            config,
        }))
    }

    /// What the steps' schemas say of the places that each key of `[config]` fills.
    fn used(&self, registry: &Registry) -> BTreeMap<String, Usage> {
        let mut schemas = Schemas::new(registry);
        let mut used: BTreeMap<String, Usage> = BTreeMap::new();
        for step in &self.steps {
            let view = schemas.get(&step.step_type).map(super::schema::Schema::view);
            let mut each = |key: &str, path: &[View<'_>]| {
                let usage = used.entry(key.to_owned()).or_default();
                let kind = match path.last().and_then(|view| view.format()) {
                    Some("folder") => Some(InputKind::Folder),
                    Some("uri") => Some(InputKind::Url),
                    _ => None,
                };
                usage.kind = usage.kind.or(kind);
                // The whole configuration is described too; that is not about this field.
                let help = path.iter().skip(1).rev().find_map(|view| view.description());
                usage.help = usage.help.take().or_else(|| help.map(str::to_owned));
            };
            placeholder::uses(&step.source, view, &mut each);
            if let Some(tags) = &step.tags {
                placeholder::uses(tags, None, &mut each);
            }
        }
        used
    }
}

/// What is known of a key from the places it fills.
#[derive(Default)]
struct Usage {
    kind: Option<InputKind>,
    help: Option<String>,
}

fn input(field: &Field, usage: Option<&Usage>) -> InputField {
    let kind = match field.node.tree {
        Tree::Bool(_) => InputKind::Boolean,
        Tree::Integer(_) | Tree::Float(_) => InputKind::Number,
        _ => usage.and_then(|usage| usage.kind).unwrap_or(InputKind::Text),
    };
    let value = field.node.to_value();
    let default = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    InputField {
        key: field.key.clone(),
        label: label(&field.key),
        kind,
        required: usage.is_some() && default.is_empty(),
        default,
        help: usage.and_then(|usage| usage.help.clone()).unwrap_or_default(),
    }
}

/// `max_pages` → `Max pages`.
fn label(key: &str) -> String {
    let words = key.replace(['_', '-', '.'], " ");
    let mut chars = words.trim().chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// Reads a given text as the type that the definition's own value has.
fn parse(text: &str, like: &Tree) -> Option<Value> {
    let trimmed = text.trim();
    match like {
        Tree::Bool(_) => match trimmed.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(true.into()),
            "false" | "no" | "off" | "0" => Some(false.into()),
            _ => None,
        },
        Tree::Integer(_) => trimmed.parse::<i64>().ok().map(Value::from),
        Tree::Float(_) => match trimmed.parse::<i64>() {
            Ok(whole) => Some(whole.into()),
            Err(_) => trimmed.parse::<f64>().ok().filter(|n| n.is_finite()).map(Value::from),
        },
        _ => Some(text.into()),
    }
}
