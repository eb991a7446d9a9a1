//! Promises of the language of conditions.

use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::definition::condition::{
    Condition, Facts, MAX_CHARS, MAX_TOKENS, StepFacts, StepOutcome, parse,
};

/// What happened in a run.
#[derive(Default)]
struct Run {
    steps: HashMap<String, StepFacts>,
    variables: HashMap<String, Value>,
}

impl Facts for Run {
    fn step(&self, name: &str) -> Option<StepFacts> {
        self.steps.get(name).copied()
    }

    fn variable(&self, name: &str) -> Option<Value> {
        self.variables.get(name).cloned()
    }
}

fn step(outcome: StepOutcome, numbers: [u64; 5]) -> StepFacts {
    let [created, updated, unchanged, failures, warnings] = numbers;
    StepFacts { outcome, created, updated, unchanged, failures, warnings }
}

fn run() -> Run {
    let steps = [
        ("good", step(StepOutcome::Completed, [3, 2, 5, 1, 4])),
        ("bad", step(StepOutcome::Failed, [0, 0, 0, 7, 0])),
        ("left out", step(StepOutcome::Skipped, [0; 5])),
        ("huge", step(StepOutcome::Cancelled, [u64::MAX; 5])),
    ];
    let variables = [
        ("deep", json!(true)),
        ("count", json!(3)),
        ("share", json!(0.5)),
        ("word", json!("x \"y\"")),
        ("date", json!("2026-03-01")),
        ("a.b-c", json!("dotted")),
        ("text_count", json!("3")),
        ("text_deep", json!("true")),
        ("text_ten", json!("10")),
        ("padded", json!("03")),
        ("list", json!([1])),
    ];
    Run {
        steps: steps.map(|(name, facts)| (name.to_owned(), facts)).into(),
        variables: variables.map(|(name, value)| (name.to_owned(), value)).into(),
    }
}

