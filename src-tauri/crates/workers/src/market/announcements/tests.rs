//! What is made of the exchange's answers. The pages are made up, in the shapes that the exchange uses.

use jiff::civil::date;
use rust_decimal::Decimal;

use super::*;
use crate::market::model::{Bar, Events, Halt};

fn site() -> Url {
    "https://www.asx.com.au/".parse().expect("an address")
}

fn bhp() -> Symbol {
    Symbol::stock("BHP").expect("a code")
}

const PAGE_OF_BHP: &str = r#"<!doctype html><html><body><h2>Announcements</h2><announcement_data><table><thead>
<tr><th>Date</th><th>Price sens.</th><th>Headline</th></tr></thead><tbody>
<tr> <td> 13/04/2026<br><span class="dates-time">5:07 pm</span></td>
 <td class="pricesens"></td>
 <td><a target="_blank" href="/asx/v2/statistics/displayAnnouncement.do?display=pdf&amp;idsId=03082041">
   Notification of cessation<br>of securities<br><img src="/i.gif" alt=""> <span class="page">4 pages</span> <span class="filesize">14.7KB</span></a></td></tr>
<tr class="altrow"><td>5/01/2026<br><span class="dates-time">12:01 am</span></td>
 <td class="pricesens"><img src="/s.gif" alt="asterix" title="price sensitive"></td>
 <td><a href="/asx/v2/statistics/displayAnnouncement.do?display=pdf&amp;idsId=03080001">Half Year Results &amp; Dividend<br><span class="page">1 page</span></a></td></tr>
<tr><td>31/02/2026<br><span class="dates-time">9:00 am</span></td><td></td><td><a href="?idsId=1">No such day</a></td></tr>
<tr class="altrow"><td>4/01/2026<br><span class="dates-time">9:00 am</span></td><td></td><td>No link</td></tr>
</tbody></table></announcement_data></body></html>"#;

#[test]
fn the_page_is_read_and_not_guessed() {
    let mut list = List::default();
    assert!(html::read(PAGE_OF_BHP, &site(), &mut list));
    let [first, second] = list.items.as_slice() else { panic!("{list:?}") };
    assert_eq!(first.headline, "Notification of cessation of securities");
    assert_eq!(first.at.to_string(), "2026-04-13T07:07:00Z", "5:07 pm of Sydney's winter");
    assert_eq!((first.id.as_str(), first.pages, first.sensitive), ("03082041", Some(4), false));
    assert_eq!(first.size.as_deref(), Some("14.7KB"));
    assert_eq!(
        first.link.as_deref(),
        Some(
            "https://www.asx.com.au/asx/v2/statistics/displayAnnouncement.do?display=pdf&idsId=03082041"
        )
    );
    assert_eq!(second.headline, "Half Year Results & Dividend");
    assert_eq!(second.at.to_string(), "2026-01-04T13:01:00Z", "12:01 am of Sydney's summer");
    assert!(second.sensitive);
    assert_eq!(list.notes.count, 2, "{:?}", list.notes);
    assert!(list.notes.lines[0].starts_with("A row has no time"), "{:?}", list.notes);

    let mut none = List::default();
    assert!(!html::read("<html><form>Search</form></html>", &site(), &mut none));
    assert!(html::read("<announcement_data></announcement_data>", &site(), &mut none));
    assert_eq!(none, List::default(), "a known company without announcements");
}

#[test]
fn the_page_of_the_terms_names_the_pdf_and_nobody_elses() {
    let found = |value: &str| {
        let input = format!("<input name=\"pdfURL\" value=\"{value}\" type=\"hidden\">");
        html::pdf(&format!("<html><form><p>Terms</p>{input}</form></html>"), &site())
    };
    let own = "https://announcements.asx.com.au/asxpdf/20260413/pdf/06xyz1.pdf";
    assert_eq!(found(own).as_deref(), Some(own));
    for other in [
        "http://announcements.asx.com.au/asxpdf/20260413/pdf/06xyz1.pdf",
        "https://asx.com.au.example.org/asxpdf/20260413/pdf/06xyz1.pdf",
        "https://evilasx.com.au/asxpdf/20260413/pdf/06xyz1.pdf",
        "https://announcements.asx.com.au/asxpdf/20260413/pdf/06xyz1.html",
        "javascript:alert(1)//asxpdf/x.pdf",
        "",
    ] {
        assert_eq!(found(other), None, "{other}");
    }
    assert_eq!(html::pdf("%PDF-1.7", &site()), None);
}

#[test]
fn the_pages_of_a_range_are_those_that_the_exchange_has() {
    let frames = |from: &str| {
        let range = DateRange { from: from.parse().expect("a day"), to: date(2026, 11, 25) };
        let urls = html::frames(range);
        urls.iter()
            .map(|frame| {
                html::address(&site(), &bhp(), frame).query().unwrap_or_default().to_owned()
            })
            .map(|query| query.replace("by=asxCode&asxCode=BHP&timeframe=", ""))
            .collect::<Vec<_>>()
    };
    assert_eq!(frames("2026-11-25"), ["D&period=T"]);
    assert_eq!(frames("2026-11-18"), ["D&period=W"]);
    assert_eq!(frames("2026-10-28"), ["D&period=M"]);
    assert_eq!(frames("2026-08-28"), ["D&period=M3"]);
    assert_eq!(frames("2026-05-28"), ["D&period=M6"]);
    assert_eq!(frames("2025-11-25"), ["Y&year=2026", "Y&year=2025"]);
}

