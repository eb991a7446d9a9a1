//! Times: milliseconds since 1970 inside, RFC 3339 in UTC for people and the window.

/// The time as RFC 3339, to the millisecond. Times outside the calendar become the nearest one in it.
#[must_use]
pub fn rfc3339(ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 {
        jiff::Timestamp::MIN
    } else {
        jiff::Timestamp::MAX
    });
    format!("{time:.3}")
}

/// The start of a day written as `2026`, `2026-11` or `2026-11-21`, in milliseconds since 1970, UTC.
#[must_use]
pub(crate) fn day_start(text: &str) -> Option<i64> {
    let padded = match text.len() {
        4 => format!("{text}-01-01"),
        7 => format!("{text}-01"),
        _ => text.to_owned(),
    };
    let date: jiff::civil::Date = padded.parse().ok()?;
    Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond())
}
