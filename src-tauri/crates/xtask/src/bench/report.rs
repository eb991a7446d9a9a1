//! What was found: medians with their spread, as JSON and as tables.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    time::Instant,
};

use serde_json::{Map, Value, json};

use super::peer::{OURS, Outcome, PEERS, Peer, WORKERS, bench_dir, number_after};
use crate::process::{output, root};

/// The tables stand in README.md between two of these.
const MARKER: &str = "<!-- bench:engine -->";

/// Of each list of samples, these parts of a hundred are kept.
const PERCENTILES: [(&str, f64); 4] =
    [("p50", 50.0), ("p99", 99.0), ("p99.9", 99.9), ("max", 100.0)];

/// What was measured.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) program: String,
    pub(super) mode: String,
    pub(super) variant: String,
    pub(super) peer: String,
}

impl Key {
    pub(super) fn new(peer: &str, program: &str, mode: &str, variant: &str) -> Self {
        let own = str::to_owned;
        Self { peer: own(peer), program: own(program), mode: own(mode), variant: own(variant) }
    }
}

/// All results so far.
pub(super) struct Report {
    about: Map<String, Value>,
    figures: BTreeMap<Key, BTreeMap<String, Vec<f64>>>,
    ready: BTreeMap<(String, String), Value>,
    jobs: BTreeMap<Key, usize>,
    /// What is missing, and the first reason for it.
    left_out: BTreeMap<String, String>,
}

impl Report {
    pub(super) fn new(is_quick: bool) -> Self {
        let mut about = Map::new();
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let processor = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name"))
            .map(|rest| rest.trim_start_matches([' ', '\t', ':']).to_owned());
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        about.insert("quick".into(), is_quick.into());
        about.insert("processor".into(), processor.into());
        about.insert("cores".into(), cores.into());
        about.insert("memory_kib".into(), number_after(&read("/proc/meminfo"), "MemTotal:").into());
        about.insert("system".into(), output("uname", &["-s"]).into());
        about.insert("durable_write_us".into(), durable_write_us().into());
        let root = root().display().to_string();
        let commit = output("git", &["-C", &root, "rev-parse", "--short", "HEAD"]);
        about.insert("commit".into(), commit.into());
        Self {
            about,
            figures: BTreeMap::new(),
            ready: BTreeMap::new(),
            jobs: BTreeMap::new(),
            left_out: BTreeMap::new(),
        }
    }

    /// Takes over what an earlier report of the same kind has, as its JSON, and this one has not.
    ///
    /// # Errors
    /// If it is no such report, or of another machine or size.
    pub(super) fn add_earlier(&mut self, json: &str) -> Result<(), String> {
        let earlier: Value = serde_json::from_str(json)
            .map_err(|error| format!("The last report cannot be read: {error}."))?;
        for same in ["quick", "processor", "rounds"] {
            if earlier["about"][same] != *self.about.get(same).unwrap_or(&Value::Null) {
                return Err(format!("The last report cannot be added to: `{same}` differs."));
            }
        }
        let list = |name: &str| earlier[name].as_array().cloned().unwrap_or_default();
        let word = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let measured: BTreeSet<Key> = self.figures.keys().cloned().collect();
        for result in list("results") {
            let key = Key {
                program: word(&result, "program"),
                mode: word(&result, "sync"),
                variant: word(&result, "variant"),
                peer: word(&result, "peer"),
            };
            if measured.contains(&key) {
                continue;
            }
            let rounds = result["rounds"].as_array().cloned().unwrap_or_default();
            let rounds = rounds.iter().filter_map(Value::as_f64).collect();
            if let Some(jobs) = result["jobs"].as_u64().and_then(|jobs| usize::try_from(jobs).ok())
            {
                self.jobs.insert(key.clone(), jobs);
            }
            self.figures.entry(key).or_default().insert(word(&result, "figure"), rounds);
        }
        for left_out in list("left_out") {
            let (what, why) = (word(&left_out, "what"), word(&left_out, "why"));
            if !measured.iter().any(|key| what.starts_with(&key.peer) && what.ends_with(&key.mode))
            {
                self.left_out(&what, &why);
            }
        }
        for database in list("databases") {
            let mode = if database["synchronous"] == 2 { "full" } else { "normal" };
            self.ready.entry((word(&database, "peer"), mode.to_owned())).or_insert(database);
        }
        Ok(())
    }

