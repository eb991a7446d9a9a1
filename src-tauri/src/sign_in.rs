//! Signing in to a site in a window of its own.
//!
//! Architecture invariant: what is shown there has no access to the program. No capability names these
//! windows, so every command is refused to them; they share no storage with the main window and keep
//! nothing on the disk. Only [`cookies`] reads anything of them, when the user says so.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use quaero_app::SignIn;
use quaero_contract::{ApiError, ErrorCode};
use tauri::{
    AppHandle, Manager, Url, WebviewUrl, WebviewWindow, WebviewWindowBuilder, WindowEvent,
    webview::{Cookie, NewWindowResponse, PermissionResponse},
};

use crate::{
    host::{Host, blocking},
    window::MAIN,
};

/// What the labels of these windows begin with.
pub(crate) const LABEL: &str = "sign-in-";
/// A site that opens more is not answered.
const MOST_WINDOWS: usize = 10;

/// The sign-in under way, if there is one. Held by Tauri.
#[derive(Default)]
pub(crate) struct SignIns {
    current: Mutex<Option<(String, SignIn)>>,
    opened: AtomicU64,
}

impl SignIns {
    /// The label of a new window; one that is closing may still have the last.
    fn label(&self) -> String {
        format!("{LABEL}{}", self.opened.fetch_add(1, Ordering::Relaxed))
    }

    fn put(&self, current: Option<(String, SignIn)>) {
        // Nothing can be half-changed.
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = current;
    }

    fn get(&self) -> Option<(String, SignIn)> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Opens the window of a sign-in, in the place of an earlier one; one that the user has put away is shown
/// again.
///
/// # Errors
/// `conflict` if it is given up meanwhile; `internal` if the desktop opens none.
pub(crate) fn open(app: &AppHandle, sign_in: SignIn) -> Result<(), ApiError> {
    let signs_in = app.state::<SignIns>();
    if let Some((label, current)) = signs_in.get()
        && current.is_same(&sign_in)
        && let Some(window) = app.get_webview_window(&label)
    {
        let shown = window.show().and_then(|()| window.unminimize());
        return shown.and_then(|()| window.set_focus()).map_err(|error| desktop(&error));
    }
    close(app);
    let label = signs_in.label();
    // Who closes it from now on finds it, or is found below.
    signs_in.put(Some((label.clone(), sign_in.clone())));
    let address = WebviewUrl::External(sign_in.address().clone());
    let builder = WebviewWindowBuilder::new(app, &label, address)
        .incognito(true)
        .inner_size(960.0, 720.0)
        .center();
    let data_dir = app.state::<Host>().data_dir().join("webview");
    let builder = builder.data_directory(data_dir.clone());
    let (opener, allowed) = (app.clone(), sign_in.clone());
    let builder = guarded(builder, sign_in.clone(), sign_in.address())
        // Some sites ask who it is in a second window.
        .on_new_window(move |url, features| {
            let windows = opener.webview_windows();
            let count = windows.keys().filter(|label| label.starts_with(LABEL)).count();
            if count >= MOST_WINDOWS || !allowed.may_show(&url) {
                return NewWindowResponse::Deny;
            }
            let blank = WebviewUrl::External("about:blank".parse().expect("an address"));
            let label = opener.state::<SignIns>().label();
            let builder = WebviewWindowBuilder::new(&opener, label, blank)
                .incognito(true)
                .data_directory(data_dir.clone())
                .window_features(features);
            match guarded(builder, allowed.clone(), &url)
                .on_new_window(|_, _| NewWindowResponse::Deny)
                .build()
            {
                Ok(window) => NewWindowResponse::Create { window },
                Err(error) => {
                    tracing::warn!(%error, "A second window of a sign-in was not opened.");
                    NewWindowResponse::Deny
                }
            }
        });
    let window = builder.build().map_err(|error| {
        signs_in.put(None);
        desktop(&error)
    })?;
    let closed = window.clone();
    window.on_window_event(move |event| {
        // Its cookies go with it, so it stays until the user has said what becomes of them.
        if let WindowEvent::CloseRequested { api, .. } = event {
            api.prevent_close();
            let _ = closed.hide();
        }
    });
    let is_wanted = signs_in.get().is_some_and(|(current, _)| current == label);
    if !is_wanted || app.get_webview_window(MAIN).is_none() {
        close(app);
        return Err(ApiError::new(ErrorCode::Conflict, "The sign-in was given up."));
    }
    Ok(())
}

type Builder<'a> = WebviewWindowBuilder<'a, tauri::Wry, AppHandle>;

/// What holds for every window of a sign-in. Without an address bar, the title says whose page it is.
fn guarded<'a>(builder: Builder<'a>, sign_in: SignIn, first: &Url) -> Builder<'a> {
    builder
        .title(title(first))
        .on_navigation(move |url| sign_in.may_show(url))
        .on_download(|_, _| false)
        .on_permission_request(|_, _| PermissionResponse::Deny)
        .on_page_load(|window, page| {
            let _ = window.set_title(&title(page.url()));
        })
}

