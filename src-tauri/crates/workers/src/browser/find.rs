//! Where a browser is installed.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use super::BrowserError;

/// Names another browser: its path, or its name on the search path.
pub(super) const VARIABLE: &str = "QUAERO_BROWSER";

/// What the browsers are called on the search path, the first one first.
const NAMES: [&str; 7] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "microsoft-edge-stable",
];

/// The browser that `named` names, or else the first that is installed.
pub(super) fn program(named: Option<&OsStr>) -> Result<PathBuf, BrowserError> {
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        let path = Path::new(named);
        let found = if path.components().count() > 1 {
            path.is_file().then(|| path.to_owned())
        } else {
            on_path(named)
        };
        return found.ok_or_else(|| BrowserError::NotThere(path.display().to_string()));
    }
    NAMES
        .iter()
        .find_map(|name| on_path(OsStr::new(&format!("{name}{}", env::consts::EXE_SUFFIX))))
        .or_else(|| usual_places().into_iter().find(|path| path.is_file()))
        .ok_or(BrowserError::None)
}

fn on_path(name: &OsStr) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Where the browsers' own installers put them.
fn usual_places() -> Vec<PathBuf> {
    let under = |variable: &str, files: &[&str]| -> Vec<PathBuf> {
        let folder = env::var_os(variable).map(PathBuf::from);
        folder.iter().flat_map(|folder| files.iter().map(|file| folder.join(file))).collect()
    };
    if cfg!(windows) {
        const FILES: [&str; 3] = [
            r"Google\Chrome\Application\chrome.exe",
            r"Microsoft\Edge\Application\msedge.exe",
            r"Chromium\Application\chrome.exe",
        ];
        let variables = ["ProgramFiles", "ProgramFiles(x86)", "LOCALAPPDATA"];
        return variables.iter().flat_map(|variable| under(variable, &FILES)).collect();
    }
    if cfg!(target_os = "macos") {
        const FILES: [&str; 3] = [
            "Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
            "Applications/Chromium.app/Contents/MacOS/Chromium",
            "Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
        ];
        let mut places: Vec<PathBuf> = FILES.iter().map(|file| Path::new("/").join(file)).collect();
        places.extend(under("HOME", &FILES));
        return places;
    }
    ["/opt/google/chrome/chrome", "/snap/bin/chromium", "/opt/microsoft/msedge/msedge"]
        .map(PathBuf::from)
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_named_by_path_or_by_name() {
        let shell = program(Some(OsStr::new("/bin/sh")));
        assert_eq!(shell.expect("a file"), Path::new("/bin/sh"));
        assert!(program(Some(OsStr::new("sh"))).is_ok_and(|path| path.ends_with("sh")));
        for missing in ["/nowhere/chrome", "no-such-browser"] {
            let error = program(Some(OsStr::new(missing))).expect_err(missing).to_string();
            assert!(error.contains(missing) && error.contains(VARIABLE), "{error}");
        }
    }
}
