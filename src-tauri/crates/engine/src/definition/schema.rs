//! Checks a configuration against a JSON Schema, and says what is wrong in plain sentences with
//! the exact place. Also answers what a schema says of a place: its format, its description.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
    rc::Rc,
};

use jsonschema::{
    JsonType, ValidationError, Validator,
    error::{TypeKind, ValidationErrorKind as Kind},
};
use serde_json::Value;

use super::{
    LIMITS,
    fault::{Fault, Faults, Span, did_you_mean, quote},
    format,
    source::{Node, Tree},
    template,
};
use crate::work::Registry;

/// A schema, ready to check with.
pub(super) struct Schema {
    value: Value,
    validator: Validator,
}

/// The schemas of the step types, each made at most once.
pub(super) struct Schemas<'r> {
    registry: &'r Registry,
    made: HashMap<&'static str, Option<Rc<Schema>>>,
}

impl<'r> Schemas<'r> {
    pub(super) fn new(registry: &'r Registry) -> Self {
        Self { registry, made: HashMap::new() }
    }

    /// The schema of a step type; None for an unknown type, or if the schema itself is wrong.
    pub(super) fn get(&mut self, step_type: &str) -> Option<Rc<Schema>> {
        let manager = self.registry.manager(step_type);
        let name = match manager {
            _ if step_type == template::STEP_TYPE => template::STEP_TYPE,
            Some(manager) => manager.step_type(),
            None => return None,
        };
        let make = || {
            let value = match manager {
                Some(manager) if name != template::STEP_TYPE => manager.schema().into(),
                _ => template::schema(),
            };
            let made = Schema::new(value);
            debug_assert!(made.is_some(), "the schema of `{step_type}` does not compile");
            made.map(Rc::new)
        };
        self.made.entry(name).or_insert_with(make).clone()
    }
}

/// What is checked, and how to speak of it.
pub(super) struct Subject<'a> {
    /// How the thing as a whole is called: `step \`crawl\``.
    pub(super) name: &'a str,
    /// Where to point when something is missing in it.
    pub(super) place: &'a Span,
    /// Its source, for places.
    pub(super) node: &'a Node,
    /// What is checked: the source, or the source with its placeholders filled.
    pub(super) value: &'a Value,
    /// Texts of the source that are not looked at yet, because their placeholders have no value.
    pub(super) skip: &'a dyn Fn(&str, Option<View<'_>>) -> bool,
    /// Other fields that can be written there, for suggestions.
    pub(super) also: &'a [&'a str],
}

impl Subject<'_> {
    /// Whether problems at a place are not to be told.
    fn skips(&self, pointer: &str, view: Option<View<'_>>) -> bool {
        let open = |node: &Node, view| match &node.tree {
            Tree::String(text) => (self.skip)(text, view),
            Tree::Unusable => true,
            _ => false,
        };
        let node = self.node.follow(pointer);
        let mut items = node.items().iter().enumerate();
        open(node, view) || items.any(|(at, item)| open(item, view.and_then(|view| view.item(at))))
    }

    fn label(&self, pointer: &str) -> String {
        let mut path = String::new();
        let mut item = None;
        for part in pointer.split('/').skip(1) {
            let part = part.replace("~1", "/").replace("~0", "~");
            match part.parse::<usize>() {
                Ok(at) if !path.is_empty() => item = Some(at + 1),
                _ => {
                    item = None;
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(&part);
                }
            }
        }
        match item {
            _ if path.is_empty() => self.name.to_owned(),
            Some(at) => format!("Entry {at} of `{}`", quote(&path)),
            None => format!("`{}`", quote(&path)),
        }
    }

    fn fault(&self, pointer: &str, code: &'static str, message: &str) -> Fault {
        let node = self.node.follow(pointer);
        let span = if pointer.is_empty() { self.place } else { &node.span };
        let mut message = format!("{} {message}", self.label(pointer));
        if let Tree::String(text) = &node.tree
            && self.value.pointer(pointer).is_some_and(|value| value.as_str() != Some(text))
        {
            let _ = write!(message, " The value comes from `{}`.", quote(text));
        }
        Fault::new(span, code, message)
    }
}

impl Schema {
    /// None if the schema does not compile, which is a mistake in the program.
    pub(super) fn new(value: Value) -> Option<Self> {
        let validator = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .should_validate_formats(false) // `format::check` does it, with reasons
            .build(&value)
            .ok()?;
        Some(Self { value, validator })
    }

