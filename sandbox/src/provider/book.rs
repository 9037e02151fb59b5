//! Everything the provider remembers: intents, refunds and the log of money, with the one function
//! through which all of them change.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde_json::Value;

use super::error::ApiError;
use super::event::{self, Cause, EventKind};
use super::intent::{Charge, Effects, Intent, Status};
use super::movement::{LogEntry, Movement};
use super::wire;
use crate::random::Random;

/// A refund that went through.
#[derive(Clone, Debug)]
pub(crate) struct Refund {
    pub(crate) id: String,
    /// Index of its intent.
    pub(crate) intent: usize,
    pub(crate) amount: u64,
    pub(crate) created_s: u64,
    pub(crate) reason: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// An event waiting to be delivered.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) body: String,
}

/// The provider's memory.
#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) intents: Vec<Intent>,
    by_id: HashMap<String, usize>,
    pub(crate) refunds: Vec<Refund>,
    log: Vec<LogEntry>,
    /// Events that happened and were not fetched for delivery yet.
    outgoing: Vec<Event>,
    /// Authorisations by the time the network gives them up, oldest first.
    authorised: VecDeque<(u64, usize)>,
    random: Random,
    order_key: String,
    authorisation_ms: u64,
    capacity: usize,
    /// `http://host:port` of this provider, put in front of the bank's page.
    base: String,
}

/// Movements an intent can cause: authorised, captured, released, and refunds or declines.
const LOG_ENTRIES_PER_INTENT: usize = 4;

impl Book {
    pub(crate) fn new(seed: u64, order_key: String, authorisation_ms: u64, capacity: usize) -> Self {
        Self {
            intents: Vec::new(),
            by_id: HashMap::new(),
            refunds: Vec::new(),
            log: Vec::new(),
            outgoing: Vec::new(),
            authorised: VecDeque::new(),
            random: Random::new(seed),
            order_key,
            authorisation_ms,
            capacity,
            base: String::new(),
        }
    }

    /// Name of the metadata entry that names the order.
    pub(crate) fn order_key(&self) -> &str {
        &self.order_key
    }

    /// Sets the address under which shoppers find the bank's page.
    pub(crate) fn set_base(&mut self, base: String) {
        self.base = base;
    }

    /// An intent as the API shows it.
    pub(crate) fn show(&self, index: usize) -> Value {
        wire::with_base(wire::intent(&self.intents[index]), &self.base)
    }

    /// Refuses writes that memory has no room for, before they do anything.
    pub(crate) fn check_room(&self) -> Result<(), ApiError> {
        let log_capacity = self.capacity.saturating_mul(LOG_ENTRIES_PER_INTENT);
        let is_full = self.intents.len() >= self.capacity
            || self.refunds.len() >= self.capacity
            || self.log.len() >= log_capacity;
        if is_full {
            return Err(ApiError::unavailable(
                "The sandbox holds as many payments as it may.",
            ));
        }
        Ok(())
    }

    /// A fresh id such as `pi_3…`, never given before.
    pub(crate) fn new_id(&mut self, prefix: &str) -> String {
        format!("{prefix}_3{}", self.random.alphanumeric(23))
    }

    /// A charge to be tried now.
    pub(crate) fn new_charge(&mut self, now_s: u64) -> Charge {
        Charge {
            id: self.new_id("ch"),
            created_s: now_s,
            failure: None,
            captured: false,
        }
    }

    /// Stores a new intent and announces it.
    pub(crate) fn insert(&mut self, intent: Intent, now_ms: u64, cause: &Cause) -> usize {
        let index = self.intents.len();
        self.by_id.insert(intent.id.clone(), index);
        self.intents.push(intent);
        let effects = Effects {
            movements: Vec::new(),
            events: vec![EventKind::Created],
        };
        self.apply(index, effects, now_ms, cause);
        index
    }

    pub(crate) fn find(&self, id: &str) -> Result<usize, ApiError> {
        self.by_id
            .get(id)
            .copied()
            .ok_or_else(|| ApiError::missing("payment_intent", id, "intent"))
    }

    /// Writes what a transition did into the log and the outgoing events.
    pub(crate) fn apply(&mut self, index: usize, effects: Effects, now_ms: u64, cause: &Cause) {
        let ids: Vec<String> = effects.events.iter().map(|_| self.new_id("evt")).collect();
        let intent = &self.intents[index];
        let order = intent.metadata.get(&self.order_key);
        for (movement, amount) in effects.movements {
            if movement == Movement::Authorised && intent.status == Status::RequiresCapture {
                self.authorised
                    .push_back((now_ms.saturating_add(self.authorisation_ms), index));
            }
            self.log.push(LogEntry {
                sequence: u64::try_from(self.log.len())
                    .unwrap_or(u64::MAX)
                    .saturating_add(1),
                at_ms: now_ms,
                movement,
                payment_intent: intent.id.clone(),
                order: order.cloned(),
                amount,
                currency: intent.currency.clone(),
            });
        }
        for (id, kind) in ids.into_iter().zip(effects.events) {
            let object = match kind {
                EventKind::ChargeRefunded => wire::charge(intent),
                EventKind::Created
                | EventKind::RequiresAction
                | EventKind::AmountCapturableUpdated
                | EventKind::Succeeded
                | EventKind::PaymentFailed
                | EventKind::Canceled => wire::with_base(wire::intent(intent), &self.base),
            };
            let body = event::body(&id, kind, now_ms / 1_000, cause, &object).to_string();
            self.outgoing.push(Event { id, body });
        }
        assert_conserved(intent);
    }

    /// Gives up authorisations whose time is over, as the card networks do.
    pub(crate) fn expire(&mut self, now_ms: u64) {
        while self.authorised.front().is_some_and(|(at, _)| *at <= now_ms) {
            let Some((_, index)) = self.authorised.pop_front() else {
                return;
            };
            if self.intents[index].status != Status::RequiresCapture {
                continue;
            }
            let reason = Some("automatic".to_owned());
            if let Ok(effects) = self.intents[index].cancel(now_ms / 1_000, reason) {
                self.apply(index, effects, now_ms, &Cause::default());
            }
        }
    }

    /// Hands the events over that happened since the last call.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.outgoing)
    }

    pub(crate) fn log(&self) -> &[LogEntry] {
        &self.log
    }
}

/// Money is conserved per intent. A violation is a bug of the sandbox, and would make it a false
/// witness: it must not pass silently.
fn assert_conserved(intent: &Intent) {
    assert!(
        intent.received <= intent.amount,
        "{} captured more than authorised",
        intent.id
    );
    assert!(
        intent.refunded <= intent.received,
        "{} refunded more than captured",
        intent.id
    );
}
