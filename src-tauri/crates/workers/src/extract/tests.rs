//! What extraction promises, on small pages that are kept as files and on hostile ones that are made.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn url(text: &str) -> Url {
    Url::parse(text).expect("the test's address is one")
}

fn extract(html: &str) -> Page {
    page(html, &url("https://docs.example.org/manual/page.html")).expect("it is text")
}

/// Every `testdata/NAME.html` becomes `testdata/NAME.md`.
#[test]
fn pages_become_the_markdown_that_was_expected() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/extract/testdata");
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder is part of the source") {
        let path = entry.expect("it can be listed").path();
        if path.extension().is_none_or(|extension| extension != "html") {
            continue;
        }
        let html = std::fs::read_to_string(&path).expect("it can be read");
        let expected =
            std::fs::read_to_string(path.with_extension("md")).expect("each page has its Markdown");
        let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
        let page =
            page(&html, &url("https://docs.example.org/manual/").join(&name).expect("it joins"))
                .expect("text");
        assert_eq!(page.markdown, expected, "{name}");
        seen += 1;
    }
    assert!(seen >= 5, "only {seen} pages were found");
}

#[test]
fn a_page_tells_its_metadata() {
    let page = extract(include_str!("testdata/article.html"));
    assert_eq!(page.title, "Why tides turn");
    for (key, value) in [
        ("author", "Ines Moreau"),
        ("description", "The moon, the sun and a tide table."),
        ("language", "en-GB"),
        ("published", "2024-03-05T08:00:00Z"),
        ("site_name", "The Harbour Post"),
        ("canonical", "https://post.example.net/2024/tides"),
    ] {
        assert_eq!(page.metadata.get(key), Some(&json!(value)), "{key}");
    }
    assert_eq!(page.metadata.get("modified"), None, "only what is present");
    assert_eq!(page.canonical, Some(url("https://post.example.net/2024/tides")));
    assert!(page.nofollow && !page.noindex);
}

#[test]
fn titles_are_the_pages_own() {
    for (head, body, expected) in [
        ("<title>Knots — Rope 2.1</title>", "<h1>Knots</h1>", "Knots"),
        ("<title>Rope 2.1 manual</title>", "<h1>Knots</h1>", "Rope 2.1 manual"),
        ("", "<h1>Knots &amp; <em>ropes</em></h1>", "Knots & ropes"),
        ("<title>A\u{202e}B\u{200b}\n C&eacute;</title>", "", "AB Cé"),
        ("<TITLE>Upper</TITLE><svg><title>Icon</title></svg>", "", "Upper"),
        ("<title>&lt;b&gt;</title>", "", "<b>"),
        ("", "<p>text</p>", ""),
    ] {
        let page = extract(&format!("<html><head>{head}</head><body>{body}</body></html>"));
        assert_eq!(page.title, expected, "{head}{body}");
    }
}

#[test]
fn links_are_absolute_once_and_without_fragments() {
    let page = extract(
        r##"<a href="b.html#x">B</a> <a href="b.html#y" rel="nofollow">again</a> <a href=/c?q=1&amp;r=2><img alt="C"
        src=c.png></a> <a href="#top">top</a> <a href="page.html">itself</a> <a href="mailto:a@b.c">mail</a>
        <a href="javascript:alert(1)">no</a> <a href="//other.org/" rel="NoFollow external">other</a>
        <a>none</a> <a href="http://[bad">bad</a> <map><area href="d" alt="D"></map> <a href="&#101;">e"##,
    );
    let found: Vec<_> = page
        .links
        .iter()
        .map(|link| (link.url.as_str(), link.text.as_str(), link.nofollow))
        .collect();
    assert_eq!(
        found,
        [
            ("https://docs.example.org/manual/b.html", "B", false),
            ("https://docs.example.org/c?q=1&r=2", "C", false),
            ("https://other.org/", "other", true),
            ("https://docs.example.org/manual/d", "D", false),
            ("https://docs.example.org/manual/e", "e", false),
        ]
    );
}

