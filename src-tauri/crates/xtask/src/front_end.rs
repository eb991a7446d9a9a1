//! The front end's packages and its build, each done only when something changed.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
};

use crate::process::{npm, own_dir, root, run};

/// Installs the packages that `package-lock.json` names. Their scripts are not run: nothing we use
/// needs them, and they are how a bad package would get at the machine.
///
/// # Errors
/// If npm fails.
pub(crate) fn install() -> Result<(), String> {
    let ui = root().join("ui");
    let wanted = fingerprint(&[&ui.join("package-lock.json")])?;
    let stamp = own_dir()?.join("packages.stamp");
    if ui.join("node_modules").is_dir() && is_stamped(&stamp, &wanted) {
        return Ok(());
    }
    run(npm().args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]))?;
    write_stamp(&stamp, &wanted)
}

/// Builds `ui/dist`, which the program embeds.
///
/// # Errors
/// If npm fails.
pub(crate) fn build() -> Result<(), String> {
    install()?;
    let ui = root().join("ui");
    let page = ui.join("dist/index.html");
    let inputs = [
        "src",
        "public",
        "index.html",
        "package-lock.json",
        "package.json",
        "tsconfig.json",
        "vite.config.ts",
    ]
    .map(|name| ui.join(name));
    let wanted = fingerprint(&inputs.each_ref().map(std::path::PathBuf::as_path))?;
    let stamp = own_dir()?.join("front-end.stamp");
    // The page is part of the stamp: the program's build script puts one there when there is none.
    if page.exists() && is_stamped(&stamp, &format!("{wanted} {}", fingerprint(&[&page])?)) {
        return Ok(());
    }
    run(npm().args(["run", "build"]))?;
    write_stamp(&stamp, &format!("{wanted} {}", fingerprint(&[&page])?))
}

fn is_stamped(stamp: &Path, wanted: &str) -> bool {
    fs::read_to_string(stamp).is_ok_and(|found| found == wanted)
}

fn write_stamp(stamp: &Path, value: &str) -> Result<(), String> {
    fs::write(stamp, value)
        .map_err(|error| format!("{} cannot be written: {error}.", stamp.display()))
}

/// Changes when the content or the name of one of these files, or of one below these folders, does.
/// What does not exist counts too.
fn fingerprint(paths: &[&Path]) -> Result<String, String> {
    let mut hasher = DefaultHasher::new();
    for path in paths {
        add(path, &mut hasher)
            .map_err(|error| format!("{} cannot be read: {error}.", path.display()))?;
    }
    Ok(format!("{:016x}", hasher.finish()))
}

fn add(path: &Path, hasher: &mut DefaultHasher) -> std::io::Result<()> {
    path.hash(hasher);
    if path.is_dir() {
        let mut entries = fs::read_dir(path)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()?;
        entries.sort();
        return entries.iter().try_for_each(|entry| add(entry, hasher));
    }
    if path.exists() {
        fs::read(path)?.hash(hasher);
    }
    Ok(())
}
