//! Small edits of a definition's text: a top-level value is put in its place and every other byte
//! stays as it is, comments and layout included.

use std::ops::Range;

use jsonc_parser::{ast::Value as Json, common::Ranged};
use serde_json::{Map, Value};
use toml::de::DeTable;

/// The values of a definition's text, as far as it is correct TOML or JSON.
pub(crate) fn values(file: &str, text: &str) -> Option<Map<String, Value>> {
    let text = without_mark(text);
    if is_json(file, text) { serde_json::from_str(text).ok() } else { toml::from_str(text).ok() }
}

/// The id among the values of a text.
pub(crate) fn id_of(values: &Map<String, Value>) -> Option<&str> {
    values.get("id")?.as_str().filter(|id| !id.is_empty())
}

/// The text without a byte order mark: what a run is pinned to and what is hashed.
pub(crate) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Whether the text is JSON, by the file's name and, for a text without one, by its start.
pub(crate) fn is_json(file: &str, text: &str) -> bool {
    let file = file.to_ascii_lowercase();
    file.ends_with(".json") || (!file.contains('.') && text.trim_start().starts_with('{'))
}

/// The text with a top-level value set: a text or yes or no. None if the text is not correct TOML or
/// JSON, or has something else than a plain value there.
pub(crate) fn set(file: &str, text: &str, key: &str, value: &Value) -> Option<String> {
    let mark = text.len() - without_mark(text).len();
    let (mark, body) = text.split_at(mark);
    let before = values(file, body)?;
    if before.get(key) == Some(value) {
        return Some(text.to_owned());
    }
    let edited = if is_json(file, body) { json(body, key, value) } else { toml(body, key, value) }?;
    // What was meant, and nothing else, must have changed.
    let mut expected = before;
    expected.insert(key.to_owned(), value.clone());
    (values(file, &edited)? == expected).then(|| format!("{mark}{edited}"))
}

fn toml(text: &str, key: &str, value: &Value) -> Option<String> {
    let table = DeTable::parse(text).ok()?;
    let span = |key: &str| {
        let found = table.get_ref().iter().find(|(name, _)| name.get_ref().as_ref() == key);
        found.map(|(_, value)| value.span())
    };
    if let Some(place) = span(key) {
        return Some(spliced(text, place, &value.to_string()));
    }
    // After the name and the id: at the latest of their lines, where only a comment can follow.
    let known = ["id", "name", "description"].into_iter().filter_map(span).map(|place| place.end);
    let line_break = if text.contains("\r\n") { "\r\n" } else { "\n" };
    match known.max() {
        Some(end) => {
            let end = text[end..].find('\n').map_or(text.len(), |at| end + at);
            let end = if text[..end].ends_with('\r') { end - 1 } else { end };
            Some(spliced(text, end..end, &format!("{line_break}{key} = {value}")))
        }
        None => Some(spliced(text, 0..0, &format!("{key} = {value}{line_break}"))),
    }
}

fn json(text: &str, key: &str, value: &Value) -> Option<String> {
    let parsed = jsonc_parser::parse_to_ast(text, &Default::default(), &Default::default()).ok()?;
    let Some(Json::Object(object)) = parsed.value else { return None };
    let find = |key: &str| object.properties.iter().find(|entry| entry.name.as_str() == key);
    if let Some(entry) = find(key) {
        let place = entry.value.range();
        return Some(spliced(text, place.start..place.end, &value.to_string()));
    }
    let anchor = ["description", "name", "id"].into_iter().find_map(find);
    match anchor.or(object.properties.first()) {
        Some(entry) => {
            let place = entry.range();
            let before = &text[..place.start];
            let space = &before[before.trim_end().len()..];
            let added = format!(",{space}\"{key}\": {value}");
            Some(spliced(text, place.end..place.end, &added))
        }
        None => {
            let start = object.range().start + 1;
            Some(spliced(text, start..start, &format!("\"{key}\": {value}")))
        }
    }
}

fn spliced(text: &str, place: Range<usize>, piece: &str) -> String {
    format!("{}{piece}{}", &text[..place.start], &text[place.end..])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_value_changes() {
        let off = json!(false);
        let rows: &[(&str, &str, &str, Value, Option<&str>)] = &[
            (
                "a.toml",
                "id = \"a\" # its id\n\n[step.x]\n",
                "enabled",
                off.clone(),
                Some("id = \"a\" # its id\nenabled = false\n\n[step.x]\n"),
            ),
            (
                "a.toml",
                "# top\nid = \"a\"\nenabled   =  true   # why\n[step.x]",
                "enabled",
                off.clone(),
                Some("# top\nid = \"a\"\nenabled   =  false   # why\n[step.x]"),
            ),
            (
                "a.toml",
                "id = \"a\"\r\nname = 'b'\r\n",
                "enabled",
                off.clone(),
                Some("id = \"a\"\r\nname = 'b'\r\nenabled = false\r\n"),
            ),
            (
                "a.toml",
                "\u{feff}name = \"\"\"\nx\n\"\"\"",
                "enabled",
                off.clone(),
                Some("\u{feff}name = \"\"\"\nx\n\"\"\"\nenabled = false"),
            ),
            (
                "a.toml",
                "name = \"a\"\nid = \"b\"\n[config]\nenabled = true\n",
                "enabled",
                off.clone(),
                Some("name = \"a\"\nid = \"b\"\nenabled = false\n[config]\nenabled = true\n"),
            ),
            (
                "a.toml",
                "[step.x]\nid = 1\n",
                "id",
                json!("a\"\u{1f}ü"),
                Some("id = \"a\\\"\\u001fü\"\n[step.x]\nid = 1\n"),
            ),
            ("a.toml", "enabled = false\n", "enabled", off.clone(), Some("enabled = false\n")),
            ("a.toml", "id = ", "enabled", off.clone(), None),
            ("a.toml", "id = 'a'\nenabled.x = 1\n", "enabled", off.clone(), None),
            (
                "a.json",
                "{\"id\":\"a\"}",
                "enabled",
                off.clone(),
                Some("{\"id\":\"a\",\"enabled\": false}"),
            ),
            (
                "a.json",
                "{\n  \"id\": \"a\",\n  \"step\": {}\n}\n",
                "enabled",
                off.clone(),
                Some("{\n  \"id\": \"a\",\n  \"enabled\": false,\n  \"step\": {}\n}\n"),
            ),
            (
                "a.json",
                "{ \"enabled\" : true }",
                "enabled",
                off.clone(),
                Some("{ \"enabled\" : false }"),
            ),
            ("a.json", "{}", "id", json!("x"), Some("{\"id\": \"x\"}")),
            ("a.json", "[]", "id", json!("x"), None),
            ("a.json", "{\"id\": }", "id", json!("x"), None),
        ];
        for (file, text, key, value, expected) in rows {
            assert_eq!(set(file, text, key, value).as_deref(), *expected, "{text}");
        }
    }

    #[test]
    fn hostile_nesting_is_no_reason_to_fall_over() {
        let deep = 100_000;
        let texts = [
            ("a.json", "{\"a\":".repeat(deep)),
            ("a.json", "[".repeat(deep)),
            ("a.toml", format!("a = {}", "[".repeat(deep))),
            ("a.toml", format!("{}b = 1", "a.".repeat(deep))),
            ("a.toml", format!("[{}b]", "a.".repeat(deep))),
        ];
        for (file, text) in texts {
            assert_eq!(set(file, &text, "enabled", &json!(false)), None, "{text:.20}");
        }
    }
}
