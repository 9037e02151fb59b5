//! What a waiting room page shows, as plain values: filled by the room from its snapshot and
//! the shopper's ticket, read by the HTML page, the live JSON and the Cloudflare object.

pub use domain::{Chance, QueueingMethod};

/// What the page has to say; the shopper-facing ticket states of the interface plus the moments
/// before and around a ticket that only the page knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageState {
    /// The drop is announced; joining is not open yet.
    Scheduled,
    /// First contact: the visitor cookie is being set, the number comes with the next request.
    Joining,
    /// Joined before the start.
    Prequeue,
    /// In the queue.
    Waiting,
    /// The frontier has passed this shopper, who may claim.
    Called,
    /// Called, but every session is taken at this moment.
    RoomFull,
    /// Holds an admission token.
    Admitted,
    /// Called, and the claim window and its grace have passed.
    Lapsed,
    /// Has no place any more: it was given up, replaced by a newer one, or used up.
    Left,
    /// Was inside, and the session is over. To the API this is `left`.
    Finished,
    /// Nobody is called for now; places are kept.
    Paused,
    /// No unit is left and none can come back.
    SoldOut,
    /// The drop is over.
    Ended,
    /// The drop admits nobody (`queueing_method = "reject"`).
    Reject,
}

impl PageState {
    /// Every state, in the order a shopper may meet them.
    pub const ALL: [Self; 14] = [
        Self::Scheduled,
        Self::Joining,
        Self::Prequeue,
        Self::Waiting,
        Self::Called,
        Self::RoomFull,
        Self::Admitted,
        Self::Lapsed,
        Self::Left,
        Self::Finished,
        Self::Paused,
        Self::SoldOut,
        Self::Ended,
        Self::Reject,
    ];

    /// The name used in markup and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Joining => "joining",
            Self::Prequeue => "prequeue",
            Self::Waiting => "waiting",
            Self::Called => "called",
            Self::RoomFull => "room_full",
            Self::Admitted => "admitted",
            Self::Lapsed => "lapsed",
            Self::Left => "left",
            Self::Finished => "finished",
            Self::Paused => "paused",
            Self::SoldOut => "sold_out",
            Self::Ended => "ended",
            Self::Reject => "reject",
        }
    }

    /// Whether the shopper has a place that can still lead inside, and so one to give up.
    pub const fn holds_a_place(self) -> bool {
        match self {
            Self::Prequeue | Self::Waiting | Self::Called | Self::RoomFull | Self::Paused => true,
            Self::Scheduled
            | Self::Joining
            | Self::Admitted
            | Self::Lapsed
            | Self::Left
            | Self::Finished
            | Self::SoldOut
            | Self::Ended
            | Self::Reject => false,
        }
    }
}

/// Whether somebody without a place can get one, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joining {
    /// Joining gives a place at the end.
    Open,
    /// Everything is sold.
    SoldOut,
    /// Not open yet, over, or closed altogether.
    Closed,
}

/// An estimated wait, both ends in seconds from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitInterval {
    /// Seconds, if things go well.
    pub min_seconds: u64,
    /// Seconds, if they do not.
    pub max_seconds: u64,
}

/// The pool of one item, in units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemStock {
    /// The merchant's identifier of the item.
    pub sku: String,
    /// The item's name as shown.
    pub title: String,
    /// Units nobody holds.
    pub available: u64,
    /// Units at checkout: held for an order that is not paid.
    pub reserved: u64,
    /// Units paid for.
    pub sold: u64,
}

/// The pool summed over items, in units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StockTotal {
    /// Units nobody holds.
    pub available: u64,
    /// Units at checkout.
    pub reserved: u64,
    /// Units paid for.
    pub sold: u64,
}

impl StockTotal {
    /// All units of the pool.
    pub const fn all(self) -> u64 {
        self.available
            .saturating_add(self.reserved)
            .saturating_add(self.sold)
    }
}

/// What is public about the shuffle at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draw {
    /// Commitment to the seed, published before the start.
    pub commitment: String,
    /// The seed, once revealed.
    pub seed: Option<String>,
}

