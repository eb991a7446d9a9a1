//! SQLite: connections, migrations, one module per table. All SQL of Quaero is in this crate, and
//! only its writer writes.

use serde::{Deserialize, Serialize};
pub use quaero_contract::DocumentId;

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
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// Tags beyond those of the definition. The store makes them lower-case.
    pub tags: Vec<String>,
    /// blake3 of the bytes it was made from, in hex. Tells a later run that nothing has changed.
    pub source_hash: String,
    /// The bytes it was made from, if they should be kept for `transform` (they are compressed).
    pub original: Option<Vec<u8>>,
    /// When the source was read, in milliseconds since 1970.
    pub fetched_ms: i64,
}

/// What is known of a document without reading its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentState {
    /// The document.
    pub id: DocumentId,
    /// See [`NewDocument::source_hash`].
    pub source_hash: String,
}

/// An error of the store.
#[derive(Debug, thiserror::Error)]
#[error("being written")]
pub struct StoreError;

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct Store;

#[allow(clippy::unused_async, clippy::todo, missing_docs)]
impl Store {
    /// What is known of the document with this source, if there is one.
    pub async fn document_state(&self, source_type: &str, source_id: &str) -> Result<Option<DocumentState>, StoreError> { let _ = (source_type, source_id); todo!() }
    /// The whole document with its original bytes (decompressed), for `transform`.
    pub async fn document_with_original(&self, id: DocumentId) -> Result<Option<NewDocument>, StoreError> { let _ = id; todo!() }
    /// Ids of documents with all of `tags`, of any of `source_types` (empty: any), written or seen by run `run` (None: any run), after `after`, ascending, at most `limit`.
    pub async fn document_ids(&self, filter: &DocumentFilter, after: Option<DocumentId>, limit: u32) -> Result<Vec<DocumentId>, StoreError> { let _ = (filter, after, limit); todo!() }
    /// Rebuilds the full-text index and proves it against the documents. Returns how many documents it holds.
    pub async fn rebuild_index(&self) -> Result<u32, StoreError> { todo!() }
}

/// Which documents.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DocumentFilter {
    /// With all of these tags.
    pub tags: Vec<String>,
    /// Of one of these source types; empty means any.
    pub source_types: Vec<String>,
    /// Written or seen by this run.
    pub run: Option<quaero_contract::JobId>,
}
