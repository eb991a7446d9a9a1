//! Promises of templates, and of jobs before and after.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Shelf, registry, repository, show};
use crate::definition::{BoundDefinition, Definition, LIMITS, World, check_in, check_template};

const TEMPLATE: &str = r#"
id = "page"
name = "Page of {set:Name}"
tags = ["topic", "{set:Name_lower}"]
[config]
pages = 7
base = "https://example.com"
[step.crawl]
type = "crawl"
description = "Read {set:Name} of {owner}"
start_urls = ["{config.base}/{set:path}?by={owner}"]
max_pages = "{pages}"
max_depth = "{set:depth}"
include_patterns = ["^{set:path}$"]
output_tags = ["{set:Name}"]
[step.files]
type = "local_dir"
path = "/x"
include = ["{set:path}/**"]
"#;

fn shelf(files: &[(&str, &str)]) -> Shelf {
    Shelf(files.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect())
}

/// Checks and binds with a library; the problems as text if it cannot be bound.
fn bind(text: &str, shelf: &Shelf) -> Result<BoundDefinition, String> {
    let registry = registry();
    let settings = [("owner".to_owned(), "a b".to_owned())].into();
    let world = World { registry: &registry, settings: &settings, library: Some(shelf) };
    let checked = check_in("test.toml", text.as_bytes(), &world);
    let definition = checked.definition.ok_or_else(|| show(&checked.problems))?;
    definition.bind_in(&BTreeMap::new(), &world).map_err(|problems| show(&problems))
}

#[test]
fn a_template_is_bound_once_for_each_set() {
    let text = r#"
id = "many"
name = "Many"
[config]
pages = 1000
stocks = [
    { Name = "Big Co", path = "a{1}.b", depth = 2 },
    { Name = "Ünder", path = "{config.base}", depth = 3 },
]
[step.each]
type = "job_template"
template = "page"
variables = "config.stocks"
parallel = 3
singleton = true
[step.after]
type = "reindex"
"#;
    let bound = bind(text, &shelf(&[("template/page", TEMPLATE)])).expect("it binds");
    let [each, after] = bound.steps.as_slice() else { panic!("two steps") };
    assert_eq!((each.step_type.as_str(), each.parallel, each.singleton), ("job_template", 3, true));
    assert_eq!((after.instances.len(), after.parallel, after.singleton), (0, 1, false));
    let [big, under] = each.instances.as_slice() else { panic!("two instances") };
    assert_eq!((big.id.as_str(), big.name.as_str()), ("page", "Page of Big Co"));
    assert_eq!(big.tags, ["topic", "big-co"], "a value in a tag becomes a tag");
    assert_eq!(under.tags, ["topic", "ünder"]);
    assert_eq!(big.steps[0].description, "Read Big Co of a b");
    assert_eq!(big.steps[0].output_tags, ["big-co"]);
    assert_eq!(
        big.steps[0].config,
        json!({
            "start_urls": ["https://example.com/a%7B1%7D.b?by=a%20b"],
            "max_pages": 7,
            "max_depth": 2,
            "include_patterns": [r"^a\{1\}\.b$"],
            "output_tags": ["big-co"],
        }),
        "values are escaped for where they stand, and keep their type where they are alone"
    );
    assert_eq!(big.steps[1].config["include"], json!(["a[{]1[}].b/**"]));
    assert_eq!(
        under.steps[0].config["start_urls"],
        json!(["https://example.com/%7Bconfig.base%7D?by=a%20b"]),
        "a value is never filled again"
    );
    assert!(big.variables.contains(&("set:Name".to_owned(), "Big Co".to_owned())));
    assert!(big.variables.contains(&("pages".to_owned(), "7".to_owned())), "its own config only");
    assert_eq!(big.text, TEMPLATE);
    let stored = serde_json::to_string(&bound).expect("it can be stored");
    assert_eq!(serde_json::from_str::<BoundDefinition>(&stored).expect("and read"), bound);
}

#[test]
fn sets_come_from_the_step_from_config_or_from_a_template_around() {
    let inner = "id = 'inner'\nname = 'I'\n[step.s]\ntype = 'local_dir'\npath = '/{set:a}'";
    let outer = "id = 'outer'\nname = 'O'\n[step.s]\ntype = 'job_template'\ntemplate = 'inner'\n\
        variables = [{ a = '{set:b}1' }, { a = '{set:b}2' }]";
    let shelf = shelf(&[("template/inner", inner), ("template/outer", outer)]);
    let of = |rest: &str| {
        let text = format!("id = 'd'\nname = 'D'\n{rest}");
        let bound = bind(&text, &shelf).expect("it binds");
        let mut paths = Vec::new();
        let mut open = vec![&bound];
        while let Some(next) = open.pop() {
            for step in &next.steps {
                paths.extend(step.config["path"].as_str().map(str::to_owned));
                open.extend(step.instances.iter().rev());
            }
        }
        paths
    };
    assert_eq!(
        of(
            "[config]\nvariables = [{ a = 'x' }]\n[step.s]\ntype = 'job_template'\ntemplate = 'inner'"
        ),
        ["/x"]
    );
    assert_eq!(
        of(
            "[config]\nkind = 'inner'\nw = 'y'\n[step.s]\ntype = 'job_template'\ntemplate = '{kind}'\nvariables = [{ a = '{w}{w}' }]"
        ),
        ["/yy"]
    );
    assert_eq!(
        of(
            "[step.s]\ntype = 'job_template'\ntemplate = 'outer'\nvariables = [{ b = 'p' }, { b = 'q' }]"
        ),
        ["/p1", "/p2", "/q1", "/q2"]
    );
}

