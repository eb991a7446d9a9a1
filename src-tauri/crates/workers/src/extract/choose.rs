//! Which part of a page is its content.
//!
//! Two finders answer, and the page itself tells its main part. What rs-trafilatura picks is right
//! on most pages; the rules here are for those where it is not. They were found on one half of 390
//! pages in which people had marked the content, and hold on the other: `cargo xtask bench
//! extraction` measures them.

use std::collections::HashSet;

use url::Url;

use super::{
    Found,
    blocks::{Blocks, count_words, unmarked},
    guarded, navigation,
    scan::Scan,
};

/// Elements and bytes beyond which the finders would take too long.
const FINDER_ELEMENTS: usize = 40_000;
const FINDER_BYTES: usize = 4 * 1024 * 1024;
const FINDER_TEXT: usize = 1024 * 1024;
/// Bytes of text below which the finders have nothing to go by.
const FEW_WORDS: usize = 125;
/// Of the words outside navigation, a choice with fewer than 15 in 100 is one item of a list, or a
/// note beside the content. Among the 390 pages, most such choices held under a third of it.
const TOO_LITTLE: f64 = 0.15;
/// Of the main part of a page of a manual, so much shows that the finder meant all of it.
const MOST_OF_IT: f64 = 0.6;
/// Words that a wider choice must have, and times those of the choice that it replaces.
const WIDER_WORDS: usize = 80;
const WIDER_TIMES: usize = 2;

/// The main content of a page.
pub(super) fn main_content(scan: &Scan, url: &Url) -> Found {
    let marked_main = || scan.main.clone().map(|range| scan.html[range].to_owned());
    if scan.visible < FEW_WORDS && scan.json_ld.is_empty()
        || scan.elements > FINDER_ELEMENTS
        || scan.html.len() > FINDER_BYTES
        || scan.visible > FINDER_TEXT
    {
        return Found { html: marked_main(), ..Found::default() };
    }
    if is_manual(scan) {
        // Nothing is to be found there, and the finders lose its lists of links.
        let whole = scan.main.clone().map_or(scan.html.as_str(), |range| &scan.html[range]);
        let page_type = Some(MANUAL.to_owned());
        return Found { html: Some(navigation::without(whole)), page_type, ..Found::default() };
    }
    let page = Blocks::new(&scan.html);
    let html = page.marked();
    let Some((mut found, text)) = trafilatura(&html, url) else {
        // It may cut a text inside a mark, and fail.
        let unmarked = trafilatura(&scan.html, url).map(|(found, _)| found);
        let other = || readability(&scan.html, url).or_else(marked_main);
        return unmarked.unwrap_or_else(|| Found { html: other(), ..Found::default() });
    };
    let picked = page.marked_in(&text);
    let (words, visible) = (page.words(&picked), page.words(&vec![true; picked.len()]));
    let told = count_words(&text);
    // It reads articles and threads from data for scripts too. More words than the page shows are
    // not those, but its last resort, which repeats a text for every element around it.
    if told > 2 * words + 50 && told < visible * 5 / 4 + 50 {
        return found;
    }
    found.text = None;
    let kept = choose(&page, picked, found.page_type.as_deref().unwrap_or_default(), || {
        page.marked_in(&readability(&html, url).unwrap_or_default())
    });
    found.html = kept.contains(&true).then(|| page.only(&kept));
    found
}

/// The type of pages of manuals.
const MANUAL: &str = "documentation";

/// Programs that make manuals and name themselves in their pages.
const MANUALS: [&str; 11] = [
    "asciidoctor",
    "docbook",
    "docutils",
    "docusaurus",
    "doxygen",
    "gitbook",
    "javadoc",
    "mdbook",
    "mkdocs",
    "rustdoc",
    "sphinx",
];

fn is_manual(scan: &Scan) -> bool {
    let generator = scan.meta.get("generator").map(|name| name.to_ascii_lowercase());
    generator.is_some_and(|name| MANUALS.iter().any(|manual| name.contains(manual)))
}

