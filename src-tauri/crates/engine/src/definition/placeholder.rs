//! Placeholders such as `{config.folder}`. Nothing is evaluated: a name is replaced by a value, in
//! one pass, and what was put in is never looked at again.

use std::{collections::BTreeMap, ops::Range};

use serde_json::Value;

use super::{
    LIMITS,
    fault::{Fault, Faults, Text, did_you_mean, quote},
    schema::View,
    source::{Node, Tree},
};

/// What a text means to the one who reads it; decides how a value is put into it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    Plain,
    Regex,
    Glob,
    Url,
}

impl Context {
    fn of(view: Option<View<'_>>) -> Self {
        match view.and_then(View::format) {
            Some("regex") => Self::Regex,
            Some("glob") => Self::Glob,
            Some("uri") => Self::Url,
            _ => Self::Plain,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(Range<usize>),
    /// A placeholder, braces included.
    Name(Range<usize>),
    /// Two or more braces in a row.
    Double(Range<usize>),
}

/// Splits a text at its placeholders, in linear time. Only `{` + a lower-case name + `}` is one, so
/// that most braces, such as those of regular expressions and JSON, stay what they are.
fn pieces(text: &str, context: Context) -> Vec<Piece> {
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
    // After `config.` whatever stands there was meant as a name, even if it cannot be one.
    let sloppy = rest.starts_with(b"config.");
    let part = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.:".contains(b);
    let length = rest
        .iter()
        .take(LONGEST)
        .take_while(|b| part(b) || (sloppy && !b"{}\n".contains(b)))
        .count();
    (rest.get(length) == Some(&b'}')).then_some(length)
}

/// The key of `[config]` that a placeholder (braces included) names.
fn key(placeholder: &str) -> &str {
    let name = placeholder.trim_start_matches('{').trim_end_matches('}');
    name.strip_prefix("config.").unwrap_or(name)
}

/// Whether a text has placeholders.
pub(super) fn has_any(text: &str, view: Option<View<'_>>) -> bool {
    text.contains('{')
        && pieces(text, Context::of(view)).iter().any(|piece| !matches!(piece, Piece::Text(_)))
}

/// Calls `each` with every placeholder's key, and what the schema says of the place it fills.
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
                        each(key(&text[range]), path);
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
    values: &Values,
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
                        let fault = values.unknown(&string[range.clone()]);
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

/// What placeholders can stand for: the scalars of `[config]`, by their dotted path.
#[derive(Clone, Debug, Default)]
pub(super) struct Values {
    scalars: BTreeMap<String, Value>,
    /// Lists and tables: known, but not usable.
    others: BTreeMap<String, &'static str>,
}

impl Values {
    pub(super) fn new(config: Option<&Node>) -> Self {
        let mut values = Self::default();
        for field in config.map(Node::fields).unwrap_or_default() {
            values.add(field.key.clone(), &field.node);
        }
        values
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

    /// Keys with their values as text, sorted.
    pub(super) fn texts(&self) -> Vec<(String, String)> {
        self.scalars.iter().map(|(key, value)| (key.clone(), text_of(value))).collect()
    }

    /// Whether a key is there but empty.
    pub(super) fn is_empty(&self, key: &str) -> bool {
        self.scalars.get(key).is_some_and(|value| value.as_str() == Some(""))
    }

    /// Whether a text uses a value that is empty, or one that does not exist.
    pub(super) fn leaves_open(&self, text: &str, view: Option<View<'_>>) -> bool {
        text.contains('{')
            && pieces(text, Context::of(view)).iter().any(|piece| match piece {
                Piece::Name(range) => {
                    let key = key(&text[range.clone()]);
                    self.is_empty(key) || !self.scalars.contains_key(key)
                }
                _ => false,
            })
    }

    /// What is wrong with a placeholder, and what to do.
    fn unknown(&self, placeholder: &str) -> Option<(String, Option<String>)> {
        let key = key(placeholder);
        if self.scalars.contains_key(key) {
            return None;
        }
        let shown = quote(placeholder);
        if let Some(kind) = self.others.get(key) {
            let message = format!(
                "`{shown}` is {kind}; only text, numbers and true or false can be put here."
            );
            return Some((message, None));
        }
        if key.contains(':') {
            let message =
                format!("`{shown}` belongs to a set, and sets are only filled in templates.");
            return Some((message, Some("Use a value of `[config]`: `{config.NAME}`.".to_owned())));
        }
        let names = self.scalars.keys().map(String::as_str);
        let fix = did_you_mean(key, names)
            .unwrap_or_else(|| format!("Add `{} = \"…\"` under `[config]`.", quote(key)));
        Some((
            format!("`{shown}` stands for nothing: `[config]` has no `{}`.", quote(key)),
            Some(fix),
        ))
    }
}

/// The output would become too large.
pub(super) struct TooLarge;

/// Fills the placeholders of configurations.
pub(super) struct Filler<'v> {
    values: &'v Values,
    /// Bytes that may still be written.
    left: usize,
}

impl<'v> Filler<'v> {
    pub(super) fn new(values: &'v Values) -> Self {
        Self { values, left: LIMITS.output_bytes }
    }

    /// The value of `node` with its placeholders filled.
    pub(super) fn fill(&mut self, node: &Node, view: Option<View<'_>>) -> Result<Value, TooLarge> {
        Ok(match &node.tree {
            Tree::String(text) => self.text(text, Context::of(view))?,
            Tree::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    list.push(self.fill(item, view.and_then(|view| view.item(index)))?);
                }
                Value::Array(list)
            }
            Tree::Table(fields) => {
                let mut map = serde_json::Map::new();
                for field in fields {
                    let view = view.and_then(|view| view.child(&field.key));
                    map.insert(field.key.clone(), self.fill(&field.node, view)?);
                }
                Value::Object(map)
            }
            Tree::Null | Tree::Bool(_) | Tree::Integer(_) | Tree::Float(_) | Tree::Unusable => {
                node.to_value()
            }
        })
    }

