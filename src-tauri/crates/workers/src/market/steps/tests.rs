//! What steps may be told, and what they say otherwise.

use serde_json::json;

use super::*;

#[track_caller]
fn check(manager: &dyn StepManager, config: Value, expected: &[(&str, &str)]) {
    let problems = manager.check(&config);
    let found: Vec<(&str, &str)> =
        problems.iter().map(|problem| (problem.pointer.as_str(), problem.code)).collect();
    assert_eq!(found, expected, "{config}: {problems:?}");
}

#[test]
fn what_cannot_be_collected_is_told_before_the_run() {
    check(&StockManager, json!({"asx_code": "BHP"}), &[]);
    check(&StockManager, json!({"tickers": ["bhp", "ASX:CBA"], "period": "Y5"}), &[]);
    check(&StockManager, json!({}), &[("", "required")]);
    check(&StockManager, json!({"asx_codes": ["BHP", "BHP.US"]}), &[("/asx_codes/1", "bad_code")]);
    check(
        &StockManager,
        json!({"ticker": "BHP", "benchmark": "SPX"}),
        &[("/benchmark", "bad_code")],
    );
    check(&StockManager, json!({"ticker": "BHP", "benchmark": ""}), &[]);
    check(
        &StockManager,
        json!({"ticker": "BHP", "synthetic_seed": 4}),
        &[("/provider", "conflict")],
    );
    let invented = json!({"ticker": "BHP", "provider": "synthetic", "synthetic_seed": 4, "synthetic_defects": ["jump", "no.such"]});
    check(&StockManager, invented, &[("/synthetic_defects/1", "unknown_value")]);
    check(&IndexManager, json!({}), &[]);
    check(&IndexManager, json!({"asx_code": "BHP"}), &[("/asx_code", "bad_code")]);
    let terms = ("/accept_asx_terms", "terms_not_accepted");
    check(&AnnouncementsManager, json!({"asx_code": "BHP"}), &[terms]);
    check(&AnnouncementsManager, json!({"asx_code": "BHP", "accept_asx_terms": true}), &[]);
    check(&AnnouncementsManager, json!({"asx_code": "BHP", "provider": "synthetic"}), &[]);
}

#[test]
fn each_code_is_one_task_and_nothing_is_asked_without_the_terms() {
    let start = |config: Value| StepStart { name: "s".to_owned(), config };
    let tasks = StockManager.first_tasks(&start(json!({"ticker": "bhp", "asx_codes": ["CBA"]})));
    let keys: Vec<Option<String>> =
        tasks.expect("tasks").into_iter().map(|task| task.key).collect();
    assert_eq!(keys, [Some("BHP.AU".to_owned()), Some("CBA.AU".to_owned())]);
    let tasks = IndexManager.first_tasks(&start(json!({}))).expect("tasks");
    assert_eq!((tasks.len(), tasks[0].name.as_str()), (1, "AXJO.INDX"));
    let error = AnnouncementsManager.first_tasks(&start(json!({"asx_code": "BHP"})));
    assert_eq!(error.expect_err("the terms").code, "terms_not_accepted");
}
