//! The effective configuration of one drop: paths, times, limits, checkout and items.

use domain::{
    AfterOrder, Currency, DropId, DropRules, Limits, Money, QueueingMethod, Renewal, Schedule, Shuffle, Sku,
    Span,
};
use http::StatusCode;

use super::effective::StopsConfig;
use super::moment::Moment;
use crate::edge::path::Pattern;

/// `[[drop]]`: one flash sale.
#[derive(Clone, PartialEq, Debug)]
pub struct DropConfig {
    /// Unique, and for ever the same: it stands in cookies, ledger rows and provider keys.
    pub id: DropId,
    /// What shoppers read on the page; the id where none was given.
    pub title: String,
    /// A message of the day for the page.
    pub notice: Option<String>,
    /// What is protected; at least one. No other drop has the same.
    pub paths: Vec<Pattern>,
    /// From when shoppers may join and wait; before `event_start_time`.
    pub prequeue_start_time: Option<Moment>,
    /// From when shoppers are called.
    pub event_start_time: Moment,
    /// From when nobody is called any more; after `event_start_time`.
    pub event_end_time: Option<Moment>,
    /// How the next shopper is chosen.
    pub queueing_method: QueueingMethod,
    /// Whether those who came before the start are shuffled at the start.
    pub shuffle: Shuffle,
    /// Whether everybody waits and nobody is called.
    pub queue_all: bool,
    /// Sessions at once, and claims in any 60 seconds; each at least 1, never exceeded.
    pub limits: Limits,
    /// Most shoppers the queue remembers.
    pub queue_capacity: u32,
    /// How long an admitted shopper counts as active.
    pub session_duration: Span,
    /// Whether activity prolongs a session.
    pub renewal: Renewal,
    /// What a paid order means for the session it was made in.
    pub after_order: AfterOrder,
    /// How long a called shopper has to turn up.
    pub claim_window: Span,
    /// How long after the claim window a late shopper may still claim, once.
    pub late_grace: Span,
    /// Status of the waiting room page: 200, 202 or 429.
    pub queueing_status_code: StatusCode,
    /// Selling through Doorline; nothing for a drop that is only a waiting room.
    pub checkout: Option<CheckoutConfig>,
}

/// `[drop.checkout]` with the drop's items.
#[derive(Clone, PartialEq, Debug)]
pub struct CheckoutConfig {
    /// How long units are held for an order that was not paid for yet.
    pub reserve_for: Span,
    /// Units per shopper, over all orders of the drop; at least 1.
    pub per_shopper: u32,
    /// Orders per second that workers take to payment; at least 1.
    pub drain_per_second: u32,
    /// Shoppers called per hundred units available; 100 calls one shopper for one unit.
    pub overbooking_percent: u32,
    /// How long a shopper has for an extra step of the bank (3-D Secure).
    pub action_window: Span,
    /// What is stopped in this drop.
    pub stops: StopsConfig,
    /// What every price of the drop is in.
    pub currency: Currency,
    /// What is for sale; at least one, each SKU once.
    pub items: Vec<ItemConfig>,
}

/// `[[drop.item]]`: one kind of unit for sale.
#[derive(Clone, PartialEq, Debug)]
pub struct ItemConfig {
    /// Unique within the drop.
    pub sku: Sku,
    /// What shoppers read; the SKU where none was given.
    pub title: String,
    /// For one unit.
    pub price: Money,
    /// Units allocated to this drop.
    pub stock: u32,
}

/// The words of `drop.queueing_method` and what they stand for.
pub const QUEUEING_METHODS: [(&str, QueueingMethod); 4] = [
    ("fifo", QueueingMethod::Fifo),
    ("random", QueueingMethod::Random),
    ("passthrough", QueueingMethod::Passthrough),
    ("reject", QueueingMethod::Reject),
];

impl DropConfig {
    /// What is for sale; nothing for a drop that is only a waiting room.
    pub fn items(&self) -> &[ItemConfig] {
        self.checkout.as_ref().map_or(&[], |c| c.items.as_slice())
    }

    /// The same as the queue reads it. What the file does not say is as the domain has it.
    pub fn rules(&self) -> DropRules {
        let start = self.event_start_time.at();
        let mut rules = DropRules {
            schedule: Schedule {
                prequeue_start: self.prequeue_start_time.as_ref().map_or(start, Moment::at),
                event_start: start,
                event_end: self.event_end_time.as_ref().map(Moment::at),
            },
            method: self.queueing_method,
            shuffle: self.shuffle,
            limits: self.limits,
            session_duration: self.session_duration,
            renewal: self.renewal,
            after_order: self.after_order,
            claim_window: self.claim_window,
            late_grace: self.late_grace,
            queue_capacity: self.queue_capacity,
            ..DropRules::new(self.id.clone())
        };
        if let Some(checkout) = &self.checkout {
            rules.reserve_for = checkout.reserve_for;
            rules.overbooking_per_mille = checkout.overbooking_percent.saturating_mul(10);
        }
        rules
    }
}
