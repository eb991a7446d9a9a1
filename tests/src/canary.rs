//! Secrets that are looked for wherever they must not be.

use std::{fs, path::Path};

use aho_corasick::AhoCorasick;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

/// Fewer bytes of a secret stand somewhere by chance.
const SHORTEST: usize = 10;

/// Finds some secrets, and each half of them, in the forms that programs give to texts: as they are, in
/// base64 (of both alphabets, wherever in it they begin), percent-encoded, in hexadecimal, and escaped
/// as in JSON; all of that in any case.
pub struct Canaries {
    finder: AhoCorasick,
    /// What each pattern is.
    names: Vec<String>,
}

impl Canaries {
    /// Looks for these.
    ///
    /// # Panics
    /// If one is too short to be found for sure.
    #[must_use]
    pub fn new(secrets: &[&str]) -> Self {
        let (mut patterns, mut names) = (Vec::new(), Vec::new());
        for secret in secrets {
            let middle = secret.floor_char_boundary(secret.len() / 2);
            for half in [&secret[..middle], &secret[middle..]] {
                assert!(half.len() >= SHORTEST, "{secret} is too short");
                for (form, pattern) in forms(half) {
                    names.push(format!("{secret} ({form})"));
                    patterns.push(pattern);
                }
            }
        }
        let finder = AhoCorasick::builder().ascii_case_insensitive(true).build(patterns);
        Self { finder: finder.expect("some words"), names }
    }

    /// What stands in these bytes first, if anything does.
    #[must_use]
    pub fn found_in(&self, bytes: &[u8]) -> Option<&str> {
        let found = self.finder.find(bytes)?;
        Some(&self.names[found.pattern().as_usize()])
    }

    /// Fails if anything stands in a text.
    ///
    /// # Panics
    /// If it does.
    #[track_caller]
    pub fn assert_none(&self, place: &str, text: &[u8]) {
        if let Some(found) = self.found_in(text) {
            panic!("{found} stands in {place}: {}", String::from_utf8_lossy(text));
        }
    }

    /// Fails if anything stands in a file below a folder, or in its name. Returns how many files there
    /// are.
    ///
    /// # Panics
    /// If it does, or the folder cannot be read.
    #[track_caller]
    pub fn assert_none_below(&self, folder: &Path) -> usize {
        let (mut open, mut files) = (vec![folder.to_owned()], 0);
        while let Some(path) = open.pop() {
            let name = path.as_os_str().as_encoded_bytes();
            assert_eq!(self.found_in(name), None, "the name of {}", path.display());
            // A file of the browser or of the database may be gone by now.
            let Ok(kind) = fs::symlink_metadata(&path).map(|found| found.file_type()) else {
                continue;
            };
            if kind.is_dir() {
                let entries = fs::read_dir(&path).into_iter().flatten().flatten();
                open.extend(entries.map(|entry| entry.path()));
            } else if kind.is_file()
                && let Ok(bytes) = fs::read(&path)
            {
                files += 1;
                assert_eq!(self.found_in(&bytes), None, "in {}", path.display());
            }
        }
        files
    }
}

/// The forms of a text.
fn forms(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let bytes = text.as_bytes();
    let each = |form: fn(u8) -> String| bytes.iter().map(|byte| form(*byte)).collect::<String>();
    let escaped = serde_json::to_string(text).expect("a text");
    let escaped = escaped.trim_matches('"').to_owned();
    let mut forms = vec![
        ("plain", text.to_owned()),
        ("reversed", text.chars().rev().collect()),
        ("JSON", escaped.replace('/', "\\/")),
        ("JSON in JSON", escaped.replace('\\', "\\\\").replace('"', "\\\"")),
        ("JSON", escaped),
        ("hexadecimal", each(|byte| format!("{byte:02x}"))),
        ("percent-encoded", each(|byte| format!("%{byte:02x}"))),
    ];
    // Each program leaves other signs as they are.
    for kept in ["", "-._~", "-._~!$&'()*+,;=:@/", "-._~!$'()*,:@/\""] {
        let some = bytes.iter().map(|byte| match char::from(*byte) {
            c if c.is_ascii_alphanumeric() || kept.contains(c) => c.to_string(),
            _ => format!("%{byte:02x}"),
        });
        forms.push(("percent-encoded", some.collect()));
    }
    for before in 0..3 {
        let shifted = [&vec![0; before], bytes].concat();
        // The first and the last digit may belong to what stands before and after.
        let range = (before * 8).div_ceil(6)..shifted.len() * 8 / 6;
        forms.push(("base64", STANDARD_NO_PAD.encode(&shifted)[range.clone()].to_owned()));
        forms.push(("base64", URL_SAFE_NO_PAD.encode(&shifted)[range].to_owned()));
    }
    forms.into_iter().map(|(name, form)| (name, form.into_bytes())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::KEY;

    #[test]
    fn a_secret_is_found_in_every_form_and_in_part() {
        let canaries = Canaries::new(&[KEY]);
        let code = |before: &str| STANDARD_NO_PAD.encode(format!("{before}{KEY} and more"));
        let percent: String = KEY.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for text in [
            KEY.to_owned(),
            KEY.to_ascii_uppercase(),
            KEY.chars().rev().collect(),
            KEY[KEY.len() / 2..].to_owned(),
            code(""),
            code("a"),
            code("ab").replace('+', "-").replace('/', "_"),
            percent,
            url::form_urlencoded::byte_serialize(KEY.as_bytes()).collect(),
            serde_json::json!({ "key": KEY }).to_string(),
            serde_json::json!({ "text": serde_json::json!({ "key": KEY }).to_string() })
                .to_string(),
        ] {
            let found = canaries.found_in(format!("before {text} after").as_bytes());
            assert!(found.is_some(), "{text}");
        }
        assert_eq!(canaries.found_in(b"canary, key and everything else"), None);
    }
}
