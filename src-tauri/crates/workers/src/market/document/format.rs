//! Figures as people read them, with unit and currency, and as facts that a report can be checked against.

use jiff::civil::Date;
use rust_decimal::{Decimal, RoundingStrategy, prelude::FromPrimitive};
use serde::Serialize;

/// What a figure is measured in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// A price per share.
    Price(String),
    /// An amount of money, shown in millions or billions.
    Amount(String),
    /// A fraction, shown in percent.
    Fraction,
    /// A percentage as it is.
    Percent,
    /// A ratio or an index.
    Number,
    /// A count of shares or people.
    Count,
}

impl Unit {
    fn name(&self) -> &str {
        match self {
            Self::Price(currency) | Self::Amount(currency) => currency,
            Self::Fraction => "fraction",
            Self::Percent => "percent",
            Self::Number => "number",
            Self::Count => "count",
        }
    }
}

/// A figure that a document states. Reports refer to it by its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Fact {
    /// Stable: `price.close`.
    pub(super) id: String,
    /// What it is.
    pub(super) label: String,
    /// Exactly.
    pub(super) value: String,
    /// `AUD`, `fraction`, `percent`, `number` or `count`.
    pub(super) unit: String,
    /// The day that it is about.
    pub(super) as_of: Option<String>,
    /// As the document shows it.
    pub(super) shown: String,
}

/// A number with thousands set apart and so many decimals.
pub(super) fn grouped(number: Decimal, decimals: u32) -> String {
    let text = format!(
        "{:.*}",
        decimals as usize,
        number.round_dp_with_strategy(decimals, RoundingStrategy::MidpointAwayFromZero)
    );
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |rest| ("-", rest));
    let (whole, rest) = digits.split_once('.').map_or((digits, ""), |(whole, rest)| (whole, rest));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let zero = whole.chars().chain(rest.chars()).all(|digit| digit == '0');
    let sign = if zero { "" } else { sign };
    if rest.is_empty() { format!("{sign}{grouped}") } else { format!("{sign}{grouped}.{rest}") }
}

/// A figure as people read it.
pub(super) fn shown(value: Decimal, unit: &Unit) -> String {
    match unit {
        Unit::Price(currency) => {
            // A stock below ten cents moves in tenths of a cent.
            let decimals = value.normalize().scale().clamp(2, 4);
            format!("{} {currency}", grouped(value, decimals))
        }
        Unit::Amount(currency) => {
            let (million, billion) = (Decimal::from(1_000_000), Decimal::from(1_000_000_000));
            let size = value.abs();
            if size >= billion {
                format!("{} bn {currency}", grouped(value / billion, 2))
            } else if size >= million {
                format!("{} m {currency}", grouped(value / million, 1))
            } else {
                format!("{} {currency}", grouped(value, 0))
            }
        }
        Unit::Fraction => format!("{} %", grouped(value * Decimal::ONE_HUNDRED, 2)),
        Unit::Percent => format!("{} %", grouped(value, 2)),
        Unit::Number => grouped(value, 2),
        Unit::Count => grouped(value, 0),
    }
}

/// A computed value as a decimal with six places; none for what is no number.
pub(super) fn computed(value: f64) -> Option<Decimal> {
    Decimal::from_f64(value).map(|value| value.round_dp(6).normalize())
}

/// A change as people read it, with its sign.
pub(super) fn change(value: f64) -> String {
    computed(value).map_or_else(
        || "n/a".to_owned(),
        |value| {
            let text = shown(value, &Unit::Fraction);
            if value > Decimal::ZERO && !text.starts_with("0.00") {
                format!("+{text}")
            } else {
                text
            }
        },
    )
}

/// A document in the making: Markdown and facts side by side.
#[derive(Default)]
pub(super) struct Sheet {
    /// The document.
    pub(super) markdown: String,
    /// Its figures.
    pub(super) facts: Vec<Fact>,
    rows: Vec<[String; 3]>,
}