    pub(super) fn note(&mut self, name: &str, value: Value) {
        self.about.insert(name.to_owned(), value);
    }

    /// A queue or a figure that is missing, and why.
    pub(super) fn left_out(&mut self, what: &str, why: &str) {
        // A path says something about this machine only.
        let why = why.replace(&format!("{}/", root().display()), "");
        if !self.left_out.contains_key(what) {
            println!("-- left out: {what}: {why}");
            self.left_out.insert(what.to_owned(), why);
        }
    }

    /// How many jobs a queue's burn-downs have.
    pub(super) fn jobs(&self, key: &Key) -> Option<usize> {
        self.jobs.get(key).copied()
    }

    pub(super) fn set_jobs(&mut self, key: &Key, jobs: usize) -> usize {
        self.jobs.insert(key.clone(), jobs);
        jobs
    }

    /// Keeps a round's result, if the database was set as all the others.
    pub(super) fn add(&mut self, key: &Key, outcome: &Outcome) {
        let synchronous = if key.mode == "full" { 2 } else { 1 };
        if outcome.ready["journal_mode"] != "wal" || outcome.ready["synchronous"] != synchronous {
            let why = format!("its database was set otherwise: {}", outcome.ready);
            return self.left_out(&format!("{} {}", key.peer, key.mode), &why);
        }
        self.ready.insert((key.peer.clone(), key.mode.clone()), outcome.ready.clone());
        let figures = self.figures.entry(key.clone()).or_default();
        for (name, value) in &outcome.found {
            if let Some(samples) = value.as_array() {
                let mut samples: Vec<f64> = samples.iter().filter_map(Value::as_f64).collect();
                samples.sort_by(f64::total_cmp);
                for (part, percent) in PERCENTILES {
                    if let Some(value) = percentile(&samples, percent) {
                        figures.entry(format!("{name} {part}")).or_default().push(value);
                    }
                }
            } else if let Some(value) = value.as_f64() {
                figures.entry(name.clone()).or_default().push(value);
            }
        }
        let shown: Vec<String> = figures
            .iter()
            .filter_map(|(name, values)| Some(format!("{name} {}", short(*values.last()?))))
            .collect();
        println!("{} {} {} {}: {}", key.program, key.mode, key.variant, key.peer, shown.join(", "));
    }

    pub(super) fn json(&self) -> String {
        let results: Vec<Value> = self
            .figures
            .iter()
            .flat_map(|(key, figures)| {
                figures.iter().map(move |(name, rounds)| (key, name, rounds))
            })
            .map(|(key, name, rounds)| {
                let spread = Spread::of(rounds);
                json!({
                    "peer": key.peer, "program": key.program, "sync": key.mode,
                    "variant": key.variant, "jobs": self.jobs.get(key), "figure": name,
                    "median": spread.median, "min": spread.min, "max": spread.max, "rounds": rounds,
                })
            })
            .collect();
        let databases: Vec<&Value> = self.ready.values().collect();
        let left_out: Vec<Value> =
            self.left_out.iter().map(|(what, why)| json!({ "what": what, "why": why })).collect();
        let all = json!({
            "about": self.about, "databases": databases, "left_out": left_out, "results": results,
        });
        serde_json::to_string_pretty(&all).expect("plain data")
    }

    fn spread(&self, key: &Key, figure: &str) -> Option<Spread> {
        self.figures.get(key)?.get(figure).map(|rounds| Spread::of(rounds))
    }

    /// The tables, in Markdown.
    pub(super) fn table(&self) -> String {
        let mut text = self.machine();
        for (mode, title) in
            [("full", "every commit on disk (WAL, FULL)"), ("normal", "WAL, NORMAL")]
        {
            text.push_str(&self.burns(mode, title));
            text.push_str(&self.latencies(mode, title));
        }
        text.push_str(&self.rests());
        text.push_str(&self.own());
        if !self.left_out.is_empty() {
            text.push_str("Left out:\n\n");
            for (what, why) in &self.left_out {
                text.push_str(&format!("- {what}: {why}\n"));
            }
        }
        text
    }

