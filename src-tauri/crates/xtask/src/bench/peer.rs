//! The programs that are compared: getting them, and letting one of them run.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use serde_json::Value;

use crate::process::{cargo, describe, find, root, run, target_dir};

/// Longer than any program takes that still works.
const LIMIT: Duration = Duration::from_secs(1_200);

/// What a peer is written in, and so how it is got and started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The engine's own benchmark.
    Engine,
    /// A crawl by the whole application below its window.
    Crawl,
    /// A cargo workspace of its own in this folder.
    Cargo(&'static str),
    /// A script of the npm package that all of them share.
    Node(&'static str),
    /// A script with its requirements in this folder.
    Python(&'static str),
    /// A script that requires nothing.
    Script(&'static str),
}

/// One of the queues that are compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) name: &'static str,
    kind: Kind,
    /// What it can do of `burn latency wake idle tree flow`.
    pub(super) programs: &'static [&'static str],
    /// Whether it can queue several jobs with one call.
    pub(super) batches: bool,
    extra: &'static [&'static str],
}

const QUEUE: &[&str] = &["burn", "latency", "wake", "idle"];

/// How many jobs may run at the same time.
pub(super) const WORKERS: [usize; 3] = [1, 4, 16];

pub(super) const OURS: &str = "quaero";

pub(super) const PEERS: [Peer; 9] = [
    Peer {
        name: OURS,
        kind: Kind::Engine,
        programs: &["burn", "latency", "wake", "idle", "tree", "flow"],
        batches: true,
        extra: &[],
    },
    Peer {
        name: "SQLite alone (16)",
        kind: Kind::Cargo("floor"),
        programs: &["burn"],
        batches: true,
        extra: &["drain=16"],
    },
    Peer {
        name: "SQLite alone (256)",
        kind: Kind::Cargo("floor"),
        programs: &["burn"],
        batches: true,
        extra: &["drain=256"],
    },
    Peer {
        name: "apalis",
        kind: Kind::Cargo("apalis"),
        programs: QUEUE,
        batches: true,
        extra: &[],
    },
    Peer {
        name: "effectum",
        kind: Kind::Cargo("effectum"),
        programs: QUEUE,
        batches: true,
        extra: &[],
    },
    Peer {
        name: "plainjob",
        kind: Kind::Node("plainjob.mjs"),
        programs: QUEUE,
        batches: true,
        extra: &[],
    },
    Peer {
        name: "liteque",
        kind: Kind::Node("liteque.mjs"),
        programs: QUEUE,
        batches: false,
        extra: &[],
    },
    Peer { name: "huey", kind: Kind::Python("huey"), programs: QUEUE, batches: false, extra: &[] },
    Peer {
        name: "persist-queue",
        kind: Kind::Python("persist-queue"),
        programs: QUEUE,
        batches: false,
        extra: &[],
    },
];

const CRAWL: &[&str] = &["crawl"];

/// The crawlers that are compared.
pub(super) const CRAWLERS: [Peer; 4] = [
    Peer { name: OURS, kind: Kind::Crawl, programs: CRAWL, batches: false, extra: &[] },
    Peer {
        name: "spider",
        kind: Kind::Cargo("spider"),
        programs: CRAWL,
        batches: false,
        extra: &[],
    },
    Peer {
        name: "scrapy",
        kind: Kind::Python("scrapy"),
        programs: CRAWL,
        batches: false,
        extra: &[],
    },
    Peer { name: "wget", kind: Kind::Script("wget"), programs: CRAWL, batches: false, extra: &[] },
];

/// A folder for what the benchmark gets and makes.
pub(super) fn bench_dir() -> PathBuf {
    target_dir().join("bench")
}

fn sources() -> PathBuf {
    root().join("tests/bench")
}

fn cannot(what: &Path, error: &std::io::Error) -> String {
    format!("{} cannot be written: {error}.", what.display())
}

/// A peer that is ready to be started.
#[derive(Debug)]
pub(super) struct Installed {
    pub(super) peer: Peer,
    words: Vec<PathBuf>,
}

impl Peer {
    /// The burn-downs that say something of it: how many jobs are queued with one call, and how many
    /// workers there are then.
    pub(super) fn burns(&self) -> Vec<(usize, usize)> {
        match (self.is_floor(), self.batches) {
            (true, _) => vec![(1, 16), (1_000, 16)],
            (false, true) => [(1, 16)].into_iter().chain(WORKERS.map(|n| (1_000, n))).collect(),
            (false, false) => WORKERS.map(|n| (1, n)).to_vec(),
        }
    }

