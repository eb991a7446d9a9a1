//! Where secrets may be held, and where they may not go.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Source, assert_none, rust_text, sources};
use crate::process::root;

/// What fields with secrets are called.
const SECRET_NAMES: [&str; 17] = [
    "api_key",
    "auth",
    "authorization",
    "bearer",
    "cookie",
    "cookies",
    "credential",
    "credentials",
    "headers",
    "key",
    "keys",
    "passphrase",
    "password",
    "secret",
    "secrets",
    "token",
    "tokens",
];

/// What anybody can read who has it.
const READABLE: [&str; 6] = ["String", "str", "Vec<u8>", "[u8", "Value", "Cow<"];

/// Fields of such a name that hold no secret: file, type, field, and what it is.
const NO_SECRETS: [(&str, &str, &str, &str); 8] = [
    ("contract/src/definition.rs", "InputField", "key", "the name of a setting"),
    ("contract/src/profile.rs", "ProfileView", "headers", "the names of headers"),
    ("app/src/profiles.rs", "Entry", "headers", "the names of headers"),
    ("app/src/secrets/sealed.rs", "Content", "secrets", "sealed"),
    ("engine/src/definition/source.rs", "Field", "key", "the name of a setting"),
    ("engine/src/work.rs", "NewTask", "key", "what two tasks for the same have in common"),
    (
        "net/src/service.rs",
        "ServiceRequest",
        "headers",
        "the names; secret values are SecretStrings",
    ),
    ("store/src/jobs.rs", "TaskRow", "key", "what two tasks for the same have in common"),
];

/// A type with a readable field whose name says that it is secret.
struct Holder {
    path: String,
    line: usize,
    name: String,
    field: String,
    /// Whether its `Debug` is derived, and would print the field.
    derives_debug: bool,
}

/// The product's own code, without what only tests see.
fn product() -> Vec<Source> {
    let is_product = |source: &Source| {
        source.path.starts_with("src-tauri/")
            && source.path.contains("/src/")
            && !source.path.contains("/xtask/")
            && !source.path.contains("/tests/")
            && !source.path.ends_with("tests.rs")
    };
    let all = sources(&[".rs"]).into_iter().filter(is_product);
    all.map(|source| {
        let code = rust_text::split(&source.text).code;
        let end = code.find("#[cfg(test)]\nmod tests {").unwrap_or(code.len());
        Source { path: source.path, text: code[..end].to_owned() }
    })
    .collect()
}

/// The types of a file with such fields.
fn holders(path: &str, code: &str) -> Vec<Holder> {
    let (mut found, mut derives, mut current) = (Vec::new(), false, None::<String>);
    for (at, line) in code.lines().enumerate() {
        let text = line.trim();
        if text.starts_with("#[derive(") {
            derives = text.contains("Debug");
        }
        if let Some(name) = declared(text) {
            current = Some(name.to_owned());
        }
        // The end of the item, which may have no body.
        if line.starts_with('}') || (current.is_some() && text.ends_with(';')) {
            (current, derives) = (None, false);
        }
        let Some(name) = &current else { continue };
        for (field, kind) in fields(text) {
            if SECRET_NAMES.contains(&field.as_str()) && readable(kind) {
                let (path, line, name) = (path.to_owned(), at + 1, name.clone());
                found.push(Holder { path, line, name, field, derives_debug: derives });
            }
        }
    }
    found
}

/// The name of the type that begins on a line.
fn declared(line: &str) -> Option<&str> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let kind = words.iter().take(2).position(|word| matches!(*word, "struct" | "enum"))?;
    let name = words.get(kind + 1)?;
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
    Some(&name[..end])
}

/// The fields on a line, each with its type; the one field of a variant is called like the variant.
fn fields(line: &str) -> Vec<(String, &str)> {
    let is_name =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    let mut found: Vec<(String, &str)> = Vec::new();
    let inner = line.split_once('{').map_or(line, |(_, inner)| inner);
    for part in inner.split(", ") {
        if let Some((name, kind)) = part.split_once(": ") {
            let name = name.rsplit(' ').next().unwrap_or_default();
            if is_name(name) {
                found.push((name.to_owned(), kind));
            }
        }
    }
    if let Some((name, kind)) = line.split_once('(')
        && is_name(name)
        && name.starts_with(char::is_uppercase)
    {
        found.push((name.to_lowercase(), kind));
    }
    found
}

fn readable(kind: &str) -> bool {
    let bare = kind.replace("SecretString", "").replace("HeaderName", "");
    READABLE.iter().any(|word| bare.contains(word))
}

