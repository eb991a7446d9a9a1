//! The outside services as the user has set them up: addresses from the settings, keys from where
//! they are kept.

use async_trait::async_trait;
use quaero_contract::{
    ApiError, ErrorCode, KeepKey, KeyPlace, MailSecurity, MailSettings, ProviderTest, ProviderView,
    ProvidersView, Settings,
};
use quaero_net::{
    ExposeSecret as _, MailServer, PROVIDERS, Provider, ProviderError, ProviderInfo, Providers,
    SecretString, Session, provider_info,
};
use url::{Host, Url};

use crate::{
    App,
    profiles::ProfilesFile,
    secrets::{SecretError, Secrets, trimmed, variable},
    settings::SettingsFile,
};

/// What workers find services with.
#[derive(Clone)]
pub(crate) struct UserProviders {
    pub(crate) settings: SettingsFile,
    pub(crate) secrets: Secrets,
    pub(crate) profiles: ProfilesFile,
}

#[async_trait]
impl Providers for UserProviders {
    async fn find(&self, id: &str) -> Result<Provider, ProviderError> {
        let info = provider_info(id).ok_or_else(|| ProviderError::Unknown(id.to_owned()))?;
        let file = self.settings.clone();
        let settings = tokio::task::spawn_blocking(move || file.load()).await.unwrap_or_default();
        let own = settings.providers.get(id).and_then(|set| set.base_url.as_deref());
        let address = own.or(info.base_url).ok_or(ProviderError::NoAddress(info.name))?;
        let base_url = base_url(address)
            .map_err(|reason| ProviderError::BadAddress { name: info.name, reason })?;
        let found = self.secrets.find(id).await;
        let found = found.map_err(|error| ProviderError::KeyUnreadable {
            name: info.name,
            reason: error.to_string(),
        })?;
        let key = found.map(|(secret, _)| secret);
        if info.needs_key && key.is_none() {
            return Err(ProviderError::NoKey(info.name));
        }
        Ok(Provider { info, base_url, key, is_own: own.is_some() })
    }

    async fn search_order(&self) -> Vec<String> {
        let file = self.settings.clone();
        tokio::task::spawn_blocking(move || file.load()).await.unwrap_or_default().search_order
    }

    async fn mail(&self) -> Result<MailServer, ProviderError> {
        let file = self.settings.clone();
        let settings = tokio::task::spawn_blocking(move || file.load()).await.unwrap_or_default();
        let MailSettings { host, port, security, user, from } = settings.mail;
        let name = provider_info("smtp").map_or("E-mail", |info| info.name);
        if host.is_empty() || from.is_empty() {
            return Err(ProviderError::NoAddress(name));
        }
        if let Some(reason) = wrong_mail(&host, security) {
            return Err(ProviderError::BadAddress { name, reason });
        }
        let mut password = None;
        if !user.is_empty() {
            let found = self.secrets.find("smtp").await;
            let unreadable = |error: SecretError| ProviderError::KeyUnreadable {
                name,
                reason: error.to_string(),
            };
            let (secret, _) = found.map_err(unreadable)?.ok_or(ProviderError::NoKey(name))?;
            password = Some(secret);
        }
        Ok(MailServer { host, port, security, user, password, from })
    }

    async fn session(&self, profile: &str, now: i64) -> Result<Session, ProviderError> {
        self.profiles.session(profile, now).await
    }
}

/// Why mail cannot be given to this host like this, if it cannot.
fn wrong_mail(host: &str, security: MailSecurity) -> Option<String> {
    let parsed = host.parse().map(Host::Ipv6).or_else(|_| Host::parse(host));
    let Ok(parsed) = parsed else {
        return Some(format!(
            "`{host:.100}` is no host; write it without a port and without a scheme"
        ));
    };
    (security == MailSecurity::None && !is_near(&parsed))
        .then(|| "only a mail server of this computer or its network can do without TLS".to_owned())
}

