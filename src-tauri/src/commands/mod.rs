//! What the window may ask. A command takes typed input, makes one call into the application and
//! hands back a view; it decides nothing.
//!
//! Every command is `async`: a synchronous one would run on the thread that draws the window.

pub(crate) mod definitions;
pub(crate) mod documents;
pub(crate) mod profiles;
pub(crate) mod providers;
pub(crate) mod runs;
pub(crate) mod schedules;
pub(crate) mod settings;
