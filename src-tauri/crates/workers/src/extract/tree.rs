//! HTML as a tree of what Markdown has words for. Other elements are taken out of it: blocks leave an
//! edge behind, which parts the text, and the rest leaves nothing.

use std::mem;

use super::{
    blocks::{Piece, is_inline, pieces},
    clean,
    scan::{IMAGE_END, IMAGE_START, Tag, is_void},
    terms::{bold, definitions, items, terms},
};

/// Elements deeper than this among others that count leave their content only.
const MAX_DEPTH: usize = 64;
/// Columns that one cell may take.
const MAX_SPAN: usize = 100;

#[derive(Debug)]
pub(super) enum Node {
    Text(String),
    Code(String),
    Break,
    /// The number of an image of the page.
    Image(usize),
    /// The box of a task, and whether it is ticked.
    Check(bool),
    /// A block begins or ends.
    Edge,
    Rule,
    Pre {
        language: String,
        text: String,
    },
    Element(Kind, Vec<Self>),
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Emphasis,
    Strong,
    Strike,
    Quotation,
    Raised,
    Link { to: String, title: String },
    Code,
    Paragraph,
    Heading(usize),
    Quote,
    List { start: Option<u32> },
    Item,
    Terms,
    Term,
    Definition,
    Pre { language: String },
    Table,
    Caption,
    Row,
    Cell(Cell),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub(super) is_head: bool,
    pub(super) align: Align,
    pub(super) columns: usize,
    pub(super) rows: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    None,
    Left,
    Center,
    Right,
}

impl Kind {
    const fn is_block(&self) -> bool {
        !matches!(
            self,
            Self::Emphasis
                | Self::Strong
                | Self::Strike
                | Self::Quotation
                | Self::Raised
                | Self::Link { .. }
                | Self::Code
        )
    }

    fn of(name: &str, tag: &Tag<'_>) -> Option<Self> {
        Some(match name {
            "em" | "i" => Self::Emphasis,
            "strong" | "b" => Self::Strong,
            "s" | "del" | "strike" => Self::Strike,
            "q" => Self::Quotation,
            "sup" => Self::Raised,
            "a" => {
                let to = tag.get("href")?;
                let title = clean::line(&tag.get("title").unwrap_or_default());
                Self::Link { to, title }
            }
            "code" | "kbd" | "samp" | "tt" => Self::Code,
            "p" => Self::Paragraph,
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => Self::Heading(name[1..].parse().ok()?),
            "blockquote" => Self::Quote,
            "ul" | "menu" => Self::List { start: None },
            "ol" => {
                let start = tag.raw("start").and_then(|start| start.trim().parse().ok());
                Self::List { start: Some(start.filter(|n| *n < 1_000_000_000).unwrap_or(1)) }
            }
            "li" => Self::Item,
            "dl" => Self::Terms,
            "dt" => Self::Term,
            "dd" => Self::Definition,
            "pre" => Self::Pre { language: String::new() },
            "table" => Self::Table,
            "caption" => Self::Caption,
            "tr" => Self::Row,
            "td" | "th" => Self::Cell(Cell::of(name, tag)),
            _ => return None,
        })
    }
}

impl Cell {
    fn of(name: &str, tag: &Tag<'_>) -> Self {
        let style = tag.raw("style").and_then(|style| style.split_once("text-align:"));
        let align = tag.raw("align").or(style.map(|(_, align)| align)).unwrap_or_default();
        let align = align.trim_start().to_ascii_lowercase();
        let align = match align.as_str() {
            _ if align.starts_with("left") => Align::Left,
            _ if align.starts_with("center") => Align::Center,
            _ if align.starts_with("right") => Align::Right,
            _ => Align::None,
        };
        let span = |key| {
            let span = tag.raw(key).and_then(|span| span.trim().parse().ok()).unwrap_or(1);
            span.clamp(1, MAX_SPAN)
        };
        Self { is_head: name == "th", align, columns: span("colspan"), rows: span("rowspan") }
    }
}

impl Node {
    pub(super) const fn is_block(&self) -> bool {
        match self {
            Self::Edge | Self::Rule | Self::Pre { .. } => true,
            Self::Element(kind, _) => kind.is_block(),
            Self::Text(_) | Self::Code(_) | Self::Break | Self::Image(_) | Self::Check(_) => false,
        }
    }

