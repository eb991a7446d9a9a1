//! What becomes of the things that pages are made of: lists, tables, code, links, images, text.

use serde_json::json;
use url::Url;

use super::{PageMode, PageOptions, page, page_with};

fn url() -> Url {
    Url::parse("https://docs.example.org/a/").expect("an address")
}

fn with(html: &str, options: &PageOptions) -> String {
    page_with(html, &url(), options).expect("it is text").markdown
}

fn check(rows: &[(&str, &str)]) {
    let options = PageOptions { mode: PageMode::Full, ..PageOptions::default() };
    for (html, expected) in rows {
        assert_eq!(with(html, &options).trim_end(), *expected, "{html}");
    }
}

#[test]
fn text_stays_text() {
    check(&[
        ("<p>1. one</p><p>1) two</p><p>1.5 three</p>", "1\\. one\n\n1\\) two\n\n1.5 three"),
        ("<p>- a</p><p>+ b</p><p>-c</p><p># d</p><p>#e</p>", "\\- a\n\n\\+ b\n\n-c\n\n\\# d\n\n#e"),
        ("<p>---</p><p>===</p><p>&gt; a</p><p>|-|</p>", "\\---\n\n\\===\n\n\\> a\n\n\\|-|"),
        ("<p>snake_case _a_ 2*3 `x`</p>", "snake_case \\_a\\_ 2\\*3 \\`x\\`"),
        ("<p>a [12] b [x] c [d](e) [see also]</p>", "a [12] b \\[x\\] c \\[d\\](e) [see also]"),
        ("<p>&amp;amp; R&amp;D &lt;b&gt; 1 &lt; 2</p>", "\\&amp; R&D \\<b> 1 < 2"),
        ("<p>~5 a~b ~~c~~</p>", "~5 a\\~b \\~\\~c\\~\\~"),
        ("<p>C:\\dir \\* end\\</p>", "C:\\dir \\\\\\* end\\\\"),
        ("<p>10<sup>-6</sup> m<sup>2</sup> H<sub>2</sub>O</p>", "10⁻⁶ m2 H2O"),
        ("<p>a<br>b</p>c<br><br>d", "a  \nb\n\nc\n\nd"),
        ("<p>Hello <q>you</q></p>", "Hello “you”"),
        ("<h2>1. <a name=x></a>One #</h2>", "## 1. One \\#"),
    ]);
}

#[test]
fn emphasis_is_read_as_such_or_left_out() {
    check(&[
        ("<p>a <b> b </b>c</p>", "a **b** c"),
        ("<p><b>a</b><b>b</b> <i></i>c</p>", "**ab** c"),
        ("<p><b><i>a</i></b> <i><b>b</b></i></p>", "**_a_** ***b***"),
        ("<p>a<b>“b”</b>c <b>Note:</b>d</p>", "a“b”c Note:d"),
        ("<p><b><strong>a</strong></b></p>", "**a**"),
        ("<p><del>a</del> <s>b</s></p>", "~~a~~ ~~b~~"),
        ("<p><b>a <img src=i.png alt=c></b></p>", "**a ![c](https://docs.example.org/a/i.png)**"),
    ]);
}

#[test]
fn links_and_images_keep_where_they_lead() {
    check(&[
        (
            "<a href='b c?d=(e' title='F \"g\"'>h</a>",
            "[h](<https://docs.example.org/a/b%20c?d=(e> \"F \\\"g\\\"\")",
        ),
        ("<a href='#part' title=part>x</a>", "[x](https://docs.example.org/a/#part)"),
        ("<a href='https://e.example/'>https://e.example/</a>", "<https://e.example/>"),
        ("<a href='javascript:x()'>x</a> <a href='http://[bad'>y</a> <a href=z></a>", "x y"),
        (
            "<a href=b><img src=i.png alt='[c]' title=d></a>",
            "[![\\[c\\]](https://docs.example.org/a/i.png \"d\")](https://docs.example.org/a/b)",
        ),
        // A card that is a link as a whole: the first words of it lead there.
        (
            "<a href=b><img src=i.png alt=c><h3>D</h3><p>e</p></a>",
            "![c](https://docs.example.org/a/i.png)\n\n### [D](https://docs.example.org/a/b)\n\ne",
        ),
        ("<code>f(<a href=b>T</a>)</code>", "`f(`[`T`](https://docs.example.org/a/b)`)`"),
    ]);
    let html = "<a href=b>x</a> <img src=i.png alt=y>";
    let bare = PageOptions { mode: PageMode::Full, keep_links: false, keep_images: false };
    assert_eq!(with(html, &bare), "x\n");
}

