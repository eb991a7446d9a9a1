use proptest::prelude::*;
use serde::Deserialize;

use super::{
    MAX_HTML, MAX_MARKDOWN,
    flatten::{ELEMENTS, MAX_DEPTH},
    render, visible,
};

#[derive(Deserialize)]
struct Corpus {
    row: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    input: String,
    /// The whole result, if it matters.
    html: Option<String>,
    /// What has to be in the result.
    #[serde(default)]
    has: Vec<String>,
    /// What must not be, in any case.
    #[serde(default)]
    lacks: Vec<String>,
}

/// Reads the result with a grammar much stricter than HTML's: only allowed tags in one spelling.
/// Anything a lenient reader could see as something else is refused.
fn check_closed(html: &str) -> Result<(), String> {
    let mut rest = html;
    let mut depth = 0_usize;
    while let Some(at) = rest.find(['<', '>']) {
        if rest.as_bytes()[at] == b'>' && !rest[..at].is_empty() {
            // Text may hold `>` only escaped; ammonia escapes it.
            return Err(format!("bare `>` after {:?}", &rest[..at]));
        }
        let end = at + rest[at..].find('>').ok_or("a tag without end")?;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            depth = depth.checked_sub(1).ok_or("an end tag too many")?;
            ELEMENTS.iter().find(|known| **known == name).ok_or(format!("</{name}>"))?;
            continue;
        }
        let name_end = tag.find(' ').unwrap_or(tag.len());
        let (name, attributes) = tag.split_at(name_end);
        ELEMENTS.iter().find(|known| **known == name).ok_or(format!("<{name}>"))?;
        if !matches!(name, "br" | "hr") {
            depth += 1;
        }
        if depth > MAX_DEPTH + 10 {
            return Err(format!("{depth} deep"));
        }
        check_attributes(name, attributes)?;
    }
    if depth > 0 { Err(format!("{depth} elements are open at the end")) } else { Ok(()) }
}

fn check_attributes(element: &str, mut rest: &str) -> Result<(), String> {
    while !rest.is_empty() {
        let (key, after) = rest
            .strip_prefix(' ')
            .and_then(|rest| rest.split_once("=\""))
            .ok_or_else(|| format!("attributes {rest:?} of <{element}>"))?;
        let (value, after) = after.split_once('"').ok_or("an attribute without end")?;
        let allowed = match (element, key) {
            ("a", "href") => value.starts_with("http://") || value.starts_with("https://"),
            ("a", "rel") => value == "noopener noreferrer nofollow",
            ("a", "title") => true,
            ("code", "class") => value.starts_with("language-"),
            ("td" | "th", "align") => ["left", "center", "right"].contains(&value),
            ("ol", "start") | ("td" | "th", "colspan" | "rowspan") => value.parse::<u16>().is_ok(),
            _ => false,
        };
        if !allowed {
            return Err(format!("{key}={value:?} on <{element}>"));
        }
        rest = after;
    }
    Ok(())
}

