//! Takes the ways around a site out of a page, for pages so short that no content finder can tell
//! them from the content.

use memchr::memchr;

use super::scan::{Tag, name_end};

/// Classes that say that an element is for getting about: DocBook's, Sphinx's and the common ones.
const CLASSES: [&str; 9] = [
    "navheader",
    "navfooter",
    "sphinxsidebar",
    "related",
    "navigation",
    "navbar",
    "breadcrumb",
    "breadcrumbs",
    "pagination",
];

/// The page without its navigation. It must be well-formed, as the scan leaves it.
pub(super) fn without(html: &str) -> String {
    let mut kept = String::with_capacity(html.len());
    let mut at = 0;
    while let Some(start) = memchr(b'<', &html.as_bytes()[at..]).map(|offset| at + offset) {
        let name = name_end(html, start + 1).map_or("", |end| &html[start + 1..end]);
        let tag = Tag::read(html, start + 1 + name.len());
        let leads_away = match name {
            "nav" => true,
            "div" | "ul" | "table" => {
                tag.has_token("class", &CLASSES) || tag.raw("role") == Some("navigation")
            }
            _ => false,
        };
        kept.push_str(&html[at..start]);
        if leads_away {
            at = end_of(html, name, tag.end);
        } else {
            kept.push_str(&html[start..tag.end]);
            at = tag.end;
        }
    }
    kept.push_str(&html[at..]);
    kept
}

/// The byte after the end tag of an element whose start tag ends at `at`.
fn end_of(html: &str, name: &str, mut at: usize) -> usize {
    let mut open = 1_u32;
    while let Some(start) = memchr(b'<', &html.as_bytes()[at..]).map(|offset| at + offset) {
        let rest = &html[start + 1..];
        let (closes, rest) = match rest.strip_prefix('/') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        at =
            memchr(b'>', &html.as_bytes()[start..]).map_or(html.len(), |offset| start + offset + 1);
        let same = rest.strip_prefix(name).is_some_and(|after| {
            after.starts_with(|c: char| c.is_ascii_whitespace() || c == '>' || c == '/')
        });
        if same {
            open = if closes { open - 1 } else { open + 1 };
        }
        if open == 0 {
            return at;
        }
    }
    html.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_ways_around_a_site_are_taken_out() {
        let check = |html: &str, expected: &str| assert_eq!(without(html), expected, "{html}");
        check("<p>a</p>", "<p>a</p>");
        check("<nav><ul><li>x</li></ul></nav><p>a</p>", "<p>a</p>");
        check("<div class=\"x navheader\"><div>n</div></div><p>a</p>", "<p>a</p>");
        check("<div role=\"navigation\">n</div>b", "b");
        check(
            "<div class=\"toc\"><dl><dt>1</dt></dl></div>",
            "<div class=\"toc\"><dl><dt>1</dt></dl></div>",
        );
        check("<divider class=\"navbar\">a</divider>", "<divider class=\"navbar\">a</divider>");
        check("a &lt; b <nav>unclosed", "a &lt; b ");
        check("<p title=\"<nav>\">a</p>", "<p title=\"<nav>\">a</p>");
    }
}
