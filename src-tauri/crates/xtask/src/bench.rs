//! `cargo xtask bench engine`: the engine beside other queues on SQLite, on this machine, with the
//! same durability. What the programs do stands in tests/bench/README.md.
//! `cargo xtask bench extraction`: what becomes of pages; the example of `quaero-workers` measures it.

mod crawl;
mod peer;
mod report;

use std::{fs, path::PathBuf, process::ExitCode, thread, time::Instant};

use serde_json::{Map, Value};

pub(crate) use crawl::crawl;
use peer::{Failure, Installed, OURS, PEERS, WORKERS, bench_dir};
use report::{Key, Report};

use crate::process;

const USAGE: &str = "\
Usage: cargo xtask bench engine [OPTION…]

  --quick         small sizes and two rounds: whether it works, not how fast it is
  --rounds N      how often everything is measured (5)
  --only A,B      of the programs burn latency wake idle tree flow
  --peers A,B     of the queues, beside the engine itself
  --sync A,B      of the modes full normal; latency, wake and idle only in the first of them
  --add           keep what the last run has found and this one does not measure
  --write         put the tables into README.md
";

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    rounds: usize,
    /// Jobs of a burn-down, for a queue that is quick enough …
    jobs: usize,
    /// … to do them within about so many seconds.
    burn_seconds: f64,
    latency_seconds: f64,
    wake_gap_seconds: f64,
    wakes: usize,
    idle_seconds: usize,
    children: usize,
}

const FULL: Sizes = Sizes {
    rounds: 5,
    jobs: 100_000,
    burn_seconds: 6.0,
    latency_seconds: 8.0,
    wake_gap_seconds: 10.0,
    wakes: 20,
    idle_seconds: 60,
    children: 10_000,
};

const QUICK: Sizes = Sizes {
    rounds: 2,
    jobs: 2_000,
    burn_seconds: 2.0,
    latency_seconds: 2.0,
    wake_gap_seconds: 2.0,
    wakes: 3,
    idle_seconds: 5,
    children: 500,
};

const RATES: [u32; 3] = [10, 100, 1_000];
const PROGRAMS: [&str; 6] = ["burn", "latency", "wake", "idle", "tree", "flow"];
const MODES: [&str; 2] = ["full", "normal"];

/// What was asked for.
struct Asked {
    sizes: Sizes,
    is_quick: bool,
    add: bool,
    write: bool,
    programs: Vec<String>,
    peers: Vec<String>,
    modes: Vec<String>,
}