#[test]
fn lists_keep_their_shape() {
    check(&[
        ("<ul><li>a<ul><li>b</ul><li>c</ul>", "- a\n  - b\n- c"),
        ("<ol start=9><li>a<li>b<pre>c</pre></ol>", "9. a\n10. b\n    ```\n    c\n    ```"),
        ("<ul><li>a<ol><li>b</ol><li>c<ul><li></li></ul></ul>", "- a\n  1. b\n- c\n\n  -"),
        ("<ul><li><p>a</p><li><p>b</p></ul>", "- a\n\n- b"),
        ("<ul><li>a</ul><ul><li>b</ul>", "- a\n\n* b"),
        (
            "<ul><li><input type=checkbox checked> a<li><input type=checkbox> b</ul>",
            "- [x] a\n- [ ] b",
        ),
        ("<ul><li><a href=x><svg></svg></a><li>b</ul>", "- b"),
        ("<ul>a<ul><li>b</ul></ul><li>c", "- a\n  - b\n\n* c"),
        (
            "<dl><dt>a<dt>b<dd>c<dt><b>d</b><dd><p>e</dl>",
            "- **a**\n\n  **b**\n\n  c\n\n- **d**\n\n  e",
        ),
        ("<dl><dt>a<dd><dl><dt>b</dl><dt>c</dl>", "- a\n  - b\n- c"),
        ("<dl><dt>-a<br>--all<dd>b</dl>", "- **-a**\n\n  **--all**\n\n  b"),
        (
            "<blockquote><p>a<ul><li>b</ul></blockquote><blockquote>c</blockquote>",
            "> a\n>\n> - b\n\n> c",
        ),
    ]);
}

#[test]
fn tables_of_data_stay_tables() {
    check(&[
        (
            "<table><caption>T <b>x</b></caption><tr><th>a<th align=right>b<tr><td>1|2<td><code>c|d</code></table>",
            "**T x**\n\n| a | b |\n| --- | --: |\n| 1\\|2 | `c\\|d` |",
        ),
        (
            "<table><tr><th colspan=2>a<tr><td rowspan=2>b<td>c<tr><td>d</table>",
            "| a |  |\n| --- | --- |\n| b | c |\n|  | d |",
        ),
        (
            "<table><tr><th>a<th>b<tr><td><p>c<p>d<td><ul><li>e<li>f</ul><pre>g\nh</pre></table>",
            "| a | b |\n| --- | --- |\n| c<br>d | e<br>f<br>`g`<br>`h` |",
        ),
        ("<table><tr><td>a<tr><td>b</table>", "| a |\n| --- |\n| b |"),
        // These only arrange blocks.
        (
            "<table><tr><td><p>a</p><table><tr><td>b<td>c</table></table>",
            "a\n\n| b | c |\n| --- | --- |",
        ),
        ("<table><tr><td><pre>1\n2</pre><td><pre>f()\ng()</pre></table>", "```\nf()\ng()\n```"),
    ]);
}

#[test]
fn code_stays_as_it_is() {
    check(&[
        ("<pre>\n a\n\n```\n*b*\n</pre>", "````\n a\n\n```\n*b*\n````"),
        ("<pre class=language-c++><code>a &lt; b</code></pre>", "```cpp\na < b\n```"),
        ("<p><code>a`b</code> <code>`</code> <code> c </code></p>", "``a`b`` `` ` `` `  c  `"),
        ("<p><code>a</code><code>b</code></p>", "`ab`"),
    ]);
}

#[test]
fn json_ld_tells_what_the_head_leaves_out() {
    let told = |head: &str| {
        let html = format!(
            "<html><head>{head}<script type='application/ld+json'>{}</script></head><p>Text.</p></html>",
            json!({
                "@type": "NewsArticle", "author": [{ "name": "Ada" }, { "name": "Ben" }],
                "datePublished": "2024-05-06", "dateModified": "2024-05-07",
                "description": "A \"fine\" day.", "inLanguage": "en",
            })
        );
        page(&html, &url()).expect("it is text").metadata
    };
    let metadata = told("<meta name=author content=Cleo>");
    for (key, expected) in [
        ("author", "Cleo"),
        ("published", "2024-05-06"),
        ("modified", "2024-05-07"),
        ("description", "A \"fine\" day."),
        ("language", "en"),
    ] {
        assert_eq!(metadata.get(key), Some(&json!(expected)), "{key}");
    }
    assert_eq!(told("").get("author"), Some(&json!("Ada, Ben")));
}

#[test]
fn the_content_of_a_page_keeps_all_of_it() {
    let text =
        "The boat lies in the harbour, and nobody knows when it will leave again. ".repeat(6);
    let html = format!(
        "<html><body><nav><a href=/>Home</a></nav><main><article><h1>Boats</h1><p>{text}</p>\
         <h2>Lengths</h2><table><tr><th>boat<th>m</tr><tr><td>Ida<td>12</tr></table><p>{text}</p>\
         <ul><li>bow</li><li>stern<ol><li>left</li></ol></li></ul><pre><code class=language-sh>moor -f</code></pre>\
         <p>See <a href=knots title='All knots'>knots</a>. <img src=ida.jpg alt='The Ida'> {text}</p></article></main>\
         <footer><a href=/imprint>Imprint</a></footer></body></html>"
    );
    let page = page(&html, &url()).expect("it is text");
    assert_eq!(page.title, "Boats");
    let markdown = page.markdown;
    for part in [
        "## Lengths\n\n| boat | m |\n| --- | --- |\n| Ida | 12 |\n",
        "- bow\n- stern\n  1. left\n",
        "```sh\nmoor -f\n```\n",
        "[knots](https://docs.example.org/a/knots \"All knots\")",
        "![The Ida](https://docs.example.org/a/ida.jpg)",
    ] {
        assert!(markdown.contains(part), "{part:?} is missing: {markdown}");
    }
    for part in ["Home", "Imprint"] {
        assert!(!markdown.contains(part), "{part}: {markdown}");
    }
}
