//! `web_search`.

use quaero_contract::JobStatus;
use quaero_tests::services::{Brave, Emulator, Fault, Searxng, Tavily};
use serde_json::Value;

use super::{Desk, Ended};

const A: &str = "https://a.example/one";
const B: &str = "https://b.example/two";
const C: &str = "https://c.example/three";

/// A step that searches for `rust async`, and tries only once.
fn search(more: &str) -> String {
    format!("[step.s]\ntype = \"web_search\"\nquery = \"rust  async\"\ntask_attempts = 1\n{more}\n")
}

fn metadata(desk: &Desk) -> Value {
    let documents = desk.documents();
    let document = documents.get("rust async").unwrap_or_else(|| panic!("{documents:?}"));
    serde_json::from_str(&document.metadata).expect("JSON")
}

/// `address: provider rank, …` of every result, in order.
fn found(metadata: &Value) -> Vec<String> {
    let results = metadata["results"].as_array().expect("a list");
    let line = |result: &Value| {
        let by: Vec<String> = result["found_by"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|by| format!("{} {}", by["provider"].as_str().unwrap_or_default(), by["rank"]))
            .collect();
        format!("{}: {}", result["url"].as_str().unwrap_or_default(), by.join(", "))
    };
    results.iter().map(line).collect()
}

#[tokio::test]
async fn results_have_one_form_whoever_found_them() {
    let services = [
        ("searxng", Emulator::start(Searxng::finding(&[A, "javascript:alert(1)", B]))),
        ("brave", Emulator::start(Brave::finding(&[A, B]))),
        ("tavily", Emulator::start(Tavily::finding(&[A, B]))),
    ];
    for (id, emulator) in &services {
        let desk = Desk::with(&[(id, &emulator.base_url())]).await;
        let ended = desk.run(&search("output_tags = [\"news\"]")).await;
        assert_eq!(ended.step().status, JobStatus::Completed, "{id}: {ended:?}");
        assert_eq!(ended.view.warnings, [""; 0], "{id}");
        let metadata = metadata(&desk);
        assert_eq!(found(&metadata)[0], format!("{A}: {id} 1"));
        assert_eq!(found(&metadata).len(), 2, "{id}: what is no address of the web is left out");
        let first = &metadata["results"][0];
        assert!(!first["title"].as_str().expect("a title").contains("&amp;"), "{first}");
        let snippet = first["snippet"].as_str().expect("a snippet");
        assert!(snippet.starts_with(&format!("About {A}")), "{first}");
        assert_eq!(metadata["providers"], serde_json::json!([id]));
        assert!(metadata["retrieved_at"].as_str().is_some_and(|at| at.ends_with('Z')));
        let document = &desk.documents()["rust async"];
        for tag in [
            "web-search",
            "news",
            &format!("date:{}", &metadata["retrieved_at"].as_str().expect("a time")[..10]),
        ] {
            assert!(document.tags.contains(&tag.to_owned()), "{tag} in {:?}", document.tags);
        }
        assert!(document.markdown.contains(A) && !document.markdown.contains("javascript"));
        desk.close().await;
    }
}

#[tokio::test]
async fn services_are_asked_in_the_users_order_until_one_answers() {
    let searxng = Emulator::start(Searxng::finding(&[A]));
    let brave = Emulator::start(Brave::finding(&[B]));
    let tavily = Emulator::start(Tavily::finding(&[C]));
    let set_up = [
        ("searxng", searxng.base_url()),
        ("brave", brave.base_url()),
        ("tavily", tavily.base_url()),
    ];
    let set_up: Vec<(&str, &str)> = set_up.iter().map(|(id, url)| (*id, url.as_str())).collect();
    let desk = Desk::opened(&set_up, |settings| {
        settings.search_order = ["tavily", "brave", "searxng"].map(str::to_owned).to_vec();
    })
    .await;
    desk.run(&search("force_refresh = true")).await;
    assert_eq!(found(&metadata(&desk)), [format!("{C}: tavily 1")]);
    assert_eq!((brave.asked().len(), searxng.asked().len()), (0, 0), "nobody is asked in vain");

    tavily.fail_always(Some(Fault::Error(432)));
    brave.fail_next([Fault::Proxy(502)]);
    let ended = desk.run(&search("force_refresh = true")).await;
    assert_eq!(ended.step().status, JobStatus::Completed, "{ended:?}");
    assert_eq!(found(&metadata(&desk)), [format!("{A}: searxng 1")]);
    let warnings = ended.view.warnings.join(" ");
    assert!(warnings.contains("Tavily") && warnings.contains("used up"), "{warnings}");
    assert!(warnings.contains("Brave Search cannot answer at present (502)"), "{warnings}");
    desk.close().await;
}

