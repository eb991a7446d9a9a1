//! A seeded simulation of whole runs on the pure core: random definitions, and events in every order
//! that can happen to them. What the store would do with a decision is done here in memory.
//!
//! `QUAERO_SEEDS` sets how many seeds are tried; a failure names its seed, and
//! `QUAERO_SEED=n` tries just that one.

use quaero_contract::DocumentCounts;

use super::*;

/// splitmix64, Steele et al. 2014.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }

    fn small(&mut self, sides: u32) -> u32 {
        u32::try_from(self.roll(sides.into())).expect("smaller than its sides")
    }
}

/// A task of the present attempt of a step, or a run below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Pending,
    Running,
    Ended,
}

struct World {
    dice: Dice,
    now_ms: i64,
    run: RunState,
    /// For each step, its open and ended work.
    work: Vec<Vec<Work>>,
    started: Vec<u32>,
    /// Rare things happen in this world.
    wild: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let count = 1 + dice.small(6);
        let mut steps = Vec::new();
        for n in 0..count {
            let mut depends: Vec<String> = Vec::new();
            for before in 0..n {
                if dice.one_in(3) {
                    depends.push(format!("s{before}"));
                }
            }
            let condition = match (depends.first(), dice.roll(6)) {
                (Some(step), 0) => Some(format!("completed(\"{step}\")")),
                (Some(step), 1) => Some(format!("failures(\"{step}\") > 0")),
                _ => None,
            };
            let starts_runs = dice.one_in(5);
            steps.push(StepRow {
                id: JobId(i64::from(n) + 2),
                name: format!("s{n}"),
                step_type: "test".to_owned(),
                depends,
                on_error: OnError::ALL[usize::try_from(dice.roll(4)).expect("small")],
                always_run: dice.one_in(4),
                condition,
                status: JobStatus::Pending,
                error_code: None,
                open: 0,
                jobs: JobCounts::default(),
                documents: DocumentCounts::default(),
                warnings: 0,
                round: (0, 0, 0),
                attempt: 0,
                max_attempts: 1 + dice.small(3),
                retry_delay_ms: 100,
                max_retry_delay_ms: 1_000,
                run_after_ms: 0,
                deadline_ms: None,
                keep_on_timeout: dice.one_in(4),
                sweep_due: !starts_runs && dice.one_in(4),
                stop: None,
                starts_runs,
                instances_left: if starts_runs { 1 + dice.small(5) } else { 0 },
                parallel: 1 + dice.small(3),
                completed_before: false,
            });
        }
        let action = [FailureAction::StopAll, FailureAction::MarkWarning, FailureAction::Continue]
            [usize::try_from(dice.roll(3)).expect("small")];
        let tolerance = dice.one_in(3).then(|| Tolerance {
            max_failures: dice.small(4),
            max_percent: dice.one_in(2).then_some(30.0),
            min_sample: 3,
            action,
        });
        let run = RunState {
            status: JobStatus::Waiting,
            cancel_requested: false,
            held: dice.one_in(6),
            paused: false,
            deadline_ms: dice.one_in(4).then_some(3_000),
            stop: None,
            tolerance,
            jobs: JobCounts::default(),
            variables: Vec::new(),
            parent_run: None,
            reuse: None,
            steps,
        };
        let (work, started) = (vec![Vec::new(); count as usize], vec![0; count as usize]);
        Self { wild: dice.one_in(2), dice, now_ms: 1, run, work, started }
    }

    /// Applies decisions until there are none, as [`advance`] does.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            let decisions = decide(&self.run, self.now_ms);
            if decisions.is_empty() {
                return self.is_sound();
            }
            for decision in decisions {
                self.apply(decision);
            }
        }
        panic!("the decisions have no end");
    }

    fn apply(&mut self, decision: Decision) {
        match decision {
            Decision::StopRun(error) => {
                assert!(self.run.stop.is_none(), "a run is stopped once");
                self.run.stop = Some(error);
            }
            Decision::Bear(_) => self.run.tolerance = None,
            Decision::Start(n) => self.start(n),
            Decision::StartRuns(n, count) => {
                let step = &mut self.run.steps[n];
                step.instances_left -= count;
                step.open += count;
                assert!(step.open <= step.parallel, "more runs than may be at the same time");
                self.work[n].extend(vec![Work::Running; count as usize]);
            }
            Decision::Skip(n, error) => {
                assert!(!self.run.steps[n].always_run || error.code == CONDITION, "{error:?}");
                self.run.steps[n].error_code = Some(error.code);
                self.end(n, JobStatus::Skipped);
            }
            Decision::EndStep(n, status) => self.end(n, status),
            Decision::Sweep(n) => {
                let step = &mut self.run.steps[n];
                assert!(step.sweep_due && step.stop.is_none(), "a step looks after things once");
                step.sweep_due = false;
                if self.dice.one_in(2) {
                    step.open += 1;
                    self.work[n].push(Work::Pending);
                }
            }
            Decision::RetryStep(n) => {
                let now_ms = self.now_ms;
                let step = &mut self.run.steps[n];
                assert!(step.attempt < step.max_attempts && step.on_error == OnError::Retry);
                step.status = JobStatus::Pending;
                (step.round, step.stop, step.deadline_ms) = ((0, 0, 0), None, None);
                step.run_after_ms = now_ms + 500;
                if step.starts_runs {
                    step.instances_left = 2;
                }
                self.work[n].clear();
            }
            Decision::StopStep(n, error) => {
                assert!(self.run.steps[n].stop.is_none(), "a step is stopped once");
                self.run.steps[n].stop = Some(error);
                // What waits ends at once, what runs is told.
                for at in 0..self.work[n].len() {
                    if self.work[n][at] == Work::Pending {
                        self.finish(n, at, JobStatus::Cancelled);
                    }
                }
            }
            Decision::EndRun(status) => {
                let failed = self.run.steps.iter().any(stops_the_run);
                let expected = match (self.run.cancel_requested, self.run.stop.is_some() || failed)
                {
                    (true, _) => JobStatus::Cancelled,
                    (false, true) => JobStatus::Failed,
                    (false, false) => JobStatus::Completed,
                };
                assert_eq!(status, expected);
                self.run.status = status;
            }
        }
    }

    fn start(&mut self, n: usize) {
        assert!(!self.run.held && !self.run.cancel_requested, "started although it must not");
        let ended = |name: &String| {
            self.run.steps.iter().any(|step| step.name == *name && step.status.is_terminal())
        };
        assert!(self.run.steps[n].depends.iter().all(ended), "started before its predecessors");
        let timed = self.dice.one_in(4);
        let tasks = self.dice.roll(4);
        let now_ms = self.now_ms;
        self.started[n] += 1;
        let step = &mut self.run.steps[n];
        step.attempt += 1;
        assert!(step.attempt <= step.max_attempts.max(1), "tried too often");
        step.run_after_ms = 0;
        if !step.starts_runs && tasks == 0 {
            return self.end(n, JobStatus::Completed);
        }
        step.status = JobStatus::Waiting;
        step.deadline_ms = timed.then_some(now_ms + 700);
        if !step.starts_runs {
            step.open = u32::try_from(tasks).expect("small");
            self.work[n] = vec![Work::Pending; step.open as usize];
        }
    }

    fn end(&mut self, n: usize, status: JobStatus) {
        let step = &mut self.run.steps[n];
        assert!(!step.status.is_terminal(), "nothing finished is ever un-finished");
        assert_eq!(step.open, 0, "a step ends after its tasks");
        assert!(status.is_terminal() && step.status.may_become(status));
        step.status = status;
    }

    /// A task or a run below a step ends.
    fn finish(&mut self, n: usize, at: usize, status: JobStatus) {
        self.work[n][at] = Work::Ended;
        let step = &mut self.run.steps[n];
        step.open -= 1;
        let (run, round) = (&mut self.run.jobs, &mut step.round);
        let (of_run, of_round, of_step) = match status {
            JobStatus::Completed => (&mut run.completed, &mut round.0, &mut step.jobs.completed),
            JobStatus::Failed => (&mut run.failed, &mut round.1, &mut step.jobs.failed),
            _ => (&mut run.cancelled, &mut round.2, &mut step.jobs.cancelled),
        };
        (*of_run, *of_round, *of_step) = (*of_run + 1, *of_round + 1, *of_step + 1);
    }

    /// One thing happens that can.
    fn happen(&mut self, faults: bool) {
        let open: Vec<(usize, usize)> = (0..self.work.len())
            .flat_map(|n| (0..self.work[n].len()).map(move |at| (n, at)))
            .filter(|(n, at)| self.work[*n][*at] != Work::Ended)
            .collect();
        if faults && self.wild {
            match self.dice.roll(40) {
                0 => {
                    self.run.cancel_requested = true;
                    self.run.held = false;
                    for (n, at) in &open {
                        if self.work[*n][*at] == Work::Pending {
                            self.finish(*n, *at, JobStatus::Cancelled);
                        }
                    }
                    return;
                }
                1 | 2 => return self.run.paused = !self.run.paused,
                // The process dies: what was running waits again.
                3 => {
                    for (n, at) in open {
                        if !self.run.steps[n].starts_runs {
                            self.work[n][at] = Work::Pending;
                            if self.is_stopped(n) {
                                self.finish(n, at, JobStatus::Cancelled);
                            }
                        }
                    }
                    return;
                }
                // The clock is set.
                4 => return self.now_ms += 2_000,
                5 => return self.now_ms = (self.now_ms - 300).max(1),
                _ => {}
            }
        }
        if self.run.held && (!faults || self.dice.one_in(10)) {
            return self.run.held = false;
        }
        if open.is_empty() || self.dice.one_in(5) {
            if let Some(at) = next_wake(&self.run) {
                self.now_ms = self.now_ms.max(at);
            }
            return;
        }
        let pick = usize::try_from(self.dice.roll(open.len() as u64)).expect("small");
        let (n, at) = open[pick];
        match self.work[n][at] {
            Work::Pending if !self.run.paused => self.work[n][at] = Work::Running,
            Work::Running => {
                let status = match (self.is_stopped(n), self.dice.roll(4)) {
                    (true, 0..=2) => JobStatus::Cancelled,
                    (_, 0) => JobStatus::Failed,
                    (_, _) => JobStatus::Completed,
                };
                self.finish(n, at, status);
            }
            Work::Pending | Work::Ended => {}
        }
    }

    fn is_stopped(&self, n: usize) -> bool {
        self.run.cancel_requested || self.run.steps[n].stop.is_some()
    }

    /// Whatever is not over has something that will move it on.
    fn is_sound(&self) {
        if self.run.status.is_terminal() || self.run.held {
            return;
        }
        let works = self.run.steps.iter().any(|step| step.open > 0);
        assert!(works || next_wake(&self.run).is_some(), "nothing can move it on: {:?}", self.run);
    }
}

fn simulate(seed: u64) {
    let mut world = World::new(seed);
    world.settle();
    for _ in 0..60 {
        world.happen(true);
        world.settle();
    }
    // The faults stop.
    world.run.paused = false;
    for _ in 0..2_000 {
        if world.run.status.is_terminal() {
            break;
        }
        world.happen(false);
        world.settle();
    }
    assert!(world.run.status.is_terminal(), "it has no end: {:?}", world.run);
    assert!(world.run.steps.iter().all(|step| step.status.is_terminal() && step.open == 0));
    for (n, step) in world.run.steps.iter().enumerate() {
        let must = step.always_run && !world.run.cancel_requested && step.condition.is_none();
        assert!(!must || world.started[n] > 0, "`{}` always runs", step.name);
    }
}

#[test]
fn whatever_happens_in_whatever_order_every_run_comes_to_its_end() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seeds = match number("QUAERO_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("QUAERO_SEEDS").unwrap_or(2_000),
    };
    for seed in seeds {
        let run = catch_unwind(|| simulate(seed));
        assert!(run.is_ok(), "QUAERO_SEED={seed} fails");
    }
}
