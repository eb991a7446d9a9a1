//! Promises that hold for every input: nothing panics, limits are kept, checking twice says the same.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{INPUTS, definition, has_errors, malformed, registry};
use crate::definition::{Definition, LIMITS, check, fault};

/// Everything that is accepted keeps the limits.
fn assert_limits(definition: &Definition) {
    fn walk(value: &Value, depth: usize) {
        assert!(depth <= LIMITS.depth);
        match value {
            Value::String(text) => {
                assert!(text.len() <= LIMITS.string_bytes && !text.contains('\0'))
            }
            Value::Array(items) => {
                assert!(items.len() <= LIMITS.items);
                items.iter().for_each(|item| walk(item, depth + 1));
            }
            Value::Object(map) => map.values().for_each(|item| walk(item, depth + 1)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    assert!((1..=LIMITS.steps).contains(&definition.steps.len()));
    assert!(!definition.name.is_empty() && (1..=64).contains(&definition.id.len()));
    for step in &definition.steps {
        walk(&step.config, 0);
        let known = |name: &String| definition.steps.iter().any(|other| other.name == *name);
        assert!(step.depends.iter().all(known) && !step.depends.contains(&step.name));
    }
}

/// A text that is nearly a definition: real lines, mixed with noise.
fn nearly() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        8 => prop::sample::select(INPUTS.lines().map(str::to_owned).collect::<Vec<_>>()),
        1 => "[ -~é{}\\[\\]\"']{0,30}",
        1 => "[a-z_]{1,12} = (\"[ -~]{0,20}\"|[0-9.e+-]{1,8}|\\[.{0,10}\\])",
        1 => "\\[step\\.[a-z]{1,3}\\]",
    ];
    prop::collection::vec(line, 0..30).prop_map(|lines| lines.join("\n"))
}

fn assert_sane(file: &str, bytes: &[u8]) {
    let registry = registry();
    let first = check(file, bytes, &registry);
    let second = check(file, bytes, &registry);
    assert_eq!(first.problems, second.problems, "checking twice gives the same");
    assert_eq!(first.header, second.header);
    assert_eq!(first.definition.is_none(), has_errors(&first.problems));
    assert_eq!(malformed(&first.problems, bytes.len()), Vec::<String>::new());
    if let Some(definition) = first.definition {
        assert_limits(&definition);
        let _ = definition.bind(&BTreeMap::new(), &registry);
        let _ = definition.inputs(&registry);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_values_bind_or_are_refused(
        url in ".{0,40}", pages in "-?[0-9.e]{0,12}", deep in "[a-z01]{0,5}", word in ".{0,20}", note in ".{0,20}",
    ) {
        let set = [("url", url), ("max_pages", pages), ("deep", deep), ("word", word), ("note", note), ("folder", "/x".to_owned())];
        let set = set.map(|(key, value)| (key.to_owned(), value)).into();
        let (definition, registry) = (definition(INPUTS), registry());
        match definition.bind(&set, &registry) {
            Ok(bound) => for step in &bound.steps {
                let schema = registry.manager(&step.step_type).expect("a known type").schema();
                prop_assert!(jsonschema::is_valid(schema.as_value(), &step.config), "{}", step.config);
            },
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                prop_assert_eq!(malformed(&problems, INPUTS.len()), Vec::<String>::new());
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        assert_sane("a.toml", &bytes);
        assert_sane("a.json", &bytes);
    }

    #[test]
    fn what_is_nearly_a_definition_is_accepted_or_refused_the_same_each_time(text in nearly()) {
        assert_sane("a.toml", text.as_bytes());
    }

    #[test]
    fn a_mutated_definition_never_panics(at in 0..INPUTS.len(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = INPUTS.as_bytes().to_vec();
        bytes[at] = byte;
        if cut { bytes.truncate(at); }
        assert_sane("a.toml", &bytes);
    }

    #[test]
    fn json_text_never_panics(text in "[\\[\\]{}\",:a-z0-9.eE\\\\ -]{0,80}") {
        assert_sane("a.json", text.as_bytes());
    }

    #[test]
    fn substitution_never_expands_a_value(value in "[^\\x00\\r]{0,40}(\\{(config\\.)?(url|word|folder)\\})?[^\\x00]{0,20}") {
        prop_assume!(fault::hidden(&value).is_none());
        let set = [("folder".to_owned(), format!("/x{value}"))].into();
        let bound = definition(INPUTS).bind(&set, &registry()).expect("any text is a path");
        prop_assert_eq!(&bound.steps[0].config["path"], &json!(format!("/x{value}")));
    }
}
