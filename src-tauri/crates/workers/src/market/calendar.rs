//! When the Australian market trades.
//!
//! The days come from `asx_calendar.json`, which holds what it says in its `source`: every weekday
//! without trading and every early close from its first listed day to its last. Beyond those days
//! nothing is known, and nothing is guessed: every answer that would need such a day is `None`.
//!
//! A session's official close is set by the closing auction, at 16:10 Sydney time and at 14:10 on the
//! last trading days before Christmas and New Year. What is announced later belongs to the next session.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use jiff::{
    Timestamp, ToSpan,
    civil::{Date, Time, Weekday, time},
    tz::TimeZone,
};
use serde::Deserialize;

/// The official close of a usual session, Sydney time.
pub const CLOSE: Time = time(16, 10, 0, 0);
/// Minutes after the official close until a vendor has the session's prices.
pub const PUBLISHED_AFTER_MIN: i64 = 180;
/// More days are not looked through for a session: the longest closure of the market has five.
const LONGEST_SEARCH: u32 = 14;

/// One day's trading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// The day in Sydney.
    pub date: Date,
    /// The opening.
    pub open: Timestamp,
    /// The official close, after the closing auction.
    pub close: Timestamp,
    /// Whether it closes early.
    pub early: bool,
}

/// What is known of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Day {
    /// The market trades.
    Session(Session),
    /// Saturday or Sunday.
    Weekend,
    /// A weekday without trading.
    Holiday,
    /// The calendar does not reach that far.
    Unknown,
}

/// What kind of day it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The market trades.
    Session,
    /// Saturday or Sunday.
    Weekend,
    /// A weekday without trading.
    Holiday,
    /// The calendar does not reach that far.
    Unknown,
}

impl Day {
    /// The session, if there is one.
    #[must_use]
    pub const fn session(self) -> Option<Session> {
        match self {
            Self::Session(session) => Some(session),
            Self::Weekend | Self::Holiday | Self::Unknown => None,
        }
    }
}

/// A market's trading days.
#[derive(Debug)]
pub struct Calendar {
    zone: TimeZone,
    open: Time,
    holidays: BTreeSet<Date>,
    early: BTreeMap<Date, Time>,
    first: Date,
    last: Date,
}

#[derive(Deserialize)]
struct File {
    tz: String,
    open: String,
    weekday_holidays: Vec<String>,
    early_closes: BTreeMap<String, String>,
}

/// The calendar of the Australian Securities Exchange.
#[must_use]
pub fn asx() -> &'static Calendar {
    static ASX: LazyLock<Calendar> = LazyLock::new(|| {
        let file: File = serde_json::from_str(include_str!("asx_calendar.json"))
            .expect("the calendar is part of the program and tested");
        let day = |text: &String| -> Date { text.parse().expect("the calendar has days") };
        let time = |text: &String| -> Time { text.parse().expect("the calendar has times") };
        let holidays: BTreeSet<Date> = file.weekday_holidays.iter().map(day).collect();
        let early: BTreeMap<Date, Time> =
            file.early_closes.iter().map(|(date, close)| (day(date), time(close))).collect();
        let listed = || holidays.iter().chain(early.keys()).copied();
        Calendar {
            zone: TimeZone::get(&file.tz).expect("the time zones are part of the program"),
            open: time(&file.open),
            first: listed().min().expect("the calendar has days"),
            last: listed().max().expect("the calendar has days"),
            holidays,
            early,
        }
    });
    &ASX
}

impl Calendar {
    /// The first and the last day of which anything is known.
    #[must_use]
    pub const fn range(&self) -> (Date, Date) {
        (self.first, self.last)
    }

    /// The market's time zone.
    #[must_use]
    pub const fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The day in the market's time zone.
    #[must_use]
    pub fn date_of(&self, at: Timestamp) -> Date {
        at.to_zoned(self.zone.clone()).date()
    }

    /// What is known of a day.
    #[must_use]
    pub fn day(&self, date: Date) -> Day {
        match self.kind(date) {
            Kind::Unknown => Day::Unknown,
            Kind::Weekend => Day::Weekend,
            Kind::Holiday => Day::Holiday,
            Kind::Session => {
                let early = self.early.get(&date).copied();
                match (self.instant(date, self.open), self.instant(date, early.unwrap_or(CLOSE))) {
                    (Some(open), Some(close)) => {
                        Day::Session(Session { date, open, close, early: early.is_some() })
                    }
                    _ => Day::Unknown,
                }
            }
        }
    }

