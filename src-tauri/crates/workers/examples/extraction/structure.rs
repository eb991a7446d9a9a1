//! How much of the structure of documentation survives: headings, list items, code blocks, tables
//! and links, each by its own words, counted as often as they stand.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use dom_query::{Document, NodeRef, Selection};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use quaero_workers::extract;
use serde_json::{Value, json};
use url::Url;

pub(crate) const KINDS: [&str; 5] = ["headings", "list items", "code blocks", "tables", "links"];

/// What leads around the manual and is no part of a page: the marks of Sphinx, DocBook and rustdoc.
const AROUND: &str = "nav, script, style, template, .headerlink, .navheader, .navfooter, \
    .sphinxsidebar, .related, .sidebar, [role=navigation], [hidden]";
/// Words by which a list item or a table is known.
const ENOUGH: usize = 8;

/// Pages are taken evenly from a folder that has more.
const MOST: usize = 400;

/// How often each thing stands, by kind and by its words.
type Things = [HashMap<String, usize>; 5];

/// How many of each kind there were, and how many survived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) of: [usize; 5],
    pub(crate) kept: [usize; 5],
}

impl Kept {
    pub(crate) fn between(page: &Things, markdown: &Things) -> Self {
        let mut kept = Self::default();
        for kind in 0..KINDS.len() {
            for (thing, n) in &page[kind] {
                kept.of[kind] += n;
                let k = markdown[kind].get(thing).map_or(0, |m| *m.min(n));
                if k < *n && std::env::var_os("LOST").is_some() {
                    eprintln!("{kind} {n} {k} {thing}");
                }
                kept.kept[kind] += k;
            }
        }
        kept
    }
}

/// Measures the HTML files below `folder` and prints how much survives.
///
/// # Errors
/// If the folder cannot be read or holds no HTML.
pub(crate) fn measure(folder: &Path) -> Result<Value, String> {
    let mut files = Vec::new();
    list(folder, &mut files)
        .map_err(|error| format!("{} cannot be read: {error}.", folder.display()))?;
    if files.is_empty() {
        return Err(format!("{} holds no file that ends with .html.", folder.display()));
    }
    files.sort();
    let step = files.len().div_ceil(MOST);
    let chosen: Vec<&PathBuf> = files.iter().step_by(step).collect();
    let mut all = Kept::default();
    let mut worst: BTreeMap<usize, Vec<(usize, String)>> = BTreeMap::new();
    for path in &chosen {
        let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let html = String::from_utf8_lossy(&bytes);
        let name = path.strip_prefix(folder).unwrap_or(path).display().to_string();
        let url = Url::parse("https://docs.example.org/")
            .and_then(|base| base.join(&name))
            .map_err(|error| format!("{name}: {error}"))?;
        let page = extract::page(&html, &url).map_err(|error| format!("{name}: {error}"))?;
        let kept = Kept::between(&of_html(&html, &url), &of_markdown(&page.markdown));
        for kind in 0..KINDS.len() {
            all.of[kind] += kept.of[kind];
            all.kept[kind] += kept.kept[kind];
            let lost = kept.of[kind] - kept.kept[kind];
            if lost > 0 {
                worst.entry(kind).or_default().push((lost, name.clone()));
            }
        }
    }
    println!(
        "{} of {} pages\n\n| | there | kept | % | most lost |\n|---|---|---|---|---|",
        chosen.len(),
        files.len()
    );
    let mut found = serde_json::Map::new();
    for (kind, name) in KINDS.iter().enumerate() {
        let mut lost = worst.remove(&kind).unwrap_or_default();
        lost.sort_by(|a, b| b.cmp(a));
        let lost: Vec<String> =
            lost.iter().take(3).map(|(n, page)| format!("{page} ({n})")).collect();
        let share = percent(all.kept[kind], all.of[kind]);
        println!(
            "| {name} | {} | {} | {share:.1} | {} |",
            all.of[kind],
            all.kept[kind],
            lost.join(", ")
        );
        found.insert((*name).to_owned(), json!({ "there": all.of[kind], "kept": all.kept[kind] }));
    }
    Ok(json!({ "pages": chosen.len(), "structure": found }))
}