    fn text(&mut self, text: &str, context: Context) -> Result<Value, TooLarge> {
        let pieces = pieces(text, context);
        // Alone in its field a value keeps its type, and means what its author means by it.
        if let [Piece::Name(range)] = pieces.as_slice()
            && let Some(value) = self.values.scalars.get(key(&text[range.clone()]))
        {
            self.spend(value.as_str().map_or(0, str::len))?;
            return Ok(value.clone());
        }
        let mut out = String::new();
        for piece in &pieces {
            let (Piece::Text(range) | Piece::Double(range) | Piece::Name(range)) = piece;
            let literal = &text[range.clone()];
            let value = match piece {
                Piece::Name(_) => self.values.scalars.get(key(literal)),
                Piece::Text(_) | Piece::Double(_) => None,
            };
            let Some(value) = value else {
                self.spend(literal.len())?;
                out.push_str(literal);
                continue;
            };
            let value = text_of(value);
            // Before escaping, so that nothing large is made first.
            self.spend(value.len())?;
            let value = match context {
                Context::Plain | Context::Glob => value,
                Context::Regex => regex::escape(&value),
                // At the start it is the address itself, further in it is a part of one.
                Context::Url if out.is_empty() => value,
                Context::Url => encode(&value),
            };
            out.push_str(&value);
        }
        Ok(Value::String(out))
    }

    fn spend(&mut self, bytes: usize) -> Result<(), TooLarge> {
        self.left = self.left.checked_sub(bytes).ok_or(TooLarge)?;
        Ok(())
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Percent-encodes what could leave the part of the address that a value stands in.
fn encode(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for part in value.split_inclusive(['/', ':']) {
        let (part, separator) = match part.char_indices().next_back() {
            Some((at, '/' | ':')) => part.split_at(at),
            _ => (part, ""),
        };
        out.extend(
            url::form_urlencoded::byte_serialize(part.as_bytes())
                .map(|piece| if piece == "+" { "%20" } else { piece }),
        );
        out.push_str(separator);
    }
    out
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

    #[test]
    fn a_value_in_an_address_cannot_leave_its_part() {
        assert_eq!(encode("a b/c?d#e@f&g"), "a%20b/c%3Fd%23e%40f%26g");
        assert_eq!(encode("localhost:80/"), "localhost:80/");
        assert_eq!(encode("é+"), "%C3%A9%2B");
    }
}
