//! The content of a page as Markdown: CommonMark with the tables, tasks and struck-out text of GFM.

use url::Url;

use super::{
    PageOptions,
    inline::{self, Context, Place},
    scan::Image,
    text,
    tree::{self, Align, Kind, Node, as_cell},
};

/// Columns of a table up to which spans of cells are filled.
const MAX_COLUMNS: usize = 200;

/// Markdown of `html`, a part of the page of `scan`, whose relative addresses belong to `base`: at
/// most a little more than `most` bytes.
pub(super) fn from_html(
    html: &str,
    base: &Url,
    images: &[Image],
    options: &PageOptions,
    most: usize,
) -> String {
    let context = Context { base, images, options };
    let mut writer = Writer { out: String::new(), prefix: String::new(), context, most };
    writer.blocks(&tree::read(html), false);
    if !writer.out.is_empty() {
        writer.out.push('\n');
    }
    writer.out
}

/// What kind of block came before another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    Paragraph,
    Heading,
    Quote,
    /// With numbers, and with the second kind of marks, which tells it from a list before it.
    List(bool, bool),
    Code,
    Table,
    Rule,
}

struct Writer<'a> {
    out: String,
    /// What stands before each line of what is open.
    prefix: String,
    context: Context<'a>,
    most: usize,
}

