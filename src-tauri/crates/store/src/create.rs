//! Accepting a run: its parent job and a job for every step, all in one go, and what it takes over
//! from an earlier run.

use std::collections::{BTreeMap, BTreeSet};

use quaero_contract::{JobId, JobKind, JobStatus, RerunPart, VersionReason};
use sqlx::Row;

use crate::{
    change::Change,
    error::Result,
    jobs::{Place, TaskRow},
    runs::{NewRun, NewStep, Reuse, counts, json},
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
    pub async fn create_run(&mut self, run: &NewRun, now_ms: i64) -> Result<(JobId, bool)> {
        self.create_run_below(run, None, now_ms).await
    }

    /// As [`Tx::create_run`], for a run that a step of another one starts and waits for.
    pub(crate) async fn create_run_below(
        &mut self,
        run: &NewRun,
        caused_by: Option<JobId>,
        now_ms: i64,
    ) -> Result<(JobId, bool)> {
        let known: Option<i64> = sqlx::query_scalar("SELECT id FROM runs WHERE request_id = ?")
            .bind(&run.request_id)
            .fetch_optional(&mut self.conn)
            .await?;
        if let Some(id) = known {
            if let Some(slot) = &run.slot {
                self.settle_slot(slot, Settled::Started(JobId(id))).await?;
            }
            return Ok((JobId(id), false));
        }
        let hash = self.keep_text(&run.definition_text).await?;
        let held: bool = match run.singleton.as_ref().filter(|_| run.hold) {
            None => false,
            Some(key) => {
                sqlx::query_scalar(
                    "SELECT EXISTS (SELECT 1 FROM runs r JOIN jobs j ON j.id = r.id
                     WHERE r.singleton_key = ? AND j.finished_ms IS NULL)",
                )
                .bind(key)
                .fetch_one(&mut self.conn)
                .await?
            }
        };
        let id = self.insert_job(None, JobKind::Parent, "run", &run.name, 1, now_ms).await?;
        sqlx::query(
            "INSERT INTO runs (id, request_id, definition_id, definition_hash, subject, variables, tags,
                 auth_id, epoch, started_by, caused_by, rerun_of, priority, max_running, singleton_key, held,
                 timeout_ms, tolerance, given)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(id.0)
        .bind(&run.request_id)
        .bind(&run.definition_id)
        .bind(&hash)
        .bind(&run.subject)
        .bind(plain(&run.variables))
        .bind(plain(&run.tags))
        .bind(&run.auth_id)
        .bind(self.epoch)
        .bind(run.started_by.as_str())
        .bind(caused_by.map(|step| step.0))
        .bind(run.reuse.as_ref().map(|reuse| reuse.run.0))
        .bind(run.priority)
        .bind(run.max_running)
        .bind(&run.singleton)
        .bind(held)
        .bind(run.timeout_ms.map(millis))
        .bind(run.tolerance.as_ref().map(plain))
        .bind(plain(&run.given))
        .execute(&mut self.conn)
        .await?;
        let mut steps = Vec::with_capacity(run.steps.len());
        for (ordinal, step) in (0_i64..).zip(&run.steps) {
            steps.push(self.insert_step(id, ordinal, step, now_ms).await?);
        }
        self.tally.children_written(id, i64::try_from(steps.len()).unwrap_or(i64::MAX));
        self.tell_adopted(id, true).await?;
        self.move_job(id, JobStatus::Waiting, None, now_ms).await?;
        if !held {
            self.begin_run(id).await?;
        }
        self.note_version(&run.definition_id, &hash, VersionReason::Executed, Some(id), now_ms)
            .await?;
        if let Some(slot) = &run.slot {
            self.settle_slot(slot, Settled::Started(id)).await?;
        }
        if let Some(reuse) = &run.reuse {
            self.take_over(id, run, &steps, reuse, now_ms).await?;
        }
        Ok((id, true))
    }

    async fn insert_step(
        &mut self,
        run: JobId,
        ordinal: i64,
        step: &NewStep,
        now_ms: i64,
    ) -> Result<JobId> {
        let job = self
            .insert_job(
                Some(run),
                JobKind::Step,
                &step.step_type,
                &step.name,
                step.max_attempts,
                now_ms,
            )
            .await?;
        sqlx::query(
            "INSERT INTO steps (id, run_id, ordinal, description, config, output_tags, depends,
                 on_error, always_run, condition, max_attempts, retry_delay_ms, max_retry_delay_ms, timeout_ms,
                 task_timeout_ms, task_attempts, priority, memo_key, parallel)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(job.0)
        .bind(run.0)
        .bind(ordinal)
        .bind(&step.description)
        .bind(step.config.to_string())
        .bind(plain(&step.output_tags))
        .bind(plain(&step.depends))
        .bind(step.on_error.as_str())
        .bind(step.always_run)
        .bind(&step.condition)
        .bind(step.max_attempts.max(1))
        .bind(millis(step.retry_delay_ms))
        .bind(millis(step.max_retry_delay_ms))
        .bind(step.timeout_ms.map(millis))
        .bind(millis(step.task_timeout_ms.max(1)))
        .bind(step.task_attempts.max(1))
        .bind(step.priority)
        .bind(&step.memo_key)
        .bind(step.parallel.max(1))
        .execute(&mut self.conn)
        .await?;
        for (ordinal, instance) in (0_i64..).zip(&step.instances) {
            sqlx::query("INSERT INTO step_instances (step_id, ordinal, run) VALUES (?, ?, ?)")
                .bind(job.0)
                .bind(ordinal)
                .bind(plain(instance))
                .execute(&mut self.conn)
                .await?;
        }
        Ok(job)
    }

    async fn insert_job(
        &mut self,
        run: Option<JobId>,
        kind: JobKind,
        job_type: &str,
        name: &str,
        max_attempts: u32,
        now_ms: i64,
    ) -> Result<JobId> {
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO jobs (id, run_id, parent_id, step_id, kind, type, name, max_attempts, created_ms, changed_ms)
             SELECT n.id, coalesce(?1, n.id), ?1, CASE WHEN ?1 IS NOT NULL THEN n.id END, ?2, ?3, ?4, ?6, ?5, ?5
             FROM (SELECT coalesce(max(seq), 0) + 1 AS id FROM sqlite_sequence WHERE name = 'jobs') AS n
             RETURNING id",
        )
        .bind(run.map(|r| r.0))
        .bind(kind.as_str())
        .bind(job_type)
        .bind(name)
        .bind(now_ms)
        .bind(max_attempts.max(1))
        .fetch_one(&mut self.conn)
        .await?;
        sqlx::query("INSERT INTO counters (job_id) VALUES (?)")
            .bind(id)
            .execute(&mut self.conn)
            .await?;
        Ok(JobId(id))
    }

    /// Takes over what can be of an earlier run: steps whose results are reused end at once.
    async fn take_over(
        &mut self,
        run: JobId,
        new: &NewRun,
        jobs: &[JobId],
        reuse: &Reuse,
        now_ms: i64,
    ) -> Result<()> {
        for (at, plan) in self.plans(new, reuse).await?.into_iter().enumerate() {
            let step = jobs[at];
            match plan {
                Plan::Afresh => {}
                Plan::Failed(from) => {
                    sqlx::query("UPDATE steps SET reused_from = ?2 WHERE id = ?1")
                        .bind(step.0)
                        .bind(from.0)
                        .execute(&mut self.conn)
                        .await?;
                    self.take_documents(from, run, step).await?;
                }
                Plan::Reuse(from) => {
                    sqlx::query("UPDATE steps SET reused_from = ?2 WHERE id = ?1")
                        .bind(step.0)
                        .bind(from.0)
                        .execute(&mut self.conn)
                        .await?;
                    self.take_documents(from, run, step).await?;
                    self.move_job(step, JobStatus::Completed, None, now_ms).await?;
                }
            }
        }
        Ok(())
    }

    async fn plans(&mut self, new: &NewRun, reuse: &Reuse) -> Result<Vec<Plan>> {
        struct Before {
            id: JobId,
            completed: bool,
            failures: bool,
            tasks: bool,
            memo_key: String,
        }
        let rows = sqlx::query(
            "SELECT j.id, j.name, j.status, s.memo_key, c.* FROM steps s JOIN jobs j ON j.id = s.id
             JOIN counters c ON c.job_id = s.id WHERE s.run_id = ?",
        )
        .bind(reuse.run.0)
        .fetch_all(&mut self.conn)
        .await?;
        let mut before: BTreeMap<String, Before> = BTreeMap::new();
        for row in &rows {
            let jobs = counts(row)?.0;
            before.insert(
                row.try_get("name")?,
                Before {
                    id: JobId(row.try_get("id")?),
                    completed: row.try_get::<&str, _>("status")? == JobStatus::Completed.as_str(),
                    failures: jobs.failed + jobs.cancelled > 0,
                    tasks: jobs.total > 0,
                    memo_key: row.try_get("memo_key")?,
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
            let ok = old.is_some_and(|old| old.completed && !old.failures);
            let asked = match &reuse.part {
                RerunPart::Whole => true,
                RerunPart::Failed => !ok,
                RerunPart::From(name) => *name == step.name || !old.is_some_and(|o| o.completed),
            };
            if asked || !same {
                again.insert(&step.name);
            }
            let partly = old.is_some_and(|old| old.failures && old.tasks);
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
    async fn take_documents(&mut self, from: JobId, run: JobId, step: JobId) -> Result<()> {
        self.flush().await?;
        sqlx::query(
            "INSERT INTO step_documents (step_id, document_id, run_id, job_id, outcome)
             SELECT ?3, document_id, ?2, ?3, 'unchanged' FROM step_documents WHERE step_id = ?1",
        )
        .bind(from.0)
        .bind(run.0)
        .bind(step.0)
        .execute(&mut self.conn)
        .await?;
        sqlx::query(
            "UPDATE counters SET unchanged = (SELECT count(DISTINCT document_id) FROM step_documents
                 WHERE (step_id = ?2 AND counters.job_id = ?2) OR (run_id = ?1 AND counters.job_id = ?1))
             WHERE job_id IN (?1, ?2)",
        )
        .bind(run.0)
        .bind(step.0)
        .execute(&mut self.conn)
        .await?;
        Ok(())
    }

    /// The step of an earlier run whose failed tasks this step does again, if that is all it does.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn reused_from(&mut self, step: JobId) -> Result<Option<JobId>> {
        let from: Option<i64> = sqlx::query_scalar("SELECT reused_from FROM steps WHERE id = ?")
            .bind(step.0)
            .fetch_one(&mut self.conn)
            .await?;
        Ok(from.map(JobId))
    }

    /// The configuration with which a step starts.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn start_config(&mut self, step: JobId) -> Result<serde_json::Value> {
        let row = sqlx::query("SELECT config FROM steps WHERE id = ?")
            .bind(step.0)
            .fetch_one(&mut self.conn)
            .await?;
        Ok(json(&row, "config")?)
    }

    /// Tells that the coordinator has to look at a run again at this time.
    pub fn wake_at(&mut self, run: JobId, at_ms: Option<i64>) {
        self.note(Change::Wake { run, at_ms });
    }

    /// Starts the next runs that a step has to start, at most `count`. Returns them.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn start_instances(
        &mut self,
        step: JobId,
        count: u32,
        now_ms: i64,
    ) -> Result<Vec<JobId>> {
        let rows = sqlx::query(
            "SELECT ordinal, run FROM step_instances WHERE step_id = ? AND run_id IS NULL ORDER BY ordinal LIMIT ?",
        )
        .bind(step.0)
        .bind(count)
        .fetch_all(&mut self.conn)
        .await?;
        let attempt: i64 = sqlx::query_scalar("SELECT attempt FROM jobs WHERE id = ?")
            .bind(step.0)
            .fetch_one(&mut self.conn)
            .await?;
        let above = self.run_of(step).await?;
        let mut started = Vec::new();
        for row in &rows {
            let ordinal: i64 = row.try_get("ordinal")?;
            let mut run: NewRun = json(row, "run")?;
            run.request_id = format!("step:{step}:{attempt}:{ordinal}");
            let (id, new) = self.create_run_below(&run, Some(step), now_ms).await?;
            sqlx::query(
                "UPDATE step_instances SET run_id = ?3 WHERE step_id = ?1 AND ordinal = ?2",
            )
            .bind(step.0)
            .bind(ordinal)
            .bind(id.0)
            .execute(&mut self.conn)
            .await?;
            if new {
                self.tally.moved(above, step, None, JobStatus::Waiting, 1);
                self.tally.children_written(step, 1);
                started.push(id);
            }
        }
        self.touch(above);
        Ok(started)
    }

    /// Writes the failed tasks of a step of an earlier run as the first tasks of this one. Returns
    /// how many there were.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn copy_failed_tasks(
        &mut self,
        from: JobId,
        run: JobId,
        step: JobId,
        now_ms: i64,
    ) -> Result<u64> {
        let rows = sqlx::query(
            "SELECT type, name, task_key, payload, lane, lane_limit, lane_delay_ms, priority, depth FROM jobs
             WHERE step_id = ? AND kind = 'task' AND status IN ('failed', 'cancelled') ORDER BY id",
        )
        .bind(from.0)
        .fetch_all(&mut self.conn)
        .await?;
        let mut written = 0;
        let mut tasks: BTreeMap<u32, Vec<TaskRow>> = BTreeMap::new();
        for row in &rows {
            tasks.entry(row.try_get("depth")?).or_default().push(TaskRow {
                task_type: row.try_get("type")?,
                name: row.try_get("name")?,
                key: row.try_get("task_key")?,
                payload: json(row, "payload")?,
                lane: row.try_get("lane")?,
                lane_limit: row.try_get("lane_limit")?,
                lane_delay_ms: row.try_get("lane_delay_ms")?,
                priority: 0,
            });
        }
        for (depth, tasks) in tasks {
            let place = Place { run, step, parent: step, depth };
            written += self.insert_tasks(place, &tasks, None, now_ms).await?.written;
        }
        Ok(written)
    }
}
