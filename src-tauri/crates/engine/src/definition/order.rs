//! Which step waits for which: cycles, named whole.

use super::fault::{Fault, Faults, Span};

/// A step as far as its order matters.
pub(super) struct Ordered<'a> {
    pub(super) name: &'a str,
    /// Indexes of the steps it waits for, not itself.
    pub(super) needs: Vec<usize>,
    /// Whether it says so itself, or only follows the step before it.
    pub(super) explicit: bool,
    /// Where to point.
    pub(super) place: Span,
}

/// Reports every cycle that can be found without counting a step twice.
pub(super) fn check(steps: &[Ordered<'_>], faults: &mut Faults) {
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
