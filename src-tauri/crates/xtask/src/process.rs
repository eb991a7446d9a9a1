//! Starting other programs.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The folder with the workspace's `Cargo.toml`.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.."))
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> PathBuf {
    let dir = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    fs::canonicalize(&dir).unwrap_or(dir)
}

/// A folder for what these commands remember. Made if it is missing.
pub(crate) fn own_dir() -> Result<PathBuf, String> {
    let dir = target_dir().join("xtask");
    fs::create_dir_all(&dir)
        .map_err(|error| format!("{} cannot be made: {error}.", dir.display()))?;
    Ok(dir)
}

/// The cargo that started us, in the workspace.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // A picture of a test that has changed fails, and is not drawn anew.
    command.current_dir(root()).env("INSTA_UPDATE", "no");
    command
}

/// npm, in the front end's folder.
pub(crate) fn npm() -> Command {
    let mut command = Command::new(find("npm").unwrap_or_else(|| "npm".into()));
    // The counts are read from what it prints.
    command.current_dir(root().join("ui")).env("NO_COLOR", "1").env_remove("FORCE_COLOR");
    command
}

/// Runs a program to its end and shows what it prints.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{} failed ({status}).", describe(command)))
}

/// What a program prints, if it can be started and succeeds.
pub(crate) fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Where a program is on the search path.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let endings: &[&str] = if cfg!(windows) { &[".exe", ".cmd"] } else { &[""] };
    env::split_paths(&env::var_os("PATH")?)
        .flat_map(|dir| endings.iter().map(move |ending| dir.join(format!("{program}{ending}"))))
        .find(|path| path.is_file())
}

pub(crate) fn cannot_start(command: &Command, error: &std::io::Error) -> String {
    format!("{} cannot be started: {error}.", describe(command))
}

pub(crate) fn describe(command: &Command) -> String {
    let mut words =
        vec![Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy()];
    words.extend(command.get_args().map(|arg| arg.to_string_lossy()));
    format!("`{}`", words.join(" "))
}
