//! Sign-in profiles: cookies and headers for one site, which a step takes along if it names them.
//!
//! They are kept in a file of the data folder, sealed with a key that is kept where the keys of
//! services are. What is in a profile comes out only as a [`Session`], which goes to its site alone;
//! names, sites and times stand open, so that it is known what is there.

mod cookies;
mod sign_in;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use quaero_contract::{ApiError, ErrorCode, ImportProfile, ImportedProfile, KeyPlace, ProfileView};
use quaero_net::{
    Cookie, ExposeSecret, ProviderError, SecretString, Session, can_be_sent, site_name,
};
use serde::{Deserialize, Serialize};

pub use sign_in::SignIn;

use crate::{
    App,
    providers::secret_error,
    secrets::{Sealed, Sealer, SecretError, Secrets},
    whole_file,
};

const FILE: &str = "profiles.json";
/// The name of the key that opens them.
const KEY: &str = "sign_in";
/// A larger file is not one of ours.
const MAX_BYTES: u64 = 64 << 20;
const MAX_PROFILES: usize = 200;
/// Cookies of one profile.
const MAX_COOKIES: usize = 200;
/// Headers of one profile, and bytes of all of them.
const MAX_HEADERS: usize = 50;
const MAX_HEADER_BYTES: usize = 16 << 10;
const VERSION: u32 = 1;

/// The file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    version: u32,
    profiles: BTreeMap<String, Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    site: String,
    cookies: u32,
    headers: Vec<String>,
    imported_ms: i64,
    /// In seconds since 1970.
    expires: Option<i64>,
    secret: Sealed,
}

/// What is sealed. The site is in it too, so that nobody can turn a profile to another one.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Secret {
    site: String,
    headers: Vec<(String, String)>,
    cookies: Vec<Cookie>,
}

/// The profiles of one data folder. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ProfilesFile {
    path: PathBuf,
    secrets: Secrets,
    /// One writer at a time.
    writing: Arc<Mutex<()>>,
}

impl ProfilesFile {
    /// The profiles kept in `data_dir`. Nothing is read yet.
    pub(crate) fn new(data_dir: &Path, secrets: Secrets) -> Self {
        Self { path: data_dir.join(FILE), secrets, writing: Arc::default() }
    }

    /// A new session of a profile.
    pub(crate) async fn session(&self, name: &str, now: i64) -> Result<Session, ProviderError> {
        let unreadable =
            |reason: String| ProviderError::ProfileUnreadable { name: name.to_owned(), reason };
        let content = self.load().map_err(|error| unreadable(error.to_string()))?;
        let entry = content.profiles.get(name);
        let entry = entry.ok_or_else(|| ProviderError::NoProfile(name.to_owned()))?;
        let key = self.secrets.find(KEY).await.map_err(|error| unreadable(error.to_string()))?;
        let opened = key
            .and_then(|(key, _)| Sealer::new(&key)?.open(name, &entry.secret))
            .and_then(|text| serde_json::from_str::<Secret>(text.expose_secret()).ok())
            .filter(|secret| secret.site == entry.site);
        let Secret { site, headers, cookies } = opened.ok_or_else(|| {
            unreadable(
                "the key that sealed it is gone, or it was changed. Import it again.".to_owned(),
            )
        })?;
        Session::new(name, &site, &headers, cookies, now)
            .map_err(|error| unreadable(format!("{error}.")))
    }

