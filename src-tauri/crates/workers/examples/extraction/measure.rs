//! How near a text is to the content that people marked in a page.

use std::collections::HashMap;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// How near one text is to the other, by their words: precision = common ÷ found, recall =
/// common ÷ wanted, F1 = 2 · precision · recall ÷ (precision + recall). A word that stands twice
/// counts twice. Two empty texts are equal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Score {
    /// Words of the text that was found.
    pub(crate) found: usize,
    /// Words of the text that was wanted.
    pub(crate) wanted: usize,
    /// Words that they have in common.
    pub(crate) common: usize,
}

#[allow(clippy::cast_precision_loss, reason = "words of a page")]
impl Score {
    pub(crate) fn of(found: &str, wanted: &str) -> Self {
        let (found, wanted) = (counts(found), counts(wanted));
        let common = wanted.iter().map(|(word, n)| found.get(word).map_or(0, |m| *m.min(n))).sum();
        Self { found: found.values().sum(), wanted: wanted.values().sum(), common }
    }

    pub(crate) fn f1(self) -> f64 {
        if self.found + self.wanted == 0 {
            return 1.0;
        }
        2.0 * self.common as f64 / (self.found + self.wanted) as f64
    }

    pub(crate) fn precision(self) -> f64 {
        if self.found == 0 { 0.0 } else { self.common as f64 / self.found as f64 }
    }

    pub(crate) fn recall(self) -> f64 {
        if self.wanted == 0 { 1.0 } else { self.common as f64 / self.wanted as f64 }
    }

    /// What a person would call the fault.
    pub(crate) fn fault(self) -> &'static str {
        match (self.precision(), self.recall()) {
            _ if self.found == 0 => "picked nothing",
            (precision, recall) if precision < 0.5 && recall < 0.5 => "picked something else",
            (precision, recall) if precision < recall => "too much",
            _ => "too little",
        }
    }
}

/// Letters, digits and underscores in a row, in lower case.
fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

fn counts(text: &str) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for word in words(text) {
        *counts.entry(word).or_default() += 1;
    }
    counts
}

/// How many of the snippets stand in the text, without regard to case and to how words are parted.
pub(crate) fn present(text: &str, snippets: &[String]) -> usize {
    let joined = |text: &str| format!(" {} ", words(text).collect::<Vec<_>>().join(" "));
    let text = joined(text);
    snippets.iter().filter(|snippet| text.contains(&joined(snippet))).count()
}

/// What a reader sees of Markdown: the text, without addresses and descriptions of images.
pub(crate) fn shown(markdown: &str) -> String {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut shown = String::with_capacity(markdown.len());
    let mut images = 0_u32;
    for event in Parser::new_ext(markdown, options) {
        match event {
            Event::Start(Tag::Image { .. }) => images += 1,
            Event::End(TagEnd::Image) => images -= 1,
            Event::Text(text) | Event::Code(text) if images == 0 => shown.push_str(&text),
            Event::Start(Tag::Emphasis | Tag::Strong | Tag::Strikethrough | Tag::Link { .. })
            | Event::End(
                TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough | TagEnd::Link,
            ) => {}
            _ => shown.push('\n'),
        }
    }
    shown
}

/// Which half of the pages one belongs to: a hash decides, so that neither can be chosen.
pub(crate) fn half(id: &str) -> usize {
    usize::from(blake3::hash(id.as_bytes()).as_bytes()[0] & 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_as_often_as_they_stand() {
        for (found, wanted, f1) in [
            ("", "", 1.0),
            ("a", "", 0.0),
            ("", "a", 0.0),
            ("The cat_1, the DOG!", "the dog the cat_1", 1.0),
            ("a a a", "a", 0.5),
            ("a b", "b c", 0.5),
            ("Ärger", "ärger", 1.0),
        ] {
            assert!((Score::of(found, wanted).f1() - f1).abs() < 1e-9, "{found:?} {wanted:?}");
        }
        let score = Score::of("a b c d", "a b");
        assert!((score.precision() - 0.5).abs() < 1e-9 && (score.recall() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn faults_are_named() {
        for (found, wanted, fault) in [
            ("", "a b", "picked nothing"),
            ("x y z", "a b", "picked something else"),
            ("a b x y", "a b", "too much"),
            ("a", "a b", "too little"),
        ] {
            assert_eq!(Score::of(found, wanted).fault(), fault, "{found:?} {wanted:?}");
        }
    }

    #[test]
    fn snippets_are_found_across_line_ends_and_not_inside_words() {
        let found = |text: &str, snippet: &str| present(text, &[snippet.to_owned()]);
        assert_eq!(found("One\n two, three.", "two  THREE"), 1);
        assert_eq!(found("One twothree", "two three"), 0);
        assert_eq!(found("scatter", "cat"), 0);
    }

    #[test]
    fn of_markdown_the_text_is_seen() {
        for (markdown, expected) in [
            ("# A *b*c [d](http://e.example/f) `g`\n", "A bc d g"),
            ("![alt](i.png) text", "text"),
            ("| a | b |\n|---|---|\n| 1\\_2 | 3 |\n", "a b 1_2 3"),
        ] {
            let shown = shown(markdown);
            assert_eq!(shown.split_whitespace().collect::<Vec<_>>().join(" "), expected);
        }
    }
}
