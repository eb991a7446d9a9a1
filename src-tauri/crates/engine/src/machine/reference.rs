//! What the engine promises of runs, steps and tasks, in memory and without any regard to speed: after
//! each operation the rules are applied one by one until none applies any more.

mod operations;

use std::sync::Arc;

use quaero_contract::{FailureAction, JobStatus, OnError, RerunPart};
use quaero_store::POISON_AFTER;

use FailureAction::{Continue, MarkWarning, StopAll};
use JobStatus::{Cancelled, Completed, Failed, Pending, Running, Skipped, Waiting};
pub(super) use operations::{Definition, How, Op, StepPlan, TaskAt, step_name};

/// A short while: shorter than any pause before a task is tried again, even many times over.
pub(super) const TICK_MS: i64 = 10;
/// So many ticks are still shorter than any such pause.
const TICKS: u32 = 20;
/// A long while: longer than any pause and any timeout.
pub(super) const JUMP_MS: i64 = 600_000;
/// How often a task is tried.
pub(super) const TASK_ATTEMPTS: u32 = 2;
/// The pause before the second attempt at a step.
pub(super) const RETRY_MS: i64 = 20;

#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) now_ms: i64,
    pub(super) paused: bool,
    pub(super) runs: Vec<Run>,
    pub(super) accepted: u32,
    ticks: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) number: u32,
    pub(super) definition: Arc<Definition>,
    /// The run that it does again.
    pub(super) again: Option<(u32, RerunPart)>,
    pub(super) status: JobStatus,
    pub(super) held: bool,
    pub(super) paused: bool,
    pub(super) cancelled: bool,
    pub(super) stop: Option<&'static str>,
    /// More has failed than it bears, and it goes on.
    borne: bool,
    /// What is left of its timeout.
    left_ms: Option<i64>,
    /// When something last happened to it.
    changed_ms: i64,
    pub(super) steps: Vec<Step>,
    pub(super) tasks: Vec<Task>,
}

#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) status: JobStatus,
    pub(super) attempt: u32,
    stop: Option<&'static str>,
    not_before_ms: i64,
    left_ms: Option<i64>,
    /// It was skipped because its condition did not hold.
    unmet: bool,
    /// Keys and depths of the failed tasks of an earlier run, if those are all that it does.
    only: Option<Vec<(u8, u32)>>,
    /// That of the earlier run completed nevertheless.
    completed_before: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) step: usize,
    round: u32,
    pub(super) key: u8,
    parent: Option<usize>,
    pub(super) depth: u32,
    pub(super) status: JobStatus,
    pub(super) attempt: u32,
    crashes: u32,
    /// Since when it rests before it is tried again.
    rests_since: Option<i64>,
    /// How its own work ended.
    own: JobStatus,
}

impl Run {
    pub(super) fn is_open(&self) -> bool {
        !self.status.is_terminal()
    }

    /// The state of everything in it to which something has happened.
    fn statuses(&self) -> Vec<JobStatus> {
        let steps = self.steps.iter().map(|step| step.status);
        // A task that is written is there, and nothing has happened to it.
        let tasks = self.tasks.iter().filter(|task| task.attempt > 0 || task.status != Pending);
        [self.status].into_iter().chain(steps).chain(tasks.map(|task| task.status)).collect()
    }

    fn plan(&self, step: usize) -> &StepPlan {
        &self.definition.steps[step]
    }

    fn round(&self, step: usize) -> u32 {
        self.steps[step].attempt.max(1)
    }

    /// The tasks of the present attempt at a step.
    fn tasks_of(&self, step: usize) -> impl Iterator<Item = &Task> {
        let round = self.round(step);
        self.tasks.iter().filter(move |task| task.step == step && task.round == round)
    }

    /// Why a task may have no more children and is not tried again.
    fn is_stopped(&self, step: usize) -> bool {
        self.cancelled || self.steps[step].stop.is_some()
    }

    fn stops(&self, step: usize) -> bool {
        self.steps[step].status == Failed && self.plan(step).on_error != OnError::Continue
    }

