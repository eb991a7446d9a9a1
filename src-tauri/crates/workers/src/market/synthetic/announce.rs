//! The invented announcements of the invented companies.

use async_trait::async_trait;
use jiff::{
    Timestamp,
    civil::{Date, Time, date, time},
};

use super::{Synthetic, path, path::Dice};
use crate::market::{
    announcements::{Announcement, Announcements, List},
    model::{DateRange, Source, Symbol},
    number::Notes,
    provider::{MarketData, MarketError},
};

/// Before the opening and after the closing auction, as companies like it.
const BEFORE: Time = time(8, 31, 0, 0);
const AFTER: Time = time(17, 5, 0, 0);

impl Synthetic {
    fn announced(&self, symbol: &Symbol) -> Vec<Announcement> {
        let nature = path::nature(self.seed, symbol);
        let mut items = Vec::new();
        for half in &nature.halves {
            let year = half.end.month() == 6;
            let results = if year { "Full Year Results" } else { "Half Year Results" };
            let form = if year { "Appendix 4E" } else { "Appendix 4D" };
            let day = half.reported();
            items.extend(self.item(symbol, day, BEFORE, &format!("{form} and {results}"), true));
            items.extend(self.item(symbol, day, BEFORE, "Dividend/Distribution", false));
        }
        let mut dice = Dice::new(self.seed, &format!("{symbol}/announcements"));
        for year in 2015..=2027_i16 {
            for month in 1..=12_i8 {
                let day = date(year, month, 1 + i8::try_from(dice.below(28)).unwrap_or(0));
                let (headline, sensitive) = match dice.below(6) {
                    0 => ("Appendix 3Y - Change of Director's Interest", false),
                    1 => ("Becoming a substantial holder", false),
                    2 => ("Update - Notification of buy-back", false),
                    3 => ("Investor presentation", false),
                    4 => ("Trading update", true),
                    _ => ("Application for quotation of securities", false),
                };
                let at = if dice.below(2) == 0 { BEFORE } else { AFTER };
                items.extend(self.item(symbol, day, at, headline, sensitive));
            }
        }
        items
    }

    /// An announcement on a day, or on the session after it.
    fn item(
        &self,
        symbol: &Symbol,
        day: Date,
        at: Time,
        headline: &str,
        sensitive: bool,
    ) -> Option<Announcement> {
        let day = self.calendar.next_session(day.yesterday().ok()?)?.date;
        let at: Timestamp =
            day.to_datetime(at).to_zoned(self.calendar.zone().clone()).ok()?.timestamp();
        let key = blake3::hash(format!("{}/{symbol}/{at}/{headline}", self.seed).as_bytes());
        Some(Announcement {
            id: format!("synthetic{}", &key.to_hex()[..10]),
            at,
            headline: format!("[Synthetic] {headline}"),
            sensitive,
            kinds: Vec::new(),
            pages: None,
            size: None,
            link: None,
            pdf: None,
        })
    }
}

#[async_trait]
impl Announcements for Synthetic {
    fn source(&self) -> Source {
        MarketData::source(self)
    }

    async fn list(&self, symbol: &Symbol, range: DateRange) -> Result<List, MarketError> {
        let within = |at: Timestamp| {
            at <= self.now && (range.from..=range.to).contains(&self.calendar.date_of(at))
        };
        let mut items: Vec<_> =
            self.announced(symbol).into_iter().filter(|item| within(item.at)).collect();
        items.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| b.id.cmp(&a.id)));
        items.dedup_by(|a, b| a.id == b.id);
        Ok(List { items, notes: Notes::default(), cut: false })
    }
}
