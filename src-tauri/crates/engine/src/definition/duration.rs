//! Lengths of time as people write them: `500ms`, `30s`, `2h30m`.

use std::time::Duration;

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not numbers with units.
    #[error("`{0}` is not a duration")]
    Form(String),
    /// More than [`MAX_DURATION`].
    #[error("`{0}` is longer than 365 days")]
    TooLong(String),
}

/// The longest duration that can be written: 365 days.
pub const MAX_DURATION: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Units, longest first, in milliseconds.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads one or more numbers with a unit each (`d`, `h`, `m`, `s`, `ms`), the longest unit first.
/// A number may have a fraction; the result is cut to whole milliseconds. `0` needs no unit.
///
/// ```
/// use quaero_engine::definition::parse_duration;
/// use std::time::Duration;
/// assert_eq!(parse_duration("2h30m"), Ok(Duration::from_secs(9_000)));
/// assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1_500)));
/// assert!(parse_duration("30").is_err());
/// ```
///
/// # Errors
/// If the text has another form, or means more than [`MAX_DURATION`].
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let shown = || text.chars().take(40).collect::<String>();
    let form = || DurationError::Form(shown());
    let mut rest = text;
    let mut units = UNITS.as_slice();
    let mut total = 0_u64;
    if rest.is_empty() || rest.len() > 64 {
        return Err(form());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(form)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let place = units.iter().position(|(name, _)| *name == unit).ok_or_else(form)?;
        let ms = scaled(number, units[place].1).ok_or_else(form)?;
        total = total.checked_add(ms).ok_or_else(|| DurationError::TooLong(shown()))?;
        units = &units[place + 1..];
        rest = tail;
    }
    let duration = Duration::from_millis(total);
    if duration > MAX_DURATION {
        return Err(DurationError::TooLong(shown()));
    }
    Ok(duration)
}

/// `number` × `unit`, saturating; None if it is not digits with at most one point between them.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    // Only an overflow can fail here.
    let whole = whole.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(unit);
    let fraction = &fraction[..fraction.len().min(9)];
    let scale = 10_u64.pow(u32::try_from(fraction.len()).ok()?);
    let fraction = fraction.parse::<u64>().ok()? * unit / scale;
    Some(whole.saturating_add(fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_mean_what_they_say() {
        for (text, ms) in [
            ("0", 0),
            ("0s", 0),
            ("500ms", 500),
            ("30s", 30_000),
            ("2h30m", 9_000_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("0.1s", 100),
            ("1d", 86_400_000),
            ("1m500ms", 60_500),
            ("365d", 365 * 86_400_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "", " ", "5", "s", "5 s", "-5s", "5x", "1.s", ".5s", "1.2.3s", "30m2h", "1h1h", "5S",
            "٣s",
        ] {
            assert!(matches!(parse_duration(text), Err(DurationError::Form(_))), "{text}");
        }
        for text in ["366d", "99999999999999999999h", "18446744073709551615ms"] {
            assert!(matches!(parse_duration(text), Err(DurationError::TooLong(_))), "{text}");
        }
    }
}
