//! A running browser: how it is started, and that it ends.
//!
//! It is driven through a pipe. There is no port that another program could connect to, and a browser
//! whose pipe closes ends by itself: one whose Quaero was killed stays behind on no system.
//!
//! Architecture invariant: it cannot connect to anything. Every name and address resolves to nothing,
//! even that of the proxy through which it would have to go. What it needs is fetched by Quaero.

use std::{
    env, fs,
    io::{self, Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    thread::JoinHandle,
};

use tempfile::TempDir;

use super::{BrowserError, wire::Wire};
use crate::child::without_keys;

const FLAGS: [&str; 30] = [
    "--headless",
    "--remote-debugging-pipe",
    // Nothing is reached.
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-server=http://proxy.invalid:1",
    "--proxy-bypass-list=<-loopback>",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-quic",
    "--dns-prefetch-disable",
    "--no-pings",
    // Nothing is asked for that no page asked for.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-client-side-phishing-detection",
    "--disable-sync",
    "--disable-features=MediaRouter,DialMediaRouteProvider,OptimizationHints,Translate,AutofillServerCommunication,CertificateTransparencyComponentUpdater",
    "--disable-extensions",
    "--disable-breakpad",
    "--disable-crash-reporter",
    "--metrics-recording-only",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-service-autorun",
    // Nothing is opened, shown, played or taken from the user's keychain.
    "--block-new-web-contents",
    "--mute-audio",
    "--disable-gpu",
    "--password-store=basic",
    "--use-mock-keychain",
    // A page's scripts get so much memory, in megabytes.
    "--js-flags=--max-old-space-size=512",
];

/// The same for WebRTC, which takes it from the profile, too.
const PREFERENCES: &str = r#"{"webrtc":{"ip_handling_policy":"disable_non_proxied_udp","multiple_routes_enabled":false,"nonproxied_udp_enabled":false},"dns_over_https":{"mode":"off"}}"#;

/// How the names of profiles begin, among the temporary files.
const PROFILE: &str = "quaero-browser-";
/// A file in a profile that is locked while it is used.
const LOCK: &str = "quaero.lock";

/// A running browser. It ends when this is dropped.
pub(super) struct Running {
    pub(super) wire: Wire,
    /// What the user should know about how it was started.
    pub(super) notice: Option<&'static str>,
    process: u32,
    reader: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts `program` with an empty profile.
    pub(super) fn start(program: &Path) -> Result<Self, BrowserError> {
        let failed = |error: io::Error| BrowserError::Start {
            program: program.display().to_string(),
            reason: error.to_string(),
        };
        sweep();
        let profile = tempfile::Builder::new().prefix(PROFILE).tempdir().map_err(failed)?;
        let lock = fs::File::create(profile.path().join(LOCK)).map_err(failed)?;
        lock.try_lock().map_err(|error| failed(error.into()))?;
        let settings = profile.path().join("Default");
        fs::create_dir(&settings).map_err(failed)?;
        fs::write(settings.join("Preferences"), PREFERENCES).map_err(failed)?;
        let mut command = Command::new(program);
        command.args(FLAGS).arg(format!("--user-data-dir={}", profile.path().display()));
        let notice = unsandboxed();
        if notice.is_some() {
            command.arg("--no-sandbox");
        }
        command.arg("about:blank").stderr(Stdio::null());
        without_keys(&mut command);
        let Piped { child, input, output } = piped(command).map_err(failed)?;
        let process = child.id();
        let wire = Wire::over(input);
        let told = wire.clone();
        let reader = std::thread::Builder::new()
            .name("browser".to_owned())
            .spawn(move || {
                told.read(output);
                end(child, profile);
                drop(lock);
            })
            .map_err(failed)?;
        Ok(Self { wire, notice, process, reader: Some(reader) })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.wire.close();
        kill(self.process);
        if let Some(reader) = self.reader.take() {
            // It sees the end of the browser at once, and takes its profile away.
            let _ = reader.join();
        }
    }
}

/// Removes the profiles that processes which were killed have left. A live one is locked.
fn sweep() {
    for entry in fs::read_dir(env::temp_dir()).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PROFILE) {
            continue;
        }
        let lock = fs::File::open(entry.path().join(LOCK));
        if lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
            // What cannot be removed now is tried again the next time.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Waits for the end of a browser that says nothing more, and removes what it kept.
fn end(mut child: Child, profile: TempDir) {
    kill(child.id());
    let _ = child.kill();
    let _ = child.wait();
    // A process of the browser may still be writing; the system clears its folder in the end.
    let _ = profile.close();
}

/// A program with the two pipes of its remote control.
struct Piped<I, O> {
    child: Child,
    input: I,
    output: O,
}

/// The browser reads from its third file and writes to its fourth. The shell puts them there.
#[cfg(unix)]
fn piped(command: Command) -> io::Result<Piped<impl Write + Send + 'static, impl Read>> {
    use std::os::unix::process::CommandExt;

    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null", "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // A group of its own: Ctrl-C is for Quaero, and the group ends as a whole.
        .process_group(0);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let mut child = shell.spawn()?;
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    Ok(Piped { child, input, output })
}

/// The browser is told the numbers of two handles that it inherits.
#[cfg(windows)]
fn piped(mut command: Command) -> io::Result<Piped<impl Write + Send + 'static, impl Read>> {
    use std::os::windows::io::{AsHandle, AsRawHandle, OwnedHandle};

    use interprocess::{os::windows::unnamed_pipe::CreationOptions, unnamed_pipe};

    // The ends that stay here must not be inherited: a copy in the browser would keep its own pipe
    // open. A duplicate is not inherited, and the inheritable original is closed.
    fn kept(handle: impl AsHandle) -> io::Result<fs::File> {
        let duplicate: OwnedHandle = handle.as_handle().try_clone_to_owned()?;
        Ok(duplicate.into())
    }
    let inheritable = || CreationOptions::new().inheritable(true).create();
    let (sender, theirs): (unnamed_pipe::Sender, unnamed_pipe::Recver) = inheritable()?;
    let input = kept(sender)?;
    let (their_sender, recver) = inheritable()?;
    let output = kept(recver)?;
    let number = |handle: std::os::windows::io::RawHandle| handle as usize;
    command.arg(format!(
        "--remote-debugging-io-pipes={},{}",
        number(theirs.as_handle().as_raw_handle()),
        number(their_sender.as_handle().as_raw_handle())
    ));
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    Ok(Piped { child, input, output })
}

/// Ends a browser with all its processes.
#[cfg(unix)]
fn kill(process: u32) {
    let group = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        // It may have ended by itself.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

/// Closing the pipe has ended it.
#[cfg(windows)]
fn kill(_process: u32) {}

/// Why the browser's own sandbox has to be off, if it has to.
fn unsandboxed() -> Option<&'static str> {
    #[cfg(unix)]
    if rustix::process::geteuid().is_root() {
        return Some(
            "The browser runs without its sandbox, because Quaero runs as the administrator. Run it as another user to have pages' scripts locked in.",
        );
    }
    None
}
