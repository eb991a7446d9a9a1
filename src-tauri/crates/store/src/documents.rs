//! Documents: unique by where they come from, written only when their content has changed.

use std::{cell::RefCell, io::Read};

use flate2::{Compress, Compression, FlushCompress, Status, read::DeflateDecoder};
use quaero_contract::{DocumentId, DocumentView, JobId};
use rusqlite::params;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::{QueryBuilder, Row, Sqlite};

use crate::{
    Store, change::Change, consistent, error::Result, jobs::Place, point::Point,
    sources::PageState, time::rfc3339, writer::Tx,
};

/// Original bytes are never inflated beyond this.
const MAX_ORIGINAL: u64 = 64 * 1024 * 1024;

/// A document as a worker hands it in. Saved under (`source_type`, `source_id`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NewDocument {
    /// Where it comes from: `web` or `file`.
    pub source_type: String,
    /// What identifies it there: a normalised address or an absolute path.
    pub source_id: String,
    /// Its address, if it has one.
    pub url: Option<String>,
    /// Its title; the store falls back to `source_id`.
    pub title: String,
    /// The content as Markdown.
    pub markdown: String,
    /// Author, date, language, content type and the like.
    pub metadata: Map<String, Value>,
    /// Tags beyond those of the definition. The store makes them lower-case.
    pub tags: Vec<String>,
    /// blake3 of the bytes it was made from, in hex. Tells a later run that nothing has changed.
    pub source_hash: String,
    /// The bytes it was made from, if they should be kept for `transform` (they are compressed).
    pub original: Option<Vec<u8>>,
    /// When the source was read, in milliseconds since 1970.
    pub fetched_ms: i64,
    /// If it is a page: how to ask for it again.
    #[serde(default)]
    pub page: Option<PageState>,
}

impl NewDocument {
    /// How many bytes of content and original there are to work on.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.markdown.len() + self.original.as_ref().map_or(0, Vec::len)
    }
}

/// What is known of a document without reading its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentState {
    /// The document.
    pub id: DocumentId,
    /// See [`NewDocument::source_hash`].
    pub source_hash: String,
}

/// Which documents.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DocumentFilter {
    /// With all of these tags.
    pub tags: Vec<String>,
    /// Of one of these source types; empty means any.
    pub source_types: Vec<String>,
    /// Written or seen by this run.
    pub run: Option<JobId>,
}

/// What saving a document did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveOutcome {
    /// It is new.
    Created,
    /// Its content has changed.
    Updated,
    /// Its content is as it was.
    Unchanged,
}

impl SaveOutcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
        }
    }
}

/// A document with everything computed that can be computed before the transaction.
#[derive(Clone, Debug)]
pub struct PreparedDocument {
    document: NewDocument,
    metadata: String,
    headings: String,
    site: Option<String>,
    content_hash: String,
    deflated: Option<Vec<u8>>,
}

impl PreparedDocument {
    /// Hashes and compresses. `tags` are those of the definition and the step.
    #[must_use]
    pub fn new(mut document: NewDocument, tags: &[String]) -> Self {
        document.title = one_line(&document.title);
        if document.title.is_empty() {
            document.title.clone_from(&document.source_id);
        }
        document.tags = clean_tags(document.tags.iter().chain(tags));
        let metadata = Value::Object(std::mem::take(&mut document.metadata)).to_string();
        let content = [&document.title, &document.markdown, &metadata].map(String::as_bytes);
        let content_hash = content_hash(content);
        let headings = headings(&document.markdown);
        let deflated = document.original.take().map(|bytes| deflate(&bytes));
        Self {
            site: document.url.as_deref().and_then(site),
            content_hash,
            metadata,
            headings,
            deflated,
            document,
        }
    }
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    thread_local! {
        // To make one, and the memory for it, takes longer than to compress a page with it.
        static DEFLATE: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false));
    }
    DEFLATE.with_borrow_mut(|deflate| {
        deflate.reset();
        let mut packed = Vec::with_capacity(bytes.len() / 2 + 64);
        loop {
            let done = usize::try_from(deflate.total_in()).unwrap_or(bytes.len());
            let state = deflate
                .compress_vec(&bytes[done..], &mut packed, FlushCompress::Finish)
                .expect("any bytes can be compressed");
            if state == Status::StreamEnd {
                packed.shrink_to_fit();
                return packed;
            }
            packed.reserve(bytes.len() / 4 + 64);
        }
    })
}

/// blake3 in hex of a document's title, Markdown and metadata, as they are in the database. By it a
/// document is known to be as it was saved.
pub(crate) fn content_hash(parts: [&[u8]; 3]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part).update(&[0]);
    }
    hasher.finalize().to_hex().to_string()
}

