//! One page: shown in a profile of its own, until its scripts are done.

use std::{collections::HashSet, pin::pin, time::Duration};

use futures::stream::{FuturesUnordered, StreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use url::Url;

use super::{
    ANSWER, BrowserError, MAX_HTML, Shown, ToShow,
    requests::{self, Fetcher, MAX_REQUESTS, MAX_TOTAL, Paused, Verdict},
    wire::{Event, Wire},
};

/// A page is done when it has asked for nothing for so long.
const QUIET: Duration = Duration::from_millis(500);
/// How long a page may take to hand over what it became.
const TAKE: Duration = Duration::from_secs(5);
/// Places that a page's scripts wanted to go to instead; more are not noted.
const MAX_LED_TO: usize = 8;
/// What a page is without the words for readers that run no scripts. In a world of its own, where
/// the page's scripts have changed nothing.
const TAKE_HTML: &str = r#"(limit => {
    const root = document.documentElement;
    if (!root) return "";
    for (const words of document.querySelectorAll("noscript")) words.remove();
    const html = root.outerHTML;
    return html.length > limit ? null : html;
})"#;

/// Shows a page. Whatever comes of it, nothing of it stays.
pub(super) async fn show(wire: &Wire, what: &ToShow<'_>) -> Result<Shown, BrowserError> {
    let profile = timeout(ANSWER, Profile::make(wire)).await;
    let profile = profile.unwrap_or(Err(BrowserError::TimedOut))?;
    let opened = timeout(ANSWER, Tab::open(&profile)).await;
    let (mut tab, events) = opened.unwrap_or(Err(BrowserError::TimedOut))?;
    let busy = tab.run(events, what).await?;
    if busy {
        wire.post(&tab.session, "Runtime.terminateExecution", json!({}));
    }
    let html = timeout(TAKE, tab.html(what.max_bytes.min(MAX_HTML))).await;
    let html = html.unwrap_or(Err(BrowserError::TimedOut))?;
    Ok(Shown { html, led_to: tab.led_to, unsent: tab.unsent, busy, notice: None })
}

/// A profile that knows nothing, and is forgotten.
struct Profile<'a> {
    wire: &'a Wire,
    id: String,
}

impl<'a> Profile<'a> {
    async fn make(wire: &'a Wire) -> Result<Self, BrowserError> {
        let made = wire.call("", "Target.createBrowserContext", json!({ "disposeOnDetach": true }));
        let id = text(&made.await?, "browserContextId")?;
        let deny = json!({ "behavior": "deny", "browserContextId": id });
        wire.post("", "Browser.setDownloadBehavior", deny);
        Ok(Self { wire, id })
    }
}

impl Drop for Profile<'_> {
    fn drop(&mut self) {
        let id = json!({ "browserContextId": self.id });
        self.wire.post("", "Target.disposeBrowserContext", id);
    }
}

/// A page's place in the browser.
struct Tab<'a> {
    wire: &'a Wire,
    session: String,
    /// The frame of the page itself.
    frame: String,
    led_to: Vec<Url>,
    unsent: usize,
    /// Sessions that get no answer to anything.
    refused: HashSet<String>,
}

impl<'a> Tab<'a> {
    async fn open(profile: &Profile<'a>) -> Result<(Self, mpsc::Receiver<Event>), BrowserError> {
        let wire = profile.wire;
        let wanted = json!({ "url": "about:blank", "browserContextId": profile.id });
        let frame = text(&wire.call("", "Target.createTarget", wanted).await?, "targetId")?;
        let wanted = json!({ "targetId": frame, "flatten": true });
        let session = text(&wire.call("", "Target.attachToTarget", wanted).await?, "sessionId")?;
        let events = wire.listen(&session);
        // Nothing is opened before it is sure that its requests come here.
        wire.call(&session, "Fetch.enable", json!({ "patterns": [{ "urlPattern": "*" }] })).await?;
        wire.call(&session, "Target.setAutoAttach", hold()).await?;
        wire.call(&session, "Page.enable", json!({})).await?;
        let (led_to, refused) = (Vec::new(), HashSet::new());
        Ok((Self { wire, session, frame, led_to, unsent: 0, refused }, events))
    }