#[test]
fn a_page_that_only_sends_the_reader_on_leads_there() {
    let links = |content: &str| {
        let html = format!("<title>Moved</title><meta http-equiv=Refresh content=\"{content}\">");
        extract(&html).links.iter().map(|link| link.url.to_string()).collect::<Vec<_>>()
    };
    let latest = ["https://docs.example.org/manual/latest/"];
    for content in ["0; url=latest/", "0;URL='latest/'", "5,latest/", " 0 ; latest/#top"] {
        assert_eq!(links(content), latest, "{content}");
    }
    for content in ["30", "0; url=", "0; url=page.html", "0; url=javascript:x()", ";"] {
        assert_eq!(links(content), [""; 0], "{content}");
    }
}

#[test]
fn what_robots_are_told_is_read() {
    for (content, noindex, nofollow) in [
        ("noindex", true, false),
        ("NOFOLLOW, noarchive", false, true),
        ("none", true, true),
        ("index,follow", false, false),
    ] {
        let page = extract(&format!("<meta name=Robots content='{content}'><p>text</p>"));
        assert_eq!((page.noindex, page.nofollow), (noindex, nofollow), "{content}");
    }
}

#[test]
fn a_canonical_address_of_another_kind_is_no_address() {
    for (href, expected) in [
        ("file:///usr/share/doc/a.html", None),
        ("javascript:1", None),
        ("/a", Some("https://docs.example.org/a")),
    ] {
        let page = extract(&format!("<link rel=canonical href='{href}'><p>text</p>"));
        assert_eq!(page.canonical.as_ref().map(Url::as_str), expected, "{href}");
    }
}

#[test]
fn a_page_that_scripts_would_fill_still_says_something() {
    let page = extract(
        "<meta name=description content='A *shop*.'><body><div id=root></div><script>1</script></body>",
    );
    assert_eq!(page.markdown, "A \\*shop\\*.\n");
    assert_eq!(extract("").markdown, "");
    assert_eq!(extract("<html><body></body></html>").markdown, "");
}

#[test]
fn binary_content_is_not_a_page() {
    let url = url("https://docs.example.org/");
    for content in ["\u{0}\u{0}<html>", "%PDF-1.7\n<html>", "\u{1}\u{2}\u{3}\u{4}"] {
        assert_eq!(page(content, &url).err(), Some(ExtractError::Binary), "{content:?}");
    }
}

#[test]
fn scripts_and_styles_never_become_text() {
    let page = extract(
        "<style>.a{}</style><script>secret()</script><svg><style><p>secret</p></style><text>secret</text></svg>\
         <template><p>secret</p></template><noscript>secret</noscript><iframe>secret</iframe>\
         <textarea>secret</textarea><!-- secret --><object>secret</object><p>shown</p>",
    );
    assert!(page.markdown.contains("shown"), "{}", page.markdown);
    assert!(!page.markdown.contains("secret"), "{}", page.markdown);
}