/// The host of an address, in lower case.
fn site(url: &str) -> Option<String> {
    let rest = url.split_once("://")?.1;
    let host = rest.split(['/', '?', '#']).next()?;
    Some(host.to_ascii_lowercase()).filter(|host| !host.is_empty())
}

/// The headings of Markdown, one on a line, without those that stand in code.
fn headings(markdown: &str) -> String {
    let mut found = String::new();
    let mut fence: Option<&str> = None;
    for line in markdown.lines().map(str::trim_end) {
        let bare = line.trim_start();
        let ticks = bare.len() - bare.trim_start_matches(['`', '~']).len();
        match fence {
            Some(open) if bare == &bare[..ticks] && bare.starts_with(open) => fence = None,
            None if ticks >= 3 => fence = Some(&bare[..ticks]),
            None => {
                let text = line.trim_start_matches('#');
                let level = line.len() - text.len();
                if (1..=6).contains(&level) && text.starts_with(' ') {
                    found.push_str(text.trim());
                    found.push('\n');
                }
            }
            Some(_) => {}
        }
    }
    found
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(500) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn clean_tags<'a>(tags: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut tags: Vec<String> =
        tags.map(|tag| tag.trim().to_ascii_lowercase()).filter(|tag| !tag.is_empty()).collect();
    tags.sort();
    tags.dedup();
    tags
}

impl Tx {
    /// Saves a document for a task of a step. The same content again changes only when it was seen.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn save_document(
        &mut self,
        place: Place,
        document: &PreparedDocument,
        now_ms: i64,
    ) -> Result<(DocumentId, SaveOutcome)> {
        let new = &document.document;
        let known = self.first(
            "SELECT id, content_hash, source_hash, headings = ? AS same_headings FROM documents
             WHERE source_type = ? AND source_id = ?",
            params![&document.headings, &new.source_type, &new.source_id],
        )?;
        // Other bytes may lead to the same text, and to other links.
        let same_bytes = known.as_ref().is_some_and(|row| {
            row.get::<String>("source_hash").is_ok_and(|h| h == new.source_hash)
        });
        let (id, outcome) = match known {
            None => {
                let id: i64 = self.scalar("INSERT INTO documents (source_type, source_id, url, site, title, markdown, headings, metadata,
                         content_hash, source_hash, run_id, created_ms, fetched_ms, last_synced_ms)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?13, ?7, ?8, ?9, ?10, ?11, ?12, ?11) RETURNING id", params![&new.source_type, &new.source_id, &new.url, &document.site, &new.title, &new.markdown, &document.metadata, &document.content_hash, &new.source_hash, place.run.0, now_ms, new.fetched_ms, &document.headings])?;
                self.index_new(DocumentId(id), place, now_ms);
                (id, SaveOutcome::Created)
            }
            Some(row) if row.get::<String>("content_hash")? == document.content_hash => {
                let id: i64 = row.get("id")?;
                self.execute(
                    "UPDATE documents SET last_synced_ms = ?2, source_hash = ?3,
                         gone_ms = CASE WHEN ?4 > gone_ms THEN NULL ELSE gone_ms END WHERE id = ?1",
                    params![id, now_ms, &new.source_hash, new.fetched_ms],
                )?;
                if !row.get::<bool>("same_headings")? {
                    // Saved before there were any.
                    self.index_changed(DocumentId(id), place, now_ms)?;
                    self.execute(
                        "UPDATE documents SET headings = ?2 WHERE id = ?1",
                        params![id, &document.headings],
                    )?;
                }
                (id, SaveOutcome::Unchanged)
            }
            Some(row) => {
                let id: i64 = row.get("id")?;
                self.index_changed(DocumentId(id), place, now_ms)?;
                self.execute("UPDATE documents SET url = ?2, site = ?3, title = ?4, markdown = ?5, headings = ?12, metadata = ?6,
                         content_hash = ?7, source_hash = ?8, run_id = ?9, fetched_ms = ?10, last_synced_ms = ?11,
                         gone_ms = CASE WHEN ?10 > gone_ms THEN NULL ELSE gone_ms END
                     WHERE id = ?1", params![id, &new.url, &document.site, &new.title, &new.markdown, &document.metadata, &document.content_hash, &new.source_hash, place.run.0, new.fetched_ms, now_ms, &document.headings])?;
                (id, SaveOutcome::Updated)
            }
        };
        Point::DocumentWritten.reach()?;
        // Tags stay, for who gave them; but a day is that of the content, and the new content has its own.
        if outcome == SaveOutcome::Updated && new.tags.iter().any(|tag| tag.starts_with("date:")) {
            self.execute(
                "DELETE FROM document_tags WHERE document_id = ? AND tag GLOB 'date:*'",
                params![id],
            )?;
        }
        self.tag_document(id, &new.tags)?;
        if let Some(bytes) = &document.deflated {
            let written = outcome != SaveOutcome::Unchanged || !same_bytes;
            self.execute(
                "INSERT INTO document_originals (document_id, deflated) VALUES (?1, ?2)
                 ON CONFLICT DO UPDATE SET deflated = ?2 WHERE ?3",
                params![id, bytes, written],
            )?;
        }
        if let Some(page) = &new.page {
            self.save_page(id, page)?;
        }
        let id = DocumentId(id);
        self.count_document(place, id, outcome)?;
        Ok((id, outcome))
    }

    /// Notes that a document's source was seen again, unchanged. It gets `tags`, those of the definition
    /// and the step, as a new one would.
    ///
    /// # Errors
    /// If there is no such document, or SQLite fails.
    pub fn touch_document(
        &mut self,
        place: Place,
        id: DocumentId,
        tags: &[String],
        now_ms: i64,
    ) -> Result<()> {
        self.execute(
            "UPDATE documents SET last_synced_ms = ?2, gone_ms = NULL WHERE id = ?1",
            params![id.0, now_ms],
        )?;
        self.tag_document(id.0, &clean_tags(tags.iter()))?;
        self.count_document(place, id, SaveOutcome::Unchanged)
    }

    fn tag_document(&mut self, id: i64, tags: &[String]) -> Result<()> {
        for tag in tags {
            self.execute(
                "INSERT INTO document_tags (document_id, tag) VALUES (?, ?) ON CONFLICT DO NOTHING",
                params![id, tag],
            )?;
        }
        Ok(())
    }

    /// Counts a document once for its step and once for its run. Two addresses that lead to one
    /// page are one document.
    fn count_document(&mut self, place: Place, id: DocumentId, outcome: SaveOutcome) -> Result<()> {
        let first_in_run: bool = self.scalar(
            "SELECT NOT EXISTS (SELECT 1 FROM step_documents WHERE run_id = ? AND document_id = ?)",
            params![place.run.0, id.0],
        )?;
        let first_in_step = self.execute("INSERT INTO step_documents (step_id, document_id, run_id, job_id, outcome) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT DO NOTHING", params![place.step.0, id.0, place.run.0, place.parent.0, outcome.as_str()])?
            == 1;
        self.execute("UPDATE counters SET created = created + (?1 = 'created'), updated = updated + (?1 = 'updated'),
                 unchanged = unchanged + (?1 = 'unchanged')
             WHERE (job_id = ?2 AND ?3) OR (job_id = ?4 AND ?5)", params![outcome.as_str(), place.run.0, first_in_run, place.step.0, first_in_step])?;
        if outcome != SaveOutcome::Unchanged {
            self.note(Change::Saved { run: place.run, document: id });
        }
        self.touch(place.run);
        Ok(())
    }
}

