//! Runs and their jobs as the user sees them: lists, pages and trees, for reading only.

use quaero_contract::{JobId, JobKind, JobNode, JobPage, JobQuery, RunView, StepView};
use sqlx::{QueryBuilder, Row, Sqlite, sqlite::SqliteRow};

use crate::{
    Store,
    error::Result,
    runs::{
        RUN_COLUMNS, RunProgress, counts, job_error, json, on_error, progress, run_row, status,
    },
    time::rfc3339,
};

impl Store {
    /// Runs, newest first: those older than `before`, at most `limit`.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn list_runs(&self, before: Option<JobId>, limit: u32) -> Result<Vec<RunProgress>> {
        let rows = QueryBuilder::<Sqlite>::new(RUN_COLUMNS)
            .push(" WHERE r.id < ")
            .push_bind(before.map_or(i64::MAX, |id| id.0))
            .push(" ORDER BY r.id DESC LIMIT ")
            .push_bind(limit.clamp(1, 1_000))
            .build()
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(run_row).collect()
    }

    /// Where a run stands.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn run_progress(&self, run: JobId) -> Result<Option<RunProgress>> {
        progress(&mut *self.readers.acquire().await?, run).await
    }

    /// Whether a run has been accepted for this request.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn knows_request(&self, request_id: &str) -> Result<bool> {
        let known = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM runs WHERE request_id = ?)");
        Ok(known.bind(request_id).fetch_one(&self.readers).await?)
    }

    /// A run with its steps.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn get_run(
        &self,
        run: JobId,
        live_epoch: Option<i64>,
        now_ms: i64,
    ) -> Result<Option<RunView>> {
        let mut conn = self.readers.acquire().await?;
        let Some(progress) = progress(&mut conn, run).await? else { return Ok(None) };
        let head = sqlx::query(
            "SELECT r.variables, r.given, t.text FROM runs r JOIN definition_texts t ON t.hash = r.definition_hash WHERE r.id = ?",
        )
        .bind(run.0)
        .fetch_one(&mut *conn)
        .await?;
        let rows = sqlx::query(
            "SELECT j.id, j.name, j.type, j.status, j.error_code, j.error_message, j.started_ms, j.finished_ms,
                 j.attempt, s.*, (SELECT run_id FROM steps old WHERE old.id = s.reused_from) AS reused_run,
                 (SELECT json_group_array(id) FROM (SELECT id FROM runs WHERE caused_by = s.id ORDER BY id LIMIT 100)) AS runs,
                 c.*
             FROM steps s JOIN jobs j ON j.id = s.id JOIN counters c ON c.job_id = s.id
             WHERE s.run_id = ? ORDER BY s.ordinal",
        )
        .bind(run.0)
        .fetch_all(&mut *conn)
        .await?;
        let mut steps = Vec::with_capacity(rows.len());
        for row in &rows {
            let (jobs, documents) = counts(row)?;
            steps.push(StepView {
                id: JobId(row.try_get("id")?),
                name: row.try_get("name")?,
                step_type: row.try_get("type")?,
                description: row.try_get("description")?,
                status: status(row)?,
                depends: json(row, "depends")?,
                jobs,
                documents,
                error: job_error(row)?,
                started: row.try_get::<Option<i64>, _>("started_ms")?.map(rfc3339),
                finished: row.try_get::<Option<i64>, _>("finished_ms")?.map(rfc3339),
                on_error: on_error(row)?,
                always_run: row.try_get("always_run")?,
                condition: row.try_get::<Option<String>, _>("condition")?.unwrap_or_default(),
                attempt: row.try_get("attempt")?,
                max_attempts: row.try_get("max_attempts")?,
                next_attempt: Some(row.try_get("run_after_ms")?).filter(|at| *at > 0).map(rfc3339),
                reused_from: row.try_get::<Option<i64>, _>("reused_run")?.map(JobId),
                runs: json::<Vec<i64>>(row, "runs")?.into_iter().map(JobId).collect(),
            });
        }
        let warnings = sqlx::query_scalar(
            "SELECT message FROM warnings WHERE run_id = ? ORDER BY id LIMIT 100",
        )
        .bind(run.0)
        .fetch_all(&mut *conn)
        .await?;
        Ok(Some(RunView {
            summary: progress.summary(live_epoch, now_ms),
            steps,
            variables: json(&head, "variables")?,
            given: json(&head, "given")?,
            definition_text: head.try_get("text")?,
            warnings,
        }))
    }

    /// A page of a run's jobs.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn list_jobs(&self, run: JobId, query: &JobQuery) -> Result<JobPage> {
        let limit = query.limit.clamp(1, 1_000);
        let mut sql = QueryBuilder::<Sqlite>::new(
            "SELECT j.*, (SELECT min(document_id) FROM step_documents d WHERE d.job_id = j.id) AS document_id
             FROM jobs j WHERE j.run_id = ",
        );
        sql.push_bind(run.0);
        match query.parent {
            Some(parent) => sql.push(" AND j.parent_id = ").push_bind(parent.0),
            None => sql.push(" AND j.kind = 'task'"),
        };
        if !query.statuses.is_empty() {
            let words: Vec<&str> = query.statuses.iter().map(|s| s.as_str()).collect();
            sql.push(" AND j.status IN (SELECT value FROM json_each(")
                .push_bind(serde_json::to_string(&words).expect("words are plain data"))
                .push("))");
        }
        if !query.text.is_empty() {
            sql.push(" AND instr(lower(j.name), lower(")
                .push_bind(query.text.clone())
                .push(")) > 0");
        }
        sql.push(" AND j.id > ").push_bind(query.after.map_or(0, |id| id.0));
        sql.push(" ORDER BY j.id LIMIT ").push_bind(limit + 1);
        let rows = sql.build().fetch_all(&self.readers).await?;
        let mut jobs = rows.iter().map(job_node).collect::<Result<Vec<_>>>()?;
        let more = jobs.len() > limit as usize;
        jobs.truncate(limit as usize);
        Ok(JobPage { jobs, more })
    }

    /// How many runs have not ended and belong to this process.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn live_runs(&self, epoch: i64) -> Result<u32> {
        Ok(sqlx::query_scalar(
            "SELECT count(*) FROM jobs j JOIN runs r ON r.id = j.id
             WHERE j.kind = 'parent' AND j.status IN ('pending', 'waiting') AND r.epoch = ?",
        )
        .bind(epoch)
        .fetch_one(&self.readers)
        .await?)
    }
}

pub(crate) fn job_node(row: &SqliteRow) -> Result<JobNode> {
    let kind = match row.try_get("kind")? {
        "parent" => JobKind::Parent,
        "step" => JobKind::Step,
        _ => JobKind::Task,
    };
    Ok(JobNode {
        id: JobId(row.try_get("id")?),
        parent_id: row.try_get::<Option<i64>, _>("parent_id")?.map(JobId),
        kind,
        job_type: row.try_get("type")?,
        name: row.try_get("name")?,
        status: status(row)?,
        depth: row.try_get("depth")?,
        attempt: row.try_get("attempt")?,
        children: row.try_get("n_children")?,
        open_children: row.try_get("n_open")?,
        error: job_error(row)?,
        started: row.try_get::<Option<i64>, _>("started_ms")?.map(rfc3339),
        finished: row.try_get::<Option<i64>, _>("finished_ms")?.map(rfc3339),
        document_id: row.try_get::<Option<i64>, _>("document_id")?.map(quaero_contract::DocumentId),
    })
}
