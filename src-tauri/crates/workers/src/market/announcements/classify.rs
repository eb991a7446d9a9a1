//! How much an announcement is likely to matter, by stated rules: the exchange's mark first, then words
//! of its headline.

use serde::Serialize;

/// How much an announcement is likely to matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Relevance {
    /// A form that has to be filed.
    Noise,
    /// Of interest to few.
    Low,
    /// Of interest.
    Medium,
    /// Price-sensitive by the exchange's mark, or by what it is about.
    High,
}

impl Relevance {
    /// As reports write it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
            Self::Noise => "noise",
        }
    }
}

/// Words of headlines, the first list that has one of them counts. Forms come before topics, because
/// the notice of a form often names a topic ("Appendix 3H: cessation of placement options").
const RULES: [(Relevance, &[&str]); 5] = [
    (
        Relevance::Noise,
        &[
            "appendix 3x",
            "appendix 3z",
            "cleansing notice",
            "change of address",
            "net tangible asset",
            "buy-back",
            "update - notification of buy-back",
            "registered office",
            "company secretary",
            "corporate directory",
        ],
    ),
    (
        Relevance::Low,
        &[
            "appendix 2a",
            "appendix 3b",
            "appendix 3g",
            "appendix 3h",
            "appendix 3y",
            "substantial hold",
            "change of director's interest",
            "change of directors interest",
            "annual general meeting",
            "agm",
            "notice of meeting",
            "proxy form",
            "results of meeting",
            "application for quotation",
            "notification of cessation",
            "letter to shareholders",
        ],
    ),
    (
        Relevance::High,
        &[
            "takeover",
            "scheme of arrangement",
            "scheme implementation",
            "merger",
            "acquisition",
            "acquires",
            "divestment",
            "trading halt",
            "suspension",
            "guidance",
            "outlook",
            "profit",
            "earnings",
            "half year results",
            "full year results",
            "results",
            "appendix 4d",
            "appendix 4e",
            "capital raising",
            "placement",
            "entitlement offer",
            "dividend",
            "impairment",
            "chief executive",
            "ceo",
            "managing director",
            "administrator",
            "insolvency",
            "material contract",
            "resource estimate",
        ],
    ),
    (
        Relevance::Medium,
        &[
            "quarterly",
            "appendix 4c",
            "appendix 5b",
            "presentation",
            "agreement",
            "contract",
            "drilling",
            "production",
            "annual report",
            "director appointment",
            "appointment",
            "resignation",
            "investor day",
            "trading update",
            "update",
            "approval",
            "response to asx",
        ],
    ),
    (Relevance::Low, &["webcast", "newsletter"]),
];

/// How much an announcement is likely to matter.
#[must_use]
pub fn relevance(headline: &str, sensitive: bool) -> Relevance {
    if sensitive {
        return Relevance::High;
    }
    let headline = headline.to_lowercase().replace('’', "'");
    let found = RULES.iter().find(|(_, words)| words.iter().any(|word| has(&headline, word)));
    found.map_or(Relevance::Low, |(relevance, _)| *relevance)
}

/// Whether a text has a word or words as such, not inside of others.
fn has(text: &str, words: &str) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    text.match_indices(words).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = &text[at + words.len()..];
        // "substantial hold" stands for holder and holding, "result" does not stand for "resulting".
        edge(before) && (words.ends_with("hold") || edge(after.chars().next()))
    })
}

/// Whether a headline stops trading (true) or lets it go on (false).
pub(super) fn halt(headline: &str) -> Option<bool> {
    let headline = headline.to_lowercase();
    let lifts = ["reinstatement", "resumption", "lifting of suspension", "trading halt lifted"];
    if lifts.iter().any(|words| has(&headline, words)) {
        return Some(false);
    }
    let stops =
        ["trading halt", "voluntary suspension", "suspension from", "suspension of trading"];
    stops.iter().any(|words| has(&headline, words)).then_some(true)
}
