//! What must be true of every committed state, as SQL. Every test of the engine, and every start
//! after an unclean stop, asks it.

use sqlx::{Row, SqliteConnection};

use crate::{error::Result, writer::Tx};

/// Each rule, and a query for the ids of the rows that break it.
const RULES: &[(&str, &str)] = &[
    ("a run or step whose counters differ from its tasks",
     "SELECT c.job_id FROM counters c JOIN jobs j ON j.id = c.job_id
      LEFT JOIN (SELECT run_id AS owner, status FROM jobs WHERE kind = 'task'
                 UNION ALL SELECT step_id, status FROM jobs WHERE kind = 'task'
                 UNION ALL SELECT r.caused_by, b.status FROM runs r JOIN jobs b ON b.id = r.id WHERE r.caused_by IS NOT NULL
                 UNION ALL SELECT s.run_id, b.status FROM runs r JOIN jobs b ON b.id = r.id JOIN steps s ON s.id = r.caused_by
                ) t ON t.owner = c.job_id
      GROUP BY c.job_id
      HAVING c.total <> count(t.status) OR c.pending <> sum(coalesce(t.status = 'pending', 0))
          OR c.running <> sum(coalesce(t.status = 'running', 0)) OR c.waiting <> sum(coalesce(t.status = 'waiting', 0))
          OR c.completed <> sum(coalesce(t.status = 'completed', 0)) OR c.failed <> sum(coalesce(t.status = 'failed', 0))
          OR c.cancelled <> sum(coalesce(t.status = 'cancelled', 0)) OR c.skipped <> sum(coalesce(t.status = 'skipped', 0))"),
    ("a job whose numbers of children are wrong",
     "SELECT p.id FROM jobs p LEFT JOIN (
          SELECT parent_id, id, status FROM jobs WHERE parent_id IS NOT NULL
          UNION ALL SELECT r.caused_by, b.id, b.status FROM runs r JOIN jobs b ON b.id = r.id WHERE r.caused_by IS NOT NULL
      ) c ON c.parent_id = p.id GROUP BY p.id
      HAVING p.n_children <> count(c.id)
          OR p.n_open <> sum(coalesce(c.status IN ('pending', 'running', 'waiting'), 0))"),
    ("a job that waits for nothing",
     // A run that is held may have nothing left to do: what it was to do again was kept.
     "SELECT id FROM jobs j WHERE status = 'waiting' AND n_open = 0
      AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = j.id AND r.held = 1)"),
    ("a run with an open run below a step that is not open",
     "SELECT r.id FROM runs r JOIN jobs b ON b.id = r.id JOIN jobs s ON s.id = r.caused_by
      WHERE b.finished_ms IS NULL AND s.status <> 'waiting'"),
    ("a task of a finished attempt of its step that is open",
     "SELECT t.id FROM jobs t JOIN jobs s ON s.id = t.step_id
      WHERE t.kind = 'task' AND t.finished_ms IS NULL AND t.round <> max(s.attempt, 1)"),
    ("a run held back by nothing",
     "SELECT r.id FROM runs r JOIN jobs j ON j.id = r.id WHERE r.held = 1 AND (j.finished_ms IS NOT NULL OR NOT EXISTS (
          SELECT 1 FROM runs o JOIN jobs b ON b.id = o.id
          WHERE o.singleton_key = r.singleton_key AND o.id <> r.id AND o.held = 0 AND b.finished_ms IS NULL))"),
    ("a finished job with an open child",
     "SELECT p.id FROM jobs p JOIN jobs c ON c.parent_id = p.id
      WHERE p.finished_ms IS NOT NULL AND c.finished_ms IS NULL"),
    ("a task under a step that is not open",
     "SELECT t.id FROM jobs t JOIN jobs s ON s.id = t.step_id
      WHERE t.kind = 'task' AND t.finished_ms IS NULL AND s.status <> 'waiting'"),
    ("an open run without anything that can move it on",
     "SELECT r.id FROM jobs r JOIN runs d ON d.id = r.id
      WHERE r.finished_ms IS NULL AND d.held = 0 AND NOT EXISTS
      (SELECT 1 FROM jobs s JOIN steps t ON t.id = s.id WHERE s.parent_id = r.id
       AND (s.status = 'waiting' OR (s.status = 'pending' AND t.run_after_ms > 0)))"),
    ("a job whose tree does not lead to its run",
     "SELECT c.id FROM jobs c JOIN jobs p ON p.id = c.parent_id
      WHERE c.run_id <> p.run_id OR (c.kind = 'task' AND c.step_id <> p.step_id) OR c.id <= p.id"),
    ("an open task of a cancelled run or stopped step that is not running",
     "SELECT t.id FROM jobs t JOIN runs r ON r.id = t.run_id JOIN steps s ON s.id = t.step_id
      WHERE (r.cancel_requested = 1 OR s.stop_code IS NOT NULL) AND t.kind = 'task' AND t.status = 'pending'"),
    ("a job whose events do not lead to its status",
     // Of the columns beside max(), SQLite takes those of the row that has it.
     "SELECT j.id FROM jobs j LEFT JOIN (SELECT job_id, to_status, max(seq) FROM events GROUP BY job_id) e
      ON e.job_id = j.id WHERE j.status <> coalesce(e.to_status, 'pending')"),
    ("a job that ended more or less than once",
     "SELECT j.id FROM jobs j LEFT JOIN (SELECT job_id, count(*) AS n FROM events
          WHERE to_status IN ('completed', 'failed', 'cancelled', 'skipped') GROUP BY job_id) e ON e.job_id = j.id
      WHERE (j.finished_ms IS NOT NULL) <> coalesce(e.n, 0)"),
    ("an event that does not follow the one before",
     "SELECT job_id FROM (SELECT job_id, from_status,
      lag(to_status, 1, 'pending') OVER (PARTITION BY job_id ORDER BY seq) AS before FROM events)
      WHERE from_status <> before"),
    ("a transition that is not in the table",
     "SELECT job_id FROM events e WHERE NOT EXISTS (SELECT 1 FROM allowed_transitions a
      WHERE a.from_status = e.from_status AND a.to_status = e.to_status)"),
    ("a run or step whose document counts are wrong",
     "SELECT c.job_id FROM counters c JOIN jobs j ON j.id = c.job_id
      LEFT JOIN (SELECT step_id AS owner, document_id FROM step_documents
                 UNION SELECT run_id, document_id FROM step_documents) d ON d.owner = c.job_id
      GROUP BY c.job_id HAVING c.created + c.updated + c.unchanged <> count(d.document_id)"),
];

pub(crate) async fn violations(conn: &mut SqliteConnection) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for (rule, sql) in RULES {
        let rows = sqlx::query(*sql).fetch_all(&mut *conn).await?;
        if let Some(first) = rows.first() {
            let id: i64 = first.try_get(0)?;
            found.push(format!("{rule} (job {id}, {} in all)", rows.len()));
        }
    }
    let broken = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut *conn).await?;
    if !broken.is_empty() {
        found.push(format!("{} rows that refer to nothing", broken.len()));
    }
    Ok(found)
}

/// Compares the full-text index with the documents. Without the rank SQLite would only look at the
/// index's own structure.
pub(crate) fn check_index(tx: &mut Tx) -> Result<()> {
    tx.write_index()?;
    tx.execute(
        "INSERT INTO documents_fts (documents_fts, rank) VALUES ('integrity-check', 1)",
        [],
    )?;
    Ok(())
}
