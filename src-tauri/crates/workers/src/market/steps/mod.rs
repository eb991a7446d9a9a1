//! The market's steps: `asx_stock_collector`, `asx_index_data` and `asx_announcements`.
//!
//! One task is one code; a step that names none takes those of the definition's `[config] variables`, and
//! for an index those of its `benchmarks`. A document of the same request is used again while it is fresh: young enough,
//! whole, and with no session closed since. Providers are never mixed, and a synthetic document never
//! stands in the place of a real one.

mod config;
mod desk;
mod worker;

use quaero_engine::work::{
    ConfigProblem, Lane, Need, NewTask, StepManager, StepStart, Targets, TaskError,
};
use schemars::{Schema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::model::{BadSymbol, Symbol};
use config::{AnnouncementsConfig, IndexConfig, Shared, StockConfig, problem, read};

pub use worker::{AnnouncementsWorker, IndexWorker, StockWorker, workers};

const STOCK_TASK: &str = "asx_stock.collect";
const INDEX_TASK: &str = "asx_index.collect";
const ANNOUNCEMENTS_TASK: &str = "asx_announcements.collect";
/// The index that is meant where none is named.
const INDEX: &str = "XJO";

/// One code, as a task has it.
#[derive(Debug, Serialize, Deserialize)]
struct CodeTask {
    code: String,
}

/// The tasks of the codes, each once.
fn tasks(
    config: &dyn Shared,
    task_type: &'static str,
    read: fn(&str) -> Result<Symbol, BadSymbol>,
    lane: &Lane,
) -> Result<Vec<NewTask>, TaskError> {
    let task = |symbol: Symbol| NewTask {
        task_type,
        name: symbol.to_string(),
        key: Some(symbol.to_string()),
        payload: json!(CodeTask { code: symbol.to_string() }),
        lane: lane.clone(),
        ..NewTask::default()
    };
    let symbols = config.codes().into_iter().map(|(_, code)| read(code));
    let tasks: Result<Vec<NewTask>, BadSymbol> = symbols.map(|symbol| symbol.map(task)).collect();
    tasks.map_err(|error| TaskError::permanent("bad_code", format!("{error}.")))
}

/// Takes the codes of what the definition is about for those of a step that names none.
fn take_codes(config: &mut Value, targets: &[Map<String, Value>]) {
    let Some(fields) = config.as_object_mut() else { return };
    let names = |field: &str| match fields.get(field) {
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Null) | None => false,
        Some(_) => true,
    };
    if ["asx_code", "ticker", "asx_codes", "tickers"].into_iter().any(names) {
        return;
    }
    let code = |target: &Map<String, Value>| {
        ["ticker", "asx_code", "code"]
            .iter()
            .find_map(|key| target.get(*key)?.as_str())
            .map(Value::from)
    };
    let codes: Vec<Value> = targets.iter().filter_map(code).collect();
    if !codes.is_empty() {
        fields.insert("asx_codes".to_owned(), codes.into());
    }
}

/// Requests of one account of a vendor.
fn vendor(config: &dyn Shared) -> Lane {
    if config.is_synthetic() { Lane::local() } else { Lane::host("eodhd.com", 2, 100) }
}

/// The vendor of a step that does not invent its market.
fn vendor_of(config: &dyn Shared) -> Vec<Need> {
    if config.is_synthetic() { Vec::new() } else { vec![Need::Service("eodhd")] }
}

fn no_code() -> ConfigProblem {
    let fix =
        "Write `asx_codes = [\"BHP\"]`, or `variables = [{ ticker = \"BHP\" }]` under `[config]`.";
    let fix = Some(fix.to_owned());
    problem("", "required", "The step names no stock.".to_owned(), fix)
}

fn subject(config: &dyn Shared) -> Option<String> {
    let codes: Vec<String> =
        config.codes().iter().map(|(_, code)| code.to_ascii_uppercase()).collect();
    match codes.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        [one, rest @ ..] => Some(format!("{one} and {} more", rest.len())),
    }
}

/// Checks `asx_stock_collector` steps.
pub struct StockManager;

