//! Taking secrets out of what others say, in whatever form they repeat them.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use regex::bytes::{NoExpand, Regex, RegexBuilder};
use secrecy::{ExposeSecret, SecretString};

/// What stands in place of a secret.
const HIDDEN: &str = "***";
/// Shorter texts are everywhere, and no secrets.
const SHORTEST: usize = 4;
/// A shorter piece of an encoded secret stands in texts by chance.
const SHORTEST_CODE: usize = 8;
/// An expression of more bytes than this is not made.
const MOST: usize = 64 << 20;

/// Finds some secrets as they are, percent-encoded, escaped as in JSON and HTML, in hexadecimal, and in
/// base64 wherever in it they begin; all of them in any case.
pub struct Redactor(Vec<Regex>);

impl Redactor {
    /// For these secrets.
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a SecretString>) -> Self {
        let texts = secrets.into_iter().map(SecretString::expose_secret);
        Self(texts.filter(|text| text.len() >= SHORTEST).map(expression).collect())
    }

    /// The text without them.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.bytes(text.as_bytes().to_vec())).into_owned()
    }

    /// The bytes without them.
    #[must_use]
    pub fn bytes(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        for secret in &self.0 {
            if secret.is_match(&bytes) {
                bytes = secret.replace_all(&bytes, NoExpand(HIDDEN.as_bytes())).into_owned();
            }
        }
        bytes
    }
}

/// What finds one secret.
fn expression(secret: &str) -> Regex {
    let bytes = secret.as_bytes();
    let mut codes = vec![bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()];
    for before in 0..3 {
        let whole = BASE64.encode([&vec![0; before], bytes].concat());
        // The first and the last digit may belong to what stands before and after.
        let begin = (before * 8).div_ceil(6);
        let end = (before + bytes.len()) * 8 / 6;
        codes.extend(whole.get(begin..end).map(str::to_owned));
    }
    let codes = codes.into_iter().filter(|code| code.len() >= SHORTEST_CODE);
    let forms: Vec<String> =
        std::iter::once(secret.to_owned()).chain(codes).map(|form| form_of(&form)).collect();
    let build = |pattern: &str| {
        RegexBuilder::new(pattern).unicode(false).case_insensitive(true).size_limit(MOST).build()
    };
    let plain = || bytes.iter().map(|byte| format!(r"\x{byte:02x}")).collect::<String>();
    build(&forms.join("|"))
        // One that is too long for that is no key of any service.
        .or_else(|_| build(&plain()))
        .expect("bytes in a row are an expression")
}

/// A text of which every character may be encoded, and every sign escaped.
fn form_of(text: &str) -> String {
    let mut pattern = String::new();
    for c in text.chars() {
        let (mut plain, mut percent) = (String::new(), String::new());
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            let _ = write!(plain, r"\x{byte:02x}");
            // An address within an address is encoded twice.
            let _ = write!(percent, "%(?:25)?{byte:02x}");
        }
        if c.is_ascii_alphanumeric() {
            let _ = write!(pattern, "(?:{c}|{percent})");
            continue;
        }
        let number = u32::from(c);
        let _ = write!(pattern, r"(?:\\*{plain}|{percent}|&#0*{number};|&#x0*{number:x};|");
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(pattern, r"\\+u{unit:04x}");
        }
        pattern.push_str(match c {
            ' ' => r"|\+",
            '&' => "|&amp;",
            '<' => "|&lt;",
            '>' => "|&gt;",
            '"' => "|&quot;",
            '\'' => "|&apos;",
            // As base64 writes them where they stand in addresses.
            '+' => "|-",
            '/' => "|_",
            _ => "",
        });
        pattern.push(')');
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form() {
        const SECRET: &str = "cäna/r+y \"7f\\3a'91<c2&d8>4e";
        let bytes = SECRET.as_bytes();
        let percent = bytes.iter().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let some = SECRET.replace('/', "%2F").replace(' ', "+").replace('"', "%22");
        let json = serde_json_like(SECRET);
        let html = SECRET.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&#62;");
        let hex = bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
        let mut rows = vec![
            SECRET.to_owned(),
            SECRET.to_ascii_uppercase(),
            percent.replace('%', "%25"),
            percent,
            some,
            json,
            html,
            hex,
        ];
        for before in ["", "a", "ab", "user:", "\0user\0"] {
            let code = BASE64.encode(format!("{before}{SECRET}-and-more"));
            rows.push(code.replace('+', "-").replace('/', "_"));
            rows.push(code.replace('+', "%2B").replace('/', "\\/"));
            rows.push(code);
        }
        let redactor = Redactor::new([&SecretString::from(SECRET.to_owned())]);
        for row in rows {
            let left = redactor.text(&format!("before {row} after"));
            assert!(left.starts_with("before ") && left.ends_with(" after"), "{row}: {left}");
            assert!(left.contains(HIDDEN) && left.len() < 50, "{row}: {left}");
        }
        for other in ["", "cäna/r+y", "no secret at all", "7f3a91c2d84e"] {
            assert_eq!(redactor.text(other), other);
        }
    }

    fn serde_json_like(text: &str) -> String {
        text.chars()
            .map(|c| match c {
                '"' | '\\' => format!("\\{c}"),
                c if c.is_ascii() => c.to_string(),
                c => format!("\\u{:04X}", u32::from(c)),
            })
            .collect()
    }

    #[test]
    fn nothing_is_lost_for_want_of_a_secret_and_none_is_too_long() {
        let key = |text: &str| SecretString::from(text.to_owned());
        let none = Redactor::new([&key(""), &key("abc")]);
        assert_eq!(none.text("abc {}"), "abc {}");
        let long = "0123456789".repeat(6_000);
        let left = Redactor::new([&key(&long), &key("canary")]).text(&format!("{long} Canary"));
        assert_eq!(left, "*** ***");
    }
}
