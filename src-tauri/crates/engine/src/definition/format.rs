//! The formats that a text field can have. A schema names one (`"format": "glob"`); this is the
//! only place that says what it means.

use std::sync::LazyLock;

use jiff::tz::TimeZoneDatabase;
use serde_json::Value;
use url::{Host, Url};

use super::{
    LIMITS,
    duration::parse_duration,
    fault::{did_you_mean, quote},
};
use crate::schedule::Schedule;

/// Why a value does not have the format.
pub(super) struct Misfit {
    pub(super) code: &'static str,
    /// Follows the name of the field: "must be …".
    pub(super) message: String,
    pub(super) fix: Option<String>,
}

fn misfit(code: &'static str, message: impl Into<String>) -> Misfit {
    Misfit { code, message: message.into(), fix: None }
}

impl Misfit {
    fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

/// Checks a value against a format. Formats that are not listed here accept everything.
pub(super) fn check(format: &str, value: &Value) -> Result<(), Misfit> {
    match value {
        Value::String(text) => match format {
            "regex" => regex(text),
            "glob" => glob(text),
            "uri" => uri(text),
            "host" => host(text),
            "tag" => tag(text),
            "id" => id(text),
            "folder" => folder(text),
            "duration" => duration(text).map(drop),
            "timeout" => timeout(text),
            "schedule" => schedule(text),
            "timezone" => timezone(text),
            _ => Ok(()),
        },
        Value::Number(number) => {
            let fits = match format {
                "uint8" => number.as_u64().is_some_and(|n| u8::try_from(n).is_ok()),
                "uint16" => number.as_u64().is_some_and(|n| u16::try_from(n).is_ok()),
                "uint32" => number.as_u64().is_some_and(|n| u32::try_from(n).is_ok()),
                "int32" => number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
                _ => true,
            };
            if fits { Ok(()) } else { Err(misfit("out_of_range", format!("cannot be {number}."))) }
        }
        _ => Ok(()),
    }
}

fn regex(text: &str) -> Result<(), Misfit> {
    if text.chars().count() > LIMITS.pattern_chars {
        return Err(misfit(
            "bad_regex",
            format!("is longer than {} characters.", LIMITS.pattern_chars),
        )
        .fix("Split it into several patterns."));
    }
    match regex::RegexBuilder::new(text).size_limit(LIMITS.pattern_bytes).nest_limit(50).build() {
        Ok(_) => Ok(()),
        Err(regex::Error::CompiledTooBig(_)) => {
            Err(misfit("bad_regex", "becomes too large when compiled.")
                .fix("Use smaller repetition counts."))
        }
        Err(error) => {
            let text = error.to_string();
            let reason = text.lines().rev().find_map(|line| line.strip_prefix("error: "));
            let reason = reason.unwrap_or("it does not parse");
            Err(misfit(
                "bad_regex",
                format!("is not a regular expression that works here: {reason}."),
            ))
        }
    }
}

fn glob(text: &str) -> Result<(), Misfit> {
    if text.is_empty() || text.chars().count() > LIMITS.pattern_chars {
        return Err(misfit(
            "bad_glob",
            format!("must have 1 to {} characters.", LIMITS.pattern_chars),
        ));
    }
    // Braces nest by recursion.
    let mut depth = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > 8 {
            return Err(misfit("bad_glob", "nests braces more than 8 deep."));
        }
    }
    let glob = globset::Glob::new(text)
        .map_err(|error| misfit("bad_glob", format!("is not a file pattern: {}.", error.kind())))?;
    regex::bytes::RegexBuilder::new(glob.regex())
        .size_limit(LIMITS.pattern_bytes)
        .build()
        .map(drop)
        .map_err(|_| misfit("bad_glob", "becomes too large when compiled."))
}

fn uri(text: &str) -> Result<(), Misfit> {
    let bad = |message: String| misfit("bad_url", message);
    if text.len() > 2048 {
        return Err(bad("is longer than 2048 bytes.".to_owned()));
    }
    let url = Url::parse(text).map_err(|error| {
        let fault = bad(match error {
            url::ParseError::RelativeUrlWithoutBase => {
                "must be a web address that starts with http:// or https://.".to_owned()
            }
            error => format!("is not a web address: {error}."),
        });
        if text.contains('.') && !text.contains("://") && !text.contains(char::is_whitespace) {
            return fault.fix(format!("Write `https://{}`.", quote(text)));
        }
        fault
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad(format!(
            "must start with http:// or https://, not with {}.",
            url.scheme()
        )));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("must not contain a user name or password.".to_owned())
            .fix("Use a sign-in profile (`authentication`) instead."));
    }
    Ok(())
}

/// The name or address of a host, with or without a port.
fn host(text: &str) -> Result<(), Misfit> {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let plain =
        !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || "/\\@?#%*".contains(c));
    let port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let bare_ipv6 = text.parse::<std::net::Ipv6Addr>().is_ok();
    if bare_ipv6 || (plain && port && Host::parse(name).is_ok()) {
        return Ok(());
    }
    let fault = misfit(
        "bad_host",
        "must be the name or the address of a host, such as `localhost` or `127.0.0.1:8080`.",
    );
    let host = Url::parse(text)
        .or_else(|_| Url::parse(&format!("http://{text}")))
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned));
    Err(match host {
        Some(host) if !host.is_empty() && !host.contains('*') => {
            fault.fix(format!("Write `{host}`."))
        }
        _ => fault,
    })
}