/// Each of these takes minutes or a stack overflow in the parsers when they see it as it is.
#[test]
fn hostile_pages_are_harmless() {
    let cases: [(&str, String); 28] = [
        ("nested blocks", "<div>".repeat(20_000) + "end"),
        ("nested blocks, closed", "<div>".repeat(20_000) + "end" + &"</div>".repeat(20_000)),
        ("nested tables", "<table><tr><td>".repeat(20_000) + "end"),
        ("nested lists", "<ul><li>".repeat(20_000) + "end"),
        ("nested unknown elements", "<x-y>".repeat(20_000) + "end"),
        ("nested templates", "<template>".repeat(20_000) + &"</template>".repeat(20_000) + "end"),
        (
            "nesting hidden in a drawing's style",
            "<svg><style>".to_owned() + &"<div>".repeat(20_000) + "</style></svg>end",
        ),
        (
            "nesting hidden in a formula",
            "<math><title>".to_owned() + &"<div>".repeat(20_000) + "</title></math>end",
        ),
        (
            "attributes",
            format!("<p {}>end</p>", (0..40_000).map(|i| format!("a{i}=1 ")).collect::<String>()),
        ),
        ("paragraphs", "<p>x".repeat(40_000) + "<p>end"),
        ("unclosed formatting", "<b>x".repeat(40_000) + "end"),
        (
            "unclosed formatting in paragraphs",
            (0..20_000).map(|i| format!("<p><b a={i}><i b={i}>x")).collect::<String>() + "end",
        ),
        ("unclosed links", "<a href=/x>y".repeat(20_000) + "end"),
        ("cells", "<table><tr>".to_owned() + &"<td>x".repeat(20_000) + "<td>end</table>"),
        ("rows", "<table>".to_owned() + &"<tr><td>x".repeat(20_000) + "<td>end</table>"),
        ("definitions", "<dl>".to_owned() + &"<dt>a".repeat(20_000) + "<dd>end</dl>"),
        (
            "spans of cells",
            format!("<table>{}</table>end", "<tr><td colspan=1000 rowspan=1000>x".repeat(2_000)),
        ),
        ("unfinished tags", "<a".repeat(40_000)),
        ("unfinished comments", "<!--".repeat(40_000)),
        ("unclosed noscripts", "<noscript>x".repeat(30_000) + "end"),
        ("brackets", "[".repeat(200_000) + "end"),
        ("a heading of hash signs", format!("<h1>end {}</h1>", "#".repeat(60_000))),
        ("emphasis without words", "<b>“</b>x".repeat(20_000) + "end"),
        ("hash signs", format!("<p>end {}</p>", "#".repeat(60_000))),
        ("numbers", format!("<p>{} {}end</p>", "1".repeat(60_000), ". ".repeat(60_000))),
        ("less-than signs", "<".repeat(20_000) + " end"),
        ("marks of Markdown", "*_[]<>`#".repeat(10_000) + "end"),
        ("plaintext", "<plaintext>".to_owned() + &"<b>".repeat(20_000) + "end"),
    ];
    for (name, html) in cases {
        let start = Instant::now();
        let page = extract(&html);
        let took = start.elapsed();
        // Without optimisation on a busy machine; the release program is some twenty times faster.
        assert!(took < Duration::from_secs(20), "{name}: {took:?}");
        if !name.starts_with("unfinished") {
            assert!(page.markdown.contains("end"), "{name}: {:?}", text::cut(&page.markdown, 200));
        }
        assert!(
            page.markdown.len() <= 8 * html.len() + 100_000,
            "{name}: {} bytes",
            page.markdown.len()
        );
    }
}

#[test]
fn what_a_page_says_of_itself_has_limits() {
    let long = "x".repeat(3000);
    let links = |base: &str| {
        let page = extract(&format!("{base}<p>Text with <a href=y>a link</a>.</p>"));
        page.links.iter().map(|link| link.url.to_string()).collect::<Vec<_>>()
    };
    let own = url("https://docs.example.org/guide/").join("y").expect("an address");
    let plain = links("");
    assert_eq!(plain.len(), 1, "{own}");
    assert_eq!(links(&format!("<base href='/{long}/'>")), plain, "an overlong base is none");
    assert_eq!(
        links("<base target=_top><base href=/a/><base href=/b/>"),
        [own.join("/a/y").expect("an address").to_string()],
        "the first base counts"
    );
    let page = extract(&format!("<link rel=canonical href='/{long}'><p>Text.</p>"));
    assert_eq!(page.canonical, None);
    let scripts = "<script type=application/ld+json>{}</script>".repeat(5_000);
    let scan = Scan::new(&scripts, &own);
    assert!(scan.json_ld.len() <= 100, "{} blocks", scan.json_ld.len());
}