/// Measures the engine and its peers, prints the tables and leaves `target/bench/engine.json`.
///
/// # Errors
/// If a word is not understood, the engine cannot be built, or a result cannot be written.
pub(crate) fn engine(words: &[&str]) -> Result<ExitCode, String> {
    let Some(asked) = read(words)? else {
        print!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    };
    fs::create_dir_all(bench_dir())
        .map_err(|error| format!("{} cannot be made: {error}.", bench_dir().display()))?;
    let (mut report, json) = (Report::new(asked.is_quick), bench_dir().join("engine.json"));
    let earlier = match asked.add {
        true => fs::read_to_string(&json)
            .map(Some)
            .map_err(|error| format!("{} cannot be read: {error}.", json.display()))?,
        false => None,
    };
    let queues = install(&asked, &mut report)?;
    let start = Instant::now();
    let plan = Plan { asked: &asked, queues: &queues };
    for round in 0..asked.sizes.rounds {
        plan.round(round, &mut report);
        println!("-- round {} of {} after {:.0?}", round + 1, asked.sizes.rounds, start.elapsed());
    }
    report.note("rounds", asked.sizes.rounds.into());
    if let Some(earlier) = earlier {
        report.add_earlier(&earlier)?;
    }
    let table = report.table();
    fs::write(&json, report.json())
        .map_err(|error| format!("{} cannot be written: {error}.", json.display()))?;
    println!("\n{table}\nThe figures are in {}.", json.display());
    if asked.write {
        report::write_readme(&table)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures what becomes of pages.
///
/// # Errors
/// If the program cannot be built or fails, for example because a folder holds no pages.
pub(crate) fn extraction(words: &[&str]) -> Result<ExitCode, String> {
    let program = ["run", "--quiet", "--release", "--locked", "--package", "quaero-workers"];
    // Paths are meant from where the command is typed.
    process::run(
        process::cargo()
            .current_dir(".")
            .args(program)
            .args(["--example", "extraction", "--"])
            .args(words),
    )?;
    Ok(ExitCode::SUCCESS)
}

fn read(words: &[&str]) -> Result<Option<Asked>, String> {
    let is_quick = words.contains(&"--quick");
    let mut asked = Asked {
        sizes: if is_quick { QUICK } else { FULL },
        is_quick,
        add: words.contains(&"--add"),
        write: words.contains(&"--write"),
        programs: PROGRAMS.map(str::to_owned).to_vec(),
        peers: PEERS.map(|peer| peer.name.to_owned()).to_vec(),
        modes: MODES.map(str::to_owned).to_vec(),
    };
    let mut rest = words.iter().copied();
    while let Some(word) = rest.next() {
        let list = |known: &[&str], value: Option<&str>| -> Result<Vec<String>, String> {
            let chosen: Vec<String> =
                value.unwrap_or_default().split(',').map(str::to_owned).collect();
            match chosen.iter().find(|name| !known.contains(&name.as_str())) {
                Some(name) => {
                    Err(format!("{word} does not know `{name}`, only: {}.", known.join(", ")))
                }
                None => Ok(chosen),
            }
        };
        match word {
            "--quick" | "--add" | "--write" => {}
            "--only" => asked.programs = list(&PROGRAMS, rest.next())?,
            "--sync" => asked.modes = list(&MODES, rest.next())?,
            "--peers" => asked.peers = peers(rest.next().unwrap_or_default())?,
            "--rounds" => {
                let rounds = rest.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0);
                asked.sizes.rounds = rounds.ok_or("--rounds needs a number, such as 5.")?;
            }
            _ => return Ok(None),
        }
    }
    Ok(Some(asked))
}

/// Queues by the beginning of their names: `SQLite` is both of that name, `none` is the engine alone.
fn peers(value: &str) -> Result<Vec<String>, String> {
    let mut chosen = vec![OURS.to_owned()];
    for name in value.split(',').filter(|name| *name != "none") {
        let fits = PEERS.iter().filter(|peer| !name.is_empty() && peer.name.starts_with(name));
        let before = chosen.len();
        chosen.extend(fits.map(|peer| peer.name.to_owned()));
        if chosen.len() == before {
            let known: Vec<&str> = PEERS.iter().map(|peer| peer.name).collect();
            return Err(format!("--peers does not know `{name}`, only: {}.", known.join("; ")));
        }
    }
    Ok(chosen)
}

/// A peer that cannot be got is left out, and named; without the engine there is nothing to compare.
fn install(asked: &Asked, report: &mut Report) -> Result<Vec<Installed>, String> {
    let mut queues = Vec::new();
    for peer in PEERS.iter().filter(|peer| asked.peers.iter().any(|name| name == peer.name)) {
        if !asked.programs.iter().any(|program| peer.programs.contains(&program.as_str())) {
            continue;
        }
        println!("-- getting {}", peer.name);
        match peer.install() {
            Ok(installed) => queues.push(installed),
            Err(why) if peer.name == OURS => return Err(why),
            Err(why) => report.left_out(peer.name, &why),
        }
    }
    Ok(queues)
}

struct Plan<'a> {
    asked: &'a Asked,
    queues: &'a [Installed],
}

