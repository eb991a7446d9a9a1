//! The real window, driven through WebKitWebDriver with what a user has: names, a mouse, keys.
//!
//! One window at a time, each test with data of its own. A test that fails leaves a picture of the
//! window under `target/window`.

use std::{
    net::TcpListener,
    panic::{AssertUnwindSafe, resume_unwind},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use fantoccini::{
    Client, ClientBuilder,
    actions::{InputSource, KeyAction, KeyActions},
    elements::{Element, ElementRef},
    wd::Capabilities,
};
use futures::FutureExt;
use hyper_util::client::legacy::connect::HttpConnector;
use quaero_store::Lock;
use quaero_tests::{note, program::binary};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpStream, time::timeout};

/// Nothing that a user waits for in these tests takes this long.
const LIMIT: Duration = Duration::from_secs(20);
/// Nor does any of them as a whole.
const TEST_LIMIT: Duration = Duration::from_secs(60);
/// What a WebDriver element looks like in JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Runs one test on a desk of its own.
///
/// # Panics
/// If the test does, or there is no display.
pub(crate) fn drive(name: &str, test: impl AsyncFnOnce(&mut Desk)) {
    // WebKit lets one program at a time be driven.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(
        std::env::var_os("DISPLAY").is_some_and(|display| !display.is_empty()),
        "the window needs an X display, and DISPLAY names none: run `cargo xtask test e2e`, which starts one"
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut desk = Desk::new(name);
        let whole = AssertUnwindSafe(async {
            test(&mut desk).await;
            desk.close().await;
        });
        // A window that has stopped answering would be waited for without end.
        let outcome = timeout(TEST_LIMIT, whole.catch_unwind()).await;
        if !matches!(outcome, Ok(Ok(()))) && timeout(LIMIT, desk.take_picture()).await.is_err() {
            note("the window does not answer; there is no picture of it");
        }
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => panic!("the test did not end within {TEST_LIMIT:?}"),
        }
    });
}

/// A data folder and, while it is open, the window on it.
pub(crate) struct Desk {
    name: String,
    dir: TempDir,
    open: Option<Open>,
}

/// Ends the driver, and with it the program, when dropped.
struct Open {
    client: Client,
    _driver: Driver,
}

struct Driver {
    process: Child,
    port: u16,
    data_dir: PathBuf,
}

