//! What the market's steps can be told.

use jiff::{Span, ToSpan};
use quaero_engine::work::{ConfigProblem, TaskError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::market::{
    announcements::{TERMS, Way},
    model::{BadSymbol, Symbol},
    synthetic::{Defect, SEED},
};

/// Codes that a step takes at most.
const MOST_CODES: u32 = 200;

/// Where prices and accounts come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum Provider {
    /// EODHD; needs a key.
    #[default]
    Eodhd,
    /// An invented market, for trying things out.
    Synthetic,
}

/// How far back prices go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) enum Period {
    /// A month.
    M1,
    /// Three months.
    M3,
    /// Six months.
    M6,
    /// A year.
    Y1,
    /// Two years.
    #[default]
    Y2,
    /// Three years.
    Y3,
    /// Five years.
    Y5,
}

impl Period {
    /// The longest first.
    pub(super) const ALL: [Self; 7] =
        [Self::Y5, Self::Y3, Self::Y2, Self::Y1, Self::M6, Self::M3, Self::M1];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::M1 => "M1",
            Self::M3 => "M3",
            Self::M6 => "M6",
            Self::Y1 => "Y1",
            Self::Y2 => "Y2",
            Self::Y3 => "Y3",
            Self::Y5 => "Y5",
        }
    }

    pub(super) fn span(self) -> Span {
        match self {
            Self::M1 => 1.month(),
            Self::M3 => 3.months(),
            Self::M6 => 6.months(),
            Self::Y1 => 1.year(),
            Self::Y2 => 2.years(),
            Self::Y3 => 3.years(),
            Self::Y5 => 5.years(),
        }
    }
}

/// How far back announcements go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) enum Released {
    /// Today and yesterday.
    D1,
    /// A week.
    W1,
    /// A month.
    M1,
    /// Three months.
    M3,
    /// Six months.
    M6,
    /// A year.
    #[default]
    Y1,
    /// Five years.
    Y5,
}

impl Released {
    pub(super) const ALL: [Self; 7] =
        [Self::D1, Self::W1, Self::M1, Self::M3, Self::M6, Self::Y1, Self::Y5];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::D1 => "D1",
            Self::W1 => "W1",
            Self::M1 => "M1",
            Self::M3 => "M3",
            Self::M6 => "M6",
            Self::Y1 => "Y1",
            Self::Y5 => "Y5",
        }
    }

    pub(super) fn span(self) -> Span {
        match self {
            Self::D1 => 1.day(),
            Self::W1 => 1.week(),
            Self::M1 => 1.month(),
            Self::M3 => 3.months(),
            Self::M6 => 6.months(),
            Self::Y1 => 1.year(),
            Self::Y5 => 5.years(),
        }
    }
}

/// Which of the exchange's ways is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum Route {
    /// The exchange's page.
    #[default]
    Html,
    /// The service behind its pages.
    Json,
}

impl From<Route> for Way {
    fn from(route: Route) -> Self {
        match route {
            Route::Html => Self::Html,
            Route::Json => Self::Json,
        }
    }
}

const fn yes() -> bool {
    true
}

const fn cache_hours() -> u32 {
    24
}

const fn limit() -> u32 {
    50
}

const fn pdf_links() -> u32 {
    20
}

fn benchmark() -> String {
    "XJO".to_owned()
}

