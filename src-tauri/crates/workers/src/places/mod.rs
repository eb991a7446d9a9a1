//! `places_search`: businesses and places from Google Places (the new API), one document for each and
//! one with the list.

mod google;
mod page;

use std::sync::Arc;

use async_trait::async_trait;
use quaero_contract::LogLevel;
use quaero_engine::work::{
    ConfigProblem, JobContext, JobWorker, Lane, Need, NewTask, Outcome, StepManager, StepStart,
    TaskError,
};
use quaero_net::{Limits, Providers};
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::services::{accounted, fresh_document, not_set_up, stored};
pub(crate) use google::test_places;

const TASK_TYPE: &str = "places_search.query";
/// More than this the service does not give for one text.
const MOST_BY_TEXT: u32 = 60;
/// More than this it does not give for one surrounding.
const MOST_NEARBY: u32 = 20;

/// How places are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum SearchType {
    /// By words, near a location if there is one.
    #[default]
    TextSearch,
    /// By type, within a circle.
    NearbySearch,
}

/// How much is asked about each place. More costs more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Detail {
    /// Name, address, location, types, status: Google's "Pro" price.
    Basic,
    /// Also rating, telephone, web site, opening hours and price level: Google's "Enterprise" price.
    #[default]
    Full,
}

/// A circle on the map.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Location {
    /// Degrees north.
    #[schemars(range(min = -90, max = 90))]
    latitude: f64,
    /// Degrees east.
    #[schemars(range(min = -180, max = 180))]
    longitude: f64,
    /// Metres.
    #[serde(default = "radius")]
    #[schemars(range(min = 1, max = 50_000))]
    radius: f64,
}

/// What places must be like.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Filters {
    /// One of Google's types: `restaurant`, `dentist`.
    #[serde(default, rename = "type")]
    #[schemars(regex(pattern = "^[a-z0-9_]{1,50}$"))]
    place_type: Option<String>,
    /// Stars, 0 to 5.
    #[serde(default)]
    #[schemars(range(min = 0, max = 5))]
    min_rating: Option<f64>,
}

/// Finds businesses and places, and keeps each as a document, and their list.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Find places")]
struct PlacesConfig {
    /// What to search for: `dentists in Bendigo`. A nearby search can do without.
    #[serde(default)]
    #[schemars(title = "Search for", length(max = 300))]
    search_query: String,
    /// By words, or everything of a type within a circle.
    #[serde(default)]
    #[schemars(title = "Kind of search")]
    search_type: SearchType,
    /// How many places: at most 60 by words, 20 within a circle.
    #[serde(default = "max_results")]
    #[schemars(title = "Places", range(min = 1, max = 60))]
    max_results: u32,
    /// Where: words prefer what is near, a nearby search stays within.
    #[serde(default)]
    #[schemars(title = "Location")]
    location: Option<Location>,
    /// Degrees north, instead of `location`.
    #[serde(default)]
    #[schemars(title = "Latitude", range(min = -90, max = 90))]
    location_latitude: Option<f64>,
    /// Degrees east, instead of `location`.
    #[serde(default)]
    #[schemars(title = "Longitude", range(min = -180, max = 180))]
    location_longitude: Option<f64>,
    /// Metres around the location, instead of `location`.
    #[serde(default)]
    #[schemars(title = "Radius in metres", range(min = 1, max = 50_000))]
    location_radius: Option<f64>,
    /// What the places must be like.
    #[serde(default)]
    #[schemars(title = "Only")]
    filters: Option<Filters>,
    /// One of Google's types, instead of `filters`.
    #[serde(default)]
    #[schemars(title = "Only this type", regex(pattern = "^[a-z0-9_]{1,50}$"))]
    filter_type: Option<String>,
    /// The fewest stars, instead of `filters`.
    #[serde(default)]
    #[schemars(title = "Stars at least", range(min = 0, max = 5))]
    filter_min_rating: Option<f64>,
    /// Only places that are open now.
    #[serde(default)]
    #[schemars(title = "Open now")]
    open_now: bool,
    /// The language of the answers: `en`, `de`.
    #[serde(default)]
    #[schemars(title = "Language", regex(pattern = "^[a-z]{2}(-[A-Z]{2})?$"))]
    language: Option<String>,
    /// The country from which it is searched: `AU`, `DE`.
    #[serde(default)]
    #[schemars(title = "Country", regex(pattern = "^[A-Z]{2}$"))]
    region: Option<String>,
    /// How much is asked about each place.
    #[serde(default)]
    #[schemars(title = "Detail")]
    detail: Detail,
    /// What the list is called.
    #[serde(default)]
    #[schemars(title = "Name of the list", length(max = 200))]
    list_name: Option<String>,
    /// The same search is not made again for so many hours. 0 always searches.
    #[serde(default = "cache_hours")]
    #[schemars(title = "Fresh for hours", range(min = 0, max = 8760))]
    cache_hours: u32,
    /// Search even if there is a fresh result.
    #[serde(default)]
    #[schemars(title = "Always search")]
    force_refresh: bool,
    /// Tags that the documents get.
    #[serde(default)]
    #[schemars(title = "Tags", length(max = 50), extend("items" = {"type": "string", "format": "tag"}))]
    output_tags: Vec<String>,
}