    fn load(&self) -> io::Result<Content> {
        let found = fs::metadata(&self.path).and_then(|found| match found.len() > MAX_BYTES {
            true => Err(io::Error::other("it is larger than any of ours")),
            false => fs::read(&self.path),
        });
        let text = match found {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Content { version: VERSION, profiles: BTreeMap::new() });
            }
            Err(error) => return Err(error),
        };
        let content: Content = serde_json::from_slice(&text)?;
        if content.version != VERSION {
            return Err(io::Error::other("it was made by another version of Quaero"));
        }
        Ok(content)
    }

    /// Changes the file as a whole.
    fn change<T>(&self, change: impl FnOnce(&mut Content) -> io::Result<T>) -> io::Result<T> {
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut content = self.load()?;
        let changed = change(&mut content)?;
        let mut text = serde_json::to_vec_pretty(&content)?;
        text.push(b'\n');
        whole_file::replace(&self.path, &text)?;
        #[cfg(unix)]
        fs::set_permissions(&self.path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        Ok(changed)
    }

    /// The key that seals profiles; a new one, kept at `place`, if there is none.
    async fn sealer(&self, place: KeyPlace) -> Result<Sealer, SecretError> {
        let key = match self.secrets.find(KEY).await? {
            Some((key, _)) => key,
            None => {
                let key = Sealer::new_key();
                self.secrets.keep(KEY, key.expose_secret(), place).await?;
                key
            }
        };
        Sealer::new(&key).ok_or_else(|| {
            SecretError::NotASecret("The key of the sign-in profiles is not one.".to_owned())
        })
    }

    fn failed(&self, error: &io::Error) -> ApiError {
        let message = format!("{} cannot be used: {error}.", self.path.display());
        ApiError::new(ErrorCode::Storage, message)
    }
}

impl App {
    /// The sign-in profiles, by name.
    ///
    /// # Errors
    /// `storage` if their file cannot be read.
    pub async fn profiles(&self) -> Result<Vec<ProfileView>, ApiError> {
        let file = &self.core.profiles;
        let content = file.load().map_err(|error| file.failed(&error))?;
        Ok(content.profiles.iter().map(|(name, entry)| view(name, entry)).collect())
    }

    /// Keeps a profile, in the place of the one of the same name.
    ///
    /// # Errors
    /// `invalid` if there is nothing in it for one site, `storage` if it cannot be kept.
    pub async fn import_profile(
        &self,
        request: ImportProfile,
    ) -> Result<ImportedProfile, ApiError> {
        let file = &self.core.profiles;
        let ImportProfile { name, site, cookies, headers, place } = request;
        check_name(&name)?;
        let now = self.core.clock.now_ms();
        let (found, unsound) = cookies::parse(&cookies).map_err(invalid)?;
        let headers = header_lines(&headers).map_err(invalid)?;
        let site = site_for(site.as_deref(), &found).map_err(invalid)?;
        let all = found.len();
        let is_ours = |cookie: &Cookie| {
            // Of a host of the own network, cookies know no port.
            let host = site.rsplit_once(':').map_or(site.as_str(), |(host, _)| host);
            site_name(&cookie.domain).is_ok_and(|other| other == site || other == host)
                && cookie.expires.is_none_or(|expires| expires > now / 1000)
        };
        let cookies: Vec<Cookie> = found.into_iter().filter(is_ours).take(MAX_COOKIES).collect();
        let left_out =
            unsound.saturating_add(u32::try_from(all - cookies.len()).unwrap_or(u32::MAX));
        if cookies.is_empty() && headers.is_empty() {
            let why = if all == 0 {
                "there are none".to_owned()
            } else {
                format!("all {all} are of other sites, or over")
            };
            return Err(invalid(format!(
                "There are no cookies for {site} in what was given: {why}."
            ))
            .with_hint("Sign in with your browser, and export the cookies of that site again."));
        }
        let ends: Option<Vec<i64>> = cookies.iter().map(|cookie| cookie.expires).collect();
        let secret = Secret { site: site.clone(), headers, cookies };
        let text = serde_json::to_string(&secret).expect("text and numbers");
        let text = SecretString::from(text);
        let sealer = file.sealer(place).await.map_err(|error| secret_error(&error))?;
        let sealed = sealer.seal(&name, text.expose_secret()).map_err(|e| secret_error(&e))?;
        let entry = Entry {
            site,
            cookies: u32::try_from(secret.cookies.len()).unwrap_or(u32::MAX),
            headers: secret.headers.iter().map(|(name, _)| name.clone()).collect(),
            imported_ms: now,
            expires: ends.and_then(|ends| ends.into_iter().max()),
            secret: sealed,
        };
        let profile = view(&name, &entry);
        let kept = file.change(|content| {
            if content.profiles.len() >= MAX_PROFILES && !content.profiles.contains_key(&name) {
                return Err(io::Error::other(format!("it has {MAX_PROFILES} profiles already")));
            }
            content.profiles.insert(name, entry);
            Ok(())
        });
        kept.map_err(|error| file.failed(&error))?;
        Ok(ImportedProfile { profile, left_out })
    }