    fn machine(&self) -> String {
        let about = |name: &str| match &self.about.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(value) if !value.is_null() => value.to_string(),
            _ => "?".to_owned(),
        };
        let write = self.about["durable_write_us"].as_f64().map_or("?".to_owned(), short);
        format!(
            "Medians of {} rounds with the lowest and the highest; {} cores of {}, {}; \
             one durable write of 4 KiB takes {write} µs.\n\n",
            about("rounds"),
            about("cores"),
            about("processor"),
            about("system"),
        )
    }

    /// The peers that have any of these figures, ours first.
    fn peers_with(&self, program: &str, mode: &str) -> Vec<&'static Peer> {
        PEERS
            .iter()
            .filter(|peer| {
                self.figures
                    .keys()
                    .any(|key| key.peer == peer.name && key.program == program && key.mode == mode)
            })
            .collect()
    }

    fn burns(&self, mode: &str, title: &str) -> String {
        let spread = |peer: &Peer, batch: usize, workers: usize, figure: &str| {
            let batch = if peer.batches { batch } else { 1 };
            let key = Key::new(peer.name, "burn", mode, &format!("{batch}×{workers}"));
            self.spread(&key, figure)
        };
        let ours = spread(&PEERS[0], 1_000, 16, "jobs_per_s");
        let rows = self.peers_with("burn", mode).into_iter().map(|peer| {
            let queued = |batch| cell(spread(peer, batch, 16, "enqueue_per_s"));
            let batch = if peer.batches { queued(1_000) } else { "–".to_owned() };
            let mut row = vec![peer.name.to_owned(), queued(1), batch];
            for workers in WORKERS {
                row.push(cell(spread(peer, 1_000, workers, "jobs_per_s")));
            }
            row.push(cell(spread(peer, 1_000, 16, "cpu_us_per_job")));
            row.push(match (ours, spread(peer, 1_000, 16, "jobs_per_s")) {
                (Some(ours), Some(theirs)) => format!("{:.2}×", ours.median / theirs.median),
                _ => "–".to_owned(),
            });
            row
        });
        let head = "queue | queued /s, one each | queued /s, 1,000 each | done /s, 1 worker | 4 workers | 16 workers | CPU µs a job | Quaero is";
        markdown(&format!("No-op jobs, {title}"), head, rows.collect())
    }

    fn latencies(&self, mode: &str, title: &str) -> String {
        let rows = self.peers_with("latency", mode).into_iter().map(|peer| {
            let mut row = vec![peer.name.to_owned()];
            for rate in ["10", "100", "1000"] {
                let key = Key::new(peer.name, "latency", mode, rate);
                row.push(self.milliseconds(
                    &key,
                    "due_to_start_us",
                    &["p50", "p99", "p99.9", "max"],
                ));
            }
            row
        });
        let head = "queue | 10 /s | 100 /s | 1,000 /s";
        let title = format!(
            "From the call that queues a job to the first line of its handler, in ms: p50 / p99 / p99.9 / max, {title}"
        );
        markdown(&title, head, rows.collect())
    }

    fn milliseconds(&self, key: &Key, figure: &str, parts: &[&str]) -> String {
        let values: Vec<String> = parts
            .iter()
            .map(|part| self.spread(key, &format!("{figure} {part}")))
            .map(|found| found.map_or("–".to_owned(), |spread| short(spread.median / 1e3)))
            .collect();
        values.join(" / ")
    }

    fn rests(&self) -> String {
        let mut rows = Vec::new();
        for peer in PEERS {
            let key = |program| {
                self.figures.keys().find(|key| key.program == program && key.peer == peer.name)
            };
            let (wake, idle) = (key("wake"), key("idle"));
            if wake.is_none() && idle.is_none() {
                continue;
            }
            let used = |name: &str| cell(idle.and_then(|key| self.spread(key, name)));
            rows.push(vec![
                peer.name.to_owned(),
                wake.map_or("–".to_owned(), |key| {
                    self.milliseconds(key, "due_to_start_us", &["p50", "max"])
                }),
                used("cpu_ms"),
                used("wakeups"),
                used("written_bytes"),
            ]);
        }
        let head =
            "queue | a job after a pause, ms: p50 / max | idle: CPU ms | wake-ups | bytes written";
        markdown("At rest", head, rows)
    }

    fn own(&self) -> String {
        let mut rows = Vec::new();
        for (what, program, variant, figure) in [
            ("tree of jobs: done /s", "tree", "", "jobs_per_s"),
            (
                "tree of jobs: last child's end to the run's event, µs",
                "tree",
                "",
                "last_child_to_event_us",
            ),
            ("40 steps of fibonacci(10): ms in all", "flow", "40×10", "total_ms"),
            (
                "from one step's end to the next one's start, µs: p50",
                "flow",
                "40×10",
                "transition_us p50",
            ),
            (
                "from the commit of a step's end to the next one's start, µs: p50",
                "flow",
                "40×10",
                "commit_to_start_us p50",
            ),
            ("10 steps of fibonacci(33): ms beyond the work", "flow", "10×33", "beyond_work_ms"),
            (
                "from a job's acceptance to the first line of its handler, 100 /s, µs: p50",
                "latency",
                "100",
                "accepted_to_start_us p50",
            ),
            ("the same: p99", "latency", "100", "accepted_to_start_us p99"),
            ("the same after 10 s of rest: p50", "wake", "", "accepted_to_start_us p50"),
            ("the same after 10 s of rest: max", "wake", "", "accepted_to_start_us max"),
            (
                "progress of a run with all its jobs, read, µs: p50",
                "burn",
                "1000×16",
                "progress_us p50",
            ),
            ("memory of a burn-down at its highest, KiB", "burn", "1000×16", "memory_kib"),
            (
                "write-ahead log of a burn-down at its highest, bytes",
                "burn",
                "1000×16",
                "wal_bytes",
            ),
        ] {
            let values: Vec<String> = ["full", "normal"]
                .map(|mode| cell(self.spread(&Key::new(OURS, program, mode, variant), figure)))
                .to_vec();
            if values.iter().any(|value| value != "–") {
                rows.push([vec![what.to_owned()], values].concat());
            }
        }
        markdown("Quaero alone", "figure | FULL | NORMAL", rows)
    }
}