impl Store {
    /// What is known of the document with this source, if there is one.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn document_state(
        &self,
        source_type: &str,
        source_id: &str,
    ) -> Result<Option<DocumentState>> {
        let row = sqlx::query(
            "SELECT id, source_hash FROM documents WHERE source_type = ? AND source_id = ?",
        )
        .bind(source_type)
        .bind(source_id)
        .fetch_optional(&self.readers)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(DocumentState {
            id: DocumentId(row.try_get("id")?),
            source_hash: row.try_get("source_hash")?,
        }))
    }

    /// The document with this source, whatever its type; the one that was seen last if several have it.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn document_by_source(&self, source_id: &str) -> Result<Option<DocumentId>> {
        let id: Option<i64> = sqlx::query_scalar(
            "SELECT id FROM documents WHERE source_id = ? ORDER BY last_synced_ms DESC, id DESC LIMIT 1",
        )
        .bind(source_id)
        .fetch_optional(&self.readers)
        .await?;
        Ok(id.map(DocumentId))
    }

    /// The whole document with its original bytes, as it was handed in.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn document_with_original(&self, id: DocumentId) -> Result<Option<NewDocument>> {
        let row = sqlx::query(
            "SELECT d.*, o.deflated FROM documents d LEFT JOIN document_originals o ON o.document_id = d.id
             WHERE d.id = ?",
        )
        .bind(id.0)
        .fetch_optional(&self.readers)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let original = row.try_get::<Option<Vec<u8>>, _>("deflated")?.and_then(|deflated| {
            let mut bytes = Vec::new();
            DeflateDecoder::new(&*deflated).take(MAX_ORIGINAL).read_to_end(&mut bytes).ok()?;
            Some(bytes)
        });
        Ok(Some(NewDocument {
            source_type: row.try_get("source_type")?,
            source_id: row.try_get("source_id")?,
            url: row.try_get("url")?,
            title: row.try_get("title")?,
            markdown: row.try_get("markdown")?,
            metadata: serde_json::from_str(row.try_get("metadata")?).unwrap_or_default(),
            tags: self.tags(id).await?,
            source_hash: row.try_get("source_hash")?,
            original,
            fetched_ms: row.try_get("fetched_ms")?,
            page: None,
        }))
    }

    async fn tags(&self, id: DocumentId) -> Result<Vec<String>> {
        Ok(sqlx::query_scalar("SELECT tag FROM document_tags WHERE document_id = ? ORDER BY tag")
            .bind(id.0)
            .fetch_all(&self.readers)
            .await?)
    }

    /// The document for reading. `html` is left empty: rendering is not the store's business.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn get_document(&self, id: DocumentId) -> Result<Option<DocumentView>> {
        let row = sqlx::query(
            "SELECT source_type, source_id, url, title, markdown, metadata, run_id, fetched_ms, last_synced_ms, gone_ms
             FROM documents WHERE id = ?",
        )
        .bind(id.0)
        .fetch_optional(&self.readers)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(DocumentView {
            id,
            title: row.try_get("title")?,
            source_type: row.try_get("source_type")?,
            source_id: row.try_get("source_id")?,
            url: row.try_get("url")?,
            tags: self.tags(id).await?,
            run_id: JobId(row.try_get("run_id")?),
            fetched: rfc3339(row.try_get("fetched_ms")?),
            last_synced: rfc3339(row.try_get("last_synced_ms")?),
            gone: row.try_get::<Option<i64>, _>("gone_ms")?.map(rfc3339),
            markdown: row.try_get("markdown")?,
            html: String::new(),
            truncated: false,
            metadata: serde_json::from_str(row.try_get("metadata")?).unwrap_or_default(),
        }))
    }

    /// Ids of documents in ascending order: those after `after` that pass the filter, at most `limit`.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn document_ids(
        &self,
        filter: &DocumentFilter,
        after: Option<DocumentId>,
        limit: u32,
    ) -> Result<Vec<DocumentId>> {
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT d.id FROM documents d WHERE d.id > ");
        sql.push_bind(after.map_or(0, |id| id.0));
        for tag in clean_tags(filter.tags.iter()) {
            sql.push(" AND EXISTS (SELECT 1 FROM document_tags t WHERE t.document_id = d.id AND t.tag = ")
                .push_bind(tag)
                .push(")");
        }
        if !filter.source_types.is_empty() {
            sql.push(" AND d.source_type IN (SELECT value FROM json_each(")
                .push_bind(
                    serde_json::to_string(&filter.source_types).expect("texts are plain data"),
                )
                .push("))");
        }
        if let Some(run) = filter.run {
            sql.push(" AND EXISTS (SELECT 1 FROM step_documents s WHERE s.document_id = d.id AND s.run_id = ")
                .push_bind(run.0)
                .push(")");
        }
        sql.push(" ORDER BY d.id LIMIT ").push_bind(limit.clamp(1, 10_000));
        let ids: Vec<i64> = sql.build_query_scalar().fetch_all(&self.readers).await?;
        Ok(ids.into_iter().map(DocumentId).collect())
    }

    /// How many documents there are.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn count_documents(&self) -> Result<u32> {
        Ok(sqlx::query_scalar("SELECT count(*) FROM documents").fetch_one(&self.readers).await?)
    }

    /// Rebuilds the full-text index and proves it against the documents. Returns how many
    /// documents it holds.
    ///
    /// # Errors
    /// If the index still differs from the documents, or SQLite fails.
    pub async fn rebuild_index(&self) -> Result<u32> {
        self.write(|tx| {
            // Those that were saved before there were any in the index.
            let missing: Vec<i64> = tx.scalars(
                "SELECT id FROM documents WHERE headings = '' AND instr(markdown, '# ') > 0",
                [],
            )?;
            for id in missing {
                // Bytes, because a damaged document may hold what is no text.
                let text: Vec<u8> =
                    tx.scalar("SELECT CAST(markdown AS BLOB) FROM documents WHERE id = ?", [id])?;
                tx.execute(
                    "UPDATE documents SET headings = ? WHERE id = ?",
                    params![headings(&String::from_utf8_lossy(&text)), id],
                )?;
            }
            // It reads all documents.
            tx.unindexed.pass_over();
            tx.execute("INSERT INTO documents_fts (documents_fts) VALUES ('rebuild')", [])?;
            consistent::check_index(tx)?;
            tx.scalar("SELECT count(*) FROM documents", [])
        })
        .await
    }
}