const fn radius() -> f64 {
    5_000.0
}

const fn max_results() -> u32 {
    20
}

const fn cache_hours() -> u32 {
    24
}

impl PlacesConfig {
    fn place(&self) -> Option<Location> {
        let flat = match (self.location_latitude, self.location_longitude) {
            (Some(latitude), Some(longitude)) => {
                let radius = self.location_radius.unwrap_or_else(radius);
                Some(Location { latitude, longitude, radius })
            }
            _ => None,
        };
        self.location.or(flat)
    }

    fn place_type(&self) -> Option<&str> {
        let filtered = self.filters.as_ref().and_then(|filters| filters.place_type.as_deref());
        filtered.or(self.filter_type.as_deref())
    }

    fn min_rating(&self) -> Option<f64> {
        self.filters.as_ref().and_then(|filters| filters.min_rating).or(self.filter_min_rating)
    }

    /// What the list is called. Without a name of its own it is called after all that makes it another
    /// list.
    fn name(&self) -> String {
        if let Some(named) = self.list_name.as_deref().map(str::trim).filter(|n| !n.is_empty()) {
            return named.to_owned();
        }
        let what = match (self.search_query.trim(), self.place_type()) {
            ("", Some(place_type)) => place_type,
            ("", None) => "places",
            (words, _) => words,
        };
        match self.place() {
            Some(Location { latitude, longitude, radius }) => {
                format!("{what} within {radius} m of {latitude}, {longitude}")
            }
            None => what.to_owned(),
        }
    }
}

/// Checks `places_search` steps.
pub struct PlacesManager;

impl StepManager for PlacesManager {
    fn step_type(&self) -> &'static str {
        "places_search"
    }

    fn schema(&self) -> Schema {
        schema_for!(PlacesConfig)
    }

    fn needs(&self, _config: &Value) -> Vec<Need> {
        vec![Need::Service("google_places")]
    }

    fn check(&self, config: &Value) -> Vec<ConfigProblem> {
        let Ok(config) = serde_json::from_value::<PlacesConfig>(config.clone()) else {
            return Vec::new();
        };
        let mut problems = Vec::new();
        let mut problem = |pointer: &str, code, message: &str, fix: &str| {
            problems.push(ConfigProblem {
                pointer: pointer.to_owned(),
                code,
                message: message.to_owned(),
                fix: Some(fix.to_owned()),
            });
        };
        let nearby = config.search_type == SearchType::NearbySearch;
        if !nearby && config.search_query.trim().is_empty() {
            let message = "A search by words needs words.";
            problem(
                "/search_query",
                "required",
                message,
                "Say what to search for in `search_query`.",
            );
        }
        if nearby && config.place().is_none() {
            let message = "A nearby search needs a location.";
            let fix = "Set `location_latitude` and `location_longitude`.";
            problem("/location_latitude", "required", message, fix);
        }
        if nearby && config.max_results > MOST_NEARBY {
            let message = "A nearby search gives at most 20 places.";
            problem("/max_results", "out_of_range", message, "Use 20, or search by words.");
        }
        if nearby && config.open_now {
            let message = "Only a search by words can be for what is open now.";
            problem("/open_now", "conflict", message, "Remove it, or search by words.");
        }
        if config.location_latitude.is_some() != config.location_longitude.is_some() {
            let message = "A location needs both a latitude and a longitude.";
            problem("/location_latitude", "required", message, "Set the other one, too.");
        }
        if config.detail == Detail::Basic && config.min_rating().is_some() && nearby {
            let message = "Ratings are only asked for with `detail = \"full\"`.";
            problem("/detail", "conflict", message, "Use `detail = \"full\"`.");
        }
        problems
    }

    fn subject(&self, config: &Value) -> Option<String> {
        serde_json::from_value::<PlacesConfig>(config.clone()).ok().map(|config| config.name())
    }

    fn first_tasks(&self, step: &StepStart) -> Result<Vec<NewTask>, TaskError> {
        let config: PlacesConfig =
            serde_json::from_value(step.config.clone()).map_err(|error| {
                TaskError::permanent(
                    "invalid_config",
                    format!("The step's settings do not fit: {error}."),
                )
            })?;
        Ok(vec![NewTask {
            task_type: TASK_TYPE,
            name: config.name(),
            key: Some(config.name()),
            lane: Lane { name: "places_search".into(), limit: 2, delay_ms: 0 },
            ..NewTask::default()
        }])
    }
}

