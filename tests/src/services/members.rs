//! A site for its members: one page, for who brings a cookie and a header along.

use super::{Asked, KEY, Reply, Service};

/// The cookie `sid` of a member; beside it stands the header `X-Key` with [`KEY`].
pub const COOKIE: &str = "biscuit-5d1e/77+b0=a9%4f&c3!d8";

/// The site.
#[derive(Clone, Copy, Debug, Default)]
pub struct Members;

impl Service for Members {
    fn answer(&self, asked: &Asked) -> Reply {
        if asked.header("cookie").contains(COOKIE) && asked.header("x-key") == KEY {
            let page = "<!doctype html><title>Inside</title><p>For members only.</p>";
            // Each visit gets another one.
            return Reply::page(200, page).with("set-cookie", format!("fresh={COOKIE}; Path=/"));
        }
        self.error(401, "Who are you?")
    }

    fn error(&self, status: u16, message: &str) -> Reply {
        Reply::page(status, &format!("<!doctype html><title>{message}</title><p>{message}</p>"))
    }

    fn key(&self, asked: &Asked) -> String {
        format!("{} {}", asked.header("x-key"), asked.header("cookie"))
    }
}
