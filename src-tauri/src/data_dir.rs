//! Where everything is kept.

use std::{env, ffi::OsString, path::PathBuf};

use quaero_contract::{ApiError, ErrorCode};

/// Names the data folder when there is no `--data-dir`.
const VARIABLE: &str = "QUAERO_DATA_DIR";

/// The data folder as an absolute path: `--data-dir`, else `QUAERO_DATA_DIR`, else the desktop's own
/// place for application data. Nothing is created.
///
/// # Errors
/// If the desktop has no such place.
pub(crate) fn resolve(flag: Option<PathBuf>) -> Result<PathBuf, ApiError> {
    choose(flag, env::var_os(VARIABLE), usual())
}

/// The desktop's own place for Quaero's data.
pub(crate) fn usual() -> Option<PathBuf> {
    dirs::data_dir().map(|dir| dir.join("quaero"))
}

fn choose(
    flag: Option<PathBuf>,
    variable: Option<OsString>,
    usual: Option<PathBuf>,
) -> Result<PathBuf, ApiError> {
    let dir = flag
        .or_else(|| variable.map(PathBuf::from))
        .filter(|dir| !dir.as_os_str().is_empty())
        .or(usual)
        .ok_or_else(|| {
            ApiError::new(ErrorCode::Invalid, "This account has no folder for application data.")
                .with_hint(format!("Name one with --data-dir or {VARIABLE}."))
        })?;
    std::path::absolute(&dir).map_err(|error| {
        ApiError::new(
            ErrorCode::Storage,
            format!("{} cannot be the data folder: {error}.", dir.display()),
        )
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_nearest_wish_wins() {
        let root = env::temp_dir();
        let [flag, variable, usual] = ["flag", "variable", "usual"].map(|name| root.join(name));
        let rows = [
            (Some(&flag), Some(&variable), Some(&usual), Some(&flag)),
            (None, Some(&variable), Some(&usual), Some(&variable)),
            (None, None, Some(&usual), Some(&usual)),
            (None, None, None, None),
        ];
        for (flag, variable, usual, expected) in rows {
            let chosen = choose(flag.cloned(), variable.cloned().map(Into::into), usual.cloned());
            assert_eq!(chosen.ok().as_ref(), expected, "{flag:?}, {variable:?}, {usual:?}");
        }
    }

    #[test]
    fn an_empty_wish_is_none() {
        let usual = env::temp_dir();
        assert_eq!(choose(None, Some(OsString::new()), Some(usual.clone())), Ok(usual));
    }

    #[test]
    fn a_relative_folder_becomes_absolute() {
        let chosen = choose(Some("data".into()), None, None).expect("there is a current folder");
        assert!(
            chosen.is_absolute() && chosen.ends_with(Path::new("data")),
            "{}",
            chosen.display()
        );
    }
}
