//! The document of a company's announcements, with what the price did.

use std::collections::HashMap;

use jiff::Timestamp;
use quaero_store::{DocumentId, NewDocument};
use serde_json::{Map, Value, json};

use super::{
    ANNOUNCEMENTS, banner, document,
    format::{Sheet, change},
    metadata, origin,
};
use crate::{
    market::{
        announcements::{
            Announcement, Anomaly, List, REMARKABLE_DRIFT, Reaction, TERMS, anomaly, reaction,
            relevance,
        },
        calendar::Calendar,
        model::{Bar, DateRange, Missing, Source, Symbol},
    },
    services::{link, plain},
};

/// What a document is made of.
pub(in crate::market) struct Parts<'a> {
    pub(in crate::market) symbol: &'a Symbol,
    pub(in crate::market) source: &'a Source,
    pub(in crate::market) range: DateRange,
    pub(in crate::market) list: &'a List,
    /// Shown at most.
    pub(in crate::market) limit: usize,
    pub(in crate::market) prices: &'a Prices,
    pub(in crate::market) period: &'a str,
    pub(in crate::market) request_hash: &'a str,
}

/// What announcements are held against.
pub(in crate::market) struct Prices {
    /// Usable prices of the stock in order, or why there are none.
    pub(in crate::market) stock: Result<Vec<Bar>, Missing>,
    /// Prices of the index in order.
    pub(in crate::market) index: Vec<Bar>,
    /// Who gave them, where they are not those of a document.
    pub(in crate::market) provider: String,
    /// The document of the stock's prices.
    pub(in crate::market) stock_document: Option<DocumentId>,
    /// The document of the index's prices.
    pub(in crate::market) index_document: Option<DocumentId>,
}

impl Prices {
    /// Nothing is known of what the price did.
    pub(in crate::market) const fn missing(code: &'static str, reason: String) -> Self {
        Self {
            stock: Err(Missing { code, reason }),
            index: Vec::new(),
            provider: String::new(),
            stock_document: None,
            index_document: None,
        }
    }

    /// Says where they are from, so that every figure can be followed to its source.
    fn tell(&self, sheet: &mut Sheet, data: &mut Map<String, Value>) {
        sheet.section("Data used");
        let mut documents = Vec::new();
        for (name, bars, document) in [
            ("Prices of the stock", self.stock.as_deref().unwrap_or_default(), self.stock_document),
            ("Prices of the index", &self.index, self.index_document),
        ] {
            let (Some(first), Some(last)) = (bars.first(), bars.last()) else {
                sheet.note(name, "none");
                continue;
            };
            documents.extend(document);
            let from = origin(document, &self.provider);
            sheet.note(name, &format!("{} to {}, from {from}", first.date, last.date));
        }
        if !documents.is_empty() {
            data.insert("built_from".to_owned(), json!(documents));
        }
    }
}

/// The addresses of PDFs that a document knows, by the number of the announcement.
pub(in crate::market) fn pdfs(metadata: &Map<String, Value>) -> HashMap<String, String> {
    let items = metadata.get("announcements").and_then(Value::as_array);
    let pdf =
        |item: &Value| Some((item["id"].as_str()?.to_owned(), item["pdf"].as_str()?.to_owned()));
    items.into_iter().flatten().filter_map(pdf).collect()
}

