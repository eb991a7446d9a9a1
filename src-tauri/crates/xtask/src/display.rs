//! A display without a screen, for driving the window in tests.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use crate::process::cannot_start;

/// An X server that lives as long as this value.
pub(crate) struct Display {
    server: Child,
    name: String,
}

impl Display {
    /// Starts one on a number that it chooses itself.
    ///
    /// # Errors
    /// If it does not start.
    pub(crate) fn start() -> Result<Self, String> {
        let mut command = Command::new("Xvfb");
        command.args(["-displayfd", "1", "-screen", "0", "1440x900x24", "-nolisten", "tcp"]);
        let mut server = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| cannot_start(&command, &error))?;
        // It writes the number when it is ready.
        let mut number = String::new();
        let stdout = server.stdout.take().expect("piped above");
        let read = BufReader::new(stdout).read_line(&mut number);
        let display = Self { server, name: format!(":{}", number.trim()) };
        match read {
            Ok(_) if !number.trim().is_empty() => Ok(display),
            _ => Err("Xvfb ended before it was ready.".to_owned()),
        }
    }

    /// The value for `DISPLAY`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