/// The settings of a step, with those that all of the market's steps have.
macro_rules! config {
    ($(#[$meta:meta])* $name:ident, $title:literal { $($own:tt)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        #[schemars(title = $title)]
        pub(super) struct $name {
            /// One code: `BHP`.
            #[serde(default)]
            #[schemars(title = "Code", length(max = 20))]
            asx_code: Option<String>,
            /// The same as `asx_code`.
            #[serde(default)]
            #[schemars(title = "Ticker", length(max = 20))]
            ticker: Option<String>,
            /// Several codes.
            #[serde(default)]
            #[schemars(title = "Codes", length(max = 200), inner(length(max = 20)))]
            asx_codes: Vec<String>,
            /// The same as `asx_codes`.
            #[serde(default)]
            #[schemars(title = "Tickers", length(max = 200), inner(length(max = 20)))]
            tickers: Vec<String>,
            $($own)*
            /// A document that is younger than so many hours is used again, unless a session has closed
            /// since. 0 always fetches.
            #[serde(default = "cache_hours")]
            #[schemars(title = "Fresh for hours", range(min = 0, max = 8760))]
            cache_hours: u32,
            /// Fetch even if there is a fresh document.
            #[serde(default)]
            #[schemars(title = "Always fetch")]
            force_refresh: bool,
            /// Which invented market: the same number gives the same prices.
            #[serde(default)]
            #[schemars(title = "Seed of the synthetic market")]
            synthetic_seed: Option<u64>,
            /// Defects that the invented market has, by the names of the checks that find them:
            /// `gap.missing`. To see what the checks of data quality do.
            #[serde(default)]
            #[schemars(title = "Defects of the synthetic market", length(max = 30), inner(length(max = 40)))]
            synthetic_defects: Vec<String>,
        }

        impl Shared for $name {
            fn codes(&self) -> Vec<(String, &str)> {
                let single = [("/asx_code", &self.asx_code), ("/ticker", &self.ticker)];
                let lists = [("/asx_codes", &self.asx_codes), ("/tickers", &self.tickers)];
                let mut codes: Vec<(String, &str)> = single
                    .into_iter()
                    .filter_map(|(name, code)| Some((name.to_owned(), code.as_deref()?)))
                    .collect();
                for (name, list) in lists {
                    let places = (0..).map(|at: usize| format!("{name}/{at}"));
                    codes.extend(places.zip(list.iter().map(String::as_str)));
                }
                codes
            }

            fn is_synthetic(&self) -> bool {
                self.provider == Provider::Synthetic
            }

            fn seed(&self) -> Option<u64> {
                self.synthetic_seed
            }

            fn defect_names(&self) -> &[String] {
                &self.synthetic_defects
            }

            fn usable_hours(&self) -> u32 {
                if self.force_refresh { 0 } else { self.cache_hours }
            }
        }
    };
}

/// What all of the steps' settings have.
pub(super) trait Shared {
    /// The codes as written, each with its place.
    fn codes(&self) -> Vec<(String, &str)>;
    /// Whether the market is invented.
    fn is_synthetic(&self) -> bool;
    /// Which invented market, if that is said.
    fn seed(&self) -> Option<u64>;
    /// Its defects, as written.
    fn defect_names(&self) -> &[String];
    /// How old a document may be that is used again, in hours; 0 if none may.
    fn usable_hours(&self) -> u32;

    /// Which invented market.
    fn market(&self) -> (u64, Vec<Defect>) {
        let defects = self.defect_names().iter().filter_map(|id| Defect::of(id)).collect();
        (self.seed().unwrap_or(SEED), defects)
    }

    /// What is wrong with what all steps have.
    fn shared_problems(&self, read: fn(&str) -> Result<Symbol, BadSymbol>) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        for (pointer, code) in self.codes() {
            if let Err(error) = read(code) {
                problems.push(problem(&pointer, "bad_code", format!("{error}."), None));
            }
        }
        if self.codes().len() > MOST_CODES as usize {
            let message = format!("A step takes at most {MOST_CODES} codes.");
            problems.push(problem("", "out_of_range", message, None));
        }
        for (at, id) in self.defect_names().iter().enumerate() {
            if Defect::of(id).is_none() {
                let known: Vec<&str> = Defect::ALL.iter().map(|defect| defect.id()).collect();
                let fix = Some(format!("Use one of {}.", known.join(", ")));
                let message = format!("There is no defect `{id}`.");
                let pointer = format!("/synthetic_defects/{at}");
                problems.push(problem(&pointer, "unknown_value", message, fix));
            }
        }
        let invented = self.seed().is_some() || !self.defect_names().is_empty();
        if invented && !self.is_synthetic() {
            let message = "A seed and defects are of the synthetic market only.".to_owned();
            let fix = Some("Write `provider = \"synthetic\"`.".to_owned());
            problems.push(problem("/provider", "conflict", message, fix));
        }
        problems
    }
}

pub(super) fn problem(
    pointer: &str,
    code: &'static str,
    message: String,
    fix: Option<String>,
) -> ConfigProblem {
    ConfigProblem { pointer: pointer.to_owned(), code, message, fix }
}

