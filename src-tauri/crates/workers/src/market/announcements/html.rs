//! The exchange's page of a company's announcements.
//!
//! It gives the last day to the last six months, or a whole year; anything else silently gives a form.
//! Times are those of Sydney.

use dom_query::{Document, Selection};
use jiff::{
    Timestamp,
    civil::{Date, Time},
};
use url::Url;

use super::{Announcement, List};
use crate::market::{
    calendar::asx,
    model::{DateRange, Symbol},
};

/// A page's table has fewer rows: more are not read.
const MOST_ROWS: usize = 5_000;

/// What one page covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// `T` (today) to `M6` (six months).
    Period(&'static str),
    /// A calendar year.
    Year(i16),
}

/// The pages that cover a range whose end is today: the shortest of the periods, or years.
pub(super) fn frames(range: DateRange) -> Vec<Frame> {
    let days = range.to.duration_since(range.from).as_hours() / 24;
    let period = match days {
        ..=0 => Some("T"),
        1..=7 => Some("W"),
        8..=28 => Some("M"),
        29..=89 => Some("M3"),
        90..=181 => Some("M6"),
        _ => None,
    };
    match period {
        Some(period) => vec![Frame::Period(period)],
        None => (range.from.year()..=range.to.year()).rev().map(Frame::Year).collect(),
    }
}

pub(super) fn address(site: &Url, symbol: &Symbol, frame: &Frame) -> Url {
    let mut url = site.join("asx/v2/statistics/announcements.do").unwrap_or_else(|_| site.clone());
    {
        let mut query = url.query_pairs_mut();
        query.append_pair("by", "asxCode").append_pair("asxCode", symbol.code());
        match frame {
            Frame::Period(period) => {
                query.append_pair("timeframe", "D").append_pair("period", period)
            }
            Frame::Year(year) => {
                query.append_pair("timeframe", "Y").append_pair("year", &year.to_string())
            }
        };
    }
    url
}

/// Adds a page's announcements. False if the page has none of the element that holds them, as for a
/// code that is not known.
pub(super) fn read(page: &str, site: &Url, list: &mut List) -> bool {
    let document = Document::from(page);
    let data = document.select("announcement_data");
    if !data.exists() {
        return false;
    }
    for row in data.select("tr").iter().take(MOST_ROWS) {
        let cells: Vec<Selection<'_>> = row.select("td").iter().collect();
        let [when, price, what, ..] = cells.as_slice() else { continue };
        match announcement(when, price, what, site) {
            Ok(item) => list.items.push(item),
            Err(why) => {
                let row = words(&row.text());
                let row: String = row.chars().take(80).collect();
                list.notes.add(format!("A row has no {why}: {row}"));
            }
        }
    }
    true
}

fn announcement(
    when: &Selection<'_>,
    price: &Selection<'_>,
    what: &Selection<'_>,
    site: &Url,
) -> Result<Announcement, &'static str> {
    let time = words(&when.select("span.dates-time").text());
    let date = own_text(when);
    let at = instant(&date, &time).ok_or("time")?;
    let anchor = what.select_single("a[href]");
    let href = anchor.attr("href").ok_or("link")?;
    let target = site.join(&href).map_err(|_| "link")?;
    let id = target
        .query_pairs()
        .find_map(|(key, value)| (key == "idsId").then(|| value.into_owned()))
        .filter(|id| {
            !id.is_empty() && id.len() <= 32 && id.bytes().all(|b| b.is_ascii_alphanumeric())
        })
        .ok_or("number")?;
    let pages = words(&anchor.select("span.page").text());
    let size = words(&anchor.select("span.filesize").text());
    // The spans stand in the link: the headline is its own text without theirs.
    let headline = own_text(&anchor);
    if headline.is_empty() {
        return Err("headline");
    }
    let sensitive = price.select("img").iter().any(|img| {
        let says = |name| {
            img.attr(name).is_some_and(|text| {
                let text = text.to_ascii_lowercase();
                text.contains("price sensitive") || text.contains("asterix")
            })
        };
        says("title") || says("alt")
    });
    Ok(Announcement {
        link: super::link(site, &id),
        id,
        at,
        headline,
        sensitive,
        kinds: Vec::new(),
        pages: pages.split(' ').next().and_then(|number| number.parse().ok()),
        size: (!size.is_empty()).then_some(size),
        pdf: None,
    })
}

/// Where an announcement's PDF stays, from the page that shows the terms before it. An address of somebody
/// else is none.
pub(super) fn pdf(page: &str, site: &Url) -> Option<String> {
    let document = Document::from(page);
    let input = document.select_single("input[name=pdfURL]");
    let url = site.join(input.attr("value")?.trim()).ok()?;
    let host = url.host_str()?;
    let own = host == "asx.com.au" || host.ends_with(".asx.com.au");
    let pdf = url.path().starts_with("/asxpdf/") && url.path().ends_with(".pdf");
    (own && pdf && url.scheme() == "https").then(|| url.into())
}

/// The text that stands in an element itself, line after line.
fn own_text(element: &Selection<'_>) -> String {
    let children = element.nodes().iter().flat_map(dom_query::NodeRef::children);
    let lines: Vec<String> =
        children.filter(dom_query::NodeRef::is_text).map(|node| node.text().to_string()).collect();
    words(&lines.join(" "))
}

/// White space as people see it.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `13/04/2026 5:07 pm` in Sydney.
fn instant(date: &str, time: &str) -> Option<Timestamp> {
    let mut parts = date.split(' ').next()?.split('/');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let date = Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()?;
    let time = time.to_ascii_lowercase();
    let (clock, half) = time.split_once(' ')?;
    let (hour, minute) = clock.split_once(':')?;
    let hour: i8 = hour.parse().ok()?;
    let hour = match (half.trim(), hour) {
        ("am", 12) => 0,
        ("am", 1..=11) => hour,
        ("pm", 12) => 12,
        ("pm", 1..=11) => hour + 12,
        _ => return None,
    };
    let time = Time::new(hour, minute.parse().ok()?, 0, 0).ok()?;
    let zoned = date.to_datetime(time).to_zoned(asx().zone().clone()).ok()?;
    Some(zoned.timestamp())
}