    /// No step starts any more, but those that always run.
    fn is_ending(&self) -> bool {
        self.stop.is_some() || (0..self.steps.len()).any(|step| self.stops(step))
    }

    fn write(&mut self, step: usize, parent: Option<usize>, depth: u32, keys: &[u8]) {
        let round = self.round(step);
        for key in keys {
            let known = self
                .tasks
                .iter_mut()
                .find(|task| (task.step, task.round, task.key) == (step, round, *key));
            match known {
                // It is nearer than was thought.
                Some(task) if task.status == Pending => task.depth = task.depth.min(depth),
                Some(_) => {}
                None => self.tasks.push(Task {
                    step,
                    round,
                    key: *key,
                    parent,
                    depth,
                    status: Pending,
                    attempt: 0,
                    crashes: 0,
                    rests_since: None,
                    own: Pending,
                }),
            }
        }
    }

    fn has_open_children(&self, task: usize) -> bool {
        self.tasks.iter().any(|t| t.parent == Some(task) && !t.status.is_terminal())
    }

    /// The own work of a task is over; the task is, too, when its children are.
    fn end_own(&mut self, task: usize, own: JobStatus) {
        let open = self.has_open_children(task);
        self.tasks[task].own = own;
        self.tasks[task].status = if open { Waiting } else { own };
    }

    /// What waits in stopped steps ends.
    fn end_waiting(&mut self) {
        for at in 0..self.tasks.len() {
            if self.tasks[at].status == Pending && self.is_stopped(self.tasks[at].step) {
                self.end_own(at, Cancelled);
            }
        }
    }

    fn end(&mut self, at: usize, how: &How, now_ms: i64) {
        let stopped = self.is_stopped(self.tasks[at].step);
        let task = &mut self.tasks[at];
        let left = task.attempt - task.crashes < TASK_ATTEMPTS;
        match how {
            How::Well(keys) => {
                let (step, depth) = (task.step, task.depth + 1);
                if !stopped {
                    self.write(step, Some(at), depth, keys);
                }
                self.end_own(at, Completed);
            }
            How::Interrupted if stopped => self.end_own(at, Cancelled),
            How::Interrupted => {
                (task.status, task.attempt) = (Pending, task.attempt - 1);
            }
            How::Later if !stopped => {
                (task.status, task.attempt) = (Pending, task.attempt - 1);
                task.rests_since = Some(now_ms);
            }
            How::FailsForNow if !stopped && left => {
                task.status = Pending;
                task.rests_since = Some(now_ms);
            }
            How::FailsForGood | How::FailsForNow | How::Later => self.end_own(at, Failed),
        }
    }

    fn step_outcome(&self, step: usize) -> JobStatus {
        let count = |status| self.tasks_of(step).filter(|task| task.status == status).count();
        match self.steps[step].stop {
            _ if self.cancelled => Cancelled,
            Some("timeout") => Failed,
            Some(_) => Cancelled,
            None if self.steps[step].completed_before => Completed,
            None if count(Completed) > 0 => Completed,
            None if count(Failed) > 0 => Failed,
            None if count(Cancelled) > 0 => Cancelled,
            None => Completed,
        }
    }

    fn start(&mut self, step: usize) {
        let plan = self.plan(step).clone();
        let only = self.steps[step].only.clone();
        match (plan.first, &only) {
            (None, _) => self.steps[step].status = Failed,
            (Some(0), _) => self.steps[step].status = Completed,
            (Some(first), only) => {
                let state = &mut self.steps[step];
                (state.status, state.attempt) = (Waiting, state.attempt + 1);
                state.left_ms = plan.timeout_ms;
                match only {
                    None => self.write(step, None, 0, &(0..first).collect::<Vec<u8>>()),
                    Some(only) => only.iter().for_each(|(k, d)| self.write(step, None, *d, &[*k])),
                }
            }
        }
    }