#[test]
fn conditions_mean_what_they_say() {
    for (text, holds) in [
        (r#"completed("good")"#, true),
        (r#"completed("bad")"#, false),
        (r#"failed("bad") and skipped('left out') and cancelled("huge")"#, true),
        (r#"completed("nobody") or failed("nobody")"#, false),
        (r#"documents("good") == 10 and created("good") == 3 and updated("good") == 2"#, true),
        (r#"failures("bad") > failures("good")"#, true),
        (r#"warnings("good") >= 4 and not (warnings("good") > 4)"#, true),
        (r#"documents("nobody") == 0"#, true),
        (r#"documents("huge") > 1000"#, true),
        ("config.deep", true),
        ("not config.deep", false),
        ("config.deep == true and config.deep != false", true),
        ("config.count <= 3 and config.count > 2.5 and config.share < 1", true),
        (r#"config.word == "x \"y\"" and config.word == 'x "y"'"#, true),
        (r#"config.date >= "2026-01-01" and config.date < "2026-12-31""#, true),
        (r#"config.a.b-c == 'dotted'"#, true),
        // `and` binds closer than `or`, `not` closest.
        ("true or false and false", true),
        ("(true or false) and false", false),
        ("not false and false", false),
        ("not (false and false)", true),
        ("not not true", true),
        ("-1 < 0 and 0.50 == 0.5", true),
        // Given as text, a variable still is the number or the truth it stands for.
        ("config.text_count == 3 and config.text_deep and config.text_deep == true", true),
        ("config.text_count < config.text_ten", true),
        ("config.text_count == config.padded", false),
        // Unlike kinds are never equal, and never unequal either.
        ("config.word == 3 or config.word != 3 or config.word < 3", false),
        ("config.word or config.count", false),
        ("config.missing == 1 or config.missing != 1 or config.missing", false),
        ("config.list == 1 or config.list != 1", false),
        ("not config.missing", true),
        ("\n true \t and\r\n true ", true),
    ] {
        let condition = parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        assert_eq!(condition.holds(&run()), holds, "{text}");
    }
}

#[test]
fn what_is_no_condition_is_refused_at_its_place() {
    for (text, place, fix) in [
        ("", "", "completed(\"STEP\")"),
        ("   ", "", "completed(\"STEP\")"),
        ("completed", "completed", "completed(\"STEP\")"),
        ("completed(", "", "completed(\"STEP\")"),
        ("completed(\"a\"", "(", "`)`"),
        ("completed(\"a\" \"b\")", "\"b\"", "Close"),
        ("completed(a)", "a", "completed(\"a\")"),
        ("completed(1)", "1", "completed(\"STEP\")"),
        ("complete(\"a\")", "complete", "`completed`"),
        ("system(\"rm\")", "system", "between quotes"),
        ("true true", "true", "`and` or `or`"),
        ("true)", ")", "Remove it"),
        ("(true", "(", "`)`"),
        ("()", ")", ""),
        ("true and", "", ""),
        ("and true", "and", ""),
        ("1 == not true", "not", ""),
        ("true && false", "&&", "`and`"),
        ("true || false", "||", "`or`"),
        ("!true", "!", "`not`"),
        ("1 = 1", "=", "`==`"),
        ("1 < 2 < 3", "<", "joined with `and`"),
        ("true AND false", "AND", "`and`"),
        ("{config.a}", "{", "without braces"),
        ("${x}", "$", "without braces"),
        ("config.", "config.", "`config.NAME`"),
        ("config.a..b", "config.a..b", "`config.NAME`"),
        ("1.2.3 > 0", "1.2.3", ""),
        (".5 > 0", ".", ""),
        ("1e9 > 0", "1e9", ""),
        ("- 1 > 0", "-", ""),
        ("\"a", "\"a", "Close it"),
        ("\"\\n\" == \"\"", "\\", "`\\\\`"),
        ("5", "5", "`> 0`"),
        ("documents(\"a\")", "documents(\"a\")", "`> 0`"),
        ("\"a\"", "\"a\"", "`!= \"\"`"),
        ("1 == \"1\"", "1 == \"1\"", "one kind"),
        ("true == 1", "true == 1", "one kind"),
        ("true < false", "true < false", "`==`"),
        ("completed(\"a\") > config.x", "completed(\"a\") > config.x", "`==`"),
        ("not 1", "1", "`> 0`"),
        ("true and documents(\"a\")", "documents(\"a\")", "`> 0`"),
        ("1 + 1 == 2", "+", ""),
        ("ü == 1", "ü", ""),
        ("\u{1f600}", "\u{1f600}", ""),
    ] {
        let error = parse(text).expect_err(text);
        assert_eq!(&text[error.span.clone()], place, "{text}: {error:?}");
        let given = error.fix.clone().unwrap_or_default();
        assert!(given.contains(fix), "{text}: {error:?}");
        assert!(error.message.ends_with('.'), "{text}: {error:?}");
    }
}

#[test]
fn conditions_have_limits() {
    let nested = |depth: usize| format!("{}true{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&nested(32)).is_ok());
    assert!(parse(&nested(33)).is_err());
    assert!(parse(&format!("{}true", "not ".repeat(32))).is_ok());
    assert!(parse(&format!("{}true", "not ".repeat(33))).is_err());
    let long = |chars: usize| format!("\"{}\" != \"\"", "ü".repeat(chars - 8));
    assert!(parse(&long(MAX_CHARS)).is_ok());
    assert!(parse(&long(MAX_CHARS + 1)).is_err());
    let joined = |count: usize| vec!["1>0"; count].join(" or ");
    assert_eq!(MAX_TOKENS, 200);
    assert!(parse(&joined(50)).is_ok(), "199 tokens");
    assert!(parse(&joined(51)).is_err(), "203 tokens");
    assert!(parse(&"(".repeat(1_000_000)).is_err());
    assert!(parse(&"9".repeat(400)).is_err(), "not a finite number");
}

#[test]
fn a_condition_is_stored_as_its_text() {
    let condition = parse("config.x  ==  'a\"b'").expect("a condition");
    let stored = serde_json::to_string(&condition).expect("it can be stored");
    assert_eq!(stored, r#""config.x  ==  'a\"b'""#);
    assert_eq!(serde_json::from_str::<Condition>(&stored).expect("and read"), condition);
    assert!(serde_json::from_str::<Condition>("\"1 +\"").is_err());
}

/// A condition that is true or false, and what it must come to.
fn boolean() -> impl Strategy<Value = (String, bool)> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(|value| (value.to_string(), value)),
        Just(("completed(\"good\")".to_owned(), true)),
        Just(("failed('good')".to_owned(), false)),
        Just(("config.deep".to_owned(), true)),
        (0_u32..20, 0_u32..20).prop_map(|(a, b)| (format!("{a}<={b}"), a <= b)),
        (0_u32..20).prop_map(|n| (format!("documents(\"good\") > {n}"), 10 > n)),
        ("[a-c]{0,2}", "[a-c]{0,2}").prop_map(|(a, b)| (format!("'{a}' == \"{b}\""), a == b)),
    ];
    leaf.prop_recursive(5, 20, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|(text, value)| (format!("not ({text})"), !value)),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| joined(&parts, "and")),
            prop::collection::vec(inner, 2..4).prop_map(|parts| joined(&parts, "or")),
        ]
    })
}

fn joined(parts: &[(String, bool)], word: &str) -> (String, bool) {
    let texts: Vec<String> = parts.iter().map(|(text, _)| format!("({text})")).collect();
    let value = match word {
        "and" => parts.iter().all(|(_, value)| *value),
        _ => parts.iter().any(|(_, value)| *value),
    };
    (texts.join(&format!(" {word} ")), value)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_condition_holds_exactly_if_it_must((text, value) in boolean()) {
        // What is too long is refused, never cut.
        match parse(&text) {
            Ok(condition) => {
                prop_assert_eq!(condition.holds(&run()), value, "{}", text);
                let again = parse(&condition.to_string()).expect("what is shown can be read");
                prop_assert_eq!(again.holds(&run()), value);
                prop_assert_eq!(again, condition);
            }
            Err(error) => prop_assert!(error.message.contains("more than") || error.message.contains("More than"), "{}: {}", text, error),
        }
    }

    #[test]
    fn any_text_is_a_condition_or_refused_within_itself(text in "\\PC{0,60}|(completed|documents|config\\.a|not|and|or|[()<>=!\"' 0-9.-]){0,14}") {
        match parse(&text) {
            Ok(condition) => {
                let _ = (condition.holds(&run()), condition.holds(&Run::default()));
            }
            Err(error) => prop_assert!(text.get(error.span.clone()).is_some(), "{:?}", error),
        }
    }
}
