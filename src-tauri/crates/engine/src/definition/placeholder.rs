//! Placeholders such as `{config.folder}`: where they stand, what they name, and what they stand for.
//! `fill` puts the values in.

use std::{borrow::Cow, collections::BTreeMap, ops::Range};

use serde_json::{Map, Value};

use super::{
    condition::Kind,
    fault::{Fault, Faults, Text, did_you_mean, hidden, quote},
    schema::View,
    source::{Node, Tree},
};

/// What a text means to the one who reads it; decides how a value is put into it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Context {
    Plain,
    Regex,
    Glob,
    Url,
    Tag,
}

impl Context {
    pub(super) fn of(view: Option<View<'_>>) -> Self {
        match view.and_then(View::format) {
            Some("regex") => Self::Regex,
            Some("glob") => Self::Glob,
            Some("uri") => Self::Url,
            Some("tag") => Self::Tag,
            _ => Self::Plain,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(Range<usize>),
    /// A placeholder, braces included.
    Name(Range<usize>),
    /// Two or more braces in a row.
    Double(Range<usize>),
}

/// Splits a text at its placeholders, in linear time. Only `{` + a lower-case name + `}` is one, so
/// that most braces, such as those of regular expressions and JSON, stay what they are.
pub(super) fn pieces(text: &str, context: Context) -> Vec<Piece> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let (mut at, mut plain) = (0, 0);
    let mut cut = |plain: &mut usize, piece: Option<Piece>, start: usize, end: usize| {
        if *plain < start {
            found.push(Piece::Text(*plain..start));
        }
        found.extend(piece);
        *plain = end;
    };
    while let Some(byte) = bytes.get(at) {
        match byte {
            // In a regular expression `\{` is a brace and `\p{greek}` is a class.
            b'\\' if context == Context::Regex => {
                at += 2;
                let escape = bytes.get(at - 1).is_some_and(u8::is_ascii_alphabetic);
                if escape && bytes.get(at) == Some(&b'{') {
                    at += 1;
                }
            }
            b'{' => {
                let braces = bytes[at..].iter().take_while(|b| **b == b'{').count();
                // `{{a,b},c}` is a file pattern.
                if braces > 1 && context != Context::Glob {
                    cut(&mut plain, Some(Piece::Double(at..at + braces)), at, at + braces);
                    at += braces;
                } else if let Some(length) = name_length(&bytes[at + 1..]) {
                    let end = at + length + 2;
                    cut(&mut plain, Some(Piece::Name(at..end)), at, end);
                    at = end;
                } else {
                    at += 1;
                }
            }
            _ => at += 1,
        }
    }
    cut(&mut plain, None, text.len(), text.len());
    found
}

/// The length of the name at the start, if a `}` follows it.
fn name_length(rest: &[u8]) -> Option<usize> {
    const LONGEST: usize = 128;
    if !rest.first().is_some_and(|b| b.is_ascii_lowercase() || *b == b'_') {
        return None;
    }
    // After `config.` or `set:` whatever stands there was meant as a name, even if it cannot be one.
    let sloppy = rest.starts_with(b"config.") || rest.starts_with(b"set:");
    let part = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.:".contains(b);
    let length = rest
        .iter()
        .take(LONGEST)
        .take_while(|b| part(b) || (sloppy && !b"{}\n".contains(b)))
        .count();
    (rest.get(length) == Some(&b'}')).then_some(length)
}

/// What a placeholder names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name<'t> {
    /// A scalar of `[config]`, by its dotted path.
    Config(&'t str),
    /// A value of the set that a template is run with.
    Set(&'t str),
    /// A setting of the program.
    Setting(&'t str),
}

fn inner(placeholder: &str) -> &str {
    placeholder.trim_start_matches('{').trim_end_matches('}')
}

/// The key of a placeholder (braces included) for the value of a set. Sets have no names, so what
/// stands before the colon only helps the reader: `{set:ticker}`, `{stock:ticker}`.
pub(super) fn set_key(placeholder: &str) -> Option<&str> {
    let name = inner(placeholder);
    if name.starts_with("config.") {
        return None;
    }
    name.split_once(':').map(|(_, key)| key)
}

/// The value of a set for a key; `KEY_lower` is that of `KEY` in lower case.
pub(super) fn of_set<'s>(set: &'s Map<String, Value>, key: &str) -> Option<Cow<'s, Value>> {
    set.get(key).map(Cow::Borrowed).or_else(|| {
        let value = set.get(key.strip_suffix("_lower")?)?;
        Some(Cow::Owned(text_of(value).to_lowercase().into()))
    })
}

/// Whether a text has placeholders.
pub(super) fn has_any(text: &str, view: Option<View<'_>>) -> bool {
    text.contains('{')
        && pieces(text, Context::of(view)).iter().any(|piece| !matches!(piece, Piece::Text(_)))
}

/// Calls `each` with every placeholder, braces included, and what the schema says of the place it fills.
pub(super) fn uses<'a, 's>(
    node: &'a Node,
    view: Option<View<'s>>,
    each: &mut dyn FnMut(&'a str, &[View<'s>]),
) {
    fn walk<'a, 's>(
        node: &'a Node,
        path: &mut Vec<View<'s>>,
        view: Option<View<'s>>,
        each: &mut dyn FnMut(&'a str, &[View<'s>]),
    ) {
        let depth = path.len();
        path.extend(view);
        match &node.tree {
            Tree::String(text) => {
                for piece in pieces(text, Context::of(view)) {
                    if let Piece::Name(range) = piece {
                        each(&text[range], path);
                    }
                }
            }
            Tree::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    walk(item, path, view.and_then(|view| view.item(index)), each);
                }
            }
            Tree::Table(fields) => {
                for field in fields {
                    walk(&field.node, path, view.and_then(|view| view.child(&field.key)), each);
                }
            }
            Tree::Null | Tree::Bool(_) | Tree::Integer(_) | Tree::Float(_) | Tree::Unusable => {}
        }
        path.truncate(depth);
    }
    walk(node, &mut Vec::new(), view, each);
}

