//! Quaero. Without a subcommand it opens the window; with one it is a command-line program.

mod bindings;
mod bridge;
mod cli;
mod commands;
mod data_dir;
mod gpu;
mod host;
mod logging;
mod sign_in;
mod window;

use std::{env, ffi::OsString, path::PathBuf, process::ExitCode};

fn main() -> ExitCode {
    leave_no_core_dump();
    let args: Vec<OsString> = env::args_os().skip(1).collect();
    match wish(&args) {
        Wish::Window { data_dir } => {
            // First of all, because it sets the environment, which has to happen before any thread.
            gpu::avoid_a_slow_path();
            window::run(data_dir)
        }
        Wish::ExtractPdf => quaero_workers::extract::pdf_child_main(),
        Wish::Command => cli::run(args),
    }
}

/// It would hold the user's keys.
#[cfg(unix)]
fn leave_no_core_dump() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // A file of one byte is none. On Linux it is also the one limit that keeps the system from handing
    // the dump to a program of its own, which takes no notice of 0.
    let most = if cfg!(target_os = "linux") { 1 } else { 0 };
    let maximum = getrlimit(Resource::Core).maximum;
    let current = Some(maximum.map_or(most, |maximum| maximum.min(most)));
    // Where the system refuses, it is as before.
    let _ = setrlimit(Resource::Core, Rlimit { current, maximum });
}

#[cfg(not(unix))]
fn leave_no_core_dump() {}

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    /// Nothing but, perhaps, where the data is.
    Window { data_dir: Option<PathBuf> },
    /// Quaero started itself to read a PDF file away from its own memory.
    ExtractPdf,
    /// Anything else, even if it is wrong: the command line explains.
    Command,
}

fn wish(args: &[OsString]) -> Wish {
    let texts: Vec<Option<&str>> = args.iter().map(|arg| arg.to_str()).collect();
    match texts.as_slice() {
        [] => Wish::Window { data_dir: None },
        [Some("__extract-pdf"), ..] => Wish::ExtractPdf,
        [Some("--data-dir"), _] => Wish::Window { data_dir: Some(PathBuf::from(&args[1])) },
        [Some(arg)] if arg.starts_with("--data-dir=") => {
            Wish::Window { data_dir: arg.strip_prefix("--data-dir=").map(PathBuf::from) }
        }
        _ => Wish::Command,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_subcommand_keeps_the_window_closed() {
        let window = |dir: Option<&str>| Wish::Window { data_dir: dir.map(PathBuf::from) };
        let rows: [(&[&str], Wish); 7] = [
            (&[], window(None)),
            (&["--data-dir", "/tmp/q"], window(Some("/tmp/q"))),
            (&["--data-dir=/tmp/q"], window(Some("/tmp/q"))),
            (&["--data-dir"], Wish::Command),
            (&["--data-dir", "/tmp/q", "runs", "list"], Wish::Command),
            (&["--help"], Wish::Command),
            (&["__extract-pdf", "x"], Wish::ExtractPdf),
        ];
        for (args, expected) in rows {
            let args: Vec<OsString> = args.iter().map(OsString::from).collect();
            assert_eq!(wish(&args), expected, "{args:?}");
        }
    }
}
