//! The values of one run: what can be given, and the definition with them put in.

use std::collections::BTreeMap;

use quaero_contract::{InputField, InputKind, Problem};
use serde_json::{Map, Value};

use super::{
    BoundDefinition, BoundStep, Definition, LIMITS, Step,
    fault::{Fault, Faults, Span, did_you_mean, hidden, quote},
    fill::{Filler, TooLarge},
    nest::{Link, Nest, Role, World, wrapped},
    placeholder::{self, Name, Sets, Values},
    schema::{Schema, Schemas, Subject, View},
    source::{Field, Node, Tree},
    steps::{LABELS, allow_hosts},
    template,
};
use crate::work::{Registry, Targets};

/// Where the values of a bound definition come from, beside its own `[config]`.
pub(super) enum Given<'a> {
    /// From whoever starts the run.
    Run(&'a BTreeMap<String, String>),
    /// From the set that a template is run with.
    Set(&'a Map<String, Value>),
    /// From nowhere: a job before or after.
    Nothing,
}

/// What the key of a value begins with that is one of a template's set.
const SET: &str = "set:";

/// Values that are given by hand as the set that a template is run with.
fn set_of(given: &BTreeMap<String, String>) -> Map<String, Value> {
    let value = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| text.clone().into());
    given
        .iter()
        .filter_map(|(key, text)| Some((key.strip_prefix(SET)?.to_owned(), value(text))))
        .collect()
}

impl Definition {
    /// What can be given for a run: every scalar of `[config]`, in the order of the file.
    #[must_use]
    pub fn inputs(&self, registry: &Registry) -> Vec<InputField> {
        let world = World::new(registry);
        let values = Values::new(self.settings.as_ref(), world.settings, Sets::Absent);
        let used = self.used(&values, &mut Schemas::new(registry));
        self.scalars().map(|field| input(field, used.get(&Name::Config(&field.key)))).collect()
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
        self.bind_in(set, &World::new(registry))
    }

    /// As [`Self::bind`], with settings for placeholders, and with the library from which templates
    /// and jobs before and after are taken. A template takes the values of one set, as `set:KEY`, in
    /// JSON or as plain text.
    ///
    /// # Errors
    /// As [`Self::bind`]; also if something does not exist to which the definition leads, if that
    /// has problems itself, or if all of it goes beyond the [`LIMITS`].
    pub fn bind_in(
        &self,
        set: &BTreeMap<String, String>,
        world: &World<'_>,
    ) -> Result<BoundDefinition, Vec<Problem>> {
        let first = Link { role: self.role, id: self.id.clone() };
        let mut nest = Nest::new(*world, first);
        match self.role {
            Role::Definition => self.bind_nested(&Given::Run(set), &mut nest),
            Role::Template => self.bind_nested(&Given::Set(&set_of(set)), &mut nest),
        }
    }