/// The document of announcements as known at `now`.
pub(in crate::market) fn announcements(
    parts: &Parts<'_>,
    now: Timestamp,
    calendar: &Calendar,
) -> NewDocument {
    let (symbol, list) = (parts.symbol, parts.list);
    let title = format!("{symbol} announcements");
    let mut sheet = Sheet::default();
    sheet.line(&format!("# {title}"));
    banner(&mut sheet, parts.source);
    let local =
        |at: Timestamp| at.to_zoned(calendar.zone().clone()).strftime("%Y-%m-%d %H:%M").to_string();
    let shown = list.items.len().min(parts.limit);
    sheet.line(&format!(
        "{} announcements from {} to {}, {shown} of them shown. Times are Sydney's. From {}, {}.",
        list.items.len(),
        parts.range.from,
        parts.range.to,
        plain(&parts.source.name),
        local(now)
    ));
    if list.items.is_empty() {
        sheet.line("None was released in this time.");
    }
    let mut items = Vec::new();
    let mut rows = Vec::new();
    for item in list.items.iter().take(parts.limit) {
        let answer = match &parts.prices.stock {
            Ok(bars) => {
                reaction(item.at, bars, &parts.prices.index, calendar).map_err(str::to_owned)
            }
            Err(missing) => Err(missing.reason.clone()),
        };
        rows.push(row(item, &answer, local(item.at)));
        items.push(entry(item, &answer));
    }
    if !rows.is_empty() {
        let head = [
            "Released",
            "Sensitive",
            "Relevance",
            "Headline",
            "Session",
            "Stock",
            "Beyond index",
            "Volume",
            "Signal",
        ];
        sheet.table(&head, &rows);
    }
    let remarks: Vec<String> = list
        .items
        .iter()
        .take(parts.limit)
        .zip(&items)
        .filter_map(|(item, entry)| {
            let text = match entry["anomaly"].as_str()? {
                "no_reaction" => "should have mattered, and the price did not answer",
                _ => "should not have mattered, and the price moved: look for another cause",
            };
            Some(format!("- {} {}: {text}.", local(item.at), plain(&item.headline)))
        })
        .collect();
    if !remarks.is_empty() {
        sheet.section("Remarkable");
        remarks.iter().for_each(|line| sheet.line(line));
    }
    sheet.section("How to read this");
    sheet.line("The session is the first one that could trade on the announcement: after 16:10 Sydney time (14:10 on days with an early close) it is the next. Signal: high from 3 % beyond the index or twice the usual volume, moderate from 1.5 % or 1.5 times, low from 0.5 % or 1.2 times. A move on the same day is no proof of a cause.");
    if list.items.iter().take(parts.limit).any(|item| item.pdf.is_none() && item.link.is_some()) {
        sheet.line("A headline leads to the announcement's PDF, or to the exchange's page before it where the PDF's own address has not been looked up yet.");
    }
    if list.notes.count > 0 {
        let lines = plain(&list.notes.lines.join("; "));
        sheet.line(&format!(
            "{} entries could not be read and are missing here: {lines}.",
            list.notes.count
        ));
    }
    if list.cut {
        sheet.line("There are more announcements than were asked for; the oldest are missing.");
    }

    let mut data = metadata(ANNOUNCEMENTS, symbol, parts.source, now);
    data.insert("announcements".to_owned(), json!(items));
    data.insert("total".to_owned(), list.items.len().into());
    data.insert("events".to_owned(), list.events(parts.range, calendar).to_value());
    data.insert("unreadable".to_owned(), list.notes.count.into());
    data.insert("cut".to_owned(), list.cut.into());
    data.insert("complete".to_owned(), parts.prices.stock.is_ok().into());
    parts.prices.tell(&mut sheet, &mut data);
    if !parts.source.synthetic {
        data.insert("terms_version".to_owned(), TERMS.into());
    }
    let identity = (symbol, parts.source, parts.period);
    document(ANNOUNCEMENTS, identity, title, sheet, data, (now, parts.request_hash))
}

fn row(item: &Announcement, answer: &Result<Reaction, String>, released: String) -> Vec<String> {
    let headline = match item.pdf.as_ref().or(item.link.as_ref()) {
        Some(address) => link(&item.headline, address),
        None => plain(&item.headline),
    };
    let mark = if item.sensitive { "★" } else { "" };
    let relevance = relevance(&item.headline, item.sensitive).label();
    let mut row = vec![released, mark.to_owned(), relevance.to_owned(), headline];
    match answer {
        Ok(answer) => {
            let drift = answer.drift.filter(|drift| drift.abs() >= REMARKABLE_DRIFT);
            let session = match drift {
                Some(drift) => format!("{} (before: {})", answer.session, change(drift)),
                None => answer.session.to_string(),
            };
            row.extend([
                session,
                change(answer.stock),
                answer.index.map_or_else(|| "n/a".to_owned(), |_| change(answer.relative())),
                answer.volume.map_or_else(|| "n/a".to_owned(), |times| format!("{times:.1} ×")),
                answer.signal.label().to_owned(),
            ]);
        }
        Err(reason) => {
            row.extend([plain(reason), String::new(), String::new(), String::new(), String::new()]);
        }
    }
    row
}

fn entry(item: &Announcement, answer: &Result<Reaction, String>) -> Value {
    let relevance = relevance(&item.headline, item.sensitive);
    let answered = answer.as_ref().ok();
    let anomaly: Option<Anomaly> = answered.and_then(|a| anomaly(relevance, a.signal));
    json!({
        "id": item.id,
        "released": item.at.to_string(),
        "headline": item.headline,
        "price_sensitive": item.sensitive,
        "kinds": item.kinds,
        "pages": item.pages,
        "link": item.link,
        "pdf": item.pdf,
        "relevance": relevance,
        "session": answered.map(|a| a.session.to_string()),
        "return": answered.map(|a| a.stock),
        "index_return": answered.and_then(|a| a.index),
        "volume_ratio": answered.and_then(|a| a.volume),
        "drift": answered.and_then(|a| a.drift),
        "signal": answered.map(|a| a.signal),
        "anomaly": anomaly,
        "no_reaction_because": answer.as_ref().err(),
    })
}
