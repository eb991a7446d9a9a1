//! Which step waits for which: what `depends` means, cycles, named whole, and whether conditions
//! ask only about steps that have ended.

use std::collections::{HashMap, HashSet};

use super::{
    Step,
    condition::StepOutcome,
    fault::{Fault, Faults, Span, Text, did_you_mean, quote},
    source::{Field, Node, Tree},
};

/// A step as far as its order matters.
struct Ordered<'a> {
    name: &'a str,
    /// Indexes of the steps it waits for, not itself.
    needs: Vec<usize>,
    /// Whether it says so itself, or only follows the step before it.
    explicit: bool,
    /// Where to point.
    place: Span,
}

/// Resolves `depends` of all steps, and looks for cycles.
pub(super) fn resolve(named: &[Field], steps: &mut [Step], text: &Text, faults: &mut Faults) {
    let index: HashMap<&str, usize> =
        named.iter().enumerate().map(|(at, field)| (field.key.as_str(), at)).collect();
    let mut ordered = Vec::with_capacity(named.len());
    for (at, field) in named.iter().enumerate() {
        let depends = field.node.get("depends");
        let needs = match depends {
            Some(node) => {
                faults.in_step(Some(&field.key));
                let needs = depends_of(node, at, named, &index, text, faults);
                faults.in_step(None);
                needs
            }
            None => at.checked_sub(1).into_iter().collect(),
        };
        if let Some(step) = steps.iter_mut().find(|step| step.name == field.key) {
            step.depends = needs.iter().map(|need| named[*need].key.clone()).collect();
        }
        ordered.push(Ordered {
            name: &field.key,
            needs,
            explicit: depends.is_some(),
            place: depends.map_or_else(|| field.key_span.clone(), |node| node.span.clone()),
        });
    }
    let before = faults.errors();
    check(&ordered, faults);
    if faults.errors() == before {
        conditions(named, steps, text, faults);
    }
}

/// The indexes of the steps that `depends` names.
fn depends_of(
    node: &Node,
    own: usize,
    named: &[Field],
    index: &HashMap<&str, usize>,
    text: &Text,
    faults: &mut Faults,
) -> Vec<usize> {
    let mut written: Vec<(&str, Span)> = Vec::new();
    match &node.tree {
        Tree::String(list) if !list.trim().is_empty() => {
            let mut start = 0;
            for part in list.split(',') {
                let name = part.trim();
                let at = start + (part.len() - part.trim_start().len());
                written.push((name, text.within(&node.span, list, at..at + name.len())));
                start += part.len() + 1;
            }
        }
        Tree::List(items) => written.extend(
            items.iter().filter_map(|item| Some((item.as_str()?.trim(), item.span.clone()))),
        ),
        _ => {}
    }
    let mut needs = Vec::new();
    for (name, span) in written {
        if faults.full() {
            break;
        }
        let shown = quote(name);
        let fault = |code, message: String| Fault::new(&span, code, message);
        match index.get(name) {
            None => {
                let others = named.iter().enumerate().filter(|(at, _)| *at != own);
                let fix = did_you_mean(name, others.map(|(_, field)| field.key.as_str()))
                    .unwrap_or_else(|| {
                        "Name steps of this definition, separated by commas.".to_owned()
                    });
                faults.add(
                    fault("unknown_dependency", format!("There is no step `{shown}`.")).fix(fix),
                );
            }
            Some(at) if *at == own => {
                let message = format!("Step `{shown}` depends on itself.");
                faults.add(fault("self_dependency", message).fix("Remove it from `depends`."));
            }
            Some(at) if needs.contains(at) => {
                let message = format!("Step `{shown}` is named twice.");
                faults.add(fault("duplicate_dependency", message).fix("Name it once."));
            }
            Some(at) => needs.push(*at),
        }
    }
    needs
}