/// The median and the ends of some rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(rounds: &[f64]) -> Self {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
            _ => sorted[middle],
        };
        Self { median, min: sorted[0], max: sorted[sorted.len() - 1] }
    }
}

/// By the nearest rank. The samples are sorted.
fn percentile(samples: &[f64], percent: f64) -> Option<f64> {
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank between 1 and the number of samples"
    )]
    let rank = (percent / 100.0 * samples.len() as f64).ceil() as usize;
    samples.get(rank.max(1) - 1).copied()
}

fn cell(spread: Option<Spread>) -> String {
    match spread {
        None => "–".to_owned(),
        Some(Spread { median, min, max }) if (min - max).abs() < f64::EPSILON => short(median),
        Some(Spread { median, min, max }) => {
            format!("{} ({}–{})", short(median), short(min), short(max))
        }
    }
}

/// Three digits where they say something, and groups of a thousand.
fn short(value: f64) -> String {
    match value.abs() {
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => {
            let digits = format!("{value:.0}");
            let mut text = String::new();
            for (place, digit) in digits.chars().enumerate() {
                if place > 0 && (digits.len() - place).is_multiple_of(3) {
                    text.push(',');
                }
                text.push(digit);
            }
            text
        }
    }
}

fn markdown(title: &str, head: &str, rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let columns = head.split('|').count();
    let mut text = format!("{title}:\n\n| {head} |\n|---|{}\n", "--:|".repeat(columns - 1));
    for row in rows {
        text.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    text.push('\n');
    text
}

/// What one lone commit costs at least here, in microseconds: a page written and waited for.
fn durable_write_us() -> Option<f64> {
    const TIMES: u32 = 200;
    let path = bench_dir().join("durable-write");
    let mut file = fs::File::create(&path).ok()?;
    let start = Instant::now();
    for _ in 0..TIMES {
        file.write_all(&[7; 4096]).ok()?;
        file.sync_data().ok()?;
    }
    let each = start.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES);
    let _ = fs::remove_file(path);
    Some(each)
}

