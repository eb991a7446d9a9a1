//! `--json`: what scripts rely on. Fields may be added, never changed; so each shape below says
//! what must be there, and not what else may.

use quaero_tests::folders;
use serde_json::{Value, json};

use super::{Place, index};

/// Fails unless `value` has the shape. In a shape an object names the keys that must be there, an
/// array of one gives the shape of every element, and a text names a type: `text`, `id` (a whole
/// number as text), `time` (RFC 3339 in UTC), `count`, `number`, `flag`, `object`, `any`, and a `?`
/// at the end for `null`.
fn assert_shape(value: &Value, shape: &Value, place: &str) {
    match shape {
        Value::Object(keys) => {
            for (key, shape) in keys {
                let value =
                    value.get(key).unwrap_or_else(|| panic!("no `{key}` in {place}: {value}"));
                assert_shape(value, shape, &format!("{place}.{key}"));
            }
        }
        Value::Array(shapes) => {
            let items = value.as_array().unwrap_or_else(|| panic!("{place} is no list: {value}"));
            for (at, item) in items.iter().enumerate() {
                assert_shape(item, &shapes[0], &format!("{place}[{at}]"));
            }
        }
        Value::String(word) => assert!(is(value, word), "{place} is no `{word}`: {value}"),
        other => assert_eq!(value, other, "{place}"),
    }
}

fn is(value: &Value, word: &str) -> bool {
    let text = value.as_str();
    match word {
        "text" => text.is_some(),
        "id" => text.is_some_and(|text| text.parse::<i64>().is_ok()),
        "time" => text.is_some_and(|text| {
            text.len() >= 20 && text.as_bytes()[10] == b'T' && text.ends_with('Z')
        }),
        "count" => value.as_u64().is_some(),
        "number" => value.is_number(),
        "flag" => value.is_boolean(),
        "object" => value.is_object(),
        "any" => true,
        _ => {
            let word = word.strip_suffix('?').unwrap_or_else(|| panic!("no type `{word}`"));
            value.is_null() || is(value, word)
        }
    }
}

fn jobs() -> Value {
    json!({"total": "count", "completed": "count", "failed": "count", "cancelled": "count", "skipped": "count"})
}

fn documents() -> Value {
    json!({"created": "count", "updated": "count", "unchanged": "count"})
}

fn cost() -> Value {
    json!({"currency": "text", "amount": "number", "input_tokens": "count", "output_tokens": "count", "calls": "count"})
}

fn run() -> Value {
    json!({
        "id": "id", "definition_id": "text", "name": "text", "status": "text", "started": "time",
        "finished": "time?", "jobs": jobs(), "documents": documents(),
    })
}

fn hit() -> Value {
    json!({
        "id": "id", "title": "text", "source_type": "text", "source_id": "text", "url": "text?", "tags": ["text"],
        "score": "number", "snippet": "text", "run_id": "id", "last_synced": "time",
    })
}

#[test]
fn every_command_prints_what_scripts_rely_on() {
    let place = Place::new();
    let (folder, quaero) = (place.folder("docs"), place.quaero());
    folders::plain(&folder, 40).expect("a folder");
    folders::write(&folder, "broken.pdf".as_ref(), b"%PDF-1.4\nnot really").expect("written");

    let lines = quaero.ask(index(&folder)).expect(0).json_lines();
    let kinds: Vec<&str> =
        lines.iter().map(|line| line["type"].as_str().expect("a type")).collect();
    assert_eq!((kinds.first(), kinds.last()), (Some(&"run_started"), Some(&"run_finished")));
    for kind in ["progress", "status_change", "result_saved", "log"] {
        assert!(kinds.contains(&kind), "no {kind} among {kinds:?}");
    }
    for line in &lines {
        let shape = match line["type"].as_str().expect("a type") {
            "run_started" => json!({"run_id": "id"}),
            "progress" => json!({
                "run": {"id": "id", "status": "text", "jobs": jobs(), "documents": documents()},
                "steps": [{"id": "id", "name": "text", "status": "text", "jobs": jobs(), "documents": documents()}],
            }),
            "status_change" => {
                json!({"run_id": "id", "job_id": "id", "kind": "text", "name": "text", "status": "text", "error": "any"})
            }
            "result_saved" => json!({"run_id": "id", "document_ids": ["id"], "count": "count"}),
            "log" => {
                json!({"run_id": "id", "lines": [{"seq": "count", "at": "time", "level": "text", "message": "text"}]})
            }
            "run_finished" => json!({
                "run_id": "id", "status": "text", "jobs": jobs(), "documents": documents(), "reports": ["id"],
                "warnings": ["text"], "duration_ms": "count", "cost": cost(),
            }),
            other => panic!("no line is of the type {other}"),
        };
        assert_shape(line, &shape, line["type"].as_str().unwrap_or_default());
    }
    let finished = lines.last().expect("a line");
    let count = |key: &str| finished["jobs"][key].as_u64().expect("a count");
    assert_eq!(count("total"), count("completed") + count("failed"), "{finished}");
    assert_eq!(count("failed"), 1, "the broken file: {finished}");
    let saved: u64 = lines
        .iter()
        .filter(|line| line["type"] == "result_saved")
        .filter_map(|line| line["count"].as_u64())
        .sum();
    assert_eq!(
        Some(saved),
        finished["documents"]["created"].as_u64(),
        "every document was told of"
    );
    let run_id = finished["run_id"].as_str().expect("an id");

    let mut show = run();
    for (key, shape) in [
        (
            "steps",
            json!([{"id": "id", "name": "text", "type": "text", "status": "text", "error": "any"}]),
        ),
        (
            "tree",
            json!([{"id": "id", "kind": "text", "type": "text", "name": "text", "status": "text", "children": "any"}]),
        ),
        ("plan_revisions", json!(["any"])),
        ("model_calls", json!(["any"])),
        ("cost", cost()),
    ] {
        show[key] = shape;
    }
    let mut document = hit();
    document["markdown"] = json!("text");
    document["metadata"] = json!("object");
    let problem = json!({
        "code": "text", "severity": "text", "message": "text", "line": "count", "column": "count", "step": "text?", "fix": "text?",
    });
    let definition =
        place.file("bad.toml", "id = \"x\"\n[step.a]\ntype = \"crawl\"\nmax_page = 3\n");
    let definition = definition.to_string_lossy().into_owned();
    let word = folders::word(7);
    let rows: [(&[&str], i32, Value, usize); 8] = [
        (&["runs", "list"], 0, json!([run()]), 1),
        (&["runs", "show", run_id], 0, show, 0),
        (&["docs", "list", "--limit", "7"], 0, json!([hit()]), 7),
        (&["docs", "search", &word, "--tag", "folder", "--run", run_id], 0, json!([hit()]), 1),
        (&["docs", "show", "1"], 0, document, 0),
        (&["validate", &definition], 2, json!([{"file": "text", "problems": [problem]}]), 1),
        (
            &["definitions", "list"],
            0,
            json!([{"id": "text", "name": "text", "description": "text"}]),
            2,
        ),
        (&["doctor"], 0, json!([{"name": "text", "ok": "flag", "detail": "text"}]), 0),
    ];
    for (args, code, shape, least) in rows {
        let answer = quaero.ask(args.iter().chain(&["--json"])).expect(code).json();
        assert_shape(&answer, &shape, &args.join(" "));
        assert!(answer.as_array().map_or(0, Vec::len) >= least, "{args:?}: {answer}");
    }
}

