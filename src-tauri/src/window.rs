//! The window: starts the desktop side, opens the application beside it, and closes both in order.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use quaero_app::{App, AppOptions, Role};
use tauri::{
    AppHandle, ExitRequestApi, Manager, RunEvent, Url, WebviewWindow, WebviewWindowBuilder,
    WindowEvent, async_runtime, webview::NewWindowResponse,
};
use tauri_plugin_window_state::StateFlags;
use tokio::time::timeout;

use crate::{
    bindings, bridge, data_dir,
    host::{Host, Opening},
    logging,
    sign_in::{self, SignIns},
};

/// The label of the window that may call the program.
pub(crate) const MAIN: &str = "main";
/// A front end that has not painted by then has failed; its empty window is better than none.
const PAINT_LIMIT: Duration = Duration::from_secs(5);
/// For commands under way and for the engine, whose own limit is 10 s. What is cut off goes on after
/// the next start.
const CLOSE_LIMIT: Duration = Duration::from_secs(15);

/// Opens the window and returns when it is closed.
pub(crate) fn run(flag: Option<PathBuf>) -> ExitCode {
    if !has_display() {
        return fail(NO_DISPLAY);
    }
    let data_dir = match data_dir::resolve(flag) {
        Ok(dir) => dir,
        Err(error) => return fail(&error.to_string()),
    };
    // A folder that cannot be written is told in the window, by opening the application.
    let _log = logging::start(&data_dir).ok();

    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("quaero")
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("Quaero cannot start its threads: {error}.")),
    };
    async_runtime::set(runtime.handle().clone());

    // The desktop's toolkit panics when the display is named but does not answer.
    let app = match catch_unwind(AssertUnwindSafe(|| build(data_dir))) {
        Ok(Ok(app)) => app,
        Ok(Err(error)) => return fail(&format!("Quaero cannot open its window: {error}.")),
        Err(_) => return fail(NO_DISPLAY),
    };
    let code = app.run_return(|app, event| match event {
        RunEvent::ExitRequested { api, code, .. } => {
            app.state::<Ending>().requested(app, &api, code);
        }
        // The program ends with its last window.
        RunEvent::WindowEvent { label, event: WindowEvent::Destroyed, .. } if label == MAIN => {
            sign_in::close(app);
        }
        _ => {}
    });
    // What still runs is waiting for something outside; the files are closed.
    runtime.shutdown_background();
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn build(data_dir: PathBuf) -> tauri::Result<tauri::App> {
    let mut context = context();
    separate(context.config_mut(), &data_dir);
    let bridge = bindings::builder();

    tauri::Builder::default()
        // First, so that a second program ends before it does anything else.
        .plugin(tauri_plugin_single_instance::init(|app, _args, _folder| started_again(app)))
        .plugin(
            tauri_plugin_window_state::Builder::new()
                // Whether it is visible is for the front end to say, once it has painted.
                .with_state_flags(StateFlags::all() - StateFlags::VISIBLE)
                .with_filename(data_dir.join("window.json").to_string_lossy())
                .with_filter(|label| label == MAIN)
                .build(),
        )
        .plugin(tauri_plugin_dialog::init())
        .plugin(tauri_plugin_opener::Builder::new().open_js_links_on_click(false).build())
        .invoke_handler(bridge.invoke_handler())
        .setup(move |app| {
            bridge.mount_events(app);
            let (host, opening) = Host::new(data_dir.clone());
            app.manage(host);
            app.manage(Ending::default());
            app.manage(SignIns::default());
            async_runtime::spawn(open(app.handle().clone(), data_dir.clone(), opening));
            async_runtime::spawn(end_on_signal(app.handle().clone()));
            open_window(app.handle(), &data_dir)?;
            Ok(())
        })
        .build(context)
}

/// The configuration, the permissions and the front end, as the build script embedded them.
#[allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "written by tauri-build"
)]
fn context() -> tauri::Context {
    tauri::tauri_build_context!()
}

/// Opens the application beside the window, which may be shown meanwhile.
async fn open(app: AppHandle, data_dir: PathBuf, opening: Opening) {
    let result = App::open(AppOptions { data_dir, role: Role::Engine }).await;
    match &result {
        Ok(opened) => drop(async_runtime::spawn(bridge::forward(app, opened.events()))),
        Err(error) => tracing::error!(%error, "The data folder could not be opened."),
    }
    opening.finish(result);
}

fn open_window(app: &AppHandle, data_dir: &Path) -> tauri::Result<()> {
    let config = app.config().app.windows.iter().find(|window| window.label == MAIN);
    let config = config.expect("the configuration, embedded in the program, has this window");
    let window = WebviewWindowBuilder::from_config(app, config)?
        .data_directory(data_dir.join("webview"))
        .on_navigation(is_own_page)
        .on_new_window(|_, _| NewWindowResponse::Deny)
        .build()?;
    async_runtime::spawn(async move {
        tokio::time::sleep(PAINT_LIMIT).await;
        if matches!(window.is_visible(), Ok(false)) {
            tracing::warn!("The front end has not painted in time; its window is shown as it is.");
            show(&window);
        }
    });
    Ok(())
}

