//! EODHD as far as an account goes: `GET /user` (<https://eodhd.com/financial-apis/user-api>). What it
//! knows of companies is in [`crate::market`].

use serde_json::json;

use super::{Asked, KEY, Reply, Service};

/// A server that knows an account and no company.
#[derive(Clone, Copy, Debug, Default)]
pub struct EodhdAccount;

impl Service for EodhdAccount {
    fn answer(&self, asked: &Asked) -> Reply {
        if self.key(asked) != KEY {
            return self.error(401, "Unauthenticated");
        }
        if asked.path != "/user" {
            return self.error(404, "Ticker Not Found.");
        }
        Reply::json(
            200,
            &json!({
                "name": "Ann", "email": "ann@example.org", "subscriptionType": "monthly",
                "paymentMethod": "PayPal", "apiRequests": 12, "apiRequestsDate": "2026-11-24",
                "dailyRateLimit": 100_000, "extraLimit": 0,
            }),
        )
    }

    /// Its errors are plain text.
    fn error(&self, status: u16, message: &str) -> Reply {
        Reply::page(status, message)
    }

    fn key(&self, asked: &Asked) -> String {
        asked.header("authorization").trim_start_matches("Bearer ").to_owned()
    }
}
