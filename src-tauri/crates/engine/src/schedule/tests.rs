#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use jiff::{Timestamp, ToSpan, civil::DateTime, tz::TimeZone};
use proptest::prelude::*;
use quaero_contract::MissedRuns;

use super::{Due, MOST_MADE_UP, Schedule, ScheduleError, due};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn schedule(cron: &str, zone: &str) -> Schedule {
    Schedule::parse(cron, Some(zone)).unwrap()
}

fn ms(time: &str) -> i64 {
    time.parse::<Timestamp>().unwrap().as_millisecond()
}

#[test]
fn real_schedules_are_accepted() {
    for cron in [
        "* * * * *",
        "  0\t2 * * *  ",
        "*/15 9-17 * * mon-fri",
        "0 0 1,15 * *",
        "5/10 * 29 feb *",
        "0 0 30 2 mon",
        "0 7 * * 7",
        "0 7 * * fri-sun",
        "0 7 * JAN-Mar 5-7",
        "@hourly",
        "@Daily",
        "@midnight",
        "@weekly",
        "@monthly",
        "@yearly",
        "@annually",
    ] {
        assert!(Schedule::parse(cron, None).is_ok(), "{cron}");
    }
}

#[test]
fn schedules_that_cannot_be_are_refused_with_a_reason() {
    for (cron, reason) in [
        ("", "five fields"),
        ("* * * *", "not 4"),
        ("* * * * * *", "not 6"),
        ("61 * * * *", "`61` is not a minute from 0 to 59"),
        ("* 24 * * *", "hour"),
        ("0 0 0 * *", "day of month from 1"),
        ("0 0 30 2 *", "does not exist"),
        ("0 0 31 2,4,6 *", "does not exist"),
        ("0 0 30 2 */2", "does not exist"),
        ("*/0 * * * *", "not a step"),
        ("*/60 * * * *", "not a step"),
        ("5-1 * * * *", "backwards"),
        ("0 0 * * sat-mon", "backwards"),
        ("CRON_TZ=Mars/Base * * * *", "minute"),
        ("a * * * *", "minute"),
        ("+1 * * * *", "minute"),
        ("1,,2 * * * *", "minute"),
        ("* * * * 8", "day of week"),
        ("* * * * sunmon", "day of week"),
        ("99999999999 * * * *", "minute"),
        ("\u{202e}1 * * * *", "\\u{202e}"),
        ("@reboot", "auto_start"),
        ("@fortnightly", "@weekly"),
    ] {
        let error = Schedule::parse(cron, None).unwrap_err();
        assert!(error.to_string().contains(reason), "{cron}: {error}");
    }
}

#[test]
fn a_wrong_time_zone_is_refused_and_the_nearest_one_named() {
    for (zone, right) in
        [("Australia/Sidney", Some("Australia/Sydney")), ("Mars/Base", None), ("", None)]
    {
        let Err(ScheduleError::Zone { name, nearest }) = Schedule::parse("@daily", Some(zone))
        else {
            panic!("{zone} was accepted");
        };
        assert_eq!((name.as_str(), nearest.as_deref()), (zone, right));
    }
    assert_eq!(schedule("@daily", "australia/sydney").zone(), Some("Australia/Sydney"));
}

/// The next three slots after a moment, as the zone's clock and its distance from UTC.
fn check_next(cron: &str, zone: &str, after: &str, expected: [&str; 3]) {
    let zone_of = TimeZone::get(zone).unwrap();
    let schedule = schedule(cron, zone);
    let found: Vec<String> = schedule
        .slots_after(ms(after))
        .take(3)
        .map(|slot| Timestamp::from_millisecond(slot).unwrap().to_zoned(zone_of.clone()))
        .map(|slot| slot.strftime("%F %H:%M %:z").to_string())
        .collect();
    assert_eq!(found, expected, "{cron} in {zone} after {after}");
}

