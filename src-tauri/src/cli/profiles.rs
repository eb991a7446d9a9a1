//! Sign-in profiles: cookies and headers for one site, which steps name.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use quaero_contract::{ApiError, ErrorCode, ImportProfile, KeyPlace};

use super::{
    Exit,
    args::{Keep, Profiles},
    definitions::changer,
    output::{Output, one_line},
};

/// Bytes that are read of a file with cookies or headers.
const MAX_FILE: u64 = 8 << 20;

/// `quaero profiles …`
pub(super) async fn command(
    data_dir: PathBuf,
    command: Profiles,
    output: &mut Output,
) -> Result<Exit, ApiError> {
    // Files are read before anything is opened, so that nobody waits for somebody who types.
    let (cookies, headers) = match &command {
        Profiles::Import { cookies, headers, .. } => {
            (text_of(cookies.as_deref())?, text_of(headers.as_deref())?)
        }
        _ => Default::default(),
    };
    let app = changer(data_dir).await?;
    let done = async {
        match command {
            Profiles::List { json } => {
                let profiles = app.profiles().await?;
                if json {
                    output.json(&profiles);
                    return Ok(Exit::Done);
                }
                let head = ["profile", "site", "cookies", "headers", "imported", "ends"];
                let rows = profiles.iter().map(|profile| {
                    vec![
                        profile.name.clone(),
                        profile.site.clone(),
                        profile.cookies.to_string(),
                        profile.headers.join(" "),
                        profile.imported.clone(),
                        profile.expires.clone().unwrap_or_default(),
                    ]
                });
                let head = head.map(str::to_owned).to_vec();
                output.table(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
                Ok(Exit::Done)
            }
            Profiles::Import { name, site, keep, .. } => {
                let place = match keep {
                    Keep::Keychain => KeyPlace::Keychain,
                    Keep::File => KeyPlace::File,
                };
                let request = ImportProfile { name, site, cookies, headers, place };
                let imported = app.import_profile(request).await.map_err(|error| {
                    match (error.code, keep) {
                        (ErrorCode::Storage, Keep::Keychain) => {
                            error.with_hint("Add --keep file with QUAERO_PASSPHRASE set.")
                        }
                        _ => error,
                    }
                })?;
                let profile = &imported.profile;
                output.line(format_args!(
                    "Kept: {} for {} with {} cookies and {} headers",
                    one_line(&profile.name),
                    one_line(&profile.site),
                    profile.cookies,
                    profile.headers.len()
                ));
                if imported.left_out > 0 {
                    output.note(format_args!(
                        "{} cookies were left out: they are of other sites, over, or cannot be sent.",
                        imported.left_out
                    ));
                }
                Ok(Exit::Done)
            }
            Profiles::Delete { name } => {
                app.delete_profile(&name).await?;
                output.line(format_args!("Deleted: {}", one_line(&name)));
                Ok(Exit::Done)
            }
        }
    };
    let result = done.await;
    app.close().await;
    result
}

/// The text of a file, or of standard input for `-`.
fn text_of(path: Option<&Path>) -> Result<String, ApiError> {
    let Some(path) = path else { return Ok(String::new()) };
    let mut text = String::new();
    let read = if path == Path::new("-") {
        io::stdin().take(MAX_FILE).read_to_string(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text))
    };
    match read {
        Ok(_) => Ok(text),
        Err(error) => {
            let message = format!("{} cannot be read: {error}.", path.display());
            Err(ApiError::new(ErrorCode::Invalid, message))
        }
    }
}