    pub(super) fn bind_nested(
        &self,
        given: &Given<'_>,
        nest: &mut Nest<'_>,
    ) -> Result<BoundDefinition, Vec<Problem>> {
        let mut faults = Faults::with_seen(std::mem::take(&mut nest.patterns));
        let sets = match given {
            Given::Set(set) => Sets::Given(set),
            Given::Run(_) | Given::Nothing => Sets::Absent,
        };
        let mut values = Values::new(self.settings.as_ref(), nest.world.settings, sets);
        if let Given::Run(set) = given {
            self.set(&mut values, set, &mut faults);
        }
        self.missing(&values, &mut nest.schemas, &mut faults);
        let mut labels =
            self.bind_labels(&self.labels, ("The definition", &(0..0)), &values, nest, &mut faults);
        let mut steps = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            faults.in_step(Some(&step.name));
            let bound = self.bind_step(step, &values, nest, &mut faults);
            let Ok(bound) = bound else {
                faults.add(too_large(&step.place));
                labels = Ok(Value::Null);
                break;
            };
            steps.extend(bound);
        }
        faults.in_step(None);
        if labels.is_err() {
            faults.add(too_large(&(0..0)));
        }
        nest.patterns = faults.take_seen();
        // No run is made of what has problems, so what comes before and after need not be bound.
        let (mut pre, mut post) = (Vec::new(), Vec::new());
        if faults.errors() == 0 {
            pre = bind_jobs(&self.pre, nest, &mut faults);
            post = bind_jobs(&self.post, nest, &mut faults);
        }
        if faults.errors() > 0 {
            return Err(faults.into_problems(&self.text));
        }
        let labels = labels.unwrap_or_default();
        let given = match given {
            Given::Run(set) => {
                set.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
            }
            Given::Set(set) => {
                set.iter().map(|(key, value)| (format!("{SET}{key}"), value.to_string())).collect()
            }
            Given::Nothing => Vec::new(),
        };
        Ok(BoundDefinition {
            given,
            id: self.id.clone(),
            name: labels["name"].as_str().unwrap_or_default().to_owned(),
            tags: texts(&labels["tags"]),
            timeout: self.timeout,
            priority: self.priority,
            max_running: self.max_running,
            singleton: self.singleton,
            variables: values.texts(),
            targets: self.variables.clone(),
            benchmarks: self.benchmarks.clone(),
            error_tolerance: self.error_tolerance,
            pre,
            post,
            authentication: self.authentication.clone(),
            steps,
            text: self.text().to_owned(),
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

    /// Puts the values of a run over those of `[config]`.
    fn set(&self, values: &mut Values<'_>, set: &BTreeMap<String, String>, faults: &mut Faults) {
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
            } else if let Some((_, c)) = hidden(text) {
                let message = format!(
                    "The value for `{key}` contains an invisible character: U+{:04X}.",
                    u32::from(c)
                );
                faults.add(fault("hidden_character", message).fix("Remove it."));
                values.set(key, text.as_str().into());
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
    }

    /// Reports every value that is used and that is not there or empty, once.
    fn missing(&self, values: &Values<'_>, schemas: &mut Schemas<'_>, faults: &mut Faults) {
        for (name, usage) in self.used(values, schemas) {
            if let Name::Setting(key) = name
                && let Some(c) = values.hidden(name)
            {
                let message = format!(
                    "The setting `{}` contains an invisible character: U+{:04X}.",
                    quote(key),
                    u32::from(c)
                );
                faults.add(Fault::new(&(0..0), "hidden_character", message).fix("Remove it."));
            }
            if !values.is_open(name) {
                continue;
            }
            let example = match usage.kind {
                Some(InputKind::Folder) => "PATH",
                Some(InputKind::Url) => "https://…",
                _ => "…",
            };
            let (span, what, fix) = match name {
                Name::Config(key) => {
                    let field = self.settings.as_ref().and_then(|settings| settings.field(key));
                    let fix = if field.is_some() {
                        format!(
                            "Give it with `--set {key}={example}`, or write it under `[config]`."
                        )
                    } else {
                        "Write it under `[config]`.".to_owned()
                    };
                    (field.map_or(0..0, |field| field.node.span.clone()), quote(key), fix)
                }
                Name::Set(key) => {
                    let key = quote(key);
                    let fix = format!(
                        "A step of type `{}` gives it: add `{key}` to each set of its `variables`.",
                        template::STEP_TYPE
                    );
                    (0..0, format!("{{set:{key}}}"), fix)
                }
                Name::Setting(key) => (
                    0..0,
                    quote(key),
                    "Fill in this setting, or write it under `[config]`.".to_owned(),
                ),
            };
            let message = format!("`{what}` has no value.");
            faults.add(Fault::new(&span, "missing_value", message).fix(fix));
        }
    }

    /// The texts beside a configuration, filled and checked.
    fn bind_labels(
        &self,
        labels: &Node,
        of: (&str, &Span),
        values: &Values<'_>,
        nest: &mut Nest<'_>,
        faults: &mut Faults,
    ) -> Result<Value, TooLarge> {
        let filled =
            Filler::new(values, &mut nest.output_left).fill(labels, Some(LABELS.view()))?;
        let skip = |text: &str, view: Option<View<'_>>| values.leaves_open(text, view);
        let subject = Subject {
            name: of.0,
            place: of.1,
            node: labels,
            value: &filled,
            skip: &skip,
            also: &[],
        };
        LABELS.check(&subject, faults);
        Ok(filled)
    }

    fn bind_step(
        &self,
        step: &Step,
        values: &Values<'_>,
        nest: &mut Nest<'_>,
        faults: &mut Faults,
    ) -> Result<Option<BoundStep>, TooLarge> {
        let manager = nest.world.registry.manager(&step.step_type);
        let nested = step.step_type == template::STEP_TYPE;
        let Some(schema) = nest.schemas.get(&step.step_type) else {
            let message = format!("There is no step type `{}` any more.", step.step_type);
            faults.add(Fault::new(&step.place, "unknown_step_type", message));
            return Ok(None);
        };
        let before = faults.errors();
        let mut config =
            Filler::new(values, &mut nest.output_left).fill(&step.source, Some(schema.view()))?;
        allow_hosts(&schema, self.settings.as_ref(), &mut config);
        if let Some(manager) = manager {
            let (variables, benchmarks) = (&self.variables, &self.benchmarks);
            manager.take_targets(&mut config, &Targets { variables, benchmarks });
        }
        let title = format!("Step `{}`", step.name);
        let skip = |text: &str, view: Option<View<'_>>| values.leaves_open(text, view);
        let subject = Subject {
            name: &title,
            place: &step.place,
            node: &step.source,
            value: &config,
            skip: &skip,
            also: &[],
        };
        schema.check(&subject, faults);
        let mut open = false;
        placeholder::uses(&step.source, Some(schema.view()), &mut |placeholder, _| {
            open |= values.is_open(values.name(placeholder));
        });
        let labels = self.bind_labels(&step.labels, (&title, &step.place), values, nest, faults)?;
        let mut instances = Vec::new();
        if !open && faults.errors() == before {
            if nested {
                // The set of patterns is one for all.
                nest.patterns = faults.take_seen();
                instances = template::bind(self, step, &config, nest, faults);
                faults.put_seen(std::mem::take(&mut nest.patterns));
            } else if let Some(manager) = manager {
                for problem in manager.check(&config) {
                    let span = &step.source.follow(&problem.pointer).span;
                    faults.add(
                        Fault::new(span, problem.code, problem.message).maybe_fix(problem.fix),
                    );
                }
            }
        }
        let parallel = config["parallel"].as_u64().filter(|_| nested);
        let singleton = config["singleton"].as_bool().filter(|_| nested);
        Ok(Some(BoundStep {
            name: step.name.clone(),
            step_type: step.step_type.clone(),
            description: labels["description"].as_str().unwrap_or_default().to_owned(),
            depends: step.depends.clone(),
            on_error: step.on_error,
            max_attempts: step.max_attempts,
            retry_delay: step.retry_delay,
            max_retry_delay: step.max_retry_delay,
            timeout: step.timeout,
            keep_on_timeout: step.keep_on_timeout,
            task_timeout: step.task_timeout,
            task_attempts: step.task_attempts,
            max_tasks: step.max_tasks,
            priority: step.priority.unwrap_or(self.priority),
            always_run: step.always_run,
            condition: step.condition.clone(),
            output_tags: texts(&labels["output_tags"]),
            instances,
            parallel: parallel.and_then(|number| u32::try_from(number).ok()).unwrap_or(1),
            singleton: singleton.unwrap_or(false),
            config,
        }))
    }

    /// What the schemas say of the places that each name fills.
    fn used(&self, values: &Values<'_>, schemas: &mut Schemas<'_>) -> BTreeMap<Name<'_>, Usage> {
        let mut used: BTreeMap<Name<'_>, Usage> = BTreeMap::new();
        for step in &self.steps {
            let schema = schemas.get(&step.step_type);
            let view = schema.as_deref().map(Schema::view);
            placeholder::uses(&step.source, view, &mut |placeholder, path| {
                let usage = used.entry(values.name(placeholder)).or_default();
                let kind = match path.last().and_then(|view| view.format()) {
                    Some("folder") => Some(InputKind::Folder),
                    Some("uri") => Some(InputKind::Url),
                    _ => None,
                };
                usage.kind = usage.kind.or(kind);
                // The whole configuration is described too; that is not about this field.
                let help = path.iter().skip(1).rev().find_map(|view| view.description());
                usage.help = usage.help.take().or_else(|| help.map(str::to_owned));
            });
        }
        for labels in self.steps.iter().map(|step| &step.labels).chain([&self.labels]) {
            placeholder::uses(labels, Some(LABELS.view()), &mut |placeholder, _| {
                used.entry(values.name(placeholder)).or_default();
            });
        }
        used
    }
}

/// Binds what runs before or after.
fn bind_jobs(ids: &[Node], nest: &mut Nest<'_>, faults: &mut Faults) -> Vec<BoundDefinition> {
    let mut bound = Vec::new();
    for node in ids {
        let link = Link::definition(node.as_str().unwrap_or_default());
        let what = link.to_string();
        let found = match nest.enter(link) {
            Ok(found) => found,
            Err(blocked) => {
                faults.add(blocked.fault(&node.span));
                continue;
            }
        };
        let result = match found.as_ref() {
            Err(problems) => Err(problems.clone()),
            Ok(definition) => match nest.count(definition) {
                Ok(()) => definition.bind_nested(&Given::Nothing, nest),
                Err(blocked) => {
                    faults.add(blocked.fault(&node.span));
                    nest.leave();
                    break;
                }
            },
        };
        nest.leave();
        match result {
            Ok(job) => bound.push(job),
            Err(problems) => {
                wrapped(&what, &problems, &node.span).for_each(|fault| faults.add(fault));
            }
        }
    }
    bound
}

fn too_large(span: &Span) -> Fault {
    let message = format!(
        "With its values put in, the definition has more than {} bytes.",
        LIMITS.output_bytes
    );
    Fault::new(span, "too_large", message).fix("Use shorter values.")
}

fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
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