    /// Forgets a profile.
    ///
    /// # Errors
    /// `not_found` if there is none, `storage` if it cannot be removed.
    pub async fn delete_profile(&self, name: &str) -> Result<(), ApiError> {
        let file = &self.core.profiles;
        let removed = file.change(|content| Ok(content.profiles.remove(name).is_some()));
        if removed.map_err(|error| file.failed(&error))? {
            return Ok(());
        }
        let message = format!("There is no sign-in profile `{name:.64}`.");
        Err(ApiError::new(ErrorCode::NotFound, message)
            .with_hint("The profiles are listed by: quaero profiles list"))
    }
}

fn invalid(message: String) -> ApiError {
    ApiError::new(ErrorCode::Invalid, message)
}

fn check_name(name: &str) -> Result<(), ApiError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let rest = |c: char| plain(c) || c == '-' || c == '_';
    if name.len() <= 64 && name.starts_with(plain) && name.chars().all(rest) {
        return Ok(());
    }
    Err(invalid("A profile's name has lower-case letters, digits, - and _, at most 64, and begins with a letter or digit.".to_owned()))
}

fn view(name: &str, entry: &Entry) -> ProfileView {
    let shown = |time: Result<Timestamp, jiff::Error>| time.map(|time| time.to_string()).ok();
    ProfileView {
        name: name.to_owned(),
        site: entry.site.clone(),
        cookies: entry.cookies,
        headers: entry.headers.clone(),
        imported: shown(Timestamp::from_millisecond(entry.imported_ms)).unwrap_or_default(),
        expires: entry.expires.and_then(|at| shown(Timestamp::from_second(at))),
    }
}

/// `Name: value`, one a line. Values are not quoted when something is wrong.
fn header_lines(text: &str) -> Result<Vec<(String, String)>, String> {
    if text.len() > MAX_HEADER_BYTES {
        return Err(format!("The headers are longer than {} KiB.", MAX_HEADER_BYTES >> 10));
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let headers: Vec<(String, String)> = lines
        .map(|(at, line)| {
            let wrong = |why: &str| format!("Line {} of the headers {why}.", at + 1);
            let (name, value) =
                line.split_once(':').ok_or_else(|| wrong("is none: write it as `Name: value`"))?;
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
            if !can_be_sent(&name, &value) {
                return Err(wrong("cannot be sent along; cookies go into a file of cookies"));
            }
            Ok((name, value))
        })
        .collect::<Result<_, _>>()?;
    if headers.len() > MAX_HEADERS {
        return Err(format!("There are more than {MAX_HEADERS} headers."));
    }
    Ok(headers)
}

/// The site that is named, or the one that all cookies are of.
fn site_for(named: Option<&str>, cookies: &[Cookie]) -> Result<String, String> {
    if let Some(named) = named.filter(|named| !named.trim().is_empty()) {
        return site_name(named).map_err(|error| format!("{error}."));
    }
    let mut sites: Vec<String> =
        cookies.iter().filter_map(|cookie| site_name(&cookie.domain).ok()).collect();
    sites.sort_unstable();
    sites.dedup();
    match sites.as_slice() {
        [site] => Ok(site.clone()),
        [] => Err("Name the site that the profile is for.".to_owned()),
        several => {
            let shown: Vec<&str> = several.iter().take(5).map(String::as_str).collect();
            Err(format!(
                "The cookies are of {} sites ({}{}). Name the one that the profile is for.",
                several.len(),
                shown.join(", "),
                if several.len() > shown.len() { ", …" } else { "" }
            ))
        }
    }
}

#[cfg(test)]
mod tests;