    pub(super) fn view(&self) -> View<'_> {
        View { root: &self.value, at: &self.value }
    }

    /// Whether the configuration has a field of this name.
    pub(super) fn has(&self, field: &str) -> bool {
        self.view().declared(field).is_some()
    }

    /// Checks everything that the schema and the formats say.
    pub(super) fn check(&self, subject: &Subject<'_>, faults: &mut Faults) {
        let skipped = |error: &ValidationError<'_>| {
            let pointer = error.instance_path().as_str();
            subject.skips(pointer, self.view().follow(pointer))
        };
        let mut errors: Vec<_> = self
            .validator
            .iter_errors(subject.value)
            .filter(|error| !skipped(error))
            .take(LIMITS.problems + 1)
            .collect();
        // Of a value of the wrong type nothing else is said.
        errors.sort_by_key(|error| !matches!(error.kind(), Kind::Type { .. }));
        let mut told = HashSet::new();
        for error in &errors {
            let about_entries = matches!(
                error.kind(),
                Kind::Required { .. }
                    | Kind::AdditionalProperties { .. }
                    | Kind::UnevaluatedProperties { .. }
                    | Kind::FalseSchema
            );
            if about_entries || told.insert(error.instance_path().as_str().to_owned()) {
                self.explain(error, subject, faults);
            }
        }
        let mut formats = Formats { subject, faults, told };
        formats.walk(self.view(), subject.value, &mut String::new());
    }

    fn explain(&self, error: &ValidationError<'_>, subject: &Subject<'_>, faults: &mut Faults) {
        let pointer = error.instance_path().as_str();
        let view = self.view().follow(pointer);
        if subject.skips(pointer, view) {
            return;
        }
        match error.kind() {
            Kind::AdditionalProperties { unexpected }
            | Kind::UnevaluatedProperties { unexpected } => {
                for key in unexpected {
                    if faults.full() {
                        return;
                    }
                    faults.add(unknown_field(key, pointer, view, subject));
                }
            }
            // A table without any fields says it like this.
            Kind::FalseSchema if !subject.node.follow(pointer).fields().is_empty() => {
                for field in subject.node.follow(pointer).fields() {
                    if faults.full() {
                        return;
                    }
                    faults.add(unknown_field(&field.key, pointer, view, subject));
                }
            }
            Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
                self.explain_branches(context, error, subject, faults);
            }
            kind => faults.add(sentence(kind, error.instance(), pointer, subject)),
        }
    }

    /// No branch of an `anyOf` fits: tell of the one that was probably meant.
    fn explain_branches(
        &self,
        branches: &[Vec<ValidationError<'static>>],
        error: &ValidationError<'_>,
        subject: &Subject<'_>,
        faults: &mut Faults,
    ) {
        let pointer = error.instance_path().as_str();
        let here = |inner: &ValidationError<'_>| inner.instance_path().as_str() == pointer;
        let mut types = Vec::new();
        let mut options = Vec::new();
        for inner in branches.iter().flatten().filter(|inner| here(inner)) {
            match inner.kind() {
                Kind::Type { kind } => types.extend(type_list(kind)),
                Kind::Constant { expected_value } => options.push((**expected_value).clone()),
                Kind::Enum { options: list } => {
                    options.extend(list.as_array().cloned().unwrap_or_default());
                }
                _ => {}
            }
        }
        let of_other_type = |branch: &[ValidationError<'_>]| {
            branch.iter().any(|inner| here(inner) && matches!(inner.kind(), Kind::Type { .. }))
        };
        if !options.is_empty() && error.instance().is_string() {
            faults.add(not_one_of(&options, error.instance(), pointer, subject));
            return;
        }
        if let Some(branch) = branches.iter().find(|branch| !of_other_type(branch)) {
            branch.iter().for_each(|inner| self.explain(inner, subject, faults));
            return;
        }
        faults.add(wrong_type(&types, error.instance(), pointer, subject));
    }
}

fn unknown_field(key: &str, pointer: &str, view: Option<View<'_>>, subject: &Subject<'_>) -> Fault {
    let known = view.map(View::properties).unwrap_or_default();
    let also: &[&str] = if pointer.is_empty() { subject.also } else { &[] };
    let secret = || {
        let is_one = ["api_key", "apikey", "api_token", "token", "password", "secret"];
        is_one.contains(&key.to_ascii_lowercase().as_str()).then(|| {
            "Remove it: keys are kept in the settings, under Services, and never in a definition."
                .to_owned()
        })
    };
    let fix = secret()
        .or_else(|| did_you_mean(key, known.iter().copied().chain(also.iter().copied())))
        .or_else(|| {
            (!known.is_empty() && known.len() <= 30)
                .then(|| format!("Known are: {}.", known.join(", ")))
        });
    let span =
        subject.node.follow(pointer).field(key).map_or(subject.place, |field| &field.key_span);
    let owner = subject.label(pointer);
    Fault::new(span, "unknown_field", format!("{owner} has no field `{}`.", quote(key)))
        .maybe_fix(fix)
}

