//! What `cargo xtask` does: build, run and test Quaero on a machine that has nothing but Rust.
//!
//! Plain `std` wherever it goes, because every command waits for this crate to be compiled first.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod bench;
mod display;
mod front_end;
mod machine;
mod process;
mod run;
mod suite;
#[cfg(test)]
mod tidy;

use std::{env, process::ExitCode};

use process::cargo;

const USAGE: &str = "\
Usage: cargo xtask COMMAND

  run [-- ARGS]   build Quaero and open its window; with ARGS, or without a display, use its command line
  test [PART…]    run every check, or only these parts: fmt types lint bindings unit ui e2e
  test crash [--long]
                  prove that nothing is lost when the program is killed or storage fails
  build           leave the release program at target/release/quaero
  bench engine    measure the engine beside other queues; --help says what can be chosen
  bench crawl     measure a crawl beside other crawlers; --help says what can be chosen
  bench extraction [--pages FOLDER] [--structure FOLDER]
                  measure what becomes of pages that people have marked, and of documentation
  bindings        renew ui/src/bindings.ts, the front end's copy of the commands and events
";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["run", rest @ ..] => run::run(rest.strip_prefix(&["--"]).unwrap_or(rest)),
        ["test", "crash", "--long"] => suite::test(&["crash-long"]),
        ["test", parts @ ..] => suite::test(parts),
        ["build"] => build(),
        ["bench", "crawl", rest @ ..] => bench::crawl(rest),
        ["bench", "engine", rest @ ..] => bench::engine(rest),
        ["bench", "extraction", rest @ ..] => bench::extraction(rest),
        ["bindings"] => bindings(),
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        _ => {
            eprint!("{USAGE}");
            Ok(ExitCode::from(2))
        }
    };
    done.unwrap_or_else(|message| {
        eprintln!("{message}");
        ExitCode::FAILURE
    })
}

fn build() -> Result<ExitCode, String> {
    machine::ensure(machine::Purpose::Run)?;
    front_end::build()?;
    process::run(cargo().args(["build", "--release", "--locked", "--package", "quaero"]))?;
    println!("The program is at {}.", process::target_dir().join("release/quaero").display());
    Ok(ExitCode::SUCCESS)
}

fn bindings() -> Result<ExitCode, String> {
    machine::ensure(machine::Purpose::Run)?;
    process::run(
        cargo()
            .args(["test", "--quiet", "--workspace", "--bin", "quaero", suite::BINDINGS_TEST])
            .env("QUAERO_WRITE_BINDINGS", "1"),
    )?;
    println!("ui/src/bindings.ts is up to date.");
    Ok(ExitCode::SUCCESS)
}
