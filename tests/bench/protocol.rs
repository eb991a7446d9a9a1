//! What every Rust program of the benchmark shares: arguments, arrivals and output, as README.md
//! beside this file describes them.

use std::{
    collections::HashMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// `PROGRAM key=value…`
pub struct Arguments {
    pub program: String,
    values: HashMap<String, String>,
}

impl Arguments {
    /// Cargo's own `--bench` is skipped. Without a program its name is empty.
    pub fn read() -> Self {
        let mut words = std::env::args().skip(1).filter(|word| !word.starts_with("--"));
        let program = words.next().unwrap_or_default();
        let values = words
            .map(|word| {
                let (key, value) = word.split_once('=').expect("an argument is key=value");
                (key.to_owned(), value.to_owned())
            })
            .collect();
        Self { program, values }
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    pub fn number(&self, key: &str, default: usize) -> usize {
        self.text(key).map_or(default, |text| text.parse().expect("a number"))
    }

    pub fn dir(&self) -> PathBuf {
        self.text("dir").expect("dir=FOLDER").into()
    }

    /// Whether every commit waits for the disk.
    pub fn is_full(&self) -> bool {
        match self.text("sync") {
            Some("full") => true,
            Some("normal") => false,
            other => panic!("sync=normal or sync=full, not {other:?}"),
        }
    }
}

/// 64 bytes that begin with the job's number.
pub fn payload(number: usize) -> String {
    format!("{number:<64}")
}

/// The number of the job with this payload.
pub fn number_of(payload: &str) -> usize {
    payload.trim_end().parse().expect("a payload begins with its number")
}

/// Whoever this is, and how its database really is set.
pub fn ready(peer: &str, journal_mode: &str, synchronous: i64, sqlite: &str) {
    println!(
        r#"{{"ready":{{"peer":"{peer}","journal_mode":"{journal_mode}","synchronous":{synchronous},"sqlite":"{sqlite}"}}}}"#
    );
}

/// The result: numbers, then lists of samples. Waits to be looked at until the caller closes stdin.
pub fn result(numbers: &[(&str, f64)], samples: &[(&str, Vec<f64>)]) {
    let numbers = numbers.iter().map(|(name, value)| format!(r#""{name}":{value}"#));
    let samples = samples.iter().map(|(name, values)| {
        let values: Vec<String> = values.iter().map(|value| format!("{value:.1}")).collect();
        format!(r#""{name}":[{}]"#, values.join(","))
    });
    let all: Vec<String> = numbers.chain(samples).collect();
    println!(r#"{{"result":{{{}}}}}"#, all.join(","));
    let _ = std::io::stdin().read(&mut [0]);
}

/// The `idle` program, once the queue and its workers stand: does nothing for a while.
pub fn idle(arguments: &Arguments) {
    println!(r#"{{"idle":"begins"}}"#);
    std::thread::sleep(Duration::from_secs(arguments.number("seconds", 60) as u64));
    println!(r#"{{"idle":"ends"}}"#);
    result(&[], &[]);
}

/// When each job of the `latency` program is due, was accepted and was started.
#[derive(Debug)]
pub struct Latency {
    due: Vec<Duration>,
    origin: OnceLock<Instant>,
    accepted: Vec<AtomicU64>,
    started: Vec<AtomicU64>,
}

impl Latency {
    /// From the file of arrivals: microseconds since the start, one a line.
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("arrivals=FILE");
        let due: Vec<Duration> =
            text.lines().map(|line| Duration::from_micros(line.parse().expect("µs"))).collect();
        let zeros = || due.iter().map(|_| AtomicU64::new(0)).collect();
        Self { accepted: zeros(), started: zeros(), origin: OnceLock::new(), due }
    }

    pub fn len(&self) -> usize {
        self.due.len()
    }

    /// Calls `at` for each job when it is due. Blocks; a thread's sleep is finer than a runtime's.
    pub fn keep(&self, mut at: impl FnMut(usize)) {
        let origin = *self.origin.get_or_init(Instant::now);
        for (number, due) in self.due.iter().enumerate() {
            std::thread::sleep((origin + *due).saturating_duration_since(Instant::now()));
            at(number);
        }
    }

    fn tenths_of_micros(&self) -> u64 {
        let origin = self.origin.get().expect("kept before");
        u64::try_from(origin.elapsed().as_nanos()).expect("short") / 100
    }

    /// The call that queued the job has returned.
    pub fn accepted(&self, number: usize) {
        self.accepted[number].store(self.tenths_of_micros(), Relaxed);
    }

    /// The first line of the job's handler.
    pub fn started(&self, number: usize) {
        self.started[number].store(self.tenths_of_micros(), Relaxed);
    }

    /// What is reported: from due to started, and from accepted to started, in microseconds.
    pub fn samples(&self) -> Vec<(&'static str, Vec<f64>)> {
        let each = |from: &dyn Fn(usize) -> f64| {
            (0..self.len())
                .map(|n| (self.started[n].load(Relaxed) as f64 / 10.0 - from(n)).max(0.0))
                .collect()
        };
        vec![
            ("due_to_start_us", each(&|n| self.due[n].as_micros() as f64)),
            ("accepted_to_start_us", each(&|n| self.accepted[n].load(Relaxed) as f64 / 10.0)),
        ]
    }
}
