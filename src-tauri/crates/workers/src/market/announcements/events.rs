//! What announcements explain of prices, and how a document keeps it for the checks of prices.

use jiff::civil::Date;
use serde_json::{Value, json};

use super::{List, classify};
use crate::market::{
    calendar::Calendar,
    model::{DateRange, Events, Halt},
    number::date,
};

impl List {
    /// What the announcements of these days explain of prices.
    #[must_use]
    pub fn events(&self, range: DateRange, calendar: &Calendar) -> Events {
        let oldest = self.items.last().map(|item| calendar.date_of(item.at));
        let from = oldest.filter(|_| self.cut).unwrap_or(range.from);
        let range = DateRange { from, ..range };
        let mut events = Events { known: vec![range], ..Events::default() };
        for item in self.items.iter().rev() {
            let session = calendar.reacting_session(item.at).map(|session| session.date);
            events.sensitive.extend(session.filter(|_| item.sensitive));
            let date = calendar.date_of(item.at);
            match classify::halt(&item.headline) {
                Some(true) => events.halts.push(Halt { from: date, until: None }),
                Some(false) => {
                    if let Some(open) = events.halts.iter_mut().rev().find(|h| h.until.is_none()) {
                        open.until = Some(date);
                    }
                }
                None => {}
            }
        }
        events.sensitive.dedup();
        events
    }
}

impl Events {
    /// Whether the announcements of a day are known.
    #[must_use]
    pub fn knows(&self, day: Date) -> bool {
        self.known.iter().any(|range| (range.from..=range.to).contains(&day))
    }

    /// Adds what another list explains.
    pub fn merge(&mut self, other: Self) {
        self.known.extend(other.known);
        self.sensitive.extend(other.sensitive);
        self.sensitive.sort_unstable();
        self.sensitive.dedup();
        for halt in other.halts {
            match self.halts.iter_mut().find(|known| known.from == halt.from) {
                Some(known) => known.until = known.until.or(halt.until),
                None => self.halts.push(halt),
            }
        }
        self.halts.sort_unstable_by_key(|halt| halt.from);
    }

    /// As a document keeps it.
    #[must_use]
    pub(in crate::market) fn to_value(&self) -> Value {
        let range = |from: Date, to: Option<Date>| json!({"from": from.to_string(), "to": to.map(|day| day.to_string())});
        let known: Vec<Value> = self.known.iter().map(|r| range(r.from, Some(r.to))).collect();
        let halts: Vec<Value> = self.halts.iter().map(|h| range(h.from, h.until)).collect();
        let sensitive: Vec<String> = self.sensitive.iter().map(ToString::to_string).collect();
        json!({"known": known, "sensitive": sensitive, "halts": halts})
    }

    /// From what a document keeps; None if it keeps nothing of the kind.
    #[must_use]
    pub(in crate::market) fn read(value: &Value) -> Option<Self> {
        let day = |value: &Value| date(value.as_str()?);
        let list = |key: &str| value[key].as_array();
        let known = list("known")?.iter();
        let halts = list("halts")?.iter();
        Some(Self {
            known: known
                .filter_map(|r| Some(DateRange { from: day(&r["from"])?, to: day(&r["to"])? }))
                .collect(),
            sensitive: list("sensitive")?.iter().filter_map(day).collect(),
            halts: halts
                .filter_map(|h| Some(Halt { from: day(&h["from"])?, until: day(&h["to"]) }))
                .collect(),
        })
    }
}