    /// Whether it has no workers: the floor under all queues.
    pub(super) fn is_floor(&self) -> bool {
        self.kind == Kind::Cargo("floor")
    }

    /// Gets and builds it, from its lock file.
    ///
    /// # Errors
    /// Says what could not be got.
    pub(super) fn install(self) -> Result<Installed, String> {
        let words = match self.kind {
            Kind::Engine => vec![build_engine()?],
            Kind::Crawl => vec![build_crawl()?],
            Kind::Script(folder) => {
                vec!["python3".into(), sources().join("peers").join(folder).join("main.py")]
            }
            Kind::Cargo(folder) => vec![build_workspace(folder)?],
            Kind::Node(script) => vec!["node".into(), install_node()?.join(script)],
            Kind::Python(folder) => {
                vec![install_python(folder)?, sources().join("peers").join(folder).join("main.py")]
            }
        };
        Ok(Installed { peer: self, words })
    }
}

fn build_engine() -> Result<PathBuf, String> {
    build(&["--package", "quaero-engine", "--bench", "engine"], "engine")
}

/// The program that crawls for Quaero.
pub(super) fn build_crawl() -> Result<PathBuf, String> {
    build(&["--package", "quaero-tests", "--example", "crawl"], "crawl")
}

fn build(which: &[&str], target: &str) -> Result<PathBuf, String> {
    let output = cargo()
        .args(["build", "--release", "--locked"])
        .args(which)
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo cannot be started: {error}."))?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == target)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .filter(|_| output.status.success())
        .ok_or_else(|| format!("`{target}` could not be built."))
}

fn build_workspace(folder: &str) -> Result<PathBuf, String> {
    let target = bench_dir().join("cargo");
    run(cargo()
        .args(["build", "--quiet", "--release", "--locked", "--manifest-path"])
        .arg(sources().join("peers").join(folder).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target))?;
    Ok(target.join("release").join(format!("bench-{folder}{}", std::env::consts::EXE_SUFFIX)))
}

/// Node looks for packages beside the script, so the scripts are copied to where packages may be.
fn install_node() -> Result<PathBuf, String> {
    let top = bench_dir().join("node");
    let folder = top.join("peers/node");
    fs::create_dir_all(&folder).map_err(|error| cannot(&folder, &error))?;
    let lock = "package-lock.json";
    let had = fs::read(folder.join(lock)).ok();
    let mut files = vec![(sources().join("protocol.mjs"), top.join("protocol.mjs"))];
    for name in ["package.json", lock, "plainjob.mjs", "liteque.mjs"] {
        files.push((sources().join("peers/node").join(name), folder.join(name)));
    }
    for (from, to) in files {
        fs::copy(&from, &to).map_err(|error| cannot(&to, &error))?;
    }
    if had != fs::read(folder.join(lock)).ok() || !folder.join("node_modules").exists() {
        let npm = find("npm").unwrap_or_else(|| "npm".into());
        let done =
            run(Command::new(npm).args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder));
        if done.is_err() {
            // So that the next call tries again.
            let _ = fs::remove_file(folder.join(lock));
        }
        done?;
    }
    Ok(folder)
}

fn install_python(folder: &str) -> Result<PathBuf, String> {
    let environment = bench_dir().join(format!("python-{folder}"));
    let python = environment.join("bin/python");
    let wanted = sources().join("peers").join(folder).join("requirements.txt");
    let stamp = environment.join("requirements.txt");
    if fs::read(&stamp).ok() != fs::read(&wanted).ok() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--require-hashes", "--no-deps", "--requirement"])
            .arg(&wanted))?;
        fs::copy(&wanted, &stamp).map_err(|error| cannot(&stamp, &error))?;
    }
    Ok(python)
}

/// What one run of a program gave.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// How its database says that it is set.
    pub(super) ready: Value,
    /// Numbers, and lists of samples in microseconds.
    pub(super) found: serde_json::Map<String, Value>,
}

/// Why there is no outcome.
#[derive(Debug)]
pub(super) enum Failure {
    /// The peer cannot do this; said by itself.
    Unsupported(String),
    /// It should have been able to.
    Broken(String),
}

