//! Places as documents: one for each, and one with the list.

use std::fmt::Write as _;

use quaero_store::{NewDocument, rfc3339};
use serde_json::{Value, json};

use super::{PlacesConfig, google::Place};
use crate::services::{link, plain};

/// A document for each place, and one with a table of them all.
pub(super) fn documents(
    now_ms: i64,
    config: &PlacesConfig,
    places: &[Place],
    request_hash: &str,
) -> Vec<NewDocument> {
    let mut documents: Vec<NewDocument> =
        places.iter().map(|place| one(now_ms, config, place)).collect();
    documents.push(list(now_ms, config, places, request_hash));
    documents
}

fn one(now_ms: i64, config: &PlacesConfig, place: &Place) -> NewDocument {
    let mut text = format!("# {}\n\n", plain(&place.name));
    let mut row = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(text, "- {name}: {value}");
        }
    };
    row("Address", place.address.as_deref().map(plain));
    row("Type", place.primary_type.as_deref().map(spoken));
    row("Status", place.status.as_deref().map(spoken));
    row("Rating", rating(place));
    row(
        "Price level",
        place.price_level.as_deref().map(|level| spoken(level.trim_start_matches("PRICE_LEVEL_"))),
    );
    row("Telephone", place.phone.as_deref().map(plain));
    row("Web site", place.website.as_deref().map(|url| link(url, url)));
    row("Map", place.map_url.as_deref().map(|url| link("Google Maps", url)));
    row("Location", place.latitude.zip(place.longitude).map(|(lat, lon)| format!("{lat}, {lon}")));
    if !place.hours.is_empty() {
        text.push_str("\n## Opening hours\n\n");
        for line in &place.hours {
            let _ = writeln!(text, "- {}", plain(line));
        }
    }
    let _ = write!(text, "\nSource: Google Places, {}.\n", rfc3339(now_ms));
    let hash = blake3::hash(text.as_bytes()).to_hex().to_string();
    NewDocument {
        source_type: "place".to_owned(),
        source_id: place.id.clone(),
        url: place.website.clone().or_else(|| place.map_url.clone()),
        title: place.name.clone(),
        markdown: text,
        metadata: object(facts(place)),
        tags: tags(now_ms, config, "place"),
        source_hash: hash,
        fetched_ms: now_ms,
        ..NewDocument::default()
    }
}

fn list(now_ms: i64, config: &PlacesConfig, places: &[Place], request_hash: &str) -> NewDocument {
    let name = config.name();
    let at = rfc3339(now_ms);
    let mut text = format!("# {}\n\n", plain(&name));
    let _ = write!(text, "{} places from Google Places, {at}.\n\n", places.len());
    if places.is_empty() {
        text.push_str("No place was found.\n");
    } else {
        text.push_str("| Place | Address | Type | Rating | Telephone |\n|---|---|---|---|---|\n");
    }
    for place in places {
        let title = match place.website.as_ref().or(place.map_url.as_ref()) {
            Some(url) => link(&place.name, url),
            None => plain(&place.name),
        };
        let _ = writeln!(
            text,
            "| {title} | {} | {} | {} | {} |",
            place.address.as_deref().map(plain).unwrap_or_default(),
            place.primary_type.as_deref().map(spoken).unwrap_or_default(),
            rating(place).unwrap_or_default(),
            place.phone.as_deref().map(plain).unwrap_or_default(),
        );
    }
    let metadata = json!({
        "query": config.search_query, "provider": "google_places", "retrieved_at": at,
        "places": places.iter().map(facts).collect::<Vec<_>>(),
    });
    NewDocument {
        source_type: "places_list".to_owned(),
        source_id: name.clone(),
        title: name,
        markdown: text,
        metadata: object(metadata),
        tags: tags(now_ms, config, "places-list"),
        source_hash: request_hash.to_owned(),
        fetched_ms: now_ms,
        ..NewDocument::default()
    }
}

fn tags(now_ms: i64, config: &PlacesConfig, kind: &str) -> Vec<String> {
    let mut tags = vec![kind.to_owned(), format!("date:{}", &rfc3339(now_ms)[..10])];
    tags.extend(config.output_tags.iter().cloned());
    tags
}

fn rating(place: &Place) -> Option<String> {
    let stars = place.rating?;
    Some(match place.ratings {
        Some(count) => format!("{stars} of 5 ({count} ratings)"),
        None => format!("{stars} of 5"),
    })
}

/// `fast_food_restaurant` or `CLOSED_TEMPORARILY` as people say it.
fn spoken(word: &str) -> String {
    plain(&word.replace('_', " ").to_lowercase())
}

fn facts(place: &Place) -> Value {
    json!({
        "place_id": place.id, "name": place.name, "address": place.address,
        "latitude": place.latitude, "longitude": place.longitude, "type": place.primary_type,
        "types": place.types, "status": place.status, "rating": place.rating,
        "ratings": place.ratings, "website": place.website, "phone": place.phone,
        "map_url": place.map_url,
    })
}

fn object(value: Value) -> serde_json::Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => serde_json::Map::new(),
    }
}
