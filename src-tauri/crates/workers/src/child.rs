//! Programs that are started beside this one.

use std::{env, ffi::OsString, process::Command};

/// What the names of all our variables begin with. Keys and a passphrase may stand in some.
const OURS: &str = "QUAERO_";

/// Keeps our variables from a program that is about to be started: keys are no business of it.
pub(crate) fn without_keys(command: &mut Command) {
    let set = command.get_envs().map(|(name, _)| name.to_owned());
    let names: Vec<OsString> = env::vars_os().map(|(name, _)| name).chain(set).collect();
    for name in names.iter().filter(|name| name.to_string_lossy().starts_with(OURS)) {
        command.env_remove(name);
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_started_gets_no_keys() {
        let mut command = Command::new("env");
        command.env("QUAERO_BRAVE_API_KEY", "canary").env("QUAERO_PASSPHRASE", "canary");
        command.env("KEPT", "yes");
        without_keys(&mut command);
        let output = command.output().expect("`env` is everywhere");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("KEPT=yes"), "{text}");
        assert!(!text.contains(OURS) && !text.contains("canary"), "{text}");
    }
}