/// The blocks that are content, of those that were `picked`.
fn choose(
    page: &Blocks<'_>,
    picked: Vec<bool>,
    page_type: &str,
    second: impl Fn() -> Vec<bool>,
) -> Vec<bool> {
    let mut kept = wider(page, &picked, page_type, &second)
        .or_else(|| whole_manual_page(page, &picked, page_type))
        .unwrap_or(picked);
    // Carousels, quotations of other posts and versions for small screens repeat items. In an
    // article or a manual, what stands twice is meant.
    if !matches!(page_type, "article" | MANUAL) {
        let mut seen = HashSet::new();
        let once = |(index, kept): (usize, &bool)| {
            let block = &page.blocks[index];
            *kept && (block.words == 0 || seen.insert(block.hash))
        };
        let once: Vec<bool> = kept.iter().enumerate().map(once).collect();
        keep_most(page, &mut kept, once);
    }
    // A page that sells a service is made of such boxes.
    let has_beside =
        page.blocks.iter().zip(&kept).any(|(block, kept)| *kept && block.place.is_beside());
    if page_type != "service" && has_beside {
        // Boxes with the names of what stands beside content, outside of what Readability picked.
        let second = second();
        let first = second.iter().position(|picked| *picked).unwrap_or(usize::MAX);
        let last = second.iter().rposition(|picked| *picked).unwrap_or(0);
        let inside = kept.iter().enumerate().map(|(index, kept)| {
            *kept && (!page.blocks[index].place.is_beside() || (first..=last).contains(&index))
        });
        let inside = inside.collect();
        keep_most(page, &mut kept, inside);
    }
    kept
}

/// Takes `fewer` if that leaves at least half of the words.
fn keep_most(page: &Blocks<'_>, kept: &mut Vec<bool>, fewer: Vec<bool>) {
    if 2 * page.words(&fewer) >= page.words(kept) {
        *kept = fewer;
    }
}

/// A wider choice, if the one that was made is too little: what the page calls its main part, else
/// what Readability picks, else all but the ways around the site.
#[allow(clippy::cast_precision_loss, reason = "words of one page")]
fn wider(
    page: &Blocks<'_>,
    picked: &[bool],
    page_type: &str,
    second: impl Fn() -> Vec<bool>,
) -> Option<Vec<bool>> {
    let words = page.words(picked);
    let inner = page.at(|place| !place.around);
    // The description of a product and the posts of a thread can be a small part of their pages.
    let may_be_small = matches!(page_type, "product" | "forum");
    let too_little =
        words == 0 || !may_be_small && (words as f64) < TOO_LITTLE * page.words(&inner) as f64;
    if !too_little {
        return None;
    }
    let enough = if words == 0 { 1 } else { WIDER_WORDS.max(WIDER_TIMES * words) };
    let main = page.at(|place| place.main && !place.around);
    let is_enough = |kept: &Vec<bool>| page.words(kept) >= enough;
    Some(main)
        .filter(is_enough)
        .or_else(|| Some(second()).filter(is_enough))
        .or_else(|| Some(inner).filter(is_enough))
}

/// The main part of a page of a manual.
fn manual_part(page: &Blocks<'_>) -> Vec<bool> {
    let main = page.at(|place| place.main && !place.around);
    if page.words(&main) > 0 { main } else { page.at(|place| !place.around && !place.is_beside()) }
}

/// A page of a manual is content as a whole: its tables, lists of links and notes, too, which the
/// finders take for something else.
#[allow(clippy::cast_precision_loss, reason = "words of one page")]
fn whole_manual_page(page: &Blocks<'_>, picked: &[bool], page_type: &str) -> Option<Vec<bool>> {
    if page_type != MANUAL {
        return None;
    }
    let whole = manual_part(page);
    let both: Vec<bool> =
        whole.iter().zip(picked).map(|(whole, picked)| *whole && *picked).collect();
    (page.words(&both) as f64 >= MOST_OF_IT * page.words(&whole) as f64).then_some(whole)
}

/// What rs-trafilatura makes of a page, and its text with the marks of the blocks.
fn trafilatura(html: &str, url: &Url) -> Option<(Found, String)> {
    let options = rs_trafilatura::Options {
        include_links: true,
        include_images: true,
        include_formatting: true,
        url: Some(url.to_string()),
        max_extracted_len: usize::MAX,
        ..rs_trafilatura::Options::default()
    };
    let result = guarded(|| rs_trafilatura::extract_with_options(html, &options).ok()).flatten()?;
    let html = result.content_html.as_deref().map(unmarked);
    let found = Found {
        text: html.is_none().then(|| unmarked(&result.content_text)),
        html,
        author: result.metadata.author.as_deref().map(unmarked),
        published: result.metadata.date.map(|date| date.format("%Y-%m-%d").to_string()),
        page_type: result.metadata.page_type,
    };
    Some((found, result.content_text))
}

/// What Readability makes of a page.
fn readability(html: &str, url: &Url) -> Option<String> {
    let config = dom_smoothie::Config { keep_classes: true, ..dom_smoothie::Config::default() };
    guarded(|| {
        let mut reader =
            dom_smoothie::Readability::new(html, Some(url.as_str()), Some(config)).ok()?;
        Some(reader.parse().ok()?.content.to_string())
    })
    .flatten()
}
