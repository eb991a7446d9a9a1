//! A page as the blocks of text that it shows, one after the other.
//!
//! The content finders answer with text that has lost part of its markup. So each block gets a mark
//! before they read the page; the marks in an answer tell which blocks are meant, and those are cut
//! out of the page with all their own markup.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    ops::Range,
};

use super::scan::{IMAGE_END, IMAGE_START, Tag, is_void, name_end};

/// Elements that do not part a text.
const INLINE: [&str; 39] = [
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "br", "cite", "code", "data", "del", "dfn",
    "em", "font", "i", "img", "input", "ins", "kbd", "label", "mark", "picture", "q", "rp", "rt",
    "ruby", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr",
];

/// Whether an element is part of the text around it.
pub(super) fn is_inline(name: &str) -> bool {
    INLINE.contains(&name)
}

/// Parts of classes and names of what stands around the content of so many pages.
const BESIDE: [&str; 43] = [
    "advert",
    "author-bio",
    "banner",
    "breadcrumb",
    "byline",
    "cart",
    "consent",
    "cookie",
    "copyright",
    "dropdown",
    "filter",
    "footer",
    "hidden",
    "legal",
    "login",
    "masthead",
    "menu",
    "modal",
    "nav",
    "newsletter",
    "offcanvas",
    "pager",
    "pagination",
    "popup",
    "promo",
    "recommend",
    "related",
    "search",
    "share",
    "side-bar",
    "sidebar",
    "signup",
    "similar",
    "skip",
    "social",
    "sort",
    "sponsor",
    "sr-only",
    "subscribe",
    "tags",
    "toolbar",
    "visually",
    "widget",
];
/// Elements around a block whose classes count: those of the whole page say little of it.
const BESIDE_DEPTH: u8 = 12;

/// Characters that Unicode leaves to private use; as many blocks can be told apart.
const FIRST_MARK: u32 = 0x0010_0000;
const LAST_MARK: u32 = 0x0010_fffd;

fn mark(index: usize) -> Option<char> {
    let number = FIRST_MARK.checked_add(u32::try_from(index).ok()?)?;
    char::from_u32(number).filter(|_| number <= LAST_MARK)
}

/// `text` without the marks of blocks.
pub(super) fn unmarked(text: &str) -> String {
    text.chars().filter(|c| !(FIRST_MARK..=LAST_MARK).contains(&u32::from(*c))).collect()
}

/// Where a block stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// In what says that it is the main part.
    pub(super) main: bool,
    /// In `<nav>`, `<aside>` or `<footer>`.
    pub(super) around: bool,
    /// In something with a name of what stands beside content; counts down with the depth.
    beside: u8,
}

impl Place {
    fn inside(self, name: &str, tag: &Tag<'_>) -> Self {
        let role = |role| tag.has_token("role", &[role]);
        let labels = ["class", "id"].into_iter().filter_map(|key| tag.raw(key));
        let beside = labels
            .map(str::to_ascii_lowercase)
            .any(|label| BESIDE.iter().any(|part| label.contains(part)));
        Self {
            main: self.main || name == "main" || role("main"),
            around: self.around
                || matches!(name, "nav" | "aside" | "footer")
                || role("navigation")
                || role("contentinfo"),
            beside: if beside && !matches!(name, "html" | "body") {
                BESIDE_DEPTH
            } else {
                self.beside.saturating_sub(1)
            },
        }
    }

    pub(super) const fn is_beside(self) -> bool {
        self.beside > 0
    }
}

/// A run of text between two ends of blocks.
#[derive(Debug)]
pub(super) struct Block {
    /// Where it stands in the HTML, with the inline tags inside.
    range: Range<usize>,
    pub(super) words: usize,
    /// The same for the same words.
    pub(super) hash: u64,
    pub(super) place: Place,
}

/// The blocks of a page.
#[derive(Debug)]
pub(super) struct Blocks<'a> {
    html: &'a str,
    pub(super) blocks: Vec<Block>,
}

