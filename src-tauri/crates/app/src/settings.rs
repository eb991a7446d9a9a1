//! The user's settings: one small JSON file in the data folder, replaced whole.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use quaero_contract::Settings;

use crate::whole_file;

const FILE: &str = "settings.json";
/// A larger file is not one of ours.
const MAX_BYTES: u64 = 32 * 1024 * 1024;
/// Values that are kept.
const MAX_VALUES: usize = 1_000;
/// Bytes of one value.
const MAX_VALUE: usize = 4 * 1024;

/// The settings of one data folder.
#[derive(Clone, Debug)]
pub struct SettingsFile {
    path: PathBuf,
}

impl SettingsFile {
    /// The settings kept in `data_dir`. Nothing is read yet.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self { path: data_dir.join(FILE) }
    }

    /// The settings; the defaults if there are none or if they cannot be understood. A bad file
    /// must never keep Quaero from starting.
    #[must_use]
    pub fn load(&self) -> Settings {
        match self.read() {
            Ok(settings) => settings.unwrap_or_default(),
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "The settings cannot be read; using the defaults.");
                Settings::default()
            }
        }
    }

    /// Replaces the settings. After a crash there are the old or the new ones, never half of them.
    /// A file that could not be understood is kept beside them as `settings.json.damaged`.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn save(&self, settings: &Settings) -> io::Result<()> {
        if self.path.exists() && self.read().is_err() {
            fs::rename(&self.path, self.path.with_extension("json.damaged"))?;
        }
        let mut text = serde_json::to_vec_pretty(settings)?;
        text.push(b'\n');
        whole_file::replace(&self.path, &text)
    }

    fn read(&self) -> io::Result<Option<Settings>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut text = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut text)?;
        if text.len() as u64 > MAX_BYTES {
            return Err(io::Error::other(format!("it is larger than {MAX_BYTES} bytes")));
        }
        let settings = serde_json::from_slice(&text)?;
        match wrong_value(&settings) {
            Some(wrong) => Err(io::Error::other(wrong)),
            None => Ok(Some(settings)),
        }
    }
}

/// What is wrong with the values, if anything is: they are used as `{name}` in definitions.
#[must_use]
pub fn wrong_value(settings: &Settings) -> Option<String> {
    let values = &settings.values;
    if values.len() > MAX_VALUES {
        return Some(format!("There are {} values; at most {MAX_VALUES} are kept.", values.len()));
    }
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    for (name, value) in values {
        if !(1..=64).contains(&name.len()) || !name.chars().all(fits) {
            let name: String = name.chars().take(100).collect();
            return Some(format!("`{name}` is not a name for a value."));
        }
        if value.len() > MAX_VALUE {
            let length = value.len();
            return Some(format!(
                "The value of `{name}` has {length} bytes; at most {MAX_VALUE} are kept."
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use quaero_contract::Theme;

    use super::*;

    #[test]
    fn what_was_saved_is_there_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let settings = SettingsFile::new(dir.path());
        assert_eq!(settings.load(), Settings::default());
        let values = [("company", "Acme \"Ltd\""), ("max_2", "")];
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let dark =
            Settings { theme: Theme::Dark, values: BTreeMap::from(values), ..Settings::default() };
        settings.save(&dark).expect("saved");
        assert_eq!(SettingsFile::new(dir.path()).load(), dark);
        let files: Vec<_> = fs::read_dir(dir.path()).expect("read").collect();
        assert_eq!(files.len(), 1, "nothing else is left behind: {files:?}");
    }

    #[test]
    fn a_damaged_file_means_defaults_and_is_kept() {
        let large = " ".repeat(usize::try_from(MAX_BYTES).expect("it fits") + 1);
        for damage in [
            "",
            "{",
            "{\"theme\":\"pink\"}",
            "{\"theme\":\"dark\",\"new\":1}",
            "{\"values\":{\"A\":\"x\"}}",
            "\u{0}",
            &large,
        ] {
            let dir = tempfile::tempdir().expect("a folder");
            fs::write(dir.path().join(FILE), damage).expect("written");
            let settings = SettingsFile::new(dir.path());
            assert_eq!(settings.load(), Settings::default(), "{damage:.30}");
            let light = Settings { theme: Theme::Light, ..Settings::default() };
            settings.save(&light).expect("saved");
            assert_eq!(settings.load(), light);
            let kept = fs::read_to_string(dir.path().join("settings.json.damaged")).expect("kept");
            assert_eq!(kept, damage);
        }
    }

    #[test]
    fn a_failed_save_leaves_the_old_settings() {
        let dir = tempfile::tempdir().expect("a folder");
        let settings = SettingsFile::new(&dir.path().join("gone"));
        settings.save(&Settings::default()).expect_err("there is no such folder");
        fs::create_dir(dir.path().join(FILE)).expect("a folder in the place of the file");
        let blocked = SettingsFile::new(dir.path());
        assert_eq!(blocked.load(), Settings::default());
    }

    #[test]
    fn a_wrong_value_is_named() {
        let long = "x".repeat(MAX_VALUE + 1);
        let name = "n".repeat(65);
        let rows = [
            ("a_1", "x", None),
            ("", "x", Some("`` is not a name")),
            ("Company", "x", Some("`Company` is not a name")),
            ("a-b", "x", Some("`a-b` is not a name")),
            (&name, "x", Some("is not a name")),
            ("a", &long, Some("`a` has 4097 bytes")),
        ];
        for (name, value, expected) in rows {
            let values = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            let found = wrong_value(&Settings { values, ..Settings::default() });
            match expected {
                Some(part) => {
                    assert!(found.as_ref().is_some_and(|f| f.contains(part)), "{found:?}")
                }
                None => assert_eq!(found, None),
            }
        }
        let values = (0..=MAX_VALUES).map(|n| (format!("n{n}"), String::new())).collect();
        let found = wrong_value(&Settings { values, ..Settings::default() });
        assert!(found.is_some_and(|found| found.contains("1001 values")));
    }
}
