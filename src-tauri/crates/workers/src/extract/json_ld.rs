//! What a page tells of itself in JSON-LD, the data for search engines.

use serde_json::Value;

/// Names of types whose properties are those of the page, the most telling first; a type ends with
/// one of them.
const TYPES: [&str; 12] = [
    "Article",
    "Posting",
    "Report",
    "Recipe",
    "HowTo",
    "Product",
    "Book",
    "Course",
    "Event",
    "Question",
    "VideoObject",
    "Page",
];
/// Names that are joined.
const MAX_NAMES: usize = 10;

/// The things that JSON-LD describes, the most telling first.
#[derive(Debug, Default)]
pub(super) struct Told(Vec<Value>);

impl Told {
    /// Reads the blocks of a page. What is no JSON says nothing.
    pub(super) fn read(blocks: &[String]) -> Self {
        let mut found = Vec::new();
        for block in blocks {
            if let Ok(value) = serde_json::from_str(block.trim()) {
                collect(value, &mut found);
            }
        }
        found.sort_by_key(|(rank, _)| *rank);
        Self(found.into_iter().map(|(_, thing)| thing).collect())
    }

    /// The first text of a property: its own, or the names of what it holds.
    pub(super) fn text(&self, property: &str) -> Option<String> {
        self.0.iter().filter_map(|thing| thing.get(property)).find_map(text)
    }
}

fn collect(value: Value, found: &mut Vec<(usize, Value)>) {
    match value {
        Value::Array(values) => values.into_iter().for_each(|value| collect(value, found)),
        Value::Object(mut thing) => {
            if let Some(graph) = thing.remove("@graph") {
                collect(graph, found);
            }
            let kinds = match thing.get("@type") {
                Some(Value::Array(kinds)) => kinds.as_slice(),
                Some(kind) => std::slice::from_ref(kind),
                None => &[],
            };
            let rank = TYPES.iter().position(|name| {
                kinds.iter().filter_map(Value::as_str).any(|kind| kind.ends_with(name))
            });
            if let Some(rank) = rank {
                found.push((rank, Value::Object(thing)));
            }
        }
        _ => {}
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()).filter(|text| !text.trim().is_empty()),
        Value::Object(thing) => text(thing.get("name")?),
        Value::Array(values) => {
            let names: Vec<String> = values.iter().take(MAX_NAMES).filter_map(text).collect();
            (!names.is_empty()).then(|| names.join(", "))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_told_from_what_is_around_it() {
        for (json, property, expected) in [
            (r#"{"@type":"NewsArticle","author":"A"}"#, "author", Some("A")),
            (
                r#"{"@type":["Thing","Article"],"author":{"@type":"Person","name":"A"}}"#,
                "author",
                Some("A"),
            ),
            (
                r#"{"@type":"Article","author":[{"name":"A"},"B",{"url":"x"}]}"#,
                "author",
                Some("A, B"),
            ),
            (
                r#"{"@graph":[{"@type":"WebPage","name":"P","inLanguage":"de"},{"@type":"BlogPosting","name":"B"}]}"#,
                "name",
                Some("B"),
            ),
            (r#"[{"@type":"WebPage","inLanguage":"de"}]"#, "inLanguage", Some("de")),
            (r#"{"@type":"Organization","name":"O"}"#, "name", None),
            (r#"{"@type":"Article","author":{},"name":3}"#, "author", None),
            ("{", "author", None),
        ] {
            let told = Told::read(&[json.to_owned()]);
            assert_eq!(told.text(property).as_deref(), expected, "{json}");
        }
        assert_eq!(Told::read(&["[".repeat(100_000)]).text("name"), None);
    }
}