/// The address of a service, with a slash at its end. A key must not travel in the clear, except
/// within this computer or its own network.
pub(crate) fn base_url(text: &str) -> Result<Url, String> {
    let text = text.trim();
    let mut url = Url::parse(text).map_err(|error| format!("`{text}` is no address ({error})"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("it must begin with https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err("it must have no user name, password or query".to_owned());
    }
    if url.scheme() == "http" && !url.host().is_some_and(|host| is_near(&host)) {
        return Err("only a service of your own network can do without https".to_owned());
    }
    url.set_fragment(None);
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

/// Whether a host is this computer or of its own network.
fn is_near<Name: AsRef<str>>(host: &Host<Name>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.as_ref();
            !name.contains('.') || name.ends_with(".localhost") || name.ends_with(".local")
        }
        Host::Ipv4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Host::Ipv6(ip) => ip.is_loopback() || ip.is_unique_local(),
    }
}

/// What is wrong with the services in these settings, if anything is.
pub(crate) fn wrong_provider(settings: &Settings) -> Option<String> {
    for (id, set) in &settings.providers {
        let Some(info) = provider_info(id) else {
            return Some(format!("There is no service `{id:.60}`."));
        };
        if let Some(Err(reason)) = set.base_url.as_deref().map(base_url) {
            return Some(format!("The address of {} cannot be used: {reason}.", info.name));
        }
    }
    let mail = &settings.mail;
    if let Some(reason) = wrong_mail(&mail.host, mail.security).filter(|_| !mail.host.is_empty()) {
        return Some(format!("The mail server cannot be used: {reason}."));
    }
    let unknown = settings.search_order.iter().find(|id| provider_info(id).is_none());
    unknown.map(|id| format!("There is no service `{id:.60}`."))
}

/// Services whose keys must not be shown to where they are now.
pub(crate) fn moved(before: &Settings, after: &Settings) -> Vec<&'static str> {
    let place = |settings: &Settings, info: &ProviderInfo| match info.id {
        "smtp" => Some(format!("{}:{:?}", settings.mail.host, settings.mail.port)),
        id => {
            let own = settings.providers.get(id).and_then(|set| set.base_url.as_deref());
            let url = own.or(info.base_url).and_then(|url| base_url(url).ok());
            url.map(|url| url.origin().ascii_serialization())
        }
    };
    let is_moved = |info: &&ProviderInfo| {
        let old = place(before, info);
        old.is_some() && old != place(after, info)
    };
    PROVIDERS.iter().filter(is_moved).map(|info| info.id).collect()
}

impl App {
    /// The outside services as they are set up, and the places for their keys.
    ///
    /// # Errors
    /// If this part of the program failed.
    pub async fn providers(&self) -> Result<ProvidersView, ApiError> {
        let settings = self.settings().await?;
        let mut providers = Vec::new();
        for info in PROVIDERS {
            providers.push(self.provider_view(info, &settings).await);
        }
        Ok(ProvidersView { providers, secrets: self.core.secrets.info().await })
    }

    async fn provider_view(&self, info: &ProviderInfo, settings: &Settings) -> ProviderView {
        let place = self.core.secrets.place(info.id).await;
        let (key, key_problem) = match place {
            Ok(place) => (place, None),
            Err(error) => (None, Some(error.to_string())),
        };
        let base_url = settings.providers.get(info.id).and_then(|set| set.base_url.clone());
        let has_address = match info.id {
            "smtp" => !settings.mail.host.is_empty() && !settings.mail.from.is_empty(),
            _ => base_url.is_some() || info.base_url.is_some(),
        };
        ProviderView {
            id: info.id.to_owned(),
            name: info.name.to_owned(),
            purpose: info.purpose.to_owned(),
            default_base_url: info.base_url.map(str::to_owned),
            base_url,
            needs_key: info.needs_key,
            key,
            key_problem,
            key_variable: variable(info.id),
            key_page: info.key_page.map(str::to_owned),
            ready: has_address && (key.is_some() || !info.needs_key),
        }
    }

    /// Keeps a service's key where the user wants it.
    ///
    /// # Errors
    /// `not_found` for an unknown service, `invalid` if there is no key in it, `storage` if it cannot
    /// be kept there.
    pub async fn keep_key(&self, request: KeepKey) -> Result<(), ApiError> {
        let KeepKey { provider, key, place } = request;
        let info = known(&provider)?;
        let key = trimmed(&key).map_err(|error| secret_error(&error))?;
        // The password of a server of the user's own may be anything.
        if info.needs_key
            && let Some(wrong) = wrong_key(info, key.expose_secret())
        {
            let hint = "Nothing was kept. Copy the key again from the page of the right service.";
            return Err(ApiError::new(ErrorCode::Invalid, wrong).with_hint(hint));
        }
        let kept = self.core.secrets.keep(&provider, key.expose_secret(), place).await;
        kept.map_err(|error| secret_error(&error))
    }

    /// Forgets a service's key.
    ///
    /// # Errors
    /// `not_found` for an unknown service, `storage` if it cannot be removed.
    pub async fn forget_key(&self, provider: &str) -> Result<(), ApiError> {
        known(provider)?;
        self.core.secrets.forget(provider).await.map_err(|e| secret_error(&e))
    }

    /// Opens the file with keys, or makes one that this passphrase opens.
    ///
    /// # Errors
    /// `invalid` if the passphrase does not open it, or is too short for a new one.
    pub async fn unlock_keys(&self, passphrase: String) -> Result<(), ApiError> {
        let unlocked = self.core.secrets.unlock(SecretString::from(passphrase)).await;
        unlocked.map_err(|e| secret_error(&e))
    }