impl Sheet {
    /// A line of text, as Markdown.
    pub(super) fn line(&mut self, text: &str) {
        self.end_rows();
        self.markdown.push_str(text);
        self.markdown.push_str("\n\n");
    }

    /// Begins a section.
    pub(super) fn section(&mut self, title: &str) {
        self.end_rows();
        self.line(&format!("## {title}"));
    }

    /// A row of the section's table, and a fact if there is a value.
    pub(super) fn fact(
        &mut self,
        id: &str,
        label: &str,
        value: Option<Decimal>,
        unit: Unit,
        as_of: Option<Date>,
    ) {
        let day = as_of.map(|day| day.to_string());
        let text = value.map_or_else(|| "n/a".to_owned(), |value| shown(value, &unit));
        self.rows.push([label.to_owned(), text.clone(), day.clone().unwrap_or_default()]);
        if let Some(value) = value {
            self.keep(id, label, value, &unit, as_of);
        }
    }

    /// A fact that stands in a table of its own.
    pub(super) fn keep(
        &mut self,
        id: &str,
        label: &str,
        value: Decimal,
        unit: &Unit,
        as_of: Option<Date>,
    ) {
        self.facts.push(Fact {
            id: id.to_owned(),
            label: label.to_owned(),
            value: value.to_string(),
            unit: unit.name().to_owned(),
            as_of: as_of.map(|day| day.to_string()),
            shown: shown(value, unit),
        });
    }

    /// A row of words.
    pub(super) fn note(&mut self, label: &str, text: &str) {
        self.rows.push([label.to_owned(), text.to_owned(), String::new()]);
    }

    /// A table; cells are Markdown already.
    pub(super) fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        self.end_rows();
        self.markdown.push_str(&format!("| {} |\n", head.join(" | ")));
        self.markdown.push_str(&format!("|{}\n", " --- |".repeat(head.len())));
        for row in rows {
            self.markdown.push_str(&format!("| {} |\n", row.join(" | ")));
        }
        self.markdown.push('\n');
    }

    fn end_rows(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return;
        }
        let dated = rows.iter().any(|[_, _, day]| !day.is_empty());
        let head: &[&str] =
            if dated { &["Figure", "Value", "As of"] } else { &["Figure", "Value"] };
        let rows: Vec<Vec<String>> =
            rows.into_iter().map(|row| row.into_iter().take(head.len()).collect()).collect();
        self.table(head, &rows);
    }

    /// The whole document.
    pub(super) fn finish(mut self) -> (String, Vec<Fact>) {
        self.end_rows();
        (self.markdown.trim_end().to_owned() + "\n", self.facts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_units_and_lose_nothing_that_matters() {
        let aud = || "AUD".to_owned();
        for (value, unit, expected) in [
            ("41.9", Unit::Price(aud()), "41.90 AUD"),
            ("0.0035", Unit::Price(aud()), "0.0035 AUD"),
            ("0.105", Unit::Price(aud()), "0.105 AUD"),
            ("1234.5", Unit::Price(aud()), "1,234.50 AUD"),
            ("212000000000", Unit::Amount(aud()), "212.00 bn AUD"),
            ("-3450000", Unit::Amount(aud()), "-3.5 m AUD"),
            ("950000", Unit::Amount(aud()), "950,000 AUD"),
            ("0.0512", Unit::Fraction, "5.12 %"),
            ("-0.00001", Unit::Fraction, "0.00 %"),
            ("5.12", Unit::Percent, "5.12 %"),
            ("15.237", Unit::Number, "15.24"),
            ("5065000000", Unit::Count, "5,065,000,000"),
        ] {
            assert_eq!(shown(value.parse().expect("a number"), &unit), expected, "{value}");
        }
        assert_eq!(
            (change(0.0123), change(-0.5), change(f64::NAN)),
            ("+1.23 %".into(), "-50.00 %".into(), "n/a".into())
        );
        assert_eq!(computed(f64::INFINITY), None);
    }
}