/// A start tag, an end tag or a text.
pub(super) enum Piece<'a> {
    Text(Range<usize>),
    Start(&'a str, Tag<'a>, Range<usize>),
    End(&'a str),
}

/// Calls `take` for all pieces of `html`, which must be well formed, as the scan leaves it; without
/// what nobody sees.
pub(super) fn pieces<'a>(html: &'a str, mut take: impl FnMut(Piece<'a>)) {
    let mut at = 0;
    while at < html.len() {
        let start = html[at..].find('<').map_or(html.len(), |offset| at + offset);
        if start > at {
            take(Piece::Text(at..start));
        }
        if start == html.len() {
            break;
        }
        let closes = html[start + 1..].starts_with('/');
        let name_start = start + 1 + usize::from(closes);
        let name_end = name_end(html, name_start).unwrap_or(html.len());
        let name = &html[name_start..name_end];
        let tag = Tag::read(html, name_end);
        at = tag.end;
        if name.starts_with('!') {
            continue;
        }
        if closes {
            take(Piece::End(name));
        } else if matches!(name, "script" | "title") {
            // The only ones of their kind that the scan leaves.
            at = html[at..].find("</").map_or(html.len(), |offset| at + offset);
            at = html[at..].find('>').map_or(html.len(), |offset| at + offset + 1);
        } else {
            take(Piece::Start(name, tag, start..at));
        }
    }
}

impl<'a> Blocks<'a> {
    /// Reads `html`, which must be well formed, as the scan leaves it.
    pub(super) fn new(html: &'a str) -> Self {
        let mut blocks: Vec<Block> = Vec::new();
        let mut open: Vec<(&str, Place)> = Vec::new();
        let mut is_open = false;
        pieces(html, |piece| match piece {
            Piece::Text(range) => {
                let text = &html[range.clone()];
                if text.trim().is_empty() {
                    return;
                }
                let start = range.start + text.len() - text.trim_start().len();
                let end = range.start + text.trim_end().len();
                if !std::mem::replace(&mut is_open, true) {
                    let place = open.last().map(|(_, place)| *place).unwrap_or_default();
                    blocks.push(Block { range: start..end, words: 0, hash: 0, place });
                }
                if let Some(block) = blocks.last_mut() {
                    block.range.end = end;
                    each_word(text, |word| {
                        let mut hasher = DefaultHasher::new();
                        (block.hash, word).hash(&mut hasher);
                        block.hash = hasher.finish();
                        block.words += 1;
                    });
                }
            }
            Piece::Start(name, tag, _) => {
                is_open &= is_inline(name);
                if !is_void(name) {
                    let place = open.last().map(|(_, place)| *place).unwrap_or_default();
                    open.push((name, place.inside(name, &tag)));
                }
            }
            Piece::End(name) => {
                is_open &= is_inline(name);
                if open.last().is_some_and(|(open, _)| *open == name) {
                    open.pop();
                }
            }
        });
        Self { html, blocks }
    }

    /// The page with a mark after the last letter of each block.
    pub(super) fn marked(&self) -> String {
        let mut out = String::with_capacity(self.html.len() + 4 * self.blocks.len());
        let mut at = 0;
        for (index, block) in self.blocks.iter().enumerate() {
            let Some(mark) = mark(index) else { break };
            out.push_str(&self.html[at..block.range.end]);
            out.push(mark);
            at = block.range.end;
        }
        out.push_str(&self.html[at..]);
        out
    }

    /// The blocks whose marks stand in `text`.
    pub(super) fn marked_in(&self, text: &str) -> Vec<bool> {
        let mut found = vec![false; self.blocks.len()];
        for c in text.chars() {
            let number = u32::from(c).checked_sub(FIRST_MARK).and_then(|n| usize::try_from(n).ok());
            if let Some(found) = number.and_then(|number| found.get_mut(number)) {
                *found = true;
            }
        }
        found
    }

