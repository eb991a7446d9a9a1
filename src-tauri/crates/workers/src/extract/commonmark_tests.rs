//! Every example of the CommonMark specification, and of GFM's tables, tasks and struck-out text: its
//! HTML becomes Markdown that must become the same HTML again. The examples are those that
//! pulldown-cmark carries with its own tests, read from where cargo keeps its source.

use std::{collections::BTreeSet, fmt::Write as _, path::PathBuf, process::Command};

use dom_query::{Document, NodeRef};
use pulldown_cmark::{Options, Parser, html};
use url::Url;

use super::{PageMode, PageOptions, page_with};

/// Examples of the sections "HTML blocks" and "Raw HTML": HTML that Markdown has no words for.
const RAW_HTML: [std::ops::RangeInclusive<usize>; 2] = [148..=191, 613..=633];

/// Of a hundred examples, so many must come back the same.
const FLOOR: usize = 95;

/// What a command prints.
fn output_of(command: &mut Command) -> Vec<u8> {
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = output.expect("it can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The folder of pulldown-cmark's tests.
fn suite() -> PathBuf {
    let host = output_of(Command::new("rustc").args(["--print", "host-tuple"]));
    let host = String::from_utf8(host).expect("the name of a platform");
    // Cargo has fetched what this platform needs, and nothing else.
    let arguments = ["metadata", "--offline", "--locked", "--format-version", "1"];
    let metadata = output_of(
        Command::new(env!("CARGO")).args(arguments).args(["--filter-platform", host.trim()]),
    );
    let metadata: serde_json::Value =
        serde_json::from_slice(&metadata).expect("cargo metadata gives JSON");
    let packages = metadata["packages"].as_array().expect("it lists packages");
    let package = packages
        .iter()
        .find(|package| package["name"] == "pulldown-cmark")
        .expect("it is among our dependencies");
    PathBuf::from(package["manifest_path"].as_str().expect("it has a place"))
        .with_file_name("tests")
        .join("suite")
}

/// The examples of one file of the suite: Markdown and the HTML that it means.
fn examples(file: &str) -> Vec<(String, String)> {
    let path = suite().join(file);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let literal = |rest: &str| {
        let (_, rest) = rest.split_once("r##\"")?;
        let (text, rest) = rest.split_once("\"##;")?;
        Some((text.to_owned(), rest.len()))
    };
    text.split("let original = ")
        .skip(1)
        .map(|test| {
            let (original, left) = literal(test).expect("it has an example");
            let (expected, _) =
                literal(&test[test.len() - left..]).expect("the example has its HTML");
            (original, expected)
        })
        .collect()
}

fn base() -> Url {
    Url::parse("https://docs.example.org/").expect("an address")
}

/// HTML without what no reader sees: order of attributes, white space between blocks.
fn normal(html: &str) -> String {
    let document = Document::from(html);
    let mut out = String::new();
    let body = document.select("body");
    for node in body.nodes() {
        for child in node.children() {
            write_node(&child, false, &mut out);
        }
    }
    out.trim().to_owned()
}

fn write_node(node: &NodeRef<'_>, in_pre: bool, out: &mut String) {
    const BLOCKS: [&str; 21] = [
        "p",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "ul",
        "ol",
        "li",
        "blockquote",
        "pre",
        "hr",
        "table",
        "thead",
        "tbody",
        "tr",
        "td",
        "th",
        "div",
        "br",
    ];
    if node.is_text() {
        for c in node.text().chars() {
            if in_pre || !c.is_ascii_whitespace() {
                out.push(c);
            } else if !out.ends_with([' ', '\n']) {
                out.push(' ');
            }
        }
        return;
    }
    let Some(name) = node.node_name().map(|name| name.to_string()) else { return };
    let block = BLOCKS.contains(&name.as_str());
    let end_line = |out: &mut String| {
        while !in_pre && out.ends_with([' ', '\n']) {
            out.pop();
        }
        if !in_pre && !out.is_empty() {
            out.push('\n');
        }
    };
    if block {
        end_line(out);
    }
    let mut attributes: Vec<String> = node
        .attrs()
        .iter()
        .map(|attribute| {
            let (key, value) = (&*attribute.name.local, &*attribute.value);
            let value = if matches!(key, "href" | "src") {
                base().join(value).map_or_else(|_| value.to_owned(), Into::into)
            } else {
                value.to_owned()
            };
            format!(" {key}={value:?}")
        })
        .collect();
    attributes.sort();
    let _ = write!(out, "<{name}{}>", attributes.concat());
    if block && name != "pre" {
        end_line(out);
    }
    for child in node.children() {
        write_node(&child, in_pre || name == "pre", out);
    }
    if block && !in_pre && name != "pre" {
        end_line(out);
    }
    let _ = write!(out, "</{name}>");
    if block {
        end_line(out);
    }
}

fn rendered(markdown: &str) -> String {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut out = String::new();
    html::push_html(&mut out, Parser::new_ext(markdown, options));
    out
}

/// What an example becomes, if that is not what it was.
fn difference(expected: &str) -> Option<String> {
    let options = PageOptions { mode: PageMode::Full, ..PageOptions::default() };
    let markdown = page_with(expected, &base(), &options).expect("it is text").markdown;
    let (wanted, found) = (normal(expected), normal(&rendered(&markdown)));
    (wanted != found).then(|| format!("{wanted}\n~~~ became\n{markdown}~~~ which is\n{found}\n"))
}

#[test]
fn html_comes_back_from_markdown_as_it_was() {
    let mut lost = BTreeSet::new();
    let mut all = 0;
    let mut differences = String::new();
    let spec = examples("spec.rs").into_iter().enumerate().map(|(i, e)| ("spec", i + 1, e.1));
    let gfm = ["gfm_table", "gfm_strikethrough", "gfm_tasklist"].into_iter().flat_map(|name| {
        examples(&format!("{name}.rs"))
            .into_iter()
            .enumerate()
            .map(move |(i, e)| (name, i + 1, e.1))
    });
    for (file, number, expected) in spec.chain(gfm) {
        if file == "spec" && RAW_HTML.iter().any(|range| range.contains(&number)) {
            continue;
        }
        all += 1;
        if let Some(difference) = difference(&expected) {
            let name = format!("{file} {number}");
            let _ = writeln!(differences, "=== {name}\n{difference}");
            lost.insert((file, number));
        }
    }
    if let Some(path) = std::env::var_os("QUAERO_DIFFERENCES") {
        std::fs::write(path, &differences).expect("it can be written");
    }
    let found: Vec<String> = lost.iter().map(|(file, number)| format!("{file} {number}")).collect();
    let found = found.join("\n") + "\n";
    assert!(all > 500, "only {all} examples were found");
    assert!(
        lost.len() * 100 <= all * (100 - FLOOR),
        "{} of {all} examples do not come back:\n{found}",
        lost.len()
    );
    assert_eq!(found, include_str!("testdata/commonmark.lost"), "{differences}");
}
