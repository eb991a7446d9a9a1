//! From bytes to a tree in which every key and value knows its place. TOML and JSON become the
//! same tree, and every general limit (size, depth, lengths) is held here.

use std::collections::HashSet;

use serde_json::Value;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    LIMITS,
    fault::{Fault, Faults, Span, Text, hidden, quote},
};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) tree: Tree,
}

/// What TOML and JSON have in common. Floats without a fraction are integers.
#[derive(Clone, Debug)]
pub(super) enum Tree {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    String(String),
    List(Vec<Node>),
    Table(Vec<Field>),
    /// Something that was refused while reading; no more is said of it.
    Unusable,
}

/// One entry of a table; entries are in the order of the text.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) key: String,
    pub(super) key_span: Span,
    pub(super) node: Node,
}

impl Node {
    pub(super) fn fields(&self) -> &[Field] {
        match &self.tree {
            Tree::Table(fields) => fields,
            _ => &[],
        }
    }

    pub(super) fn items(&self) -> &[Self] {
        match &self.tree {
            Tree::List(items) => items,
            _ => &[],
        }
    }

    pub(super) fn field(&self, key: &str) -> Option<&Field> {
        self.fields().iter().find(|field| field.key == key)
    }

    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.field(key).map(|field| &field.node)
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match &self.tree {
            Tree::String(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_bool(&self) -> Option<bool> {
        match self.tree {
            Tree::Bool(value) => Some(value),
            _ => None,
        }
    }

    pub(super) fn as_u32(&self) -> Option<u32> {
        match self.tree {
            Tree::Integer(value) => u32::try_from(value).ok(),
            _ => None,
        }
    }

    pub(super) fn as_i32(&self) -> Option<i32> {
        match self.tree {
            Tree::Integer(value) => i32::try_from(value).ok(),
            _ => None,
        }
    }

    /// The strings of a list.
    pub(super) fn strings(&self) -> Vec<String> {
        self.items().iter().filter_map(Self::as_str).map(str::to_owned).collect()
    }

    pub(super) fn to_value(&self) -> Value {
        match &self.tree {
            Tree::Null | Tree::Unusable => Value::Null,
            Tree::Bool(value) => (*value).into(),
            Tree::Integer(value) => (*value).into(),
            Tree::Float(value) => (*value).into(),
            Tree::String(text) => text.as_str().into(),
            Tree::List(items) => items.iter().map(Self::to_value).collect(),
            Tree::Table(fields) => Value::Object(
                fields.iter().map(|field| (field.key.clone(), field.node.to_value())).collect(),
            ),
        }
    }

    /// Follows a JSON pointer as far as it leads.
    pub(super) fn follow(&self, pointer: &str) -> &Self {
        let mut node = self;
        for part in pointer.split('/').skip(1) {
            match &node.tree {
                Tree::Table(_) => {
                    let Some(field) = node.field(&part.replace("~1", "/").replace("~0", "~"))
                    else {
                        break;
                    };
                    node = &field.node;
                }
                Tree::List(items) => {
                    let Some(item) = part.parse().ok().and_then(|at: usize| items.get(at)) else {
                        break;
                    };
                    node = item;
                }
                _ => break,
            }
        }
        node
    }
}

/// What was read from a file.
pub(super) struct Source {
    pub(super) text: Text,
    /// None if nothing could be read.
    pub(super) node: Option<Node>,
    /// False if the tree has gaps, so that checking it would only tell of the gaps.
    pub(super) complete: bool,
}

/// Reads a file as JSON if its name ends so, else as TOML.
pub(super) fn read(file_name: &str, bytes: &[u8], faults: &mut Faults) -> Source {
    let text = match decode(bytes, faults) {
        Ok(text) => text,
        Err(text) => return Source { text, node: None, complete: false },
    };
    let json = file_name.to_ascii_lowercase().ends_with(".json")
        || (!file_name.contains('.') && text.source.trim_start().starts_with('{'));
    let blank = text.source.lines().all(|line| {
        let line = line.trim();
        line.is_empty() || (!json && line.starts_with('#'))
    });
    if blank {
        faults.add(
            Fault::new(&(0..0), "empty", "The definition is empty.")
                .fix("Give it an `id`, a `name` and at least one `[step.NAME]`."),
        );
        return Source { text, node: None, complete: false };
    }
    let (node, complete) = if json {
        let node = read_json(&text, faults);
        let complete = node.is_some();
        (node, complete)
    } else {
        let (node, complete) = read_toml(&text, faults);
        (Some(node), complete)
    };
    Source { text, node, complete }
}

/// The text of a file; as an error, as much of it as is needed to show the place.
fn decode(bytes: &[u8], faults: &mut Faults) -> Result<Text, Text> {
    let mut refuse = |valid: &[u8], code, message: String, fix: &str| {
        let valid = String::from_utf8_lossy(valid).into_owned();
        faults.add(Fault::new(&(valid.len()..valid.len()), code, message).fix(fix));
        Text::new(valid, 0)
    };
    if bytes.len() > LIMITS.bytes {
        let message =
            format!("The file has {} bytes; at most {} are allowed.", bytes.len(), LIMITS.bytes);
        return Err(refuse(&[], "too_large", message, "Move long lists and texts out of it."));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        let message = "The file is UTF-16, from byte 0 on.".to_owned();
        return Err(refuse(&[], "not_utf8", message, "Save it as UTF-8."));
    }
    let skipped = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let body = &bytes[skipped..];
    let source = match std::str::from_utf8(body) {
        Ok(source) => source,
        Err(error) => {
            let at = error.valid_up_to();
            let message = format!("The byte at {} is not UTF-8.", at + skipped);
            return Err(refuse(&body[..at], "not_utf8", message, "Save the file as UTF-8."));
        }
    };
    if let Some(at) = source.find('\0') {
        let message = format!("There is a NUL character at byte {}.", at + skipped);
        let fix = "Remove it. If the whole file looks like this, it is UTF-16: save it as UTF-8.";
        return Err(refuse(&body[..at], "nul_byte", message, fix));
    }
    Ok(Text::new(source.to_owned(), skipped))
}

/// How many syntax errors are told; after a few they are mostly about each other.
const SYNTAX_ERRORS: usize = 10;

fn read_toml(text: &Text, faults: &mut Faults) -> (Node, bool) {
    let (table, errors) = DeTable::parse_recoverable(&text.source);
    let complete = errors.iter().all(|error| is_duplicate(error.message()));
    let convert = |faults| Converter { text, faults }.toml_table(table.span(), table.get_ref(), 0);
    if !complete {
        syntax_errors(text, &errors, faults);
        // The tree has gaps; it is only good for the header.
        return (convert(&mut Faults::default()), false);
    }
    // Where the table ends whose header was the last to be told of.
    let mut told_until = 0;
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        // In a table that is there twice every key may be, too; that is one mistake.
        if span.start < told_until {
            continue;
        }
        if text.line_at(span.start).starts_with('[') {
            let rest = text.source.get(span.end..).unwrap_or_default();
            told_until = rest.find("\n[").map_or(text.source.len(), |at| span.end + at);
        }
        let key = text.source.get(span.clone()).map(quote).unwrap_or_default();
        faults.add(
            Fault::new(&span, "duplicate_key", format!("`{key}` is defined twice."))
                .fix("Keep one of the two."),
        );
    }
    (convert(faults), true)
}

fn is_duplicate(message: &str) -> bool {
    message.contains("duplicate key")
}

/// Tells of the first syntax error of each line.
fn syntax_errors(text: &Text, errors: &[toml::de::Error], faults: &mut Faults) {
    let place = |error: &toml::de::Error| error.span().unwrap_or(0..0);
    if let Some(error) = errors.iter().find(|error| error.message().contains("recurs")) {
        faults.add(too_deep(&place(error)));
        return;
    }
    let mut told = HashSet::new();
    for error in errors {
        let span = place(error);
        let line = text.line_at(span.start);
        if told.len() >= SYNTAX_ERRORS || !told.insert(line.as_ptr()) {
            continue;
        }
        let message = format!("This is not valid TOML: {}.", error.message());
        let mut fault = Fault::new(&span, "syntax", message);
        if line.contains('"') && line.contains('\\') {
            fault = fault.fix(
                "In double quotes a backslash starts an escape. Put a Windows path between single quotes.",
            );
        }
        faults.add(fault);
    }
}

fn too_deep(span: &Span) -> Fault {
    Fault::new(span, "too_deep", format!("More than {} levels are nested here.", LIMITS.depth))
}

fn read_json(text: &Text, faults: &mut Faults) -> Option<Node> {
    // Both parsers below recurse, so the depth is known before they start.
    if let Some(at) = deeper_than(&text.source, LIMITS.depth) {
        faults.add(too_deep(&(at..at + 1)));
        return None;
    }
    let strict = jsonc_parser::ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let parsed =
        jsonc_parser::parse_to_ast(&text.source, &jsonc_parser::CollectOptions::default(), &strict);
    let value = match parsed {
        Ok(parsed) => parsed.value,
        Err(error) => {
            let span = error.range().start..error.range().end;
            faults.add(Fault::new(
                &span,
                "syntax",
                format!("This is not valid JSON: {}.", error.kind()),
            ));
            return None;
        }
    };
    // The parser above forgives a few things that JSON does not.
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&text.source)
        && error.classify() != serde_json::error::Category::Io
    {
        // A number out of range is told with its own words below.
        if !error.to_string().starts_with("number out of range") {
            let at = text.line_start(error.line()) + error.column().saturating_sub(1);
            faults.add(Fault::new(
                &(at..at),
                "syntax",
                format!("This is not valid JSON: {error}."),
            ));
            return None;
        }
    }
    value.map(|value| Converter { text, faults }.json(&value))
}