    /// What becomes of each step of another run of the same definition: nothing (its results are
    /// kept), its failed tasks only, or all of it.
    fn again(&self, part: &RerunPart) -> Vec<Step> {
        let bad = |step: usize| {
            let mut tasks: Vec<(u8, u32)> = self
                .tasks_of(step)
                .filter(|task| matches!(task.status, Failed | Cancelled))
                .map(|task| (task.key, task.depth))
                .collect();
            tasks.sort_by_key(|(_, depth)| *depth);
            tasks
        };
        let mut done_again: Vec<bool> = Vec::new();
        let mut steps = Vec::new();
        for (n, old) in self.steps.iter().enumerate() {
            let asked = match part {
                RerunPart::Whole => true,
                RerunPart::Failed => old.status != Completed || !bad(n).is_empty(),
                RerunPart::From(name) => *name == step_name(n) || old.status != Completed,
            };
            let before = self.plan(n).after.iter().any(|before| done_again[*before]);
            let partly = *part == RerunPart::Failed && !before && !bad(n).is_empty();
            done_again.push(asked || before);
            steps.push(Step {
                status: if asked || before { Pending } else { Completed },
                only: partly.then(|| bad(n)),
                completed_before: partly && old.status == Completed,
                ..Step::new()
            });
        }
        steps
    }
}

impl Step {
    fn new() -> Self {
        Self {
            status: Pending,
            attempt: 0,
            stop: None,
            not_before_ms: 0,
            left_ms: None,
            unmet: false,
            only: None,
            completed_before: false,
        }
    }
}

impl Model {
    pub(super) fn run(&self, number: u32) -> Option<&Run> {
        self.runs.iter().find(|run| run.number == number)
    }

    fn run_mut(&mut self, number: u32) -> &mut Run {
        self.runs.iter_mut().find(|run| run.number == number).expect("it was asked for")
    }

