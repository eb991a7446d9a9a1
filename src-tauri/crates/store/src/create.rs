//! Accepting a run: its parent job and a job for every step, all in one go, and what it takes over
//! from an earlier run.

use std::collections::{BTreeMap, BTreeSet};

use quaero_contract::{JobId, JobKind, JobStatus, RerunPart, VersionReason};
use rusqlite::params;

use crate::{
    change::Change,
    error::Result,
    jobs::{Place, TaskRow},
    point::Point,
    runs::{NewRun, NewStep, Reuse, json},
    schedules::Settled,
    writer::Tx,
};

/// What becomes of a step of a run that does an earlier one's work again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    /// It is done as if there were no earlier run.
    Afresh,
    /// The results of this step stand for its own.
    Reuse(JobId),
    /// Only what failed in this step is done again.
    Failed(JobId),
}

fn plain(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain data")
}

fn millis(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Tx {
    /// Accepts a run. Returns its id, and whether it is new; the same request again returns the same
    /// run.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn create_run(&mut self, run: &NewRun, now_ms: i64) -> Result<(JobId, bool)> {
        self.create_run_below(run, None, now_ms)
    }

    /// As [`Tx::create_run`], for a run that a step of another one starts and waits for.
    pub(crate) fn create_run_below(
        &mut self,
        run: &NewRun,
        caused_by: Option<JobId>,
        now_ms: i64,
    ) -> Result<(JobId, bool)> {
        let known: Option<i64> =
            self.first_scalar("SELECT id FROM runs WHERE request_id = ?", [&run.request_id])?;
        if let Some(id) = known {
            if let Some(slot) = &run.slot {
                self.settle_slot(slot, Settled::Started(JobId(id)))?;
            }
            return Ok((JobId(id), false));
        }
        let hash = self.keep_text(&run.definition_text)?;
        let held: bool = match run.singleton.as_ref().filter(|_| run.hold) {
            None => false,
            Some(key) => self.scalar(
                "SELECT EXISTS (SELECT 1 FROM runs r JOIN jobs j ON j.id = r.id
                     WHERE r.singleton_key = ? AND j.finished_ms IS NULL)",
                [key],
            )?,
        };
        let id = self.insert_job(None, JobKind::Parent, "run", &run.name, 1, now_ms)?;
        self.execute("INSERT INTO runs (id, request_id, definition_id, definition_hash, subject, variables, tags,
                 auth_id, epoch, started_by, caused_by, rerun_of, priority, max_running, singleton_key, held,
                 timeout_ms, tolerance, given)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", params![id.0, &run.request_id, &run.definition_id, &hash, &run.subject, plain(&run.variables), plain(&run.tags), &run.auth_id, self.epoch, run.started_by.as_str(), caused_by.map(|step| step.0), run.reuse.as_ref().map(|reuse| reuse.run.0), run.priority, run.max_running, &run.singleton, held, run.timeout_ms.map(millis), run.tolerance.as_ref().map(plain), plain(&run.given)])?;
        let mut steps = Vec::with_capacity(run.steps.len());
        for (ordinal, step) in (0_i64..).zip(&run.steps) {
            steps.push(self.insert_step(id, ordinal, step, now_ms)?);
        }
        self.tally.children_written(id, i64::try_from(steps.len()).unwrap_or(i64::MAX));
        self.tell_adopted(id, true)?;
        self.move_job(id, JobStatus::Waiting, None, now_ms)?;
        if !held {
            self.begin_run(id, now_ms)?;
        }
        self.note_version(&run.definition_id, &hash, VersionReason::Executed, Some(id), now_ms)?;
        if let Some(slot) = &run.slot {
            self.settle_slot(slot, Settled::Started(id))?;
        }
        if let Some(reuse) = &run.reuse {
            self.take_over(id, run, &steps, reuse, now_ms)?;
        }
        Point::RunCreated.reach()?;
        Ok((id, true))
    }

    fn insert_step(
        &mut self,
        run: JobId,
        ordinal: i64,
        step: &NewStep,
        now_ms: i64,
    ) -> Result<JobId> {
        let job = self.insert_job(
            Some(run),
            JobKind::Step,
            &step.step_type,
            &step.name,
            step.max_attempts,
            now_ms,
        )?;
        self.execute("INSERT INTO steps (id, run_id, ordinal, description, config, output_tags, depends,
                 on_error, always_run, condition, max_attempts, retry_delay_ms, max_retry_delay_ms, timeout_ms,
                 task_timeout_ms, task_attempts, max_tasks, priority, memo_key, parallel, keep_on_timeout)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", params![job.0, run.0, ordinal, &step.description, step.config.to_string(), plain(&step.output_tags), plain(&step.depends), step.on_error.as_str(), step.always_run, &step.condition, step.max_attempts.max(1), millis(step.retry_delay_ms), millis(step.max_retry_delay_ms), step.timeout_ms.map(millis), millis(step.task_timeout_ms.max(1)), step.task_attempts.max(1), step.max_tasks.max(1), step.priority, &step.memo_key, step.parallel.max(1), step.keep_on_timeout])?;
        for (ordinal, instance) in (0_i64..).zip(&step.instances) {
            self.execute(
                "INSERT INTO step_instances (step_id, ordinal, run) VALUES (?, ?, ?)",
                params![job.0, ordinal, plain(instance)],
            )?;
        }
        Ok(job)
    }

    fn insert_job(
        &mut self,
        run: Option<JobId>,
        kind: JobKind,
        job_type: &str,
        name: &str,
        max_attempts: u32,
        now_ms: i64,
    ) -> Result<JobId> {
        let id: i64 = self.scalar("INSERT INTO jobs (id, run_id, parent_id, step_id, kind, type, name, max_attempts, created_ms, changed_ms)
             SELECT n.id, coalesce(?1, n.id), ?1, CASE WHEN ?1 IS NOT NULL THEN n.id END, ?2, ?3, ?4, ?6, ?5, ?5
             FROM (SELECT coalesce(max(seq), 0) + 1 AS id FROM sqlite_sequence WHERE name = 'jobs') AS n
             RETURNING id", params![run.map(|r| r.0), kind.as_str(), job_type, name, now_ms, max_attempts.max(1)])?;
        self.execute("INSERT INTO counters (job_id) VALUES (?)", [id])?;
        Ok(JobId(id))
    }

    /// Takes over what can be of an earlier run: steps whose results are reused end at once.
    fn take_over(
        &mut self,
        run: JobId,
        new: &NewRun,
        jobs: &[JobId],
        reuse: &Reuse,
        now_ms: i64,
    ) -> Result<()> {
        for (at, plan) in self.plans(new, reuse)?.into_iter().enumerate() {
            let step = jobs[at];
            match plan {
                Plan::Afresh => {}
                Plan::Failed(from) => {
                    self.execute(
                        "UPDATE steps SET reused_from = ?2 WHERE id = ?1",
                        params![step.0, from.0],
                    )?;
                    self.take_documents(from, run, step)?;
                }
                Plan::Reuse(from) => {
                    self.execute(
                        "UPDATE steps SET reused_from = ?2 WHERE id = ?1",
                        params![step.0, from.0],
                    )?;
                    self.take_documents(from, run, step)?;
                    self.move_job(step, JobStatus::Completed, None, now_ms)?;
                }
            }
        }
        Ok(())
    }

    /// The names of the steps of a run that do their work, all of it or a part, if the run reuses this;
    /// what the others have done in the earlier run stands.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn working_steps(&mut self, new: &NewRun, reuse: &Reuse) -> Result<Vec<String>> {
        let names = new.steps.iter().map(|step| step.name.clone());
        let plans = self.plans(new, reuse)?;
        let working = names.zip(plans).filter(|(_, plan)| !matches!(plan, Plan::Reuse(_)));
        Ok(working.map(|(name, _)| name).collect())
    }

    fn plans(&mut self, new: &NewRun, reuse: &Reuse) -> Result<Vec<Plan>> {
        struct Before {
            id: JobId,
            completed: bool,
            /// Tasks of its last attempt have failed, or runs below it.
            failed_tasks: bool,
            failed_runs: bool,
            memo_key: String,
        }
        let rows = self.all(
            "SELECT j.id, j.name, j.status, s.memo_key,
                 EXISTS (SELECT 1 FROM jobs t WHERE t.step_id = s.id AND t.kind = 'task'
                     AND t.status IN ('failed', 'cancelled') AND t.round = max(j.attempt, 1)) AS failed_tasks,
                 EXISTS (SELECT 1 FROM step_instances i JOIN jobs b ON b.id = i.run_id
                     WHERE i.step_id = s.id AND b.status IN ('failed', 'cancelled')) AS failed_runs
             FROM steps s JOIN jobs j ON j.id = s.id WHERE s.run_id = ?",
            [reuse.run.0],
        )?;
        let mut before: BTreeMap<String, Before> = BTreeMap::new();
        for row in &rows {
            before.insert(
                row.get("name")?,
                Before {
                    id: JobId(row.get("id")?),
                    completed: row.get::<String>("status")? == JobStatus::Completed.as_str(),
                    failed_tasks: row.get("failed_tasks")?,
                    failed_runs: row.get("failed_runs")?,
                    memo_key: row.get("memo_key")?,
                },
            );
        }
        // Steps that are done again, and with them all that depends on them. A step comes after
        // those it depends on only by its dependencies, so look until nothing changes.
        let mut again: BTreeSet<&str> = BTreeSet::new();
        let mut failed: BTreeSet<&str> = BTreeSet::new();
        for step in &new.steps {
            let old = before.get(&step.name);
            let same =
                old.is_some_and(|old| old.memo_key == step.memo_key && !step.memo_key.is_empty());
            let ok = old.is_some_and(|old| old.completed && !old.failed_tasks && !old.failed_runs);
            let asked = match &reuse.part {
                RerunPart::Whole => true,
                RerunPart::Failed => !ok,
                RerunPart::From(name) => *name == step.name || !old.is_some_and(|o| o.completed),
            };
            if asked || !same {
                again.insert(&step.name);
            }
            let partly = old.is_some_and(|old| old.failed_tasks);
            if reuse.part == RerunPart::Failed && same && partly && step.instances.is_empty() {
                failed.insert(&step.name);
            }
        }
        loop {
            let more: Vec<&str> = new
                .steps
                .iter()
                .filter(|step| !again.contains(step.name.as_str()))
                .filter(|step| step.depends.iter().any(|name| again.contains(name.as_str())))
                .map(|step| step.name.as_str())
                .collect();
            if more.is_empty() {
                break;
            }
            again.extend(more);
        }
        let plan = |step: &NewStep| match before.get(&step.name) {
            Some(old) if !again.contains(step.name.as_str()) => Plan::Reuse(old.id),
            // Its inputs are what they were only if nothing before it is done again.
            Some(old)
                if failed.contains(step.name.as_str())
                    && !step.depends.iter().any(|name| again.contains(name.as_str())) =>
            {
                Plan::Failed(old.id)
            }
            Some(_) | None => Plan::Afresh,
        };
        Ok(new.steps.iter().map(plan).collect())
    }

    /// The documents of an earlier step are the documents of this one, seen again.
    fn take_documents(&mut self, from: JobId, run: JobId, step: JobId) -> Result<()> {
        self.flush()?;
        self.execute(
            "INSERT INTO step_documents (step_id, document_id, run_id, job_id, outcome)
             SELECT ?3, document_id, ?2, ?3, 'unchanged' FROM step_documents WHERE step_id = ?1",
            params![from.0, run.0, step.0],
        )?;
        self.execute("UPDATE counters SET unchanged = (SELECT count(DISTINCT document_id) FROM step_documents
                 WHERE (step_id = ?2 AND counters.job_id = ?2) OR (run_id = ?1 AND counters.job_id = ?1))
             WHERE job_id IN (?1, ?2)", params![run.0, step.0])?;
        Ok(())
    }

    /// The step of an earlier run whose failed tasks this step does again, if that is all it does.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn reused_from(&mut self, step: JobId) -> Result<Option<JobId>> {
        let from: Option<i64> =
            self.scalar("SELECT reused_from FROM steps WHERE id = ?", [step.0])?;
        Ok(from.map(JobId))
    }

    /// The configuration with which a step starts, and how many tasks it may have.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn start_config(&mut self, step: JobId) -> Result<(serde_json::Value, u32)> {
        let row = self.one("SELECT config, max_tasks FROM steps WHERE id = ?", [step.0])?;
        Ok((json(&row, "config")?, row.get("max_tasks")?))
    }

    /// Tells that the coordinator has to look at a run again at this time.
    pub fn wake_at(&mut self, run: JobId, at_ms: Option<i64>) {
        self.note(Change::Wake { run, at_ms });
    }

    /// Starts the next runs that a step has to start, at most `count`. Returns them.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn start_instances(&mut self, step: JobId, count: u32, now_ms: i64) -> Result<Vec<JobId>> {
        let rows = self.all("SELECT ordinal, run FROM step_instances WHERE step_id = ? AND run_id IS NULL ORDER BY ordinal LIMIT ?", params![step.0, count])?;
        let attempt: i64 = self.scalar("SELECT attempt FROM jobs WHERE id = ?", [step.0])?;
        let above = self.run_of(step)?;
        let mut started = Vec::new();
        for row in &rows {
            let ordinal: i64 = row.get("ordinal")?;
            let mut run: NewRun = json(row, "run")?;
            run.request_id = format!("step:{step}:{attempt}:{ordinal}");
            let (id, new) = self.create_run_below(&run, Some(step), now_ms)?;
            self.execute(
                "UPDATE step_instances SET run_id = ?3 WHERE step_id = ?1 AND ordinal = ?2",
                params![step.0, ordinal, id.0],
            )?;
            if new {
                self.tally.moved(above, step, None, JobStatus::Waiting, 1);
                self.tally.children_written(step, 1);
                started.push(id);
            }
        }
        self.touch(above);
        Point::InstancesStarted.reach()?;
        Ok(started)
    }

    /// Writes the tasks that failed in the last attempt at a step of an earlier run as the first tasks of this one. Returns
    /// how many there were.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn copy_failed_tasks(
        &mut self,
        from: JobId,
        run: JobId,
        step: JobId,
        now_ms: i64,
    ) -> Result<u64> {
        let rows = self.all(
            "SELECT t.type, t.name, t.task_key, t.payload, t.lane, t.lane_limit, t.lane_delay_ms, t.depth
             FROM jobs t JOIN jobs s ON s.id = t.step_id
             WHERE t.step_id = ? AND t.kind = 'task' AND t.status IN ('failed', 'cancelled')
                 AND t.round = max(s.attempt, 1) ORDER BY t.id",
            [from.0],
        )?;
        let mut written = 0;
        let mut tasks: BTreeMap<u32, Vec<TaskRow>> = BTreeMap::new();
        for row in &rows {
            tasks.entry(row.get("depth")?).or_default().push(TaskRow {
                task_type: row.get("type")?,
                name: row.get("name")?,
                key: row.get("task_key")?,
                payload: json(row, "payload")?,
                lane: row.get("lane")?,
                lane_limit: row.get("lane_limit")?,
                lane_delay_ms: row.get("lane_delay_ms")?,
                priority: 0,
            });
        }
        for (depth, tasks) in tasks {
            let place = Place { run, step, parent: step, depth };
            written += self.insert_tasks(place, &tasks, None, now_ms)?.written;
        }
        Ok(written)
    }
}