    /// Asks a service whether it can be used, and how much of it is left.
    ///
    /// # Errors
    /// `not_found` for an unknown service. That it cannot be used is no error.
    pub async fn test_provider(&self, id: &str) -> Result<ProviderTest, ApiError> {
        known(id)?;
        Ok(match quaero_workers::test_provider(&*self.core.providers, id).await {
            Ok(quota) => {
                ProviderTest { ok: true, message: "It answers and can be used.".to_owned(), quota }
            }
            Err(message) => ProviderTest { ok: false, message, quota: None },
        })
    }
}

/// What is wrong with a service's key, if anything is.
fn wrong_key(info: &ProviderInfo, key: &str) -> Option<String> {
    let begins = |other: &&ProviderInfo| other.key_prefix.is_some_and(|p| key.starts_with(p));
    if let Some(other) = PROVIDERS.iter().find(begins).filter(|other| other.id != info.id) {
        return Some(format!("This is a key of {}, not of {}.", other.name, info.name));
    }
    // It goes into a header.
    (!key.chars().all(|c| c.is_ascii_graphic())).then(|| {
        format!("A key of {} has only letters, digits and signs, and no spaces.", info.name)
    })
}

fn known(id: &str) -> Result<&'static ProviderInfo, ApiError> {
    provider_info(id).ok_or_else(|| {
        ApiError::new(ErrorCode::NotFound, format!("There is no service `{id:.60}`."))
            .with_hint("The services are listed by: quaero providers")
    })
}

pub(crate) fn secret_error(error: &SecretError) -> ApiError {
    let code = match error {
        SecretError::NotASecret(_)
        | SecretError::ShortPassphrase
        | SecretError::WrongPassphrase
        | SecretError::InEnvironment(_)
        | SecretError::Locked => ErrorCode::Invalid,
        SecretError::NoKeychain(_)
        | SecretError::KeychainSilent
        | SecretError::Keychain(_)
        | SecretError::File(_) => ErrorCode::Storage,
    };
    ApiError::new(code, error.to_string())
}

/// Where a key goes if nobody says: the best place that there is.
#[must_use]
pub fn best_place(info: &quaero_contract::SecretsInfo) -> KeyPlace {
    match info.keychain {
        quaero_contract::Keychain::Ready => KeyPlace::Keychain,
        _ if info.file_unlocked => KeyPlace::File,
        _ => KeyPlace::Session,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use quaero_contract::ProviderSettings;

    use super::*;

    #[test]
    fn an_address_must_not_show_a_key_to_everyone() {
        let rows = [
            ("https://api.example.org", Ok("https://api.example.org/")),
            (" https://api.example.org/v1#x ", Ok("https://api.example.org/v1/")),
            ("http://localhost:8888", Ok("http://localhost:8888/")),
            ("http://192.168.1.5/searx", Ok("http://192.168.1.5/searx/")),
            ("http://[::1]:80/", Ok("http://[::1]/")),
            ("http://nas.local/", Ok("http://nas.local/")),
            ("http://api.example.org/", Err("https")),
            ("http://8.8.8.8/", Err("https")),
            ("https://me:secret@example.org/", Err("password")),
            ("https://example.org/?key=1", Err("query")),
            ("ftp://example.org/", Err("https://")),
            ("example.org", Err("no address")),
            ("", Err("no address")),
        ];
        for (text, expected) in rows {
            match (base_url(text), expected) {
                (Ok(url), Ok(expected)) => assert_eq!(url.as_str(), expected, "{text}"),
                (Err(error), Err(word)) => assert!(error.contains(word), "{text}: {error}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }

    #[test]
    fn a_key_does_not_follow_its_service_to_another_host() {
        let at = |url: &str| Settings {
            providers: BTreeMap::from([(
                "brave".to_owned(),
                ProviderSettings { base_url: Some(url.to_owned()) },
            )]),
            ..Settings::default()
        };
        let mut mail = Settings::default();
        mail.mail.host = "smtp.example.org".to_owned();
        let mut other_mail = mail.clone();
        other_mail.mail.host = "smtp.example.com".to_owned();
        let none: &[&str] = &[];
        let rows = [
            (Settings::default(), Settings::default(), none),
            (Settings::default(), at("https://proxy.example.org"), &["brave"]),
            (at("https://a.example.org"), at("https://a.example.org/v2/"), none),
            (at("https://a.example.org"), at("https://a.example.org:8443"), &["brave"]),
            (at("https://a.example.org"), Settings::default(), &["brave"]),
            (mail.clone(), other_mail, &["smtp"]),
            (Settings::default(), at("no address"), &["brave"]),
        ];
        for (before, after, expected) in rows {
            assert_eq!(moved(&before, &after), expected, "{after:?}");
        }
    }
}
