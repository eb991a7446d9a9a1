//! One linear pass over HTML before any real parser sees it.
//!
//! It does three things at once. It reads what can be read without a tree: links, head, size. It
//! drops what is never content: scripts, styles, drawings, comments, permalink marks. And it makes
//! the rest harmless: the parsers behind it need quadratic time or a deep stack on input with
//! extreme nesting, attributes or unclosed formatting, so those never reach them.
//!
//! It is not an HTML parser. It agrees with one on where a tag begins and ends; where it guesses
//! at the tree, it may only guess that something is deeper than it is.

mod code;
mod page;
mod tag;

pub(super) use tag::{Tag, is_void, name_end};

use std::{collections::HashMap, ops::Range};

use memchr::memchr;
use url::Url;

use super::{Link, clean, text::cut};
use tag::{
    IMPLIED_ENDS, is_block, is_dropped_text, is_dropped_tree, is_formatting, is_heading, shown_as,
};

/// Bytes of HTML that are looked at; what follows is cut.
pub(super) const MAX_HTML: usize = 10 * 1024 * 1024;
/// Elements below this depth lose their tags and keep their text.
const MAX_DEPTH: usize = 512;
/// Formatting of one kind that may be open, as in a parser of HTML.
const MAX_SAME: u32 = 3;
/// How far up a tag is matched where every element would be too slow.
const NEAR: usize = 64;
/// Bytes of a link's or a heading's text that are collected.
const MAX_HELD: usize = 1000;

/// Around the number of an image in the text. Unicode keeps these two for such inner use.
pub(super) const IMAGE_START: char = '\u{fdd0}';
pub(super) const IMAGE_END: char = '\u{fdd1}';

/// An image of a page.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) url: Url,
    pub(super) description: String,
    pub(super) title: String,
}

/// What the pass found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The page without what is never content, safe for the parsers.
    pub(super) html: String,
    /// The addresses it links to, each once, without fragments.
    pub(super) links: Vec<Link>,
    /// What the numbered marks in `html` stand for.
    pub(super) images: Vec<Image>,
    /// What relative addresses belong to.
    pub(super) base: Option<Url>,
    /// `<title>`.
    pub(super) title: String,
    /// Text of the first `<h1>`.
    pub(super) heading: String,
    /// `<meta>` by lower-case name or property, and `<time>`; the first of each counts.
    pub(super) meta: HashMap<String, String>,
    /// `<html lang>`.
    pub(super) language: String,
    /// `<link rel=canonical>`, resolved.
    pub(super) canonical: Option<Url>,
    /// JSON-LD blocks.
    pub(super) json_ld: Vec<String>,
    /// Bytes of text outside tags, without white space.
    pub(super) visible: usize,
    /// Where in `html` the element is that says it is the main one.
    pub(super) main: Option<Range<usize>>,
    /// Start tags.
    pub(super) elements: usize,
}

impl Scan {
    /// Reads `html`, whose relative addresses belong to `url`.
    pub(super) fn new(html: &str, url: &Url) -> Self {
        let html = cut(html, MAX_HTML);
        let lower = html.to_ascii_lowercase();
        let mut pass = Pass {
            html,
            lower: &lower,
            xml: html.trim_start_matches('\u{feff}').trim_start().starts_with("<?xml"),
            base: url.clone(),
            has_base: false,
            page: without_fragment(url),
            out: Self { html: String::with_capacity(html.len() + 64), ..Self::default() },
            open: Vec::new(),
            beyond: Vec::new(),
            formatting: HashMap::new(),
            skip: None,
            link: None,
            heading: None,
            seen: HashMap::new(),
            noscript_end: 0,
            language: None,
            main: None,
            in_code: false,
            note: false,
        };
        pass.out.html.push_str("<!DOCTYPE html>");
        pass.run();
        pass.end_link();
        if pass.in_code {
            pass.close_code();
        }
        pass.close_to(0);
        pass.out.base = Some(pass.base);
        if let Some(heading) = pass.heading.take() {
            pass.out.heading = heading;
        }
        pass.out.title = clean::line(&clean::entities(&pass.out.title));
        pass.out.heading = clean::line(&clean::entities(&pass.out.heading));
        pass.out
    }
}

fn without_fragment(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_fragment(None);
    url
}

/// An element whose content is dropped, and how many of the same name are open inside it.
struct Skip<'a> {
    name: &'a str,
    depth: u32,
    /// Whether a block ends it: what a careless page forgets to close must not swallow the rest.
    until_block: bool,
}

/// A link whose text is being read.
struct OpenLink {
    url: Url,
    text: String,
    nofollow: bool,
}