/// Where brackets outside strings nest deeper than allowed.
fn deeper_than(json: &str, limit: usize) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in json.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limit {
            return Some(at);
        }
    }
    None
}

struct Converter<'a> {
    text: &'a Text,
    faults: &'a mut Faults,
}

impl Converter<'_> {
    fn toml(&mut self, value: &Spanned<DeValue<'_>>, depth: usize) -> Node {
        let span = value.span();
        let tree = match value.get_ref() {
            DeValue::String(text) => self.string(&span, text),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(value) => Tree::Integer(value),
                    Err(_) => self.number_too_large(&span),
                }
            }
            DeValue::Float(number) => self.float(&span, number.as_str()),
            DeValue::Boolean(value) => Tree::Bool(*value),
            DeValue::Datetime(value) => Tree::String(value.to_string()),
            DeValue::Array(items) => {
                if depth >= LIMITS.depth {
                    self.faults.add(too_deep(&span));
                    return Node { span, tree: Tree::Unusable };
                }
                self.length(&span, items.len());
                Tree::List(items.iter().map(|item| self.toml(item, depth + 1)).collect())
            }
            DeValue::Table(table) => return self.toml_table(span, table, depth),
        };
        Node { span, tree }
    }

    fn toml_table(&mut self, span: Span, table: &DeTable<'_>, depth: usize) -> Node {
        if depth >= LIMITS.depth {
            self.faults.add(too_deep(&span));
            return Node { span, tree: Tree::Unusable };
        }
        self.length(&span, table.len());
        let mut fields: Vec<Field> = table
            .iter()
            .map(|(key, value)| {
                self.string(&key.span(), key.get_ref());
                Field {
                    key: key.get_ref().to_string(),
                    key_span: key.span(),
                    node: self.toml(value, depth + 1),
                }
            })
            .collect();
        fields.sort_by_key(|field| field.key_span.start);
        Node { span, tree: Tree::Table(fields) }
    }

    fn json(&mut self, value: &jsonc_parser::ast::Value<'_>) -> Node {
        use jsonc_parser::{ast::Value as Json, common::Ranged};
        let range = value.range();
        let span = range.start..range.end;
        let tree = match value {
            Json::NullKeyword(_) => Tree::Null,
            Json::BooleanLit(literal) => Tree::Bool(literal.value),
            Json::NumberLit(literal) => self.json_number(&span, literal.value),
            Json::StringLit(literal) => self.string(&span, &literal.value),
            Json::Array(array) => {
                self.length(&span, array.elements.len());
                Tree::List(array.elements.iter().map(|item| self.json(item)).collect())
            }
            Json::Object(object) => {
                self.length(&span, object.properties.len());
                let mut seen = HashSet::new();
                let mut fields = Vec::with_capacity(object.properties.len());
                for property in &object.properties {
                    let range = property.name.range();
                    let key_span = range.start..range.end;
                    let key = property.name.as_str();
                    if !seen.insert(key) {
                        self.faults.add(
                            Fault::new(
                                &key_span,
                                "duplicate_key",
                                format!("`{}` is defined twice.", quote(key)),
                            )
                            .fix("Keep one of the two."),
                        );
                        continue;
                    }
                    self.string(&key_span, key);
                    let node = self.json(&property.value);
                    fields.push(Field { key: key.to_owned(), key_span, node });
                }
                Tree::Table(fields)
            }
        };
        Node { span, tree }
    }

    fn json_number(&mut self, span: &Span, literal: &str) -> Tree {
        if literal.bytes().any(|b| matches!(b, b'.' | b'e' | b'E')) {
            return self.float(span, literal);
        }
        literal.parse().map_or_else(|_| self.number_too_large(span), Tree::Integer)
    }

    fn float(&mut self, span: &Span, literal: &str) -> Tree {
        // Up to here every whole float is exactly one integer.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        match literal.parse::<f64>() {
            Ok(value) if value.fract() == 0.0 && value.abs() <= EXACT => {
                #[allow(clippy::cast_possible_truncation)] // whole and within 2^53
                Tree::Integer(value as i64)
            }
            Ok(value) if value.is_finite() => Tree::Float(value),
            _ => self.number_too_large(span),
        }
    }

    fn number_too_large(&mut self, span: &Span) -> Tree {
        let literal = self.text.source.get(span.clone()).map(quote).unwrap_or_default();
        self.faults.add(Fault::new(
            span,
            "out_of_range",
            format!("{literal} is not a number that can be used here."),
        ));
        Tree::Unusable
    }

    fn string(&mut self, span: &Span, text: &str) -> Tree {
        if text.len() > LIMITS.string_bytes {
            self.faults.add(Fault::new(
                span,
                "too_long",
                format!(
                    "This text has {} bytes; at most {} are allowed.",
                    text.len(),
                    LIMITS.string_bytes
                ),
            ));
        }
        if text.contains('\0') {
            self.faults.add(
                Fault::new(span, "nul_byte", "This text contains a NUL character.")
                    .fix("Remove it."),
            );
        }
        if let Some((at, c)) = hidden(text) {
            let place = self.text.within(span, text, at..at + c.len_utf8());
            let message = format!("There is an invisible character here: U+{:04X}.", u32::from(c));
            self.faults.add(Fault::new(&place, "hidden_character", message).fix("Remove it."));
        }
        Tree::String(text.to_owned())
    }

    fn length(&mut self, span: &Span, count: usize) {
        if count > LIMITS.items {
            self.faults.add(Fault::new(
                span,
                "too_many",
                format!("There are {count} entries here; at most {} are allowed.", LIMITS.items),
            ));
        }
    }
}