    /// The blocks whose places are such.
    pub(super) fn at(&self, is: impl Fn(&Place) -> bool) -> Vec<bool> {
        self.blocks.iter().map(|block| is(&block.place)).collect()
    }

    /// Words of the blocks that are `kept`.
    pub(super) fn words(&self, kept: &[bool]) -> usize {
        self.blocks.iter().zip(kept).filter(|(_, kept)| **kept).map(|(block, _)| block.words).sum()
    }

    /// The page with the blocks that are `kept` and the elements around them only.
    pub(super) fn only(&self, kept: &[bool]) -> String {
        // What has no words, such as an image, goes with what is before and after it.
        let kept: Vec<bool> = (0..self.blocks.len())
            .map(|index| {
                kept[index]
                    || self.blocks[index].words == 0
                        && index > 0
                        && kept[index - 1]
                        && kept.get(index + 1).copied().unwrap_or(true)
            })
            .collect();
        let mut cut = Cut { html: self.html, out: String::new(), open: Vec::new() };
        let mut next = 0;
        // Where the block ends that holds this byte, if it is kept.
        let mut kept_until = |at: usize| {
            while self.blocks.get(next).is_some_and(|block| block.range.end <= at) {
                next += 1;
            }
            let block = self.blocks.get(next).filter(|block| kept[next] && block.range.start <= at);
            block.map(|block| block.range.end)
        };
        pieces(self.html, |piece| match piece {
            Piece::Text(range) => {
                let text = &self.html[range.clone()];
                let first = range.start + text.len() - text.trim_start().len();
                // White space inside a block parts words.
                let at = if first == range.end { range.start } else { first };
                if let Some(end) = kept_until(at) {
                    cut.write(&self.html[range.start..range.end.min(end)]);
                }
            }
            Piece::Start(name, _, range) if is_void(name) => {
                if kept_until(range.start).is_some() {
                    cut.write(&self.html[range]);
                } else if name == "input" {
                    // The box of a task stands before its text.
                    cut.hold(&self.html[range]);
                }
            }
            Piece::Start(name, _, range) => {
                cut.open.push(Open { name, tag: range, held: String::new(), is_written: false });
            }
            Piece::End(name) => cut.close(name),
        });
        cut.out
    }
}

/// An element whose start tag is written when something inside it is.
struct Open<'a> {
    name: &'a str,
    tag: Range<usize>,
    /// What stands before that.
    held: String,
    is_written: bool,
}

struct Cut<'a> {
    html: &'a str,
    out: String,
    open: Vec<Open<'a>>,
}

impl Cut<'_> {
    fn write(&mut self, text: &str) {
        for open in &mut self.open {
            if !std::mem::replace(&mut open.is_written, true) {
                self.out.push_str(&self.html[open.tag.clone()]);
            }
            self.out.push_str(&std::mem::take(&mut open.held));
        }
        self.out.push_str(text);
    }

    fn hold(&mut self, text: &str) {
        if let Some(open) = self.open.last_mut() {
            open.held.push_str(text);
        }
    }

    fn close(&mut self, name: &str) {
        let Some(open) = self.open.pop_if(|open| open.name == name) else { return };
        let is_cell = matches!(name, "td" | "th");
        if open.is_written {
            self.out.push_str(&format!("</{name}>"));
        } else if is_cell {
            // The other cells of a row stay in their columns.
            let cell = format!("{}</{name}>", &self.html[open.tag]);
            self.hold(&cell);
        }
        if name == "tr"
            && open.is_written
            && let Some(end) = self.out.len().checked_sub("</tr>".len())
        {
            self.out.insert_str(end, &open.held);
        }
    }
}

