//! `places_search`.

use quaero_contract::JobStatus;
use quaero_tests::services::{Emulator, Fault, GooglePlaces};
use serde_json::{Value, json};

use super::Desk;

const ID: &str = "google_places";

/// A step that searches for dentists, and tries only once.
fn search(more: &str) -> String {
    format!(
        "[step.s]\ntype = \"places_search\"\nsearch_query = \"dentists in Bendigo\"\ntask_attempts = 1\n{more}\n"
    )
}

fn list(desk: &Desk, name: &str) -> Value {
    let documents = desk.documents();
    let document = documents.get(name).unwrap_or_else(|| panic!("{:?}", documents.keys()));
    serde_json::from_str(&document.metadata).expect("JSON")
}

fn ids(list: &Value) -> Vec<&str> {
    let places = list["places"].as_array().expect("a list");
    places.iter().map(|place| place["place_id"].as_str().expect("an id")).collect()
}

#[tokio::test]
async fn each_place_is_a_document_and_so_is_their_list() {
    let emulator = Emulator::start(GooglePlaces::with(2));
    let desk = Desk::with(&[(ID, &emulator.base_url())]).await;
    let ended = desk.run(&search("list_name = \"Dentists\"\noutput_tags = [\"health\"]")).await;
    assert_eq!(ended.step().status, JobStatus::Completed, "{ended:?}");
    assert_eq!(ended.counts(), (3, 0, 0));
    let documents = desk.documents();
    let one = &documents["id-1"];
    assert_eq!(one.title, "Dentist 1");
    for line in [
        "- Address: 1 Hargreaves St, Bendigo VIC 3550, Australia",
        "- Type: dentist",
        "- Status: operational",
        "- Rating: 4 of 5 (10 ratings)",
        "- Price level: moderate",
        "- Telephone: +61 3 5442 0000",
        "(https://dentist-1.example/)",
        "(https://maps.google.com/?cid=1)",
        "- Location: -36.75, 144.28",
        "- Monday: 9:00 AM – 5:00 PM",
    ] {
        assert!(one.markdown.contains(line), "{line} in {}", one.markdown);
    }
    let table = &documents["Dentists"];
    assert!(table.markdown.contains("| [Dentist 2](https://dentist-2.example/) |"), "{table:?}");
    for document in [one, table] {
        assert!(document.tags.contains(&"health".to_owned()), "{:?}", document.tags);
    }
    assert_eq!(list(&desk, "Dentists")["provider"], "google_places");

    let asked = emulator.asked();
    assert_eq!(asked.len(), 1);
    let mask = asked[0].header("x-goog-fieldmask");
    assert!(mask.contains("places.id,") && !mask.contains('*'), "{mask}");

    // The same again is answered from what is there, with all its documents.
    let ended = desk.run(&search("list_name = \"Dentists\"\noutput_tags = [\"again\"]")).await;
    assert_eq!((ended.counts(), emulator.asked().len()), ((0, 0, 3), 1), "{ended:?}");
    assert!(desk.documents()["id-2"].tags.contains(&"again".to_owned()));
    for more in ["force_refresh = true", "max_results = 1", "detail = \"basic\"", "cache_hours = 0"]
    {
        let before = emulator.asked().len();
        desk.run(&search(&format!("list_name = \"Dentists\"\n{more}"))).await;
        assert_eq!(emulator.asked().len(), before + 1, "{more}");
    }
    desk.close().await;
}