/// Does the tasks of `places_search` steps.
pub struct PlacesWorker {
    providers: Arc<dyn Providers>,
}

impl PlacesWorker {
    /// A worker that finds the service here.
    #[must_use]
    pub fn new(providers: Arc<dyn Providers>) -> Self {
        Self { providers }
    }
}

#[async_trait]
impl JobWorker for PlacesWorker {
    fn task_type(&self) -> &'static str {
        TASK_TYPE
    }

    async fn run(&self, job: &JobContext) -> Result<Outcome, TaskError> {
        let config: PlacesConfig = job.config()?;
        let (request, name) = (google::request(&config), config.name());
        let request_hash = blake3::hash(
            json!([request, config.max_results, config.detail, config.min_rating()])
                .to_string()
                .as_bytes(),
        );
        let request_hash = request_hash.to_hex().to_string();
        if !config.force_refresh {
            let source = ("places_list", name.as_str());
            if let Some(list) =
                fresh_document(job, source, &request_hash, config.cache_hours).await?
            {
                job.log(LogLevel::Info, format!("The list `{name}` is still fresh."));
                let mut documents = Vec::new();
                for place in
                    list.metadata.get("places").and_then(Value::as_array).into_iter().flatten()
                {
                    let id = place["place_id"].as_str().unwrap_or_default();
                    documents.extend(stored(job, ("place", id)).await?);
                }
                documents.push(list);
                return Ok(Outcome { documents, ..Outcome::default() });
            }
        }
        let provider = self.providers.find("google_places").await;
        let provider = provider.map_err(|error| not_set_up(&error))?;
        let client = provider.client(Limits::default()).accounted(accounted(job));
        let found = google::search(&client, &provider, &config, request).await?;
        job.log(LogLevel::Info, format!("Google Places found {} places.", found.places.len()));
        let mut warnings = found.warnings;
        if found.places.is_empty() {
            warnings.push(format!("No place was found for `{name}`."));
        }
        let documents = page::documents(job.now_ms(), &config, &found.places, &request_hash);
        Ok(Outcome { documents, warnings, ..Outcome::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_search_cannot_do_is_said_before_it_runs() {
        let near = json!({"search_type": "nearby_search", "location_latitude": -36.7,
                          "location_longitude": 144.3, "search_query": ""});
        let rows = [
            (json!({"search_query": "dentists in Bendigo", "open_now": true}), None),
            (json!({"search_query": " "}), Some("/search_query")),
            (json!({"search_query": "x", "location_latitude": 1}), Some("/location_latitude")),
            (near.clone(), None),
            (json!({"search_type": "nearby_search"}), Some("/location_latitude")),
        ];
        let nearby = [("max_results", json!(21)), ("open_now", json!(true))].map(|(key, value)| {
            let mut config = near.clone();
            config[key] = value;
            (config, if key == "open_now" { Some("/open_now") } else { Some("/max_results") })
        });
        for (config, expected) in rows.into_iter().chain(nearby) {
            let problems = PlacesManager.check(&config);
            let found = problems.first().map(|problem| &*problem.pointer);
            assert_eq!(found, expected, "{config}");
        }
    }
}
