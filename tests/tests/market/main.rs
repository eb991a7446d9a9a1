//! The market's steps in the real engine, against emulators of the services they ask.

mod stored;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::future::BoxFuture;
use jiff::{Timestamp, ToSpan};
use quaero_contract::{DocumentView, JobId, RunStatus};
use quaero_engine::{Clock, Engine, EngineOptions, Event};
use quaero_net::{MailServer, Provider, ProviderError, Providers, provider_info};
use quaero_store::{Access, DocumentFilter, NewRun, NewStep, Store};
use quaero_tests::market::{Asx, AsxFault, Eodhd, EodhdFault, KEY};
use quaero_workers::{
    extract::PdfExtractor,
    market::{
        MarketData as _,
        announcements::{Announcements as _, Exchange, Way},
        eodhd::{self, SharedRate},
        model::{DateRange, Symbol},
        synthetic::Synthetic,
    },
};
use serde_json::{Value, json};

/// Tuesday 24 November 2026, 21:00 in Sydney: the day's prices are out.
const TUESDAY: &str = "2026-11-24T10:00:00Z";
const SEED: u64 = 11;

fn at(text: &str) -> Timestamp {
    text.parse().expect("the test's own time")
}

/// A clock that begins at a moment and goes on.
struct From(Timestamp, tokio::time::Instant);