#[test]
fn the_service_is_read_and_its_times_are_utc() {
    let search = r#"{"data":{"items":[{"symbol":"BHPX","xidEntity":"9","xid":"8"},{"symbol":"BHP","xid":"111","xidEntity":"222"}]}}"#;
    assert_eq!(json::entity(search, &bhp()).expect("an answer").as_deref(), Some("222"));
    assert_eq!(json::entity(r#"{"data":{"items":[]}}"#, &bhp()).expect("an answer"), None);
    let answer = r#"{"data":{"count":341,"items":[
      {"announcementTypes":["Periodic Reports"],"date":"2026-06-10T22:31:05.000Z","documentKey":"2924-03081111-3A691768","fileSize":"132KB","headline":"Production  Report","isPriceSensitive":true,"url":""},
      {"announcementType":"Other","date":"2026-06-09T06:10:00Z","documentKey":"2924-03081110-3A691767","headline":"Appendix 3Y","isPriceSensitive":false},
      {"date":"2026-06-09T06:10:00Z","documentKey":"2924-03081109-3A691766","headline":"Unmarked"},
      {"date":"yesterday","documentKey":"2924-03081108-3A691765","headline":"No time","isPriceSensitive":false}]}}"#;
    let mut list = List::default();
    assert_eq!(json::read(answer, &bhp(), &site(), &mut list).expect("an answer"), 341);
    let [first, second] = list.items.as_slice() else { panic!("{:?}", list.items) };
    assert_eq!((first.id.as_str(), first.sensitive), ("03081111", true));
    assert_eq!(first.headline, "Production Report");
    assert_eq!(first.at.to_string(), "2026-06-10T22:31:05Z");
    assert_eq!(
        (first.kinds.as_slice(), second.kinds.as_slice()),
        (["Periodic Reports".to_owned()].as_slice(), ["Other".to_owned()].as_slice())
    );
    assert_eq!(
        list.notes.lines,
        ["An announcement has no mark of price sensitivity", "An announcement has no time"]
    );
    for odd in ["", "<html>", "[]", "{}", r#"{"data":null}"#] {
        json::read(odd, &bhp(), &site(), &mut List::default()).expect_err(odd);
    }
}

#[test]
fn a_check_for_robots_is_not_taken_for_an_empty_list() {
    let response = |status, body: &str| Response {
        url: site(),
        redirects: Vec::new(),
        status,
        content_type: None,
        robots_tag: None,
        etag: None,
        last_modified: None,
        retry_after: None,
        body: body.as_bytes().to_vec(),
        cut: false,
    };
    let code = |status, body: &str| {
        judge(&response(status, body), body.to_owned()).map_err(|error| error.code()).err()
    };
    assert_eq!(
        code(200, "<html>Request unsuccessful. Incapsula incident ID: 1-2</html>"),
        Some("blocked")
    );
    assert_eq!(code(403, ""), Some("blocked"));
    assert_eq!(code(429, ""), Some("too_many_requests"));
    assert_eq!(code(503, ""), Some("unavailable"));
    assert_eq!(code(404, ""), Some("rejected"));
    assert_eq!(code(200, PAGE_OF_BHP), None);
}

#[test]
fn relevance_follows_the_mark_and_then_the_words() {
    use Relevance::{High, Low, Medium, Noise};
    for (headline, sensitive, expected) in [
        ("Appendix 3Y - Change of Director's Interest", false, Low),
        ("Appendix 3Y - Change of Director's Interest", true, High),
        ("Half Year Results", false, High),
        ("Trading Halt", false, High),
        ("Quarterly Activities Report", false, Medium),
        ("Update - Notification of buy-back - XYZ", false, Noise),
        ("Ceasing to be a substantial holder", false, Low),
        ("Becoming a substantial holder from CBA placement", false, Low),
        ("Geochemistry of the resulting ore", false, Low),
        ("CEO resigns", false, High),
        ("Oceania visit", false, Low),
        ("", false, Low),
    ] {
        assert_eq!(relevance(headline, sensitive), expected, "{headline}");
    }
}

fn bar(day: &str, close: i64, volume: i64) -> Bar {
    let price = Decimal::new(close, 2);
    Bar {
        date: day.parse().expect("a day"),
        open: price,
        high: price,
        low: price,
        close: price,
        adjusted_close: price,
        volume: Some(volume.into()),
    }
}

