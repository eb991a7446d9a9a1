//! Outside services: where they are, which can be used, their keys, and whether they answer.

use std::{
    io::{self, IsTerminal, Read},
    path::PathBuf,
};

use quaero_contract::{
    ApiError, ErrorCode, KeepKey, KeyPlace, MailSecurity, MailSettings, ProviderSettings,
    ProviderView, Settings,
};

use super::{
    Exit,
    args::{Keep, Providers, Security, SetMail},
    definitions::changer,
    output::{Output, one_line},
};

/// Bytes that are read of a key.
const MAX_KEY: u64 = 64 * 1024;

/// `quaero providers …`
pub(super) async fn command(
    data_dir: PathBuf,
    command: Providers,
    output: &mut Output,
) -> Result<Exit, ApiError> {
    // The key is read before anything is opened, so that nobody waits for somebody who types.
    let key = match &command {
        Providers::SetKey { .. } => Some(typed(output)?),
        _ => None,
    };
    let app = changer(data_dir).await?;
    let done = async {
        match command {
            Providers::List { json } => {
                let view = app.providers().await?;
                if json {
                    output.json(&view);
                    return Ok(Exit::Done);
                }
                let head = ["service", "state", "key", "purpose"].map(str::to_owned).to_vec();
                let rows = view.providers.iter().map(|provider| {
                    let state = if provider.ready { "ready" } else { "not set up" };
                    vec![
                        provider.id.clone(),
                        state.to_owned(),
                        key_of(provider),
                        provider.purpose.clone(),
                    ]
                });
                let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
                output.table(&rows);
                Ok(Exit::Done)
            }
            Providers::SetKey { id, keep } => {
                let place = match keep {
                    Keep::Keychain => KeyPlace::Keychain,
                    Keep::File => KeyPlace::File,
                };
                let request = KeepKey { provider: id.clone(), key: key.unwrap_or_default(), place };
                app.keep_key(request).await.map_err(|error| match (error.code, keep) {
                    (ErrorCode::Storage, Keep::Keychain) => error.with_hint(
                        "Add --keep file with QUAERO_PASSPHRASE set, or set the key as an environment variable.",
                    ),
                    _ => error,
                })?;
                output.line(format_args!("Kept: the key of {}", one_line(&id)));
                Ok(Exit::Done)
            }
            Providers::ForgetKey { id } => {
                app.forget_key(&id).await?;
                output.line(format_args!("Forgotten: the key of {}", one_line(&id)));
                Ok(Exit::Done)
            }
            Providers::SetUrl { id, url } => {
                let mut settings = app.settings().await?;
                settings.providers.insert(id.clone(), ProviderSettings { base_url: url });
                app.set_settings(settings).await?;
                let view = app.providers().await?.providers.into_iter().find(|now| now.id == id);
                let url = view.and_then(|now| now.base_url.or(now.default_base_url));
                let url = url.unwrap_or_else(|| "nowhere yet".to_owned());
                output.line(format_args!("Set: {} is at {}", one_line(&id), one_line(&url)));
                Ok(Exit::Done)
            }
            Providers::SetOrder { ids } => {
                let settings = app.settings().await?;
                let said = if ids.is_empty() {
                    "all search services that are set up are asked".to_owned()
                } else {
                    format!("search services are asked in the order {}", ids.join(", "))
                };
                app.set_settings(Settings { search_order: ids, ..settings }).await?;
                output.line(format_args!("Set: {}", one_line(&said)));
                Ok(Exit::Done)
            }
            Providers::SetMail(mail) => {
                let mut settings = app.settings().await?;
                settings.mail = changed(settings.mail, mail);
                let MailSettings { host, from, .. } = settings.mail.clone();
                app.set_settings(settings).await?;
                output.line(match (host.as_str(), from.as_str()) {
                    ("", _) => "Set: no mail server".to_owned(),
                    (host, "") => format!("Set: {}, without a sender yet", one_line(host)),
                    (host, from) => format!("Set: {} from {}", one_line(host), one_line(from)),
                });
                Ok(Exit::Done)
            }
            Providers::Test { id, json } => {
                let test = app.test_provider(&id).await?;
                if json {
                    output.json(&test);
                } else {
                    output.line(one_line(&test.message));
                    if let Some(quota) = &test.quota {
                        output.line(one_line(quota));
                    }
                }
                Ok(if test.ok { Exit::Done } else { Exit::Failed })
            }
        }
    };
    let result = done.await;
    app.close().await;
    result
}

/// The mail server with what was named.
fn changed(old: MailSettings, new: SetMail) -> MailSettings {
    let security = new.security.map(|security| match security {
        Security::Tls => MailSecurity::Tls,
        Security::StartTls => MailSecurity::StartTls,
        Security::None => MailSecurity::None,
    });
    MailSettings {
        host: new.host.unwrap_or(old.host),
        port: new.port.or(old.port).filter(|port| *port > 0),
        security: security.unwrap_or(old.security),
        user: new.user.unwrap_or(old.user),
        from: new.from.unwrap_or(old.from),
    }
}

fn key_of(provider: &ProviderView) -> String {
    match (provider.key, &provider.key_problem) {
        (Some(KeyPlace::Environment), _) => format!("key in {}", provider.key_variable),
        (Some(KeyPlace::Keychain), _) => "key in the keychain".to_owned(),
        (Some(KeyPlace::File), _) => "key in a locked file".to_owned(),
        (Some(KeyPlace::Session), _) => "key for this session".to_owned(),
        (None, Some(_)) => "key cannot be read".to_owned(),
        (None, None) if provider.needs_key => "no key".to_owned(),
        (None, None) => "needs no key".to_owned(),
    }
}

/// The key on standard input.
fn typed(output: &mut Output) -> Result<String, ApiError> {
    if io::stdin().is_terminal() {
        output.note("Paste the key and press Enter, then Ctrl-D. It is shown as you type.");
    }
    let mut text = String::new();
    io::stdin().take(MAX_KEY).read_to_string(&mut text).map_err(|error| {
        ApiError::new(ErrorCode::Invalid, format!("The key cannot be read: {error}."))
    })?;
    Ok(text)
}
