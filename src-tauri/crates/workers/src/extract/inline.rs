//! A run of text with its emphasis, code, links and images as Markdown that means the same.

use url::Url;

use super::{
    PageOptions,
    scan::Image,
    tree::{Kind, Node},
};

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In a block that may have many lines.
    Lines,
    /// In a heading: one line, in which marks of blocks mean nothing.
    Heading,
    /// In a cell of a table: the same, and `|` ends it.
    Cell,
}

/// What addresses and images need.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    pub(super) base: &'a Url,
    pub(super) images: &'a [Image],
    pub(super) options: &'a PageOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Emphasis,
    Strong,
    Strike,
}

#[derive(Debug)]
enum Token {
    /// Words, with single spaces between them.
    Text(String),
    /// White space, never beside other white space.
    Space(String),
    Break,
    Code(String),
    /// Markup that is finished.
    Done(String),
    Open(Mark),
    Close(Mark),
    OpenLink,
    CloseLink {
        to: String,
        title: String,
    },
}

/// Markdown of `nodes`, without space around it.
pub(super) fn write(nodes: &[Node], place: Place, context: Context<'_>) -> String {
    let mut flat = Flat { tokens: Vec::new(), place, context };
    nodes.iter().for_each(|node| flat.node(node));
    let mut tokens = flat.tokens;
    while matches!(tokens.last(), Some(Token::Space(_) | Token::Break)) {
        tokens.pop();
    }
    settle(&mut tokens);
    let mut writer = Writer { out: String::new(), place, in_link: false };
    let mut rest = tokens.as_slice();
    while let Some((token, after)) = rest.split_first() {
        rest = match rest {
            [Token::OpenLink, Token::Text(text), Token::CloseLink { to, title }, after @ ..]
                if title.is_empty() && text == to && is_plain(to) =>
            {
                writer.out.push_str(&format!("<{to}>"));
                after
            }
            _ => {
                writer.token(token, after);
                after
            }
        };
    }
    writer.out
}

/// Text as Markdown that shows the same text.
pub(super) fn escape(line: &str) -> String {
    let mut writer = Writer { out: String::new(), place: Place::Lines, in_link: false };
    writer.text(line, None);
    writer.out
}

/// Whether an address between angle brackets is one.
fn is_plain(to: &str) -> bool {
    let forbidden = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '\\' | '|');
    to.contains(':') && !to.contains(forbidden)
}

struct Flat<'a> {
    tokens: Vec<Token>,
    place: Place,
    context: Context<'a>,
}

