//! Schedules in plain words.

use super::fields::{DAYS, Field, Fields, MONTHS};

/// More names or times than this in a row are no longer plain.
const MOST_NAMED: usize = 4;

/// "At 07:00 on weekdays, Sydney time"; the fields themselves if no few words say it.
pub(super) fn describe(fields: &Fields, cron: &str, zone: Option<&str>) -> String {
    let words = match (times(fields), days(fields)) {
        (Some((times, names_day)), Some(days)) => {
            // "Every hour" needs no "every day"; "At 07:00" does.
            let days = if days.is_empty() && names_day { " every day".to_owned() } else { days };
            times + &days
        }
        _ => format!("On the schedule {cron}"),
    };
    match zone {
        None => words,
        Some(zone) if zone == "UTC" || zone.starts_with("Etc/") => {
            format!("{words}, {}", zone.trim_start_matches("Etc/"))
        }
        Some(zone) => {
            let city = zone.rsplit('/').next().unwrap_or(zone).replace('_', " ");
            format!("{words}, {city} time")
        }
    }
}

/// The times of a day, and whether they are single ones.
fn times(fields: &Fields) -> Option<(String, bool)> {
    let (minutes, hours) = (fields.minute.set.values(), fields.hour.set.values());
    let every_hour = fields.hour.is_any(0, 23);
    let span = |to: i8| -> Option<String> {
        let (first, last) = (hours[0], *hours.last()?);
        let in_a_row = hours.len() > 1 && step(&hours) == Some(1);
        in_a_row.then(|| format!(" from {first:02}:00 to {last:02}:{to:02}"))
    };
    match minutes.as_slice() {
        [0] if every_hour => Some(("Every hour".to_owned(), false)),
        [1] if every_hour => Some(("Every hour, at 1 minute past".to_owned(), false)),
        [minute] if every_hour => Some((format!("Every hour, at {minute} minutes past"), false)),
        [0] if fields.hour.star => {
            let step = even_step(&hours, 24)?;
            Some((format!("Every {step} hours"), false))
        }
        [minute] if hours.len() <= MOST_NAMED => {
            let times = hours.iter().map(|hour| format!("{hour:02}:{minute:02}")).collect();
            Some((format!("At {}", list(times)), true))
        }
        [0] => Some((format!("Every hour{}", span(0)?), false)),
        [_] => None,
        _ => {
            let every = match even_step(&minutes, 60)? {
                1 => "Every minute".to_owned(),
                step => format!("Every {step} minutes"),
            };
            let hours = if every_hour { String::new() } else { span(*minutes.last()?)? };
            Some((every + &hours, false))
        }
    }
}

/// The days, with a leading space; empty for every day.
fn days(fields: &Fields) -> Option<String> {
    let any_month = fields.month.is_any(1, 12);
    let months = || named(fields.month, 1, &MONTHS);
    let of_months = || if any_month { Some("every month".to_owned()) } else { months() };
    let in_months =
        || if any_month { Some(String::new()) } else { Some(format!(" in {}", months()?)) };
    let month_days = || {
        let days = fields.day.set.values();
        let days = (days.len() <= MOST_NAMED).then(|| days.into_iter().map(ordinal).collect())?;
        Some(format!("the {} of {}", list(days), of_months()?))
    };
    let (any_day, any_weekday) = (fields.day.is_any(1, 31), fields.weekday.is_any(0, 6));
    match (any_day, any_weekday) {
        // Of a list with everything in it and another one, either is every day.
        _ if any_day && any_weekday || (any_day || any_weekday) && !fields.needs_both_days() => {
            if any_month {
                return Some(String::new());
            }
            Some(format!(" every day{}", in_months()?))
        }
        (true, _) => Some(format!(" on {}{}", weekdays(fields.weekday)?, in_months()?)),
        (false, true) => Some(format!(" on {}", month_days()?)),
        (false, false) if fields.needs_both_days() => None,
        (false, false) => {
            let weekdays = weekdays(fields.weekday)?;
            Some(format!(" on {} and on {weekdays}{}", month_days()?, in_months()?))
        }
    }
}

fn weekdays(field: Field) -> Option<String> {
    match field.set.values().as_slice() {
        [1, 2, 3, 4, 5] => Some("weekdays".to_owned()),
        [0, 6] => Some("weekends".to_owned()),
        _ => named(field, 0, &DAYS.map(|day| day.to_owned() + "s").each_ref().map(String::as_str)),
    }
}

/// The names of a field's values.
fn named(field: Field, low: i8, names: &[&str]) -> Option<String> {
    let values = field.set.values();
    let name = |value: i8| {
        let at = usize::try_from(value - low).ok()?;
        names.get(at).map(|name| (*name).to_owned())
    };
    (values.len() <= MOST_NAMED)
        .then(|| values.into_iter().map(name).collect::<Option<_>>())?
        .map(list)
}

/// "a", "a and b", "a, b and c".
fn list(mut items: Vec<String>) -> String {
    match items.pop() {
        None => String::new(),
        Some(last) if items.is_empty() => last,
        Some(last) => format!("{} and {last}", items.join(", ")),
    }
}

fn ordinal(number: i8) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// The distance between neighbours, if it is everywhere the same.
fn step(values: &[i8]) -> Option<i8> {
    let step = values.get(1)? - values.first()?;
    values.windows(2).all(|pair| pair[1] - pair[0] == step).then_some(step)
}

/// The same, if the values go round a whole hour or day without a break.
fn even_step(values: &[i8], round: i8) -> Option<i8> {
    let step = step(values)?;
    (values[0] == 0 && values.last()? + step == round).then_some(step)
}
