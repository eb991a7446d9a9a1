//! The real program as a child process, driven through its command line.
//!
//! Nothing waits without a limit, and no process outlives the test that started it.

use std::{
    ffi::{OsStr, OsString},
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::Value;

/// No command of a test takes this long; one that does hangs.
pub const LIMIT: Duration = Duration::from_secs(60);

/// The program under test: `QUAERO_BIN`, or the one that cargo built beside this test.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(named) = std::env::var_os("QUAERO_BIN") {
        let path = PathBuf::from(named);
        assert!(path.is_file(), "QUAERO_BIN is {}, but there is no such file", path.display());
        return path;
    }
    let test = std::env::current_exe().expect("a running program has a path");
    // A test is in target/PROFILE/deps, the program in target/PROFILE.
    let folder = test.parent().and_then(Path::parent).expect("cargo puts tests two folders deep");
    let path = folder.join(format!("quaero{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.is_file(),
        "there is no {}: build it (cargo build -p quaero), or name another one in QUAERO_BIN",
        path.display()
    );
    path
}

/// The command line on one data folder.
#[derive(Clone, Debug)]
pub struct Quaero {
    data_dir: PathBuf,
    variables: Vec<(String, OsString)>,
}

impl Quaero {
    /// Uses this data folder, which need not exist.
    #[must_use]
    pub fn on(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), variables: Vec::new() }
    }

    /// The same with an environment variable.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<OsString>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// The data folder.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    /// If it cannot be started or takes longer than [`LIMIT`].
    pub fn ask<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Answer {
        self.start(args).finish()
    }

    /// Runs a command that reads a text to its end.
    ///
    /// # Panics
    /// If it cannot be started or takes longer than [`LIMIT`].
    pub fn tell<S: AsRef<OsStr>>(&self, input: &str, args: impl IntoIterator<Item = S>) -> Answer {
        let (mut command, what) = self.command(args);
        let mut process = Process::start(command.stdin(Stdio::piped()), &what)
            .unwrap_or_else(|error| panic!("{what} cannot be started: {error}"));
        let mut stdin = process.child.stdin.take().expect("piped above");
        stdin.write_all(input.as_bytes()).unwrap_or_else(|error| panic!("{what}: {error}"));
        drop(stdin);
        process.finish()
    }

    /// Starts a command.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Process {
        let (mut command, what) = self.command(args);
        Process::start(&mut command, &what)
            .unwrap_or_else(|error| panic!("{what} cannot be started: {error}"))
    }

    /// Starts a command as another user, which only the administrator may do.
    ///
    /// # Errors
    /// If that user may not start the program.
    #[cfg(unix)]
    pub fn start_as<S: AsRef<OsStr>>(
        &self,
        user: u32,
        args: impl IntoIterator<Item = S>,
    ) -> std::io::Result<Process> {
        use std::os::unix::process::CommandExt;
        let (mut command, what) = self.command(args);
        Process::start(command.uid(user).gid(user), &what)
    }

    /// Starts a command that may have only so many files open at a time.
    ///
    /// # Panics
    /// If it cannot be started.
    #[cfg(unix)]
    pub fn start_with_files<S: AsRef<OsStr>>(
        &self,
        most: u32,
        args: impl IntoIterator<Item = S>,
    ) -> Process {
        self.start_after(&format!("ulimit -n {most}"), args)
    }

    /// Starts a command after a line of shell that sets something for it.
    ///
    /// # Panics
    /// If it cannot be started.
    #[cfg(unix)]
    pub fn start_after<S: AsRef<OsStr>>(
        &self,
        line: &str,
        args: impl IntoIterator<Item = S>,
    ) -> Process {
        let (command, what) = self.command(args);
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("{line} && exec \"$@\""), "sh"])
            .arg(command.get_program())
            .args(command.get_args())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY");
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Process::start(&mut shell, &what)
            .unwrap_or_else(|error| panic!("{what} cannot be started: {error}"))
    }

    fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> (Command, String) {
        let args: Vec<OsString> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let shown: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
        let what = format!("quaero {}", shown.join(" "));
        let mut command = Command::new(binary());
        command
            .arg("--data-dir")
            .arg(&self.data_dir)
            .args(args)
            .env_remove("QUAERO_DATA_DIR")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            // A command never opens a window, whatever display the tests have.
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        (command, what)
    }
}

/// A command that is running. Killed when dropped.
pub struct Process {
    what: String,
    child: Child,
    lines: mpsc::Receiver<String>,
    seen: Vec<String>,
    errors: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    deadline: Instant,
}

