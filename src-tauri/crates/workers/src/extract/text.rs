//! Files of text: Markdown, plain text, source code.

use serde_json::{Map, Value};

use super::{ExtractError, clean, inline};

/// How a file is read, known by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A web page.
    Html,
    /// Markdown, perhaps with front matter.
    Markdown,
    /// Plain text.
    Text,
    /// Source code or data, with the name of its language for a code block.
    Code(&'static str),
    /// PDF.
    Pdf,
}

impl Format {
    /// The word for it in a document's metadata: `html`, `markdown`, `text`, `pdf`, or the language.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Markdown => "markdown",
            Self::Text => "text",
            Self::Code(language) => language,
            Self::Pdf => "pdf",
        }
    }
}

/// Extensions of files that are read as code, by language.
const LANGUAGES: &[(&str, &[&str])] = &[
    ("asm", &["asm", "s"]),
    ("awk", &["awk"]),
    ("bash", &["sh", "bash", "zsh", "ksh"]),
    ("batch", &["bat", "cmd"]),
    ("bibtex", &["bib"]),
    ("c", &["c", "h"]),
    ("clojure", &["clj", "cljs", "cljc", "edn"]),
    ("cmake", &["cmake"]),
    ("cpp", &["cc", "cpp", "cxx", "hh", "hpp", "hxx", "ipp"]),
    ("csharp", &["cs"]),
    ("css", &["css"]),
    ("csv", &["csv"]),
    ("cuda", &["cu", "cuh"]),
    ("d", &["d"]),
    ("dart", &["dart"]),
    ("diff", &["diff", "patch"]),
    ("dockerfile", &["dockerfile"]),
    ("elixir", &["ex", "exs"]),
    ("elm", &["elm"]),
    ("erlang", &["erl", "hrl"]),
    ("fortran", &["f", "f77", "f90", "f95"]),
    ("fsharp", &["fs", "fsi", "fsx"]),
    ("glsl", &["glsl", "vert", "frag"]),
    ("go", &["go"]),
    ("graphql", &["graphql", "gql"]),
    ("groovy", &["groovy", "gradle"]),
    ("haskell", &["hs", "lhs"]),
    ("hcl", &["hcl", "tf", "tfvars"]),
    ("ini", &["ini", "cfg", "conf", "properties", "desktop", "service", "editorconfig"]),
    ("java", &["java"]),
    ("javascript", &["js", "mjs", "cjs", "jsx"]),
    ("json", &["json", "jsonc", "json5", "jsonl", "ndjson", "geojson", "ipynb", "webmanifest"]),
    ("julia", &["jl"]),
    ("kotlin", &["kt", "kts"]),
    ("latex", &["tex", "sty", "cls"]),
    ("less", &["less"]),
    ("lisp", &["lisp", "lsp", "el"]),
    ("log", &["log"]),
    ("lua", &["lua"]),
    ("makefile", &["mk", "mak", "makefile"]),
    ("matlab", &["m"]),
    ("nim", &["nim"]),
    ("nix", &["nix"]),
    ("objectivec", &["mm"]),
    ("ocaml", &["ml", "mli"]),
    ("pascal", &["pas", "pp"]),
    ("perl", &["pl", "pm"]),
    ("php", &["php"]),
    ("powershell", &["ps1", "psm1", "psd1"]),
    ("protobuf", &["proto"]),
    ("python", &["py", "pyi", "pyw"]),
    ("r", &["r"]),
    ("ruby", &["rb", "rake", "gemspec"]),
    ("rust", &["rs"]),
    ("scala", &["scala", "sc", "sbt"]),
    ("scheme", &["scm", "ss", "rkt"]),
    ("scss", &["scss", "sass"]),
    ("solidity", &["sol"]),
    ("sql", &["sql"]),
    ("svelte", &["svelte"]),
    ("swift", &["swift"]),
    ("tcl", &["tcl"]),
    ("toml", &["toml"]),
    ("tsv", &["tsv"]),
    ("typescript", &["ts", "mts", "cts", "tsx"]),
    ("vb", &["vb", "vbs", "bas"]),
    ("verilog", &["v", "sv"]),
    ("vhdl", &["vhd", "vhdl"]),
    ("vim", &["vim"]),
    ("vue", &["vue"]),
    ("xml", &["xml", "xsd", "xsl", "xslt", "rss", "atom", "svg", "plist"]),
    ("yaml", &["yaml", "yml"]),
    ("zig", &["zig"]),
];

