//! The JSON a page's script reads, first from the page itself, then from the ticket endpoints:
//! one shape, so that an update is painted by the same code as the first view.

use std::collections::BTreeMap;

use serde::Serialize;

use super::view::{PageState, PageView};
use super::words::rfc3339;

/// The shopper's place and what is known about the drop. Instants are RFC 3339 in UTC.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Live {
    /// Drop id.
    pub drop: String,
    /// The drop's title.
    pub title: String,
    /// Ticket state, or one of the page's own (`scheduled`, `joining`, `room_full`, `reject`).
    pub state: &'static str,
    /// Order of joining.
    pub number: Option<u64>,
    /// Order of service.
    pub rank: Option<u64>,
    /// Ranks until called, plus one.
    pub position: Option<u64>,
    /// `likely`, `possible`, `unlikely` or `gone`.
    pub chance: Option<&'static str>,
    /// Estimated wait; null while unknown.
    pub wait: Option<LiveWait>,
    /// How long to wait between two polls.
    pub poll_after_ms: u64,
    /// The server's time.
    pub now: String,
    /// When joining opens.
    pub joins_at: Option<String>,
    /// When the drop starts.
    pub opens_at: Option<String>,
    /// When the drop ends.
    pub ends_at: Option<String>,
    /// Until when a called shopper may claim.
    pub claim_deadline: Option<String>,
    /// Until when a late returner may still claim.
    pub late_until: Option<String>,
    /// When to try again, if the room is full.
    pub retry_after: Option<u64>,
    /// The pool per SKU; absent if not shown.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub stock: BTreeMap<String, LiveStock>,
    /// The merchant's message.
    pub notice: Option<String>,
    /// Whether the figures come from a snapshot that could not be refreshed.
    pub stale: bool,
}

/// An estimated wait in seconds.
#[derive(Debug, Clone, Copy, Serialize, PartialEq, Eq)]
pub struct LiveWait {
    /// Seconds, if things go well.
    pub min_seconds: u64,
    /// Seconds, if they do not.
    pub max_seconds: u64,
}

/// One item's units.
#[derive(Debug, Clone, Copy, Serialize, PartialEq, Eq)]
pub struct LiveStock {
    /// Units nobody holds.
    pub available: u64,
    /// Units at checkout.
    pub reserved: u64,
    /// Units paid for.
    pub sold: u64,
}

impl Live {
    /// What the page itself carries: the page's own states included.
    pub fn of_page(view: &PageView) -> Self {
        Self {
            drop: view.drop.clone(),
            title: view.title.clone(),
            state: view.state.name(),
            number: view.number,
            rank: view.rank,
            position: view.position,
            chance: view.chance.map(super::view::Chance::as_str),
            wait: view.wait.map(|wait| LiveWait {
                min_seconds: wait.min_seconds,
                max_seconds: wait.max_seconds,
            }),
            poll_after_ms: view.poll_after_ms,
            now: rfc3339(view.now_ms),
            joins_at: view.prequeue_at_ms.map(rfc3339),
            opens_at: view.opens_at_ms.map(rfc3339),
            ends_at: view.ends_at_ms.map(rfc3339),
            claim_deadline: view.claim_deadline_ms.map(rfc3339),
            late_until: view.late_until_ms.map(rfc3339),
            retry_after: view.retry_after_seconds,
            stock: view
                .stock
                .iter()
                .map(|item| {
                    let units = LiveStock {
                        available: item.available,
                        reserved: item.reserved,
                        sold: item.sold,
                    };
                    (item.sku.clone(), units)
                })
                .collect(),
            notice: view.notice.clone(),
            stale: view.stale,
        }
    }

    /// What the ticket endpoints answer: a full room is still the state `called` there, since
    /// whether a claim succeeds is only known by claiming, and a place that was used up is `left`.
    pub fn of_ticket(view: &PageView) -> Self {
        let state = match view.state {
            PageState::RoomFull => PageState::Called.name(),
            PageState::Finished => PageState::Left.name(),
            PageState::Scheduled
            | PageState::Joining
            | PageState::Prequeue
            | PageState::Waiting
            | PageState::Called
            | PageState::Admitted
            | PageState::Lapsed
            | PageState::Left
            | PageState::Paused
            | PageState::SoldOut
            | PageState::Ended
            | PageState::Reject => view.state.name(),
        };
        Self {
            state,
            ..Self::of_page(view)
        }
    }
}