#[test]
fn times_follow_the_clock_of_the_zone() {
    check_next(
        "0 7 * * mon-fri",
        "Australia/Sydney",
        "2026-01-01T20:00:00Z",
        ["2026-01-05 07:00 +11:00", "2026-01-06 07:00 +11:00", "2026-01-07 07:00 +11:00"],
    );
    check_next(
        "0 0 29 2 *",
        "UTC",
        "2096-03-01T00:00:00Z",
        ["2104-02-29 00:00 +00:00", "2108-02-29 00:00 +00:00", "2112-02-29 00:00 +00:00"],
    );
    // Two lists mean either; a star only narrows.
    check_next(
        "0 0 13 * fri",
        "UTC",
        "2026-03-01T00:00:00Z",
        ["2026-03-06 00:00 +00:00", "2026-03-13 00:00 +00:00", "2026-03-20 00:00 +00:00"],
    );
    check_next(
        "0 0 */10 * fri",
        "UTC",
        "2026-03-01T00:00:00Z",
        ["2026-05-01 00:00 +00:00", "2026-07-31 00:00 +00:00", "2026-08-21 00:00 +00:00"],
    );
}

#[test]
fn a_time_in_the_hour_that_spring_leaves_out_comes_after_it_and_a_rhythm_goes_on() {
    let spring = "2026-03-08T06:00:00Z"; // New York leaves out 02:00 to 03:00 at 07:00 UTC.
    check_next(
        "30 2 * * *",
        "America/New_York",
        spring,
        ["2026-03-08 03:00 -04:00", "2026-03-09 02:30 -04:00", "2026-03-10 02:30 -04:00"],
    );
    check_next(
        "0,30 2,3 * * *",
        "America/New_York",
        spring,
        ["2026-03-08 03:00 -04:00", "2026-03-08 03:30 -04:00", "2026-03-09 02:00 -04:00"],
    );
    check_next(
        "*/30 * * * *",
        "America/New_York",
        spring,
        ["2026-03-08 01:30 -05:00", "2026-03-08 03:00 -04:00", "2026-03-08 03:30 -04:00"],
    );
    check_next(
        "*/30 2 * * *",
        "America/New_York",
        spring,
        ["2026-03-09 02:00 -04:00", "2026-03-09 02:30 -04:00", "2026-03-10 02:00 -04:00"],
    );
    // A whole day was left out here.
    check_next(
        "0 9 * * *",
        "Pacific/Apia",
        "2011-12-29T12:00:00Z",
        ["2011-12-29 09:00 -10:00", "2011-12-31 00:00 +14:00", "2011-12-31 09:00 +14:00"],
    );
}

#[test]
fn a_time_in_the_hour_that_autumn_repeats_comes_once_and_a_rhythm_goes_on() {
    let autumn = "2026-11-01T05:00:00Z"; // New York repeats 01:00 to 02:00 at 06:00 UTC.
    check_next(
        "30 1 * * *",
        "America/New_York",
        autumn,
        ["2026-11-01 01:30 -04:00", "2026-11-02 01:30 -05:00", "2026-11-03 01:30 -05:00"],
    );
    check_next(
        "30 * * * *",
        "America/New_York",
        autumn,
        ["2026-11-01 01:30 -04:00", "2026-11-01 01:30 -05:00", "2026-11-01 02:30 -05:00"],
    );
    check_next(
        "30 1 * * *",
        "America/New_York",
        "2026-11-01T06:10:00Z",
        ["2026-11-02 01:30 -05:00", "2026-11-03 01:30 -05:00", "2026-11-04 01:30 -05:00"],
    );
}

#[test]
fn the_end_of_time_has_no_slots() {
    for after in [i64::MIN, i64::MAX, Timestamp::MAX.as_millisecond()] {
        assert_eq!(schedule("* * * * *", "Europe/London").next_after(after), None);
        assert_eq!(schedule("0 0 * * *", "Europe/London").next_after(after), None);
    }
    assert!(schedule("0 0 * * *", "UTC").next_after(Timestamp::MIN.as_millisecond()).is_some());
}

