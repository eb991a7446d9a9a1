//! The service that the exchange's own pages ask. Times are in UTC.
//!
//! A company is known there by an entity, which the search gives; `xid` beside it is another number.

use jiff::Timestamp;
use serde_json::Value;
use url::Url;

use super::{Announcement, List, PAGE};
use crate::market::{
    model::Symbol,
    number::{Fields, entries, text},
    provider::MarketError,
};

pub(super) fn search(service: &Url, symbol: &Symbol) -> Url {
    let mut url = service.join("search/predictive").unwrap_or_else(|_| service.clone());
    url.query_pairs_mut().append_pair("searchText", symbol.code());
    url
}

pub(super) fn page(service: &Url, entity: &str, page: usize) -> Url {
    let mut url = service.join("markets/announcements").unwrap_or_else(|_| service.clone());
    url.query_pairs_mut()
        .append_pair("entityXids", entity)
        .append_pair("page", &page.to_string())
        .append_pair("itemsPerPage", &PAGE.to_string());
    url
}

fn parse(answer: &str, what: &str) -> Result<Value, MarketError> {
    let unreadable = |reason: String| MarketError::Unreadable { what: what.to_owned(), reason };
    let value: Value = serde_json::from_str(answer)
        .map_err(|e| unreadable(format!("it is no valid JSON: {e}")))?;
    if value["data"].is_null() {
        return Err(unreadable("it has no part `data`".to_owned()));
    }
    Ok(value)
}

/// The entity of exactly this code, if the search has found it.
pub(super) fn entity(answer: &str, symbol: &Symbol) -> Result<Option<String>, MarketError> {
    let value = parse(answer, &format!("the search for {}", symbol.code()))?;
    let found = items(&value["data"]).into_iter().find(|item| {
        text(&item["symbol"]).is_some_and(|code| code.eq_ignore_ascii_case(symbol.code()))
    });
    let entity = found.and_then(|item| text(&item["xidEntity"]));
    Ok(entity.filter(|id| id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric())))
}

/// The list of an answer: `data.items`, or `data` itself.
fn items(data: &Value) -> Vec<&Value> {
    let list = if data["items"].is_null() { data } else { &data["items"] };
    if list.is_array() {
        entries(list).into_iter().map(|(_, item)| item).collect()
    } else {
        Vec::new()
    }
}

/// Adds a page's announcements; returns how many there are on all pages.
pub(super) fn read(
    answer: &str,
    symbol: &Symbol,
    site: &Url,
    list: &mut List,
) -> Result<usize, MarketError> {
    let value = parse(answer, &format!("the announcements of {}", symbol.code()))?;
    let data = &value["data"];
    let items = items(data);
    let count = data["count"].as_u64().and_then(|count| usize::try_from(count).ok());
    for item in items.iter().copied().take(PAGE) {
        match announcement(item, site) {
            Ok(item) => list.items.push(item),
            Err(why) => list.notes.add(format!("An announcement has no {why}")),
        }
    }
    Ok(count.unwrap_or(items.len()))
}

fn announcement(item: &Value, site: &Url) -> Result<Announcement, &'static str> {
    let fields = Fields::new(item, "an announcement");
    let at: Timestamp = fields.text("date").and_then(|text| text.parse().ok()).ok_or("time")?;
    let headline = fields.text("headline").ok_or("headline")?;
    let key = fields.text("documentKey").ok_or("document")?;
    // 2924-03081111-3A691768: the exchange's own number is in the middle.
    let id = key
        .split('-')
        .nth(1)
        .filter(|id| (1..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric()));
    let id = id.ok_or("number")?.to_owned();
    let mut kinds: Vec<String> =
        entries(fields.raw("announcementTypes")).into_iter().filter_map(|(_, t)| text(t)).collect();
    if kinds.is_empty() {
        kinds.extend(fields.text("announcementType"));
    }
    Ok(Announcement {
        link: super::link(site, &id),
        id,
        at,
        headline: headline.split_whitespace().collect::<Vec<_>>().join(" "),
        // Without the mark nobody knows, and nothing may be called insensitive by accident.
        sensitive: fields.flag("isPriceSensitive").ok_or("mark of price sensitivity")?,
        kinds,
        pages: None,
        size: fields.text("fileSize"),
        pdf: None,
    })
}
