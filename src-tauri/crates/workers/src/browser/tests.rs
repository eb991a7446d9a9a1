//! The browser's own life: that it starts, is shared, and ends. What pages become is tested by crawls.

use quaero_net::{AddressPolicy, Limits};
use tokio::time::timeout;

use super::*;

/// No page of these tests takes this long.
const LIMIT: Duration = Duration::from_secs(30);

fn page(body: &str) -> Response {
    Response {
        url: Url::parse("http://site.example/page").expect("an address"),
        redirects: Vec::new(),
        status: 200,
        content_type: Some("text/html; charset=utf-8".to_owned()),
        robots_tag: None,
        etag: None,
        last_modified: None,
        retry_after: None,
        body: body.into(),
        cut: false,
    }
}

async fn show(browser: &Browser, body: &str) -> Result<Shown, BrowserError> {
    let client = Client::new(AddressPolicy::default(), Limits::default());
    let page = page(body);
    let wait = Duration::from_secs(5);
    let (session, max_bytes) = (None, 100_000);
    let what = ToShow { page: &page, client: &client, session, wait, total: LIMIT, max_bytes };
    browser.show(what).await
}

async fn has_ended(wire: &wire::Wire) {
    let asks =
        async { while wire.call("", "Browser.getVersion", serde_json::json!({})).await.is_ok() {} };
    timeout(LIMIT, asks).await.expect("the browser ends");
}

#[tokio::test]
async fn one_browser_shows_all_pages_and_forgets_each() {
    let browser = Browser::default();
    let visited = "<p>One</p><script>
        document.querySelector('p').append(localStorage.seen || ' is new');
        localStorage.seen = ' is known';
    </script>";
    let (one, two, three) = tokio::join!(
        show(&browser, visited),
        show(&browser, visited),
        show(&browser, "<noscript>Switch it on</noscript>Two")
    );
    for shown in [one, two] {
        let html = shown.expect("a page").html;
        assert!(html.contains("<p>One is new</p>"), "{html}");
    }
    let html = three.expect("a page").html;
    assert!(html.contains("Two") && !html.contains("Switch it on"), "{html}");
    let first = browser.state().running.clone().expect("it is kept");
    let again = show(&browser, visited).await.expect("a page");
    assert!(again.html.contains("is new"), "{again:?}");
    let second = browser.state().running.clone().expect("it is kept");
    assert!(Arc::ptr_eq(&first, &second), "no page started another browser");
}

#[tokio::test]
async fn an_unused_browser_ends_and_another_starts_when_it_is_needed() {
    let browser = Browser::with(None, Duration::ZERO);
    for round in 0..2 {
        let _hold = browser.shared.starting.lock().await;
        drop(_hold);
        let shown = show(&browser, "<p>Here").await.expect("a page");
        assert!(shown.html.contains("Here"), "round {round}");
        let ended = timeout(LIMIT, async {
            while browser.state().running.is_some() {
                tokio::task::yield_now().await;
            }
        });
        ended.await.expect("nobody uses it any more");
    }
}

#[tokio::test]
async fn a_browser_that_dies_is_replaced() {
    let browser = Browser::default();
    show(&browser, "One").await.expect("a page");
    let dead = browser.state().running.clone().expect("it is kept");
    dead.wire.post("", "Browser.crash", serde_json::json!({}));
    has_ended(&dead.wire).await;
    let shown = show(&browser, "Two").await.expect("a page of another browser");
    assert!(shown.html.contains("Two"));
}

#[tokio::test]
async fn a_page_whose_process_dies_fails_alone() {
    let browser = Browser::default();
    show(&browser, "The first starts the browser.").await.expect("a page");
    let running = browser.state().running.clone().expect("it is kept");
    let call = |session: String, method: &'static str, params| {
        let wire = running.wire.clone();
        async move { wire.call(&session, method, params).await.expect(method) }
    };
    let crash = async {
        // The page's place is found as soon as it is there.
        let page = loop {
            let targets = call(String::new(), "Target.getTargets", serde_json::json!({})).await;
            let mut all = targets["targetInfos"].as_array().into_iter().flatten();
            let page = all.find(|one| one["url"] == "http://site.example/page");
            if let Some(page) = page {
                break page["targetId"].clone();
            }
        };
        let wanted = serde_json::json!({ "targetId": page, "flatten": true });
        let attached = call(String::new(), "Target.attachToTarget", wanted).await;
        let session = attached["sessionId"].as_str().expect("a session").to_owned();
        // It refuses while the page is being opened, and says nothing once it has done it.
        let crash = || running.wire.call(&session, "Page.crash", serde_json::json!({}));
        while timeout(Duration::from_secs(1), crash()).await.is_ok_and(|done| done.is_err()) {}
    };
    let restless = "<script>setInterval(() => fetch('/x'), 20)</script>";
    let (shown, ()) = tokio::join!(show(&browser, restless), crash);
    assert_eq!(shown, Err(BrowserError::Crashed));
    let shown = show(&browser, "<p>Fine").await.expect("a page");
    assert!(shown.html.contains("Fine"));
}

#[tokio::test]
async fn a_page_that_grows_too_large_is_not_taken() {
    let browser = Browser::default();
    let large = "<script>document.write('x'.repeat(200000))</script>";
    assert_eq!(show(&browser, large).await, Err(BrowserError::TooLarge(100_000)));
}

#[tokio::test]
async fn a_program_that_is_no_browser_is_named() {
    let browser = Browser::with(Some("true".into()), UNUSED);
    let error = show(&browser, "x").await.expect_err("`true` is no browser");
    assert_eq!(error.code(), "browser_failed");
    assert!(error.to_string().contains("true"), "{error}");
}