impl Clock for From {
    fn now_ms(&self) -> i64 {
        self.0.as_millisecond() + i64::try_from(self.1.elapsed().as_millis()).unwrap_or(0)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// The services on this computer, as the user would have set them up.
#[derive(Clone, Default)]
struct Set {
    bases: BTreeMap<&'static str, String>,
    key: Option<String>,
}

impl Set {
    fn new(eodhd: &Eodhd, asx: &Asx) -> Self {
        let bases = BTreeMap::from([
            ("eodhd", eodhd.base("/api/")),
            ("asx", asx.base("/")),
            ("asx_service", asx.base("/asx-research/1.0/")),
        ]);
        Self { bases, key: Some(KEY.to_owned()) }
    }

    fn provider(&self, id: &str) -> Result<Provider, ProviderError> {
        let info = provider_info(id).ok_or_else(|| ProviderError::Unknown(id.to_owned()))?;
        let base = self.bases.get(id).ok_or(ProviderError::NoAddress(info.name))?;
        let key = self.key.clone().filter(|_| info.needs_key).map(Into::into);
        if info.needs_key && key.is_none() {
            return Err(ProviderError::NoKey(info.name));
        }
        Ok(Provider { info, base_url: base.parse().expect("an address"), key, is_own: true })
    }
}

#[async_trait]
impl Providers for Set {
    async fn find(&self, id: &str) -> Result<Provider, ProviderError> {
        self.provider(id)
    }

    async fn search_order(&self) -> Vec<String> {
        Vec::new()
    }

    async fn mail(&self) -> Result<MailServer, ProviderError> {
        Err(ProviderError::NoAddress("E-mail"))
    }
}

/// A data folder with the emulators.
struct Bench {
    folder: tempfile::TempDir,
    eodhd: Eodhd,
    asx: Asx,
    runs: AtomicUsize,
}

/// How a run ended.
#[derive(Debug)]
struct Ended {
    status: RunStatus,
    warnings: Vec<String>,
    /// Created, updated, unchanged.
    documents: (u32, u32, u32),
    error: String,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let eodhd = Eodhd::start(SEED, at(TUESDAY)).expect("a port");
        let asx = Asx::start(SEED, at(TUESDAY)).expect("a port");
        Self { folder, eodhd, asx, runs: AtomicUsize::new(0) }
    }

    fn set(&self) -> Set {
        Set::new(&self.eodhd, &self.asx)
    }

    async fn store(&self, now: &str) -> Store {
        let now = at(now).as_millisecond();
        Store::open(self.folder.path(), Access::Write, now).await.expect("a store")
    }

    /// Runs one step from a moment on to its end.
    async fn run(&self, set: &Set, now: &str, step_type: &str, config: Value) -> Ended {
        let store = self.store(now).await;
        let clock = Arc::new(From(at(now), tokio::time::Instant::now()));
        let registry = quaero_workers::registry(PdfExtractor::InProcess, Arc::new(set.clone()));
        let step_type = registry.manager(step_type).expect("a step type").step_type().to_owned();
        let engine = Engine::start(store.clone(), registry, clock, EngineOptions::default());
        let engine = engine.await.expect("an engine");
        let mut events = engine.events();
        let tags = config["tags"].as_array().cloned().unwrap_or_default();
        let mut config = config;
        config.as_object_mut().expect("an object").remove("tags");
        let step = NewStep {
            name: "market".to_owned(),
            step_type,
            config,
            output_tags: tags.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            on_error: quaero_contract::OnError::Fail,
            task_attempts: 1,
            ..NewStep::default()
        };
        let run = NewRun {
            request_id: format!("run {}", self.runs.fetch_add(1, Ordering::Relaxed)),
            definition_id: "market".to_owned(),
            name: "Market".to_owned(),
            definition_text: "id = \"market\"".to_owned(),
            steps: vec![step],
            ..NewRun::default()
        };
        let run = engine.submit(run).await.expect("accepted");
        let ended = async {
            while !store.run_progress(run).await.expect("read").expect("known").status.is_terminal()
            {
                // What was missed is read again.
                let _: Result<Event, _> = events.recv().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), ended).await.expect("the run ends");
        let ended = self.ended(&store, run).await;
        engine.stop(Duration::from_secs(1)).await;
        store.close(at(now).as_millisecond()).await.expect("closed");
        ended
    }

    async fn ended(&self, store: &Store, run: JobId) -> Ended {
        let view = store.get_run(run, None, 0).await.expect("read").expect("known");
        let documents = &view.summary.documents;
        Ended {
            status: view.summary.status,
            documents: (documents.created, documents.updated, documents.unchanged),
            error: format!("{:?} {:?}", view.summary.error, view.steps),
            warnings: view.warnings,
        }
    }

    /// The documents with these tags.
    async fn documents(&self, tags: &[&str]) -> Vec<DocumentView> {
        let store = self.store(TUESDAY).await;
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let filter = DocumentFilter { tags, ..DocumentFilter::default() };
        let mut documents = Vec::new();
        for id in store.document_ids(&filter, None, 100).await.expect("read") {
            documents.extend(store.get_document(id).await.expect("read"));
        }
        store.close(at(TUESDAY).as_millisecond()).await.expect("closed");
        documents
    }
}

#[tokio::test]
async fn what_eodhd_tells_is_what_comes_out() {
    let bench = Bench::new();
    let provider = bench.set().provider("eodhd").expect("set up");
    let clock = Arc::new(From(at(TUESDAY), tokio::time::Instant::now()));
    let client = eodhd::Eodhd::new(provider, clock, SharedRate::default()).expect("a key");
    let truth = Synthetic::new(SEED, at(TUESDAY));
    let range =
        DateRange { from: jiff::civil::date(2021, 1, 1), to: jiff::civil::date(2026, 11, 24) };
    for code in ["ABC", "XYZ", "A2M"] {
        let symbol = Symbol::stock(code).expect("a code");
        assert_eq!(client.prices(&symbol, range).await, truth.prices(&symbol, range).await);
        assert_eq!(client.dividends(&symbol, range).await, truth.dividends(&symbol, range).await);
        assert_eq!(client.splits(&symbol, range).await, truth.splits(&symbol, range).await);
        assert_eq!(client.fundamentals(&symbol).await, truth.fundamentals(&symbol).await);
    }
    assert_eq!(client.calls(), 3 * (1 + 1 + 1 + 10));
    assert_eq!(client.rate_limit().limit, Some(1_200));
    assert_eq!(client.account().await.expect("an account").daily_limit, Some(100_000));
    let gone = Symbol::stock("GONE").expect("a code");
    assert_eq!(client.prices(&gone, range).await.expect_err("unknown").code(), "unknown_symbol");
    assert_eq!(client.quote(&gone).await.expect("an answer").price, None);
}

#[tokio::test]
async fn both_ways_to_announcements_tell_the_same() {
    let bench = Bench::new();
    let set = bench.set();
    let (site, service) =
        (set.provider("asx").expect("set"), set.provider("asx_service").expect("set"));
    let symbol = Symbol::stock("ABC").expect("a code");
    let truth = Synthetic::new(SEED, at(TUESDAY));
    let to = jiff::civil::date(2026, 11, 24);
    for days in [0, 7, 30, 90, 180, 365, 1_825] {
        let range = DateRange { from: to.checked_sub(days.days()).expect("a day"), to };
        let expected = truth.list(&symbol, range).await.expect("a list");
        for way in [Way::Html, Way::Json] {
            let list =
                Exchange::new(way, &site, &service).list(&symbol, range).await.expect("a list");
            let told = |list: &quaero_workers::market::announcements::List| -> Vec<_> {
                let items = list.items.iter();
                items.map(|i| (i.id.clone(), i.at, i.headline.clone(), i.sensitive)).collect()
            };
            assert_eq!(told(&list), told(&expected), "{way:?}, {days} days");
            assert_eq!((list.notes.count, list.cut), (0, false));
        }
    }
    let gone = Symbol::stock("GONE").expect("a code");
    let range = DateRange { from: to, to };
    for way in [Way::Html, Way::Json] {
        let exchange = Exchange::new(way, &site, &service);
        let code = |error: quaero_workers::market::MarketError| error.code();
        assert_eq!(exchange.list(&gone, range).await.map_err(code), Err("unknown_symbol"));
        bench.asx.faults(&[AsxFault::RobotWall]);
        assert_eq!(exchange.list(&symbol, range).await.map_err(code), Err("blocked"));
        bench.asx.faults(&[AsxFault::TooMany]);
        assert_eq!(exchange.list(&symbol, range).await.map_err(code), Err("too_many_requests"));
        bench.asx.faults(&[]);
    }
}

#[tokio::test]
async fn a_free_plan_gives_less_and_says_so() {
    let bench = Bench::new();
    bench.eodhd.faults(&[EodhdFault::FreePlan]);
    let step = json!({"ticker": "ABC", "period": "Y2"});
    let ended = bench.run(&bench.set(), TUESDAY, "asx_stock_collector", step).await;
    assert_eq!((ended.status, ended.documents), (RunStatus::Completed, (1, 0, 0)), "{ended:?}");
    let document = bench.documents(&["abc"]).await.remove(0);
    assert_eq!(document.metadata["parts"]["fundamentals"], "not_in_plan");
    assert!(document.markdown.contains("Only EOD data allowed for free users"));
    assert!(document.markdown.contains("| `plan.truncated` | warning |"), "{}", document.markdown);
}

#[tokio::test]
async fn failures_are_told_as_what_they_are_and_without_the_key() {
    let bench = Bench::new();
    let good = bench.set();
    let without = Set { key: None, ..good.clone() };
    let wrong = Set { key: Some("wrong.key-0002".to_owned()), ..good.clone() };
    let step = json!({"ticker": "ABC"});
    for (set, faults, expected) in [
        (&without, vec![], "no_key"),
        (&wrong, vec![], "key_refused"),
        (&good, vec![EodhdFault::QuotaUsedUp], "quota_used_up"),
        (&good, vec![EodhdFault::QuotaAsText], "quota_used_up"),
        (&good, vec![EodhdFault::Page], "unreadable"),
        (&good, vec![EodhdFault::Maintenance], "unavailable"),
    ] {
        bench.eodhd.faults(&faults);
        let ended = bench.run(set, TUESDAY, "asx_stock_collector", step.clone()).await;
        assert_eq!(ended.status, RunStatus::Failed, "{expected}: {ended:?}");
        let store = bench.store(TUESDAY).await;
        let run = store.list_runs(None, 1).await.expect("read").remove(0);
        let logs = format!("{ended:?} {run:?}");
        store.close(at(TUESDAY).as_millisecond()).await.expect("closed");
        assert!(!logs.contains(KEY) && !logs.contains("wrong.key"), "{logs}");
        assert!(logs.contains(expected) || ended.error.contains(expected), "{expected}: {logs}");
    }
    assert_eq!(bench.documents(&[]).await.len(), 0);
    let step = json!({"ticker": "GONE"});
    bench.eodhd.faults(&[]);
    let ended = bench.run(&good, TUESDAY, "asx_stock_collector", step).await;
    assert_eq!(ended.status, RunStatus::Failed, "{ended:?}");
}

#[tokio::test]
async fn the_whole_market_runs_without_key_and_network_and_says_that_it_is_invented() {
    let bench = Bench::new();
    let none = Set::default();
    for (step, config, tag) in [
        (
            "asx_stock_collector",
            json!({"asx_codes": ["BHP", "CBA"], "provider": "synthetic"}),
            "asx-stock-data",
        ),
        ("asx_index_data", json!({"provider": "synthetic"}), "asx-index"),
        (
            "market_announcements",
            json!({"asx_code": "BHP", "provider": "synthetic"}),
            "asx-announcement",
        ),
    ] {
        let ended = bench.run(&none, TUESDAY, step, config).await;
        assert_eq!(ended.status, RunStatus::Completed, "{ended:?}");
        assert_eq!(ended.warnings, Vec::<String>::new(), "{step}");
        for document in bench.documents(&[tag]).await {
            assert!(document.tags.contains(&"synthetic".to_owned()));
            assert!(
                document.markdown.contains("Synthetic data.")
                    && document.title.contains("synthetic")
            );
            assert_eq!(document.metadata["synthetic"], true);
        }
    }
    assert_eq!(bench.documents(&["synthetic"]).await.len(), 4);
    // Real data has a place of its own.
    let step = json!({"asx_code": "BHP"});
    let ended = bench.run(&bench.set(), TUESDAY, "asx_stock_collector", step).await;
    assert_eq!(ended.documents, (1, 0, 0), "{ended:?}");
    assert_eq!(bench.documents(&["asx-stock-data", "bhp"]).await.len(), 2);
}

#[tokio::test]
async fn announcements_are_asked_for_after_the_terms_only() {
    let bench = Bench::new();
    let set = bench.set();
    let ended = bench.run(&set, TUESDAY, "asx_announcements", json!({"asx_code": "ABC"})).await;
    assert_eq!(ended.status, RunStatus::Failed, "{ended:?}");
    assert_eq!(bench.asx.requests(), 0, "nothing is asked before");
    bench.asx.faults(&[AsxFault::DamagedRow]);
    let step = json!({"asx_code": "ABC", "accept_asx_terms": true, "tags": ["x"]});
    let ended = bench.run(&set, TUESDAY, "asx_announcements", step).await;
    assert_eq!(ended.status, RunStatus::Completed, "{ended:?}");
    assert_eq!(ended.warnings.len(), 1, "{:?}", ended.warnings);
    let document = bench.documents(&["asx-announcement", "abc"]).await.remove(0);
    assert_eq!(document.metadata["unreadable"], 2, "one in each of two years");
    let items = document.metadata["announcements"].as_array().expect("a list");
    assert!(items.len() > 8 && items.iter().all(|item| item["link"].is_string()));
    assert!(items.iter().any(|item| item["signal"].is_string()));
}

#[test]
fn a_step_without_codes_takes_those_that_the_definition_is_about() {
    let registry = quaero_workers::registry(PdfExtractor::InProcess, Arc::new(Set::default()));
    let check = |config: &str| {
        let steps = "[step.index]\ntype = 'asx_index_data'\n[step.all]\ntype = 'asx_stock_collector'\n\
            [step.one]\ntype = 'asx_stock_collector'\nticker = 'CSL'\n\
            [step.told]\ntype = 'asx_announcements'\naccept_asx_terms = true\n";
        let text = format!("id = 'targets'\nname = 'T'\n{config}\n{steps}");
        quaero_engine::definition::check("targets.toml", text.as_bytes(), &registry)
    };
    let config = "[config]\nvariables = [{ ticker = 'BHP', name = 'BHP Group' }, { asx_code = 'CBA' }]\n\
        benchmarks = [{ code = 'XAO', name = 'All Ordinaries' }]";
    let checked = check(config);
    assert!(checked.problems.is_empty(), "{:?}", checked.problems);
    let bound = checked.definition.expect("a definition").bind(&BTreeMap::new(), &registry);
    let steps = bound.expect("it binds").steps;
    let codes = |at: usize| steps[at].config["asx_codes"].clone();
    assert_eq!(
        (codes(0), codes(1), codes(3)),
        (json!(["XAO"]), json!(["BHP", "CBA"]), json!(["BHP", "CBA"]))
    );
    assert_eq!(
        (codes(2), &steps[2].config["ticker"]),
        (Value::Null, &json!("CSL")),
        "its own count"
    );
    // Without any the steps say that there is none, and codes that are none are told.
    let problems = |config: &str| -> Vec<(String, Option<String>)> {
        let found = check(config).problems.into_iter();
        found.map(|problem| (problem.code.to_string(), problem.step)).collect()
    };
    let step = |code: &str, name: &str| (code.to_owned(), Some(name.to_owned()));
    assert_eq!(problems(""), [step("required", "all"), step("required", "told")]);
    let bad = "[config]\nvariables = [{ ticker = 'BHP.US' }]";
    assert_eq!(problems(bad), [step("bad_code", "all"), step("bad_code", "told")]);
}

#[test]
fn the_shipped_jobs_are_in_order() {
    let registry = quaero_workers::registry(PdfExtractor::InProcess, Arc::new(Set::default()));
    for (name, count) in [("asx-stocks.toml", 2), ("sample-market.toml", 3)] {
        let path = format!("{}/../job-definitions/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read(path).expect("it is there");
        let checked = quaero_engine::definition::check(name, &text, &registry);
        assert!(checked.problems.is_empty(), "{name}: {:?}", checked.problems);
        let definition = checked.definition.expect("a definition");
        let steps = definition.bind(&BTreeMap::new(), &registry).expect("it binds").steps;
        assert_eq!(steps.len(), count, "{name}");
        let invented = steps.iter().filter(|step| step.config["provider"] == "synthetic").count();
        assert_eq!(invented, if name == "sample-market.toml" { 3 } else { 0 });
    }
}