    /// Runs the page until it is done. Whether it would not end.
    async fn run(
        &mut self,
        mut events: mpsc::Receiver<Event>,
        what: &ToShow<'_>,
    ) -> Result<bool, BrowserError> {
        let (wire, page) = (self.wire, &what.page.url);
        let policy = what.client.policy();
        let fetcher = Fetcher::new(what);
        let mut fetching = FuturesUnordered::new();
        let (mut opened, mut loaded, mut asked, mut bytes) = (false, false, 0, 0);
        wire.post(&self.session, "Page.navigate", json!({ "url": page.as_str() }));
        let mut total = pin!(sleep(what.total));
        let mut wait = pin!(sleep(what.wait));
        let mut quiet = pin!(sleep(QUIET));
        loop {
            tokio::select! {
                event = events.recv() => {
                    // The wire has given the page up, or is gone.
                    let event = event.ok_or(BrowserError::Crashed)?;
                    match event.method.as_str() {
                        "Fetch.requestPaused" => {
                            let Ok(paused) = Paused::deserialize(&event.params) else {
                                return Err(BrowserError::Refused(
                                    "a request cannot be read".to_owned(),
                                ));
                            };
                            if paused.resource_type == "Document" {
                                let (method, order) = self.document(&paused, what, &mut opened);
                                wire.post(&event.session, method, order);
                                continue;
                            }
                            let answered = asked < MAX_REQUESTS && bytes < MAX_TOTAL;
                            let verdict = if answered && !self.refused.contains(&event.session) {
                                requests::judge(&paused, page, policy)
                            } else {
                                Verdict::Refuse
                            };
                            match verdict {
                                Verdict::Fetch(url) => {
                                    asked += 1;
                                    let fetcher = &fetcher;
                                    fetching.push(async move {
                                        let answer = fetcher.fetch(&paused, &url).await;
                                        (event.session, answer)
                                    });
                                }
                                Verdict::Allow => {
                                    let (method, order) = requests::permission(&paused);
                                    wire.post(&event.session, method, order);
                                }
                                refused @ (Verdict::Unsent | Verdict::Refuse) => {
                                    self.unsent += usize::from(matches!(refused, Verdict::Unsent));
                                    let (method, order) =
                                        requests::refusal(&paused, "BlockedByClient");
                                    wire.post(&event.session, method, order);
                                }
                            }
                        }
                        // A page whose scripts went elsewhere while it loaded stops without an end.
                        "Page.loadEventFired" | "Page.frameStoppedLoading"
                            if opened && !loaded && self.is_about_itself(&event) =>
                        {
                            loaded = true;
                            wait.set(sleep(what.wait));
                            quiet.set(sleep(QUIET));
                        }
                        "Target.attachedToTarget" => self.attached(&event),
                        "Page.javascriptDialogOpening" => {
                            let no = json!({ "accept": false });
                            wire.post(&event.session, "Page.handleJavaScriptDialog", no);
                        }
                        "Inspector.targetCrashed" => return Err(BrowserError::Crashed),
                        _ => {}
                    }
                }
                Some((session, (method, order, size))) = fetching.next() => {
                    bytes += size;
                    wire.post(&session, method, order);
                    quiet.set(sleep(QUIET));
                }
                () = &mut quiet, if loaded && fetching.is_empty() => return Ok(false),
                () = &mut wait, if loaded => return Ok(false),
                () = &mut total => return Ok(true),
            }
        }
    }

    /// Whether an event is one of the page, and not of a frame in it.
    fn is_about_itself(&self, event: &Event) -> bool {
        let frame = event.params["frameId"].as_str();
        event.session == self.session && frame.is_none_or(|frame| frame == self.frame)
    }

    /// What becomes of a request for a whole page: the first is the page; frames stay empty, and
    /// where the page's scripts want to go is noted.
    fn document(
        &mut self,
        paused: &Paused,
        what: &ToShow<'_>,
        opened: &mut bool,
    ) -> (&'static str, Value) {
        let itself = paused.frame_id == self.frame;
        if itself && !std::mem::replace(opened, true) {
            return requests::page_answer(paused, what.page);
        }
        if itself
            && paused.request.method == "GET"
            && self.led_to.len() < MAX_LED_TO
            && let Ok(url) = Url::parse(&paused.request.url)
            && !self.led_to.contains(&url)
        {
            self.led_to.push(url);
        }
        // An aborted one leaves what is there as it is.
        requests::refusal(paused, "Aborted")
    }

    /// A frame or a worker of the page begins; what it asks for comes here as well. Others, such as
    /// service workers, would outlive the page: they get nothing, not even their own script.
    fn attached(&mut self, event: &Event) {
        let Some(session) = event.params["sessionId"].as_str() else { return };
        let kind = event.params["targetInfo"]["type"].as_str();
        if !matches!(kind, Some("iframe" | "worker")) {
            self.refused.insert(session.to_owned());
        }
        let all = json!({ "patterns": [{ "urlPattern": "*" }] });
        self.wire.post(session, "Fetch.enable", all);
        self.wire.post(session, "Target.setAutoAttach", hold());
        self.wire.post(session, "Runtime.runIfWaitingForDebugger", json!({}));
    }

    /// What the page has become.
    async fn html(&self, max_bytes: usize) -> Result<String, BrowserError> {
        let world = json!({ "frameId": self.frame, "worldName": "quaero" });
        let world = self.wire.call(&self.session, "Page.createIsolatedWorld", world).await?;
        let take = json!({
            "expression": format!("{TAKE_HTML}({max_bytes})"),
            "contextId": world["executionContextId"],
            "returnByValue": true,
        });
        let taken = self.wire.call(&self.session, "Runtime.evaluate", take).await?;
        match &taken["result"]["value"] {
            Value::String(html) if html.len() <= max_bytes => Ok(html.clone()),
            Value::String(_) | Value::Null if taken.get("exceptionDetails").is_none() => {
                Err(BrowserError::TooLarge(max_bytes))
            }
            _ => Err(BrowserError::Refused("the page has no text".to_owned())),
        }
    }
}

/// Whatever begins within a page waits until it is known what it is.
fn hold() -> Value {
    json!({ "autoAttach": true, "waitForDebuggerOnStart": true, "flatten": true })
}

fn text(answer: &Value, name: &str) -> Result<String, BrowserError> {
    let found = answer[name].as_str().map(str::to_owned);
    found.ok_or_else(|| BrowserError::Refused(format!("it does not say `{name}`")))
}
