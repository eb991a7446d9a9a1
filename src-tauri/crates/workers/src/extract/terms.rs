//! The items of lists, and lists of terms, which Markdown does not have, as lists of items.

use std::mem;

use super::tree::{Kind, Node};

/// The items of a list. What stands between them belongs to the one before it.
pub(super) fn items(children: Vec<Node>) -> Vec<Node> {
    let mut items: Vec<Node> = Vec::new();
    for node in children {
        match (node, items.last_mut()) {
            (item @ Node::Element(Kind::Item, _), _) => items.push(item),
            (node, _) if node.is_blank() => {}
            (node, Some(Node::Element(_, inner))) => inner.push(node),
            (node, _) => items.push(Node::Element(Kind::Item, vec![node])),
        }
    }
    items
}

/// A list of terms and definitions as one of items; Markdown has no other. What belongs to a term
/// stays below it.
pub(super) fn definitions(children: Vec<Node>) -> Vec<Node> {
    let mut items = Vec::new();
    let mut names: Vec<Vec<Node>> = Vec::new();
    let mut meanings: Vec<Node> = Vec::new();
    let mut flush = |names: &mut Vec<Vec<Node>>, meanings: &mut Vec<Node>| {
        let is_contents = meanings.iter().find(|node| !node.is_blank()).is_none_or(is_list);
        if meanings.is_empty() {
            items.extend(names.drain(..).map(|name| Node::Element(Kind::Item, name)));
            return;
        }
        let mut item = Vec::new();
        for name in names.drain(..) {
            // A table of contents has terms that are only headings.
            item.extend(if is_contents { name } else { terms(name) });
            item.push(Node::Edge);
        }
        item.append(meanings);
        items.push(Node::Element(Kind::Item, item));
    };
    for node in children {
        match node {
            Node::Element(Kind::Term, name) => {
                if !meanings.is_empty() {
                    flush(&mut names, &mut meanings);
                }
                names.push(name);
            }
            Node::Element(Kind::Definition, meaning) => {
                meanings.push(Node::Edge);
                meanings.extend(meaning);
                meanings.push(Node::Edge);
            }
            node if node.is_blank() => {}
            node => meanings.push(node),
        }
    }
    flush(&mut names, &mut meanings);
    items
}

const fn is_list(node: &Node) -> bool {
    matches!(node, Node::Element(Kind::List { .. }, _))
}

/// Terms as bold paragraphs. A line break parts two: `-a<br>--all`.
pub(super) fn terms(name: Vec<Node>) -> Vec<Node> {
    if name.iter().any(|node| node.is_block() && !matches!(node, Node::Edge)) {
        return name;
    }
    let mut out = Vec::new();
    let mut term = Vec::new();
    for node in name.into_iter().chain([Node::Break]) {
        if matches!(node, Node::Break | Node::Edge) {
            out.push(bold(mem::take(&mut term)));
        } else {
            term.push(node);
        }
    }
    out
}

/// A bold paragraph, in which nothing is bolder.
pub(super) fn bold(nodes: Vec<Node>) -> Node {
    let plain = nodes.into_iter().flat_map(|node| match node {
        Node::Element(Kind::Strong, inner) => inner,
        node => vec![node],
    });
    let strong = Node::Element(Kind::Strong, plain.collect());
    Node::Element(Kind::Paragraph, vec![strong])
}