impl Flat<'_> {
    fn node(&mut self, node: &Node) {
        match node {
            Node::Text(text) => self.text(text),
            Node::Code(text) => self.code(text),
            Node::Break | Node::Edge | Node::Rule => self.space(Token::Break),
            Node::Image(number) => {
                let image = self.context.images.get(*number);
                if let Some(image) = image.filter(|_| self.context.options.keep_images) {
                    self.tokens.push(Token::Done(image_markup(image, self.place)));
                }
            }
            // A list takes those at the start of its items; elsewhere Markdown has none.
            Node::Check(_) => {}
            Node::Pre { text, .. } => {
                self.space(Token::Break);
                for line in text.lines().filter(|line| !line.trim().is_empty()) {
                    self.code(line);
                    self.space(Token::Break);
                }
            }
            Node::Element(kind, inner) => self.element(kind, inner),
        }
    }

    fn element(&mut self, kind: &Kind, inner: &[Node]) {
        let nodes = |flat: &mut Self| inner.iter().for_each(|node| flat.node(node));
        match kind {
            Kind::Emphasis => self.marked(Mark::Emphasis, inner),
            Kind::Strong => self.marked(Mark::Strong, inner),
            Kind::Strike => self.marked(Mark::Strike, inner),
            Kind::Quotation => {
                self.text("“");
                nodes(self);
                self.text("”");
            }
            Kind::Link { to, title } => {
                let Some(to) = self.address(to) else { return nodes(self) };
                self.tokens.push(Token::OpenLink);
                nodes(self);
                // Manuals name what is linked once more in the title.
                let title = if to.ends_with(title) { "" } else { title }.to_owned();
                self.close(
                    |token| matches!(token, Token::OpenLink),
                    Token::CloseLink { to, title },
                );
            }
            Kind::Raised | Kind::Code => nodes(self),
            _ => {
                self.space(Token::Break);
                nodes(self);
                self.space(Token::Break);
            }
        }
    }

    /// Where a link leads, if it leads somewhere.
    fn address(&self, to: &str) -> Option<String> {
        let to = self.context.base.join(to.trim()).ok()?;
        let leads = !matches!(to.scheme(), "javascript" | "data" | "vbscript");
        (leads && self.context.options.keep_links).then(|| to.into())
    }

    fn marked(&mut self, mark: Mark, inner: &[Node]) {
        // What is marked the same way on both sides of nothing is one.
        if self
            .tokens
            .pop_if(|token| matches!(token, Token::Close(before) if *before == mark))
            .is_none()
        {
            self.tokens.push(Token::Open(mark));
        }
        inner.iter().for_each(|node| self.node(node));
        self.close(|token| matches!(token, Token::Open(open) if *open == mark), Token::Close(mark));
    }

    /// Ends what was opened. Space at its end goes behind it; what holds nothing goes altogether.
    fn close(&mut self, opens: impl Fn(&Token) -> bool, close: Token) {
        let space = self.tokens.pop_if(|token| matches!(token, Token::Space(_) | Token::Break));
        if self.tokens.last().is_some_and(opens) {
            self.tokens.pop();
        } else {
            self.tokens.push(close);
        }
        if let Some(space) = space {
            self.space(space);
        }
    }

    fn code(&mut self, text: &str) {
        match self.tokens.last_mut() {
            Some(Token::Code(before)) => before.push_str(text),
            _ => self.tokens.push(Token::Code(text.to_owned())),
        }
    }

    fn text(&mut self, text: &str) {
        let words = text.trim();
        let (before, after) = if words.is_empty() {
            (text, "")
        } else {
            let start = text.len() - text.trim_start().len();
            (&text[..start], &text[start + words.len()..])
        };
        if !before.is_empty() {
            self.space(Token::Space(self.collapsed(before)));
        }
        if !words.is_empty() {
            let words = self.collapsed(words);
            match self.tokens.last_mut() {
                Some(Token::Text(before)) => before.push_str(&words),
                _ => self.tokens.push(Token::Text(words)),
            }
        }
        if !after.is_empty() {
            self.space(Token::Space(self.collapsed(after)));
        }
    }

    /// With one space for many. Lines end where they did.
    fn collapsed(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut last = None;
        for c in text.chars() {
            let c = match (c, last) {
                ('\n', Some(' ')) if self.place == Place::Lines => {
                    out.pop();
                    '\n'
                }
                (c, Some(' ' | '\n')) if c.is_ascii_whitespace() => continue,
                ('\n', _) if self.place == Place::Lines => '\n',
                (c, _) if c.is_ascii_whitespace() => ' ',
                (c, _) => c,
            };
            out.push(c);
            last = Some(c);
        }
        out
    }

    /// Puts white space before what has just been opened, and beside no other.
    fn space(&mut self, space: Token) {
        let is_open = |token: &&Token| matches!(token, Token::Open(_) | Token::OpenLink);
        let opened = self.tokens.iter().rev().take_while(is_open).count();
        let at = self.tokens.len() - opened;
        let Some(before) = at.checked_sub(1).map(|at| &mut self.tokens[at]) else { return };
        match (before, space) {
            (Token::Break, _) => {}
            (before @ Token::Space(_), Token::Break) => *before = Token::Break,
            (Token::Space(before), Token::Space(space)) => {
                if before.is_ascii() && !space.is_ascii() {
                    *before = space;
                }
            }
            (_, space) => self.tokens.insert(at, space),
        }
    }
}

/// Takes the marks away that would not be read as such, as in `a**“b”**c`, and those that only say
/// again what is said around them.
fn settle(tokens: &mut [Token]) {
    let mut open: Vec<(usize, Mark)> = Vec::new();
    for index in 0..tokens.len() {
        let mark = match tokens[index] {
            Token::Open(mark) => {
                open.push((index, mark));
                continue;
            }
            Token::Close(mark) => mark,
            _ => continue,
        };
        let Some((start, _)) = open.pop() else { continue };
        let before = tokens[..start].iter().rev().find_map(last_char).unwrap_or(' ');
        let first = tokens[start + 1..].iter().find_map(first_char).unwrap_or(' ');
        let last = tokens[..index].iter().rev().find_map(last_char).unwrap_or(' ');
        let after = tokens[index + 1..].iter().find_map(first_char).unwrap_or(' ');
        let is_nested = open.iter().any(|(_, around)| *around == mark);
        let reads = |inside: char, outside: char| {
            !inside.is_whitespace()
                && if is_nested {
                    inside.is_alphanumeric() && !outside.is_alphanumeric()
                } else {
                    inside.is_alphanumeric() || !outside.is_alphanumeric()
                }
        };
        let around = match (tokens[..start].last(), tokens.get(index + 1)) {
            (Some(Token::Open(open)), Some(Token::Close(close))) if open == close => Some(*open),
            _ => None,
        };
        let replaced = if !reads(first, before) || !reads(last, after) || around == Some(mark) {
            String::new()
        } else if mark == Mark::Emphasis && around == Some(Mark::Strong) {
            // `***a***` would be strong inside emphasis.
            "_".to_owned()
        } else {
            continue;
        };
        tokens[start] = Token::Done(replaced.clone());
        tokens[index] = Token::Done(replaced);
    }
}

