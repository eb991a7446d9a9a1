//! Values as market services send them, taken as they come.
//!
//! The same field is a number in one answer, a text in the next, `"NA"` in a third; a collection is an
//! object keyed `"0"`, `"1"`, … or by date, and `[]` when it is empty. What is read here is kept as a
//! [`Decimal`]: 28 digits, so that a price or an amount stays what was sent. A number without
//! quotes arrives through a double, which keeps 15 digits. What is no number is never taken
//! for one: it is missing, or it is noted as unreadable.

use std::str::FromStr;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde_json::Value;

/// Notes kept of one answer; what follows is only counted.
const MOST_NOTES: usize = 20;

/// What could not be read, with its place in the answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// The first of them, each a sentence.
    pub lines: Vec<String>,
    /// All of them.
    pub count: usize,
}

impl Notes {
    /// Adds a sentence.
    pub fn add(&mut self, line: String) {
        self.count += 1;
        if self.lines.len() < MOST_NOTES {
            self.lines.push(line);
        }
    }
}

/// An object of an answer, with its place in it for messages.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    value: &'a Value,
    place: &'a str,
}

impl<'a> Fields<'a> {
    /// The fields of `value`, which messages call `place`. What is no object has no fields.
    #[must_use]
    pub const fn new(value: &'a Value, place: &'a str) -> Self {
        Self { value, place }
    }

    /// The object in a field.
    #[must_use]
    pub fn object(&self, key: &'a str) -> Self {
        Self { value: &self.value[key], place: key }
    }