/// Calls `take` for each word of a text of HTML in lower case: letters, digits and underscores in a
/// row. The numbers of images are no words.
fn each_word(text: &str, mut take: impl FnMut(&str)) {
    let text = html_escape::decode_html_entities(text);
    let mut word = String::new();
    let mut in_image = false;
    for c in text.chars() {
        if !in_image && (c.is_alphanumeric() || c == '_') {
            word.extend(c.to_lowercase());
            continue;
        }
        if !word.is_empty() {
            take(&word);
            word.clear();
        }
        match c {
            IMAGE_START => in_image = true,
            IMAGE_END => in_image = false,
            _ => {}
        }
    }
    if !word.is_empty() {
        take(&word);
    }
}

/// Words of a text of HTML.
pub(super) fn count_words(text: &str) -> usize {
    let mut words = 0;
    each_word(text, |_| words += 1);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "<nav><a href=x>Home</a></nav><main><h1>A <em>b</em></h1><ul><li><input type=checkbox> one\
        <br>two</li><li>three</li></ul><table><tr><th></th><th>k</th></tr><tr><td>v</td><td></td></tr></table>\
        <p>\u{fdd0}1\u{fdd1} </p><p>end</p></main>";

    fn texts(html: &str) -> Vec<String> {
        let page = Blocks::new(html);
        page.blocks.iter().map(|block| html[block.range.clone()].to_owned()).collect()
    }

    #[test]
    fn a_page_is_parted_into_what_is_read_as_one() {
        assert_eq!(
            texts(PAGE),
            ["Home", "A <em>b", "one<br>two", "three", "k", "v", "\u{fdd0}1\u{fdd1}", "end"]
        );
        for (html, expected) in [
            ("<script>x</script>a", vec!["a"]),
            ("<p> </p>", vec![]),
            ("a<div>b</div> c <i>d</i>", vec!["a", "b", "c <i>d"]),
            ("<custom-x>a</custom-x><a href=x><div>b</div></a>", vec!["a", "b"]),
        ] {
            assert_eq!(texts(html), expected, "{html}");
        }
    }

    #[test]
    fn blocks_know_their_place() {
        let page = Blocks::new(
            "<p>a</p><main><p>b</p><nav>c</nav></main><div class='x Sidebar-2'><p>d</p></div>",
        );
        let places: Vec<_> = page
            .blocks
            .iter()
            .map(|block| (block.place.main, block.place.around, block.place.is_beside()))
            .collect();
        let expected = [
            (false, false, false),
            (true, false, false),
            (true, true, false),
            (false, false, true),
        ];
        assert_eq!(places, expected);
    }

    #[test]
    fn marks_come_back_and_leave_no_trace() {
        let page = Blocks::new(PAGE);
        let marked = page.marked();
        assert_eq!(unmarked(&marked), PAGE);
        assert_eq!(page.marked_in(&marked), [true; 8]);
        assert_eq!(page.marked_in("no \u{10fffd}"), [false; 8]);
        let words: Vec<_> = page.blocks.iter().map(|block| block.words).collect();
        assert_eq!(words, [1, 2, 2, 1, 1, 1, 0, 1]);
    }

    #[test]
    fn what_is_kept_keeps_its_markup() {
        let page = Blocks::new(PAGE);
        let check = |kept: [u8; 8], expected: &str| {
            assert_eq!(page.only(&kept.map(|kept| kept == 1)), expected, "{kept:?}");
        };
        check([0; 8], "");
        check([0, 1, 0, 0, 0, 0, 0, 0], "<main><h1>A <em>b</em></h1></main>");
        check(
            [0, 0, 1, 0, 0, 0, 0, 0],
            "<main><ul><li><input type=checkbox> one<br>two</li></ul></main>",
        );
        check(
            [0, 0, 0, 0, 1, 1, 0, 1],
            "<main><table><tr><th></th><th>k</th></tr><tr><td>v</td><td></td></tr></table>\
             <p>\u{fdd0}1\u{fdd1}</p><p>end</p></main>",
        );
    }
}