config! {
    /// Collects prices, accounts and news of Australian stocks, checks them, and keeps a document for
    /// each stock.
    StockConfig, "Collect Australian stocks" {
        /// Where the data comes from.
        #[serde(default)]
        #[schemars(title = "Provider")]
        pub(super) provider: Provider,
        /// How far back prices go. What indicators need before it is fetched, too.
        #[serde(default)]
        #[schemars(title = "Period")]
        pub(super) period: Period,
        /// Fetch the company's record: accounts, owners, analysts. Costs 10 calls at EODHD.
        #[serde(default = "yes")]
        #[schemars(title = "With accounts")]
        pub(super) fundamentals: bool,
        /// Fetch articles. Costs 10 calls at EODHD.
        #[serde(default = "yes")]
        #[schemars(title = "With news")]
        pub(super) news: bool,
        /// Fetch the price of the running session, some 15 minutes late.
        #[serde(default = "yes")]
        #[schemars(title = "With a recent price")]
        pub(super) quote: bool,
        /// The index to compare with; empty for none.
        #[serde(default = "benchmark")]
        #[schemars(title = "Benchmark", length(max = 20))]
        pub(super) benchmark: String,
    }
}

config! {
    /// Collects prices of Australian indices, and keeps a document for each. Without a code it is the
    /// S&P/ASX 200.
    IndexConfig, "Collect Australian indices" {
        /// Where the data comes from.
        #[serde(default)]
        #[schemars(title = "Provider")]
        pub(super) provider: Provider,
        /// How far back prices go.
        #[serde(default)]
        #[schemars(title = "Period")]
        pub(super) period: Period,
    }
}

config! {
    /// Collects what Australian companies have announced, with what the price did then.
    AnnouncementsConfig, "Collect ASX announcements" {
        /// Where prices come from, to see what the market made of an announcement. With `synthetic`
        /// the announcements are invented, too.
        #[serde(default)]
        #[schemars(title = "Provider of prices")]
        pub(super) provider: Provider,
        /// Which of the exchange's public ways is taken.
        #[serde(default)]
        #[schemars(title = "Way")]
        pub(super) route: Route,
        /// I have read the terms of use on asx.com.au and accept them: its announcements are for
        /// private and personal use only. Nothing is asked without this.
        #[serde(default)]
        #[schemars(title = "I accept the terms of the exchange")]
        pub(super) accept_asx_terms: bool,
        /// How far back.
        #[serde(default)]
        #[schemars(title = "Period")]
        pub(super) period: Released,
        /// The document shows at most so many, the newest first.
        #[serde(default = "limit")]
        #[schemars(title = "Announcements", range(min = 1, max = 500))]
        pub(super) limit: u32,
        /// Of so many of them at most the address of the PDF is looked up in a run, a second each; those
        /// that matter most come first. The others lead to the exchange's page before the PDF.
        #[serde(default = "pdf_links")]
        #[schemars(title = "PDF addresses", range(min = 0, max = 200))]
        pub(super) pdf_links: u32,
    }
}

impl IndexConfig {
    /// Takes a code where none is named.
    pub(super) fn set_code(&mut self, code: &str) {
        self.asx_code = Some(code.to_owned());
    }
}

impl AnnouncementsConfig {
    /// Why the exchange is not asked, if it is not.
    pub(super) fn terms_problem(&self) -> Option<ConfigProblem> {
        if self.accept_asx_terms || self.is_synthetic() {
            return None;
        }
        let message = format!(
            "The exchange's terms have not been accepted: its announcements are for private and personal use (terms as of {TERMS})."
        );
        let fix = "Read the terms on https://www.asx.com.au and write `accept_asx_terms = true` if you accept them, or write `provider = \"synthetic\"`.";
        Some(problem("/accept_asx_terms", "terms_not_accepted", message, Some(fix.to_owned())))
    }
}

/// The step's settings as a type.
pub(super) fn read<C: serde::de::DeserializeOwned>(config: &Value) -> Result<C, TaskError> {
    serde_json::from_value(config.clone()).map_err(|error| {
        TaskError::permanent("invalid_config", format!("The step's settings do not fit: {error}."))
    })
}
