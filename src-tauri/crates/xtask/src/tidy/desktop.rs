//! What the web view may do. Everything in it is held to be hostile: a page that Quaero collected
//! may have found a hole in the renderer or in a library of the front end.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use super::assert_none;
use crate::process::root;

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path))
        .unwrap_or_else(|error| panic!("{path} cannot be read: {error}"))
}

fn json(path: &str) -> Value {
    serde_json::from_str(&read(path)).unwrap_or_else(|error| panic!("{path} is not JSON: {error}"))
}

/// What is wrong with a configuration.
fn problems_of(config: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut demand = |holds: bool, what: &str| {
        if !holds {
            found.push(what.to_owned());
        }
    };
    let app = &config["app"];
    let security = &app["security"];

    demand(
        app["withGlobalTauri"] == false,
        "withGlobalTauri gives every script the desktop's interface",
    );
    demand(security["freezePrototype"] == true, "freezePrototype is off");
    demand(
        security["assetProtocol"]["enable"] == false,
        "the asset protocol serves files to the page",
    );
    demand(
        security["capabilities"] == serde_json::json!(["main"]),
        "capabilities other than `main` are on",
    );
    demand(
        security["dangerousDisableAssetCspModification"] == false,
        "Tauri may not add its nonces to the policy",
    );
    demand(
        config["build"].get("devUrl").is_none(),
        "a development server could be shown in the window",
    );
    demand(security.get("devCsp").is_none(), "development has a policy of its own");
    for window in app["windows"].as_array().into_iter().flatten() {
        demand(window["label"] == "main", "there is a window other than `main`");
        demand(
            window["create"] == false,
            "the window is made without the limits on navigation of window.rs",
        );
        demand(
            window.get("devtools").is_none_or(|tools| tools == false),
            "the developer tools are on in a release",
        );
        demand(window.get("url").is_none(), "the window starts somewhere else");
    }

    let policy = security["csp"].as_object();
    demand(policy.is_some_and(|policy| !policy.is_empty()), "there is no content security policy");
    let sources =
        |directive: &str| security["csp"][directive].as_str().unwrap_or_default().to_owned();
    for (directive, value) in policy.into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        demand(!value.contains("'unsafe-"), &format!("{directive} allows {value}"));
        demand(
            !value.split_whitespace().any(|source| source.contains('*')),
            &format!("{directive} has a wildcard: {value}"),
        );
    }
    for directive in ["default-src", "script-src", "style-src", "font-src", "worker-src"] {
        demand(sources(directive) == "'self'", &format!("{directive} is {}", sources(directive)));
    }
    for directive in
        ["object-src", "base-uri", "form-action", "frame-src", "frame-ancestors", "media-src"]
    {
        demand(sources(directive) == "'none'", &format!("{directive} is {}", sources(directive)));
    }
    demand(
        sources("connect-src") == "ipc: http://ipc.localhost",
        "connect-src reaches more than our own commands",
    );
    demand(
        ["'self' data:", "'self'"].contains(&sources("img-src").as_str()),
        "img-src reaches the network",
    );
    found
}

/// What is wrong with a capability.
fn problems_of_capability(capability: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if capability["windows"] != serde_json::json!(["main"]) || capability.get("webviews").is_some()
    {
        found.push("it is for something other than the window `main`".to_owned());
    }
    if capability.get("remote").is_some() {
        found.push("pages from the network may call commands".to_owned());
    }
    for permission in capability["permissions"].as_array().into_iter().flatten() {
        let Some(name) = permission.as_str() else {
            found.push(format!("{permission} has a scope of its own"));
            continue;
        };
        let of_core = ["core:event:allow-listen", "core:event:allow-unlisten"].contains(&name);
        let of_ours = name.starts_with("allow-") && !name.contains([':', '*']);
        if !of_core && !of_ours {
            found.push(format!("{name} is neither one of our commands nor listening to events"));
        }
    }
    found
}

#[test]
fn the_window_is_closed_to_the_outside() {
    assert_none("src-tauri/tauri.conf.json:", &problems_of(&json("src-tauri/tauri.conf.json")));
}