fn sentence(kind: &Kind, value: &Value, pointer: &str, subject: &Subject<'_>) -> Fault {
    let fault = |code, message: String| subject.fault(pointer, code, &message);
    let shown = show(value);
    match kind {
        Kind::Type { kind } => wrong_type(&type_list(kind), value, pointer, subject),
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            fault("missing_field", format!("needs `{name}`.")).fix(format!("Add `{name}`."))
        }
        Kind::Minimum { limit } => {
            fault("out_of_range", format!("must be at least {limit}, not {shown}."))
        }
        Kind::ExclusiveMinimum { limit } => {
            fault("out_of_range", format!("must be more than {limit}, not {shown}."))
        }
        Kind::Maximum { limit } => {
            fault("out_of_range", format!("must be at most {limit}, not {shown}."))
        }
        Kind::ExclusiveMaximum { limit } => {
            fault("out_of_range", format!("must be less than {limit}, not {shown}."))
        }
        Kind::MultipleOf { multiple_of } => {
            fault("out_of_range", format!("must be a multiple of {multiple_of}, not {shown}."))
        }
        Kind::MinLength { limit: 1 } | Kind::MinItems { limit: 1 } => {
            fault("missing_value", "must not be empty.".to_owned())
        }
        Kind::MinLength { limit } => {
            fault("too_short", format!("must have at least {limit} characters."))
        }
        Kind::MaxLength { limit } => {
            fault("too_long", format!("must have at most {limit} characters."))
        }
        Kind::MinItems { limit } | Kind::MinProperties { limit } => {
            fault("too_few", format!("must have at least {limit} entries."))
        }
        Kind::MaxItems { limit } | Kind::MaxProperties { limit } => {
            fault("too_many", format!("must have at most {limit} entries."))
        }
        Kind::UniqueItems => fault("duplicate_item", "names something twice.".to_owned()),
        Kind::Enum { options } => {
            let options = options.as_array().cloned().unwrap_or_default();
            not_one_of(&options, value, pointer, subject)
        }
        Kind::Constant { expected_value } => {
            not_one_of(&[(**expected_value).clone()], value, pointer, subject)
        }
        Kind::Pattern { .. } => {
            fault("not_allowed", format!("does not have the expected form: {shown}."))
        }
        _ => fault("not_allowed", format!("cannot be {shown}.")),
    }
}

fn type_list(kind: &TypeKind) -> Vec<JsonType> {
    match kind {
        TypeKind::Single(one) => vec![*one],
        TypeKind::Multiple(set) => set.iter().collect(),
    }
}

fn wrong_type(types: &[JsonType], value: &Value, pointer: &str, subject: &Subject<'_>) -> Fault {
    let mut words: Vec<&str> = Vec::new();
    for kind in types {
        let word = match kind {
            JsonType::Null => continue,
            JsonType::Boolean => "true or false",
            JsonType::Integer => "a whole number",
            JsonType::Number => "a number",
            JsonType::String => "text",
            JsonType::Array => "a list",
            JsonType::Object => "a table",
        };
        if !words.contains(&word) {
            words.push(word);
        }
    }
    let numeric = types.iter().any(|kind| matches!(kind, JsonType::Integer | JsonType::Number));
    let has = |kind| types.contains(&kind);
    let fix = match value {
        Value::String(text) if numeric && text.parse::<i64>().is_ok() => {
            Some(format!("Write {text} without quotes."))
        }
        Value::String(text)
            if has(JsonType::Boolean) && matches!(text.as_str(), "true" | "false") =>
        {
            Some(format!("Write {text} without quotes."))
        }
        Value::String(_) if has(JsonType::Array) => {
            Some(format!("Write a list: [{}].", show(value)))
        }
        Value::Number(_) | Value::Bool(_) if has(JsonType::String) => {
            Some(format!("Put it between quotes: \"{value}\"."))
        }
        _ => None,
    };
    let message = format!("must be {}, not {}.", words.join(" or "), show(value));
    subject.fault(pointer, "wrong_type", &message).maybe_fix(fix)
}

fn not_one_of(options: &[Value], value: &Value, pointer: &str, subject: &Subject<'_>) -> Fault {
    let words: Vec<&str> = options.iter().filter_map(Value::as_str).collect();
    let list: Vec<String> = options.iter().filter(|option| !option.is_null()).map(show).collect();
    let fix = value.as_str().and_then(|text| did_you_mean(text, words.iter().copied()));
    let message = format!("must be one of {}, not {}.", list.join(", "), show(value));
    subject.fault(pointer, "not_allowed", &message).maybe_fix(fix)
}

