//! Problems while they are collected, and places in the text.

use std::{borrow::Cow, cmp::Reverse, collections::HashSet, ops::Range};

use quaero_contract::{Problem, Severity};

use super::LIMITS;

/// A place in the text, in bytes.
pub(super) type Span = Range<usize>;

/// A problem whose line and column are not worked out yet.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    span: Span,
    code: Cow<'static, str>,
    severity: Severity,
    message: String,
    fix: Option<String>,
    step: Option<String>,
}

impl Fault {
    pub(super) fn new(
        span: &Span,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            span: span.clone(),
            code: code.into(),
            severity: Severity::Error,
            message: message.into(),
            fix: None,
            step: None,
        }
    }

    /// The same as a warning, which does not keep the definition from running.
    pub(super) fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    pub(super) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Adds the fix, if there is one.
    pub(super) fn maybe_fix(mut self, fix: Option<String>) -> Self {
        self.fix = fix.or(self.fix);
        self
    }
}

/// Collects problems, at most [`super::Limits::problems`] of them, so that a hostile file cannot
/// make a million.
#[derive(Debug, Default)]
pub(super) struct Faults {
    list: Vec<Fault>,
    /// How many errors there were, kept or not.
    errors: usize,
    /// The step that is looked at.
    step: Option<String>,
    cut: bool,
    /// How many patterns were looked at.
    patterns: usize,
    /// The patterns themselves, where many definitions are bound with much the same ones.
    seen: Option<HashSet<String>>,
}

impl Faults {
    pub(super) fn add(&mut self, mut fault: Fault) {
        self.errors += usize::from(fault.severity == Severity::Error);
        if self.full() {
            self.cut = true;
            return;
        }
        fault.step = fault.step.or_else(|| self.step.clone());
        self.list.push(fault);
    }

    /// Everything added from here on belongs to this step.
    pub(super) fn in_step(&mut self, step: Option<&str>) {
        self.step = step.map(quote);
    }

    /// Whether more would not be kept. Ask before computing an expensive suggestion.
    pub(super) fn full(&self) -> bool {
        self.list.len() >= LIMITS.problems
    }

    /// For a definition that is bound: patterns that were seen before are not looked at again.
    pub(super) fn with_seen(seen: HashSet<String>) -> Self {
        Self { patterns: seen.len(), seen: Some(seen), ..Self::default() }
    }

    /// Takes the patterns back that something else went on with.
    pub(super) fn put_seen(&mut self, seen: HashSet<String>) {
        self.patterns = seen.len();
        self.seen = Some(seen);
    }

    /// The patterns seen up to now.
    pub(super) fn take_seen(&mut self) -> HashSet<String> {
        self.seen.take().unwrap_or_default()
    }

    /// Counts a pattern that is to be compiled. Says by how many that goes beyond what is allowed,
    /// 0 if it does not; None if the same was looked at before.
    pub(super) fn count_pattern(&mut self, format: &str, pattern: &str) -> Option<usize> {
        let limit = match &mut self.seen {
            None => LIMITS.patterns,
            Some(seen) => {
                if !seen.insert(format!("{format}:{pattern}")) {
                    return None;
                }
                LIMITS.run_patterns
            }
        };
        self.patterns += 1;
        Some(self.patterns.saturating_sub(limit))
    }

    /// How many errors there were so far.
    pub(super) fn errors(&self) -> usize {
        self.errors
    }

    /// The problems in the order of the text, each said once.
    pub(super) fn into_problems(self, text: &Text) -> Vec<Problem> {
        let mut list = self.list;
        if self.cut {
            list.push(
                Fault::new(
                    &(text.source.len()..text.source.len()),
                    "too_many_problems",
                    format!("There are more problems; the first {} are shown.", LIMITS.problems),
                )
                .fix("Correct these, then check again."),
            );
        }
        // At the same place, the wider one first: it usually explains the others.
        list.sort_by(|a, b| {
            (a.span.start, Reverse(a.span.end)).cmp(&(b.span.start, Reverse(b.span.end)))
        });
        list.dedup_by(|b, a| a.span == b.span && a.code == b.code && a.message == b.message);
        list.into_iter().map(|fault| text.problem(fault)).collect()
    }
}

