//! Google Places API (New): <https://developers.google.com/maps/documentation/places/web-service/text-search>
//! and `…/nearby-search`.

use quaero_engine::work::TaskError;
use quaero_net::{Client, Limits, Provider, ServiceRequest};
use serde_json::{Value, json};

use super::{Detail, MOST_BY_TEXT, MOST_NEARBY, PlacesConfig, SearchType};
use crate::services::{ask_json, not_set_up};

/// Places on a page of answers.
const PAGE: u32 = 20;

const BASIC: &str = "places.id,places.displayName,places.formattedAddress,places.location,places.types,places.primaryType,places.businessStatus,places.googleMapsUri";
const FULL: &str = ",places.rating,places.userRatingCount,places.priceLevel,places.websiteUri,places.internationalPhoneNumber,places.regularOpeningHours.weekdayDescriptions";

/// A place; everything but its id and name may be unknown.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Place {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) address: Option<String>,
    pub(super) latitude: Option<f64>,
    pub(super) longitude: Option<f64>,
    pub(super) primary_type: Option<String>,
    pub(super) types: Vec<String>,
    pub(super) status: Option<String>,
    pub(super) map_url: Option<String>,
    pub(super) rating: Option<f64>,
    pub(super) ratings: Option<u64>,
    pub(super) price_level: Option<String>,
    pub(super) website: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) hours: Vec<String>,
}

pub(super) struct Found {
    pub(super) places: Vec<Place>,
    pub(super) warnings: Vec<String>,
}

/// What is asked, without the page.
pub(super) fn request(config: &PlacesConfig) -> Value {
    let circle = |at: super::Location| {
        json!({"circle": {
            "center": {"latitude": at.latitude, "longitude": at.longitude}, "radius": at.radius,
        }})
    };
    let mut body = json!({});
    if let Some(language) = &config.language {
        body["languageCode"] = language.as_str().into();
    }
    if let Some(region) = &config.region {
        body["regionCode"] = region.as_str().into();
    }
    match config.search_type {
        SearchType::TextSearch => {
            body["textQuery"] = config.search_query.trim().into();
            body["pageSize"] = config.max_results.min(PAGE).into();
            if let Some(place_type) = config.place_type() {
                body["includedType"] = place_type.into();
            }
            if let Some(rating) = config.min_rating() {
                // The service takes halves only and else rounds up.
                body["minRating"] = ((rating * 2.0).floor() / 2.0).into();
            }
            if config.open_now {
                body["openNow"] = true.into();
            }
            if let Some(at) = config.place() {
                body["locationBias"] = circle(at);
            }
        }
        SearchType::NearbySearch => {
            body["maxResultCount"] = config.max_results.min(MOST_NEARBY).into();
            if let Some(place_type) = config.place_type() {
                body["includedTypes"] = json!([place_type]);
            }
            if let Some(at) = config.place() {
                body["locationRestriction"] = circle(at);
            }
        }
    }
    body
}

/// Asks for all pages that are wanted.
pub(super) async fn search(
    client: &Client,
    provider: &Provider,
    config: &PlacesConfig,
    mut body: Value,
) -> Result<Found, TaskError> {
    let key = provider.key().map_err(|error| not_set_up(&error))?;
    let path = match config.search_type {
        SearchType::TextSearch => "v1/places:searchText",
        SearchType::NearbySearch => "v1/places:searchNearby",
    };
    let mut mask = BASIC.to_owned();
    if config.detail == Detail::Full {
        mask.push_str(FULL);
    }
    if config.search_type == SearchType::TextSearch {
        mask.push_str(",nextPageToken");
    }
    let wanted = usize::try_from(config.max_results.min(MOST_BY_TEXT)).unwrap_or(20);
    let (mut places, mut warnings): (Vec<Place>, Vec<String>) = Default::default();
    let (mut unreadable, mut pages) = (0, 0);
    loop {
        let mut url = provider.base_url.clone();
        // The colon would make a scheme of a relative address.
        url.set_path(&format!("{}{path}", provider.base_url.path()));
        let request = ServiceRequest::post_json(url, body.to_string().into_bytes())
            .secret_header("x-goog-api-key", key.clone())
            .header("x-goog-fieldmask", mask.clone());
        let answer = match ask_json(client, provider, request).await {
            Ok(answer) => answer,
            // What the first pages brought is paid for.
            Err(error) if !places.is_empty() => {
                warnings.push(format!("Not all pages came: {}", error.message));
                break;
            }
            Err(error) => return Err(error),
        };
        pages += 1;
        for value in answer["places"].as_array().into_iter().flatten() {
            match read(value) {
                Some(place) if places.iter().all(|known| known.id != place.id) => {
                    places.push(place);
                }
                Some(_) => {}
                None => unreadable += 1,
            }
        }
        let next = answer["nextPageToken"].as_str().filter(|token| !token.is_empty());
        match next {
            // All other parameters must stay the same from page to page.
            Some(token) if places.len() < wanted && pages < MOST_BY_TEXT / PAGE => {
                body["pageToken"] = token.into();
            }
            _ => break,
        }
    }
    if unreadable > 0 {
        warnings.push(format!("{unreadable} places had no id or name and were left out."));
    }
    if let (SearchType::NearbySearch, Some(rating)) = (config.search_type, config.min_rating()) {
        // The service cannot do that within a circle.
        places.retain(|place| place.rating.is_some_and(|stars| stars >= rating));
    }
    places.truncate(wanted);
    Ok(Found { places, warnings })
}

/// Makes the smallest and cheapest search there is.
pub(crate) async fn test_places(provider: &Provider) -> Result<Option<String>, TaskError> {
    let config = json!({"search_query": "post office", "max_results": 1, "detail": "basic"});
    let config: PlacesConfig = serde_json::from_value(config).expect("the settings of a search");
    let client = provider.client(Limits::default());
    search(&client, provider, &config, request(&config)).await.map(|_| None)
}

fn read(value: &Value) -> Option<Place> {
    let text = |pointer: &str| {
        let text = value.pointer(pointer)?.as_str()?.trim();
        (!text.is_empty()).then(|| text.chars().take(1_000).collect::<String>())
    };
    let texts = |pointer: &str| -> Vec<String> {
        let list = value.pointer(pointer).and_then(Value::as_array);
        list.into_iter().flatten().take(30).filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let web = |text: Option<String>| {
        text.filter(|url| url.starts_with("https://") || url.starts_with("http://"))
    };
    Some(Place {
        id: text("/id")?,
        name: text("/displayName/text")?,
        address: text("/formattedAddress"),
        latitude: value.pointer("/location/latitude").and_then(Value::as_f64),
        longitude: value.pointer("/location/longitude").and_then(Value::as_f64),
        primary_type: text("/primaryType"),
        types: texts("/types"),
        status: text("/businessStatus"),
        map_url: web(text("/googleMapsUri")),
        rating: value["rating"].as_f64(),
        ratings: value["userRatingCount"].as_u64(),
        price_level: text("/priceLevel"),
        website: web(text("/websiteUri")),
        phone: text("/internationalPhoneNumber"),
        hours: texts("/regularOpeningHours/weekdayDescriptions"),
    })
}