fn show(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", quote(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a table".to_owned(),
        other => other.to_string(),
    }
}

/// Checks the formats of a value, which the schema only names.
struct Formats<'a, 'f> {
    subject: &'a Subject<'a>,
    faults: &'f mut Faults,
    /// Places of which something was said already.
    told: HashSet<String>,
}

impl Formats<'_, '_> {
    fn walk(&mut self, view: View<'_>, value: &Value, pointer: &mut String) {
        let length = pointer.len();
        match value {
            Value::Object(map) => {
                for (key, inner) in map {
                    if let Some(view) = view.child(key) {
                        let _ = write!(pointer, "/{}", key.replace('~', "~0").replace('/', "~1"));
                        self.walk(view, inner, pointer);
                        pointer.truncate(length);
                    }
                }
            }
            Value::Array(items) => {
                for (index, inner) in items.iter().enumerate() {
                    if let Some(view) = view.item(index) {
                        let _ = write!(pointer, "/{index}");
                        self.walk(view, inner, pointer);
                        pointer.truncate(length);
                    }
                }
            }
            _ => self.leaf(view, value, pointer),
        }
    }

    fn leaf(&mut self, view: View<'_>, value: &Value, pointer: &str) {
        let Some(name) = view.format() else { return };
        if self.faults.full()
            || self.told.contains(pointer)
            || self.subject.skips(pointer, Some(view))
        {
            return;
        }
        if matches!(name, "regex" | "glob") {
            let pattern = value.as_str().unwrap_or_default();
            let Some(beyond) = self.faults.count_pattern(name, pattern) else { return };
            if beyond == 1 {
                let message = "is one pattern more than a definition and its runs can have.";
                self.faults.add(self.subject.fault(pointer, "too_many", message));
            }
            if beyond > 0 {
                return;
            }
        }
        if let Err(misfit) = format::check(name, value) {
            let fault = self.subject.fault(pointer, misfit.code, &misfit.message);
            self.faults.add(fault.maybe_fix(misfit.fix));
        }
    }
}

/// A place in a schema.
#[derive(Clone, Copy)]
pub(super) struct View<'s> {
    root: &'s Value,
    at: &'s Value,
}

impl<'s> View<'s> {
    fn to(self, at: &'s Value) -> Self {
        Self { root: self.root, at }
    }

    /// What this place says, and what it refers to or offers as alternatives.
    fn layers(self) -> Vec<&'s Value> {
        let mut found = vec![self.at];
        let mut next = 0;
        // References can go round; a real schema has few layers.
        while next < found.len() && found.len() < 32 {
            let schema = found[next];
            next += 1;
            if let Some(pointer) = schema["$ref"].as_str().and_then(|r| r.strip_prefix('#')) {
                found.extend(self.root.pointer(pointer));
            }
            for word in ["anyOf", "oneOf", "allOf"] {
                found.extend(schema[word].as_array().into_iter().flatten());
            }
        }
        found
    }

    fn declared(self, key: &str) -> Option<Self> {
        self.layers()
            .into_iter()
            .find_map(|layer| layer["properties"].get(key))
            .map(|at| self.to(at))
    }

    /// What the schema says of an entry of this table.
    pub(super) fn child(self, key: &str) -> Option<Self> {
        self.declared(key).or_else(|| {
            let rest =
                |layer: &'s Value| layer.get("additionalProperties").filter(|at| at.is_object());
            self.layers().into_iter().find_map(rest).map(|at| self.to(at))
        })
    }

    /// What the schema says of an entry of this list.
    pub(super) fn item(self, index: usize) -> Option<Self> {
        let item = |layer: &'s Value| {
            layer["prefixItems"]
                .get(index)
                .or_else(|| layer.get("items").filter(|at| at.is_object()))
        };
        self.layers().into_iter().find_map(item).map(|at| self.to(at))
    }

    fn follow(self, pointer: &str) -> Option<Self> {
        pointer.split('/').skip(1).try_fold(self, |view, part| {
            view.child(&part.replace("~1", "/").replace("~0", "~"))
                .or_else(|| part.parse().ok().and_then(|index| view.item(index)))
        })
    }

    fn properties(self) -> Vec<&'s str> {
        let names = |layer: &'s Value| layer["properties"].as_object();
        self.layers().into_iter().filter_map(names).flatten().map(|(key, _)| key.as_str()).collect()
    }

    pub(super) fn format(self) -> Option<&'s str> {
        self.layers().into_iter().find_map(|layer| layer["format"].as_str())
    }

    pub(super) fn description(self) -> Option<&'s str> {
        self.layers().into_iter().find_map(|layer| layer["description"].as_str())
    }
}