#[allow(clippy::cast_precision_loss, reason = "things on pages")]
fn percent(part: usize, of: usize) -> f64 {
    if of == 0 { 100.0 } else { 100.0 * part as f64 / of as f64 }
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list(&entry.path(), files)?;
        } else if entry.path().extension().is_some_and(|extension| extension == "html") {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// What the main part of a page holds, as a parser of its own sees it.
fn of_html(html: &str, url: &Url) -> Things {
    let document = Document::from(html);
    document.select(AROUND).remove();
    let main = document.select("[role=main], main").first();
    let main = if main.exists() { main } else { document.select("body") };
    let mut things = Things::default();
    let mut add = |kind: usize, key: String| {
        if !key.is_empty() {
            *things[kind].entry(key).or_default() += 1;
        }
    };
    let each = |what: &str| -> Vec<NodeRef<'_>> {
        let found: Selection<'_> = main.select(what);
        found.nodes().to_vec()
    };
    let inside = |node: &NodeRef<'_>, names: &[&str]| {
        node.ancestors(None)
            .iter()
            .any(|around| around.node_name().is_some_and(|name| names.contains(&&*name)))
    };
    for node in each("h1, h2, h3, h4, h5, h6") {
        add(0, key(&node.text(), usize::MAX));
    }
    for node in each("ul > li, ol > li") {
        // A list in a cell is text with line breaks.
        if !inside(&node, &["td", "th"]) {
            add(1, key(&node.text(), ENOUGH));
        }
    }
    for node in each("pre") {
        if !inside(&node, &["td", "th"]) {
            add(2, key(&node.text(), usize::MAX));
        }
    }
    for node in each("table") {
        // Tables around tables and around code are layout.
        let layout = Selection::from(node).select("table, pre").exists();
        if !layout && !inside(&node, &["td", "th"]) {
            let cells = Selection::from(node).select("th, td");
            let text: Vec<String> =
                cells.nodes().iter().map(|cell| cell.text().to_string()).collect();
            add(3, key(&text.join(" "), ENOUGH));
        }
    }
    for node in each("a[href]") {
        let href = node.attr("href").unwrap_or_default();
        // A code block has no links; a heading does not lead to itself.
        let bare = inside(&node, &["pre"])
            || href.starts_with('#') && inside(&node, &["h1", "h2", "h3", "h4", "h5", "h6"]);
        let text = key(&node.text(), ENOUGH);
        if let Ok(to) = url.join(&href)
            && !bare
            && !text.is_empty()
        {
            add(4, format!("{text} → {to}"));
        }
    }
    things
}

/// The first words of a text.
fn key(text: &str, most: usize) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.take(most).map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

/// What Markdown holds.
fn of_markdown(markdown: &str) -> Things {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut things = Things::default();
    // What is open: its kind, its text, and the address of a link.
    let mut open: Vec<(usize, String, String)> = Vec::new();
    let mut images = 0_u32;
    for event in Parser::new_ext(markdown, options) {
        let kind = match &event {
            Event::Start(Tag::Heading { .. }) | Event::End(TagEnd::Heading(_)) => Some(0),
            Event::Start(Tag::Item) | Event::End(TagEnd::Item) => Some(1),
            Event::Start(Tag::CodeBlock(_)) | Event::End(TagEnd::CodeBlock) => Some(2),
            Event::Start(Tag::Table(_)) | Event::End(TagEnd::Table) => Some(3),
            Event::Start(Tag::Link { .. }) | Event::End(TagEnd::Link) => Some(4),
            _ => None,
        };
        if kind.is_some_and(|kind| kind != 4) {
            // What is nested begins a word.
            open.iter_mut().for_each(|(_, all, _)| all.push(' '));
        }
        match (kind, event) {
            (Some(4), Event::Start(Tag::Link { dest_url, .. })) => {
                open.push((4, String::new(), dest_url.into_string()));
            }
            (Some(kind), Event::Start(_)) => open.push((kind, String::new(), String::new())),
            (Some(kind), _) => {
                let Some((_, text, to)) = open.pop() else { continue };
                let most = if matches!(kind, 0 | 2) { usize::MAX } else { ENOUGH };
                let mut thing = key(&text, most);
                if kind == 4 {
                    thing = format!("{thing} → {to}");
                }
                *things[kind].entry(thing).or_default() += 1;
            }
            (_, Event::Start(Tag::Image { .. })) => images += 1,
            (_, Event::End(TagEnd::Image)) => images -= 1,
            (_, Event::Text(text) | Event::Code(text) | Event::InlineHtml(text)) if images == 0 => {
                let text = if text.starts_with("<br") { " " } else { &*text };
                open.iter_mut().for_each(|(_, all, _)| all.push_str(text));
            }
            (
                _,
                Event::Start(Tag::Emphasis | Tag::Strong | Tag::Strikethrough)
                | Event::End(TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough),
            ) => {}
            _ => open.iter_mut().for_each(|(_, all, _)| all.push(' ')),
        }
    }
    things
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_known_by_their_words() {
        let url = Url::parse("https://docs.example.org/a.html").expect("an address");
        let html = "<nav><a href=x>x</a></nav><div role=main><h2>A <code>b</code></h2><ul><li>one <ul>\
            <li>two</ul><li>three</ul><pre>f(x)</pre><table><tr><th>k<td>v</table><a href=c#d>e</a></div>";
        let page = of_html(html, &url);
        let same = "## A `b`\n\n- one\n  - two\n- three\n\n```\nf(x)\n```\n\n| k | v |\n|---|---|\n\n\
            [e](https://docs.example.org/c#d)\n";
        let kept = Kept::between(&page, &of_markdown(same));
        assert_eq!(kept, Kept { of: [1, 3, 1, 1, 1], kept: [1, 3, 1, 1, 1] });
        let less = "A b\n\n- one two\n\nf(x) k v [e](https://docs.example.org/c)\n";
        assert_eq!(Kept::between(&page, &of_markdown(less)).kept, [0, 1, 0, 0, 0]);
    }
}
