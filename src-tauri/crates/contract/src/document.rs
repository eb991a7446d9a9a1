//! Views of documents and of search.

use serde::{Deserialize, Serialize};
use specta::Type;

use crate::{DocumentId, JobId};

/// A piece of a snippet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct SnippetPart {
    /// Plain text.
    pub text: String,
    /// Whether it matches the query.
    pub hit: bool,
}

/// A document in a list of results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Type)]
pub struct DocumentHit {
    /// The document.
    pub id: DocumentId,
    /// Its title, never empty.
    pub title: String,
    /// Where it comes from: `web` or `file`.
    pub source_type: String,
    /// What identifies it there: an address or a path.
    pub source_id: String,
    /// Its address, if it has one.
    pub url: Option<String>,
    /// Lower-case tags, sorted.
    pub tags: Vec<String>,
    /// How well it matches; higher is better; 0 without a query.
    pub score: f64,
    /// The best passage, or the beginning without a query.
    pub snippet: Vec<SnippetPart>,
    /// The run that wrote its content.
    pub run_id: JobId,
    /// When its source was last seen.
    pub last_synced: String,
}

/// A stored result.
#[derive(Clone, Debug, Serialize, Deserialize, Type)]
pub struct DocumentView {
    /// The document.
    pub id: DocumentId,
    /// Its title, never empty.
    pub title: String,
    /// Where it comes from: `web` or `file`.
    pub source_type: String,
    /// What identifies it there.
    pub source_id: String,
    /// Its address, if it has one.
    pub url: Option<String>,
    /// Lower-case tags, sorted.
    pub tags: Vec<String>,
    /// The run that wrote its content.
    pub run_id: JobId,
    /// When its content was fetched.
    pub fetched: String,
    /// When its source was last seen.
    pub last_synced: String,
    /// Since when its source is known to be gone.
    pub gone: Option<String>,
    /// The content as Markdown.
    pub markdown: String,
    /// The content as sanitised HTML, safe to put into the window as it is.
    pub html: String,
    /// Whether `html` was cut because the document is very long.
    pub truncated: bool,
    /// Author, date, language, content type and the like: a JSON object.
    #[specta(type = specta_typescript::Unknown)]
    pub metadata: serde_json::Value,
}

/// A search. The query language is described in the README.
#[derive(Clone, Debug, Default, Serialize, Deserialize, Type)]
#[serde(deny_unknown_fields, default)]
pub struct SearchRequest {
    /// The query; empty lists the newest documents.
    pub query: String,
    /// Only documents with all of these tags.
    pub tags: Vec<String>,
    /// Only documents of one of these source types; empty means all.
    pub source_types: Vec<String>,
    /// Only documents last written by this run.
    pub run: Option<JobId>,
    /// How many results to pass over.
    pub offset: u32,
    /// At most this many, 1 to 200.
    pub limit: u32,
}

/// How many of the results have a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Facet {
    /// The tag, source type or site.
    pub value: String,
    /// Results that have it.
    pub count: u32,
}

/// The results by what they have in common; each list has the most frequent first, at most 20.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Facets {
    /// By tag.
    pub tags: Vec<Facet>,
    /// By source type.
    pub source_types: Vec<Facet>,
    /// By site (host name); files have none.
    pub sites: Vec<Facet>,
}

/// One page of results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Type)]
pub struct SearchResults {
    /// Best first; newest first without a query.
    pub hits: Vec<DocumentHit>,
    /// All that match.
    pub total: u32,
    /// What they have in common.
    pub facets: Facets,
}
