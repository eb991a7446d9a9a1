//! The search index follows the documents at the end of each commit, all at once: first it loses what
//! they were, then it gets what they are. FTS5 writes what it has gathered whenever a savepoint begins,
//! so one at a time each document would become a part of the index of its own, to be merged with the
//! others again and again.

use std::{collections::BTreeSet, sync::Arc};

use quaero_contract::DocumentId;
use rusqlite::params;

use crate::{
    error::{Result, StoreError, code},
    jobs::Place,
    writer::Tx,
};

/// With more bytes of old contents waiting, the index is written first.
const MOST_HELD: usize = 16 << 20;

/// Documents that this transaction has saved and that the index may not show as they are.
#[derive(Debug, Default)]
pub(crate) struct Unindexed {
    documents: Vec<Saved>,
    /// So many of them were brought into the index by the command that is under way, from the first on.
    passed: usize,
}

#[derive(Clone, Debug)]
struct Saved {
    id: DocumentId,
    /// Its title, headings and content as they are in the index, if the index has to lose them. Bytes,
    /// because a damaged document may hold what is no text.
    before: Option<Arc<[Vec<u8>; 3]>>,
    /// Who is told if it cannot be searched for.
    place: Place,
    now_ms: i64,
}

impl Unindexed {
    fn waiting(&self) -> &[Saved] {
        &self.documents[self.passed..]
    }

    /// How many bytes of old contents are held.
    fn held(&self) -> usize {
        let held = self.waiting().iter().filter_map(|saved| saved.before.as_ref());
        held.flat_map(|parts| parts.iter()).map(Vec::len).sum()
    }

    /// Takes all of them as brought into the index.
    pub(crate) fn pass_over(&mut self) {
        self.passed = self.documents.len();
    }

    /// Where the transaction stands before a command, for [`Self::undo`].
    pub(crate) fn mark(&mut self) -> usize {
        // No command takes back what those before it have done.
        self.documents.drain(..std::mem::take(&mut self.passed));
        self.documents.len()
    }

    /// The transaction is back where it was at `mark`.
    pub(crate) fn undo(&mut self, mark: usize) {
        self.documents.truncate(mark);
        self.passed = 0;
    }
}

impl Tx {
    /// Has the index show a document that was written just now.
    pub(crate) fn index_new(&mut self, id: DocumentId, place: Place, now_ms: i64) {
        self.unindexed.documents.push(Saved { id, before: None, place, now_ms });
    }

    /// Has the index show what is about to be written to a document.
    ///
    /// # Errors
    /// If SQLite fails.
    pub(crate) fn index_changed(
        &mut self,
        id: DocumentId,
        place: Place,
        now_ms: i64,
    ) -> Result<()> {
        if self.unindexed.waiting().iter().any(|saved| saved.id == id) {
            // The index still has what the document was before; but another step may have to be told.
            self.index_new(id, place, now_ms);
            return Ok(());
        }
        if self.unindexed.held() > MOST_HELD {
            self.write_index()?;
        }
        let row = self.one(
            "SELECT CAST(title AS BLOB) AS title, CAST(headings AS BLOB) AS headings,
                 CAST(markdown AS BLOB) AS markdown FROM documents WHERE id = ?",
            [id.0],
        )?;
        let before = [row.get("title")?, row.get("headings")?, row.get("markdown")?];
        self.unindexed.documents.push(Saved { id, before: Some(before.into()), place, now_ms });
        Ok(())
    }

    /// Brings the index up to what this transaction has saved. If it is too damaged for that, the
    /// documents are kept all the same, and the steps that have brought them say so.
    ///
    /// # Errors
    /// If SQLite fails.
    pub(crate) fn write_index(&mut self) -> Result<()> {
        let mut saved = self.unindexed.waiting().to_vec();
        if saved.is_empty() {
            return Ok(());
        }
        self.unindexed.pass_over();
        saved.sort_by_key(|saved| saved.id);
        self.execute("SAVEPOINT indexing", [])?;
        let written = self.replace_in_index(&saved);
        if let Err(error) = &written {
            // After a full disk, for one, SQLite has undone the whole transaction by itself.
            self.execute("ROLLBACK TO indexing", []).map_err(|_| error.clone())?;
        }
        self.execute("RELEASE indexing", [])?;
        let damage = match written {
            Err(StoreError::Database { code: Some(code::CORRUPT_VTAB), message }) => message,
            written => return written,
        };
        tracing::error!(damage, "the search index does not follow the documents");
        let message = format!(
            "What was collected is kept, but search does not find it as it is now: {damage}."
        );
        let mut told = BTreeSet::new();
        for Saved { place, now_ms, .. } in saved {
            if told.insert(place.step) {
                self.warn_once(place.run, place.step, &message, now_ms)?;
            }
        }
        Ok(())
    }

    fn replace_in_index(&self, saved: &[Saved]) -> Result<()> {
        for Saved { id, before, .. } in saved {
            if let Some([title, headings, markdown]) = before.as_deref() {
                self.execute(
                    "INSERT INTO documents_fts (documents_fts, rowid, title, headings, markdown)
                     VALUES ('delete', ?, CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT))",
                    params![id.0, title, headings, markdown],
                )?;
            }
        }
        let ids: Vec<i64> = saved.iter().map(|saved| saved.id.0).collect();
        self.execute(
            "INSERT INTO documents_fts (rowid, title, headings, markdown)
             SELECT id, title, headings, markdown FROM documents
             WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id",
            params![serde_json::to_string(&ids).expect("numbers are plain data")],
        )?;
        // At the latest now FTS5 writes, and meets what may be damaged.
        self.execute("SAVEPOINT indexed", []).map(drop)
    }
}
