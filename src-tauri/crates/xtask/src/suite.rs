//! `cargo xtask test`: every check, the quickest first.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use crate::{
    display::Display,
    front_end,
    machine::{self, Purpose},
    process::{self, cannot_start, cargo, describe, npm, own_dir},
    run::program,
};

/// Compares the committed bindings with what the program would export.
pub(crate) const BINDINGS_TEST: &str = "the_front_end_has_the_present_bindings";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Fmt,
    Types,
    Lint,
    Bindings,
    Unit,
    Ui,
    E2e,
    /// The part of `Unit` that is about crashes and faults, alone.
    Crash,
    /// Much more of the same.
    CrashLong,
}

impl Part {
    /// In the order in which they run: what fails quickly comes first.
    const ALL: [Self; 7] =
        [Self::Fmt, Self::Types, Self::Lint, Self::Bindings, Self::Unit, Self::Ui, Self::E2e];

    const fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Types => "types",
            Self::Lint => "lint",
            Self::Bindings => "bindings",
            Self::Unit => "unit",
            Self::Ui => "ui",
            Self::E2e => "e2e",
            Self::Crash => "crash",
            Self::CrashLong => "crash-long",
        }
    }

    fn run(self) -> Counts {
        match self {
            Self::Fmt => Counts::of_one(&process::run(cargo().args(["fmt", "--all", "--check"]))),
            Self::Types => {
                prepared(front_end::install, || check(npm().args(["run", "--silent", "check"])))
            }
            Self::Lint => lint(),
            Self::Bindings => {
                let of_program = ["test", "--workspace", "--locked", "--bin", "quaero"];
                count(cargo().args(of_program).arg(BINDINGS_TEST))
            }
            Self::Unit => unit(),
            Self::Ui => prepared(front_end::install, || {
                count(npm().args(["test", "--silent"]))
                    + check(npm().args(["run", "--silent", "test:axe"]))
            }),
            Self::E2e => e2e(),
            Self::Crash => crash(false),
            Self::CrashLong => crash(true),
        }
    }
}