/// A condition may only ask about steps that its own step waits for, directly or through others.
fn conditions(named: &[Field], steps: &[Step], text: &Text, faults: &mut Faults) {
    let needs: HashMap<&str, &[String]> =
        steps.iter().map(|step| (step.name.as_str(), step.depends.as_slice())).collect();
    for step in steps {
        let (Some(condition), Some(node)) = (&step.condition, condition_of(named, step)) else {
            continue;
        };
        let mut awaited: HashSet<&str> = HashSet::new();
        let mut open = vec![step.name.as_str()];
        while let Some(name) = open.pop() {
            for need in needs.get(name).copied().unwrap_or_default() {
                if awaited.insert(need) {
                    open.push(need);
                }
            }
        }
        faults.in_step(Some(&step.name));
        for (name, span, outcome) in condition.steps() {
            let span = text.within(&node.span, node.as_str().unwrap_or_default(), span.clone());
            let shown = quote(name);
            if !named.iter().any(|field| field.key == name) {
                let fix = did_you_mean(name, awaited.iter().copied());
                faults.add(
                    Fault::new(&span, "unknown_dependency", format!("There is no step `{shown}`."))
                        .maybe_fix(fix),
                );
            } else if !awaited.contains(name) {
                let message = format!(
                    "This step does not wait for `{shown}`, so the condition cannot ask about it."
                );
                let fix = if name == step.name {
                    "A condition is looked at before its step runs.".to_owned()
                } else {
                    format!("Name `{shown}` in `depends`.")
                };
                faults.add(Fault::new(&span, "unknown_dependency", message).fix(fix));
            } else if !step.always_run
                && outcome.is_some_and(|outcome| outcome != StepOutcome::Completed)
                && step.depends.iter().any(|need| need == name)
            {
                let message = format!(
                    "Without `always_run` this step is skipped unless `{shown}` completes, so this is never true."
                );
                faults.add(
                    Fault::new(&span, "no_effect", message)
                        .fix("Add `always_run = true`.")
                        .warning(),
                );
            }
        }
        faults.in_step(None);
    }
}

fn condition_of<'a>(named: &'a [Field], step: &Step) -> Option<&'a Node> {
    named.iter().find(|field| field.key == step.name)?.node.get("condition")
}

/// Reports every cycle that can be found without counting a step twice.
fn check(steps: &[Ordered<'_>], faults: &mut Faults) {
    // Take away what can run; what stays waits for something that also stays.
    let mut stays = vec![true; steps.len()];
    loop {
        let free: Vec<usize> = (0..steps.len())
            .filter(|at| stays[*at] && !steps[*at].needs.iter().any(|need| stays[*need]))
            .collect();
        if free.is_empty() {
            break;
        }
        free.into_iter().for_each(|at| stays[at] = false);
    }
    let mut seen = vec![false; steps.len()];
    for start in (0..steps.len()).filter(|at| stays[*at]) {
        let mut path = Vec::new();
        let mut at = start;
        while !seen[at] {
            seen[at] = true;
            path.push(at);
            let Some(next) = steps[at].needs.iter().copied().find(|need| stays[*need]) else {
                break;
            };
            at = next;
        }
        // The walk either came back to itself or ran into an earlier one, which is reported.
        if let Some(first) = path.iter().position(|step| *step == at) {
            report(steps, &path[first..], faults);
        }
    }
}

fn report(steps: &[Ordered<'_>], cycle: &[usize], faults: &mut Faults) {
    // From the step that says what it waits for and comes first in the file.
    let start =
        (0..cycle.len()).min_by_key(|at| (!steps[cycle[*at]].explicit, cycle[*at])).unwrap_or(0);
    let names: Vec<&str> =
        (0..=cycle.len()).map(|at| steps[cycle[(start + at) % cycle.len()]].name).collect();
    let first = &steps[cycle[start]];
    let implied = cycle.iter().map(|at| &steps[*at]).find(|step| !step.explicit);
    let fix = match implied {
        Some(step) => format!(
            "`{}` has no `depends`, so it follows the step before it. Give it `depends = []` to start at once.",
            step.name
        ),
        None => "Remove one of these dependencies.".to_owned(),
    };
    faults.in_step(Some(first.name));
    faults.add(
        Fault::new(
            &first.place,
            "cycle",
            format!("These steps wait for each other in a circle: {}.", names.join(" → ")),
        )
        .fix(fix),
    );
    faults.in_step(None);
}
