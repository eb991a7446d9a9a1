//! Schedules: five cron fields in a time zone, and the moments they stand for, called **slots**.
//!
//! Slots are moments, not readings of a clock: each is one number of milliseconds, and no two of a
//! schedule are equal. Around the hour that a zone leaves out in spring or repeats in autumn, the
//! rule is vixie-cron's:
//! - a **fixed time** (`30 2 * * *`) comes once on every day that fits. If the zone leaves it out,
//!   it comes at the first moment after the gap; if the zone repeats it, the first one counts;
//! - a **rhythm**, which is a schedule whose minute or hour begins with `*` (`*/15 * * * *`,
//!   `0 */2 * * *`), comes whenever the clock of the zone shows a fitting time: in the repeated
//!   hour again, in the left-out hour not at all.
//!
//! Two lists of days, `0 0 1,15 * mon`, mean "the 1st, the 15th, and every Monday"; a day field that
//! begins with `*` only narrows the other.

mod describe;
mod due;
mod fields;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use jiff::{
    Timestamp, ToSpan,
    civil::DateTime,
    tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase},
};

pub use due::{Due, MOST_MADE_UP, due};
use fields::Fields;

/// What is wrong with a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The cron fields, in a sentence that names the field.
    #[error("{0}")]
    Cron(String),
    /// The name of the time zone.
    #[error("`{name}` is not a time zone. Time zones are named as in `Australia/Sydney` or `UTC`.")]
    Zone {
        /// What was written.
        name: String,
        /// A zone whose name is nearly the same.
        nearest: Option<String>,
    },
}

/// A schedule that can come.
#[derive(Clone, Debug)]
pub struct Schedule {
    text: String,
    fields: Fields,
    /// None is the computer's, whichever that is at the moment: it moves with a traveller.
    zone: Option<TimeZone>,
}

impl Schedule {
    /// Reads five cron fields (numbers, lists, ranges, steps, English names of months and days), or
    /// `@hourly`, `@daily`, `@weekly`, `@monthly` or `@yearly`, in an IANA time zone.
    ///
    /// # Errors
    /// If one of the two is wrong, or the day never comes.
    pub fn parse(cron: &str, zone: Option<&str>) -> Result<Self, ScheduleError> {
        let fields = Fields::parse(cron).map_err(ScheduleError::Cron)?;
        let zone = zone.map(find_zone).transpose()?;
        Ok(Self { text: cron.trim_ascii().to_owned(), fields, zone })
    }

    /// The cron fields as written.
    #[must_use]
    pub fn cron(&self) -> &str {
        &self.text
    }

    /// The zone's IANA name; none is the computer's.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.zone.as_ref()?.iana_name()
    }

    /// The first slot after a moment, both in milliseconds since 1970; none if it is not within
    /// 50 years.
    #[must_use]
    pub fn next_after(&self, ms: i64) -> Option<i64> {
        let after = Timestamp::from_millisecond(ms).ok()?;
        let zone = self.zone.clone().unwrap_or_else(TimeZone::system);
        let next = if self.is_rhythm() {
            self.next_of_rhythm(&zone, after)
        } else {
            self.next_fixed(&zone, after)
        };
        next.map(Timestamp::as_millisecond)
    }

    /// The slots after a moment, soonest first.
    pub fn slots_after(&self, ms: i64) -> impl Iterator<Item = i64> + '_ {
        std::iter::successors(self.next_after(ms), |slot| self.next_after(*slot))
    }

    /// The schedule in plain words if they are few, or else its fields: "At 07:00 on weekdays,
    /// Sydney time".
    #[must_use]
    pub fn describe(&self) -> String {
        describe::describe(&self.fields, &self.text, self.zone())
    }

    fn is_rhythm(&self) -> bool {
        self.fields.minute.star || self.fields.hour.star
    }

    /// Between two changes of the zone's offset, its clock runs evenly: look from one to the next.
    fn next_of_rhythm(&self, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
        let mut from = after.checked_add(1.millisecond()).ok()?;
        loop {
            let offset = zone.to_offset(from);
            let shown = offset.to_datetime(from);
            let minute = whole_minute(shown);
            let first = if minute < shown { minute.checked_add(1.minute()).ok()? } else { minute };
            let slot = offset.to_timestamp(self.fields.first_from(first)?).ok()?;
            match zone.following(from).next().map(|change| change.timestamp()) {
                Some(change) if change <= slot => from = change,
                _ => return Some(slot),
            }
        }
    }

    /// Goes through the fitting minutes of the calendar: their moments never run backwards.
    fn next_fixed(&self, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
        let mut from = whole_minute(zone.to_datetime(after));
        loop {
            let shown = self.fields.first_from(from)?;
            let slot = moment(zone, shown)?;
            if slot > after {
                return Some(slot);
            }
            from = shown.checked_add(1.minute()).ok()?;
        }
    }
}

/// The moment at which a zone's clock shows this: the first if twice, the end of the gap if never.
fn moment(zone: &TimeZone, shown: DateTime) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(shown).offset() {
        AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
            offset.to_timestamp(shown).ok()
        }
        AmbiguousOffset::Gap { after, .. } => {
            let before_the_change = after.to_timestamp(shown).ok()?;
            zone.following(before_the_change).next().map(|change| change.timestamp())
        }
    }
}

fn whole_minute(time: DateTime) -> DateTime {
    time.date().at(time.hour(), time.minute(), 0, 0)
}

/// The computer's database knows the newest rules; the one that comes with the program has every
/// zone.
fn find_zone(name: &str) -> Result<TimeZone, ScheduleError> {
    static BUNDLED: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
    TimeZone::get(name).or_else(|_| BUNDLED.get(name)).map_err(|_| {
        let near = |known: &str| strsim::jaro_winkler(&known.to_lowercase(), &name.to_lowercase());
        let nearest = BUNDLED
            .available()
            .map(|known| known.to_string())
            .filter(|known| name.len() < 64 && near(known) > 0.9)
            .max_by(|a, b| near(a).total_cmp(&near(b)));
        ScheduleError::Zone { name: fields::quote(name), nearest }
    })
}
