//! From a definition with its values to a run as the engine takes it: with the jobs before and after
//! it and the instances of its templates, each pinned as it is now.

use std::collections::BTreeMap;

use quaero_contract::{ApiError, OnError, StartedBy};
use quaero_engine::{
    definition::{BoundDefinition, BoundStep, Checked, World, check_in, check_template},
    work::Registry,
};
use quaero_store::{NewRun, NewStep, Tolerance};
use serde_json::Value;

use crate::{error, library::Library};

/// The type of the steps that run another definition as a whole. No file can have it.
const RUN_STEP: &str = "run_definition";

/// A definition's text with these values, as the engine takes it. Its request id is left empty.
pub(crate) fn compose(
    file: &str,
    text: &str,
    set: &BTreeMap<String, String>,
    registry: &Registry,
    settings: &BTreeMap<String, String>,
    library: &Library,
) -> Result<NewRun, ApiError> {
    let snapshot = library.snapshot().map_err(|e| error::no_list(library.folder(), &e))?;
    let world = World { registry, settings, library: Some(&snapshot) };
    // What one set of a template was run with can be run again.
    let check =
        if set.keys().any(|key| key.starts_with("set:")) { check_template } else { check_in };
    let Checked { definition, problems, .. } = check(file, text.as_bytes(), &world);
    let definition = definition.ok_or_else(|| error::problems(file, &problems))?;
    let bound = definition.bind_in(set, &world).map_err(|p| error::problems(file, &p))?;
    Ok(run(bound, registry))
}

fn run(bound: BoundDefinition, registry: &Registry) -> NewRun {
    let subject = bound
        .steps
        .iter()
        .find_map(|step| registry.manager(&step.step_type)?.subject(&step.config))
        .unwrap_or_default();
    let mut steps = Vec::new();
    // Jobs before it run one after the other, and everything waits for the last.
    let mut before: Option<String> = None;
    for job in bound.pre {
        let name = format!("before:{}", job.id);
        let depends = before.replace(name.clone()).into_iter().collect();
        steps.push(around(name, depends, job, StartedBy::PreJob, registry));
    }
    let own: Vec<String> = bound.steps.iter().map(|step| step.name.clone()).collect();
    for mut step in bound.steps {
        if step.depends.is_empty() {
            step.depends.extend(before.clone());
        }
        sign_in(&mut step, bound.authentication.as_deref(), registry);
        steps.push(self::step(step, registry));
    }
    // Jobs after it run when all is over, whatever came of it.
    let mut after = own;
    for job in bound.post {
        let name = format!("after:{}", job.id);
        let depends = std::mem::replace(&mut after, vec![name.clone()]);
        let step = around(name, depends, job, StartedBy::PostJob, registry);
        steps.push(NewStep { always_run: true, ..step });
    }
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    NewRun {
        subject,
        singleton: Some(format!("definition:{}", bound.id)),
        hold: bound.singleton,
        definition_id: bound.id,
        name: bound.name,
        definition_text: bound.text,
        variables: bound.variables,
        given: bound.given,
        tags: bound.tags,
        auth_id: bound.authentication,
        steps,
        priority: bound.priority,
        max_running: bound.max_running,
        timeout_ms: bound.timeout.map(millis),
        tolerance: bound.error_tolerance.map(|tolerance| Tolerance {
            max_failures: tolerance.max_child_failures,
            max_percent: tolerance.max_failure_percent,
            min_sample: tolerance.min_sample,
            action: tolerance.failure_action,
        }),
        ..NewRun::default()
    }
}

/// A step that runs another definition and waits for its end.
fn around(
    name: String,
    depends: Vec<String>,
    job: BoundDefinition,
    started_by: StartedBy,
    registry: &Registry,
) -> NewStep {
    NewStep {
        name,
        step_type: RUN_STEP.to_owned(),
        description: job.name.clone(),
        depends,
        on_error: OnError::Fail,
        instances: vec![NewRun { started_by, ..run(job, registry) }],
        ..NewStep::default()
    }
}

/// The field of a step that names a sign-in profile, and its other name.
const SIGN_IN: [&str; 2] = ["auth_id", "authentication"];

/// Gives a step that can take a sign-in along, and names none, the one of its definition.
fn sign_in(step: &mut BoundStep, profile: Option<&str>, registry: &Registry) {
    let Some(profile) = profile else { return };
    let can = registry.manager(&step.step_type).is_some_and(|manager| {
        manager.schema().pointer(&format!("/properties/{}", SIGN_IN[0])).is_some()
    });
    if let Some(config) = step.config.as_object_mut().filter(|_| can)
        && SIGN_IN.iter().all(|name| config.get(*name).is_none_or(Value::is_null))
    {
        config.insert(SIGN_IN[0].to_owned(), profile.into());
    }
}

fn step(step: BoundStep, registry: &Registry) -> NewStep {
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let hold = step.singleton;
    let instance = |bound: BoundDefinition| {
        let run = run(bound, registry);
        NewRun {
            started_by: StartedBy::Template,
            singleton: Some(format!("template:{}", run.definition_id)),
            hold: hold || run.hold,
            ..run
        }
    };
    NewStep {
        name: step.name,
        step_type: step.step_type,
        description: step.description,
        config: step.config,
        output_tags: step.output_tags,
        depends: step.depends,
        on_error: step.on_error,
        always_run: step.always_run,
        condition: step.condition.map(|condition| condition.to_string()),
        max_attempts: step.max_attempts,
        retry_delay_ms: millis(step.retry_delay),
        max_retry_delay_ms: millis(step.max_retry_delay),
        timeout_ms: step.timeout.map(millis),
        keep_on_timeout: step.keep_on_timeout,
        task_timeout_ms: millis(step.task_timeout),
        task_attempts: step.task_attempts,
        max_tasks: step.max_tasks,
        priority: step.priority,
        instances: step.instances.into_iter().map(instance).collect(),
        parallel: step.parallel,
        ..NewStep::default()
    }
}
