//! Where documents come from: what was asked of which host, how a page is asked for again, and which
//! sources are gone.

use quaero_contract::{DocumentId, HostRequests, JobId};
use rusqlite::params;
use serde::{Deserialize, Serialize};
use sqlx::Row;

use crate::{Store, error::Result, jobs::Place, runs::json, statement::Record, writer::Tx};

/// Hosts of a step that are told one by one; the busiest come first.
const MOST_HOSTS: u32 = 100;

/// One request to another computer, answered or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Whom, with the port if it is not the usual one.
    pub host: String,
    /// The status of the answer, or the code of the error that came instead.
    pub answer: String,
    /// What was asked for, for people.
    pub address: String,
    /// Bytes of the answer's body, decompressed.
    pub bytes: u64,
    /// From the request to the end of the answer, in milliseconds.
    pub took_ms: u32,
}

/// How a page is asked for again, and what its text was like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageState {
    /// The address that answered, in one spelling.
    pub address: String,
    /// The answer's `ETag` header.
    pub etag: Option<String>,
    /// The answer's `Last-Modified` header.
    pub last_modified: Option<String>,
    /// The answer's `Content-Type` header.
    pub content_type: Option<String>,
    /// The answer's `X-Robots-Tag` header.
    pub robots_tag: Option<String>,
    /// blake3 of the answer's body, in hex.
    pub body_hash: String,
    /// Of its text: texts that are alike differ in few bits.
    pub fingerprint: u64,
}

/// A document that the last run of a step brought, and that this one has not seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// The document.
    pub id: DocumentId,
    /// See [`crate::NewDocument::source_id`].
    pub source_id: String,
}

/// The last run before this one of the same definition with the same values in which this step went well.
const UNSEEN: &str = "WITH before (id) AS (
        SELECT old.id FROM jobs j JOIN runs r ON r.id = j.run_id
            JOIN runs b ON b.definition_id = r.definition_id AND b.id < r.id AND b.variables = r.variables
            JOIN jobs old ON old.run_id = b.id AND old.kind = 'step' AND old.name = j.name AND old.status = 'completed'
        WHERE j.id = ?1 ORDER BY b.id DESC LIMIT 1)
    SELECT d.id, d.source_id FROM before JOIN step_documents sd ON sd.step_id = before.id
        CROSS JOIN documents d ON d.id = sd.document_id
    WHERE d.gone_ms IS NULL AND NOT EXISTS (SELECT 1 FROM step_documents seen
        WHERE seen.document_id = d.id AND seen.run_id = (SELECT run_id FROM jobs WHERE id = ?1))
    ORDER BY d.last_synced_ms, d.id LIMIT ?2";

fn unseen(row: &impl Record) -> Result<Unseen> {
    Ok(Unseen { id: DocumentId(row.field("id")?), source_id: row.field("source_id")? })
}

impl Tx {
    /// Counts what a step has asked.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn count_requests(&mut self, step: JobId, requests: &[Request]) -> Result<()> {
        for request in requests {
            self.execute(
                "INSERT INTO requests (step_id, host, answer, count, bytes, took_ms, slowest_ms, slowest)
                 VALUES (?1, ?2, ?3, 1, ?4, ?5, ?5, ?6)
                 ON CONFLICT DO UPDATE SET count = count + 1, bytes = bytes + ?4, took_ms = took_ms + ?5,
                     slowest = CASE WHEN ?5 > slowest_ms THEN ?6 ELSE slowest END,
                     slowest_ms = max(slowest_ms, ?5)",
                params![step.0, &request.host, &request.answer, i64::try_from(request.bytes).unwrap_or(i64::MAX), request.took_ms, &request.address],
            )?;
        }
        Ok(())
    }

    pub(crate) fn save_page(&mut self, document: i64, page: &PageState) -> Result<()> {
        self.execute(
            "INSERT INTO pages (address, document_id, etag, last_modified, content_type, robots_tag, fingerprint, body_hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT DO UPDATE SET document_id = ?2, etag = ?3, last_modified = ?4, content_type = ?5,
                 robots_tag = ?6, fingerprint = ?7, body_hash = ?8",
            params![&page.address, document, &page.etag, &page.last_modified, &page.content_type, &page.robots_tag, page.fingerprint.cast_signed(), &page.body_hash],
        )?;
        Ok(())
    }

    /// Notes that a document's source is gone, and says so in a warning. The document stays. Seen
    /// again, it is as if it had not been gone.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn note_gone(&mut self, place: Place, id: DocumentId, now_ms: i64) -> Result<()> {
        let noted = self.first(
            "UPDATE documents SET gone_ms = ?2 WHERE id = ?1 AND gone_ms IS NULL RETURNING source_id",
            params![id.0, now_ms],
        )?;
        let Some(row) = noted else { return Ok(()) };
        let source: String = row.get("source_id")?;
        let message = format!("{source} is gone. The document that was made from it is kept.");
        self.warn(place.run, place.parent, &message, now_ms)
    }

    /// Has [`Tx::sweep`] asked when the step has nothing open any more.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn sweep_later(&mut self, step: JobId) -> Result<()> {
        self.execute("UPDATE steps SET sweep_due = 1 WHERE id = ?", [step.0])?;
        Ok(())
    }

    /// The documents that the last run of a step brought (the same step of the same definition with the
    /// same values) and that this run has not seen: those first that were not seen for longest, at most
    /// `limit`, without those that are known to be gone. It is asked once.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn sweep(&mut self, step: JobId, limit: u32) -> Result<Vec<Unseen>> {
        self.execute("UPDATE steps SET sweep_due = 0 WHERE id = ?", [step.0])?;
        self.all(UNSEEN, params![step.0, limit])?.iter().map(unseen).collect()
    }
}