    pub(super) fn is_blank(&self) -> bool {
        match self {
            Self::Text(text) => text.trim().is_empty(),
            Self::Edge | Self::Break => true,
            _ => false,
        }
    }

    fn has_letters(&self) -> bool {
        match self {
            Self::Text(text) | Self::Code(text) => text.contains(char::is_alphanumeric),
            Self::Element(_, inner) => inner.iter().any(Self::has_letters),
            _ => false,
        }
    }

    /// Appends the text of it, without markup.
    fn write_text(&self, out: &mut String) {
        match self {
            Self::Text(text) | Self::Code(text) | Self::Pre { text, .. } => out.push_str(text),
            Self::Break | Self::Edge => out.push('\n'),
            Self::Element(_, inner) => inner.iter().for_each(|node| node.write_text(out)),
            Self::Image(_) | Self::Check(_) | Self::Rule => {}
        }
    }
}

fn text_of(nodes: &[Node]) -> String {
    let mut out = String::new();
    nodes.iter().for_each(|node| node.write_text(&mut out));
    out
}

/// Reads well-formed HTML, as the scan and the finders leave it.
pub(super) fn read(html: &str) -> Vec<Node> {
    let mut builder =
        Builder { open: Vec::new(), frames: vec![Frame { kind: None, children: Vec::new() }] };
    pieces(html, |piece| match piece {
        Piece::Text(range) => builder.text(&html[range]),
        Piece::Start(name, tag, _) => builder.start(name, &tag),
        Piece::End(name) => builder.end(name),
    });
    while builder.open.pop().is_some_and(|(_, counts)| !counts || builder.close()) {}
    while builder.frames.len() > 1 {
        builder.close();
    }
    builder.frames.pop().map(|frame| frame.children).unwrap_or_default()
}

/// An element that counts, and what it holds so far.
struct Frame {
    kind: Option<Kind>,
    children: Vec<Node>,
}

struct Builder<'a> {
    /// All open elements, and whether they count.
    open: Vec<(&'a str, bool)>,
    frames: Vec<Frame>,
}

impl<'a> Builder<'a> {
    fn kind(&self) -> Option<&Kind> {
        self.frames.last().and_then(|frame| frame.kind.as_ref())
    }

    fn push(&mut self, node: Node) {
        if let Some(frame) = self.frames.last_mut() {
            frame.children.push(node);
        }
    }

    fn text(&mut self, text: &str) {
        let mut pieces = text.split(IMAGE_START);
        self.plain_text(pieces.next().unwrap_or_default());
        for piece in pieces {
            let (number, text) = piece.split_once(IMAGE_END).unwrap_or(("", piece));
            if let Ok(number) = number.parse() {
                self.push(Node::Image(number));
            }
            // The mark brings the space behind it along.
            self.plain_text(text.strip_prefix(' ').unwrap_or(text));
        }
    }