#[test]
fn a_page_beyond_all_measure_is_cut() {
    let page = extract(&"word ".repeat(3 * 1024 * 1024));
    assert!(page.markdown.len() <= scan::MAX_HTML + 1, "{} bytes", page.markdown.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever the bytes, there is an answer and no panic, and no invisible character survives.
    #[test]
    fn any_soup_of_tags_has_an_answer(pieces in proptest::collection::vec(
        prop_oneof![
            "[ a-z<>&\"'=/!\\[\\]*_`#\u{202e}é-]{0,12}",
            proptest::sample::select(vec![
                "<p>", "</p>", "<dl>", "<dt>", "<dd>", "</dl>", "<pre>", "</pre>", "<code class=language-x>", "<table>",
                "<tr>", "<td>", "</table>", "<ul>", "<li>", "</ul>", "<a href=x>", "</a>", "<a href='#y' class=anchor>",
                "<h1>", "</h1>", "<b>", "</b>", "<br>", "<img src=x alt=y>", "<svg>", "</svg>", "<script>", "</script>",
                "<!--", "-->", "<title>", "</title>", "<main>", "</main>", "<![CDATA[", "<?xml ?>", "<span> </span>",
                "<blockquote>", "</blockquote>", "<math alttext=z>", "</math>", "<noscript>", "<xmp>", "</xmp>",
            ]).prop_map(str::to_owned),
        ],
        0..40,
    )) {
        let html = pieces.concat();
        let page = page(&html, &url("https://docs.example.org/")).expect("it is text");
        prop_assert!(!page.markdown.contains(['\u{202e}', scan::IMAGE_START, scan::IMAGE_END]), "{:?}", page.markdown);
    }
}

#[test]
fn files_of_text_become_documents() {
    let markdown = "---\ntitle: \"From the front\"\nDate: 2024-05-06\ntags: [a, b]\n  nested: no\n---\n\n# Heading\n\ntext\n";
    for (name, content, title, expected) in [
        ("a.md", markdown, "From the front", "# Heading\n\ntext\n"),
        (
            "a.md",
            "```\n# no\n```\n\n## The *real* [one](x.html) `tie_rope`\n",
            "The real one tie_rope",
            "```\n# no\n```\n\n## The *real* [one](x.html) `tie_rope`\n",
        ),
        ("a.md", "Under\r\n=====\r\n\r\ntext", "Under", "Under\n=====\n\ntext"),
        ("a.md", "---\nnot closed", "a.md", "---\nnot closed"),
        ("a.rs", "fn main() {\n\tok();\n}\n\n", "a.rs", "```rust\nfn main() {\n\tok();\n}\n```\n"),
        ("a.rs", "//! ```\n", "a.rs", "```rust\n//! ```\n```\n"),
        (
            "a.txt",
            "1. one\n# two\n* three *\n- four\na_b <c> [d]\n\n\n\nend",
            "a.txt",
            "1\\. one\n\\# two\n\\* three \\*\n\\- four\na_b \\<c> \\[d\\]\n\nend\n",
        ),
        ("a.txt", "a    1\nb    2\nc    3\n", "a.txt", "```text\na    1\nb    2\nc    3\n```\n"),
        ("Makefile", "all:\n\tcc `x`\n", "Makefile", "```makefile\nall:\n\tcc `x`\n```\n"),
    ] {
        let format = format_of(name).expect("the name says the format");
        let file = text(content, name, format).expect("it is text");
        assert_eq!(
            (file.title.as_str(), file.markdown.as_str()),
            (title, expected),
            "{name}: {content:?}"
        );
    }
    let metadata = text(markdown, "a.md", Format::Markdown).expect("it is text").metadata;
    assert_eq!(metadata.get("published"), Some(&json!("2024-05-06")));
    assert_eq!(metadata.get("tags"), Some(&json!("[a, b]")));
    assert_eq!(metadata.get("nested"), None);
}

#[test]
fn a_code_block_cannot_be_ended_from_inside() {
    let file = text("````\n```\n", "a.py", Format::Code("python")).expect("it is text");
    assert_eq!(file.markdown, "`````python\n````\n```\n`````\n");
}

#[test]
fn names_tell_formats() {
    for (name, expected) in [
        ("README.MD", Some(Format::Markdown)),
        ("index.xhtml", Some(Format::Html)),
        ("notes.txt", Some(Format::Text)),
        ("paper.PDF", Some(Format::Pdf)),
        ("lib.rs", Some(Format::Code("rust"))),
        ("Dockerfile", Some(Format::Code("dockerfile"))),
        (".editorconfig", None),
        ("photo.jpg", None),
        ("LICENSE", None),
        ("", None),
    ] {
        assert_eq!(format_of(name), expected, "{name}");
    }
}

#[test]
fn the_hash_tells_bytes_and_tags_apart() {
    let tag = |tag: &str| vec![tag.to_owned()];
    let hash = source_hash(b"a", &[]);
    assert_eq!(hash, source_hash(b"a", &[]));
    assert_ne!(hash, source_hash(b"b", &[]));
    assert_ne!(source_hash(b"", &tag("a")), source_hash(b"a", &[]));
    assert_ne!(source_hash(b"a", &tag("x")), source_hash(b"a", &tag("y")));
}