const MARKDOWN: &[&str] = &["md", "markdown", "mdown", "mkd", "mdx"];
const HTML: &[&str] = &["html", "htm", "xhtml"];
const TEXT: &[&str] = &["txt", "text", "rst", "adoc", "asciidoc", "org", "textile", "me", "nfo"];

/// What a file's name says of its format. None: look at the bytes.
#[must_use]
pub fn format_of(name: &str) -> Option<Format> {
    let name = name.to_lowercase();
    let extension = match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => extension,
        // `Makefile`, `Dockerfile`
        _ => name.as_str(),
    };
    if MARKDOWN.contains(&extension) {
        return Some(Format::Markdown);
    }
    if HTML.contains(&extension) {
        return Some(Format::Html);
    }
    if TEXT.contains(&extension) {
        return Some(Format::Text);
    }
    if extension == "pdf" {
        return Some(Format::Pdf);
    }
    LANGUAGES
        .iter()
        .find(|(_, extensions)| extensions.contains(&extension))
        .map(|(language, _)| Format::Code(language))
}

/// Whether the beginning of `bytes` shows that they are not text in a one-byte or UTF-8 encoding.
#[must_use]
pub fn looks_binary(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(8192)];
    if head.is_empty() || head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) {
        return false;
    }
    let strange = head
        .iter()
        .filter(|b| b.is_ascii_control() && !b.is_ascii_whitespace() && **b != 0x1b)
        .count();
    head.contains(&0) || head.starts_with(b"%PDF-") || strange * 50 > head.len()
}

/// Whether the beginning of `text` is that of a web page.
#[must_use]
pub fn looks_like_html(text: &str) -> bool {
    if looks_binary(text.as_bytes()) {
        return false;
    }
    let head = cut(text, 4096).to_ascii_lowercase();
    ["<!doctype html", "<html", "<head", "<body", "<title"].iter().any(|mark| head.contains(mark))
}

/// A file of text as a document.
#[derive(Clone, Debug, PartialEq)]
pub struct TextFile {
    /// From the front matter or the first heading, else the file's name.
    pub title: String,
    /// The content.
    pub markdown: String,
    /// The front matter's plain values, as text.
    pub metadata: Map<String, Value>,
}

/// A file of Markdown, text or code with the name `name` as a document. Not for HTML and PDF.
///
/// # Errors
/// [`ExtractError::Binary`] if it is not text.
pub fn text(text: &str, name: &str, format: Format) -> Result<TextFile, ExtractError> {
    if looks_binary(text.as_bytes()) {
        return Err(ExtractError::Binary);
    }
    let content = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let mut file = match format {
        Format::Markdown => markdown_file(&content),
        Format::Code(language) => untitled(fenced(content.trim_end_matches('\n'), language)),
        Format::Text | Format::Html | Format::Pdf if has_layout(&content) => {
            untitled(fenced(content.trim_end_matches('\n'), "text"))
        }
        Format::Text | Format::Html | Format::Pdf => untitled(paragraphs(&content)),
    };
    file.title = clean::line(&file.title);
    if file.title.is_empty() {
        file.title = clean::line(name);
    }
    Ok(file)
}

fn untitled(markdown: String) -> TextFile {
    TextFile { title: String::new(), markdown, metadata: Map::new() }
}

fn markdown_file(content: &str) -> TextFile {
    let (metadata, body) = front_matter(content);
    let title = match metadata.get("title") {
        Some(Value::String(title)) => title.clone(),
        _ => first_heading(body).unwrap_or_default(),
    };
    TextFile { title, markdown: body.trim_start_matches('\n').to_owned(), metadata }
}