impl Plan<'_> {
    /// Everything once, queue after queue for each figure, so that all of them see the same machine.
    fn round(&self, round: usize, report: &mut Report) {
        let sizes = self.asked.sizes;
        for program in &self.asked.programs {
            for (number, mode) in self.asked.modes.iter().enumerate() {
                // These wait most of the time: one mode is enough, the first that the queue has, and
                // for two of them once.
                let waits = ["latency", "wake", "idle"].contains(&program.as_str());
                if waits && (number > 0 || (round > 0 && program != "latency")) {
                    continue;
                }
                match program.as_str() {
                    "burn" => self.burn(mode, report),
                    "latency" => {
                        for rate in RATES {
                            let seconds = sizes.latency_seconds;
                            let arrivals = arrivals(rate, seconds, round);
                            self.in_first_mode("latency", &rate.to_string(), &arrivals, report);
                        }
                    }
                    "wake" => self.wake(report),
                    "idle" => {
                        let seconds = format!("seconds={}", sizes.idle_seconds);
                        self.in_first_mode("idle", "", &seconds, report);
                    }
                    "tree" => {
                        let children = format!("children={}", sizes.children);
                        self.each("tree", mode, "", &[children], report);
                    }
                    _ => {
                        for (steps, fibonacci) in [(40, 10), (10, 33)] {
                            let words =
                                [format!("steps={steps}"), format!("fibonacci={fibonacci}")];
                            self.each(
                                "flow",
                                mode,
                                &format!("{steps}×{fibonacci}"),
                                &words,
                                report,
                            );
                        }
                    }
                }
            }
        }
    }

    /// The queues that have a program.
    fn able(&self, program: &str) -> impl Iterator<Item = &Installed> {
        self.queues.iter().filter(move |queue| queue.peer.programs.contains(&program))
    }

    /// One program by every queue that has it.
    fn each(&self, program: &str, mode: &str, variant: &str, words: &[String], to: &mut Report) {
        for queue in self.able(program) {
            let words = [words, &[format!("sync={mode}")]].concat();
            let key = Key::new(queue.peer.name, program, mode, variant);
            keep(&key, queue.run(program, &words), to);
        }
    }

    /// One program by every queue that has it, each in the first mode that it has.
    fn in_first_mode(&self, program: &str, variant: &str, word: &str, to: &mut Report) {
        for queue in self.able(program) {
            let (mode, result) = self.in_some_mode(queue, program, word);
            keep(&Key::new(queue.peer.name, program, mode, variant), result, to);
        }
    }

    /// One program in the first mode that was asked for and that the queue has.
    fn in_some_mode(
        &self,
        queue: &Installed,
        program: &str,
        word: &str,
    ) -> (&str, Result<peer::Outcome, Failure>) {
        let mut last = ("", Err(Failure::Unsupported("no mode was asked for".to_owned())));
        for mode in &self.asked.modes {
            last = (mode, queue.run(program, &[word.to_owned(), format!("sync={mode}")]));
            if !matches!(last.1, Err(Failure::Unsupported(_))) {
                break;
            }
        }
        last
    }

    /// One job after a long pause, again and again. All queues wait at the same time, a little apart.
    fn wake(&self, report: &mut Report) {
        let sizes = self.asked.sizes;
        let able: Vec<&Installed> = self.able("wake").collect();
        let results: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = able
                .iter()
                .enumerate()
                .map(|(number, queue)| {
                    #[allow(clippy::cast_precision_loss, reason = "a handful")]
                    let apart = sizes.wake_gap_seconds * number as f64 / able.len() as f64;
                    let due: Vec<f64> = (1..=sizes.wakes)
                        .map(|n| f64::from(u32::try_from(n).unwrap_or(u32::MAX)))
                        .map(|n| n * sizes.wake_gap_seconds + apart)
                        .collect();
                    let arrivals = write_arrivals(&format!("wake-{number}"), &due);
                    scope.spawn(move || self.in_some_mode(queue, "wake", &arrivals))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("it does not panic")).collect()
        });
        for (queue, (mode, result)) in able.iter().zip(results) {
            keep(&Key::new(queue.peer.name, "wake", mode, ""), result, report);
        }
    }

    /// Many jobs that do nothing: queued first, then done.
    fn burn(&self, mode: &str, report: &mut Report) {
        for number in 0..1 + WORKERS.len() {
            for queue in self.able("burn") {
                let Some((batch, workers)) = queue.peer.burns().get(number).copied() else {
                    continue;
                };
                let key = Key::new(queue.peer.name, "burn", mode, &format!("{batch}×{workers}"));
                let words = |jobs: usize| {
                    [
                        format!("jobs={jobs}"),
                        format!("batch={batch}"),
                        format!("workers={workers}"),
                        format!("sync={mode}"),
                    ]
                };
                let jobs = match report.jobs(&key) {
                    Some(jobs) => jobs,
                    None => match queue.run("burn", &words(self.asked.sizes.jobs.div_ceil(50))) {
                        Ok(warm) => report.set_jobs(&key, self.affordable(&warm.found)),
                        Err(why) => {
                            keep(&key, Err(why), report);
                            continue;
                        }
                    },
                };
                let result = queue.run("burn", &words(jobs)).map(|mut outcome| {
                    // Less shaken by other work on the machine than the rates.
                    #[allow(clippy::cast_precision_loss, reason = "fewer than 2^52")]
                    if let Some(ms) = outcome.found.get("process_cpu_ms").and_then(Value::as_f64) {
                        outcome
                            .found
                            .insert("cpu_us_per_job".into(), (ms * 1e3 / jobs as f64).into());
                    }
                    outcome
                });
                keep(&key, result, report);
            }
        }
    }

    /// As many jobs as a slow queue does in the time that there is.
    fn affordable(&self, found: &Map<String, Value>) -> usize {
        let seconds_each: f64 = ["enqueue_per_s", "jobs_per_s"]
            .iter()
            .filter_map(|name| found.get(*name)?.as_f64())
            .map(|rate| 1.0 / rate)
            .sum();
        let fit = self.asked.sizes.burn_seconds / seconds_each;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a positive number, and the conversion saturates"
        )]
        let fit = fit as usize;
        fit.clamp(200, self.asked.sizes.jobs)
    }
}

