//! New documents enter the search index at the end of the commit that saves them, all at once. FTS5
//! writes what it has gathered whenever a savepoint begins, so one at a time each document would become
//! a part of the index of its own, to be merged with the others again and again.
//!
//! What changes in documents that were there before is followed at once, by triggers.

use std::collections::BTreeSet;

use quaero_contract::DocumentId;
use rusqlite::params;

use crate::{
    error::{Result, StoreError, code},
    jobs::Place,
    writer::Tx,
};

/// Documents of this transaction that may not be in the index yet.
#[derive(Debug, Default)]
pub(crate) struct Unindexed {
    documents: Vec<Saved>,
    /// So many of them are in the index, from the first one on.
    indexed: usize,
}

#[derive(Clone, Copy, Debug)]
struct Saved {
    id: DocumentId,
    /// Who is told if it cannot be searched for.
    place: Place,
    now_ms: i64,
}

/// Where a transaction stood.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark {
    documents: usize,
    indexed: usize,
}

impl Unindexed {
    /// A new document was written.
    pub(crate) fn add(&mut self, id: DocumentId, place: Place, now_ms: i64) {
        self.documents.push(Saved { id, place, now_ms });
    }

    fn waiting(&self) -> &[Saved] {
        &self.documents[self.indexed..]
    }

    /// Where the transaction stands, for [`Self::undo`].
    pub(crate) fn mark(&self) -> Mark {
        Mark { documents: self.documents.len(), indexed: self.indexed }
    }

    /// The transaction is back where it was at `mark`.
    pub(crate) fn undo(&mut self, mark: Mark) {
        self.documents.truncate(mark.documents);
        self.indexed = mark.indexed;
    }
}

impl Tx {
    /// Brings the new documents of this transaction into the search index. If the index is too damaged
    /// for that, the documents stay without it, and the steps that have found them say so.
    ///
    /// # Errors
    /// If SQLite fails.
    pub(crate) fn index_new_documents(&mut self) -> Result<()> {
        let new = self.unindexed.waiting().to_vec();
        if new.is_empty() {
            return Ok(());
        }
        self.unindexed.indexed += new.len();
        let damage = match self.index(&new) {
            Ok(()) => return Ok(()),
            Err(StoreError::Database { code: Some(code::CORRUPT_VTAB), message }) => message,
            Err(error) => return Err(error),
        };
        tracing::error!(damage, "new documents are not in the search index");
        let message = format!("What was collected is kept, but search does not find it: {damage}.");
        let mut told = BTreeSet::new();
        for Saved { place, now_ms, .. } in new {
            if told.insert(place.step) {
                self.warn_once(place.run, place.step, &message, now_ms)?;
            }
        }
        Ok(())
    }

    fn index(&self, new: &[Saved]) -> Result<()> {
        let ids: Vec<i64> = new.iter().map(|saved| saved.id.0).collect();
        let ids = serde_json::to_string(&ids).expect("numbers are plain data");
        self.execute("SAVEPOINT indexing", [])?;
        let written = self
            .execute(
                "INSERT INTO documents_fts (rowid, title, headings, markdown)
                 SELECT id, title, headings, markdown FROM documents
                 WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id",
                params![ids],
            )
            // Only now FTS5 writes, and meets what may be damaged.
            .and_then(|_| self.execute("SAVEPOINT indexed", []));
        if written.is_err() {
            self.execute("ROLLBACK TO indexing", [])?;
        }
        self.execute("RELEASE indexing", [])?;
        written.map(drop)
    }
}