    fn plain_text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let text = clean::entities(text);
        let mut text = clean::visible(&text);
        if !text.is_ascii() && text.contains([IMAGE_START, IMAGE_END]) {
            text = text.replace([IMAGE_START, IMAGE_END], "").into();
        }
        match self.frames.last_mut().and_then(|frame| frame.children.last_mut()) {
            Some(Node::Text(before)) => before.push_str(&text),
            _ => self.push(Node::Text(text.into_owned())),
        }
    }

    fn start(&mut self, name: &'a str, tag: &Tag<'_>) {
        if is_void(name) {
            return self.void(name, tag);
        }
        if name == "code"
            && let Some(Frame { kind: Some(Kind::Pre { language }), .. }) = self.frames.last_mut()
        {
            let class = tag.get("class").unwrap_or_default();
            let class = class.split_whitespace().find_map(|class| class.strip_prefix("language-"));
            *language = class.unwrap_or_default().to_owned();
            return self.open.push((name, false));
        }
        let kind = Kind::of(name, tag).filter(|_| self.frames.len() < MAX_DEPTH);
        self.open.push((name, kind.is_some()));
        if kind.is_some() {
            self.frames.push(Frame { kind, children: Vec::new() });
        } else if !is_inline(name) {
            self.push(Node::Edge);
        }
    }

    fn void(&mut self, name: &str, tag: &Tag<'_>) {
        match name {
            "br" => {
                // Two in a row part paragraphs.
                let before = self.frames.last_mut().map(|frame| &mut frame.children);
                let last = before.and_then(|nodes| {
                    let blank = |node: &&mut Node| matches!(node, Node::Text(t) if t.trim_ascii().is_empty());
                    nodes.iter_mut().rev().find(|node| !blank(node))
                });
                match last {
                    Some(last @ Node::Break) => *last = Node::Edge,
                    _ => self.push(Node::Break),
                }
            }
            "hr" => self.push(Node::Rule),
            "input" if tag.has_token("type", &["checkbox"]) => {
                self.push(Node::Check(tag.raw("checked").is_some()));
            }
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        let Some(position) = self.open.iter().rposition(|(open, _)| *open == name) else { return };
        while self.open.len() > position {
            let Some((name, counts)) = self.open.pop() else { break };
            if counts {
                self.close();
            } else if !is_inline(name) {
                self.push(Node::Edge);
            }
        }
    }

    /// Ends the innermost element that counts.
    fn close(&mut self) -> bool {
        let Some(Frame { kind: Some(kind), mut children }) = self.frames.pop() else {
            return false;
        };
        let has_blocks = children.iter().any(Node::is_block);
        match kind {
            Kind::Emphasis | Kind::Strong | Kind::Strike | Kind::Quotation if has_blocks => {
                self.splice(children);
            }
            Kind::Raised => {
                if let Some(text) = self.exponent(&children) {
                    children = vec![Node::Text(text)];
                }
                self.splice(children);
            }
            Kind::Link { .. } if has_blocks => {
                let mut link = Some(kind);
                wrap(&mut children, Node::has_letters, &mut link);
                wrap(&mut children, |node| matches!(node, Node::Image(_)), &mut link);
                self.splice(children);
            }
            Kind::Code => {
                let code = code(children);
                self.splice(code);
            }
            Kind::Paragraph if has_blocks => {
                self.push(Node::Edge);
                self.splice(children);
                self.push(Node::Edge);
            }
            Kind::Pre { language } => {
                let text = text_of(&children).replace("\r\n", "\n");
                self.push(Node::Pre { language, text });
            }
            Kind::List { .. } => {
                let items = items(children);
                self.push(Node::Element(kind, items));
            }
            Kind::Item if !matches!(self.kind(), Some(Kind::List { .. })) => {
                let item = Node::Element(kind, children);
                let list = Kind::List { start: None };
                self.push(Node::Element(list, vec![item]));
            }
            Kind::Terms => {
                let list = Kind::List { start: None };
                self.push(Node::Element(list, definitions(children)));
            }
            Kind::Term if !matches!(self.kind(), Some(Kind::Terms)) => {
                let terms = terms(children);
                self.splice(terms);
            }
            Kind::Definition if !matches!(self.kind(), Some(Kind::Terms)) => {
                self.push(Node::Edge);
                self.splice(children);
                self.push(Node::Edge);
            }
            Kind::Table => self.table(children),
            _ => self.push(Node::Element(kind, children)),
        }
        true
    }

    fn splice(&mut self, nodes: Vec<Node>) {
        for node in nodes {
            match (node, self.frames.last_mut().and_then(|frame| frame.children.last_mut())) {
                (Node::Text(text), Some(Node::Text(before))) => before.push_str(&text),
                (node, _) => self.push(node),
            }
        }
    }

    /// A raised number behind a digit, which would be another number without that: `10⁶`.
    fn exponent(&self, raised: &[Node]) -> Option<String> {
        let Some(Node::Text(before)) = self.frames.last()?.children.last() else { return None };
        let text = text_of(raised);
        if !before.ends_with(|c: char| c.is_ascii_digit()) || text.is_empty() || text.len() > 8 {
            return None;
        }
        let raise = |c: char| match c {
            '-' | '−' | '–' => Some('⁻'),
            '+' => Some('⁺'),
            c => "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().nth(usize::try_from(c.to_digit(10)?).ok()?),
        };
        text.trim().chars().map(raise).collect()
    }

    /// A table of data stays one. Others only arrange blocks: those around tables and around code,
    /// and single columns of blocks.
    fn table(&mut self, children: Vec<Node>) {
        let mut rows = Vec::new();
        self.push(Node::Edge);
        for node in children {
            match node {
                Node::Element(Kind::Row, cells) => rows.push(cells),
                Node::Element(Kind::Caption, text) => {
                    self.push(bold(text));
                }
                node if node.is_blank() => {}
                node => self.push(node),
            }
        }
        let cells = || rows.iter().flatten();
        let is_head = |cell: &Cell| cell.is_head;
        let has_head = cells().any(|cell| as_cell(cell).is_some_and(is_head));
        let columns = |row: &Vec<Node>| row.iter().filter(|cell| as_cell(cell).is_some()).count();
        let is_layout = cells().any(|cell| holds(cell, &|node| is_table(node)))
            || !has_head
                && (rows.iter().all(|row| columns(row) < 2)
                    && (rows.len() < 2 || cells().any(has_blocks))
                    || cells().any(|cell| holds(cell, &|node| matches!(node, Node::Pre { .. }))));
        if !is_layout {
            let rows = rows.into_iter().map(|row| {
                let row = row.into_iter().filter(|cell| as_cell(cell).is_some());
                Node::Element(Kind::Row, row.collect())
            });
            let rows = rows.collect();
            return self.push(Node::Element(Kind::Table, rows));
        }
        for mut row in rows {
            if row.iter().any(|cell| holds(cell, &is_code)) {
                // The numbers of the lines stand in a cell of their own.
                row.retain(|cell| {
                    text_of(std::slice::from_ref(cell))
                        .contains(|c: char| !c.is_ascii_digit() && !c.is_whitespace())
                });
            }
            for cell in row {
                match cell {
                    Node::Element(Kind::Cell(_), children) => {
                        self.push(Node::Edge);
                        self.splice(children);
                        self.push(Node::Edge);
                    }
                    node => self.push(node),
                }
            }
        }
    }
}