#[test]
fn what_holds_a_secret_does_not_print_it() {
    let (mut found, mut known) = (Vec::new(), BTreeSet::new());
    for source in product() {
        for holder in holders(&source.path, &source.text) {
            let Holder { path, line, name, field, derives_debug } = holder;
            let no_secret = NO_SECRETS.iter().position(|(file, of, called, _)| {
                path.ends_with(file) && *of == name && *called == field
            });
            if let Some(no_secret) = no_secret {
                known.insert(no_secret);
                continue;
            }
            if derives_debug {
                found.push(format!("{path}:{line}: {name}.{field}"));
            }
            // Written by hand, it may name the field, and must not show it.
            let by_hand = source.text.split("Debug for ").skip(1);
            let own = by_hand
                .filter(|text| text.starts_with(&name))
                .map(|text| text.split("\n}").next().unwrap_or_default());
            if own.into_iter().any(|text| text.contains(&format!("self.{field}"))) {
                found.push(format!("{path}: Debug of {name} shows {field}"));
            }
        }
    }
    assert_none(
        "A secret is held in a SecretString, or in a type whose Debug does not show it:",
        &found,
    );
    let unknown: Vec<String> = (0..NO_SECRETS.len())
        .filter(|at| !known.contains(at))
        .map(|at| format!("{:?}", NO_SECRETS[at]))
        .collect();
    assert_none("These are not there any more:", &unknown);
}

#[test]
fn a_type_that_would_print_a_secret_is_noticed() {
    let of = |code: &str| -> Vec<(String, bool)> {
        let found = holders("x.rs", code).into_iter();
        found
            .map(|holder| (format!("{}.{}", holder.name, holder.field), holder.derives_debug))
            .collect()
    };
    let rows: [(&str, &[(&str, bool)]); 8] = [
        (
            "#[derive(Clone, Debug)]\npub struct A {\n    pub password: String,\n}",
            &[("A.password", true)],
        ),
        ("#[derive(Clone)]\nstruct A {\n    token: Option<String>,\n}", &[("A.token", false)]),
        ("#[derive(Debug)]\nstruct A {\n    key: SecretString,\n    name: String,\n}", &[]),
        (
            "#[derive(Debug)]\npub(crate) enum E {\n    Cookie(String),\n    Name(String),\n}",
            &[("E.cookie", true)],
        ),
        (
            "#[derive(Debug)]\nenum E {\n    In { user: String, password: String },\n}",
            &[("E.password", true)],
        ),
        ("#[derive(Debug)]\nstruct A {\n    headers: Vec<(HeaderName, SecretString)>,\n}", &[]),
        (
            "#[derive(Debug)]\nstruct A {\n    headers: Vec<(String, String)>,\n}",
            &[("A.headers", true)],
        ),
        ("#[derive(Debug)]\nstruct A;\nfn f(password: String) {\n}", &[]),
    ];
    for (code, expected) in rows {
        let expected: Vec<(String, bool)> =
            expected.iter().map(|(name, derives)| ((*name).to_owned(), *derives)).collect();
        assert_eq!(of(code), expected, "{code}");
    }
}

/// Keys may stand in the environment, which programs inherit.
#[test]
fn no_program_is_started_with_the_keys() {
    let starts = ["Command::new(", "Command::from("];
    let found: Vec<String> = product()
        .into_iter()
        .filter(|source| starts.iter().any(|start| source.text.contains(start)))
        .filter(|source| !source.text.contains("without_keys("))
        .map(|source| source.path)
        .collect();
    assert_none("These start programs and do not keep our variables from them:", &found);
}

/// Other programs see titles, notifications and the clipboard; the makers of a program see what it
/// reports.
#[test]
fn nothing_is_told_to_other_programs_or_to_us() {
    let mut found = Vec::new();
    // Two windows have titles of their own: the program's name, and the host of a sign-in.
    let titled = ["src-tauri/src/window.rs", "src-tauri/src/sign_in.rs"];
    for source in product().iter().filter(|source| source.path.starts_with("src-tauri/src/")) {
        for (number, line) in source.text.lines().enumerate() {
            let asks_for_a_file = source.path.starts_with("src-tauri/src/commands/");
            let titles = [".title(", "set_title("].iter().any(|call| line.contains(call));
            if titles && !titled.contains(&source.path.as_str()) && !asks_for_a_file {
                found.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    for source in sources(&[".ts", ".tsx"]) {
        let tells = |word: &str, only: &str| source.text.contains(word) && source.path != only;
        // One button copies what the user sees, when the user presses it; one place sets the title.
        for (word, only) in [
            ("navigator.clipboard", "ui/src/parts/states.tsx"),
            ("document.title =", "ui/src/parts/page.tsx"),
            ("new Notification(", ""),
            ("sendBeacon", ""),
        ] {
            if tells(word, only)
                && !source.path.contains(".test.")
                && !source.path.contains("/e2e/")
            {
                found.push(format!("{}: {word}", source.path));
            }
        }
    }
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).expect("the lock file");
    let packages = std::fs::read_to_string(root().join("ui/package.json")).expect("the manifest");
    let packages: Value = serde_json::from_str(&packages).expect("JSON");
    let lists = ["dependencies", "devDependencies"].map(|list| packages[list].as_object());
    let script = lists.into_iter().flatten().flat_map(|list| list.keys().map(String::as_str));
    let rust = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    const TELL: [&str; 9] = [
        "sentry",
        "opentelemetry",
        "posthog",
        "aptabase",
        "segment-analytics",
        "datadog",
        "tauri-plugin-notification",
        "tauri-plugin-clipboard",
        "notify-rust",
    ];
    let telling = rust.chain(script).filter(|name| TELL.iter().any(|word| name.contains(word)));
    found.extend(telling.map(|name| format!("the library {name}")));
    assert_none("Something is told to other programs:", &found);
}