    /// The value of a field as it is.
    #[must_use]
    pub fn raw(&self, key: &str) -> &'a Value {
        &self.value[key]
    }

    /// A number, if there is one.
    pub fn decimal(&self, key: &str, notes: &mut Notes) -> Option<Decimal> {
        let value = &self.value[key];
        decimal(value).unwrap_or_else(|| {
            notes.add(format!("{}.{key} is not a number: {}", self.place, shortened(value)));
            None
        })
    }

    /// A text that is not empty.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<String> {
        text(&self.value[key])
    }

    /// A day written `2026-04-13`; a time after it is passed over.
    pub fn date(&self, key: &str, notes: &mut Notes) -> Option<Date> {
        let text = self.text(key)?;
        if is_missing(&text) || text.starts_with("0000") {
            return None;
        }
        let date = date(&text);
        if date.is_none() {
            notes.add(format!(
                "{}.{key} is not a day: {}",
                self.place,
                shortened(&Value::from(text))
            ));
        }
        date
    }

    /// Yes or no, also as `1`, `"1"` and `"true"`.
    #[must_use]
    pub fn flag(&self, key: &str) -> Option<bool> {
        match &self.value[key] {
            Value::Bool(flag) => Some(*flag),
            Value::Number(number) => Some(number.as_i64() != Some(0)),
            Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" => Some(true),
                "false" | "no" | "0" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// The entries of a collection with their keys.
    pub fn entries(&self, key: &str) -> Vec<(&'a str, &'a Value)> {
        entries(&self.value[key])
    }
}

/// The entries of a list, or of an object that stands for one, in its order: numbered keys by
/// number, others as text. Anything else has none.
#[must_use]
pub fn entries(value: &Value) -> Vec<(&str, &Value)> {
    match value {
        Value::Array(list) => list.iter().map(|item| ("", item)).collect(),
        Value::Object(map) => {
            let mut list: Vec<_> = map.iter().map(|(key, item)| (key.as_str(), item)).collect();
            list.sort_by(|(a, _), (b, _)| match (a.parse::<u64>(), b.parse::<u64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                _ => a.cmp(b),
            });
            list
        }
        _ => Vec::new(),
    }
}

/// A number: `Some(None)` if there is none, `None` if what stands there cannot be read as one.
#[must_use]
#[allow(clippy::option_option, reason = "missing and unreadable are different things here")]
pub fn decimal(value: &Value) -> Option<Option<Decimal>> {
    match value {
        Value::Null => Some(None),
        Value::Number(number) => parse(&number.to_string()).map(Some),
        Value::String(text) if is_missing(text) => Some(None),
        Value::String(text) => parse(text.trim()).map(Some),
        // An empty collection where a number should be is how PHP writes "nothing".
        Value::Array(list) if list.is_empty() => Some(None),
        Value::Object(map) if map.is_empty() => Some(None),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn parse(text: &str) -> Option<Decimal> {
    if text.len() > 64 {
        return None;
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    let plain = if text.contains(['e', 'E']) {
        Decimal::from_scientific(text)
    } else {
        Decimal::from_str(text)
    };
    plain.ok().map(|number| number.normalize())
}

/// The ways in which services write that there is nothing.
fn is_missing(text: &str) -> bool {
    let word = text.trim().to_ascii_lowercase();
    matches!(
        word.as_str(),
        "" | "na"
            | "n/a"
            | "none"
            | "null"
            | "nan"
            | "-"
            | "--"
            | "inf"
            | "-inf"
            | "infinity"
            | "-infinity"
    )
}

/// A text without the white space around it, if anything is left of it.
#[must_use]
pub fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.is_empty() && !matches!(text.as_str(), "NA" | "N/A")).then_some(text)
}

/// A day written `2026-04-13`, with or without a time after it.
#[must_use]
pub fn date(text: &str) -> Option<Date> {
    let text = text.trim();
    let day = text.get(..10)?;
    let rest = &text[10..];
    if !rest.is_empty() && !rest.starts_with(['T', ' ']) {
        return None;
    }
    day.parse().ok()
}

/// A value as messages show it.
fn shortened(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_is_read_in_every_dress_and_never_invented() {
        let rows = [
            (json!(1.5), Some(Some("1.5"))),
            (json!("364980000000.00"), Some(Some("364980000000"))),
            (json!("0.1"), Some(Some("0.1"))),
            (json!(0.1), Some(Some("0.1"))),
            (json!(" -3.20 "), Some(Some("-3.2"))),
            (json!("+4"), Some(Some("4"))),
            (json!(1e21), Some(Some("1000000000000000000000"))),
            (json!("1.5E3"), Some(Some("1500"))),
            (json!(0), Some(Some("0"))),
            (json!(u64::MAX), Some(Some("18446744073709551615"))),
            (json!("0.0000000000000000000000000001"), Some(Some("0.0000000000000000000000000001"))),
            (json!(null), Some(None)),
            (json!("NA"), Some(None)),
            (json!("N/A"), Some(None)),
            (json!("None"), Some(None)),
            (json!("NaN"), Some(None)),
            (json!("-inf"), Some(None)),
            (json!(""), Some(None)),
            (json!("-"), Some(None)),
            (json!([]), Some(None)),
            (json!({}), Some(None)),
            (json!("1,234"), None),
            (json!("12abc"), None),
            (json!("1e99"), None),
            (json!("9".repeat(40)), None),
            (json!("1".repeat(10_000)), None),
            (json!(true), None),
            (json!([1]), None),
            (json!({"0": 1}), None),
        ];
        for (value, expected) in rows {
            let read = decimal(&value).map(|number| number.map(|number| number.to_string()));
            assert_eq!(read, expected.map(|n| n.map(str::to_owned)), "{value}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_noted_with_its_place_once() {
        let value =
            json!({"close": "1,2", "date": "yesterday", "none": "NA", "zero": "0000-00-00"});
        let mut notes = Notes::default();
        let fields = Fields::new(&value, "row 3");
        assert_eq!(fields.decimal("close", &mut notes), None);
        assert_eq!(fields.date("date", &mut notes), None);
        assert_eq!(fields.decimal("none", &mut notes), None);
        assert_eq!(fields.date("zero", &mut notes), None);
        assert_eq!(fields.decimal("absent", &mut notes), None);
        assert_eq!(
            notes.lines,
            ["row 3.close is not a number: \"1,2\"", "row 3.date is not a day: \"yesterday\""]
        );
        for _ in 0..100 {
            fields.decimal("close", &mut notes);
        }
        assert_eq!((notes.lines.len(), notes.count), (MOST_NOTES, 102));
    }

    #[test]
    fn a_collection_is_a_list_or_an_object_or_nothing() {
        let keys = |value: &Value| -> Vec<String> {
            entries(value).into_iter().map(|(key, item)| format!("{key}={item}")).collect()
        };
        assert_eq!(keys(&json!([5, 6])), ["=5", "=6"]);
        assert_eq!(keys(&json!({"10": 3, "9": 2, "0": 1})), ["0=1", "9=2", "10=3"]);
        assert_eq!(
            keys(&json!({"2026-01-01": 2, "2025-12-31": 1})),
            ["2025-12-31=1", "2026-01-01=2"]
        );
        for nothing in [json!({}), json!([]), json!(null), json!("NA"), json!(0)] {
            assert!(entries(&nothing).is_empty(), "{nothing}");
        }
    }

    #[test]
    fn a_day_is_a_day() {
        for (text, expected) in [
            ("2026-04-13", Some("2026-04-13")),
            (" 2026-04-13T07:00:00+00:00", Some("2026-04-13")),
            ("2026-04-13 07:00:00", Some("2026-04-13")),
            ("2026-04-31", None),
            ("2026-4-13", None),
            ("13/04/2026", None),
            ("2026-04-13x", None),
            ("", None),
            ("éééééééééé", None),
        ] {
            assert_eq!(date(text).map(|d| d.to_string()), expected.map(str::to_owned), "{text}");
        }
    }
}
