//! The Australian exchange: its page of announcements, by captures of April 2026, and the service behind
//! its pages, by recorded answers of June 2026.

use std::{fmt::Write as _, io};

use futures::executor::block_on;
use jiff::{Timestamp, civil::date};
use quaero_workers::market::{
    announcements::{Announcement, Announcements as _},
    calendar::asx,
    model::{DateRange, Symbol},
};
use serde_json::json;

use super::{Answer, Asked, Asx, State};

/// What the exchange does at times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsxFault {
    /// The wall against robots, with status 200.
    RobotWall,
    /// 429 with `Retry-After`.
    TooMany,
    /// A row without a time among the others.
    DamagedRow,
}

const FORM: &str = "<!doctype html><html><body><form action=\"announcements.do\">Search announcements</form></body></html>";

impl Asx {
    /// Starts the exchange with an invented market as known at `now`.
    ///
    /// # Errors
    /// If no port can be had.
    pub fn start(seed: u64, now: Timestamp) -> io::Result<Self> {
        Self::serve(seed, now, answer)
    }
}

fn answer(state: &State<AsxFault>, asked: &Asked) -> Answer {
    if state.has(AsxFault::RobotWall) {
        let page = "<html><body><iframe>Request unsuccessful. Incapsula incident ID: 1234-5678</iframe></body></html>";
        return Answer::page(page.to_owned());
    }
    if state.has(AsxFault::TooMany) {
        return Answer("429 Too Many Requests", "Retry-After: 7\r\n".to_owned(), String::new());
    }
    let path: Vec<&str> = asked.path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["asx", "v2", "statistics", "announcements.do"] => page(state, asked),
        ["asx", "v2", "statistics", "displayAnnouncement.do"] => terms(asked),
        ["asx-research", "1.0", "search", "predictive"] => search(asked),
        ["asx-research", "1.0", "markets", "announcements"] => items(state, asked),
        _ => Answer::text("404 Not Found", "Not Found"),
    }
}

/// All announcements of a company, newest first. One code stands for those that nobody knows.
fn all(state: &State<AsxFault>, code: &str) -> Option<Vec<Announcement>> {
    let symbol = Symbol::stock(code).ok().filter(|symbol| symbol.code() != "GONE")?;
    let range = DateRange { from: date(2015, 1, 1), to: date(2027, 12, 31) };
    Some(block_on(state.market().list(&symbol, range)).ok()?.items)
}