#[tokio::test]
async fn what_several_services_rank_high_comes_first() {
    let searxng = Emulator::start(Searxng::finding(&[A, B]));
    let brave = Emulator::start(Brave::finding(&[
        C,
        // The same page as B, and again.
        "http://b.example/two/#top",
        "https://b.example/two",
    ]));
    let tavily = Emulator::start(Tavily::finding(&[A]));
    let urls = [searxng.base_url(), brave.base_url(), tavily.base_url()];
    let set_up = [("searxng", &*urls[0]), ("brave", &*urls[1]), ("tavily", &*urls[2])];
    let desk = Desk::with(&set_up).await;
    desk.run(&search("breadth = 2")).await;
    let expected =
        [format!("{B}: searxng 2, brave 2"), format!("{A}: searxng 1"), format!("{C}: brave 1")];
    assert_eq!(found(&metadata(&desk)), expected);
    assert_eq!(tavily.asked().len(), 0, "two are enough");
    desk.run(&search("breadth = 2\nmax_results = 1")).await;
    assert_eq!(found(&metadata(&desk)), expected[..1]);
    desk.close().await;
}

#[tokio::test]
async fn nothing_found_is_a_result_and_not_being_able_to_search_is_none() {
    let empty = Searxng::default();
    let emulator = Emulator::start(empty);
    let desk = Desk::with(&[("searxng", &emulator.base_url())]).await;
    let ended = desk.run(&search("")).await;
    assert_eq!(ended.step().status, JobStatus::Completed, "{ended:?}");
    assert_eq!(found(&metadata(&desk)), [""; 0]);
    assert!(ended.view.warnings[0].contains("Nothing was found for `rust async`"), "{ended:?}");
    desk.close().await;

    let silent = Searxng {
        unresponsive: vec![("google", "access denied"), ("bing", "timeout")],
        ..Searxng::default()
    };
    let off = Searxng { json_off: true, ..Searxng::finding(&[A]) };
    for (service, reason) in [
        (silent, "2 of its search engines did not answer"),
        (off, "Add `json` to `search.formats`"),
    ] {
        let emulator = Emulator::start(service);
        let desk = Desk::with(&[("searxng", &emulator.base_url())]).await;
        let ended = desk.run(&search("")).await;
        assert_failed(ended, reason).await;
        assert_eq!(desk.documents().len(), 0);
        desk.close().await;
    }
}

async fn assert_failed(ended: Ended, reason: &str) {
    assert_eq!(ended.step().status, JobStatus::Failed, "{reason}: {ended:?}");
    ended.says(reason).await;
}