/// Runs these parts, or all of them, and says how each ended.
///
/// # Errors
/// If a part has no such name, or the machine lacks something.
pub(crate) fn test(names: &[&str]) -> Result<ExitCode, String> {
    let known = || Part::ALL.into_iter().chain([Part::Crash, Part::CrashLong]);
    let unknown = names.iter().find(|name| known().all(|part| part.name() != **name));
    if let Some(name) = unknown {
        let parts: Vec<&str> = known().map(Part::name).collect();
        return Err(format!("There is no part {name}. The parts are: {}.", parts.join(" ")));
    }
    machine::ensure(Purpose::Test)?;
    let results: Vec<(Part, Counts, Duration)> = known()
        .filter(|part| match names {
            // The short form of the crash tests is among the unit tests.
            [] => Part::ALL.contains(part),
            names => names.contains(&part.name()),
        })
        .map(|part| {
            println!("\n== {}", part.name());
            let start = Instant::now();
            (part, part.run(), start.elapsed())
        })
        .collect();

    println!("\n{:<10}{:>8}{:>8}{:>10}", "part", "passed", "failed", "time");
    let mut all = Counts::default();
    for (part, counts, time) in results {
        println!(
            "{:<10}{:>8}{:>8}{:>8.1} s",
            part.name(),
            counts.passed,
            counts.failed,
            time.as_secs_f64()
        );
        all = all + counts;
    }
    println!("\n{} passed, {} failed", all.passed, all.failed);
    Ok(if all.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The architecture's rules, clippy and, where it is installed, cargo-deny. Its advisories need a
/// database from the network, so they are not asked for here.
fn lint() -> Counts {
    let rules = count(cargo().args(["test", "--locked", "--quiet", "--package", "xtask"]));
    let clippy = "clippy --workspace --all-targets --features quaero-tests/window --locked --quiet -- -D warnings";
    let clippy = check(cargo().args(clippy.split(' ')));
    if process::find("cargo-deny").is_none() {
        println!(
            "cargo-deny is not installed; licences and sources of dependencies were not checked."
        );
        return rules + clippy;
    }
    rules
        + clippy
        + check(cargo().args(["deny", "--offline", "check", "bans", "licenses", "sources"]))
}

// Tests are built with `--workspace` throughout: with another selection of packages, cargo would build
// many libraries once more, with other features.

/// Every Rust test but those that drive the window and those of the other parts.
fn unit() -> Counts {
    with_program(|program, home| {
        let counts = count(
            cargo()
                .args(["test", "--workspace", "--exclude", "xtask", "--locked", "--no-fail-fast"])
                .args(["--", "--skip", BINDINGS_TEST])
                .env("QUAERO_BIN", program)
                .envs(home.variables()),
        );
        counts + Counts::of_one(&home.is_untouched())
    })
}

/// What proves that nothing is lost: crashes, faults, the model and the simulation.
fn crash(long: bool) -> Counts {
    let run = |arguments: &str| {
        let mut command = cargo();
        command.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
        command.args(arguments.split(' '));
        if long {
            command.env("QUAERO_LONG", "1").env("QUAERO_SEEDS", "100000");
        }
        count(&mut command)
    };
    run("--test crash --test model")
        + run("--lib simulation")
        + run("--lib machine::transactions")
        + run("--test main every_commit")
}

/// The tests that drive the real window, on a display and a message bus of their own.
fn e2e() -> Counts {
    if !cfg!(target_os = "linux") {
        println!("The window can only be driven on Linux; skipped.");
        return Counts::default();
    }
    prepared(front_end::build, || {
        with_program(|program, home| {
            prepared_with(Display::start, |display| {
                count(
                    Command::new("dbus-run-session")
                        .arg("--")
                        .arg(cargo().get_program())
                        .args(
                            "test --workspace --locked --features quaero-tests/window --test window"
                                .split(' '),
                        )
                        .current_dir(process::root())
                        .env("QUAERO_BIN", program)
                        .env("DISPLAY", display.name())
                        .env_remove("WAYLAND_DISPLAY")
                        // The test's bus offers neither accessibility nor the desktop's own dialogs.
                        .env("NO_AT_BRIDGE", "1")
                        .env("GTK_USE_PORTAL", "0")
                        .envs(home.variables()),
                )
            })
        })
    })
}

/// Builds the program, which tests find by `QUAERO_BIN`, and gives them a home of their own. All
/// targets are built, so that the libraries have the features that the tests use too.
fn with_program(tests: impl FnOnce(&Path, &Home) -> Counts) -> Counts {
    prepared(
        || process::run(cargo().args(["build", "--locked", "--workspace", "--all-targets"])),
        || prepared_with(Home::make, |home| tests(&program(), &home)),
    )
}

/// Stands in for the user's folders, which no test may touch.
struct Home(PathBuf);

impl Home {
    fn make() -> Result<Self, String> {
        let dir = own_dir()?.join(format!("home-{}", std::process::id()));
        fs::create_dir_all(&dir)
            .map_err(|error| format!("{} cannot be made: {error}.", dir.display()))?;
        Ok(Self(dir))
    }

    fn variables(&self) -> [(&'static str, PathBuf); 4] {
        [
            ("XDG_DATA_HOME", self.0.join("data")),
            ("XDG_CONFIG_HOME", self.0.join("config")),
            ("XDG_CACHE_HOME", self.0.join("cache")),
            ("XDG_STATE_HOME", self.0.join("state")),
        ]
    }

    fn is_untouched(&self) -> Result<(), String> {
        let found: Vec<String> = fs::read_dir(self.0.join("data"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        if found.is_empty() {
            return Ok(());
        }
        Err(format!(
            "A test wrote to the user's data folder: {}. Give it a temporary one.",
            found.join(", ")
        ))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Tests that ended well and badly. A check that is not made of tests counts as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u32,
    failed: u32,
}

impl Counts {
    /// One check; says why it failed.
    fn of_one(result: &Result<(), String>) -> Self {
        match result {
            Ok(()) => Self { passed: 1, failed: 0 },
            Err(message) => {
                println!("{message}");
                Self { passed: 0, failed: 1 }
            }
        }
    }
}

impl std::ops::Add for Counts {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { passed: self.passed + other.passed, failed: self.failed + other.failed }
    }
}

fn check(command: &mut Command) -> Counts {
    Counts::of_one(&process::run(command))
}

/// The checks, if what they need can be had; else one failure.
fn prepared(first: impl FnOnce() -> Result<(), String>, then: impl FnOnce() -> Counts) -> Counts {
    prepared_with(first, |()| then())
}

fn prepared_with<T>(
    first: impl FnOnce() -> Result<T, String>,
    then: impl FnOnce(T) -> Counts,
) -> Counts {
    match first() {
        Ok(value) => then(value),
        Err(message) => Counts::of_one(&Err(message)),
    }
}

/// Runs tests, shows what they print, and counts them. A command that runs no test has failed: a
/// filter that fits nothing would look like success.
fn count(command: &mut Command) -> Counts {
    match try_count(command) {
        Ok(counts) => counts,
        Err(message) => Counts::of_one(&Err(message)),
    }
}

fn try_count(command: &mut Command) -> Result<Counts, String> {
    let mut child =
        command.stdout(Stdio::piped()).spawn().map_err(|error| cannot_start(command, &error))?;
    let mut counts = Counts::default();
    for line in BufReader::new(child.stdout.take().expect("piped above")).split(b'\n') {
        let line = line.map_err(|error| {
            format!("The output of {} cannot be read: {error}.", describe(command))
        })?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        counts = counts + counts_in(&line);
    }
    let status =
        child.wait().map_err(|error| format!("{} was lost: {error}.", describe(command)))?;
    match (status.success(), counts) {
        (true, Counts { passed: 0, failed: 0 }) => {
            Err(format!("{} ran no test.", describe(command)))
        }
        // Something other than a test: it does not compile, or a test ended the whole program.
        (false, Counts { passed, failed: 0 }) => {
            println!("{} failed ({status}).", describe(command));
            Ok(Counts { passed, failed: 1 })
        }
        _ => Ok(counts),
    }
}

/// Reads cargo's `test result: ok. 3 passed; 0 failed; …` and Vitest's `Tests  1 failed | 3 passed (4)`.
fn counts_in(line: &str) -> Counts {
    let line = line.trim_start();
    let Some(summary) = line.strip_prefix("test result: ").or_else(|| line.strip_prefix("Tests "))
    else {
        return Counts::default();
    };
    let words: Vec<&str> = summary
        .split(|c: char| c.is_whitespace() || ";|.".contains(c))
        .filter(|w| !w.is_empty())
        .collect();
    let number_before = |name: &str| {
        words
            .windows(2)
            .find(|pair| pair[1] == name)
            .and_then(|pair| pair[0].parse().ok())
            .unwrap_or(0)
    };
    Counts { passed: number_before("passed"), failed: number_before("failed") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_both_worlds_are_counted() {
        let rows = [
            (
                "test result: ok. 16 passed; 0 failed; 2 ignored; 0 measured; 1 filtered out; finished in 0.04s",
                16,
                0,
            ),
            (
                "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
                3,
                2,
            ),
            ("      Tests  12 passed (12)", 12, 0),
            ("      Tests  1 failed | 11 passed | 2 skipped (14)", 11, 1),
            (" Test Files  3 passed (3)", 0, 0),
            ("test bridge::tests::a_batch ... ok", 0, 0),
            ("", 0, 0),
        ];
        for (line, passed, failed) in rows {
            assert_eq!(counts_in(line), Counts { passed, failed }, "{line}");
        }
    }
}