    fn open(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| run.is_open())
    }

    pub(super) fn is_paused(&self, run: &Run) -> bool {
        self.paused || run.paused
    }

    /// The tasks of a run that may start now, the next one first.
    pub(super) fn claimable(&self, run: &Run) -> Vec<usize> {
        if self.is_paused(run) || !run.is_open() {
            return Vec::new();
        }
        let busy = self.running().len();
        let mut found: Vec<usize> = (0..run.tasks.len())
            .filter(|at| {
                let task = &run.tasks[*at];
                let rested = task.rests_since.is_none_or(|since| self.now_ms - since >= JUMP_MS);
                let limit = run.plan(task.step).lane_limit as usize;
                task.status == Pending && rested && limit > busy
            })
            .collect();
        found.sort_by_key(|at| run.tasks[*at].depth);
        found
    }

    pub(super) fn running(&self) -> Vec<TaskAt> {
        let tasks = |run: &Run| {
            let number = run.number;
            let running = run.tasks.iter().enumerate().filter(|(_, task)| task.status == Running);
            running.map(move |(at, _)| (number, at)).collect::<Vec<_>>()
        };
        self.runs.iter().flat_map(tasks).collect()
    }

    fn accept(&mut self, definition: &Arc<Definition>, again: Option<(u32, RerunPart)>) {
        let steps = match &again {
            None => vec![Step::new(); definition.steps.len()],
            Some((earlier, part)) => self.run_mut(*earlier).again(part),
        };
        let held = definition.alone && self.open().any(|run| run.definition.alone);
        self.runs.push(Run {
            number: self.accepted,
            definition: definition.clone(),
            again,
            status: Waiting,
            held,
            paused: false,
            cancelled: false,
            stop: None,
            borne: false,
            left_ms: definition.timeout_ms,
            changed_ms: self.now_ms,
            steps,
            tasks: Vec::new(),
        });
        self.accepted += 1;
    }

    fn pass(&mut self, ms: i64) {
        self.now_ms += ms;
        self.pass_for_limits(ms);
    }

    fn pass_for_limits(&mut self, ms: i64) {
        let paused = self.paused;
        for run in self.runs.iter_mut().filter(|run| !paused && !run.paused && !run.held) {
            let steps = run.steps.iter_mut().map(|step| &mut step.left_ms);
            for left in steps.chain([&mut run.left_ms]).flatten() {
                *left -= ms;
            }
        }
    }

    fn die(&mut self) {
        // When it died nobody knows, but what happened last did: the time since does not count.
        let last = self.runs.iter().map(|run| run.changed_ms).max().unwrap_or(self.now_ms);
        self.pass_for_limits(last - self.now_ms);
        for run in &mut self.runs {
            for at in 0..run.tasks.len() {
                let task = &mut run.tasks[at];
                if task.status == Running {
                    (task.status, task.rests_since) = (Pending, None);
                    task.crashes += 1;
                    if i64::from(task.crashes) >= POISON_AFTER {
                        run.end_own(at, Failed);
                    }
                }
            }
            run.end_waiting();
        }
    }

    /// Whether the work of a run is still needed by one that does it again.
    fn is_needed(&self, run: &Run) -> bool {
        self.open().any(|open| open.again.as_ref().is_some_and(|(of, _)| *of == run.number))
    }

    fn prune(&mut self, keep: u32) {
        let kept = self.runs.len().saturating_sub(keep as usize);
        let gone: Vec<u32> = self.runs[..kept]
            .iter()
            .filter(|run| !run.is_open() && !self.is_needed(run))
            .map(|run| run.number)
            .collect();
        self.runs.retain(|run| !gone.contains(&run.number));
    }

    /// Applies the rules until none applies.
    fn settle(&mut self) {
        let mut rounds = 0;
        while (0..self.runs.len()).any(|at| self.rule(at)) {
            rounds += 1;
            assert!(rounds < 10_000, "the rules have no end");
        }
    }

    /// Applies the first rule that has something to say about a run.
    fn rule(&mut self, at: usize) -> bool {
        let now_ms = self.now_ms;
        let paused = self.is_paused(&self.runs[at]);
        let another = self.open().any(|other| {
            other.definition.alone && !other.held && other.number != self.runs[at].number
        });
        let run = &mut self.runs[at];
        if !run.is_open() {
            return false;
        }
        let over = |left: Option<i64>| !paused && left.is_some_and(|left| left <= 0);
        // A task ends with the last of its children.
        for task in 0..run.tasks.len() {
            if run.tasks[task].status == Waiting && !run.has_open_children(task) {
                run.tasks[task].status = run.tasks[task].own;
                return true;
            }
        }
        if run.held {
            run.held = another && !run.cancelled;
            return !run.held;
        }
        if !run.cancelled && run.stop.is_none() {
            if over(run.left_ms) {
                run.stop = Some("timeout");
                return true;
            }
            let failed = run.tasks.iter().filter(|task| task.status == Failed).count();
            if let Some((most, action)) = run.definition.tolerance
                && !run.borne
                && failed > most as usize
            {
                match action {
                    StopAll => run.stop = Some("too_many_failures"),
                    Continue | MarkWarning => run.borne = true,
                }
                return true;
            }
        }
        let all = 0..run.steps.len();
        let is = |run: &Run, step: usize, status| run.steps[step].status == status;
        // A step ends when it has nothing open any more, or is tried again.
        let drained: Vec<usize> = all
            .clone()
            .filter(|step| is(run, *step, Waiting))
            .filter(|step| run.tasks_of(*step).all(|task| task.status.is_terminal()))
            .collect();
        let ending = run.is_ending();
        for step in &drained {
            let (outcome, plan) = (run.step_outcome(*step), run.plan(*step).clone());
            let hope = run.stop.is_none() && (plan.always || !ending);
            let state = &mut run.steps[*step];
            let again = plan.on_error == OnError::Retry && state.attempt < plan.attempts && hope;
            if outcome == Failed && again {
                (state.status, state.stop, state.left_ms) = (Pending, None, None);
                state.not_before_ms = now_ms + (RETRY_MS << (state.attempt - 1));
            } else {
                state.status = outcome;
            }
        }
        if !drained.is_empty() {
            return true;
        }
        if run.steps.iter().all(|step| step.status.is_terminal()) {
            run.status = match (run.cancelled, run.is_ending()) {
                (true, _) => Cancelled,
                (false, true) => Failed,
                (false, false) => Completed,
            };
            return true;
        }
        let pending: Vec<usize> = all.clone().filter(|step| is(run, *step, Pending)).collect();
        if run.cancelled {
            pending.iter().for_each(|step| run.steps[*step].status = Cancelled);
            return !pending.is_empty();
        }
        // A step that takes too long is stopped, and with a run that stops at once all are that do
        // not always run.
        let at_once = run.stop.is_some()
            || all
                .clone()
                .any(|step| is(run, step, Failed) && run.plan(step).on_error == OnError::Fatal);
        let mut stopped = false;
        for step in all {
            if !is(run, step, Waiting) || run.steps[step].stop.is_some() {
                continue;
            }
            if over(run.steps[step].left_ms) {
                run.steps[step].stop = Some("timeout");
            } else if at_once && !run.plan(step).always {
                run.steps[step].stop = Some("cancelled");
            }
            stopped |= run.steps[step].stop.is_some();
        }
        run.end_waiting();
        self.turn(at, &pending) || stopped
    }

    /// What becomes of steps whose turn may have come; all that can start, start together.
    fn turn(&mut self, at: usize, pending: &[usize]) -> bool {
        let (now_ms, run) = (self.now_ms, &mut self.runs[at]);
        let before = run.clone();
        let mut moved = false;
        for step in pending {
            let plan = before.plan(*step);
            let after = || plan.after.iter().map(|n| &before.steps[*n]);
            let state = &mut run.steps[*step];
            if before.is_ending() && !plan.always {
                // One that was tried has failed; the others have not been tried.
                state.status = if state.attempt > 0 { Failed } else { Skipped };
            } else if state.not_before_ms > now_ms || after().any(|s| !s.status.is_terminal()) {
                continue;
            } else if !plan.always && after().any(|s| s.status != Completed && !s.unmet) {
                state.status = Skipped;
            } else if plan.only_if.is_some_and(|status| after().any(|s| s.status != status)) {
                (state.status, state.unmet) = (Skipped, true);
            } else {
                run.start(*step);
            }
            moved = true;
        }
        moved
    }
}

