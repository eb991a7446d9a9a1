//! What the machine needs, and getting it.

use std::{fs, process::Command};

use crate::process::{find, output, run};

/// What the machine is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Building and running.
    Run,
    /// All the tests as well.
    Test,
}

/// Something that has to be there. The first package name that applies is what gets installed.
struct Need {
    what: &'static str,
    is_met: fn() -> bool,
    /// Only these are installed for the user: we can ask apt without a question.
    debian: &'static [&'static str],
    fedora: &'static str,
    arch: &'static str,
    only_for_tests: bool,
}

/// Vite's own limit.
const NODE: (u32, u32) = (20, 19);

const NODE_NEED: Need = Need {
    what: "Node.js 20.19 or newer, with npm",
    is_met: || {
        find("npm").is_some()
            && output("node", &["--version"]).is_some_and(|version| is_new_enough(&version))
    },
    debian: &["nodejs", "npm"],
    fedora: "nodejs npm",
    arch: "nodejs npm",
    only_for_tests: false,
};

/// What Linux needs besides.
const LINUX: [Need; 7] = [
    Need {
        what: "a C compiler",
        is_met: || find("cc").is_some(),
        debian: &["build-essential"],
        fedora: "gcc gcc-c++ make",
        arch: "base-devel",
        only_for_tests: false,
    },
    Need {
        what: "pkg-config",
        is_met: || find("pkg-config").is_some(),
        debian: &["pkg-config"],
        fedora: "pkgconf-pkg-config",
        arch: "pkgconf",
        only_for_tests: false,
    },
    Need {
        what: "WebKitGTK 4.1 with its headers",
        is_met: || output("pkg-config", &["--exists", "webkit2gtk-4.1"]).is_some(),
        debian: &["libwebkit2gtk-4.1-dev"],
        fedora: "webkit2gtk4.1-devel",
        arch: "webkit2gtk-4.1",
        only_for_tests: false,
    },
    Need {
        what: "WebKitWebDriver, which drives the window in tests",
        is_met: || find("WebKitWebDriver").is_some(),
        debian: &["webkit2gtk-driver"],
        fedora: "webkit2gtk-driver",
        arch: "webkit2gtk-4.1",
        only_for_tests: true,
    },
    Need {
        what: "Xvfb, a display without a screen",
        is_met: || find("Xvfb").is_some(),
        debian: &["xvfb"],
        fedora: "xorg-x11-server-Xvfb",
        arch: "xorg-server-xvfb",
        only_for_tests: true,
    },
    Need {
        what: "dbus-run-session, a message bus for one program",
        is_met: || find("dbus-run-session").is_some(),
        debian: &["dbus-daemon"],
        fedora: "dbus-daemon",
        arch: "dbus",
        only_for_tests: true,
    },
    Need {
        what: "Chromium, for pages with scripts and the accessibility checks",
        is_met: || {
            ["chromium", "chromium-browser", "google-chrome"]
                .iter()
                .any(|name| find(name).is_some())
        },
        debian: &["chromium"],
        fedora: "chromium",
        arch: "chromium",
        only_for_tests: true,
    },
];

/// Sees to it that everything is there: installs what is missing where that is possible without a
/// question (Debian and Ubuntu, as root or with a sudo that asks for no password).
///
/// # Errors
/// Says exactly what to install, and where it does not do so itself, how.
pub(crate) fn ensure(purpose: Purpose) -> Result<(), String> {
    let missing = missing(purpose);
    if missing.is_empty() {
        return Ok(());
    }
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    if Family::of(&release) == Family::Debian
        && let Some(sudo) = without_a_question()
    {
        install(&missing, sudo)?;
        return match self::missing(purpose).as_slice() {
            [] => Ok(()),
            still => Err(advice(still, &release)),
        };
    }
    Err(advice(&missing, &release))
}

fn missing(purpose: Purpose) -> Vec<&'static Need> {
    let linux: &'static [Need] = if cfg!(target_os = "linux") { &LINUX } else { &[] };
    linux
        .iter()
        .chain([&NODE_NEED])
        .filter(|need| purpose == Purpose::Test || !need.only_for_tests)
        .filter(|need| !(need.is_met)())
        .collect()
}

/// The words that go before a command of the administrator; none where asking is needed.
fn without_a_question() -> Option<&'static [&'static str]> {
    match output("id", &["-u"]).as_deref() {
        Some("0") => Some(&[]),
        _ => output("sudo", &["-n", "true"]).map(|_| ["sudo", "-n"].as_slice()),
    }
}