fn page(state: &State<AsxFault>, asked: &Asked) -> Answer {
    let (Some("asxCode"), Some(code)) = (asked.get("by"), asked.get("asxCode")) else {
        return Answer::text("200 OK", FORM);
    };
    let Some(items) = all(state, code) else {
        let page = "<!doctype html><html><body><p>The code is not known.</p></body></html>";
        return Answer::text("200 OK", page);
    };
    let newest = items.first().map_or(date(2026, 11, 25), |item| asx().date_of(item.at));
    let back = |days: i32| newest.checked_sub(jiff::Span::new().days(days)).unwrap_or(newest);
    let range = match (asked.get("timeframe"), asked.get("period"), asked.get("year")) {
        (Some("D"), Some("T"), _) => Some((back(0), newest)),
        (Some("D"), Some("W"), _) => Some((back(7), newest)),
        (Some("D"), Some("M"), _) => Some((back(31), newest)),
        (Some("D"), Some("M3"), _) => Some((back(92), newest)),
        (Some("D"), Some("M6"), _) => Some((back(183), newest)),
        (Some("Y"), _, Some(year)) => {
            year.parse().ok().map(|year| (date(year, 1, 1), date(year, 12, 31)))
        }
        _ => None,
    };
    // Any other period silently gives the form.
    let Some((from, to)) = range else { return Answer::text("200 OK", FORM) };
    let mut rows = String::new();
    let within = |item: &&Announcement| (from..=to).contains(&asx().date_of(item.at));
    for (at, item) in items.iter().filter(within).enumerate() {
        let local = item.at.to_zoned(asx().zone().clone());
        let class = if at % 2 == 1 { " class=\"altrow\"" } else { "" };
        let hour = (local.hour() + 11) % 12 + 1;
        let half = if local.hour() < 12 { "am" } else { "pm" };
        let mark = if item.sensitive {
            "<img src=\"/images/icon-price-sensitive.svg\" class=\"pricesens\" alt=\"asterix\" title=\"price sensitive\">"
        } else {
            ""
        };
        let headline = item.headline.replace('&', "&amp;").replace('<', "&lt;");
        let _ = write!(
            rows,
            "<tr{class}>\n<td>\n{}<br>\n<span class=\"dates-time\">{hour}:{:02} {half}</span></td>\n\
             <td class=\"pricesens\">{mark}</td>\n<td>\n\
             <a target=\"_blank\" href=\"/asx/v2/statistics/displayAnnouncement.do?display=pdf&amp;idsId={}\">\n\
             {headline}<br>\n<img src=\"/images/pdf.gif\" alt=\"\"> <span class=\"page\">4 pages</span>\n\
             <span class=\"filesize\">14.7KB</span></a></td></tr>\n",
            local.strftime("%d/%m/%Y"),
            local.minute(),
            item.id,
        );
    }
    if state.has(AsxFault::DamagedRow) {
        rows.push_str(
            "<tr><td>13/04/2026</td><td></td><td><a href=\"?idsId=1\">No time</a></td></tr>",
        );
    }
    Answer::page(format!(
        "<!doctype html><html><body><announcement_data><table><tr><th>Date</th><th></th><th>Headline</th></tr>{rows}</table></announcement_data></body></html>"
    ))
}

/// The page before a PDF: the terms, and a form that holds the PDF's address.
fn terms(asked: &Asked) -> Answer {
    let (Some("pdf"), Some(id)) = (asked.get("display"), asked.get("idsId")) else {
        return Answer::text("404 Not Found", "Not Found");
    };
    let address = format!("https://announcements.asx.com.au/asxpdf/20260413/pdf/{id}.pdf");
    Answer::page(format!(
        "<!doctype html><html><body><form name=\"showAnnouncementPDFForm\" method=\"post\" action=\"announcementTerms.do\">\n\
         <input name=\"pdfURL\" value=\"{address}\" type=\"hidden\">\n\
         <p>Access to this site is subject to the terms.</p><input type=\"submit\" value=\"Agree and proceed\"></form></body></html>"
    ))
}

/// The search gives everything that begins alike; `xid` is not the number that the list wants.
fn search(asked: &Asked) -> Answer {
    let code = asked.get("searchText").unwrap_or_default().to_ascii_uppercase();
    if code == "GONE" {
        return Answer::json(json!({"data": {"items": []}}));
    }
    let item =
        |symbol: &str| json!({"symbol": symbol, "xid": "1", "xidEntity": format!("E{symbol}")});
    Answer::json(json!({"data": {"items": [item(&format!("{code}X")), item(&code)]}}))
}

fn items(state: &State<AsxFault>, asked: &Asked) -> Answer {
    let number = |key| asked.get(key).and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
    let (page, size) = (number("page"), number("itemsPerPage").clamp(1, 100));
    let code = asked.get("entityXids").and_then(|entity| entity.strip_prefix('E'));
    let Some(items) = code.and_then(|code| all(state, code)) else {
        return Answer::json(json!({"data": {"count": 0, "items": []}}));
    };
    let rows: Vec<_> = items
        .iter()
        .skip(page * size)
        .take(size)
        .map(|item| {
            json!({
                "announcementTypes": ["Periodic Reports"],
                "date": format!("{}", item.at.strftime("%Y-%m-%dT%H:%M:%S.000Z")),
                "documentKey": format!("2924-{}-3A691768", item.id), "fileSize": "132KB",
                "headline": item.headline, "isPriceSensitive": item.sensitive, "url": "",
            })
        })
        .collect();
    Answer::json(json!({"data": {"count": items.len(), "items": rows}}))
}