struct Pass<'a> {
    html: &'a str,
    /// A copy for finding names without regard to case.
    lower: &'a str,
    xml: bool,
    base: Url,
    /// Whether the page has named one.
    has_base: bool,
    page: Url,
    out: Scan,
    /// Open elements as far as they were written.
    open: Vec<&'a str>,
    /// Open elements below the depth limit, whose tags were not written.
    beyond: Vec<&'a str>,
    /// Open formatting: how often it was written, and how often not, because a parser repeats all
    /// that are open in every new block.
    formatting: HashMap<&'a str, (u32, u32)>,
    skip: Option<Skip<'a>>,
    link: Option<OpenLink>,
    heading: Option<String>,
    seen: HashMap<Url, usize>,
    /// Up to where the content of a `<noscript>` is content of the page.
    noscript_end: usize,
    /// The language of the code inside the element that was open at this depth.
    language: Option<(usize, String)>,
    /// The depth of the element that says it is the main one, and where it begins.
    main: Option<(usize, usize)>,
    /// Inside `<pre>`.
    in_code: bool,
    /// Inside the title of a note, a warning and the like.
    note: bool,
}

impl<'a> Pass<'a> {
    fn run(&mut self) {
        let html = self.html;
        let bytes = html.as_bytes();
        let mut at = 0;
        while at < html.len() {
            let Some(offset) = memchr(b'<', &bytes[at..]) else {
                self.text(&html[at..]);
                break;
            };
            let start = at + offset;
            self.text(&html[at..start]);
            at = match bytes.get(start + 1) {
                Some(b'!') => self.declaration(start),
                Some(b'?') => self.find(start, ">").map_or(html.len(), |end| end + 1),
                Some(b'/') if bytes.get(start + 2).is_some_and(u8::is_ascii_alphabetic) => {
                    self.end_tag(start)
                }
                Some(b'/') => self.find(start, ">").map_or(html.len(), |end| end + 1),
                Some(byte) if byte.is_ascii_alphabetic() => self.start_tag(start),
                _ => {
                    self.text("&lt;");
                    start + 1
                }
            };
        }
    }

    fn find(&self, from: usize, what: &str) -> Option<usize> {
        self.lower[from..].find(what).map(|offset| from + offset)
    }

    /// Comments, doctypes and CDATA. Returns where to go on.
    fn declaration(&mut self, start: usize) -> usize {
        if self.html[start..].starts_with("<!--") {
            return self.find(start + 2, "-->").map_or(self.html.len(), |end| end + 3);
        }
        if self.xml && self.html[start..].starts_with("<![CDATA[") {
            let from = start + "<![CDATA[".len();
            let end = self.find(from, "]]>").unwrap_or(self.html.len());
            self.text(&page::escape(&self.html[from..end]));
            return (end + 3).min(self.html.len());
        }
        self.find(start, ">").map_or(self.html.len(), |end| end + 1)
    }

    fn text(&mut self, text: &str) {
        if text.is_empty() || self.skip.is_some() {
            return;
        }
        self.out.visible += text.bytes().filter(|byte| !byte.is_ascii_whitespace()).count();
        self.out.html.push_str(text);
        if let Some(link) = &mut self.link
            && link.text.len() < MAX_HELD
        {
            link.text.push_str(cut(text, MAX_HELD));
        }
        if let Some(heading) = &mut self.heading
            && heading.len() < MAX_HELD
        {
            heading.push_str(cut(text, MAX_HELD));
        }
    }

