//! Cookies as other programs export them: `cookies.txt` of Netscape's old browser, or the JSON of
//! browser extensions and test tools.

use quaero_net::Cookie;
use serde::Deserialize;

/// Bytes of a file of cookies.
const MAX_TEXT: usize = 4 << 20;
/// Cookies of one file.
const MAX_COOKIES: usize = 10_000;
/// Bytes of a name and its value, as browsers have it.
const MAX_COOKIE: usize = 4096;

/// The cookies in a text, of whatever site; and how many of them cannot be sent.
///
/// # Errors
/// What is wrong, without a word of what stands there.
pub(super) fn parse(text: &str) -> Result<(Vec<Cookie>, u32), String> {
    if text.len() > MAX_TEXT {
        return Err(format!("The file of cookies is larger than {} MB.", MAX_TEXT >> 20));
    }
    let text = text.trim_start_matches('\u{feff}');
    let cookies = match text.trim_start().chars().next() {
        None => Vec::new(),
        Some('[' | '{') => json(text)?,
        Some(_) => netscape(text)?,
    };
    if cookies.len() > MAX_COOKIES {
        return Err(format!("The file has more than {MAX_COOKIES} cookies."));
    }
    let all = cookies.len();
    let sound: Vec<Cookie> = cookies.into_iter().filter(is_sound).collect();
    let unsound = u32::try_from(all - sound.len()).unwrap_or(u32::MAX);
    Ok((sound, unsound))
}

fn is_sound(cookie: &Cookie) -> bool {
    let plain = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b';');
    !cookie.name.is_empty()
        && !cookie.domain.is_empty()
        && cookie.path.starts_with('/')
        && plain(&cookie.name)
        && plain(&cookie.value)
        && cookie.name.len() + cookie.value.len() <= MAX_COOKIE
}

/// A host, and whether those below it are meant, too.
fn domain(text: &str) -> (String, bool) {
    let bare = text.trim().trim_start_matches('.').to_ascii_lowercase();
    (bare, text.trim().starts_with('.'))
}

/// Domain, whether hosts below it are meant, path, whether only https, end, name, value.
fn netscape(text: &str) -> Result<Vec<Cookie>, String> {
    let mut cookies = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim_end_matches('\r');
        let line = line.strip_prefix("#HttpOnly_").unwrap_or(line);
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = line.split('\t').collect();
        let ([host, below, path, secure, ends, name], value) = match fields[..] {
            [a, b, c, d, e, f] => ([a, b, c, d, e, f], ""),
            [a, b, c, d, e, f, value] => ([a, b, c, d, e, f], value),
            _ => {
                return Err(format!(
                    "Line {} is no line of a cookies.txt file: it has {} fields between tabs instead of 7.",
                    at + 1,
                    fields.len()
                ));
            }
        };
        let yes = |text: &str| text.eq_ignore_ascii_case("true");
        let ends: i64 = ends.trim().parse().map_err(|_| {
            format!("Line {} of the cookies.txt file has no number for the cookie's end.", at + 1)
        })?;
        let (domain, dotted) = domain(host);
        cookies.push(Cookie {
            name: name.to_owned(),
            value: value.to_owned(),
            domain,
            subdomains: dotted || yes(below),
            path: path.to_owned(),
            secure: yes(secure),
            expires: (ends > 0).then_some(ends),
        });
    }
    Ok(cookies)
}