fn first_char(token: &Token) -> Option<char> {
    match token {
        Token::Text(text) | Token::Space(text) => text.chars().next(),
        Token::Done(markup) => markup.chars().next(),
        Token::Break => Some('\n'),
        Token::Code(_) => Some('`'),
        Token::OpenLink => Some('['),
        Token::CloseLink { .. } => Some(']'),
        Token::Open(_) | Token::Close(_) => None,
    }
}

fn last_char(token: &Token) -> Option<char> {
    match token {
        Token::Text(text) | Token::Space(text) => text.chars().next_back(),
        Token::CloseLink { .. } => Some(')'),
        token => first_char(token),
    }
}

struct Writer {
    out: String,
    place: Place,
    in_link: bool,
}

impl Writer {
    fn token(&mut self, token: &Token, rest: &[Token]) {
        match token {
            Token::Text(text) => self.text(text, rest.iter().find_map(first_char)),
            Token::Space(space) => self.out.push_str(space),
            Token::Break => self.out.push_str(match self.place {
                Place::Lines => "  \n",
                Place::Heading => " ",
                Place::Cell => "<br>",
            }),
            Token::Code(code) => self.code(code),
            Token::Done(markup) => self.out.push_str(markup),
            Token::Open(Mark::Strike) | Token::Close(Mark::Strike) => self.out.push_str("~~"),
            Token::Open(Mark::Strong) | Token::Close(Mark::Strong) => self.out.push_str("**"),
            Token::Open(Mark::Emphasis) | Token::Close(Mark::Emphasis) => self.out.push('*'),
            Token::OpenLink => {
                self.out.push('[');
                self.in_link = true;
            }
            Token::CloseLink { to, title } => {
                self.in_link = false;
                self.out.push_str("](");
                self.out.push_str(&target(to, title, self.place));
                self.out.push(')');
            }
        }
    }

    /// Writes a code span that its content cannot end.
    fn code(&mut self, code: &str) {
        let mut longest = 0;
        let mut run = 0;
        for c in code.chars() {
            run = if c == '`' { run + 1 } else { 0 };
            longest = longest.max(run);
        }
        let marks = if longest == 0 { 1 } else { longest + 1 };
        // One space on both sides is taken off again.
        let ends = |c: char| code.starts_with(c) || code.ends_with(c);
        let has_spaces = code.starts_with(' ') && code.ends_with(' ') && !code.trim().is_empty();
        let pad = if ends('`') || has_spaces { " " } else { "" };
        let marks = "`".repeat(marks);
        let code = code.replace('\n', " ");
        let code = if self.place == Place::Cell { code.replace('|', "\\|") } else { code };
        self.out.extend([&*marks, pad, &*code, pad, &*marks]);
    }