fn keep(key: &Key, result: Result<peer::Outcome, Failure>, report: &mut Report) {
    match result {
        Ok(outcome) => report.add(key, &outcome),
        Err(Failure::Unsupported(why)) => {
            report.left_out(&format!("{} {}", key.peer, key.mode), &why)
        }
        Err(Failure::Broken(why)) => {
            eprintln!("{why}");
            report.left_out(
                &format!("{} {} {} {}", key.peer, key.program, key.variant, key.mode),
                &why,
            );
        }
    }
}

/// A Poisson process of so many jobs a second; the same for every queue, another in each round.
fn arrivals(rate: u32, seconds: f64, round: usize) -> String {
    let mut state = u64::from(rate) << 32 | round as u64;
    let (mut at, mut due) = (0.0, Vec::new());
    loop {
        // Between 0 and 1, without 0.
        #[allow(clippy::cast_precision_loss, reason = "53 bits")]
        let chance = ((splitmix(&mut state) >> 11) as f64 + 1.0) / 9_007_199_254_740_993.0;
        at -= chance.ln() / f64::from(rate);
        if at > seconds {
            // A queue may want one job at least.
            if due.is_empty() {
                due.push(0.0);
            }
            return write_arrivals(&format!("{rate}-{round}"), &due);
        }
        due.push(at);
    }
}

/// Steele, Lea and Flood 2014.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Writes when jobs are due, and says where as the programs want it.
fn write_arrivals(name: &str, due_seconds: &[f64]) -> String {
    let path: PathBuf = bench_dir().join(format!("arrivals-{name}"));
    let lines: Vec<String> =
        due_seconds.iter().map(|seconds| format!("{:.0}", seconds * 1e6)).collect();
    fs::write(&path, lines.join("\n")).expect("the folder was made and is ours");
    format!("arrivals={}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_checked() {
        for (words, fault) in [
            (vec!["--only", "burn,fly"], Some("fly")),
            (vec!["--sync", "off"], Some("off")),
            (vec!["--peers", "redis"], Some("redis")),
            (vec!["--rounds", "0"], Some("--rounds")),
            (vec!["--quick", "--only", "burn,tree", "--sync", "full", "--rounds", "3"], None),
            (vec!["--peers", "SQLite,huey"], None),
        ] {
            match (read(&words), fault) {
                (Ok(Some(_)), None) => {}
                (Err(why), Some(word)) => assert!(why.contains(word), "{why}"),
                (other, _) => panic!("{words:?}: {}", other.is_ok()),
            }
        }
        let chosen = peers("SQLite").expect("a beginning of two names");
        assert_eq!(chosen, [OURS, "SQLite alone (16)", "SQLite alone (256)"]);
    }
}
