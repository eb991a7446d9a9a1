//! Google Places API (New): `POST /v1/places:searchText` and `/v1/places:searchNearby`
//! (<https://developers.google.com/maps/documentation/places/web-service/text-search>, `…/nearby-search`).

use serde_json::{Map, Value, json};

use super::{Asked, KEY, Reply, Service};

/// A server that knows these places.
#[derive(Clone, Debug, Default)]
pub struct GooglePlaces {
    /// The places, as the service tells them; the mask takes from it what was asked for.
    pub places: Vec<Value>,
}

impl GooglePlaces {
    /// A server with so many places, number 1 first.
    #[must_use]
    pub fn with(count: u32) -> Self {
        Self { places: (1..=count).map(Self::place).collect() }
    }

    /// A place with everything that the product asks for.
    #[must_use]
    pub fn place(number: u32) -> Value {
        json!({
            "name": format!("places/id-{number}"), "id": format!("id-{number}"),
            "displayName": {"text": format!("Dentist {number}"), "languageCode": "en"},
            "formattedAddress": format!("{number} Hargreaves St, Bendigo VIC 3550, Australia"),
            "location": {"latitude": -36.75, "longitude": 144.28},
            "types": ["dentist", "health", "point_of_interest"], "primaryType": "dentist",
            "businessStatus": "OPERATIONAL",
            "googleMapsUri": format!("https://maps.google.com/?cid={number}"),
            "rating": 3.0 + f64::from(number % 3), "userRatingCount": 10 * number,
            "priceLevel": "PRICE_LEVEL_MODERATE",
            "websiteUri": format!("https://dentist-{number}.example/"),
            "internationalPhoneNumber": "+61 3 5442 0000",
            "regularOpeningHours": {
                "openNow": true, "weekdayDescriptions": ["Monday: 9:00 AM – 5:00 PM"],
            },
        })
    }
}

impl Service for GooglePlaces {
    fn answer(&self, asked: &Asked) -> Reply {
        let by_text = match asked.path.as_str() {
            "/v1/places:searchText" => true,
            "/v1/places:searchNearby" => false,
            _ => return self.error(404, "Method not found."),
        };
        let invalid = |message| refusal(400, "INVALID_ARGUMENT", message, None);
        if self.key(asked) != KEY {
            let message = "API key not valid. Please pass a valid API key.";
            return refusal(400, "INVALID_ARGUMENT", message, Some("API_KEY_INVALID"));
        }
        let mask = asked.header("x-goog-fieldmask");
        if mask.is_empty() {
            // "If you omit the field mask, the method returns an error."
            return invalid("FieldMask is a required parameter.");
        }
        let (first, size) = match window(asked, by_text) {
            Ok(window) => window,
            Err(message) => return invalid(message),
        };
        let fields: Vec<&str> = mask.split(',').filter_map(|m| m.strip_prefix("places.")).collect();
        let page: Vec<Value> =
            self.places.iter().skip(first).take(size).map(|place| masked(place, &fields)).collect();
        let mut body = json!({});
        if !page.is_empty() {
            // Without results there is an empty object.
            body["places"] = page.into();
        }
        let next = first + size;
        // "up to a maximum of 60"
        let more = next < self.places.len().min(60);
        if by_text && more && mask.split(',').any(|field| field == "nextPageToken") {
            body["nextPageToken"] = token(&asked.body, next).into();
        }
        Reply::json(200, &body)
    }

    /// The common form of Google's errors (<https://cloud.google.com/apis/design/errors>).
    fn error(&self, status: u16, message: &str) -> Reply {
        let word = match status {
            400 => "INVALID_ARGUMENT",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            429 => "RESOURCE_EXHAUSTED",
            503 => "UNAVAILABLE",
            _ => "INTERNAL",
        };
        refusal(status, word, message, None)
    }

    fn key(&self, asked: &Asked) -> String {
        asked.header("x-goog-api-key").to_owned()
    }
}

/// Which places a request is about: the first one and how many.
fn window(asked: &Asked, by_text: bool) -> Result<(usize, usize), &'static str> {
    let body = &asked.body;
    let number = |name: &str| body[name].as_u64().and_then(|n| usize::try_from(n).ok());
    if !by_text {
        if body["locationRestriction"]["circle"].is_null() {
            return Err("Location restriction must be set.");
        }
        // "must be between 1 and 20 (default) inclusive"
        return match number("maxResultCount").unwrap_or(20) {
            size @ 1..=20 => Ok((0, size)),
            _ => Err("max_result_count must be between 1 and 20."),
        };
    }
    if body["textQuery"].as_str().is_none_or(str::is_empty) {
        return Err("Empty text_query. Please provide a valid text_query.");
    }
    // "from 0.0 to 5.0 … in increments of 0.5"
    if body["minRating"].as_f64().is_some_and(|stars| (stars * 2.0).fract() != 0.0) {
        return Err("min_rating must be a multiple of 0.5.");
    }
    let size = number("pageSize").unwrap_or(20).clamp(1, 20);
    let Some(given) = body["pageToken"].as_str() else { return Ok((0, size)) };
    let first = given.split('.').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    // "all parameters other than pageToken, pageSize and maxResultCount must have the same value"; this
    // one is stricter by the page's size.
    if given != token(body, first) {
        return Err("Request parameters for paging requests must match the initial request.");
    }
    Ok((first, size))
}

/// Says where the next page begins, and what the request was.
fn token(body: &Value, next: usize) -> String {
    let mut body = body.clone();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("pageToken");
    }
    let text = body.to_string();
    let sum = text.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    format!("{next}.{sum:x}")
}

/// The parts of a place that were asked for: whole fields, or one below another.
fn masked(place: &Value, fields: &[&str]) -> Value {
    let mut kept = Map::new();
    for field in fields {
        let (name, below) = field.split_once('.').map_or((*field, None), |(a, b)| (a, Some(b)));
        let value = match below {
            None => place[name].clone(),
            Some(below) => json!({below: place[name][below]}),
        };
        if !place[name].is_null() {
            kept.insert(name.to_owned(), value);
        }
    }
    kept.into()
}

fn refusal(status: u16, word: &str, message: &str, reason: Option<&str>) -> Reply {
    let details: Vec<Value> = reason
        .into_iter()
        .map(|reason| {
            json!({
                "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason,
                "domain": "googleapis.com", "metadata": {"service": "places.googleapis.com"},
            })
        })
        .collect();
    Reply::json(
        status,
        &json!({"error": {"code": status, "message": message, "status": word, "details": details}}),
    )
}