impl Store {
    /// The document that a page was made into, and how to ask for it again.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn page(&self, address: &str) -> Result<Option<(DocumentId, PageState)>> {
        let row = sqlx::query("SELECT * FROM pages WHERE address = ?")
            .bind(address)
            .fetch_optional(&self.readers)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let state = PageState {
            address: row.try_get("address")?,
            etag: row.try_get("etag")?,
            last_modified: row.try_get("last_modified")?,
            content_type: row.try_get("content_type")?,
            robots_tag: row.try_get("robots_tag")?,
            body_hash: row.try_get("body_hash")?,
            fingerprint: row.try_get::<i64, _>("fingerprint")?.cast_unsigned(),
        };
        Ok(Some((DocumentId(row.try_get("document_id")?), state)))
    }

    /// Whether any page of a host is known, by the beginning of its addresses: `https://example.org/`.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn knows_pages_of(&self, origin: &str) -> Result<bool> {
        let known = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM pages WHERE address >= ?1 AND address < ?1 || char(0x10FFFF))",
        );
        Ok(known.bind(origin).fetch_one(&self.readers).await?)
    }

    /// The pages that a step has seen: what their texts were like, and their addresses.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn fingerprints(&self, step: JobId) -> Result<Vec<(u64, String)>> {
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "SELECT p.fingerprint, p.address FROM step_documents s JOIN pages p ON p.document_id = s.document_id
             WHERE s.step_id = ?",
        )
        .bind(step.0)
        .fetch_all(&self.readers)
        .await?;
        Ok(rows.into_iter().map(|(print, address)| (print.cast_unsigned(), address)).collect())
    }

    /// As [`Tx::sweep`], for a task of the step.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn unseen(&self, step: JobId, limit: u32) -> Result<Vec<Unseen>> {
        let rows = sqlx::query(UNSEEN).bind(step.0).bind(limit).fetch_all(&self.readers).await?;
        rows.iter().map(unseen).collect()
    }

    /// How many bytes a step has been sent.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn received_bytes(&self, step: JobId) -> Result<u64> {
        let bytes: i64 =
            sqlx::query_scalar("SELECT coalesce(sum(bytes), 0) FROM requests WHERE step_id = ?")
                .bind(step.0)
                .fetch_one(&self.readers)
                .await?;
        Ok(bytes.unsigned_abs())
    }

    /// What each step of a run has asked of whom, the busiest hosts first, at most 100 for each step.
    pub(crate) async fn requests(&self, run: JobId) -> Result<Vec<HostRequests>> {
        let rows = sqlx::query(
            "SELECT * FROM (SELECT j.name AS step, q.host, sum(q.count) AS count, sum(q.bytes) AS bytes, sum(q.took_ms) AS took_ms,
                 json_group_array(json_object('answer', q.answer, 'count', q.count) ORDER BY q.count DESC) AS answers,
                 max(q.slowest_ms) AS slowest_ms, q.slowest, s.ordinal,
                 row_number() OVER (PARTITION BY q.step_id ORDER BY sum(q.count) DESC, q.host) AS place
             FROM steps s JOIN jobs j ON j.id = s.id JOIN requests q ON q.step_id = s.id WHERE s.run_id = ?1 GROUP BY q.step_id, q.host)
             WHERE place <= ?2 ORDER BY ordinal, place",
        )
        .bind(run.0)
        .bind(MOST_HOSTS)
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                let count: u32 = row.try_get("count")?;
                Ok(HostRequests {
                    step: row.try_get("step")?,
                    host: row.try_get("host")?,
                    count,
                    answers: json(row, "answers")?,
                    bytes: row.try_get::<i64, _>("bytes")?.unsigned_abs(),
                    average_ms: u32::try_from(
                        row.try_get::<i64, _>("took_ms")? / i64::from(count.max(1)),
                    )
                    .unwrap_or(u32::MAX),
                    slowest_ms: row.try_get("slowest_ms")?,
                    slowest: row.try_get("slowest")?,
                })
            })
            .collect()
    }
}