#[tokio::test]
async fn every_way_of_failing_is_told_in_plain_words() {
    let brave = Emulator::start(Brave::finding(&[A]));
    let tavily = Emulator::start(Tavily::finding(&[A]));
    let elsewhere = Emulator::start(Brave::finding(&[B]));
    let to = elsewhere.base_url();
    let rows = [
        (&brave, "brave", Fault::BadKey, "refused the key (422"),
        (&tavily, "tavily", Fault::BadKey, "refused the key (401"),
        (&brave, "brave", Fault::Error(401), "refused the key (401"),
        (&brave, "brave", Fault::Echo(403), "The key *** (Bearer ***) is wrong."),
        (&brave, "brave", Fault::Echo(500), "The key *** (Bearer ***) is wrong."),
        (&brave, "brave", Fault::TooMany(None), "was asked too often (429"),
        (&brave, "brave", Fault::Proxy(200), "something that is no JSON"),
        (&brave, "brave", Fault::Proxy(404), "did not accept the request (404)"),
        (&brave, "brave", Fault::Cut, "something that is no JSON"),
        (&brave, "brave", Fault::HangUp, "broke off"),
        (&brave, "brave", Fault::Elsewhere(to), "is not followed elsewhere"),
        (&tavily, "tavily", Fault::Echo(401), "The key *** (Bearer ***) is wrong."),
        (&tavily, "tavily", Fault::Error(433), "used up"),
        (&tavily, "tavily", Fault::Error(503), "cannot answer at present (503"),
    ];
    for (emulator, id, fault, reason) in rows {
        let desk = Desk::with(&[(id, &emulator.base_url())]).await;
        emulator.fail_always(Some(fault));
        assert_failed(desk.run(&search("")).await, reason).await;
        emulator.fail_always(None);
        desk.close().await;
    }
    assert_eq!(elsewhere.asked().len(), 0, "a key goes nowhere but where it belongs");

    let desk = Desk::with(&[("brave", &brave.base_url())]).await;
    brave.fail_always(Some(Fault::Silent));
    let ended = desk.run(&search("task_timeout = \"20s\"")).await;
    assert_failed(ended, "It took longer than").await;
    desk.close().await;
}

#[tokio::test]
async fn a_refused_key_and_a_refused_request_are_told_apart() {
    let brave = Emulator::start(Brave::finding(&[A]));
    let desk = Desk::with(&[("brave", &brave.base_url())]).await;
    let words = "w ".repeat(60);
    let ended = desk.run(&format!("[step.s]\ntype = \"web_search\"\nquery = \"{words}\"\n")).await;
    assert_failed(ended, "did not accept the request (422: Unable to validate").await;
    for (language, expected) in [("pt-BR", "pt-br"), ("pt", "pt-pt"), ("de-AT", "de"), ("xx", "")] {
        let ended = desk.run(&search(&format!("language = \"{language}\""))).await;
        assert_eq!(ended.step().status, JobStatus::Completed, "{language}: {ended:?}");
        assert_eq!(brave.asked().last().expect("asked").value("search_lang"), expected);
    }
    desk.close().await;

    let desk = Desk::with(&[]).await;
    let ended = desk.run(&search("")).await;
    assert_failed(ended, "No search service is set up").await;
    desk.close().await;
}

#[tokio::test]
async fn who_is_asked_too_often_is_asked_again_when_he_likes() {
    let brave = Emulator::start(Brave::finding(&[A]));
    let desk = Desk::with(&[("brave", &brave.base_url())]).await;
    brave.fail_next([Fault::TooMany(Some(7)), Fault::TooMany(None), Fault::Error(503)]);
    let steps = search("").replace("task_attempts = 1\n", "");
    let ended = desk.run(&steps).await;
    assert_eq!(ended.step().status, JobStatus::Completed, "{ended:?}");
    ended.says("Trying again in 7 s.").await;
    ended.says("Trying again in 30 s.").await;
    assert_eq!(brave.asked().len(), 4);
    assert_eq!(found(&metadata(&desk)), [format!("{A}: brave 1")]);
    desk.close().await;
}

#[tokio::test]
async fn pages_are_asked_for_as_long_as_there_are_any() {
    let pages: Vec<Vec<String>> =
        (0..3).map(|page| vec![format!("https://p{page}.example/")]).collect();
    let searxng = Emulator::start(Searxng { pages: pages.clone(), ..Searxng::default() });
    let brave = Emulator::start(Brave { pages, ..Brave::default() });
    for (id, emulator, expected) in [("searxng", &searxng, 4), ("brave", &brave, 3)] {
        let desk = Desk::with(&[(id, &emulator.base_url())]).await;
        desk.run(&search("depth = 2")).await;
        assert_eq!(found(&metadata(&desk)).len(), 2, "{id}");
        assert_eq!(emulator.asked().len(), 2, "{id}");
        desk.run(&search("depth = 9")).await;
        assert_eq!(found(&metadata(&desk)).len(), 3, "{id}");
        assert_eq!(emulator.asked().len(), 2 + expected, "{id}: no page after the last");
        desk.close().await;
    }
}

