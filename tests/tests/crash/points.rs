//! A process that dies at a named point, or a call that fails there: at every point of the list,
//! when it is reached for the first time and at a random time. In the end everything is as if
//! nothing had happened.
//!
//! `QUAERO_LONG=1` has all of the random times, more of them, and more that fail in a row.

use std::{collections::BTreeMap, path::Path, sync::OnceLock};

use quaero_store::{Point, Store, faults};
use quaero_tests::{
    crash::{
        Fault, Order, Said, drive, said,
        story::{self, Act, Outcome},
    },
    data,
    dice::Dice,
    folders, note,
    program::Answer,
};
use tempfile::{TempDir, tempdir};

use super::{driver, is_long};

fn play(folder: &Path, act: Act, faults: Vec<(String, Fault)>, counts: bool) -> Answer {
    let order = Order { act: Some(act), hold: true, width: 24, faults, counts, ..Order::default() };
    drive(driver(), folder, &order).finish()
}

/// The story without a fault: how it begins and ends, and how often it reaches each point in which
/// act.
struct Calm {
    /// The folder before each act.
    stages: [TempDir; 2],
    outcome: Outcome,
    hits: BTreeMap<(Point, Act), u64>,
}

fn calm() -> &'static Calm {
    static CALM: OnceLock<Calm> = OnceLock::new();
    CALM.get_or_init(|| {
        let stage = tempdir().expect("a folder");
        let folder = stage.path().to_owned();
        data::wait(story::set_stage(&folder));
        let mut hits = BTreeMap::new();
        let stages = [Act::First, Act::Second].map(|act| {
            let before = copy(&folder);
            let answer = play(&folder, act, Vec::new(), true).expect(0);
            for line in said(&answer.lines) {
                if let Said::Reached { point, times: times @ 1.. } = line {
                    let known = Point::ALL.iter().find(|known| known.name() == point);
                    hits.insert((*known.expect("a point of the list"), act), times);
                }
            }
            before
        });
        data::assert_whole(&folder);
        Calm { stages, outcome: outcome(&folder), hits }
    })
}

fn outcome(folder: &Path) -> Outcome {
    data::reading(folder, async |store| Outcome::read(store).await)
}

/// Plays the story with one fault in one act. Returns what the process said that met it.
fn with(point: Point, act: Act, fault: Fault) -> Answer {
    let what = format!("{} in the {act:?} act, {fault:?}", point.name());
    let [first, second] = &calm().stages;
    let stage = copy(if act == Act::First { first } else { second }.path());
    let folder = stage.path();
    let answer = play(folder, act, vec![(point.name().to_owned(), fault)], false);
    whole_so_far(folder, &what);
    if act == Act::First || answer.code() != Some(0) {
        // The second act asks for everything again that the first one may have missed.
        play(folder, Act::Second, Vec::new(), false).expect(0);
    }
    data::assert_whole(folder);
    assert_eq!(outcome(folder), calm().outcome, "{what}");
    answer
}

fn copy(folder: &Path) -> TempDir {
    let copy = tempdir().expect("a folder");
    folders::copy(folder, copy.path()).expect("copied");
    copy
}

/// What the process left is whole, unless it has not come to the present format.
fn whole_so_far(folder: &Path, what: &str) {
    let (format, _) = data::wait(faults::schema(folder)).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert!((1..=faults::newest_format()).contains(&format), "{what}: format {format}");
    if format == faults::newest_format() && Store::exists(folder) {
        data::assert_consistent(folder);
    }
}

/// Whether this random case is among those for which there is time.
fn is_chosen(dice: &mut Dice) -> bool {
    is_long() || dice.roll().is_multiple_of(3)
}

#[test]
fn every_point_is_reached() {
    for point in Point::ALL {
        let hits = [Act::First, Act::Second].map(|act| calm().hits.contains_key(&(*point, act)));
        assert!(hits.contains(&true), "the story does not come by {}", point.name());
    }
}

#[test]
fn a_process_that_dies_at_any_point_loses_nothing_and_does_nothing_twice() {
    let mut dice = Dice::default();
    let (mut deaths, mut tried) = (0, 0);
    let rounds = if is_long() { 5 } else { 1 };
    let mut seen = None;
    for ((point, act), hits) in &calm().hits {
        let first = seen.replace(point) != Some(point);
        let rounds = if is_chosen(&mut dice) { rounds } else { 0 };
        let random = (0..rounds).map(|_| 1 + dice.roll() % hits);
        // In one of the acts the first time has to be met; random ones may not come again.
        let times: Vec<u64> = (first.then_some(1)).into_iter().chain(random).collect();
        for (n, time) in times.iter().enumerate() {
            if n > 0 && times[..n].contains(time) {
                continue;
            }
            let died = with(*point, *act, Fault::Dies(*time)).code().is_none();
            assert!(died || *time > 1, "nobody died at {} in the {act:?} act", point.name());
            (deaths, tried) = (deaths + u32::from(died), tried + 1);
        }
    }
    note(&format!("{deaths} deaths in {tried} stories"));
    assert!(deaths * 10 > tried * 8, "only {deaths} of {tried} processes came to their end");
}

#[test]
fn a_call_that_fails_at_any_point_changes_nothing_in_the_end() {
    let mut dice = Dice::default();
    let times: &[u64] = if is_long() { &[1, 2, 5, 12] } else { &[1, 5] };
    let mut seen = None;
    for ((point, act), hits) in &calm().hits {
        let first = seen.replace(point) != Some(point);
        if !point.can_fail() {
            continue;
        }
        for times in times {
            let is_sure = first && *times == 1;
            if !is_sure && !is_chosen(&mut dice) {
                continue;
            }
            let from = if *times == 1 { 1 } else { 1 + dice.roll() % hits };
            let fault = Fault::Fails { from, times: *times };
            let answer = with(*point, *act, fault);
            let said = |word| answer.lines.iter().any(|line| line.contains(word));
            // A process that cannot start or close says why; one that has started goes on.
            let refused = answer.code() == Some(1) && (!said("ready") || said("played"));
            let named = answer.stderr.contains(point.name()) && !answer.text().contains("panicked");
            assert!(answer.code() == Some(0) || (refused && named), "{}: {answer}", point.name());
        }
    }
}
