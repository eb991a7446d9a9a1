//! Market data as documents: Markdown for people and models, and the same figures as facts in the
//! metadata, each with an id, a unit and its day, so that a report can be checked against them.
//!
//! Text that comes from outside (names, headlines, descriptions) is quoted as text. The verdict on the
//! data's quality is written here, by code.

mod announcements;
mod company;
mod format;
mod history;
mod stock;

use jiff::Timestamp;
use quaero_store::{DocumentId, NewDocument};
use serde_json::{Map, Value, json};

use super::{
    calendar::asx,
    model::{Source, Symbol},
    quality::{Report, Severity, Status},
};
use format::Sheet;

pub(super) use announcements::{Parts, Prices, announcements, pdfs};
pub(super) use history::kept;
pub(super) use stock::{Asked, events_hash, lacking, stock};

/// The kinds of documents, as `source_type` names them.
pub(super) const STOCK: &str = "asx_stock";
/// An index.
pub(super) const INDEX: &str = "asx_index";
/// A company's announcements.
pub(super) const ANNOUNCEMENTS: &str = "asx_announcements";

/// What identifies a document among those of its kind. Synthetic data never stands in the place of real
/// data, nor one provider's in that of another.
pub(super) fn source_id(symbol: &Symbol, source: &str, period: &str) -> String {
    format!("{symbol}/{source}/{period}")
}

/// The tags by which plans find documents: of its kind, of its company in lower case, of its day.
pub(super) fn tags(kind: &str, symbol: &Symbol, source: &Source, now: Timestamp) -> Vec<String> {
    let code = symbol.local_code().to_ascii_lowercase();
    let (first, benchmark) = match kind {
        INDEX => ("asx-index", Some("benchmark")),
        ANNOUNCEMENTS => ("asx-announcement", None),
        _ => ("asx-stock-data", None),
    };
    let mut tags = vec![first.to_owned(), code, format!("date:{}", asx().date_of(now))];
    tags.extend(benchmark.map(str::to_owned));
    tags.extend(source.synthetic.then(|| "synthetic".to_owned()));
    tags
}

/// What every document says first about data that is not real.
fn banner(sheet: &mut Sheet, source: &Source) {
    if source.synthetic {
        sheet.line(
            "> **Synthetic data.** Everything below is invented by a computer. It is about no real company and no real market.",
        );
    }
}

/// The verdict, as a table of what is not in order and of what could not be looked at.
fn quality(sheet: &mut Sheet, report: &Report) {
    sheet.section("Data quality");
    let count = |status: Status| report.checks.iter().filter(|c| c.status == status).count();
    sheet.line(&format!(
        "{} checks: {} in order, {} findings, {} could not be made, {} do not apply.",
        report.checks.len(),
        count(Status::Pass),
        count(Status::Fail),
        count(Status::NotEvaluated),
        count(Status::NotApplicable),
    ));
    let mut rows: Vec<Vec<String>> = Vec::new();
    for check in report.findings() {
        let severity = match check.severity {
            Severity::Error => "**error**",
            Severity::Warn => "warning",
            Severity::Info => "note",
        };
        rows.push(vec![
            format!("`{}`", check.check_id),
            severity.to_owned(),
            crate::services::plain(&check.observed),
            crate::services::plain(check.threshold),
            crate::services::plain(&check.message),
        ]);
    }
    for check in report.checks.iter().filter(|check| check.status == Status::NotEvaluated) {
        rows.push(vec![
            format!("`{}`", check.check_id),
            "not checked".to_owned(),
            String::new(),
            crate::services::plain(check.threshold),
            crate::services::plain(&check.message),
        ]);
    }
    if !rows.is_empty() {
        sheet.table(&["Check", "Verdict", "Observed", "Allowed", "What it means"], &rows);
    }
}

/// Where figures are from: the document that holds them, or who gave them.
fn origin(document: Option<DocumentId>, provider: &str) -> String {
    document.map_or_else(|| crate::services::plain(provider), |id| format!("document {id}"))
}

/// A document's common metadata.
fn metadata(
    kind: &str,
    symbol: &Symbol,
    source: &Source,
    fetched: Timestamp,
) -> Map<String, Value> {
    let Value::Object(map) = json!({
        "kind": kind,
        "symbol": symbol.to_string(),
        "ticker": symbol.local_code(),
        "currency": symbol.currency(),
        "provider": source.id,
        "provider_name": source.name,
        "synthetic": source.synthetic,
        "fetched": fetched.to_string(),
    }) else {
        return Map::new();
    };
    map
}

/// Puts a sheet into a document.
fn document(
    kind: &str,
    (symbol, source, period): (&Symbol, &Source, &str),
    title: String,
    sheet: Sheet,
    mut metadata: Map<String, Value>,
    (fetched, request_hash): (Timestamp, &str),
) -> NewDocument {
    let (markdown, facts) = sheet.finish();
    metadata.insert("facts".to_owned(), json!(facts));
    metadata.insert("period".to_owned(), period.into());
    NewDocument {
        source_type: kind.to_owned(),
        source_id: source_id(symbol, source.id, period),
        title: if source.synthetic { format!("{title} [synthetic]") } else { title },
        markdown,
        metadata,
        tags: tags(kind, symbol, source, fetched),
        source_hash: request_hash.to_owned(),
        fetched_ms: fetched.as_millisecond(),
        ..NewDocument::default()
    }
}

#[cfg(test)]
mod tests;