pub(super) fn as_cell(node: &Node) -> Option<&Cell> {
    match node {
        Node::Element(Kind::Cell(cell), _) => Some(cell),
        _ => None,
    }
}

fn has_blocks(cell: &Node) -> bool {
    matches!(cell, Node::Element(_, inner) if inner.iter().any(Node::is_block))
}

const fn is_table(node: &Node) -> bool {
    matches!(node, Node::Element(Kind::Table, _))
}

const fn is_code(node: &Node) -> bool {
    matches!(node, Node::Pre { .. })
}

fn holds(node: &Node, is: &dyn Fn(&Node) -> bool) -> bool {
    match node {
        node if is(node) => true,
        Node::Element(_, inner) => inner.iter().any(|node| holds(node, is)),
        _ => false,
    }
}

/// Wraps the first run of inline nodes in which one `is` so, as deep down as it may be.
fn wrap(nodes: &mut Vec<Node>, is: fn(&Node) -> bool, link: &mut Option<Kind>) {
    let mut at = 0;
    while at < nodes.len() && link.is_some() {
        if let Node::Element(kind, inner) = &mut nodes[at]
            && kind.is_block()
        {
            wrap(inner, is, link);
        }
        let run = nodes[at..].iter().take_while(|node| !node.is_block()).count();
        if nodes[at..at + run].iter().any(is)
            && let Some(kind) = link.take()
        {
            let inner: Vec<Node> = nodes.splice(at..at + run, []).collect();
            return nodes.insert(at, Node::Element(kind, inner));
        }
        at += run.max(1);
    }
}

/// Code holds no markup; only links stay, around it.
fn code(children: Vec<Node>) -> Vec<Node> {
    let mut out = Vec::new();
    let mut text = String::new();
    for node in children {
        if let Node::Element(kind @ Kind::Link { .. }, inner) = node {
            if !text.is_empty() {
                out.push(Node::Code(mem::take(&mut text)));
            }
            out.push(Node::Element(kind, vec![Node::Code(text_of(&inner))]));
        } else {
            node.write_text(&mut text);
        }
    }
    if !text.is_empty() {
        out.push(Node::Code(text));
    }
    out
}
