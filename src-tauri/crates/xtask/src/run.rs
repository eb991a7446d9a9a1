//! `cargo xtask run`.

use std::{
    env,
    process::{Command, ExitCode},
};

use crate::{
    front_end, machine,
    process::{self, cannot_start, cargo, root},
};

/// Builds Quaero and starts it. Without a display and without arguments, shows what it can do there.
///
/// # Errors
/// If it cannot be built or started.
pub(crate) fn run(args: &[&str]) -> Result<ExitCode, String> {
    machine::ensure(machine::Purpose::Run)?;
    front_end::build()?;
    process::run(cargo().args(["build", "--locked", "--package", "quaero"]))?;
    if args.is_empty() && !has_display() {
        return without_a_display();
    }
    quaero(args)
}

/// Indexes the project's own documents with the shipped definition, on the command line.
fn without_a_display() -> Result<ExitCode, String> {
    println!(
        "There is no display, so the window cannot open. Quaero works without one too:\n\
         it will read the files of this project and make them searchable.\n"
    );
    let root = root()
        .canonicalize()
        .map_err(|error| format!("The project's folder cannot be found: {error}."))?;
    let folder = format!("folder={}", root.display());
    let definition = root.join("job-definitions/index-folder.toml");
    let code = quaero(&["run", &definition.to_string_lossy(), "--set", &folder])?;
    if code == ExitCode::SUCCESS {
        println!("\nTry next: cargo xtask run -- docs search \"crash recovery\"");
    }
    Ok(code)
}

fn quaero(args: &[&str]) -> Result<ExitCode, String> {
    let mut command = Command::new(program());
    command.args(args);
    let status = command.status().map_err(|error| cannot_start(&command, &error))?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The debug build.
pub(crate) fn program() -> std::path::PathBuf {
    process::target_dir().join("debug").join(format!("quaero{}", env::consts::EXE_SUFFIX))
}

fn has_display() -> bool {
    let named = |variable| env::var_os(variable).is_some_and(|value| !value.is_empty());
    !cfg!(target_os = "linux") || named("DISPLAY") || named("WAYLAND_DISPLAY")
}