    /// As [`Calendar::day`], without the times, which take a while to compute.
    #[must_use]
    pub fn kind(&self, date: Date) -> Kind {
        if date < self.first || date > self.last {
            Kind::Unknown
        } else if matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday) {
            Kind::Weekend
        } else if self.holidays.contains(&date) {
            Kind::Holiday
        } else {
            Kind::Session
        }
    }

    /// The session of a day, if there is one.
    #[must_use]
    pub fn session(&self, date: Date) -> Option<Session> {
        self.day(date).session()
    }

    fn instant(&self, date: Date, time: Time) -> Option<Timestamp> {
        let zoned = date.to_datetime(time).to_zoned(self.zone.clone()).ok()?;
        Some(zoned.timestamp())
    }

    /// The first session after a day.
    #[must_use]
    pub fn next_session(&self, after: Date) -> Option<Session> {
        self.search(after, 1)
    }

    /// The last session before a day.
    #[must_use]
    pub fn previous_session(&self, before: Date) -> Option<Session> {
        self.search(before, -1)
    }

    fn search(&self, from: Date, step: i64) -> Option<Session> {
        let mut date = from;
        for _ in 0..LONGEST_SEARCH {
            date = date.checked_add(step.days()).ok()?;
            match self.day(date) {
                Day::Session(session) => return Some(session),
                Day::Weekend | Day::Holiday => {}
                Day::Unknown => return None,
            }
        }
        None
    }

    /// The days of the sessions after `after`, up to and including `until`. `None` if a day between
    /// them is not known; none if `until` is not after `after`.
    #[must_use]
    pub fn sessions_after(&self, after: Date, until: Date) -> Option<Vec<Date>> {
        if until <= after {
            return Some(Vec::new());
        }
        if after < self.first || until > self.last {
            return None;
        }
        let mut sessions = Vec::new();
        let mut date = after;
        while date < until {
            date = date.tomorrow().ok()?;
            if self.kind(date) == Kind::Session {
                sessions.push(date);
            }
        }
        Some(sessions)
    }

    /// The last session whose official close was at least `minutes` ago.
    #[must_use]
    pub fn last_closed(&self, now: Timestamp, minutes: i64) -> Option<Session> {
        let today = self.date_of(now);
        let due = |session: &Session| {
            session.close.checked_add(minutes.minutes()).is_ok_and(|due| due <= now)
        };
        match self.day(today) {
            Day::Session(session) if due(&session) => Some(session),
            Day::Unknown => None,
            _ => {
                let mut session = self.previous_session(today)?;
                while !due(&session) {
                    session = self.previous_session(session.date)?;
                }
                Some(session)
            }
        }
    }

    /// The session whose prices a vendor should have by now.
    #[must_use]
    pub fn expected(&self, now: Timestamp) -> Option<Session> {
        self.last_closed(now, PUBLISHED_AFTER_MIN)
    }

    /// How many sessions a price of the day `bar` is behind what a vendor should have by now; 0 if it
    /// is up to date.
    #[must_use]
    pub fn sessions_behind(&self, bar: Date, now: Timestamp) -> Option<u32> {
        let expected = self.expected(now)?;
        u32::try_from(self.sessions_after(bar, expected.date)?.len()).ok()
    }

    /// Whether the market is trading.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> Option<bool> {
        match self.day(self.date_of(now)) {
            Day::Session(session) => Some(session.open <= now && now < session.close),
            Day::Weekend | Day::Holiday => Some(false),
            Day::Unknown => None,
        }
    }

    /// The session in which the market can answer something announced at `at`: that day's up to its
    /// official close, and the next one after it or on a day without trading.
    #[must_use]
    pub fn reacting_session(&self, at: Timestamp) -> Option<Session> {
        let date = self.date_of(at);
        match self.day(date) {
            Day::Session(session) if at <= session.close => Some(session),
            Day::Session(_) | Day::Weekend | Day::Holiday => self.next_session(date),
            Day::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("the test's own time")
    }

    fn name(session: Option<Session>) -> Option<String> {
        session.map(|session| session.date.to_string())
    }

    #[test]
    fn a_day_is_what_the_exchange_says() {
        let calendar = asx();
        let rows = [
            ("2026-11-25", "session 2026-11-24T23:00:00Z..2026-11-25T05:10:00Z early=false"),
            ("2026-06-09", "session 2026-06-09T00:00:00Z..2026-06-09T06:10:00Z early=false"),
            ("2026-12-24", "session 2026-12-23T23:00:00Z..2026-12-24T03:10:00Z early=true"),
            ("2026-11-28", "weekend"),
            ("2026-12-25", "holiday"),
            ("2026-01-26", "holiday"),
            ("2014-12-31", "unknown"),
            ("2027-06-15", "unknown"),
        ];
        for (day, expected) in rows {
            let day: Date = day.parse().expect("a day");
            let found = match calendar.day(day) {
                Day::Session(Session { open, close, early, .. }) => {
                    format!("session {open:.0}..{close:.0} early={early}")
                }
                Day::Weekend => "weekend".to_owned(),
                Day::Holiday => "holiday".to_owned(),
                Day::Unknown => "unknown".to_owned(),
            };
            assert_eq!(found, expected, "{day}");
        }
    }

    #[test]
    fn the_range_is_what_the_data_lists() {
        assert_eq!(asx().range(), (date(2015, 1, 1), date(2027, 6, 14)));
        let mut sessions = 0;
        let mut day = date(2025, 1, 1);
        while day.year() == 2025 {
            sessions += u32::from(asx().session(day).is_some());
            day = day.tomorrow().expect("there is one");
        }
        assert_eq!(sessions, 253, "261 weekdays in 2025 less 8 holidays");
    }

    #[test]
    fn what_is_announced_after_the_auction_belongs_to_the_next_session() {
        let rows = [
            ("2026-06-09T06:10:00Z", Some("2026-06-09")), // 16:10:00 in Sydney
            ("2026-06-09T06:10:01Z", Some("2026-06-10")),
            ("2026-06-08T21:30:00Z", Some("2026-06-09")), // 07:30 in Sydney, before the opening
            ("2026-11-25T05:10:00Z", Some("2026-11-25")), // 16:10 in summer
            ("2026-11-25T06:10:00Z", Some("2026-11-26")), // 17:10 in summer
            ("2026-12-24T03:11:00Z", Some("2026-12-29")), // after 14:10; then Christmas and its Monday
            ("2026-11-28T01:00:00Z", Some("2026-11-30")), // a Saturday
            ("2026-06-08T01:00:00Z", Some("2026-06-09")), // a holiday
            ("2027-06-14T01:00:00Z", None),
            ("2028-01-05T01:00:00Z", None),
        ];
        for (moment, expected) in rows {
            let found = name(asx().reacting_session(at(moment)));
            assert_eq!(found.as_deref(), expected, "{moment}");
        }
    }

    #[test]
    fn an_age_counts_sessions_and_not_days() {
        let rows = [
            // Wednesday 25 November 2026: prices are due at 19:10 Sydney = 08:10 UTC.
            ("2026-11-24", "2026-11-25T08:09:59Z", Some(0)),
            ("2026-11-24", "2026-11-25T08:10:00Z", Some(1)),
            ("2026-11-25", "2026-11-25T08:10:00Z", Some(0)),
            ("2026-11-27", "2026-11-30T01:00:00Z", Some(0)), // over a weekend
            ("2026-12-24", "2026-12-29T01:00:00Z", Some(0)), // over Christmas
            ("2026-12-23", "2026-12-24T06:10:00Z", Some(1)), // an early close is due earlier
            ("2026-11-20", "2026-11-27T08:10:00Z", Some(5)),
            ("2026-11-26", "2026-11-25T08:10:00Z", Some(0)), // a bar from the future is not behind
            ("2014-06-02", "2026-11-25T08:10:00Z", None),
            ("2027-06-11", "2027-07-01T08:10:00Z", None),
        ];
        for (bar, now, expected) in rows {
            let bar: Date = bar.parse().expect("a day");
            assert_eq!(asx().sessions_behind(bar, at(now)), expected, "{bar} at {now}");
        }
    }

    #[test]
    fn neighbours_skip_what_is_no_session() {
        let calendar = asx();
        assert_eq!(name(calendar.next_session(date(2026, 4, 2))).as_deref(), Some("2026-04-07"));
        assert_eq!(
            name(calendar.previous_session(date(2026, 4, 7))).as_deref(),
            Some("2026-04-02")
        );
        assert_eq!(calendar.next_session(date(2027, 6, 11)), None);
        assert_eq!(calendar.previous_session(date(2015, 1, 1)), None);
        assert_eq!(calendar.is_open(at("2026-11-25T00:00:00Z")), Some(true));
        assert_eq!(calendar.is_open(at("2026-11-25T05:10:00Z")), Some(false));
        assert_eq!(calendar.is_open(at("2026-11-28T01:00:00Z")), Some(false));
        assert_eq!(calendar.is_open(at("2030-11-28T01:00:00Z")), None);
    }
}