    fn start_tag(&mut self, start: usize) -> usize {
        let Some(after) = name_end(self.html, start + 1) else { return self.html.len() };
        let tag = Tag::read(self.html, after);
        if !tag.complete {
            return self.html.len();
        }
        self.out.elements += 1;
        let name = shown_as(&self.lower[start + 1..after]);
        if let Some(skip) = &mut self.skip {
            if skip.name == name {
                skip.depth += 1;
                return tag.end;
            }
            if !(skip.until_block && is_block(name)) {
                return self.raw_text_end(name, tag.end).unwrap_or(tag.end);
            }
            self.skip = None;
        }
        let closed = tag.self_closing && self.xml;
        if self.in_code && self.tag_in_code(name) {
            if matches!(name, "a" | "area") {
                self.begin_link(name, &tag);
            }
            return tag.end;
        }
        match name {
            "script" => return self.script(&tag),
            "title" => return self.title(&tag),
            "noscript" => return self.noscript(&tag),
            "xmp" | "plaintext" | "listing" => return self.preformatted(name, &tag),
            _ if is_dropped_text(name) => {
                return if closed {
                    tag.end
                } else {
                    self.raw_text_end(name, tag.end).unwrap_or(tag.end)
                };
            }
            "math" => return self.math(&tag),
            _ if is_dropped_tree(name) => {
                if !(tag.self_closing && (closed || name == "svg")) {
                    self.skip = Some(Skip { name, depth: 0, until_block: name != "template" });
                }
                return tag.end;
            }
            "a" if tag.has_token("class", &page::PERMALINKS)
                && tag.raw("href").is_some_and(|href| href.starts_with('#')) =>
            {
                self.skip = Some(Skip { name, depth: 0, until_block: true });
                return tag.end;
            }
            // A heading that leads to itself or to the table of contents.
            "a" if self.in_heading()
                && tag.raw("href").is_some_and(|href| href.starts_with('#')) =>
            {
                return tag.end;
            }
            "span" if let Some(end) = self.blank_span(tag.end) => return end,
            "meta" => self.meta(&tag),
            "time" => self.time(&tag),
            "html" => {
                self.out.language =
                    tag.get("lang").or_else(|| tag.get("xml:lang")).unwrap_or_default()
            }
            "base" => self.set_base(&tag),
            "link" => self.head_link(&tag),
            "a" | "area" => self.begin_link(name, &tag),
            "img" => {
                self.copy_tag(start, &tag);
                self.image(&tag);
                return tag.end;
            }
            "h1" if self.out.heading.is_empty() => self.heading = Some(String::new()),
            _ => {}
        }
        self.write_start(start, name, &tag, closed);
        // HTML takes no notice of a line end right after this.
        let behind = &self.html[tag.end..];
        let line_end =
            ["\n", "\r\n"].into_iter().find(|end| name == "pre" && behind.starts_with(end));
        tag.end + line_end.map_or(0, str::len)
    }

    /// Writes a start tag and keeps count of what is open.
    fn write_start(&mut self, start: usize, name: &'a str, tag: &Tag<'a>, closed: bool) {
        if is_void(name) {
            self.copy_tag(start, tag);
            return;
        }
        self.close_implied(name);
        if name == "a" {
            self.pop_to(&["a"], &["p", "div", "li", "td", "th", "table", "section", "article"]);
        }
        if self.open.len() >= MAX_DEPTH {
            self.beyond.push(name);
            self.space();
            return;
        }
        if is_formatting(name) && !closed {
            let (written, others) = self.formatting.entry(name).or_default();
            if *written >= MAX_SAME {
                *others += 1;
                return;
            }
            *written += 1;
        }
        let position = self.out.html.len();
        if is_formatting(name) {
            self.out.html.push('<');
            self.out.html.push_str(name);
            self.out.html.push('>');
        } else {
            self.copy_tag(start, tag);
        }
        if closed {
            self.write_end(name);
            return;
        }
        self.open.push(name);
        if self.main.is_none()
            && self.out.main.is_none()
            && (name == "main" || tag.has_token("role", &["main"]))
        {
            self.main = Some((self.open.len(), position));
        }
        self.note_language(name, tag);
        if name == "pre" {
            self.open_code(tag);
            self.in_code = true;
        } else if name == "p" && tag.has_token("class", &["admonition-title"]) {
            self.out.html.push_str("<strong>");
            self.note = true;
        }
    }

    /// Keeps words apart where a tag is not written.
    fn space(&mut self) {
        if !self.out.html.ends_with(' ') {
            self.out.html.push(' ');
        }
    }

    /// Writes a tag as it stands, but its name in lower case.
    fn copy_tag(&mut self, start: usize, tag: &Tag<'a>) {
        let name_end = name_end(self.html, start).unwrap_or(tag.copy_end).min(tag.copy_end);
        self.out.html.push_str(&self.lower[start..name_end]);
        self.out.html.push_str(&self.html[name_end..tag.copy_end]);
        if tag.copy_end < tag.end {
            self.out.html.push('>');
        }
    }

    fn in_heading(&self) -> bool {
        self.open.iter().rev().take(4).any(|name| is_heading(name) || *name == "dt")
    }

    /// A span that holds only white space is that white space; the finders would drop it. Returns
    /// where to go on.
    fn blank_span(&mut self, from: usize) -> Option<usize> {
        let rest = &self.html[from..];
        let text = &rest[..rest.find('<')?];
        if text.is_empty()
            || !text.trim().is_empty()
            || !self.lower[from + text.len()..].starts_with("</span>")
        {
            return None;
        }
        self.space();
        Some(from + text.len() + "</span>".len())
    }

    fn close_implied(&mut self, name: &str) {
        if is_block(name) {
            // Markdown has no emphasis around blocks.
            let formatting = self.open.iter().rev().take_while(|open| is_formatting(open)).count();
            self.close_to(self.open.len() - formatting);
            self.pop_to(&["p"], &["button", "td", "th", "table", "caption"]);
        }
        for (opened, closes, barrier) in IMPLIED_ENDS {
            if opened.contains(&name) {
                self.pop_to(closes, barrier);
            }
        }
    }