impl Installed {
    /// Lets it run one program in a new folder.
    pub(super) fn run(&self, program: &str, arguments: &[String]) -> Result<Outcome, Failure> {
        let broken = |text: String| Failure::Broken(format!("{}: {text}", self.peer.name));
        let name = format!("run-{}", self.peer.name.replace([' ', ','], "-"));
        let folder = bench_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(|error| broken(cannot(&folder, &error)))?;
        let mut command = Command::new(&self.words[0]);
        command
            .args(&self.words[1..])
            .arg(program)
            .arg(format!("dir={}", folder.display()))
            .args(arguments)
            .args(self.peer.extra)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        let outcome = follow(&mut command, &folder).map_err(|failure| match failure {
            Failure::Broken(text) => broken(text),
            unsupported @ Failure::Unsupported(_) => unsupported,
        });
        let _ = fs::remove_dir_all(&folder);
        outcome
    }
}

fn follow(command: &mut Command, folder: &Path) -> Result<Outcome, Failure> {
    let words = describe(command);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| Failure::Broken(format!("{words} cannot be started: {error}.")))?;
    let stdout = BufReader::new(child.stdout.take().expect("piped above"));
    let (send, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    let mut outcome = Outcome::default();
    let mut before = Usage::default();
    let ended = loop {
        let Ok(line) = lines.recv_timeout(LIMIT) else {
            break Err(Failure::Broken(format!("{words} gave no result.")));
        };
        let mut said: Value = serde_json::from_str(&line).unwrap_or(Value::Null);
        if let Some(reason) = said["unsupported"].as_str() {
            break Err(Failure::Unsupported(reason.to_owned()));
        } else if said["ready"].is_object() {
            outcome.ready = said["ready"].take();
        } else if said["idle"] == "begins" {
            before = Usage::of(child.id());
        } else if said["idle"] == "ends" {
            outcome.found.extend(Usage::of(child.id()).since(&before));
        } else if let Value::Object(found) = said["result"].take() {
            outcome.found.extend(found);
            outcome.found.extend(left_behind(child.id(), folder));
            break Ok(());
        }
    };
    if ended.is_err() {
        let _ = child.kill();
    }
    // It may end now.
    drop(child.stdin.take());
    let _ = child.wait();
    ended.map(|()| outcome)
}

/// The processor time and the most memory that a process has had, and its write-ahead log's size.
fn left_behind(pid: u32, folder: &Path) -> Vec<(String, Value)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let memory = number_after(&status, "VmHWM:").unwrap_or(0);
    let log: u64 = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|file| file.file_name().to_string_lossy().ends_with("-wal"))
        .filter_map(|file| file.metadata().ok())
        .map(|data| data.len())
        .sum();
    vec![
        ("process_cpu_ms".to_owned(), cpu_ms(pid).into()),
        ("memory_kib".to_owned(), memory.into()),
        ("wal_bytes".to_owned(), log.into()),
    ]
}

/// The processor time of all threads that a process has had, in Linux's hundredths of a second.
fn cpu_ms(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // After the name, which may contain anything: proc_pid_stat(5), fields 14 and 15.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * 10
}

/// What a process has used so far, as Linux counts it.
#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    cpu_ns: u64,
    wakeups: u64,
    preempted: u64,
    written_bytes: u64,
}

impl Usage {
    fn of(pid: u32) -> Self {
        let mut usage = Self::default();
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let read = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
            let scheduled = read("schedstat");
            let on_cpu = scheduled.split_whitespace().next().and_then(|n| n.parse::<u64>().ok());
            usage.cpu_ns += on_cpu.unwrap_or(0);
            let status = read("status");
            usage.wakeups += number_after(&status, "\nvoluntary_ctxt_switches:").unwrap_or(0);
            usage.preempted += number_after(&status, "nonvoluntary_ctxt_switches:").unwrap_or(0);
        }
        let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        usage.written_bytes = number_after(&io, "\nwrite_bytes:").unwrap_or(0);
        usage
    }

    fn since(&self, before: &Self) -> Vec<(String, Value)> {
        let difference = |now: u64, then: u64| now.saturating_sub(then);
        #[allow(clippy::cast_precision_loss, reason = "a minute at most")]
        let cpu_ms = difference(self.cpu_ns, before.cpu_ns) as f64 / 1e6;
        vec![
            ("cpu_ms".to_owned(), cpu_ms.into()),
            ("wakeups".to_owned(), difference(self.wakeups, before.wakeups).into()),
            ("preempted".to_owned(), difference(self.preempted, before.preempted).into()),
            (
                "written_bytes".to_owned(),
                difference(self.written_bytes, before.written_bytes).into(),
            ),
        ]
    }
}

/// The number that follows a word in a file of `/proc`.
pub(super) fn number_after(text: &str, word: &str) -> Option<u64> {
    let (_, rest) = text.split_once(word)?;
    rest.split_whitespace().next()?.parse().ok()
}
