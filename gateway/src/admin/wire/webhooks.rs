//! The JSON about events for the merchant's system.

use checkout_worker::ledger::{Telling, Untold};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::room::page::rfc3339;

/// An event that was not taken.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct WebhookStatus {
    /// Which order.
    pub order: String,
    /// Of which drop.
    pub drop: String,
    /// What happened: `order.paid`, …
    pub event: String,
    /// The order's version when it happened.
    pub version: u64,
    /// When it happened.
    pub at: String,
    /// `pending` or `given_up`.
    pub state: String,
    /// Tries that failed.
    pub tries: u32,
    /// When it is tried next, while it is pending. One that waits for an earlier event of its order may show the past.
    pub next_try_at: Option<String>,
    /// What came of the last try.
    pub outcome: Option<String>,
}

/// `POST webhooks/replay`: either an order or a length of time.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// Everything about this order, also what was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// What was written within this time and was not taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// With `since`: also what was taken.
    #[serde(default)]
    pub all: bool,
}

/// What a replay came to.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Replayed {
    /// Events that are told once more.
    pub replayed: u64,
}

impl From<&Untold> for WebhookStatus {
    fn from(untold: &Untold) -> Self {
        let next = (untold.telling == Telling::Pending).then(|| rfc3339(untold.due_at.as_millis()));
        Self {
            order: Uuid::from_u128(untold.order.0).to_string(),
            drop: untold.drop.to_string(),
            event: untold.notice.as_str().to_owned(),
            version: untold.version,
            at: rfc3339(untold.at.as_millis()),
            state: untold.telling.as_str().to_owned(),
            tries: untold.tries,
            next_try_at: next,
            outcome: untold.outcome.clone(),
        }
    }
}