/// The plain `key: value` lines (YAML) or `key = "value"` lines (TOML) before the content. It is
/// read line by line on purpose: a full parser would be one more way to attack the program.
fn front_matter(content: &str) -> (Map<String, Value>, &str) {
    let none = || (Map::new(), content);
    let Some((mark, separator)) =
        [("---", ':'), ("+++", '=')].into_iter().find(|(mark, _)| content.starts_with(mark))
    else {
        return none();
    };
    let Some(rest) = content[mark.len()..].strip_prefix('\n') else { return none() };
    let mut metadata = Map::new();
    let mut at = content.len() - rest.len();
    for line in rest.split_inclusive('\n').take(200) {
        at += line.len();
        let line = line.trim_end();
        if line == mark {
            return (metadata, &content[at..]);
        }
        let Some((key, value)) = line.split_once(separator) else { continue };
        let key = key.trim_end();
        let value = clean::line(value.trim().trim_matches(['"', '\'']));
        let plain = !key.is_empty()
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if plain && !value.is_empty() && metadata.len() < 50 {
            let key = if key.eq_ignore_ascii_case("date") {
                "published".to_owned()
            } else {
                key.to_ascii_lowercase()
            };
            metadata.entry(key).or_insert_with(|| Value::String(cut(&value, 2000).to_owned()));
        }
    }
    none()
}

fn first_heading(markdown: &str) -> Option<String> {
    let mut fenced = false;
    let mut previous = "";
    for line in markdown.lines().take(2000) {
        let trimmed = line.trim();
        if trimmed.starts_with("```") || trimmed.starts_with("~~~") {
            fenced = !fenced;
        } else if !fenced {
            let text = trimmed.trim_start_matches('#');
            let level = trimmed.len() - text.len();
            if (1..=6).contains(&level) && text.starts_with(' ') {
                return Some(plain(text.trim().trim_end_matches('#')));
            }
            if trimmed.len() >= 3 && !previous.is_empty() && trimmed.bytes().all(|b| b == b'=') {
                return Some(plain(previous));
            }
        }
        previous = trimmed;
    }
    None
}

/// A heading without its inline markup: the text of links, no emphasis, no code marks.
fn plain(inline: &str) -> String {
    let mut out = String::with_capacity(inline.len());
    let mut rest = inline;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '*' | '`' | '!' if c != '!' || rest.starts_with('[') => {}
            '[' => {}
            ']' if rest.starts_with('(') => {
                rest = rest.find(')').map_or("", |end| &rest[end + 1..])
            }
            ']' => {}
            '\\' => {
                if let Some(escaped) = rest.chars().next() {
                    out.push(escaped);
                    rest = &rest[escaped.len_utf8()..];
                }
            }
            c => out.push(c),
        }
    }
    out
}

/// Columns made with tabs or runs of spaces would be lost in paragraphs.
fn has_layout(text: &str) -> bool {
    let (mut lines, mut columns) = (0, 0);
    for line in text.lines().take(2000).map(str::trim).filter(|line| !line.is_empty()) {
        lines += 1;
        columns += usize::from(line.contains("   ") || line.contains('\t'));
    }
    columns >= 3 && columns * 5 > lines
}

/// A code block that nothing inside can end.
pub(super) fn fenced(content: &str, language: &str) -> String {
    let content = clean::visible(content);
    let mut fence = 3;
    for line in content.lines() {
        let run = line.trim_start().bytes().take_while(|b| *b == b'`').count();
        fence = fence.max(run + 1);
    }
    let fence = "`".repeat(fence);
    let content = content.strip_suffix('\n').unwrap_or(&content);
    let end = if content.is_empty() { "" } else { "\n" };
    format!("{fence}{language}\n{content}{end}{fence}\n")
}

/// Plain text as Markdown that shows the same text.
pub(super) fn paragraphs(text: &str) -> String {
    let text = clean::visible(text);
    let mut out = String::with_capacity(text.len() + 64);
    let mut is_apart = false;
    for line in text.lines().map(str::trim) {
        if line.is_empty() {
            is_apart = !out.is_empty();
            continue;
        }
        if std::mem::take(&mut is_apart) {
            out.push('\n');
        }
        out.push_str(&inline::escape(line));
        out.push('\n');
    }
    out
}

/// The text of HTML, for when no parser could read it.
pub(super) fn without_tags(html: &str) -> String {
    let mut out = String::with_capacity(html.len() / 2);
    for piece in html.split('<') {
        let (tag, text) = piece.split_once('>').unwrap_or(("", piece));
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap_or_default();
        out.push_str(
            if matches!(name, "p" | "div" | "li" | "tr" | "h1" | "h2" | "h3" | "dt" | "dd") {
                "\n\n"
            } else {
                " "
            },
        );
        out.push_str(&clean::entities(text));
    }
    out
}

/// The beginning of `text`, at most `max` bytes, cut between characters.
pub(super) fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let end = (0..=max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}