impl Model {
    pub(super) fn perform(&mut self, op: &Op) {
        let before: Vec<_> = self.runs.iter().map(|run| (run.number, run.statuses())).collect();
        self.act(op);
        let now_ms = self.now_ms;
        for run in &mut self.runs {
            if !before.contains(&(run.number, run.statuses())) {
                run.changed_ms = now_ms;
            }
        }
    }

    fn act(&mut self, op: &Op) {
        let now_ms = self.now_ms;
        match op {
            Op::Submit(definition) => self.accept(definition, None),
            Op::Rerun(run, part) => {
                let definition = self.run_mut(*run).definition.clone();
                self.accept(&definition, Some((*run, part.clone())));
            }
            Op::Claim(number) => {
                let next = self.run(*number).and_then(|run| self.claimable(run).first().copied());
                if let Some(at) = next {
                    let task = &mut self.run_mut(*number).tasks[at];
                    (task.status, task.attempt) = (Running, task.attempt + 1);
                    task.rests_since = None;
                }
            }
            Op::EndAll(tasks) => {
                for (run, at) in tasks {
                    self.run_mut(*run).end_own(*at, Completed);
                }
            }
            Op::End((run, at), how) => self.run_mut(*run).end(*at, how, now_ms),
            Op::Spawn((number, at), keys) => {
                let run = self.run_mut(*number);
                let (step, depth) = (run.tasks[*at].step, run.tasks[*at].depth + 1);
                if !run.is_stopped(step) {
                    run.write(step, Some(*at), depth, keys);
                }
            }
            Op::Tick => {
                self.ticks += 1;
                self.pass(TICK_MS);
            }
            Op::Jump => {
                self.ticks = 0;
                self.pass(JUMP_MS);
            }
            Op::Pause(run, pause) => self.run_mut(*run).paused = *pause,
            Op::PauseAll(pause) => self.paused = *pause,
            Op::Cancel(number) => {
                let run = self.run_mut(*number);
                run.cancelled = true;
                run.end_waiting();
            }
            Op::Crash => self.die(),
            Op::Prune(keep) => self.prune(*keep),
        }
        self.settle();
    }
}