#[test]
fn each_hole_in_the_configuration_is_noticed() {
    let good = json("src-tauri/tauri.conf.json");
    let holes: [(&str, Value); 12] = [
        ("/app/withGlobalTauri", true.into()),
        ("/app/security/csp", Value::Null),
        ("/app/security/csp/script-src", "'self' 'unsafe-inline'".into()),
        ("/app/security/csp/script-src", "'self' data:".into()),
        ("/app/security/csp/script-src", "'self' blob:".into()),
        ("/app/security/csp/script-src", "*".into()),
        ("/app/security/csp/style-src", "'self' 'unsafe-inline'".into()),
        ("/app/security/csp/connect-src", "ipc: http://ipc.localhost https:".into()),
        ("/app/security/csp/frame-src", "'self'".into()),
        ("/app/security/freezePrototype", false.into()),
        ("/app/security/assetProtocol/enable", true.into()),
        ("/app/windows/0/create", true.into()),
    ];
    for (pointer, value) in holes {
        let mut config = good.clone();
        *config.pointer_mut(pointer).expect(pointer) = value.clone();
        assert!(!problems_of(&config).is_empty(), "{pointer} = {value} was not noticed");
    }
}

#[test]
fn the_window_may_call_our_commands_and_nothing_else() {
    let files: Vec<String> = fs::read_dir(root().join("src-tauri/capabilities"))
        .expect("the folder is there")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(files, ["main.json"], "there is one capability");
    let capability = json("src-tauri/capabilities/main.json");
    assert_none("src-tauri/capabilities/main.json:", &problems_of_capability(&capability));

    let allowed: BTreeSet<String> = capability["permissions"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|permission| {
            Some(permission.as_str()?.strip_prefix("allow-")?.replace('-', "_"))
        })
        .collect();
    let bindings = read("ui/src/bindings.ts");
    let exported: BTreeSet<String> = bindings
        .split("__TAURI_INVOKE(\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap_or_default().to_owned())
        .collect();
    assert!(!exported.is_empty(), "the bindings name no command: the search is wrong");
    assert_eq!(allowed, exported, "the capability and the commands differ");
}

#[test]
fn each_hole_in_a_capability_is_noticed() {
    for permission in
        ["core:default", "dialog:default", "opener:allow-open-url", "fs:allow-read", "allow-*", "*"]
    {
        let capability = serde_json::json!({ "windows": ["main"], "permissions": [permission] });
        assert!(!problems_of_capability(&capability).is_empty(), "{permission}");
    }
    let remote = serde_json::json!({ "windows": ["main"], "permissions": [], "remote": { "urls": ["https://*"] } });
    let everywhere = serde_json::json!({ "windows": ["*"], "permissions": [] });
    for capability in [remote, everywhere] {
        assert!(!problems_of_capability(&capability).is_empty(), "{capability}");
    }
}

/// These plugins give the page files, programs or the network; the developer tools give it to whoever
/// sits down at the computer.
#[test]
fn dangerous_parts_are_not_built_in() {
    let manifest: toml::Table = read("src-tauri/Cargo.toml").parse().expect("Cargo.toml is TOML");
    let workspace: toml::Table = read("Cargo.toml").parse().expect("Cargo.toml is TOML");
    let dependencies = manifest["dependencies"].as_table().expect("a table");
    let banned =
        ["tauri-plugin-http", "tauri-plugin-shell", "tauri-plugin-fs", "tauri-plugin-localhost"];
    let mut found: Vec<String> = banned
        .iter()
        .filter(|name| dependencies.contains_key(**name))
        .map(|name| (*name).to_owned())
        .collect();
    for tauri in [&dependencies["tauri"], &workspace["workspace"]["dependencies"]["tauri"]] {
        let features = tauri.get("features").and_then(toml::Value::as_array).into_iter().flatten();
        let unsafe_ones = ["devtools", "protocol-asset", "tracing"];
        found.extend(
            features
                .filter_map(toml::Value::as_str)
                .filter(|name| unsafe_ones.contains(name))
                .map(|name| format!("tauri/{name}")),
        );
    }
    assert_none("src-tauri/Cargo.toml:", &found);
}

/// The rules themselves are tested beside the code; here, that the window is made with them.
#[test]
fn the_window_goes_nowhere_else() {
    let window = read("src-tauri/src/window.rs");
    for rule in [".on_navigation(is_own_page)", ".on_new_window(|_, _| NewWindowResponse::Deny)"] {
        assert!(window.contains(rule), "window.rs does not say {rule}");
    }
}