#[test]
fn a_template_says_what_it_asks_of_each_set() {
    let registry = registry();
    let settings = [("owner".to_owned(), "me".to_owned())].into();
    let world = World { settings: &settings, ..World::new(&registry) };
    let checked = check_template("page.toml", TEMPLATE.as_bytes(), &world);
    let template = checked.definition.unwrap_or_else(|| panic!("{}", show(&checked.problems)));
    assert_eq!(template.set_keys(), ["Name", "Name_lower", "depth", "path"]);
    let alone = template.bind_in(&BTreeMap::new(), &world).expect_err("it has no set");
    assert!(alone.iter().all(|problem| problem.code == "missing_value"), "{}", show(&alone));
    assert_eq!(alone.len(), 4, "{}", show(&alone));
}

#[test]
fn settings_fill_what_config_does_not_have() {
    let text = |path: &str| {
        format!(
            "id = 'a'\nname = 'A'\n[config]\nown = 'c'\n[step.s]\ntype = 'local_dir'\npath = '{path}'"
        )
    };
    let of = |path: &str| {
        let registry = registry();
        let settings: BTreeMap<String, String> =
            [("owner", "o"), ("own", "s"), ("empty", ""), ("odd", "a\u{202e}b")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into();
        let world = World { settings: &settings, ..World::new(&registry) };
        let checked = check_in("a.toml", text(path).as_bytes(), &world);
        let bound = checked
            .definition
            .ok_or(checked.problems)
            .and_then(|definition: Definition| definition.bind_in(&BTreeMap::new(), &world));
        match bound {
            Ok(bound) => bound.steps[0].config["path"].clone(),
            Err(problems) => Value::from(problems[0].code.clone()),
        }
    };
    assert_eq!(of("/{owner}"), "/o");
    assert_eq!(of("/{own}"), "/c", "config goes before settings");
    assert_eq!(of("/{config.owner}"), "unknown_placeholder", "`config.` means config");
    assert_eq!(of("/{empty}"), "missing_value");
    assert_eq!(of("/{odd}"), "hidden_character");
}

#[test]
fn jobs_before_and_after_are_bound_with_their_own_values() {
    let job = |id: &str, more: &str| {
        format!("id = '{id}'\nname = 'J'\n{more}\n[step.s]\ntype = 'local_dir'\npath = '/{id}'")
    };
    let (a, b, c) = (job("a", ""), job("b", "pre_jobs = ['a']"), job("c", "post_jobs = ['a']"));
    let shelf = shelf(&[("definition/a", &a), ("definition/b", &b), ("definition/c", &c)]);
    let bound =
        bind(&job("top", "pre_jobs = ['a', 'b']\npost_jobs = ['c']"), &shelf).expect("binds");
    let ids = |list: &[BoundDefinition]| list.iter().map(|job| job.id.clone()).collect::<Vec<_>>();
    assert_eq!(
        (ids(&bound.pre), ids(&bound.post)),
        (vec!["a".into(), "b".into()], vec!["c".into()])
    );
    assert_eq!(
        (ids(&bound.pre[1].pre), ids(&bound.post[0].post)),
        (vec!["a".into()], vec!["a".into()])
    );
    assert_eq!(bound.pre[0].steps[0].config["path"], "/a");
}

/// `count` sets with one value each.
fn sets(count: usize) -> String {
    let sets: Vec<String> = (0..count).map(|n| format!("{{ a = '{n}' }}")).collect();
    format!("variables = [{}]", sets.join(", "))
}

#[test]
fn a_thousand_instances_and_no_more() {
    let template = "id = 't'\nname = 'T'\n[step.s]\ntype = 'crawl'\n\
        start_urls = ['https://example.com/{set:a}']\ninclude_patterns = ['^/{set:a}/']";
    let twice = "id = 'twice'\nname = 'T'\n[step.s]\ntype = 'job_template'\ntemplate = 't'\nvariables = [{ a = '1' }, { a = '2' }]";
    let shelf = shelf(&[("template/t", template), ("template/twice", twice)]);
    let text = |template: &str, count| {
        format!(
            "id = 'd'\nname = 'D'\n[step.s]\ntype = 'job_template'\ntemplate = '{template}'\n{}",
            sets(count)
        )
    };
    let bound = bind(&text("t", LIMITS.instances), &shelf).expect("a thousand are allowed");
    assert_eq!(bound.steps[0].instances.len(), LIMITS.instances);
    assert!(bind(&text("t", LIMITS.instances + 1), &shelf).is_err_and(|e| e.contains("too_many")));
    assert!(bind(&text("twice", 333), &shelf).is_ok(), "999 in all");
    assert!(bind(&text("twice", 334), &shelf).is_err_and(|e| e.contains("too_many")));
}

#[test]
fn all_instances_together_keep_the_limit_of_what_is_written() {
    let long = "x".repeat(3_000);
    let template =
        format!("id = 't'\nname = 'T'\n[step.s]\ntype = 'local_dir'\npath = '/{{set:a}}{long}'");
    let heavy =
        format!("# {}\nid = 't'\nname = 'T'\n[step.s]\ntype = 'reindex'", "x".repeat(60_000));
    let lists = format!(
        "id = 't'\nname = 'T'\n[step.s]\ntype = 'crawl'\nstart_urls = ['https://example.com']\nallow_hosts = [{}]",
        "'a',".repeat(9_000)
    );
    for template in [template, heavy, lists] {
        let text = format!(
            "id = 'd'\nname = 'D'\n[step.s]\ntype = 'job_template'\ntemplate = 't'\n{}",
            sets(900)
        );
        let error = bind(&text, &shelf(&[("template/t", &template)])).expect_err("it is too large");
        assert!(error.contains("[s]") && error.contains("too_large"), "{error}");
    }
}

#[test]
fn a_way_may_be_eight_definitions_long() {
    let job = |n: usize, last: usize| {
        let more = if n < last { format!("pre_jobs = ['j{}']", n + 1) } else { String::new() };
        format!("id = 'j{n}'\nname = 'J'\n{more}\n[step.s]\ntype = 'reindex'")
    };
    let bound = |last: usize| {
        let files = (1..=last).map(|n| (format!("definition/j{n}"), job(n, last))).collect();
        bind(&job(0, last), &Shelf(files))
    };
    assert!(bound(LIMITS.nesting).is_ok());
    assert!(bound(LIMITS.nesting + 1).is_err_and(|error| error.contains("too_deep")));
    assert!(bound(1_000).is_err_and(|error| error.contains("too_deep")));
}

#[test]
fn branches_that_double_do_not_take_forever() {
    let job = |n: usize| {
        let many: Vec<String> = (0..50).map(|k| format!("'j{}_{k}'", n + 1)).collect();
        let more = if n < 7 { format!("pre_jobs = [{}]", many.join(",")) } else { String::new() };
        format!("name = 'J'\n{more}\n[step.s]\ntype = 'reindex'")
    };
    let files = (1..8).flat_map(|n| (0..50).map(move |k| (n, k)));
    let files = files
        .map(|(n, k)| (format!("definition/j{n}_{k}"), format!("id = 'j{n}_{k}'\n{}", job(n))));
    let error = bind(&format!("id = 'j0'\n{}", job(0)), &Shelf(files.collect()));
    assert!(error.is_err_and(|error| error.contains("too_many")));
}

#[test]
fn every_shipped_template_says_what_it_needs() {
    let registry = registry();
    let mut seen = 0;
    for entry in std::fs::read_dir(repository("job-templates")).expect("the folder of templates") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = std::fs::read(&path).expect("a template");
        let name = path.to_string_lossy();
        let checked = check_template(&name, &text, &World::new(&registry));
        let template =
            checked.definition.unwrap_or_else(|| panic!("{name}:\n{}", show(&checked.problems)));
        assert!(checked.problems.is_empty(), "{name}:\n{}", show(&checked.problems));
        assert_eq!(path.file_stem().and_then(|stem| stem.to_str()), Some(template.id.as_str()));
        assert!(!template.set_keys().is_empty(), "{name} asks for nothing");
        seen += 1;
    }
    assert!(seen > 0, "there are templates");
}

#[test]
fn the_shipped_example_binds_with_its_template() {
    let read = |path: &str| std::fs::read_to_string(repository(path)).expect(path);
    let shelf = shelf(&[("template/crawl-topic", &read("job-templates/crawl-topic.toml"))]);
    let bound = bind(&read("job-definitions/crawl-topics.toml"), &shelf).expect("it binds");
    let names: Vec<&str> = bound.steps[0].instances.iter().map(|run| run.name.as_str()).collect();
    assert_eq!(names, ["Crawl: Rust", "Crawl: Python"]);
    assert_eq!(bound.steps[0].instances[0].steps[0].output_tags, ["topic", "rust"]);
}
