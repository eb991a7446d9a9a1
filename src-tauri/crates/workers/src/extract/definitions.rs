//! Definition lists, which Markdown does not have, as bulleted lists with emphasised terms. What
//! belongs to a term stays below it.

use std::borrow::Cow;

/// How many terms that share a definition are looked at together.
const SHARED_TERMS: usize = 8;

/// HTML in which `dl` has become `ul`.
pub(super) fn to_lists(html: &str) -> Cow<'_, str> {
    if !html.contains("<dt") && !html.contains("<dd") {
        return Cow::Borrowed(html);
    }
    let mut writer =
        Writer { out: String::with_capacity(html.len() + 1024), lists: Vec::new(), term: None };
    let mut at = 0;
    while let Some((start, end)) = next_tag(html, at) {
        writer.text(&html[at..start]);
        let tag = &html[start..end];
        let closing = tag.starts_with("</");
        match (&tag[if closing { 2 } else { 1 }..][..2], closing) {
            ("dl", false) => writer.open_list(),
            ("dl", true) => writer.close_list(),
            ("dt", false) => writer.open_term(&html[end..]),
            ("dt", true) => writer.close_term(),
            (_, false) => writer.open_definition(),
            (_, true) => writer.out.push_str("</div>"),
        }
        at = end;
    }
    writer.out.push_str(&html[at..]);
    Cow::Owned(writer.out)
}

/// What the last thing in a list was.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    /// A term that the next definition is for.
    Term,
    /// A term without a definition.
    LoneTerm,
    Definition,
}

struct Writer {
    out: String,
    lists: Vec<Last>,
    /// What ends the open term.
    term: Option<&'static str>,
}

impl Writer {
    /// A line break in a term parts two terms: `-a<br>--all`.
    fn text(&mut self, text: &str) {
        let part = match self.term {
            Some("") | None => return self.out.push_str(text),
            Some(" ") => " ",
            Some(_) => "</strong></p><p><strong>",
        };
        for (index, piece) in text.split("<br>").enumerate() {
            if index > 0 {
                self.out.push_str(part);
            }
            self.out.push_str(piece.strip_prefix("</br>").unwrap_or(piece));
        }
    }

    fn open_list(&mut self) {
        self.close_term();
        self.lists.push(Last::Nothing);
        self.out.push_str("<ul>");
    }

    fn close_list(&mut self) {
        self.close_term();
        match self.lists.pop() {
            Some(Last::Nothing) => self.out.push_str("</ul>"),
            Some(_) => self.out.push_str("</li></ul>"),
            None => {}
        }
    }

    fn open_term(&mut self, rest: &str) {
        self.close_term();
        let kind = Kind::of(rest);
        if let Some(last) = self.lists.last_mut() {
            match *last {
                Last::Nothing => self.out.push_str("<li>"),
                Last::Term => {}
                Last::LoneTerm | Last::Definition => self.out.push_str("</li><li>"),
            }
            *last = if kind == Kind::Alone { Last::LoneTerm } else { Last::Term };
        }
        let (open, close) = match kind {
            Kind::Defined => ("<p><strong>", "</strong></p>"),
            Kind::Heading | Kind::Alone => ("", " "),
        };
        self.out.push_str(open);
        self.term = Some(close);
    }

    fn close_term(&mut self) {
        self.out.push_str(self.term.take().unwrap_or_default());
    }

    fn open_definition(&mut self) {
        self.close_term();
        if let Some(last) = self.lists.last_mut() {
            if *last == Last::Nothing {
                self.out.push_str("<li>");
            }
            *last = Last::Definition;
        }
        self.out.push_str("<div>");
    }
}

/// What follows a term.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Text that explains it.
    Defined,
    /// Only a list of further terms, as in a table of contents.
    Heading,
    /// Nothing.
    Alone,
}

impl Kind {
    fn of(rest: &str) -> Self {
        let mut at = 0;
        for _ in 0..SHARED_TERMS {
            let Some((start, end)) = next_tag(rest, at) else { return Self::Alone };
            let tag = &rest[start..end];
            if tag.starts_with("<dd") {
                return if rest[end..].trim_start().starts_with("<dl") {
                    Self::Heading
                } else {
                    Self::Defined
                };
            }
            if tag.starts_with("<dl") || tag.starts_with("</dl") {
                return Self::Alone;
            }
            at = end;
        }
        Self::Alone
    }
}

/// The next start or end tag of `dl`, `dt` or `dd`.
fn next_tag(html: &str, from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    while let Some(offset) = html[at..].find('<') {
        let start = at + offset;
        let name = html[start + 1..].strip_prefix('/').unwrap_or(&html[start + 1..]);
        let named = ["dl", "dt", "dd"].iter().any(|tag| name.starts_with(tag));
        if named && name[2..].starts_with(['>', ' ', '\n', '\t', '/']) {
            let end = html[start..].find('>').map_or(html.len(), |length| start + length + 1);
            return Some((start, end));
        }
        at = start + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_stays_below_its_term() {
        for (given, expected) in [
            ("<p>no list</p>", "<p>no list</p>"),
            (
                "<dl><dt>a</dt><dd>A</dd><dt>b</dt><dd>B</dd></dl>",
                "<ul><li><p><strong>a</strong></p><div>A</div></li><li><p><strong>b</strong></p><div>B</div></li></ul>",
            ),
            (
                "<dl><dt>a</dt><dt>b</dt><dd>AB</dd></dl>",
                "<ul><li><p><strong>a</strong></p><p><strong>b</strong></p><div>AB</div></li></ul>",
            ),
            ("<dl class=x><dt>1</dt><dt>2</dt></dl>", "<ul><li>1 </li><li>2 </li></ul>"),
            (
                "<dl><dt>I</dt><dd><dl><dt>1</dt></dl></dd></dl>",
                "<ul><li>I <div><ul><li>1 </li></ul></div></li></ul>",
            ),
            ("<dl><dt>a<dd>A</dl>", "<ul><li><p><strong>a</strong></p><div>A</li></ul>"),
            (
                "<dl><dt>-a<br>--all</dt><dd>A<br>B</dd></dl>",
                "<ul><li><p><strong>-a</strong></p><p><strong>--all</strong></p><div>A<br>B</div></li></ul>",
            ),
            ("<dt>a</dt><dd>A</dd>", "<p><strong>a</strong></p><div>A</div>"),
            ("<dl></dl></dl><dtx><dd", "<ul></ul><dtx><dd"),
        ] {
            assert_eq!(to_lists(given), expected, "{given}");
        }
    }
}