#[test]
fn common_schedules_have_plain_words() {
    for (cron, zone, words) in [
        ("0 7 * * 1-5", Some("Australia/Sydney"), "At 07:00 on weekdays, Sydney time"),
        ("0 7 * * *", Some("America/New_York"), "At 07:00 every day, New York time"),
        ("@daily", Some("Etc/UTC"), "At 00:00 every day, UTC"),
        ("@hourly", None, "Every hour"),
        ("@weekly", None, "At 00:00 on Sundays"),
        ("@monthly", None, "At 00:00 on the 1st of every month"),
        ("@yearly", None, "At 00:00 on the 1st of January"),
        ("* * * * *", None, "Every minute"),
        ("*/15 * * * *", None, "Every 15 minutes"),
        ("*/15 9-17 * * mon-fri", None, "Every 15 minutes from 09:00 to 17:45 on weekdays"),
        ("*/30 * * dec *", None, "Every 30 minutes every day in December"),
        ("20 * * * *", None, "Every hour, at 20 minutes past"),
        ("0 */6 * * *", None, "Every 6 hours"),
        ("0 9-17 * * *", None, "Every hour from 09:00 to 17:00"),
        ("30 7,12,19 * * *", None, "At 07:30, 12:30 and 19:30 every day"),
        ("0 7 * * mon,wed,fri", None, "At 07:00 on Mondays, Wednesdays and Fridays"),
        ("0 8 * * sat,sun", None, "At 08:00 on weekends"),
        ("0 7 1,22 3,9 *", None, "At 07:00 on the 1st and 22nd of March and September"),
        ("0 7 13 * fri", None, "At 07:00 on the 13th of every month and on Fridays"),
        ("0 7 1-31 * fri", None, "At 07:00 every day"),
        ("*/7 * * * *", None, "On the schedule */7 * * * *"),
        ("5,17 3 */2 * *", Some("UTC"), "On the schedule 5,17 3 */2 * *, UTC"),
    ] {
        assert_eq!(Schedule::parse(cron, zone).unwrap().describe(), words, "{cron}");
    }
}

#[test]
fn missed_slots_are_made_up_for_as_the_policy_says() {
    let hourly = schedule("0 * * * *", "UTC");
    let last = ms("2026-05-01T00:00:00Z");
    let hour = |n: i64| last + n * HOUR;
    let check = |late_ms: i64, missed, fire: Vec<i64>, left_out| {
        let found = due(&hourly, last, hour(5) + late_ms, missed);
        let expected = Due { fire, record: Some(hour(5)), left_out, clock_was_wrong: false };
        assert_eq!(found, expected, "{missed:?} {late_ms} ms late");
    };
    check(0, MissedRuns::Skip, vec![hour(5)], 4);
    check(MINUTE, MissedRuns::Skip, vec![hour(5)], 4);
    check(MINUTE + 1, MissedRuns::Skip, vec![], 5);
    check(30 * MINUTE, MissedRuns::Once, vec![hour(5)], 4);
    check(30 * MINUTE, MissedRuns::All, (1..=5).map(hour).collect(), 0);
    for missed in [MissedRuns::Skip, MissedRuns::Once, MissedRuns::All] {
        assert_eq!(due(&hourly, last, hour(1) - 1, missed), Due::default(), "nothing has passed");
        assert_eq!(due(&hourly, hour(5), hour(5), missed), Due::default(), "dealt with already");
    }
}

#[test]
fn a_clock_set_back_repeats_nothing_and_does_not_silence_a_schedule() {
    let hourly = schedule("0 * * * *", "UTC");
    let now = ms("2026-05-01T00:30:00Z");
    for (ahead, expected) in [
        (HOUR, Due::default()),
        (DAY, Due::default()),
        (DAY + 1, Due { record: Some(now), clock_was_wrong: true, ..Due::default() }),
        (365 * DAY, Due { record: Some(now), clock_was_wrong: true, ..Due::default() }),
        (i64::MAX - now, Due { record: Some(now), clock_was_wrong: true, ..Due::default() }),
    ] {
        for missed in [MissedRuns::Skip, MissedRuns::Once, MissedRuns::All] {
            assert_eq!(due(&hourly, now + ahead, now, missed), expected, "{ahead} ms ahead");
        }
    }
}