fn install(needs: &[&Need], sudo: &[&str]) -> Result<(), String> {
    let packages: Vec<&str> = needs.iter().flat_map(|need| need.debian).copied().collect();
    println!("Installing {}.", packages.join(", "));
    let apt = |args: &[&str]| {
        let words =
            [sudo, &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"], args].concat();
        run(Command::new(words[0]).args(&words[1..]))
    };
    apt(&["update"])?;
    apt(&[&["install", "-y", "--no-install-recommends"], packages.as_slice()].concat())
}

/// How packages are installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Debian,
    Fedora,
    Arch,
    Other,
}

impl Family {
    /// By `/etc/os-release`.
    fn of(release: &str) -> Self {
        let value = |key: &str| {
            release
                .lines()
                .find_map(|line| line.strip_prefix(key))
                .unwrap_or_default()
                .trim_matches('"')
        };
        let ids = format!("{} {}", value("ID="), value("ID_LIKE="));
        let is = |id: &str| ids.split_whitespace().any(|word| word == id);
        match () {
            () if is("debian") || is("ubuntu") => Self::Debian,
            () if is("fedora") || is("rhel") => Self::Fedora,
            () if is("arch") => Self::Arch,
            () => Self::Other,
        }
    }
}

fn advice(missing: &[&Need], release: &str) -> String {
    let list: Vec<String> = missing.iter().map(|need| format!("  - {}", need.what)).collect();
    let list = format!("Quaero needs:\n{}\n", list.join("\n"));
    let how = if cfg!(target_os = "macos") {
        "Install Apple's command-line tools (`xcode-select --install`) and Node.js (https://nodejs.org, or `brew install node`).".to_owned()
    } else if cfg!(windows) {
        "Install the Visual Studio Build Tools with \"Desktop development with C++\" and Node.js (https://nodejs.org). WebView2 comes with Windows 11.".to_owned()
    } else {
        let join = |package: fn(&Need) -> String| {
            missing.iter().map(|need| package(need)).collect::<Vec<_>>().join(" ")
        };
        match Family::of(release) {
            Family::Debian => format!(
                "Install it with: sudo apt-get install {}",
                join(|need| need.debian.join(" "))
            ),
            Family::Fedora => {
                format!("Install it with: sudo dnf install {}", join(|need| need.fedora.to_owned()))
            }
            Family::Arch => format!(
                "Install it with: sudo pacman -S --needed {}",
                join(|need| need.arch.to_owned())
            ),
            Family::Other => format!("Debian calls it: {}", join(|need| need.debian.join(" "))),
        }
    };
    let node = if missing.iter().any(|need| need.what == NODE_NEED.what) {
        "\nWhere that Node.js is too old, take one from https://nodejs.org."
    } else {
        ""
    };
    format!("{list}{how}{node}")
}

/// `v20.19.3` and the like.
fn is_new_enough(version: &str) -> bool {
    let mut numbers =
        version.trim_start_matches('v').split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= NODE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_are_told_apart() {
        let rows = [
            ("NAME=\"Debian GNU/Linux\"\nID=debian\n", Family::Debian),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", Family::Debian),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", Family::Fedora),
            ("ID=manjaro\nID_LIKE=arch\n", Family::Arch),
            ("ID=nixos\n", Family::Other),
            ("", Family::Other),
        ];
        for (release, family) in rows {
            assert_eq!(Family::of(release), family, "{release}");
        }
    }

    #[test]
    fn an_old_node_is_not_enough() {
        for (version, enough) in [
            ("v20.20.2", true),
            ("v20.19.0", true),
            ("v20.18.9", false),
            ("v18.20.4", false),
            ("v26.1.0", true),
            ("", false),
        ] {
            assert_eq!(is_new_enough(version), enough, "{version}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn advice_names_each_package_in_the_words_of_the_system() {
        let missing = [&LINUX[2], &NODE_NEED];
        let rows = [
            ("ID=debian", "sudo apt-get install libwebkit2gtk-4.1-dev nodejs npm"),
            ("ID=fedora", "sudo dnf install webkit2gtk4.1-devel nodejs npm"),
            ("ID=arch", "sudo pacman -S --needed webkit2gtk-4.1 nodejs npm"),
            ("ID=nixos", "Debian calls it: libwebkit2gtk-4.1-dev nodejs npm"),
        ];
        for (release, command) in rows {
            let advice = advice(&missing, release);
            assert!(advice.contains(command) && advice.contains("nodejs.org"), "{advice}");
        }
    }
}
