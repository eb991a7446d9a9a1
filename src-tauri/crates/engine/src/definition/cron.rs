//! Checks a schedule: five cron fields (minute, hour, day of month, month, day of week).

/// The fields, with their smallest and largest value.
const FIELDS: [(&str, u32, u32); 5] = [
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of month", 1, 31),
    ("month", 1, 12),
    ("day of week", 0, 7),
];
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// The most days that each month can have.
const MONTH_DAYS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// Says what is wrong with a schedule, in a sentence.
pub(super) fn check(text: &str) -> Result<(), String> {
    let parts: Vec<&str> = text.split_ascii_whitespace().collect();
    if parts.len() != FIELDS.len() {
        return Err(format!(
            "A schedule has five fields (minute, hour, day of month, month, day of week), not {}.",
            parts.len()
        ));
    }
    let mut sets = [0_u64; 5];
    for (index, part) in parts.iter().enumerate() {
        sets[index] = field(part, index)?;
    }
    let [_, _, days, months, _] = sets;
    let every_weekday = parts[4].starts_with('*');
    let can_come = (1..=12_u32).any(|month| {
        let last = MONTH_DAYS[month as usize - 1];
        months >> month & 1 == 1 && (1..=last).any(|day| days >> day & 1 == 1)
    });
    if every_weekday && !can_come {
        return Err("The day of the month does not exist in any of the months.".to_owned());
    }
    Ok(())
}

/// The values that a field stands for, as bits.
fn field(text: &str, index: usize) -> Result<u64, String> {
    let (name, low, high) = FIELDS[index];
    let mut set = 0_u64;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            None => (part, None),
            Some((range, step)) => {
                let step = step.parse::<u32>().ok().filter(|step| (1..=high).contains(step));
                (
                    range,
                    Some(step.ok_or_else(|| format!("`{part}` is not a step for the {name}."))?),
                )
            }
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (low, high),
            None => {
                let from = value(range, index)?;
                (from, if step.is_some() { high } else { from })
            }
            Some((from, to)) => (value(from, index)?, value(to, index)?),
        };
        if from > to {
            return Err(format!("`{range}` runs backwards in the {name}."));
        }
        for value in (from..=to).step_by(step.unwrap_or(1) as usize) {
            set |= 1 << value;
        }
    }
    Ok(set)
}

fn value(text: &str, index: usize) -> Result<u32, String> {
    let (name, low, high) = FIELDS[index];
    let lower = text.to_ascii_lowercase();
    let named = match index {
        3 => MONTHS.iter().position(|month| *month == lower).map(|at| at + 1),
        4 => DAYS.iter().position(|day| *day == lower),
        _ => None,
    };
    named
        .and_then(|at| u32::try_from(at).ok())
        .or_else(|| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten())
        .filter(|value| (low..=high).contains(value))
        .ok_or_else(|| {
            format!("`{}` is not a {name} from {low} to {high}.", super::fault::quote(text))
        })
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn real_schedules_are_accepted() {
        for text in [
            "* * * * *",
            "0 2 * * *",
            "*/15 9-17 * * mon-fri",
            "0 0 1,15 * *",
            "5/10 * 29 feb *",
            "0 0 30 2 mon",
            "0 7 * * 7",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn schedules_that_cannot_be_are_refused() {
        for text in [
            "",
            "61 * * * *",
            "* 24 * * *",
            "0 0 0 * *",
            "0 0 30 2 *",
            "0 0 31 2,4,6 *",
            "* * * * * *",
            "*/0 * * * *",
            "5-1 * * * *",
            "CRON_TZ=Mars/Base * * * *",
            "@daily",
            "a * * * *",
            "+1 * * * *",
            "1,,2 * * * *",
            "* * * * 8",
            "99999999999 * * * *",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
    }
}
