//! The daily prices that a document keeps, so that its figures can be checked, drawn and used again.

use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use crate::market::{
    model::{Bar, DateRange},
    number::{date, decimal},
};

/// Days that are kept, the newest. The longest period and what indicators need before it are fewer.
const MOST_DAYS: usize = 2_000;
const KEY: &str = "prices";
const COLUMNS: [&str; 7] = ["date", "open", "high", "low", "close", "adjusted_close", "volume"];

/// Puts the bars that can be used into a document's metadata, with the days that were asked for.
pub(super) fn keep(metadata: &mut Map<String, Value>, bars: &[Bar], asked: DateRange) {
    let kept = &bars[bars.len().saturating_sub(MOST_DAYS)..];
    let from = match kept.first() {
        Some(first) if kept.len() < bars.len() => first.date,
        _ => asked.from,
    };
    let rows: Vec<Value> = kept
        .iter()
        .map(|bar| {
            let prices = [bar.open, bar.high, bar.low, bar.close, bar.adjusted_close];
            let mut row = vec![json!(bar.date.to_string())];
            row.extend(prices.iter().map(|price| json!(price.to_string())));
            row.push(json!(bar.volume.map(|volume| volume.to_string())));
            Value::Array(row)
        })
        .collect();
    let days = json!({"from": from.to_string(), "to": asked.to.to_string()});
    metadata.insert(KEY.to_owned(), json!({"asked": days, "columns": COLUMNS, "rows": rows}));
}

/// The bars of a document and the days that they are all of; None if it keeps none that can be read.
pub(in crate::market) fn kept(metadata: &Map<String, Value>) -> Option<(DateRange, Vec<Bar>)> {
    let prices = metadata.get(KEY)?;
    let day = |value: &Value| date(value.as_str()?);
    let asked = &prices["asked"];
    let range = DateRange { from: day(&asked["from"])?, to: day(&asked["to"])? };
    if prices["columns"] != json!(COLUMNS) {
        return None;
    }
    let bars: Option<Vec<Bar>> = prices["rows"]
        .as_array()?
        .iter()
        .map(|row| {
            let number = |at: usize| -> Option<Option<Decimal>> { decimal(&row[at]) };
            Some(Bar {
                date: day(&row[0])?,
                open: number(1)??,
                high: number(2)??,
                low: number(3)??,
                close: number(4)??,
                adjusted_close: number(5)??,
                volume: number(6)?,
            })
        })
        .collect();
    Some((range, bars?))
}

#[cfg(test)]
mod tests {
    use jiff::{ToSpan, civil};

    use super::*;

    #[test]
    fn what_is_kept_is_what_was_there_and_not_without_end() {
        let first = civil::date(2015, 1, 1);
        let bar = |n: usize| Bar {
            date: first.checked_add(i64::try_from(n).expect("small").days()).expect("a day"),
            open: Decimal::new(4_105, 3),
            high: Decimal::new(42, 1),
            low: Decimal::new(41, 1),
            close: Decimal::new(4_110, 3),
            adjusted_close: Decimal::new(39_871, 4),
            volume: n.is_multiple_of(2).then(|| Decimal::from(n)),
        };
        let bars: Vec<Bar> = (0..2_100).map(bar).collect();
        let asked = DateRange { from: civil::date(2014, 6, 1), to: civil::date(2026, 1, 1) };
        let mut metadata = Map::new();
        keep(&mut metadata, &bars[..700], asked);
        assert_eq!(kept(&metadata), Some((asked, bars[..700].to_vec())));
        keep(&mut metadata, &bars, asked);
        let (range, newest) = kept(&metadata).expect("bars");
        assert_eq!(newest, bars[100..]);
        assert_eq!(range.from, bars[100].date, "what was cut is not said to be there");
        metadata["prices"]["rows"][7][4] = json!("many");
        assert_eq!(kept(&metadata), None);
        assert_eq!(kept(&Map::new()), None);
    }
}
