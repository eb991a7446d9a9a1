//! Codes of securities. A code without its exchange means a US stock to some vendors, so it is never
//! passed on without.

use std::fmt;

/// A security with its exchange, as providers name it: `BHP.AU`, `AXJO.INDX`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Symbol {
    code: String,
    exchange: &'static str,
}

/// A text that is no symbol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an ASX code; write three to six letters and digits, such as BHP or BHP.AU")]
pub struct BadSymbol(pub String);

impl Symbol {
    /// A stock of the Australian exchange: `BHP`, `bhp.au`, `BHP.AX` or `ASX:BHP`.
    ///
    /// # Errors
    /// If it is something else. A code of another exchange is not taken for an Australian one.
    pub fn stock(text: &str) -> Result<Self, BadSymbol> {
        let bad = || BadSymbol(text.chars().take(40).collect());
        let upper = text.trim().to_ascii_uppercase();
        let bare = upper.strip_prefix("ASX:").unwrap_or(&upper);
        let code = match bare.split_once('.') {
            Some((code, "AU" | "AX" | "ASX")) => code,
            Some(_) => return Err(bad()),
            None => bare,
        };
        let fits = (3..=6).contains(&code.len())
            && code.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        if !fits {
            return Err(bad());
        }
        Ok(Self { code: code.to_owned(), exchange: "AU" })
    }

    /// An Australian index by its usual code (`XJO`, `XAO`, `XSO`) or its vendor's (`AXJO.INDX`).
    ///
    /// # Errors
    /// If it is something else.
    pub fn index(text: &str) -> Result<Self, BadSymbol> {
        let upper = text.trim().to_ascii_uppercase();
        let bare = upper.strip_prefix("ASX:").unwrap_or(&upper);
        let bare = bare.strip_suffix(".INDX").unwrap_or(bare).trim_start_matches('^');
        let code = match bare {
            "XJO" | "AXJO" => "AXJO",
            "XAO" | "AORD" => "AORD",
            "XSO" | "AXSO" => "AXSO",
            other => {
                let fits = (3..=6).contains(&other.len())
                    && other.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
                    && upper.ends_with(".INDX");
                if !fits {
                    return Err(BadSymbol(text.chars().take(40).collect()));
                }
                other
            }
        };
        Ok(Self { code: code.to_owned(), exchange: "INDX" })
    }

    /// `BHP`.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The code as its exchange writes it: `XJO` for `AXJO.INDX`.
    #[must_use]
    pub fn local_code(&self) -> &str {
        match (self.is_index(), self.code.as_str()) {
            (true, "AXJO") => "XJO",
            (true, "AORD") => "XAO",
            (true, "AXSO") => "XSO",
            (_, code) => code,
        }
    }

    /// Whether it is an index, which has neither owners nor accounts, and no volume.
    #[must_use]
    pub fn is_index(&self) -> bool {
        self.exchange == "INDX"
    }

    /// The currency of its prices.
    #[must_use]
    pub const fn currency(&self) -> &'static str {
        "AUD"
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.code, self.exchange)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_another_exchange_is_not_taken_for_an_australian_one() {
        for (text, expected) in [
            ("BHP", Some("BHP.AU")),
            (" bhp.au ", Some("BHP.AU")),
            ("ASX:cba", Some("CBA.AU")),
            ("A2M.AX", Some("A2M.AU")),
            ("BHP.US", None),
            ("NYSE:BHP", None),
            ("BH", None),
            ("BHP.AU?x=1", None),
            ("../AU", None),
            ("", None),
            ("ÄÖÜ", None),
        ] {
            assert_eq!(
                Symbol::stock(text).ok().map(|s| s.to_string()).as_deref(),
                expected,
                "{text}"
            );
        }
        for (text, expected) in [
            ("XJO", Some(("AXJO.INDX", "XJO"))),
            ("^AORD", Some(("AORD.INDX", "XAO"))),
            ("axso.indx", Some(("AXSO.INDX", "XSO"))),
            ("AXEJ.INDX", Some(("AXEJ.INDX", "AXEJ"))),
            ("SPX", None),
            ("BHP.AU", None),
        ] {
            let found = Symbol::index(text).ok();
            let found = found.as_ref().map(|s| (s.to_string(), s.local_code().to_owned()));
            assert_eq!(found, expected.map(|(a, b)| (a.to_owned(), b.to_owned())), "{text}");
        }
    }
}
