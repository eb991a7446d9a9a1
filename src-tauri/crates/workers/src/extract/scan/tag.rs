//! Tags: where they begin and end, what they say, and what their names mean.

use memchr::memchr;

use crate::extract::clean;

/// Attributes of one element that are kept.
const MAX_ATTRIBUTES: usize = 64;

/// The attributes of one start tag: raw values, entities not decoded.
pub(in crate::extract) struct Tag<'a> {
    pub(super) attributes: Vec<(&'a str, &'a str)>,
    /// Up to which byte the tag may be copied.
    pub(super) copy_end: usize,
    /// The byte after `>`.
    pub(in crate::extract) end: usize,
    pub(super) complete: bool,
    pub(super) self_closing: bool,
}

impl<'a> Tag<'a> {
    pub(in crate::extract) fn raw(&self, name: &str) -> Option<&'a str> {
        self.attributes
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    pub(in crate::extract) fn get(&self, name: &str) -> Option<String> {
        self.raw(name).map(|value| clean::entities(value).into_owned())
    }

    pub(in crate::extract) fn has_token(&self, name: &str, wanted: &[&str]) -> bool {
        self.raw(name).is_some_and(|value| {
            value
                .split_ascii_whitespace()
                .any(|token| wanted.iter().any(|w| token.eq_ignore_ascii_case(w)))
        })
    }

    /// Reads the attributes of a tag from `at`, after its name, as an HTML tokenizer does.
    pub(in crate::extract) fn read(html: &'a str, mut at: usize) -> Self {
        let bytes = html.as_bytes();
        let mut tag = Self {
            attributes: Vec::new(),
            copy_end: 0,
            end: html.len(),
            complete: false,
            self_closing: false,
        };
        let space = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_whitespace);
        loop {
            while space(at) {
                at += 1;
            }
            let Some(&byte) = bytes.get(at) else { return tag };
            if byte == b'>' {
                tag.end = at + 1;
                tag.complete = true;
                if tag.copy_end == 0 {
                    tag.copy_end = tag.end;
                }
                return tag;
            }
            if byte == b'/' {
                tag.self_closing = bytes.get(at + 1) == Some(&b'>');
                at += 1;
                continue;
            }
            let key_start = at;
            at += 1; // a `=` in front belongs to the name
            while bytes
                .get(at)
                .is_some_and(|b| !b.is_ascii_whitespace() && !matches!(b, b'/' | b'>' | b'='))
            {
                at += 1;
            }
            let key_end = at;
            while space(at) {
                at += 1;
            }
            let mut value = (at, at);
            if bytes.get(at) == Some(&b'=') {
                at += 1;
                while space(at) {
                    at += 1;
                }
                value = match bytes.get(at) {
                    Some(&quote @ (b'"' | b'\'')) => {
                        let from = at + 1;
                        let Some(length) = memchr(quote, &bytes[from..]) else { return tag };
                        at = from + length + 1;
                        (from, from + length)
                    }
                    Some(b'>') | None => (at, at),
                    Some(_) => {
                        let from = at;
                        while bytes.get(at).is_some_and(|b| !b.is_ascii_whitespace() && *b != b'>')
                        {
                            at += 1;
                        }
                        (from, at)
                    }
                };
            }
            if tag.attributes.len() < MAX_ATTRIBUTES {
                tag.attributes.push((&html[key_start..key_end], &html[value.0..value.1]));
            } else if tag.copy_end == 0 {
                tag.copy_end = key_start;
            }
        }
    }
}

/// Where the name that begins at `start` ends.
pub(in crate::extract) fn name_end(html: &str, start: usize) -> Option<usize> {
    html[start..]
        .find(|c: char| c.is_ascii_whitespace() || c == '/' || c == '>')
        .map(|offset| start + offset)
}

pub(in crate::extract) fn is_void(name: &str) -> bool {
    matches!(
        name,
        "area"
            | "base"
            | "br"
            | "col"
            | "embed"
            | "hr"
            | "img"
            | "input"
            | "link"
            | "meta"
            | "param"
            | "source"
            | "track"
            | "wbr"
    )
}

/// Elements whose content is text up to their end tag, and which hold nothing to read.
pub(super) fn is_dropped_text(name: &str) -> bool {
    matches!(name, "style" | "iframe" | "noembed" | "noframes" | "textarea")
}

/// Elements that are dropped with everything inside them.
pub(super) fn is_dropped_tree(name: &str) -> bool {
    matches!(
        name,
        "svg"
            | "template"
            | "annotation"
            | "annotation-xml"
            | "object"
            | "canvas"
            | "audio"
            | "video"
    )
}

/// Elements that a parser opens again in every block until they are ended.
pub(super) fn is_formatting(name: &str) -> bool {
    matches!(name, "big" | "code" | "em" | "font" | "s" | "small" | "strong" | "u")
}

pub(super) fn is_heading(name: &str) -> bool {
    matches!(name, "h1" | "h2" | "h3" | "h4" | "h5" | "h6")
}

/// Elements that end an open paragraph.
pub(super) fn is_block(name: &str) -> bool {
    is_heading(name)
        || matches!(
            name,
            "address"
                | "article"
                | "aside"
                | "blockquote"
                | "body"
                | "center"
                | "dd"
                | "details"
                | "div"
                | "dl"
                | "dt"
                | "fieldset"
                | "figure"
                | "footer"
                | "form"
                | "header"
                | "hr"
                | "li"
                | "main"
                | "nav"
                | "ol"
                | "p"
                | "pre"
                | "section"
                | "table"
                | "tbody"
                | "td"
                | "tfoot"
                | "th"
                | "thead"
                | "tr"
                | "ul"
        )
}

/// Start tags that close an open element: `(opened, closes, but not across)`.
pub(super) const IMPLIED_ENDS: &[(&[&str], &[&str], &[&str])] = &[
    (&["li"], &["li"], &["ul", "ol", "menu"]),
    (&["dt", "dd"], &["dt", "dd"], &["dl"]),
    (&["option", "optgroup"], &["option"], &["select", "datalist"]),
    (&["td", "th"], &["td", "th"], &["tr", "table"]),
    (&["tr"], &["tr"], &["table"]),
    (&["tbody", "thead", "tfoot"], &["tbody", "thead", "tfoot"], &["table"]),
];

/// One name for each look. Keys, samples and typewriter text are shown as code; the finders would
/// take them for plain text.
pub(super) fn shown_as(name: &str) -> &str {
    match name {
        "kbd" | "samp" | "tt" => "code",
        "b" => "strong",
        "i" => "em",
        "strike" => "s",
        name => name,
    }
}
