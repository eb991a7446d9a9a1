//! A sign-in in a window of its own: where it begins, what the window may show, and what is kept of it.

use quaero_contract::{ApiError, ImportProfile, KeyPlace};
use quaero_net::{AddressPolicy, site_name};
use url::Url;

use super::{check_name, invalid};

/// A sign-in that is under way, to become the profile of a name.
#[derive(Clone, Debug)]
pub struct SignIn {
    name: String,
    address: Url,
    site: String,
    policy: AddressPolicy,
}

impl SignIn {
    /// A sign-in at an address as people type it: `example.org/login` means https.
    ///
    /// # Errors
    /// `invalid` if the name cannot be one, or the address is none of the web.
    pub fn new(name: &str, address: &str) -> Result<Self, ApiError> {
        check_name(name)?;
        let typed = address.trim();
        let whole =
            if typed.contains("://") { typed.to_owned() } else { format!("https://{typed}") };
        let unusable = |why: String| {
            invalid(format!("`{typed:.200}` cannot be opened: {why}.")).with_hint(
                "Give the address of the page where you sign in, such as example.org/login.",
            )
        };
        let address = Url::parse(&whole).map_err(|error| unusable(error.to_string()))?;
        let host = match (address.host_str(), address.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => return Err(unusable("it has no host".to_owned())),
        };
        let site = site_name(&host).map_err(|error| unusable(error.to_string()))?;
        // The user has named it, so it may be one of the own network.
        let policy = AddressPolicy::new(&[host]).map_err(|error| unusable(error.to_string()))?;
        policy.check(&address).map_err(|refusal| unusable(refusal.to_string()))?;
        Ok(Self { name: name.to_owned(), address, site, policy })
    }

    /// The page that the window begins with.
    #[must_use]
    pub const fn address(&self) -> &Url {
        &self.address
    }

    /// Whether it is one at the same address, for the same profile.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.address == other.address
    }

    /// What to say if there is nothing to keep.
    #[must_use]
    pub fn nothing_yet(&self) -> ApiError {
        invalid(format!("{} has set no cookies yet.", self.site)).with_hint(
            "Finish signing in in the window, and keep it then. A site that knows you without cookies cannot be kept like this.",
        )
    }

    /// The site whose cookies are kept.
    #[must_use]
    pub fn site(&self) -> &str {
        &self.site
    }

    /// Whether the window may show an address: pages of the public web, where a site may send people to
    /// prove who they are, and of the host that the user has named.
    #[must_use]
    pub fn may_show(&self, url: &Url) -> bool {
        if matches!(url.as_str(), "about:blank" | "about:srcdoc") {
            return true;
        }
        // Addresses of sign-ins carry a lot and may be long; it is the host that matters.
        let mut bare = url.clone();
        bare.set_path("");
        bare.set_query(None);
        bare.set_fragment(None);
        self.policy.check(&bare).is_ok()
    }

    /// What is kept: those of `cookies` (the text of a `cookies.txt`) that are of the site.
    #[must_use]
    pub fn profile(&self, cookies: String, place: KeyPlace) -> ImportProfile {
        let (name, site) = (self.name.clone(), Some(self.site.clone()));
        ImportProfile { name, site, cookies, headers: String::new(), place }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn an_address_is_taken_as_people_type_it() {
        let rows = [
            ("example.org", Ok(("https://example.org/", "example.org"))),
            (
                "  www.example.org/login?x=1 ",
                Ok(("https://www.example.org/login?x=1", "example.org")),
            ),
            ("http://intranet:8080/", Ok(("http://intranet:8080/", "intranet:8080"))),
            ("127.0.0.1:9000/in", Ok(("https://127.0.0.1:9000/in", "127.0.0.1:9000"))),
            ("", Err("cannot be opened")),
            ("file:///etc/passwd", Err("no host")),
            ("ftp://example.org/", Err("only http and https")),
            ("https://me:pw@example.org/", Err("user name or password")),
            ("two words", Err("cannot be opened")),
        ];
        for (typed, expected) in rows {
            match (SignIn::new("work", typed), expected) {
                (Ok(found), Ok((address, site))) => {
                    assert_eq!((found.address().as_str(), found.site()), (address, site));
                }
                (Err(error), Err(part)) => {
                    assert!(error.message.contains(part), "{typed}: {}", error.message);
                }
                (found, _) => panic!("{typed}: {found:?}"),
            }
        }
        let error = SignIn::new("No name", "example.org").unwrap_err();
        assert!(error.message.contains("lower-case"), "{}", error.message);
    }

    #[test]
    fn the_window_shows_the_web_and_the_named_host_only() {
        let sign_in = SignIn::new("work", "http://intranet:8080/login").unwrap();
        let rows = [
            ("http://intranet:8080/home", true),
            ("https://login.example.com/oauth", true),
            (&*format!("https://login.example.com/saml?request={}", "x".repeat(9_000)), true),
            (&*format!("http://192.168.1.1/{}", "x".repeat(9_000)), false),
            ("about:blank", true),
            ("http://intranet:9090/", false),
            ("http://127.0.0.1:8080/", false),
            ("http://192.168.1.1/", false),
            ("file:///etc/passwd", false),
            ("tauri://localhost/", false),
            ("ipc://localhost/list_profiles", false),
            ("data:text/html,hi", false),
            ("javascript:alert(1)", false),
        ];
        for (url, expected) in rows {
            assert_eq!(sign_in.may_show(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }
}