impl Driver {
    fn start(data_dir: PathBuf) -> Self {
        // Freed at once, and then the driver's own; nobody else on this computer asks for this one.
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|socket| socket.local_addr())
            .expect("a port")
            .port();
        let process = Command::new("WebKitWebDriver")
            .args(["--host=127.0.0.1", &format!("--port={port}")])
            .env("TAURI_WEBVIEW_AUTOMATION", "true")
            .env("TAURI_AUTOMATION", "true")
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("QUAERO_DATA_DIR")
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("WebKitWebDriver cannot be started ({error}): install webkit2gtk-driver")
            });
        Self { process, port, data_dir }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The program first: without the driver nobody would end it.
        if let Ok(Some(pid)) = Lock::holder(&self.data_dir) {
            send(pid, Signal::KILL);
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A signal to the program, which may be gone by now.
fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

impl Desk {
    fn new(name: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        Self { name: name.to_owned(), dir, open: None }
    }

    /// The data folder. It is made by the program.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// An empty folder.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(&path).expect("created");
        path.canonicalize().expect("it was just made")
    }

    /// Puts a definition into the user's folder.
    pub(crate) fn define(&self, name: &str, text: &str) {
        let folder = self.folder("data/definitions");
        std::fs::write(folder.join(name), text).expect("written");
    }

    /// Opens the window and waits until it has painted its first screen.
    pub(crate) async fn open(&mut self) {
        assert!(self.open.is_none(), "it is open");
        let driver = Driver::start(self.data_dir());
        let mut wish = Capabilities::new();
        let arguments = ["--data-dir".into(), self.data_dir().to_string_lossy().into_owned()];
        wish.insert(
            "webkitgtk:browserOptions".to_owned(),
            json!({ "binary": binary(), "args": arguments }),
        );
        wish.insert("timeouts".to_owned(), json!({ "script": 60_000 }));
        let address = format!("127.0.0.1:{}", driver.port);
        until("the driver to listen", async || TcpStream::connect(&address).await.is_ok()).await;
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let client = builder.capabilities(wish).connect(&format!("http://{address}")).await;
        let client = client.unwrap_or_else(|error| panic!("the window cannot be driven: {error}"));
        self.open = Some(Open { client, _driver: driver });
        // The window is shown when the page has drawn itself; until then nothing can be clicked.
        until("the window to be shown", async || {
            let shown =
                "return document.visibilityState === 'visible' && !!document.querySelector('main')";
            self.client().execute(shown, vec![]).await.is_ok_and(|shown| shown == true)
        })
        .await;
        self.client().execute(WATCH_FAULTS, vec![]).await.expect("the page runs scripts");
        self.see("document.querySelector('main h1')", "a heading").await;
    }

    /// Closes the window as the end of the desktop session does, and checks that the page made no
    /// error.
    pub(crate) async fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        let faults =
            open.client.execute("return window.__faults", vec![]).await.expect("the page answers");
        assert_eq!(faults, json!([]), "errors of the page");
        if let Some(pid) = self.engine() {
            send(pid, Signal::TERM);
        }
        until("the program to end", async || self.engine().is_none()).await;
        drop(open);
    }

    /// Ends the program as `kill -9` does.
    pub(crate) async fn kill(&mut self) {
        let pid = self.engine().expect("the program has the engine");
        send(pid, Signal::KILL);
        until("the program to be gone", async || self.engine().is_none()).await;
        self.open = None;
    }

    /// The process that has the engine of the data folder.
    pub(crate) fn engine(&self) -> Option<u32> {
        Lock::holder(&self.data_dir()).expect("the folder can be read")
    }

    pub(crate) fn client(&self) -> &Client {
        &self.open.as_ref().expect("the window is open").client
    }

    /// Waits until `expression` is something in the page, and returns it.
    pub(crate) async fn see(&self, expression: &str, what: &str) -> Value {
        let script = WAIT.replace("NAMES", NAMES).replace("EXPRESSION", expression);
        let limit = u64::try_from(LIMIT.as_millis()).expect("small");
        let seen = self.client().execute_async(&script, vec![json!(limit)]).await;
        let seen = seen.unwrap_or_else(|error| panic!("waiting for {what}: {error}"));
        assert!(!seen.is_null(), "{what} did not appear");
        seen
    }

    /// Waits for the element of this role and name.
    pub(crate) async fn find(&self, role: &str, name: &str) -> Element {
        let what = format!("the {role} `{name}`");
        let found = self.see(&format!("byRole({}, {})", json!(role), json!(name)), &what).await;
        self.element(&found)
    }

    /// Clicks on it.
    pub(crate) async fn click(&self, role: &str, name: &str) {
        let element = self.find(role, name).await;
        element
            .click()
            .await
            .unwrap_or_else(|error| panic!("clicking the {role} `{name}`: {error:?}"));
    }

    /// Types into the box of this name, in place of what it holds.
    pub(crate) async fn fill(&self, name: &str, value: &str) {
        let element = self.find("textbox", name).await;
        element.clear().await.expect("it takes text");
        element
            .send_keys(value)
            .await
            .unwrap_or_else(|error| panic!("typing into `{name}`: {error}"));
    }

    /// Presses keys one after the other, wherever the keyboard is.
    pub(crate) async fn press(&self, keys: impl IntoIterator<Item = char>) {
        let mut actions = KeyActions::new("keyboard".to_owned());
        for value in keys {
            actions = actions.then(KeyAction::Down { value }).then(KeyAction::Up { value });
        }
        self.client().perform_actions(actions).await.expect("keys are pressed");
    }

    /// Waits for a text anywhere in the page.
    pub(crate) async fn read(&self, text: &str) {
        self.see(
            &format!("document.body.innerText.includes({})", json!(text)),
            &format!("`{text}`"),
        )
        .await;
    }

    /// Waits until the run that is shown has this state, and returns how long that took.
    pub(crate) async fn run_is(&self, status: &str) -> Duration {
        let start = Instant::now();
        let expression =
            format!("document.querySelector('[data-testid=run-status][data-status={status}]')");
        self.see(&expression, &format!("a run that is {status}")).await;
        start.elapsed()
    }

    /// Opens a job from the list of jobs.
    pub(crate) async fn choose_job(&self, name: &str) {
        self.click("link", "Jobs").await;
        // The link's name goes on with what the job does.
        let link = format!(
            "[...document.querySelectorAll('main a')].find((one) => nameOf(one).startsWith({}))",
            json!(name)
        );
        let found = self.see(&link, &format!("the job `{name}`")).await;
        self.element(&found).click().await.expect("clicked");
        self.find("heading", name).await;
    }

    /// Runs a job that needs no values.
    pub(crate) async fn start_job(&self, name: &str) {
        self.choose_job(name).await;
        self.click("button", "Run…").await;
        self.click("button", "Run").await;
    }

    /// Waits until the program has kept this theme.
    pub(crate) async fn saved_theme(&self, theme: &str) {
        let file = self.data_dir().join("settings.json");
        until("the theme to be saved", async || {
            std::fs::read_to_string(&file).is_ok_and(|text| text.contains(theme))
        })
        .await;
    }

    /// What [`Desk::see`] has returned, if that is an element.
    pub(crate) fn element(&self, found: &Value) -> Element {
        let id = found[ELEMENT].as_str().unwrap_or_else(|| panic!("no element: {found}"));
        Element::from_element_id(self.client().clone(), ElementRef::from(id.to_owned()))
    }

    /// Leaves a picture of the window for whoever looks for the cause.
    async fn take_picture(&self) {
        let Some(open) = &self.open else { return };
        let folder = binary()
            .parent()
            .map_or_else(|| PathBuf::from("target"), Path::to_path_buf)
            .join("../window");
        let path = folder.join(format!("{}.png", self.name));
        let saved: Result<(), Box<dyn std::error::Error>> = async {
            let picture = open.client.screenshot().await?;
            std::fs::create_dir_all(&folder)?;
            std::fs::write(&path, picture)?;
            Ok(())
        }
        .await;
        match saved {
            Ok(()) => note(&format!("the window when the test failed: {}", path.display())),
            Err(error) => note(&format!("there is no picture of the window: {error}")),
        }
        if let Ok(faults) = open.client.execute("return window.__faults", vec![]).await {
            note(&format!("errors of the page: {faults}"));
        }
    }
}