/// Reports every placeholder that names nothing.
pub(super) fn check(
    node: &Node,
    view: Option<View<'_>>,
    values: &Values<'_>,
    text: &Text,
    faults: &mut Faults,
) {
    match &node.tree {
        Tree::String(string) if string.contains('{') => {
            for piece in pieces(string, Context::of(view)) {
                if faults.full() {
                    return;
                }
                let (range, fault): (_, Option<Fault>) = match piece {
                    Piece::Text(_) => continue,
                    Piece::Double(range) => {
                        let span = text.within(&node.span, string, range.clone());
                        let fault =
                            Fault::new(&span, "bad_placeholder", "`{{` has no meaning here.")
                                .fix("Write a placeholder with single braces: `{config.NAME}`.");
                        (range, Some(fault))
                    }
                    Piece::Name(range) => {
                        let span = text.within(&node.span, string, range.clone());
                        let placeholder = &string[range.clone()];
                        let fault = values.unknown(placeholder, placeholder);
                        (
                            range,
                            fault.map(|(message, fix)| {
                                Fault::new(&span, "unknown_placeholder", message).maybe_fix(fix)
                            }),
                        )
                    }
                };
                debug_assert!(!range.is_empty());
                if let Some(fault) = fault {
                    faults.add(fault);
                }
            }
        }
        Tree::List(items) => {
            for (index, item) in items.iter().enumerate() {
                check(item, view.and_then(|view| view.item(index)), values, text, faults);
            }
        }
        Tree::Table(fields) => {
            for field in fields {
                let view = view.and_then(|view| view.child(&field.key));
                check(&field.node, view, values, text, faults);
            }
        }
        _ => {}
    }
}

/// The set of variables that `{set:KEY}` is looked up in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sets<'a> {
    /// There is none.
    Absent,
    /// There will be one: a template is being checked.
    Open,
    /// This one.
    Given(&'a Map<String, Value>),
}

/// What placeholders can stand for.
#[derive(Clone, Debug)]
pub(super) struct Values<'a> {
    /// The scalars of `[config]`, by their dotted path.
    scalars: BTreeMap<String, Value>,
    /// Its lists and tables: known, but not usable.
    others: BTreeMap<String, &'static str>,
    settings: &'a BTreeMap<String, String>,
    sets: Sets<'a>,
}

impl<'a> Values<'a> {
    pub(super) fn new(
        config: Option<&Node>,
        settings: &'a BTreeMap<String, String>,
        sets: Sets<'a>,
    ) -> Self {
        let mut values = Self { scalars: BTreeMap::new(), others: BTreeMap::new(), settings, sets };
        for field in config.map(Node::fields).unwrap_or_default() {
            values.add(field.key.clone(), &field.node);
        }
        values
    }

