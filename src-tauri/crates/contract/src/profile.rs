//! Sign-in profiles: cookies and headers for one site. What is in them goes in and never comes out.

use serde::{Deserialize, Serialize};
use specta::Type;

use crate::KeyPlace;

/// A sign-in profile, as far as it may be seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct ProfileView {
    /// The name that definitions use.
    pub name: String,
    /// The site that it is for, and no other: a registrable domain, or a host of the own network.
    pub site: String,
    /// How many cookies it has.
    pub cookies: u32,
    /// The names of its headers.
    pub headers: Vec<String>,
    /// When it was imported.
    pub imported: String,
    /// When the last of its cookies ends, if all of them do.
    pub expires: Option<String>,
}

/// A profile to be kept, in the place of the one of the same name.
#[derive(Clone, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct ImportProfile {
    /// Its name.
    pub name: String,
    /// The site that it is for; without it, the one that all of the cookies are of.
    pub site: Option<String>,
    /// The text of a file of cookies, as `cookies.txt` or JSON; possibly empty.
    pub cookies: String,
    /// Headers, one a line as `Name: value`; possibly empty.
    pub headers: String,
    /// Where the key that opens profiles is kept, if there is none yet.
    pub place: KeyPlace,
}

impl std::fmt::Debug for ImportProfile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImportProfile")
            .field("name", &self.name)
            .field("site", &self.site)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// What came of an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct ImportedProfile {
    /// The profile.
    pub profile: ProfileView,
    /// How many cookies were left out: of other sites, over, or not to be sent.
    pub left_out: u32,
}