/// Waits for something that nobody tells of.
///
/// # Panics
/// If it does not come.
pub(crate) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds().await {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Notes everything that the page reports as an error from now on.
const WATCH_FAULTS: &str = "
    window.__faults = [];
    const note = (kind, what) => window.__faults.push(`${kind}: ${what}`);
    const before = console.error;
    console.error = (...words) => { note('console', words.map(String).join(' ')); before.apply(console, words); };
    addEventListener('error', (event) => note('error', event.message));
    addEventListener('unhandledrejection', (event) => note('rejection', event.reason));
    document.addEventListener('securitypolicyviolation', (event) => note('policy', `${event.violatedDirective} ${event.blockedURI}`));
";

/// Elements by what assistive technology calls them.
const NAMES: &str = "
    const textOf = (node) =>
        node.nodeType === Node.TEXT_NODE ? node.data
        : node.nodeType !== Node.ELEMENT_NODE || node.getAttribute('aria-hidden') === 'true' || node.tagName === 'svg' ? ''
        : [...node.childNodes].map(textOf).join('');
    const nameOf = (element) =>
        (element.getAttribute('aria-label') || (element.labels?.length ? textOf(element.labels[0]) : textOf(element)) || element.title || '')
            .replace(/\\s+/g, ' ').trim();
    const roles = {
        button: 'button, [role=button]', link: 'a[href]', heading: 'h1, h2, h3', tab: '[role=tab]', radio: 'input[type=radio]',
        textbox: 'input:not([type=radio]):not([type=checkbox]), textarea', dialog: '[role=dialog]', option: '[role=option]',
    };
    const byRole = (role, name) =>
        [...document.querySelectorAll(roles[role])].find((one) => one.getClientRects().length > 0 && nameOf(one) === name);
";

/// Hands over what the expression gives as soon as it gives something, or null when time is up.
const WAIT: &str = "
    const [limit, done] = arguments;
    NAMES
    let timer, watcher;
    const finish = (value) => { clearTimeout(timer); watcher.disconnect(); done(value); };
    const look = () => { const value = EXPRESSION; if (value) finish(value); return value; };
    watcher = new MutationObserver(look);
    timer = setTimeout(() => finish(null), limit);
    if (!look()) watcher.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
";