    /// What a placeholder (braces included) names.
    pub(super) fn name<'t>(&self, placeholder: &'t str) -> Name<'t> {
        if let Some(key) = set_key(placeholder) {
            return Name::Set(key);
        }
        let name = inner(placeholder);
        match name.strip_prefix("config.") {
            Some(key) => Name::Config(key),
            None if !self.scalars.contains_key(name)
                && !self.others.contains_key(name)
                && self.settings.contains_key(name) =>
            {
                Name::Setting(name)
            }
            None => Name::Config(name),
        }
    }

    /// The value of a name.
    pub(super) fn get(&self, name: Name<'_>) -> Option<Cow<'_, Value>> {
        match name {
            Name::Config(key) => self.scalars.get(key).map(Cow::Borrowed),
            Name::Setting(key) => {
                self.settings.get(key).map(|text| Cow::Owned(text.as_str().into()))
            }
            Name::Set(key) => match self.sets {
                Sets::Given(set) => of_set(set, key),
                Sets::Absent | Sets::Open => None,
            },
        }
    }

    /// A character in a value that nobody can see.
    pub(super) fn hidden(&self, name: Name<'_>) -> Option<char> {
        hidden(self.get(name)?.as_str()?).map(|(_, c)| c)
    }

    /// Whether a name has no value, or an empty one.
    pub(super) fn is_open(&self, name: Name<'_>) -> bool {
        self.get(name).is_none_or(|value| value.as_str() == Some(""))
    }

    fn add(&mut self, path: String, node: &Node) {
        match &node.tree {
            Tree::Table(fields) => {
                for field in fields {
                    self.add(format!("{path}.{}", field.key), &field.node);
                }
                self.others.insert(path, "a table");
            }
            Tree::List(_) => drop(self.others.insert(path, "a list")),
            Tree::Null | Tree::Unusable => drop(self.others.insert(path, "null")),
            Tree::Bool(_) | Tree::Integer(_) | Tree::Float(_) | Tree::String(_) => {
                self.scalars.insert(path, node.to_value());
            }
        }
    }

    pub(super) fn set(&mut self, key: &str, value: Value) {
        self.scalars.insert(key.to_owned(), value);
    }

    /// Keys with their values as text, sorted; those of the set as `set:KEY`.
    pub(super) fn texts(&self) -> Vec<(String, String)> {
        let config = self.scalars.iter().map(|(key, value)| (key.clone(), text_of(value)));
        let mut texts: Vec<_> = config.collect();
        if let Sets::Given(set) = self.sets {
            texts.extend(set.iter().map(|(key, value)| (format!("set:{key}"), text_of(value))));
        }
        texts.sort();
        texts
    }

    /// What the value of a key is.
    pub(super) fn kind(&self, key: &str) -> Option<Kind> {
        match self.scalars.get(key)? {
            Value::Bool(_) => Some(Kind::Bool),
            Value::Number(_) => Some(Kind::Number),
            Value::String(_) => Some(Kind::Text),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// Whether a text uses a value that is empty, or one that does not exist.
    pub(super) fn leaves_open(&self, text: &str, view: Option<View<'_>>) -> bool {
        text.contains('{')
            && pieces(text, Context::of(view)).iter().any(|piece| match piece {
                Piece::Name(range) => self.is_open(self.name(&text[range.clone()])),
                Piece::Text(_) | Piece::Double(_) => false,
            })
    }

    /// What is wrong with a placeholder, and what to do.
    /// `shown` is how the text writes it.
    pub(super) fn unknown(
        &self,
        placeholder: &str,
        shown: &str,
    ) -> Option<(String, Option<String>)> {
        let shown = quote(shown);
        let key = match (self.name(placeholder), self.sets) {
            (Name::Setting(_), _) | (Name::Set(_), Sets::Open | Sets::Given(_)) => return None,
            (Name::Set(_), Sets::Absent) => {
                let message =
                    format!("`{shown}` belongs to a set, and sets are only filled in templates.");
                let fix = "Use a value of `[config]`: `{config.NAME}`.".to_owned();
                return Some((message, Some(fix)));
            }
            (Name::Config(key), _) => key,
        };
        if self.scalars.contains_key(key) {
            return None;
        }
        if let Some(kind) = self.others.get(key) {
            let message = format!(
                "`{shown}` is {kind}; only text, numbers and true or false can be put here."
            );
            return Some((message, None));
        }
        let settings = self.settings.keys().filter(|_| !placeholder.starts_with("{config."));
        let names = self.scalars.keys().chain(settings).map(String::as_str);
        let fix = did_you_mean(key, names)
            .unwrap_or_else(|| format!("Add `{} = \"…\"` under `[config]`.", quote(key)));
        Some((
            format!("`{shown}` stands for nothing: `[config]` has no `{}`.", quote(key)),
            Some(fix),
        ))
    }
}

/// A scalar as text.
pub(super) fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str, context: Context) -> Vec<&str> {
        pieces(text, context)
            .into_iter()
            .filter_map(|piece| match piece {
                Piece::Name(range) => Some(&text[range]),
                Piece::Double(_) => Some("{{"),
                Piece::Text(_) => None,
            })
            .collect()
    }

    #[test]
    fn only_lower_case_names_in_single_braces_are_placeholders() {
        use Context::{Plain, Regex};
        let rows: &[(&str, Context, &[&str])] = &[
            ("{folder}", Plain, &["{folder}"]),
            ("a{x}b{config.y}c", Plain, &["{x}", "{config.y}"]),
            ("{stock:ticker_lower}", Plain, &["{stock:ticker_lower}"]),
            ("{config.My Key}", Plain, &["{config.My Key}"]),
            ("{} { } {1} {a-b} {A} {\"a\": {\"b\": 1}} ${X} *.{md,txt} }}", Plain, &[]),
            ("{{a}}", Plain, &["{{"]),
            ("{{a,b},c}/{x}", Context::Glob, &["{x}"]),
            ("{a", Plain, &[]),
            ("{a{b}", Plain, &["{b}"]),
            (r"a{2,3}\p{greek}\x{ff}\b{start}\{a}\{{2}", Regex, &[]),
            (r"\\{a}", Regex, &["{a}"]),
            (r"C:\p{a}", Plain, &["{a}"]),
            ("é{ü}{u}é", Plain, &["{u}"]),
            ("\\", Regex, &[]),
        ];
        for (text, context, expected) in rows {
            assert_eq!(names(text, *context), *expected, "{text}");
        }
    }
}