    /// Forgets everything down to the nearest open element of `names`, unless one of `barrier` is nearer.
    fn pop_to(&mut self, names: &[&str], barrier: &[&str]) {
        // Deep down, only near elements are looked at, so that the pass stays linear.
        for (back, open) in self.beyond.iter().rev().take(NEAR).enumerate() {
            if names.contains(open) {
                self.beyond.truncate(self.beyond.len() - back - 1);
                return;
            }
            if barrier.contains(open) {
                return;
            }
        }
        for (back, open) in self.open.iter().rev().take(NEAR).enumerate() {
            if names.contains(open) {
                self.beyond.clear();
                self.close_to(self.open.len() - back - 1);
                return;
            }
            if barrier.contains(open) {
                return;
            }
        }
    }

    /// Writes the end tags of all open elements from `position` on. What is written is well formed,
    /// so that all parsers behind it see the same tree.
    fn close_to(&mut self, position: usize) {
        while self.open.len() > position {
            let Some(name) = self.open.pop() else { break };
            if let Some((written, _)) = self.formatting.get_mut(name) {
                *written -= 1;
                if *written == 0 {
                    self.formatting.remove(name);
                }
            }
            self.write_end(name);
        }
        self.closed();
    }

    fn write_end(&mut self, name: &str) {
        if name == "p" && std::mem::take(&mut self.note) {
            self.out.html.push_str("</strong>");
        }
        self.out.html.push_str("</");
        self.out.html.push_str(name);
        self.out.html.push('>');
    }

    /// Ends formatting that may overlap: what began inside it goes on behind it.
    fn close_formatting(&mut self, position: usize) {
        let inner: Vec<&'a str> = self.open[position + 1..].to_vec();
        self.close_to(position);
        for name in inner.into_iter().filter(|name| is_formatting(name)) {
            self.formatting.entry(name).or_default().0 += 1;
            self.open.push(name);
            self.out.html.push('<');
            self.out.html.push_str(name);
            self.out.html.push('>');
        }
    }

    /// Ends what was known of elements that are no longer open.
    fn closed(&mut self) {
        let depth = self.open.len();
        if self.language.as_ref().is_some_and(|(of, _)| *of > depth) {
            self.language = None;
        }
        if let Some((of, start)) = self.main
            && of > depth
        {
            self.main = None;
            self.out.main = Some(start..self.out.html.len());
        }
    }

    fn end_tag(&mut self, start: usize) -> usize {
        let Some(after) = name_end(self.html, start + 2) else { return self.html.len() };
        let end = Tag::read(self.html, after).end;
        let name = shown_as(&self.lower[start + 2..after]);
        if let Some(skip) = &mut self.skip {
            if skip.name == name {
                if skip.depth == 0 {
                    self.skip = None;
                } else {
                    skip.depth -= 1;
                }
                return end;
            }
            if !(skip.until_block && is_block(name)) {
                return end;
            }
            self.skip = None;
        }
        if name == "a" {
            self.end_link();
        }
        if self.in_code {
            if name == "pre" {
                self.close_code();
            }
            return end;
        }
        if name == "h1"
            && let Some(heading) = self.heading.take()
        {
            self.out.heading = heading;
        }
        if let Some((_, others)) = self.formatting.get_mut(name).filter(|open| open.1 > 0) {
            *others -= 1;
            return end;
        }
        if let Some(back) = self.beyond.iter().rev().take(NEAR).position(|open| *open == name) {
            self.beyond.truncate(self.beyond.len() - back - 1);
            self.space();
            return end;
        }
        // The end of what was never opened, or was not written, says nothing.
        let Some(position) = self.open.iter().rposition(|open| *open == name) else { return end };
        self.beyond.clear();
        let only_formatting = self.open[position..].iter().all(|open| is_formatting(open));
        if only_formatting {
            self.close_formatting(position);
        } else if !is_formatting(name) {
            self.close_to(position);
        }
        // Formatting around a block ends with what is around it.
        end
    }

    /// The end of an element whose content is text, after its end tag.
    fn raw_text_end(&self, name: &str, from: usize) -> Option<usize> {
        if name != "script" && !is_dropped_text(name) {
            return None;
        }
        let close = self.close_of(name, from);
        Some(self.find(close, ">").map_or(self.html.len(), |end| end + 1))
    }

    /// Where `</name` begins, or the end of the page.
    fn close_of(&self, name: &str, from: usize) -> usize {
        self.find(from, &format!("</{name}")).unwrap_or(self.html.len())
    }
}