#[test]
fn services_are_set_up_as_in_the_settings_of_the_window() {
    let place = Place::new();
    let quaero = place.quaero().with("QUAERO_KEYCHAIN", "off");
    let settings = || -> Value {
        let text = std::fs::read(quaero.data_dir().join("settings.json")).expect("settings");
        serde_json::from_slice(&text).expect("JSON")
    };
    let url = json!({"base_url": "http://localhost:8888"});
    let mail = |port: Value, security: &str| {
        json!({
            "host": "smtp.example.org", "port": port, "security": security, "user": "ann",
            "from": "ann@example.org",
        })
    };
    let words = "set-mail --host smtp.example.org --user ann --from ann@example.org --security tls --port 4650";
    // What is typed, the exit code, what is said, and what is then set.
    let rows: [(&str, i32, &str, &str, Value); 13] = [
        (
            "set-url searxng http://localhost:8888",
            0,
            "is at http://localhost:8888",
            "/providers/searxng",
            url.clone(),
        ),
        (
            "set-url searxng http://search.example.org",
            2,
            "https",
            "/providers/searxng",
            url.clone(),
        ),
        ("set-url nobody https://example.org", 2, "no service `nobody`", "/providers/searxng", url),
        ("set-url nobody", 2, "no service `nobody`", "/providers/nobody", Value::Null),
        (
            "set-url brave https://proxy.example.org/brave",
            0,
            "is at https://proxy",
            "/providers/brave/base_url",
            json!("https://proxy.example.org/brave"),
        ),
        (
            "set-url brave",
            0,
            "is at https://api.search.brave.com/",
            "/providers/brave/base_url",
            Value::Null,
        ),
        (
            "set-order tavily searxng",
            0,
            "tavily, searxng",
            "/search_order",
            json!(["tavily", "searxng"]),
        ),
        (
            "set-order tavily nobody",
            2,
            "no service `nobody`",
            "/search_order",
            json!(["tavily", "searxng"]),
        ),
        ("set-order", 0, "all search services", "/search_order", json!([])),
        (words, 0, "smtp.example.org from ann@example.org", "/mail", mail(json!(4650), "tls")),
        ("set-mail --port 0", 0, "smtp.example.org", "/mail", mail(Value::Null, "tls")),
        ("set-mail --security none", 2, "can do without TLS", "/mail", mail(Value::Null, "tls")),
        ("set-mail", 2, "required", "/mail", mail(Value::Null, "tls")),
    ];
    for (line, code, says, place, value) in rows {
        let answer = quaero.ask(["providers"].into_iter().chain(line.split(' '))).expect(code);
        assert!(answer.text().contains(says), "{answer}");
        let found = settings().pointer(place).cloned().unwrap_or_default();
        assert_eq!(found, value, "{line}");
    }
    let list = quaero.ask(["providers", "list", "--json"]).expect(0).json();
    let ready = |id: &str| {
        let all = list["providers"].as_array().expect("a list").iter();
        all.clone().any(|provider| provider["id"] == id && provider["ready"] == true)
    };
    assert!(ready("searxng") && ready("smtp") && !ready("brave"), "{list}");
}
