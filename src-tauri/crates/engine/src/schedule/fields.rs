//! Reads the five cron fields. Strict: what is not certainly meant is refused, with its place.

use jiff::{ToSpan, civil};

/// The fields, with their smallest and largest value.
const FIELDS: [(&str, u32, u32); 5] = [
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of month", 1, 31),
    ("month", 1, 12),
    ("day of week", 0, 7),
];
pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
/// The most days that each month can have.
const MONTH_DAYS: [i8; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
/// A search for a day ends after this many years: 29 February on a given weekday can take 40.
const SEARCH_YEARS: i64 = 50;

/// A set of small numbers, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Set(pub(super) u64);

impl Set {
    pub(super) fn has(self, value: i8) -> bool {
        u32::try_from(value).is_ok_and(|value| self.0 >> value & 1 == 1)
    }

    /// Its smallest value from `low` on.
    fn from(self, low: i8) -> Option<i8> {
        (low..64).find(|value| self.has(*value))
    }

    pub(super) fn values(self) -> Vec<i8> {
        (0..64).filter(|value| self.has(*value)).collect()
    }
}

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) set: Set,
    /// Whether it is written with a leading `*`, which means something beyond the values.
    pub(super) star: bool,
}

impl Field {
    /// Whether it allows everything.
    pub(super) fn is_any(self, low: i8, high: i8) -> bool {
        (low..=high).all(|value| self.set.has(value))
    }
}

/// The five fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) minute: Field,
    pub(super) hour: Field,
    pub(super) day: Field,
    pub(super) month: Field,
    /// From 0, Sunday, to 6.
    pub(super) weekday: Field,
}

impl Fields {
    /// Reads them, or says in a sentence what is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim_ascii();
        let text = if text.starts_with('@') { named(text)? } else { text };
        let parts: Vec<&str> = text.split_ascii_whitespace().take(64).collect();
        let &[minute, hour, day, month, weekday] = parts.as_slice() else {
            return Err(format!(
                "A schedule has five fields (minute, hour, day of month, month, day of week), not {}.",
                parts.len()
            ));
        };
        let fields = Self {
            minute: field(minute, 0)?,
            hour: field(hour, 1)?,
            day: field(day, 2)?,
            month: field(month, 3)?,
            weekday: field(weekday, 4)?,
        };
        let can_come = (1..=12_i8).zip(MONTH_DAYS).any(|(month, last)| {
            fields.month.set.has(month) && fields.day.set.from(1).is_some_and(|day| day <= last)
        });
        if fields.needs_both_days() && !can_come {
            return Err("The day of the month does not exist in any of the months.".to_owned());
        }
        Ok(fields)
    }

    /// Whether a day has to fit both day fields. Two lists mean "either", as in every cron; a field
    /// that begins with `*` only narrows the other one.
    pub(super) fn needs_both_days(&self) -> bool {
        self.day.star || self.weekday.star
    }

    fn day_fits(&self, date: civil::Date) -> bool {
        let day = self.day.set.has(date.day());
        let weekday = self.weekday.set.has(date.weekday().to_sunday_zero_offset());
        if self.needs_both_days() { day && weekday } else { day || weekday }
    }

    /// The first minute of the calendar that fits, from this one on.
    pub(super) fn first_from(&self, from: civil::DateTime) -> Option<civil::DateTime> {
        let last = from.date().saturating_add(SEARCH_YEARS.years());
        let (mut date, mut hour, mut minute) = (from.date(), from.hour(), from.minute());
        while date <= last {
            let in_month = self.month.set.has(date.month());
            if in_month
                && self.day_fits(date)
                && let Some((hour, minute)) = self.time_from(hour, minute)
            {
                return Some(date.at(hour, minute, 0, 0));
            }
            date = if in_month {
                date.tomorrow().ok()?
            } else {
                date.last_of_month().tomorrow().ok()?
            };
            (hour, minute) = (0, 0);
        }
        None
    }

    fn time_from(&self, hour: i8, minute: i8) -> Option<(i8, i8)> {
        if self.hour.set.has(hour)
            && let Some(minute) = self.minute.set.from(minute)
        {
            return Some((hour, minute));
        }
        Some((self.hour.set.from(hour + 1)?, self.minute.set.from(0)?))
    }
}

/// The fields that a word stands for.
fn named(word: &str) -> Result<&'static str, String> {
    match word.to_ascii_lowercase().as_str() {
        "@hourly" => Ok("0 * * * *"),
        "@daily" | "@midnight" => Ok("0 0 * * *"),
        "@weekly" => Ok("0 0 * * 0"),
        "@monthly" => Ok("0 0 1 * *"),
        "@yearly" | "@annually" => Ok("0 0 1 1 *"),
        "@reboot" => {
            Err("`@reboot` is not a time: `auto_start = true` starts a definition with Quaero."
                .to_owned())
        }
        _ => Err(format!(
            "`{}` is not one of @hourly, @daily, @weekly, @monthly and @yearly.",
            quote(word)
        )),
    }
}

/// The values that a field stands for.
fn field(text: &str, index: usize) -> Result<Field, String> {
    let (name, low, high) = FIELDS[index];
    let mut set = 0_u64;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            None => (part, None),
            Some((range, step)) => {
                let step =
                    number(step).filter(|step| (1..=high).contains(step)).ok_or_else(|| {
                        format!("`{}` is not a step from 1 to {high} for the {name}.", quote(part))
                    })?;
                (range, Some(step))
            }
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (low, high),
            None => {
                let from = value(range, index)?;
                (from, if step.is_some() { high } else { from })
            }
            Some((from, to)) => {
                let (from, to) = (value(from, index)?, value(to, index)?);
                // Sunday ends the week as well as it begins one: `fri-sun`.
                (from, if index == 4 && to == 0 && from > 0 { 7 } else { to })
            }
        };
        if from > to {
            return Err(format!("`{}` runs backwards in the {name}.", quote(range)));
        }
        for value in (from..=to).step_by(step.unwrap_or(1) as usize) {
            // 7 is Sunday too.
            set |= 1 << if index == 4 { value % 7 } else { value };
        }
    }
    Ok(Field { set: Set(set), star: text.starts_with('*') })
}

fn value(text: &str, index: usize) -> Result<u32, String> {
    let (name, low, high) = FIELDS[index];
    let position = |names: &[&str]| {
        let at = names.iter().position(|name| name[..3].eq_ignore_ascii_case(text))?;
        u32::try_from(at).ok()
    };
    let named = match index {
        3 => position(&MONTHS).map(|at| at + 1),
        4 => position(&DAYS),
        _ => None,
    };
    named
        .or_else(|| number(text))
        .filter(|value| (low..=high).contains(value))
        .ok_or_else(|| format!("`{}` is not a {name} from {low} to {high}.", quote(text)))
}

fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Text of the user's, made fit to stand in a message.
pub(super) fn quote(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_debug).collect()
}