/// The text of a definition and where its lines begin.
#[derive(Clone, Debug, Default)]
pub(super) struct Text {
    /// Without the byte order mark.
    pub(super) source: String,
    /// Bytes of the byte order mark, which count in places but not in columns.
    skipped: usize,
    lines: Vec<usize>,
}

impl Text {
    pub(super) fn new(source: String, skipped: usize) -> Self {
        let lines = std::iter::once(0)
            .chain(source.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1))
            .collect();
        Self { source, skipped, lines }
    }

    /// The byte at which a line starts; `line` is from 1.
    pub(super) fn line_start(&self, line: usize) -> usize {
        self.lines.get(line.saturating_sub(1)).copied().unwrap_or(self.source.len())
    }

    /// The line in which a byte stands, without its end.
    pub(super) fn line_at(&self, byte: usize) -> &str {
        let line = self.lines.partition_point(|at| *at <= byte);
        let end = self.line_start(line + 1);
        self.source[self.line_start(line)..end].trim_end_matches(['\n', '\r'])
    }

    /// The place of `part` within the string literal at `span`. Exact when the literal has no
    /// escapes before the part; else the whole literal.
    pub(super) fn within(&self, span: &Span, value: &str, part: Range<usize>) -> Span {
        let Some(literal) = self.source.get(span.clone()) else { return span.clone() };
        let quotes =
            if literal.starts_with("\"\"\"") || literal.starts_with("'''") { 3 } else { 1 };
        let newline = literal.get(quotes..).map_or(0, |rest| match rest.as_bytes() {
            [b'\n', ..] if quotes == 3 => 1,
            [b'\r', b'\n', ..] if quotes == 3 => 2,
            _ => 0,
        });
        let offset = quotes + newline;
        let same =
            literal.get(offset..).and_then(|rest| rest.get(..part.end)) == value.get(..part.end);
        if !same {
            return span.clone();
        }
        span.start + offset + part.start..span.start + offset + part.end
    }

    fn problem(&self, fault: Fault) -> Problem {
        let mut start = fault.span.start.min(self.source.len());
        while !self.source.is_char_boundary(start) {
            start -= 1;
        }
        let end = fault.span.end.clamp(start, self.source.len());
        let line = self.lines.partition_point(|at| *at <= start).max(1);
        let column = self.source[self.line_start(line)..start].chars().count() + 1;
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Problem {
            code: fault.code.into_owned(),
            severity: fault.severity,
            message: fault.message,
            line: number(line),
            column: number(column),
            start: number(start + self.skipped),
            end: number(end + self.skipped),
            step: fault.step,
            fix: fault.fix,
        }
    }
}

/// The candidate that was probably meant.
pub(super) fn suggest<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    if written.is_empty() || written.len() > 64 {
        return None;
    }
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let wanted = plain(written);
    let allowed = (written.len() / 3).max(1);
    candidates
        .into_iter()
        .take(300)
        .filter(|candidate| candidate.len().abs_diff(written.len()) <= allowed)
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &plain(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `Did you mean …?`, if something close is known.
pub(super) fn did_you_mean<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    suggest(written, candidates).map(|found| format!("Did you mean `{found}`?"))
}

/// A character that nobody can see and that makes a text mean something else than it shows: one that
/// turns the direction, has no width, or is a tag. Joiners and direction marks, which languages need,
/// are not among them.
pub(super) fn hidden(text: &str) -> Option<(usize, char)> {
    text.char_indices().find(|(_, c)| {
        matches!(c, '\u{200b}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
    })
}

/// Text from the file, made fit to stand in a message: short, on one line, without control or
/// invisible formatting characters.
pub(super) fn quote(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
    };
    let mut out: String =
        text.chars().take(60).map(|c| if hidden(c) { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(60).is_some() {
        out.push('…');
    }
    out
}