fn title(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.scheme() {
        "https" => format!("{host} — sign in for Quaero"),
        _ => format!("{host} (not encrypted) — sign in for Quaero"),
    }
}

/// The sign-in under way, and the cookies of its window as the text of a `cookies.txt`.
///
/// # Errors
/// `conflict` if there is none; `internal` if the desktop does not give them.
pub(crate) async fn cookies(app: &AppHandle) -> Result<(SignIn, String), ApiError> {
    let current = app.state::<SignIns>().get();
    let found =
        current.and_then(|(label, sign_in)| Some((app.get_webview_window(&label)?, sign_in)));
    let Some((window, sign_in)) = found else {
        let error = ApiError::new(ErrorCode::Conflict, "No window of a sign-in is open.");
        return Err(error.with_hint("Open it again, and sign in there."));
    };
    let text = blocking(move || cookies_txt(&window).map_err(|error| desktop(&error))).await?;
    Ok((sign_in, text))
}

fn cookies_txt(window: &WebviewWindow) -> tauri::Result<String> {
    let mut text = String::new();
    for cookie in window.cookies()? {
        let (Some(domain), path) = (cookie.domain(), cookie.path().unwrap_or("/")) else {
            continue;
        };
        let fields = [domain, path, cookie.name(), cookie.value()];
        if fields.iter().any(|field| field.contains(char::is_control)) {
            continue;
        }
        let below = if goes_below(window, &cookie, domain, path)? { "TRUE" } else { "FALSE" };
        let secure = if cookie.secure() == Some(true) { "TRUE" } else { "FALSE" };
        let ends = cookie.expires_datetime().map_or(0, |ends| ends.unix_timestamp().max(1));
        let (name, value) = (cookie.name(), cookie.value());
        text.push_str(&format!("{domain}\t{below}\t{path}\t{secure}\t{ends}\t{name}\t{value}\n"));
    }
    Ok(text)
}

/// Whether a cookie belongs to hosts below its own, too. A cookie does not say so itself any more, but
/// an address there does or does not get it.
fn goes_below(
    window: &WebviewWindow,
    cookie: &Cookie<'_>,
    domain: &str,
    path: &str,
) -> tauri::Result<bool> {
    // There the question is answered by comparing hosts only. Within its site the cookie does no harm.
    if cfg!(target_os = "macos") {
        return Ok(true);
    }
    let Ok(url) = format!("https://below.{domain}{path}").parse() else { return Ok(false) };
    let there = window.cookies_for_url(url)?;
    Ok(there.iter().any(|other| {
        (other.name(), other.value(), other.domain(), other.path())
            == (cookie.name(), cookie.value(), cookie.domain(), cookie.path())
    }))
}

/// Ends the sign-in under way. What was not kept is gone.
pub(crate) fn close(app: &AppHandle) {
    app.state::<SignIns>().put(None);
    for (label, window) in app.webview_windows() {
        if label.starts_with(LABEL)
            && let Err(error) = window.destroy()
        {
            tracing::warn!(%error, "The window of a sign-in was not closed.");
        }
    }
}

fn desktop(error: &tauri::Error) -> ApiError {
    ApiError::new(ErrorCode::Internal, format!("The desktop refused the window: {error}."))
}