#[test]
fn no_attack_of_the_corpus_gets_through() {
    let corpus: Corpus = toml::from_str(include_str!("../../../../../tests/attacks/render.toml"))
        .expect("the corpus parses");
    assert!(corpus.row.len() > 80, "the corpus has {} rows", corpus.row.len());
    let mut faults = Vec::new();
    for row in corpus.row {
        let html = render(&row.input).html;
        let mut fault = |what: String| faults.push(format!("{}: {what} in {html}", row.name));
        if let Err(problem) = check_closed(&html) {
            fault(problem);
        }
        if row.html.is_some_and(|expected| html.trim_end() != expected.trim_end()) {
            fault("something unexpected".to_owned());
        }
        for wanted in row.has.iter().filter(|wanted| !html.contains(*wanted)) {
            fault(format!("no {wanted:?}"));
        }
        let lower = html.to_lowercase();
        for unwanted in row.lacks.iter().filter(|unwanted| lower.contains(&unwanted.to_lowercase()))
        {
            fault(format!("{unwanted:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

    #[test]
    fn nothing_outside_the_allow_list_comes_out(parts in prop::collection::vec(fragment(), 0..40)) {
        let input: String = parts.concat();
        let html = render(&input).html;
        prop_assert_eq!(check_closed(&html), Ok(()), "{:?} became {}", input, html);
    }
}

/// Pieces that mean something to one of the three readers.
fn fragment() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "<script>",
        "</script>",
        "<style>",
        "<svg>",
        "<math>",
        "<mtext>",
        "<annotation-xml encoding=\"text/html\">",
        "<foreignObject>",
        "<img src=x onerror=alert(1)>",
        "<a href=\"javascript:alert(1)\">",
        "</a>",
        "<a href='https://a.example/'>",
        "[x](javascript:alert(1))",
        "[x](<data:text/html,x>)",
        "![alt](https://a.example/i.png)",
        "![\" onerror=\"alert(1)](x)",
        "<table>",
        "<tr>",
        "<td align=left>",
        "<p>",
        "</p>",
        "<div>",
        "</div>",
        "<b a=1>",
        "<b>",
        "</b>",
        "<li>",
        "<ol start=-1>",
        "<input type=checkbox>",
        "<details open ontoggle=alert(1)>",
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "<?",
        "?>",
        "<!DOCTYPE html>",
        "<plaintext>",
        "<textarea>",
        "</textarea>",
        "<title>",
        "</title>",
        "<noscript>",
        "<template>",
        "<select>",
        "<form id=x>",
        "<base href=//evil>",
        "<iframe srcdoc='<script>'>",
        "<object data=x>",
        "<h1 id=__TAURI__>",
        "&lt;",
        "&#x6a;avascript:",
        "&Tab;",
        "\u{202e}",
        "\u{200b}",
        "\u{e0041}",
        "\0",
        "\n",
        "\n\n",
        "> ",
        "- ",
        "1. ",
        "    ",
        "```",
        "```rust\" onclick=\"x\n",
        "`",
        "|a|b|\n|:-|-:|\n|c|d|\n",
        "*",
        "**",
        "~~",
        "\\",
        "<",
        ">",
        "\"",
        "'",
        "- [x] done\n",
        "https://a.example",
        "<https://a.example/?a=1&b=2>",
        "[r]: javascript:x\n",
        "[r]",
    ])
    .prop_map(str::to_owned);
    prop_oneof![4 => known, 1 => "[ -~]{0,12}", 1 => any::<String>()]
}

#[test]
fn deep_nesting_costs_no_more_than_its_length() {
    let bombs = [
        "<div>".repeat(100_000),
        "> ".repeat(50_000) + "x",
        "- ".repeat(20_000) + "x",
        (0..30_000).map(|n| format!("<p><b x={n}></p>")).collect::<String>(),
        (0..30_000).map(|n| format!("<p><font x={n}><b></p>\n\n")).collect::<String>(),
        "<table>".repeat(30_000),
        "<a href=https://a.example>".repeat(30_000),
        "[".repeat(50_000),
        "![".repeat(50_000),
        "*a ".repeat(50_000),
        "<b><p>".repeat(30_000),
    ];
    for bomb in bombs {
        let start = std::time::Instant::now();
        let html = render(&bomb).html;
        let name: String = bomb.chars().take(20).collect();
        assert_eq!(check_closed(&html), Ok(()), "{name}");
        assert!(
            html.len() < 40 * bomb.len() + 1000,
            "{name}: {} became {}",
            bomb.len(),
            html.len()
        );
        // Quadratic work on these takes minutes in a debug build; linear work well under a second.
        assert!(start.elapsed().as_secs() < 20, "{name} took {:?}", start.elapsed());
    }
}

#[test]
fn a_very_long_text_is_cut_between_blocks() {
    let paragraph = "Some words that fill a line.\n\n";
    let long = paragraph.repeat(MAX_MARKDOWN / paragraph.len() + 100);
    let rendered = render(&long);
    assert!(rendered.truncated);
    assert!(
        rendered.html.ends_with("<p>Some words that fill a line.</p>\n"),
        "a block was cut in two"
    );

    let short = render(paragraph);
    assert_eq!(
        (short.html.as_str(), short.truncated),
        ("<p>Some words that fill a line.</p>\n", false)
    );

    let growing =
        format!("|{}\n|{}\n{}", "a|".repeat(1000), "-|".repeat(1000), "|\n".repeat(20_000));
    assert!(render(&growing).html.len() < 2 * MAX_HTML);
}

#[test]
fn one_endless_block_is_shown_up_to_the_limit() {
    let long = format!("```\n{}", "0123456789\n".repeat(MAX_MARKDOWN / 10));
    let rendered = render(&long);
    assert!(rendered.truncated);
    assert!(rendered.html.starts_with("<pre><code>0123456789"));
}

#[test]
fn titles_lose_what_cannot_be_seen() {
    assert_eq!(visible("in\u{202e}vo\u{200b}ice\u{e0041}.p\u{0}df"), "invoice.pdf");
    assert_eq!(visible("می\u{200c}خواهم 👩\u{200d}🚀 naïve"), "می\u{200c}خواهم 👩\u{200d}🚀 naïve");
}