/// A list of cookies, or an object with one.
fn json(text: &str) -> Result<Vec<Cookie>, String> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum File {
        List(Vec<Entry>),
        Object { cookies: Vec<Entry> },
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Entry {
        name: String,
        value: String,
        domain: String,
        path: Option<String>,
        secure: Option<bool>,
        host_only: Option<bool>,
        session: Option<bool>,
        #[serde(alias = "expires")]
        expiration_date: Option<f64>,
    }
    // The library's own message could quote a value.
    let file: File = serde_json::from_str(text).map_err(|_| {
        "The JSON is no list of cookies; each needs `name`, `value` and `domain`.".to_owned()
    })?;
    let (File::List(entries) | File::Object { cookies: entries }) = file;
    let cookies = entries.into_iter().map(|entry| {
        let (domain, dotted) = domain(&entry.domain);
        let ends = entry.expiration_date.filter(|ends| *ends > 0.0 && *ends < 1e15);
        #[allow(clippy::cast_possible_truncation, reason = "whole seconds are meant, and it fits")]
        let ends = ends.filter(|_| entry.session != Some(true)).map(|ends| ends as i64);
        Cookie {
            name: entry.name,
            value: entry.value,
            domain,
            subdomains: entry.host_only.map_or(dotted, |only| !only),
            path: entry.path.unwrap_or_else(|| "/".to_owned()),
            secure: entry.secure.unwrap_or(false),
            expires: ends,
        }
    });
    Ok(cookies.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<(Vec<String>, u32), String> {
        let (cookies, unsound) = parse(text)?;
        let shown = cookies.iter().map(|cookie| {
            let Cookie { name, value, domain, subdomains, path, secure, expires } = cookie;
            format!("{name}={value} {domain} {subdomains} {path} {secure} {expires:?}")
        });
        Ok((shown.collect(), unsound))
    }

    #[test]
    fn files_of_cookies_are_read_as_they_are_exported() {
        let rows: [(&str, &[&str], u32); 8] = [
            ("", &[], 0),
            (
                "# Netscape HTTP Cookie File\r\n\r\n.example.org\tTRUE\t/\tTRUE\t1900000000\tsid\tabc=1\r\nwww.example.org\tFALSE\t/a\tFALSE\t0\tb\t\r\n",
                &[
                    "sid=abc=1 example.org true / true Some(1900000000)",
                    "b= www.example.org false /a false None",
                ],
                0,
            ),
            (
                "#HttpOnly_.Example.org\tTRUE\t/\tFALSE\t0\tsid\tx\n# a remark\n",
                &["sid=x example.org true / false None"],
                0,
            ),
            ("a.example\tFALSE\t/\tFALSE\t0\tempty", &["empty= a.example false / false None"], 0),
            (
                r#"[{"domain":".example.org","expirationDate":1900000000.5,"hostOnly":false,"httpOnly":true,"name":"sid","path":"/","sameSite":"lax","secure":true,"session":false,"storeId":"0","value":"v","id":1}]"#,
                &["sid=v example.org true / true Some(1900000000)"],
                0,
            ),
            (
                r#"{"cookies":[{"name":"a","value":"v","domain":"example.org","path":"/","expires":-1}],"origins":[]}"#,
                &["a=v example.org false / false None"],
                0,
            ),
            (
                r#"[{"domain":"example.org","hostOnly":true,"name":"a","value":"v","session":true,"expirationDate":5}]"#,
                &["a=v example.org false / false None"],
                0,
            ),
            (
                "a.example\tFALSE\t/\tFALSE\t0\tbad\ta\u{7f}b\na.example\tFALSE\tx\tFALSE\t0\tbad\tv\na.example\tFALSE\t/\tFALSE\t0\t\tv\na.example\tFALSE\t/\tFALSE\t0\tbad\ta; b",
                &[],
                4,
            ),
        ];
        for (text, expected, unsound) in rows {
            let expected: Vec<String> = expected.iter().map(|line| (*line).to_owned()).collect();
            assert_eq!(shown(text), Ok((expected, unsound)), "{text}");
        }
    }

    #[test]
    fn what_is_no_file_of_cookies_is_refused_without_being_quoted() {
        let long = "x".repeat(MAX_TEXT + 1);
        let rows = [
            ("canary", "Line 1"),
            ("# remark\na\tb\tcanary", "Line 2"),
            ("a.example\tFALSE\t/\tFALSE\tcanary\tn\tv", "number"),
            (r#"{"canary": 1}"#, "no list"),
            (r#"[{"name": "canary", "value": 5}]"#, "no list"),
            ("[canary", "no list"),
            (long.as_str(), "larger"),
        ];
        for (text, expected) in rows {
            let error = parse(text).expect_err("no cookies");
            assert!(error.contains(expected) && !error.contains("canary"), "{error}");
        }
    }
}