#[test]
fn a_clock_set_forward_a_year_makes_no_flood() {
    let every_minute = schedule("* * * * *", "Europe/London");
    let last = ms("2026-05-01T00:00:00Z");
    let now = last + 365 * DAY;
    let found = due(&every_minute, last, now, MissedRuns::All);
    assert_eq!(found.fire.len(), MOST_MADE_UP);
    assert_eq!((found.fire[99], found.record), (now, Some(now)));
    assert!(found.fire.is_sorted());
    assert_eq!(found.left_out, 10_000, "more are not counted");
    assert_eq!(due(&every_minute, last, now, MissedRuns::Once).fire, [now]);
}

/// A field and the values it should stand for, made without the parser.
type Written = (String, Vec<u32>);

fn field(low: u32, high: u32) -> impl Strategy<Value = Written> {
    let star = Just(("*".to_owned(), (low..=high).collect()));
    let step = (1..=high).prop_map(move |step| {
        (format!("*/{step}"), (low..=high).filter(|v| (v - low).is_multiple_of(step)).collect())
    });
    let range = (low..=high, low..=high, 1..4_u32).prop_map(|(a, b, step)| {
        let (from, to) = (a.min(b), a.max(b));
        (
            format!("{from}-{to}/{step}"),
            (from..=to).filter(|v| (v - from).is_multiple_of(step)).collect(),
        )
    });
    prop_oneof![2 => star, 1 => step, 2 => listed(low, high), 1 => range]
}

fn listed(low: u32, high: u32) -> impl Strategy<Value = Written> {
    proptest::collection::vec(low..=high, 1..4).prop_map(|values| {
        (values.iter().map(u32::to_string).collect::<Vec<_>>().join(","), values)
    })
}

/// Five fields, most of which come several times within a few days and around the changes.
fn five_fields() -> impl Strategy<Value = [Written; 5]> {
    let any = |low, high| Just(("*".to_owned(), (low..=high).collect()));
    let seldom = |low, high| prop_oneof![5 => any(low, high), 1 => field(low, high)];
    let minute = prop_oneof![field(0, 59), Just(("0,30".to_owned(), vec![0, 30]))];
    let hour = prop_oneof![field(0, 23), listed(0, 4)];
    (minute, hour, seldom(1, 31), seldom(1, 12), seldom(0, 7)).prop_map(Into::into)
}

/// Whether the five fields, as written, fit what a clock shows.
fn fits(fields: &[Written; 5], shown: DateTime) -> bool {
    let has = |index: usize, value: i8| fields[index].1.contains(&u32::try_from(value).unwrap());
    let weekday = shown.date().weekday().to_sunday_zero_offset();
    let (day, weekday) = (has(2, shown.day()), has(4, weekday) || weekday == 0 && has(4, 7));
    let both = fields[2].0.starts_with('*') || fields[4].0.starts_with('*');
    has(0, shown.minute())
        && has(1, shown.hour())
        && has(3, shown.month())
        && if both { day && weekday } else { day || weekday }
}

/// The slots in a stretch, found by asking for every minute what the zone's clock shows.
fn walked(fields: &[Written; 5], zone: &TimeZone, after_ms: i64, minutes: i64) -> Vec<i64> {
    let rhythm = fields[0].0.starts_with('*') || fields[1].0.starts_with('*');
    let shown = |at: i64| zone.to_datetime(Timestamp::from_millisecond(at).unwrap());
    let first = after_ms.div_euclid(MINUTE) * MINUTE;
    // From a day and a half before, to know what has been shown already.
    let mut latest = shown(first - 36 * HOUR);
    let mut slots = Vec::new();
    for at in (-36 * 60 + 1..=minutes).map(|n| first + n * MINUTE) {
        let now = shown(at);
        let fire = if rhythm {
            fits(fields, now)
        } else {
            // Everything between the latest that was ever shown and now has come, or was left out.
            let mut passed = latest.checked_add(1.minute()).unwrap();
            let mut any = false;
            while passed <= now {
                any |= fits(fields, passed);
                passed = passed.checked_add(1.minute()).unwrap();
            }
            any
        };
        latest = latest.max(now);
        if fire && at > after_ms {
            slots.push(at);
        }
    }
    slots
}