#[tokio::test]
async fn what_the_first_pages_brought_stays_if_a_later_one_fails() {
    let pages = vec![vec![A.to_owned()], vec![B.to_owned()]];
    let searxng = Emulator::start(Searxng { pages, ..Searxng::default() });
    let desk = Desk::with(&[("searxng", &searxng.base_url())]).await;
    searxng.fail_after(1, Fault::Error(500));
    let ended = desk.run(&search("depth = 3")).await;
    assert_eq!(found(&metadata(&desk)), [format!("{A}: searxng 1")]);
    assert!(ended.view.warnings[0].contains("Not all pages came"), "{ended:?}");
    desk.close().await;
}

#[tokio::test]
async fn a_fresh_result_is_used_again_and_gets_the_tags_of_the_step() {
    let searxng = Emulator::start(Searxng::finding(&[A]));
    let desk = Desk::with(&[("searxng", &searxng.base_url())]).await;
    let mut asked = 0;
    let rows = [
        ("", 0, true),
        ("output_tags = [\"second\"]", 0, false),
        ("force_refresh = true", 0, true),
        ("depth = 2", 0, true),
        ("depth = 2", 23, false),
        ("depth = 2", 2, true),
        ("depth = 2\ncache_hours = 0", 0, true),
        ("depth = 2\ncache_hours = 48", 30, false),
        ("time_range = \"week\"", 0, true),
    ];
    for (more, hours, searches) in rows {
        desk.clock.pass_hours(hours);
        let ended = desk.run(&search(more)).await;
        let now = searxng.asked().len();
        assert_eq!(now > asked, searches, "{more:?} after {hours} h: {ended:?}");
        if !searches {
            assert_eq!(ended.counts(), (0, 0, 1), "{more}");
        }
        asked = now;
    }
    let documents = desk.documents();
    assert!(documents["rust async"].tags.contains(&"second".to_owned()));
    assert!(documents.contains_key("rust async week"), "{:?}", documents.keys());
    desk.close().await;
}

#[tokio::test]
async fn a_test_tells_how_much_is_left() {
    let brave = Brave::finding(&[A]);
    let tavily = Tavily::finding(&[A]);
    let rows = [
        ("brave", Emulator::start(brave.clone()), Some("14523 of 15000 requests are left")),
        ("brave", Emulator::start(Brave { by_use: true, ..brave }), None),
        ("tavily", Emulator::start(tavily.clone()), Some("14500 of 15000 credits are left")),
        (
            "tavily",
            Emulator::start(Tavily { key_limit: Some(1_000), ..tavily }),
            Some("850 of 1000 credits are left"),
        ),
    ];
    for (id, emulator, left) in rows {
        let desk = Desk::with(&[(id, &emulator.base_url())]).await;
        let test = desk.app.test_provider(id).await.expect("tested");
        assert!(test.ok, "{id}: {test:?}");
        let quota = test.quota.as_deref();
        assert_eq!(quota.is_some(), left.is_some(), "{id}: {quota:?}");
        assert!(quota.unwrap_or_default().starts_with(left.unwrap_or_default()), "{quota:?}");
        let searches =
            emulator.asked().iter().filter(|asked| asked.path.ends_with("search")).count();
        assert_eq!(searches, usize::from(id == "brave"), "Tavily's account can be asked for free");

        emulator.fail_next([Fault::BadKey]);
        let test = desk.app.test_provider(id).await.expect("tested");
        assert!(!test.ok && test.message.contains("refused the key"), "{id}: {test:?}");
        if id == "tavily" {
            // A server in between that knows searches only.
            emulator.fail_next([Fault::Error(404)]);
            let test = desk.app.test_provider(id).await.expect("tested");
            assert!(test.ok && test.quota.is_none(), "{test:?}");
        }
        desk.close().await;
    }
}
