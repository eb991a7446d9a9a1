//! The `Retry-After` header: how long a server wants to be left alone.

use std::time::Duration;

use jiff::Timestamp;

/// The shortest wait that is honoured; less would be no wait at all.
pub const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait that is honoured; a server cannot stop a run for days.
pub const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// The wait that a header's value asks for, as seconds or as a date, within
/// [`SHORTEST_WAIT`] and [`LONGEST_WAIT`]. None if it is neither, or a date from a server that does
/// not say what time it has.
pub(crate) fn parse(value: &str, now: Option<Timestamp>) -> Option<Duration> {
    let value = value.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are a very long time, not an error.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let until = parse_date(value)?;
        Duration::try_from(until.duration_since(now?)).unwrap_or(Duration::ZERO)
    };
    Some(wait.clamp(SHORTEST_WAIT, LONGEST_WAIT))
}

/// A date as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn parse_date(value: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(value).ok().map(|time| time.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_within_reason() {
        let now = parse_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a date");
        let rows = [
            ("5", Some(5)),
            (" 120 ", Some(120)),
            ("0", Some(1)),
            ("1000000000000", Some(900)),
            ("99999999999999999999999999", Some(900)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(1)),
            ("Mon, 06 Nov 2094 08:49:37 GMT", None),
            ("Sat, 06 Nov 2094 08:49:37 GMT", Some(900)),
            ("-5", None),
            ("soon", None),
            ("1.5", None),
            ("", None),
        ];
        for (value, seconds) in rows {
            assert_eq!(parse(value, Some(now)), seconds.map(Duration::from_secs), "{value}");
        }
        assert_eq!(parse("Sun, 06 Nov 1994 08:50:07 GMT", None), None, "whose time is it?");
    }
}