/// Zones with every kind of change: by 30 minutes, an hour, two, a day; at midnight; on both halves.
const ZONES: [&str; 13] = [
    "UTC",
    "Asia/Kathmandu",
    "Australia/Sydney",
    "Australia/Lord_Howe",
    "America/New_York",
    "America/Havana",
    "America/Sao_Paulo",
    "Europe/London",
    "Asia/Beirut",
    "Africa/Casablanca",
    "Antarctica/Troll",
    "Pacific/Apia",
    "America/Caracas",
];

fn moment() -> impl Strategy<Value = (TimeZone, i64)> {
    let years = ms("2005-01-01T00:00:00Z")..ms("2035-01-01T00:00:00Z");
    let near = -36 * HOUR..12 * HOUR;
    (proptest::sample::select(&ZONES), years, near, any::<bool>(), any::<bool>()).prop_map(
        |(zone, time, near, at_change, on_minute)| {
            let zone = TimeZone::get(zone).unwrap();
            let mut at = time;
            if at_change
                && let Some(change) =
                    zone.following(Timestamp::from_millisecond(time).unwrap()).next()
            {
                at = change.timestamp().as_millisecond() + near;
            }
            (zone, if on_minute { at.div_euclid(MINUTE) * MINUTE } else { at })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// The next slots are those that a walk over the minutes finds: none twice, none left out, in
    /// order.
    #[test]
    fn slots_are_what_a_walk_over_the_minutes_finds(
        fields in five_fields(),
        (zone, after) in moment(),
    ) {
        const MINUTES: i64 = 3 * 24 * 60;
        let cron = fields.each_ref().map(|field| field.0.as_str()).join(" ");
        let Ok(schedule) = Schedule::parse(&cron, zone.iana_name()) else {
            return Ok(()); // A day that no month has.
        };
        let until = after.div_euclid(MINUTE) * MINUTE + MINUTES * MINUTE;
        let found: Vec<i64> =
            schedule.slots_after(after).take_while(|slot| *slot <= until).collect();
        prop_assert_eq!(&found, &walked(&fields, &zone, after, MINUTES), "{} in {:?} after {}", cron, zone.iana_name(), after);
    }

    /// Whatever the clock does, within the rules of `due` no slot fires twice.
    #[test]
    fn no_slot_fires_twice(
        cron in proptest::sample::select(vec!["*/5 * * * *", "30 2 * * *", "0 */2 * * *", "15,45 1-3 * * *"]),
        (zone, start) in moment(),
        jumps in proptest::collection::vec(prop_oneof![-DAY / 2..DAY, 0..2 * HOUR], 1..30),
        missed in proptest::sample::select(vec![MissedRuns::Skip, MissedRuns::Once, MissedRuns::All]),
    ) {
        let schedule = Schedule::parse(cron, zone.iana_name()).unwrap();
        let (mut now, mut settled, mut newest) = (start, start, i64::MIN);
        for jump in jumps {
            now += jump;
            let due = due(&schedule, settled, now, missed);
            if due.clock_was_wrong {
                // Set back by more than a day in all: from here on the uniqueness of runs counts.
                break;
            }
            for slot in due.fire {
                prop_assert!(slot > newest && slot <= now, "{} after {}", slot, newest);
                newest = slot;
            }
            settled = due.record.unwrap_or(settled);
            prop_assert!(settled >= newest);
        }
    }
}