    /// Writes text and escapes what would be markup; `next` is what comes behind it.
    fn text(&mut self, text: &str, next: Option<char>) {
        let mut before = self.out.chars().next_back().unwrap_or('\n');
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            let rest = &text[at + c.len_utf8()..];
            if c == '['
                && !self.in_link
                && let Some(note) = note(rest, next)
            {
                self.out.push('[');
                self.out.push_str(note);
                before = ']';
                at += 1 + note.len();
                continue;
            }
            let starts_line = self.place == Place::Lines && before == '\n';
            if starts_line && self.is_block_mark(&text[at..], next)
                || self.is_mark(c, before, rest, next)
            {
                self.out.push('\\');
            }
            self.out.push(c);
            before = c;
            at += c.len_utf8();
        }
    }

    /// Whether the first character of a line would make it another block.
    fn is_block_mark(&self, text: &str, next: Option<char>) -> bool {
        let line = text.split('\n').next().unwrap_or_default();
        let ends = |rest: &str| {
            let c = rest.chars().next().or(if line.len() == text.len() { next } else { None });
            c.is_none_or(char::is_whitespace)
        };
        let only = |marks: &str| line.chars().all(|c| marks.contains(c));
        match line.as_bytes().first() {
            Some(b'>') => true,
            Some(b'#') => {
                let rest = line.trim_start_matches('#');
                line.len() - rest.len() <= 6 && ends(rest)
            }
            Some(b'-') if ends(&line[1..]) || only("- ") => true,
            Some(b'+') => ends(&line[1..]),
            Some(b'=') => only("= "),
            Some(b'~') => line.starts_with("~~~"),
            // Below a line it would make that the head of a table.
            Some(b'|' | b':' | b'-') => only("|:- ") && line.contains('-'),
            _ => false,
        }
    }

    fn is_mark(&self, c: char, before: char, rest: &str, next: Option<char>) -> bool {
        let after = rest.chars().next().or(next);
        match c {
            '*' | '`' | '[' | ']' => true,
            '|' => self.place == Place::Cell,
            '_' => !(before.is_alphanumeric() && after.is_some_and(char::is_alphanumeric)),
            '~' => after == Some('~') || !before.is_whitespace(),
            '!' => after == Some('['),
            '<' => after.is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')),
            '&' => is_entity(rest),
            '\\' => {
                rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_punctuation() || c == '\n')
            }
            '.' | ')' if self.place == Place::Lines && after.is_none_or(char::is_whitespace) => {
                self.is_number()
            }
            '#' if self.place == Place::Heading => {
                (before.is_whitespace() || self.out.is_empty())
                    && next.is_none()
                    && rest.bytes().all(|b| b == b'#')
            }
            _ => false,
        }
    }

    /// Whether the line so far is a number that would begin a list.
    fn is_number(&self) -> bool {
        let digits = self.out.bytes().rev().take(10).take_while(u8::is_ascii_digit).count();
        let before = self.out.len() - digits;
        (1..=9).contains(&digits) && (before == 0 || self.out.as_bytes()[before - 1] == b'\n')
    }
}

/// Letters of a note between brackets.
const MAX_NOTE: usize = 40;

/// What follows a bracket, up to the one that ends it, if that is a note of a text such as `12]` or
/// `citation needed]` and no address follows: those are no links.
fn note(rest: &str, next: Option<char>) -> Option<&str> {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '.' | ',');
    let length: usize =
        rest.chars().take(MAX_NOTE).take_while(|c| is_word(*c)).map(char::len_utf8).sum();
    let words = rest[length..].starts_with(']').then(|| &rest[..length])?;
    // `[ ]` and `[x]` are the boxes of tasks.
    let is_note = words.bytes().all(|b| b.is_ascii_digit()) && length > 0
        || length > 1 && !words.starts_with(' ');
    let after = rest[words.len() + 1..].chars().next().or(next);
    let leads = matches!(after, Some('(' | '[' | ':'));
    (is_note && !leads).then(|| &rest[..=words.len()])
}

/// Whether an `&` before this begins a character reference.
fn is_entity(rest: &str) -> bool {
    let name = rest.strip_prefix('#').unwrap_or(rest);
    let length = name.bytes().take(40).take_while(u8::is_ascii_alphanumeric).count();
    length > 0 && name[length..].starts_with(';')
}

fn image_markup(image: &Image, place: Place) -> String {
    let mut writer = Writer { out: String::new(), place: Place::Heading, in_link: true };
    writer.text(&image.description, Some(']'));
    let description =
        if place == Place::Cell { writer.out.replace('|', "\\|") } else { writer.out };
    format!("![{description}]({})", target(image.url.as_str(), &image.title, place))
}

/// The address and the title of a link or an image.
fn target(to: &str, title: &str, place: Place) -> String {
    let escaped = |text: &str, marks: &[char]| {
        let mut out = String::with_capacity(text.len());
        for (at, c) in text.char_indices() {
            let rest = &text[at + c.len_utf8()..];
            let escape = marks.contains(&c)
                || c == '|' && place == Place::Cell
                || c == '&' && is_entity(rest)
                || c == '\\'
                    && (rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_punctuation()));
            if escape {
                out.push('\\');
            }
            out.push(c);
        }
        out
    };
    let mut depth = 0_i32;
    let balanced = to.chars().all(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        (0..16).contains(&depth)
    }) && depth == 0;
    let mut out = if balanced && !to.contains([' ', '<', '>']) {
        escaped(to, &[])
    } else {
        format!("<{}>", escaped(to, &['<', '>']))
    };
    if !title.is_empty() {
        out.push_str(&format!(" \"{}\"", escaped(title, &['"'])));
    }
    out
}