/// Sessions up to 12 June 2026 at 10.00 with a volume of 100; the last ones as given.
fn bars(last: &[(&str, i64, i64)]) -> Vec<Bar> {
    let sessions = asx().sessions_after(date(2026, 4, 20), date(2026, 6, 30)).expect("known");
    let given: Vec<Bar> =
        last.iter().map(|(day, close, volume)| bar(day, *close, *volume)).collect();
    let before = sessions.into_iter().filter(|day| given.first().is_none_or(|g| *day < g.date));
    let usual: Vec<Bar> = before.map(|day| bar(&day.to_string(), 1000, 100)).collect();
    usual.into_iter().chain(given).collect()
}

#[test]
fn the_reaction_is_that_of_the_session_that_could_trade_on_it() {
    // Tuesday 9 June 2026 follows a holiday; 16:10 in Sydney is 06:10 UTC.
    let stock =
        bars(&[("2026-06-05", 1000, 100), ("2026-06-09", 1040, 300), ("2026-06-10", 1030, 100)]);
    let index = bars(&[("2026-06-05", 1000, 0), ("2026-06-09", 1010, 0), ("2026-06-10", 1010, 0)]);
    let at = |text: &str| reaction(text.parse().expect("a time"), &stock, &index, asx());
    for (released, session) in [
        ("2026-06-09T06:10:00Z", "2026-06-09"),
        ("2026-06-08T02:00:00Z", "2026-06-09"),
        ("2026-06-05T06:11:00Z", "2026-06-09"),
        ("2026-06-09T06:11:00Z", "2026-06-10"),
    ] {
        assert_eq!(at(released).expect(released).session.to_string(), session, "{released}");
    }
    let found = at("2026-06-09T00:00:00Z").expect("a reaction");
    assert!((found.stock - 0.04).abs() < 1e-9 && (found.relative() - 0.03).abs() < 1e-9);
    assert_eq!((found.volume, found.signal), (Some(3.0), Signal::High));
    assert_eq!(found.drift, Some(0.0));
    assert_eq!(at("2026-06-10T07:00:00Z"), Err("not traded yet"));
    assert_eq!(at("2027-12-01T00:00:00Z"), Err("beyond the trading calendar"));
    let gap = bars(&[("2026-06-04", 1000, 100), ("2026-06-09", 1200, 100)]);
    let found = reaction("2026-06-09T00:00:00Z".parse().expect("a time"), &gap, &index, asx());
    assert_eq!(found, Err("no price of the session before"), "a gap is no reaction");
}

#[test]
fn signals_have_the_stated_bounds_and_surprises_are_named() {
    let index = bars(&[]);
    for (close, volume, expected) in [
        (1030, 100, Signal::High),
        (970, 100, Signal::High),
        (1000, 200, Signal::High),
        (1029, 100, Signal::Moderate),
        (1000, 150, Signal::Moderate),
        (1005, 100, Signal::Low),
        (1000, 120, Signal::Low),
        (1004, 119, Signal::None),
    ] {
        let stock = bars(&[("2026-06-10", close, volume)]);
        let at = "2026-06-10T00:00:00Z".parse().expect("a time");
        assert_eq!(
            reaction(at, &stock, &index, asx()).expect("one").signal,
            expected,
            "{close} {volume}"
        );
    }
    assert_eq!(anomaly(Relevance::High, Signal::None), Some(Anomaly::NoReaction));
    assert_eq!(anomaly(Relevance::Noise, Signal::High), Some(Anomaly::UnexpectedReaction));
    assert_eq!(anomaly(Relevance::High, Signal::High), None);
}

#[test]
fn announcements_explain_gaps_and_jumps() {
    let item = |day: &str, headline: &str, sensitive| Announcement {
        id: day.to_owned(),
        at: format!("{day}T00:00:00Z").parse().expect("a time"),
        headline: headline.to_owned(),
        sensitive,
        kinds: Vec::new(),
        pages: None,
        size: None,
        link: None,
        pdf: None,
    };
    let list = List {
        items: vec![
            item("2026-06-12", "Reinstatement to Official Quotation", false),
            item("2026-06-10", "Trading Halt", true),
            item("2026-06-09", "Results", true),
        ],
        ..List::default()
    };
    let range = DateRange { from: date(2026, 6, 1), to: date(2026, 6, 30) };
    let events = list.events(range, asx());
    assert_eq!(events.sensitive, [date(2026, 6, 9), date(2026, 6, 10)]);
    assert_eq!(events.halts, [Halt { from: date(2026, 6, 10), until: Some(date(2026, 6, 12)) }]);
    assert!(events.knows(date(2026, 6, 30)) && !events.knows(date(2026, 7, 1)));

    // What a document keeps is what it was, and lists of several periods are one.
    assert_eq!(Events::read(&events.to_value()), Some(events.clone()));
    assert_eq!(Events::read(&serde_json::json!({})), None);
    let start = List { items: list.items[1..].to_vec(), ..List::default() };
    let mut both = start.events(DateRange { from: date(2026, 1, 1), ..range }, asx());
    assert_eq!(both.halts[0].until, None);
    both.merge(events.clone());
    assert_eq!((&both.sensitive, &both.halts), (&events.sensitive, &events.halts));
    assert!(both.knows(date(2026, 2, 1)));
}