impl StepManager for StockManager {
    fn step_type(&self) -> &'static str {
        "asx_stock_collector"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["asx_stock_data", "market_data", "market_fundamentals"]
    }

    fn schema(&self) -> Schema {
        schema_for!(StockConfig)
    }

    fn take_targets(&self, config: &mut Value, targets: &Targets<'_>) {
        take_codes(config, targets.variables);
    }

    fn needs(&self, config: &Value) -> Vec<Need> {
        read::<StockConfig>(config).map_or(Vec::new(), |config| vendor_of(&config))
    }

    fn check(&self, config: &Value) -> Vec<ConfigProblem> {
        let Ok(config) = read::<StockConfig>(config) else { return Vec::new() };
        let mut problems = config.shared_problems(Symbol::stock);
        if config.codes().is_empty() {
            problems.push(no_code());
        }
        if let (false, Err(error)) = (config.benchmark.is_empty(), Symbol::index(&config.benchmark))
        {
            let fix = Some("Use XJO, XAO or XSO, or a code such as AXEJ.INDX.".to_owned());
            let message = format!("`{}` is not an Australian index.", error.0);
            problems.push(problem("/benchmark", "bad_code", message, fix));
        }
        problems
    }

    fn subject(&self, config: &Value) -> Option<String> {
        subject(&read::<StockConfig>(config).ok()?)
    }

    fn first_tasks(&self, step: &StepStart) -> Result<Vec<NewTask>, TaskError> {
        let config: StockConfig = read(&step.config)?;
        tasks(&config, STOCK_TASK, Symbol::stock, &vendor(&config))
    }
}

/// Checks `asx_index_data` steps.
pub struct IndexManager;

impl StepManager for IndexManager {
    fn step_type(&self) -> &'static str {
        "asx_index_data"
    }

    fn schema(&self) -> Schema {
        schema_for!(IndexConfig)
    }

    fn take_targets(&self, config: &mut Value, targets: &Targets<'_>) {
        take_codes(config, targets.benchmarks);
    }

    fn needs(&self, config: &Value) -> Vec<Need> {
        read::<IndexConfig>(config).map_or(Vec::new(), |config| vendor_of(&config))
    }

    fn check(&self, config: &Value) -> Vec<ConfigProblem> {
        let Ok(config) = read::<IndexConfig>(config) else { return Vec::new() };
        config.shared_problems(Symbol::index)
    }

    fn subject(&self, config: &Value) -> Option<String> {
        subject(&read::<IndexConfig>(config).ok()?).or_else(|| Some(INDEX.to_owned()))
    }

    fn first_tasks(&self, step: &StepStart) -> Result<Vec<NewTask>, TaskError> {
        let mut config: IndexConfig = read(&step.config)?;
        if config.codes().is_empty() {
            config.set_code(INDEX);
        }
        tasks(&config, INDEX_TASK, Symbol::index, &vendor(&config))
    }
}

/// Checks `asx_announcements` steps.
pub struct AnnouncementsManager;

impl StepManager for AnnouncementsManager {
    fn step_type(&self) -> &'static str {
        "asx_announcements"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["market_announcements"]
    }

    fn schema(&self) -> Schema {
        schema_for!(AnnouncementsConfig)
    }

    fn take_targets(&self, config: &mut Value, targets: &Targets<'_>) {
        take_codes(config, targets.variables);
    }

    fn check(&self, config: &Value) -> Vec<ConfigProblem> {
        let Ok(config) = read::<AnnouncementsConfig>(config) else { return Vec::new() };
        let mut problems = config.shared_problems(Symbol::stock);
        if config.codes().is_empty() {
            problems.push(no_code());
        }
        problems.extend(config.terms_problem());
        problems
    }

    fn subject(&self, config: &Value) -> Option<String> {
        subject(&read::<AnnouncementsConfig>(config).ok()?)
    }

    fn first_tasks(&self, step: &StepStart) -> Result<Vec<NewTask>, TaskError> {
        let config: AnnouncementsConfig = read(&step.config)?;
        if let Some(problem) = config.terms_problem() {
            return Err(TaskError::permanent(problem.code, problem.message));
        }
        let lane = if config.is_synthetic() {
            Lane::local()
        } else {
            Lane::host("www.asx.com.au", 1, 1_000)
        };
        tasks(&config, ANNOUNCEMENTS_TASK, Symbol::stock, &lane)
    }
}

#[cfg(test)]
mod tests;