/// Puts the tables between the two markers of README.md.
///
/// # Errors
/// If there are not two markers, or the file cannot be read or written.
pub(super) fn write_readme(table: &str) -> Result<(), String> {
    let path = root().join("README.md");
    let text = fs::read_to_string(&path)
        .map_err(|error| format!("{} cannot be read: {error}.", path.display()))?;
    let parts: Vec<&str> = text.split(MARKER).collect();
    let [before, _, after] = parts.as_slice() else {
        return Err(format!("{} needs two lines `{MARKER}`.", path.display()));
    };
    let new = format!("{before}{MARKER}\n\n{}\n\n{MARKER}{after}", table.trim());
    fs::write(&path, new).map_err(|error| format!("{} cannot be written: {error}.", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_summed_up_as_people_read_them() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of(&[4.0, 1.0]).median, 2.5);
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        for (percent, value) in [(50.0, 50.0), (99.0, 99.0), (99.9, 100.0), (100.0, 100.0)] {
            assert_eq!(percentile(&hundred, percent), Some(value));
        }
        assert_eq!(percentile(&[], 50.0), None);
        for (value, text) in
            [(0.5, "0.50"), (12.34, "12.3"), (999.4, "999"), (1234.6, "1,235"), (1e6, "1,000,000")]
        {
            assert_eq!(short(value), text);
        }
        assert_eq!(cell(Some(Spread::of(&[1000.0, 2000.0, 3000.0]))), "2,000 (1,000–3,000)");
    }

    #[test]
    fn what_was_found_before_stays_unless_it_is_measured_again() {
        let outcome = |rate: u32| Outcome {
            ready: json!({ "peer": "huey", "journal_mode": "wal", "synchronous": 2 }),
            found: Map::from_iter([("jobs_per_s".to_owned(), rate.into())]),
        };
        let (burn, tree) =
            (Key::new("huey", "burn", "full", "1×1"), Key::new("huey", "tree", "full", ""));
        let mut first = Report::new(true);
        first.add(&burn, &outcome(7));
        first.add(&tree, &outcome(8));
        first.set_jobs(&tree, 100);
        first.left_out("huey burn 1×1 full", "It broke.");
        first.left_out("liteque full", "It is not there.");
        let mut second = Report::new(true);
        second.add(&burn, &outcome(9));
        second.add_earlier(&first.json()).expect("a report");
        let found = |key, figure| second.spread(key, figure).map(|spread| spread.median);
        assert_eq!(
            (found(&burn, "jobs_per_s"), found(&tree, "jobs_per_s")),
            (Some(9.0), Some(8.0))
        );
        assert_eq!(second.jobs(&tree), Some(100));
        let left_out: Vec<&str> = second.left_out.keys().map(String::as_str).collect();
        assert_eq!(left_out, ["liteque full"]);
        assert!(second.add_earlier("{").is_err());
        let other = Report::new(false).json();
        assert!(second.add_earlier(&other).is_err_and(|why| why.contains("quick")));
    }

    #[test]
    fn unlike_databases_are_not_compared() {
        let mut report = Report::new(true);
        let key = Key::new("huey", "burn", "full", "1×1");
        let outcome = |mode: &str, synchronous: i64| Outcome {
            ready: json!({ "journal_mode": mode, "synchronous": synchronous }),
            found: Map::from_iter([("jobs_per_s".to_owned(), 7.into())]),
        };
        report.add(&key, &outcome("delete", 2));
        report.add(&key, &outcome("wal", 1));
        assert!(report.figures.is_empty());
        report.add(&key, &outcome("wal", 2));
        assert!(report.table().contains("| huey |"));
    }
}
