//! The history of definitions: which texts each has had. The texts themselves are shared with the
//! runs that were started with them.

use quaero_contract::{DefinitionVersion, DefinitionVersionView, JobId, VersionReason};
use rusqlite::params;
use sqlx::{QueryBuilder, Row, Sqlite, sqlite::SqliteRow};

use crate::{
    Store,
    error::{Result, code},
    point::Point,
    time::rfc3339,
    writer::Tx,
};

/// Versions kept of each definition.
pub const VERSIONS_KEPT: u32 = 200;

const COLUMNS: &str = "v.version, v.hash, v.why, v.run_id, v.at_ms, octet_length(t.text) AS bytes";
const TABLES: &str = " FROM definition_versions v JOIN definition_texts t ON t.hash = v.hash WHERE v.definition_id = ";

/// The hash by which a text is known: of a definition's text, without a byte order mark.
#[must_use]
pub fn text_hash(text: &[u8]) -> String {
    blake3::hash(text).to_hex().to_string()
}

impl Tx {
    /// Keeps a text, and returns its hash.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn keep_text(&mut self, text: &str) -> Result<String> {
        let hash = text_hash(text.as_bytes());
        self.execute(
            "INSERT INTO definition_texts (hash, text) VALUES (?, ?) ON CONFLICT DO NOTHING",
            params![&hash, text],
        )?;
        Point::TextKept.reach()?;
        Ok(hash)
    }

    /// Notes that a definition has, or a run was started with, the text of this hash, which must
    /// have been kept. Returns its version. If it is the newest version already, that one stays as
    /// it is, except that it now names `run`. Of each definition the newest [`VERSIONS_KEPT`] stay.
    ///
    /// # Errors
    /// If the text has not been kept, or SQLite fails.
    pub fn note_version(
        &mut self,
        definition_id: &str,
        hash: &str,
        why: VersionReason,
        run: Option<JobId>,
        now_ms: i64,
    ) -> Result<u32> {
        let newest = self.first(
            "SELECT version, hash FROM definition_versions WHERE definition_id = ?
             ORDER BY version DESC LIMIT 1",
            [definition_id],
        )?;
        let last = match newest {
            Some(row) if row.get::<String>("hash")? == hash => {
                let version = row.get("version")?;
                if let Some(run) = run {
                    self.execute(
                        "UPDATE definition_versions SET run_id = ?
                         WHERE definition_id = ? AND version = ?",
                        params![run.0, definition_id, version],
                    )?;
                }
                return Ok(version);
            }
            Some(row) => row.get("version")?,
            None => 0,
        };
        let version: u32 = last + 1;
        self.execute(
            "INSERT INTO definition_versions (definition_id, version, hash, why, run_id, at_ms)
             VALUES (?, ?, ?, ?, ?, ?)",
            params![definition_id, version, hash, why.as_str(), run.map(|run| run.0), now_ms],
        )?;
        Point::VersionNoted.reach()?;
        self.forget_versions(definition_id, version.saturating_sub(VERSIONS_KEPT))?;
        Ok(version)
    }

    /// Removes the versions up to `last`, and the texts that nothing points to then.
    fn forget_versions(&mut self, definition_id: &str, last: u32) -> Result<()> {
        let hashes: Vec<String> = self.scalars("DELETE FROM definition_versions WHERE definition_id = ? AND version <= ? RETURNING hash", params![definition_id, last])?;
        for hash in hashes {
            match self.execute("DELETE FROM definition_texts WHERE hash = ?", [hash]) {
                // A run or another version has the same text: the schema keeps it.
                Err(error) if error.primary_code() == Some(code::CONSTRAINT) => {}
                removed => drop(removed?),
            }
        }
        Ok(())
    }
}

impl Store {
    /// The versions of a definition, newest first; none for one that was never seen.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn definition_versions(&self, definition_id: &str) -> Result<Vec<DefinitionVersion>> {
        let rows = QueryBuilder::<Sqlite>::new("SELECT ")
            .push(COLUMNS)
            .push(TABLES)
            .push_bind(definition_id)
            .push(" ORDER BY v.version DESC")
            .build()
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(version).collect()
    }

    /// One version of a definition.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn definition_version(
        &self,
        definition_id: &str,
        number: u32,
    ) -> Result<Option<DefinitionVersionView>> {
        let row = QueryBuilder::<Sqlite>::new("SELECT t.text, ")
            .push(COLUMNS)
            .push(TABLES)
            .push_bind(definition_id)
            .push(" AND v.version = ")
            .push_bind(number)
            .build()
            .fetch_optional(&self.readers)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let text = row.try_get("text")?;
        Ok(Some(DefinitionVersionView { version: version(&row)?, text }))
    }

    /// The text that a run was started with.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn run_text(&self, run: JobId) -> Result<Option<String>> {
        Ok(sqlx::query_scalar(
            "SELECT t.text FROM runs r JOIN definition_texts t ON t.hash = r.definition_hash
             WHERE r.id = ?",
        )
        .bind(run.0)
        .fetch_optional(&self.readers)
        .await?)
    }
}

fn version(row: &SqliteRow) -> Result<DefinitionVersion> {
    let word: &str = row.try_get("why")?;
    let why = VersionReason::parse(word)
        .ok_or_else(|| sqlx::Error::Decode(format!("`{word}` is no reason").into()))?;
    Ok(DefinitionVersion {
        version: row.try_get("version")?,
        hash: row.try_get("hash")?,
        at: rfc3339(row.try_get("at_ms")?),
        why,
        run_id: row.try_get::<Option<i64>, _>("run_id")?.map(JobId),
        bytes: row.try_get("bytes")?,
    })
}