/// What can stand in a tag.
fn fits_tag(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && c != ',' && c != '"'
}

/// The text as a part of a tag: in lower case, and with `-` for what cannot stand in one.
pub(super) fn as_tag(text: &str) -> String {
    let lower = text.trim().to_lowercase();
    lower.chars().map(|c| if fits_tag(c) { c } else { '-' }).collect()
}

fn tag(text: &str) -> Result<(), Misfit> {
    let fits = !text.is_empty() && text.chars().count() <= 64 && text.chars().all(fits_tag);
    if fits && text.to_lowercase() == text {
        return Ok(());
    }
    let fault = misfit(
        "bad_tag",
        "must be a tag: 1 to 64 lower-case characters without spaces, commas or quotes.",
    );
    let better: String = as_tag(text).chars().take(64).collect();
    Err(if better.is_empty() { fault } else { fault.fix(format!("Write `{}`.", quote(&better))) })
}

fn id(text: &str) -> Result<(), Misfit> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if is_reserved(text) {
        return Err(misfit("bad_id", "is a name that Windows keeps for a device.")
            .fix(format!("Write `{text}-job`.")));
    }
    if (1..=64).contains(&text.len()) && text.chars().all(allowed) {
        return Ok(());
    }
    let fault = misfit("bad_id", "must be 1 to 64 of the characters a-z, 0-9, `_` and `-`.");
    let mut better = String::new();
    for c in text.chars().flat_map(char::to_lowercase).take(200) {
        if allowed(c) {
            better.push(c);
        } else if !better.is_empty() && !better.ends_with('-') {
            better.push('-');
        }
    }
    better.truncate(64);
    let better = better.trim_end_matches('-');
    Err(if better.is_empty() || is_reserved(better) {
        fault
    } else {
        fault.fix(format!("Write `{better}`."))
    })
}

/// Names that Windows keeps for devices and that no file can have there.
fn is_reserved(text: &str) -> bool {
    let device = |text: &str| matches!(text, "con" | "prn" | "aux" | "nul");
    let numbered = |text: &str| matches!(text.as_bytes(), [b'c', b'o', b'm', n] | [b'l', b'p', b't', n] if n.is_ascii_digit());
    device(text) || numbered(text)
}

fn folder(text: &str) -> Result<(), Misfit> {
    if text.trim().is_empty() {
        return Err(misfit("bad_folder", "must be the path of a folder."));
    }
    if text.len() > 4096 || text.contains('\0') {
        return Err(misfit(
            "bad_folder",
            "must be a path of at most 4096 bytes without NUL characters.",
        ));
    }
    Ok(())
}

fn duration(text: &str) -> Result<std::time::Duration, Misfit> {
    parse_duration(text).map_err(|error| {
        let fault = misfit("bad_duration", format!("must be a length of time: {error}."));
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && text.len() < 10 {
            return fault.fix(format!("Add a unit: `{text}s`."));
        }
        fault.fix("Write it like `500ms`, `30s` or `2h30m`.")
    })
}

fn timeout(text: &str) -> Result<(), Misfit> {
    if text.is_empty() || duration(text)? > std::time::Duration::ZERO {
        return Ok(());
    }
    Err(misfit("out_of_range", "must be longer than 0.").fix("Leave the field out."))
}

/// A name from the time zone database that comes with the program, so that a definition means the
/// same on every computer.
fn timezone(text: &str) -> Result<(), Misfit> {
    static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
    // `get` also finds names in another case; the exact one is suggested.
    let Some(exact) = ZONES.available().find(|zone| zone.as_str().eq_ignore_ascii_case(text))
    else {
        if text.is_empty() {
            return Ok(());
        }
        let fault = misfit("bad_timezone", "is not the name of a time zone.");
        // People often know the place but not its continent.
        let names: Vec<String> = ZONES.available().map(|zone| zone.to_string()).collect();
        let place = |name: &&String| {
            name.rsplit('/').next().is_some_and(|place| place.eq_ignore_ascii_case(text))
        };
        let fix = did_you_mean(text, names.iter().map(String::as_str))
            .or_else(|| Some(format!("Did you mean `{}`?", names.iter().find(place)?)));
        return Err(fault.fix(fix.unwrap_or_else(|| {
            "Write a name such as `Europe/Berlin`, or leave the field out for the zone of the computer."
                .to_owned()
        })));
    };
    if exact.as_str() == text {
        return Ok(());
    }
    Err(misfit("bad_timezone", "is not written like the time zone.")
        .fix(format!("Write `{exact}`.")))
}

fn schedule(text: &str) -> Result<(), Misfit> {
    if text.is_empty() {
        return Ok(());
    }
    Schedule::parse(text, None).map(drop).map_err(|reason| {
        misfit("bad_cron", format!("cannot be used. {reason}"))
            .fix("Write for example `0 7 * * *` for every day at 7:00.")
    })
}