impl Process {
    /// Starts a command whose input and outputs are set up already; `what` is it for people.
    pub(crate) fn start(command: &mut Command, what: &str) -> std::io::Result<Self> {
        let what = what.to_owned();
        let mut child = command.spawn()?;
        let (send, lines) = mpsc::channel();
        let stdout = child.stdout.take().expect("piped above");
        let mut stderr = child.stderr.take().expect("piped above");
        let errors = Arc::new(Mutex::new(String::new()));
        let written = Arc::clone(&errors);
        let readers = vec![
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                    if send.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                        return;
                    }
                }
            }),
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(read @ 1..) = stderr.read(&mut bytes) {
                    let text = String::from_utf8_lossy(&bytes[..read]);
                    written.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
                }
            }),
        ];
        let deadline = Instant::now() + LIMIT;
        Ok(Self { what, child, lines, seen: Vec::new(), errors, readers, deadline })
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of JSON; None when the program has closed its output.
    ///
    /// # Panics
    /// If none comes within [`LIMIT`], or it is not JSON.
    pub fn next_json(&mut self) -> Option<Value> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => {
                self.seen.push(line.clone());
                let value = serde_json::from_str(&line);
                Some(value.unwrap_or_else(|error| panic!("{}: {error}: {line}", self.what)))
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("{self} says nothing more"),
        }
    }

    /// Reads lines of JSON until one fits.
    ///
    /// # Panics
    /// If none does.
    pub fn wait_for(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        while let Some(value) = self.next_json() {
            if fits(&value) {
                return value;
            }
        }
        panic!("{self} ended without {what}");
    }

    /// The id of the run that `quaero run` or `quaero runs resume` has announced.
    ///
    /// # Panics
    /// If it ends without one.
    pub fn run_id(&mut self) -> String {
        let started = self.wait_for("run_started", |line| line["type"] == "run_started");
        started["run_id"].as_str().expect("a run id is a string").to_owned()
    }

    /// Whether it has ended by itself within this time.
    pub fn ends_within(&mut self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(mpsc::RecvTimeoutError::Timeout) => return false,
                // Its output is closed: it is ending.
                Err(mpsc::RecvTimeoutError::Disconnected) => return true,
            }
        }
    }

    /// Asks it to end, as Ctrl-C in a terminal does.
    ///
    /// # Panics
    /// If it has ended already.
    #[cfg(unix)]
    pub fn interrupt(&self) {
        self.signal(rustix::process::Signal::INT);
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// If the system refuses.
    #[cfg(unix)]
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.expect("a pid"), signal)
            .unwrap_or_else(|error| panic!("{} gets no {signal:?}: {error}", self.what));
    }

    /// Lets it open only so many files from now on; those that are open stay so.
    ///
    /// # Panics
    /// If the system refuses.
    #[cfg(target_os = "linux")]
    pub fn limit_files(&self, most: u64) {
        use rustix::process::{Pid, Resource, Rlimit, prlimit};
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let old = rustix::process::getrlimit(Resource::Nofile);
        let new = Rlimit { current: Some(most), maximum: old.maximum };
        prlimit(pid, Resource::Nofile, new)
            .unwrap_or_else(|error| panic!("{} gets no limit: {error}", self.what));
    }

    /// Ends it as `kill -9` does. Returns what it had printed.
    ///
    /// # Panics
    /// If the system refuses.
    pub fn kill(mut self) -> Answer {
        self.child.kill().unwrap_or_else(|error| panic!("{} cannot be killed: {error}", self.what));
        self.finish()
    }

    /// The most memory it has had so far, in bytes; 0 where the system does not tell.
    #[must_use]
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.unwrap_or(0) * 1024
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it takes longer than [`LIMIT`] from its start.
    pub fn finish(mut self) -> Answer {
        let left = self.deadline.saturating_duration_since(Instant::now());
        assert!(self.ends_within(left), "{self} does not end");
        let status = self.child.wait().unwrap_or_else(|error| panic!("{}: {error}", self.what));
        for reader in self.readers.drain(..) {
            reader.join().expect("reading does not panic");
        }
        let stderr = self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Answer { what: self.what.clone(), status, lines: std::mem::take(&mut self.seen), stderr }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        show(f, &self.what, &self.seen, &errors)
    }
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Answer {
    what: String,
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed, by line.
    pub lines: Vec<String>,
    /// What it printed for people beside that.
    pub stderr: String,
}

impl Answer {
    /// The exit code; None if it was killed.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The same answer, if it ended with this exit code.
    ///
    /// # Panics
    /// If it did not.
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code(), Some(code), "{self}");
        self
    }

    /// The whole output as one JSON value.
    ///
    /// # Panics
    /// If it is not one.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.lines.join("\n"))
            .unwrap_or_else(|error| panic!("not JSON: {error}\n{self}"))
    }

    /// The output as a JSON value for each line.
    ///
    /// # Panics
    /// If a line is not JSON.
    #[must_use]
    pub fn json_lines(&self) -> Vec<Value> {
        let parse = |line: &String| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}\n{self}"))
        };
        self.lines.iter().map(parse).collect()
    }

    /// The last line of a run.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn finished(&self) -> Value {
        let lines = self.json_lines();
        let last = lines.last().unwrap_or_else(|| panic!("no output\n{self}"));
        assert_eq!(last["type"], "run_finished", "{self}");
        last.clone()
    }

    /// Everything it said, for looking for words.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}", self.lines.join("\n"), self.stderr)
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        show(f, &format!("{} ({})", self.what, self.status), &self.lines, &self.stderr)
    }
}

fn show(
    f: &mut std::fmt::Formatter<'_>,
    what: &str,
    lines: &[String],
    errors: &str,
) -> std::fmt::Result {
    writeln!(f, "{what}")?;
    for line in &lines[lines.len().saturating_sub(20)..] {
        let end = line.char_indices().nth(400).map_or(line.len(), |(at, _)| at);
        writeln!(f, "  {}", &line[..end])?;
    }
    write!(f, "  stderr: {errors}")
}