#[tokio::test]
async fn up_to_60_places_are_asked_for_page_by_page_with_the_same_parameters() {
    // 70 are known, number 21 is number 20 again, and one has no name.
    let mut known = GooglePlaces::with(70);
    known.places[20] = GooglePlaces::place(20);
    known.places[30]["displayName"] = Value::Null;
    let emulator = Emulator::start(known);
    let desk = Desk::with(&[(ID, &emulator.base_url())]).await;
    let near = "max_results = 60\nlanguage = \"en\"\nregion = \"AU\"\nfilter_type = \"dentist\"\n\
                filter_min_rating = 3.2\nlocation_latitude = -36.75\nlocation_longitude = 144.28";
    let ended = desk.run(&search(&format!("list_name = \"All\"\n{near}"))).await;
    assert_eq!(ended.step().status, JobStatus::Completed, "{ended:?}");
    assert_eq!(ids(&list(&desk, "All")).len(), 58);
    assert!(ended.view.warnings[0].contains("1 places had no id or name"), "{ended:?}");
    let asked = emulator.asked();
    assert_eq!(asked.len(), 3, "no page after the one that has the last");
    let first = json!({
        "textQuery": "dentists in Bendigo", "pageSize": 20, "languageCode": "en", "regionCode": "AU",
        "includedType": "dentist", "minRating": 3.0,
        "locationBias": {"circle": {"center": {"latitude": -36.75, "longitude": 144.28}, "radius": 5000.0}},
    });
    for (number, page) in asked.iter().enumerate() {
        let mut body = page.body.clone();
        let token = body.as_object_mut().expect("an object").remove("pageToken");
        assert_eq!((body, token.is_some()), (first.clone(), number > 0));
        assert_eq!(page.header("x-goog-fieldmask"), asked[0].header("x-goog-fieldmask"));
    }

    emulator.fail_after(1, Fault::Error(503));
    let ended = desk.run(&search("list_name = \"Some\"\nmax_results = 60")).await;
    assert_eq!(ids(&list(&desk, "Some")).len(), 20, "what the first page brought stays");
    ended.says("Not all pages came").await;
    desk.run(&search("list_name = \"Few\"\nmax_results = 7")).await;
    assert_eq!(ids(&list(&desk, "Few")).len(), 7);
    desk.close().await;
}

#[tokio::test]
async fn a_surrounding_is_searched_by_type() {
    let emulator = Emulator::start(GooglePlaces::with(40));
    let desk = Desk::with(&[(ID, &emulator.base_url())]).await;
    let step = "[step.s]\ntype = \"places_search\"\nsearch_type = \"nearby_search\"\n\
                location = { latitude = -36.75, longitude = 144.28, radius = 800 }\n\
                filters = { type = \"dentist\", min_rating = 4.5 }\n";
    let ended = desk.run(step).await;
    assert_eq!(ended.step().status, JobStatus::Completed, "{ended:?}");
    let list = list(&desk, "dentist within 800 m of -36.75, 144.28");
    assert!(!ids(&list).is_empty());
    let places = list["places"].as_array().expect("a list");
    assert!(places.iter().all(|place| place["rating"].as_f64() >= Some(4.5)), "{places:?}");
    let asked = emulator.asked();
    let expected = json!({
        "maxResultCount": 20, "includedTypes": ["dentist"],
        "locationRestriction": {"circle": {"center": {"latitude": -36.75, "longitude": 144.28}, "radius": 800.0}},
    });
    assert_eq!((asked.len(), &asked[0].body), (1, &expected));
    desk.close().await;
}

#[tokio::test]
async fn no_place_is_a_result_and_every_failure_is_told() {
    let empty = Emulator::start(GooglePlaces::default());
    let desk = Desk::with(&[(ID, &empty.base_url())]).await;
    let ended = desk.run(&search("")).await;
    assert_eq!((ended.step().status, ended.counts()), (JobStatus::Completed, (1, 0, 0)));
    assert!(ended.view.warnings[0].contains("No place was found"), "{ended:?}");
    desk.close().await;

    let emulator = Emulator::start(GooglePlaces::with(3));
    let desk = Desk::with(&[(ID, &emulator.base_url())]).await;
    let rows = [
        (Fault::BadKey, "refused the key (400: API key not valid."),
        (Fault::Error(403), "refused the key (403"),
        (Fault::Error(400), "did not accept the request (400: Something is wrong.)"),
        (Fault::TooMany(None), "was asked too often (429"),
        (Fault::Echo(500), "The key *** (Bearer ***) is wrong."),
        (Fault::Proxy(502), "cannot answer at present (502)"),
        (Fault::Cut, "something that is no JSON"),
        (Fault::Elsewhere("http://127.0.0.1:1/".to_owned()), "is not followed elsewhere"),
    ];
    for (fault, reason) in rows {
        emulator.fail_next([fault]);
        let ended = desk.run(&search("")).await;
        assert_eq!(ended.step().status, JobStatus::Failed, "{reason}: {ended:?}");
        ended.says(reason).await;
    }
    assert_eq!(desk.documents().len(), 0);
    desk.close().await;

    let desk = Desk::with(&[]).await;
    let ended = desk.run(&search("")).await;
    ended.says("Google Places needs a key").await;
    desk.close().await;
}