impl Writer<'_> {
    fn blocks(&mut self, nodes: &[Node], is_tight: bool) {
        self.blocks_after(nodes, &mut None, is_tight);
    }

    /// Writes `nodes` behind the block that was written `before`.
    fn blocks_after(&mut self, nodes: &[Node], before: &mut Option<Block>, is_tight: bool) {
        let mut rest = nodes;
        while let Some(first) = rest.first()
            && self.out.len() <= self.most
        {
            let run = rest.iter().take_while(|node| !node.is_block()).count();
            if run > 0 {
                self.paragraph(&rest[..run], before, is_tight);
            } else {
                self.block(first, before, is_tight);
            }
            rest = &rest[run.max(1)..];
        }
    }

    fn paragraph(&mut self, nodes: &[Node], before: &mut Option<Block>, is_tight: bool) {
        let text = inline::write(nodes, Place::Lines, self.context);
        if !text.is_empty() {
            self.begin(Block::Paragraph, before, is_tight);
            self.lines(&text);
        }
    }

    fn block(&mut self, node: &Node, before: &mut Option<Block>, is_tight: bool) {
        match node {
            Node::Rule => {
                let mark = if before.is_none() { "___" } else { "---" };
                self.begin(Block::Rule, before, is_tight);
                self.out.push_str(mark);
            }
            Node::Pre { language, text } => {
                self.begin(Block::Code, before, is_tight);
                self.lines(text::fenced(text, language).trim_end());
            }
            Node::Element(Kind::Heading(level), inner) => {
                let text = inline::write(inner, Place::Heading, self.context);
                if !text.is_empty() {
                    self.begin(Block::Heading, before, is_tight);
                    self.out.push_str(&"#".repeat(*level));
                    self.out.push(' ');
                    self.out.push_str(&text);
                }
            }
            Node::Element(Kind::Quote, inner) => {
                let undo = (self.out.len(), *before);
                self.begin(Block::Quote, before, is_tight);
                self.out.push_str("> ");
                let start = self.out.len();
                let outer = self.prefix.len();
                self.prefix.push_str("> ");
                self.blocks(inner, false);
                self.prefix.truncate(outer);
                if self.out.len() == start {
                    self.out.truncate(undo.0);
                    *before = undo.1;
                }
            }
            Node::Element(Kind::List { start }, items) => {
                self.list(*start, items, before, is_tight);
            }
            Node::Element(Kind::Table, rows) => self.table(rows, before),
            Node::Element(Kind::Paragraph, inner) => self.paragraph(inner, before, is_tight),
            // What stands outside of what it belongs to.
            Node::Element(_, inner) => self.blocks_after(inner, before, is_tight),
            _ => {}
        }
    }

    /// Parts a block from the one before it.
    fn begin(&mut self, block: Block, before: &mut Option<Block>, is_tight: bool) {
        if let Some(last) = before.replace(block) {
            let must_part = matches!(
                (last, block),
                (_, Block::Table | Block::Rule)
                    | (Block::Table, _)
                    | (Block::Paragraph | Block::List(..) | Block::Quote, Block::Paragraph)
                    | (Block::List(..), Block::List(..))
                    | (Block::Quote, Block::Quote)
            );
            self.new_line(!is_tight || must_part);
        }
    }

    fn new_line(&mut self, is_apart: bool) {
        if is_apart {
            self.out.push('\n');
            self.out.push_str(self.prefix.trim_end());
        }
        self.out.push('\n');
        self.out.push_str(&self.prefix);
    }

    fn lines(&mut self, text: &str) {
        for (index, line) in text.split('\n').enumerate() {
            if index > 0 {
                self.out.push('\n');
                let prefix = if line.is_empty() { self.prefix.trim_end() } else { &self.prefix };
                self.out.push_str(prefix);
            }
            self.out.push_str(line);
        }
    }

    fn list(
        &mut self,
        start: Option<u32>,
        items: &[Node],
        before: &mut Option<Block>,
        is_tight: bool,
    ) {
        let is_second = *before == Some(Block::List(start.is_some(), false));
        let is_loose = items.iter().any(|item| match item {
            Node::Element(_, inner) => inner.iter().any(is_paragraph),
            _ => false,
        });
        // Only such a list ends a paragraph without an empty line between them.
        let is_empty = matches!(items.first(), Some(Node::Element(_, inner)) if inner.is_empty());
        let is_beside = is_tight && !is_empty && start.is_none_or(|start| start == 1);
        let mut number = start.unwrap_or_default();
        let mut is_first = true;
        for item in items {
            let Node::Element(_, inner) = item else { continue };
            let undo = self.out.len();
            let known = *before;
            if is_first {
                self.begin(Block::List(start.is_some(), is_second), before, is_beside);
            } else {
                self.new_line(is_loose);
            }
            let marker = match (start, is_second) {
                (None, false) => "- ".to_owned(),
                (None, true) => "* ".to_owned(),
                (Some(_), false) => format!("{number}. "),
                (Some(_), true) => format!("{number}) "),
            };
            self.out.push_str(&marker);
            let outer = self.prefix.len();
            self.prefix.extend(marker.chars().map(|_| ' '));
            let begin = self.out.len();
            if let Some(is_ticked) = task(inner) {
                self.out.push_str(if is_ticked { "[x] " } else { "[ ] " });
            }
            let start = self.out.len();
            self.blocks(inner, !is_loose);
            self.prefix.truncate(outer);
            if self.out.len() > start {
                number += 1;
                is_first = false;
            } else if inner.is_empty() {
                // An item that is meant to be empty, not one that only held an icon.
                self.out.truncate(begin - 1);
                number += 1;
                is_first = false;
            } else {
                self.out.truncate(undo);
                *before = known;
            }
        }
    }

    fn table(&mut self, rows: &[Node], before: &mut Option<Block>) {
        let cells = self.cells(rows);
        if cells.iter().flatten().all(String::is_empty) {
            return;
        }
        self.begin(Block::Table, before, false);
        // GFM cuts off what is wider than the head.
        let width = cells.iter().map(Vec::len).max().unwrap_or_default();
        let mut aligned = vec![Align::None; width];
        if let Some(Node::Element(_, head)) = rows.first() {
            let spans = head.iter().filter_map(as_cell);
            let columns = spans.flat_map(|cell| (0..cell.columns).map(|_| cell.align));
            aligned.iter_mut().zip(columns).for_each(|(align, of_head)| *align = of_head);
        }
        for (index, row) in cells.iter().enumerate() {
            if index > 0 {
                self.new_line(false);
            }
            self.out.push('|');
            for cell in row {
                self.out.extend([" ", cell, " |"]);
            }
            if index == 0 {
                (row.len()..width).for_each(|_| self.out.push_str("  |"));
                self.new_line(false);
                self.out.push('|');
                for align in &aligned {
                    self.out.push_str(match align {
                        Align::None => " --- |",
                        Align::Left => " :-- |",
                        Align::Center => " :-: |",
                        Align::Right => " --: |",
                    });
                }
            }
        }
    }

    /// The cells of a table as Markdown. Cells that span others leave those empty.
    fn cells(&self, rows: &[Node]) -> Vec<Vec<String>> {
        // Into how many further rows the cell above each column reaches.
        let mut covered = [0_usize; MAX_COLUMNS];
        let mut table = Vec::new();
        for row in rows {
            let Node::Element(_, row) = row else { continue };
            let mut reaches = covered.map(|rows| rows.saturating_sub(1));
            let mut cells: Vec<String> = Vec::new();
            for node in row {
                let (Some(cell), Node::Element(_, inner)) = (as_cell(node), node) else { continue };
                while covered.get(cells.len()).is_some_and(|rows| *rows > 0) {
                    cells.push(String::new());
                }
                let end = (cells.len() + cell.columns).min(MAX_COLUMNS);
                if let Some(columns) = reaches.get_mut(cells.len()..end) {
                    columns.fill(cell.rows - 1);
                }
                cells.push(inline::write(inner, Place::Cell, self.context));
                cells.resize(cells.len().max(end), String::new());
            }
            covered = reaches;
            table.push(cells);
        }
        table
    }
}

fn is_paragraph(node: &Node) -> bool {
    matches!(node, Node::Element(Kind::Paragraph, _))
}

/// Whether an item begins with the box of a task, and whether that is ticked.
fn task(item: &[Node]) -> Option<bool> {
    let first = item.iter().find(|node| match node {
        Node::Text(text) => !text.trim().is_empty(),
        Node::Edge => false,
        _ => true,
    })?;
    match first {
        Node::Check(is_ticked) => Some(*is_ticked),
        Node::Element(Kind::Paragraph, inner) => task(inner),
        _ => None,
    }
}
