//! Writing for people and for programs. Nothing that came from outside is printed without having
//! its control characters removed, and nobody reading any more is not an error.

use std::{
    env,
    fmt::Display,
    io::{self, IsTerminal, Write},
};

use quaero_app::render::visible;
use quaero_contract::ApiError;
use serde::Serialize;

/// How a piece of text looks on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Strong,
    Faint,
    Good,
    Warning,
    Bad,
}

/// Standard output and standard error.
pub(super) struct Output {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    /// Whether standard output takes colour.
    colour: bool,
    error_colour: bool,
    /// Whether a person reads standard output.
    terminal: bool,
}

impl Output {
    pub(super) fn new() -> Self {
        // https://no-color.org: set and not empty means none.
        let wanted = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && env::var_os("TERM").is_none_or(|term| term != "dumb");
        let terminal = io::stdout().is_terminal();
        Self {
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            colour: wanted && terminal,
            error_colour: wanted && io::stderr().is_terminal(),
            terminal,
        }
    }

    /// Writes as into a pipe, but to somewhere else.
    #[cfg(test)]
    pub(super) fn to(out: impl Write + 'static, err: impl Write + 'static) -> Self {
        let (colour, error_colour, terminal) = (false, false, false);
        Self { out: Box::new(out), err: Box::new(err), colour, error_colour, terminal }
    }

    /// One line on standard output.
    pub(super) fn line(&mut self, text: impl Display) {
        // A reader that has gone away, such as `head`, has seen all that it wanted.
        let _ = writeln!(self.out, "{text}");
    }

    /// One line on standard error.
    pub(super) fn note(&mut self, text: impl Display) {
        let _ = writeln!(self.err, "{text}");
    }

    /// One value as one line of JSON, there at once for whoever reads along.
    pub(super) fn json_line(&mut self, value: &impl Serialize) {
        let text = serde_json::to_string(value).expect("views are plain data");
        let _ = writeln!(self.out, "{text}").and_then(|()| self.out.flush());
    }

    /// One value as JSON, indented on a terminal.
    pub(super) fn json(&mut self, value: &impl Serialize) {
        if self.terminal {
            self.line(serde_json::to_string_pretty(value).expect("views are plain data"));
        } else {
            self.json_line(value);
        }
    }

    /// What went wrong, and on its own line what to do.
    pub(super) fn error(&mut self, error: &ApiError) {
        let place = error.place.as_ref().map(|p| format!(" ({}:{}:{})", p.file, p.line, p.column));
        let message = visible(&format!("{}{}", error.message, place.unwrap_or_default()));
        self.note(format_args!("{} {message}", paint(self.error_colour, Look::Bad, "error:")));
        if let Some(hint) = &error.hint {
            self.note(visible(hint));
        }
    }

    /// Text for standard output with a look, if that takes colour.
    pub(super) fn paint(&self, look: Look, text: impl Display) -> String {
        paint(self.colour, look, text)
    }

    /// As [`Output::paint`], for standard error.
    pub(super) fn paint_note(&self, look: Look, text: impl Display) -> String {
        paint(self.error_colour, look, text)
    }

    /// Rows with their columns aligned; the first is the head. The last column is not padded.
    pub(super) fn table(&mut self, rows: &[Vec<String>]) {
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| one_line(cell)).collect()).collect();
        let columns = rows.first().map_or(0, Vec::len);
        let widths: Vec<usize> = (0..columns)
            .map(|n| rows.iter().map(|row| row[n].chars().count()).max().unwrap_or(0))
            .collect();
        for (n, row) in rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            let line = line.trim_end();
            self.line(if n == 0 { self.paint(Look::Faint, line) } else { line.to_owned() });
        }
    }
}

fn paint(on: bool, look: Look, text: impl Display) -> String {
    let code = match look {
        Look::Strong => 1,
        Look::Faint => 2,
        Look::Good => 32,
        Look::Warning => 33,
        Look::Bad => 31,
    };
    if on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
}

/// Text from outside on one line.
pub(super) fn one_line(text: &str) -> String {
    visible(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The same, of at most `max` characters.
pub(super) fn short(text: &str, max: usize) -> String {
    let text = one_line(text);
    if text.chars().count() <= max {
        return text;
    }
    text.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

/// Milliseconds for people: `20 ms`, `1.8 s`, `12 s`, `3 min 5 s`, `2 h 10 min`.
pub(super) fn duration(ms: u32) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms} ms"),
        1..10 => format!("{}.{} s", seconds, ms % 1000 / 100),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// `1 job`, `2 jobs`.
pub(super) fn count(n: u32, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}