/// Everything one waiting room page says. Instants are milliseconds since the Unix epoch.
#[expect(clippy::struct_excessive_bools, reason = "plain facts, each shown by itself")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageView {
    /// Drop id.
    pub drop: String,
    /// The drop's title.
    pub title: String,
    /// Language tag of the page.
    pub lang: String,
    /// What to say.
    pub state: PageState,
    /// Order of joining, if the shopper holds a ticket.
    pub number: Option<u64>,
    /// Order of service, once known.
    pub rank: Option<u64>,
    /// Ranks until this shopper is called, plus one.
    pub position: Option<u64>,
    /// Estimated wait, absent while unknown.
    pub wait: Option<WaitInterval>,
    /// Chance that units remain, absent while unknown.
    pub chance: Option<Chance>,
    /// How the order of service comes about.
    pub queueing_method: QueueingMethod,
    /// Whether those who join before the start are shuffled.
    pub shuffle_at_event_start: bool,
    /// Whether everybody is held, whatever the limits say.
    pub queue_all: bool,
    /// Whether who has lost the place may join again.
    pub joining: Joining,
    /// Whether this shopper found no place because the queue holds as many as it may.
    pub queue_is_full: bool,
    /// The server's time.
    pub now_ms: u64,
    /// When joining opens.
    pub prequeue_at_ms: Option<u64>,
    /// When the drop starts.
    pub opens_at_ms: Option<u64>,
    /// When the drop ends.
    pub ends_at_ms: Option<u64>,
    /// Until when a called shopper may claim.
    pub claim_deadline_ms: Option<u64>,
    /// Until when a late returner may still claim once.
    pub late_until_ms: Option<u64>,
    /// Length of the claim window, for the explanation given in advance.
    pub claim_window_seconds: u64,
    /// When to try again, if the room is full.
    pub retry_after_seconds: Option<u64>,
    /// The pool, one entry per item; empty if it is not shown.
    pub stock: Vec<ItemStock>,
    /// The merchant's message to everybody in the queue.
    pub notice: Option<String>,
    /// The public part of the draw.
    pub draw: Option<Draw>,
    /// How long to wait between two polls.
    pub poll_after_ms: u64,
    /// Where the shopper was going; validated by [`ReturnPath`](crate::room::return_path::ReturnPath).
    pub return_to: String,
    /// Whether the figures come from a snapshot that could not be refreshed.
    pub stale: bool,
    /// Reference for support, as in `X-Request-Id`.
    pub request_id: String,
}

impl PageView {
    /// A view that says only which drop this is and what state it is in; the rest is unknown.
    pub fn new(drop: &str, title: &str, state: PageState, now_ms: u64) -> Self {
        Self {
            drop: drop.to_owned(),
            title: title.to_owned(),
            lang: "en".to_owned(),
            state,
            number: None,
            rank: None,
            position: None,
            wait: None,
            chance: None,
            queueing_method: QueueingMethod::Fifo,
            shuffle_at_event_start: false,
            queue_all: false,
            joining: Joining::Open,
            queue_is_full: false,
            now_ms,
            prequeue_at_ms: None,
            opens_at_ms: None,
            ends_at_ms: None,
            claim_deadline_ms: None,
            late_until_ms: None,
            claim_window_seconds: 120,
            retry_after_seconds: None,
            stock: Vec::new(),
            notice: None,
            draw: None,
            poll_after_ms: 5_000,
            return_to: "/".to_owned(),
            stale: false,
            request_id: String::new(),
        }
    }

    /// How many shoppers are called before this one.
    pub fn ahead(&self) -> Option<u64> {
        self.position.map(|position| position.saturating_sub(1))
    }

    /// The pool summed over items, if it is shown at all.
    pub fn stock_total(&self) -> Option<StockTotal> {
        if self.stock.is_empty() {
            return None;
        }
        let total = self
            .stock
            .iter()
            .fold(StockTotal::default(), |sum, item| StockTotal {
                available: sum.available.saturating_add(item.available),
                reserved: sum.reserved.saturating_add(item.reserved),
                sold: sum.sold.saturating_add(item.sold),
            });
        Some(total)
    }
}