/// Whether an address belongs to the embedded front end. Nothing else is ever shown in the window:
/// whatever is could call the commands.
fn is_own_page(url: &Url) -> bool {
    let (scheme, host) =
        if cfg!(windows) { ("http", "tauri.localhost") } else { ("tauri", "localhost") };
    url.scheme() == scheme
        && url.host_str() == Some(host)
        && url.port().is_none()
        && url.username().is_empty()
        && url.password().is_none()
}

/// One window for each data folder: with another folder, Quaero is another application to the desktop.
fn separate(config: &mut tauri::Config, data_dir: &Path) {
    if data_dir::usual().as_deref() == Some(data_dir) {
        return;
    }
    let mut hasher = DefaultHasher::new();
    data_dir.hash(&mut hasher);
    config.identifier = format!("{}.d{:016x}", config.identifier, hasher.finish());
}

fn show(window: &WebviewWindow) {
    let shown = window.show().and_then(|()| window.unminimize()).and_then(|()| window.set_focus());
    if let Err(error) = shown {
        tracing::warn!(%error, "The window could not be shown.");
    }
}

/// Another program was started on the same data folder; it has ended already.
fn started_again(app: &AppHandle) {
    let ending = app.try_state::<Ending>().is_some_and(|ending| ending.start_again());
    match app.get_webview_window(MAIN) {
        Some(window) if !ending => show(&window),
        _ => {}
    }
}

/// Ctrl+C in the terminal and the desktop's own end of session close the window properly.
async fn end_on_signal(app: AppHandle) {
    #[cfg(unix)]
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        Ok(()) = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
    app.exit(0);
}

/// How far the end of the program has come.
#[derive(Default)]
struct Ending {
    begun: AtomicBool,
    closed: AtomicBool,
    start_again: AtomicBool,
}

impl Ending {
    /// Holds the exit back until the application is closed.
    fn requested(&self, app: &AppHandle, exit: &ExitRequestApi, code: Option<i32>) {
        if self.closed.load(Ordering::Acquire) {
            return;
        }
        exit.prevent_exit();
        if self.begun.swap(true, Ordering::AcqRel) {
            return;
        }
        // The user sees the window go at once; what is left takes a moment.
        for window in app.webview_windows().values() {
            let _ = window.hide();
        }
        async_runtime::spawn(close(app.clone(), code.unwrap_or(0)));
    }

    /// Whether the program is ending; if so, it will start again when it has.
    fn start_again(&self) -> bool {
        let begun = self.begun.load(Ordering::Acquire);
        self.start_again.fetch_or(begun, Ordering::AcqRel);
        begun
    }
}

async fn close(app: AppHandle, code: i32) {
    if timeout(CLOSE_LIMIT, app.state::<Host>().close()).await.is_err() {
        tracing::warn!(
            "The application did not close in time. Its work goes on at the next start."
        );
    }
    let ending = app.state::<Ending>();
    ending.closed.store(true, Ordering::Release);
    if ending.start_again.load(Ordering::Acquire) {
        app.request_restart();
    } else {
        app.exit(code);
    }
}

const NO_DISPLAY: &str = "Quaero cannot open its window: there is no display.\n\
     Set DISPLAY or WAYLAND_DISPLAY, or use the command line: quaero --help";

/// On other systems there always is one.
fn has_display() -> bool {
    let named = |variable| std::env::var_os(variable).is_some_and(|value| !value.is_empty());
    !cfg!(target_os = "linux") || named("DISPLAY") || named("WAYLAND_DISPLAY")
}

#[allow(clippy::print_stderr, reason = "without a window there is no other place to say it")]
fn fail(message: &str) -> ExitCode {
    tracing::error!(message, "The window was not opened.");
    eprintln!("{message}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(not(windows))]
    fn only_the_embedded_front_end_is_shown() {
        let rows = [
            ("tauri://localhost", true),
            ("tauri://localhost/runs/7?tab=log#end", true),
            ("tauri://localhost.evil.example/", false),
            ("tauri://localhost:8080/", false),
            ("tauri://user@localhost/", false),
            ("tauri://evil.example/", false),
            ("http://tauri.localhost/", false),
            ("http://localhost/", false),
            ("https://example.org/", false),
            ("file:///etc/passwd", false),
            ("data:text/html,hi", false),
            ("javascript:alert(1)", false),
            ("about:blank", false),
        ];
        for (address, expected) in rows {
            assert_eq!(is_own_page(&address.parse().expect(address)), expected, "{address}");
        }
    }

    #[test]
    fn a_start_while_ending_is_not_lost() {
        let ending = Ending::default();
        assert!(!ending.start_again(), "not ending yet: the window is shown instead");
        assert!(!ending.start_again.load(Ordering::Acquire));
        ending.begun.store(true, Ordering::Release);
        assert!(ending.start_again());
        assert!(ending.start_again.load(Ordering::Acquire));
    }
}
