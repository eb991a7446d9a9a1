//! The user's settings: one small JSON file in the data folder, replaced whole.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use quaero_contract::Settings;

const FILE: &str = "settings.json";
/// A larger file is not one of ours.
const MAX_BYTES: u64 = 64 * 1024;

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
        replace(&self.path, &text)
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
        Ok(Some(serde_json::from_slice(&text)?))
    }
}

/// Writes a file so that it is there whole or not at all.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let partial = path.with_extension(format!("{}.partial", std::process::id()));
    let written = File::create(&partial).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    if let Err(error) = written.and_then(|()| fs::rename(&partial, path)) {
        // What is left of the attempt is of no use; the error that matters is the first.
        let _ = fs::remove_file(&partial);
        return Err(error);
    }
    // The new name has to survive a loss of power as well. Not every system can do this.
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use quaero_contract::Theme;

    use super::*;

    #[test]
    fn what_was_saved_is_there_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let settings = SettingsFile::new(dir.path());
        assert_eq!(settings.load(), Settings::default());
        settings.save(&Settings { theme: Theme::Dark }).expect("saved");
        assert_eq!(SettingsFile::new(dir.path()).load(), Settings { theme: Theme::Dark });
        let files: Vec<_> = fs::read_dir(dir.path()).expect("read").collect();
        assert_eq!(files.len(), 1, "nothing else is left behind: {files:?}");
    }

    #[test]
    fn a_damaged_file_means_defaults_and_is_kept() {
        let large = "x".repeat(100_000);
        for damage in
            ["", "{", "{\"theme\":\"pink\"}", "{\"theme\":\"dark\",\"new\":1}", "\u{0}", &large]
        {
            let dir = tempfile::tempdir().expect("a folder");
            fs::write(dir.path().join(FILE), damage).expect("written");
            let settings = SettingsFile::new(dir.path());
            assert_eq!(settings.load(), Settings::default(), "{damage:.30}");
            settings.save(&Settings { theme: Theme::Light }).expect("saved");
            assert_eq!(settings.load(), Settings { theme: Theme::Light });
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
}
