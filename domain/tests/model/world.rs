//! A state of the model: the ledger, the provider, what two processes have in hand, and what is on its way between them.
//!
//! States that differ in nothing that anybody could notice are one state. Of an instant only the side of now on which it
//! lies is kept, because nothing else is ever compared; of a version only whether it is still the one that was read; and
//! two processes that change places are the same two processes.

use std::sync::Arc;

use domain::backoff::BUSY_MAX;
use domain::pool::Bucket;
use domain::saga::{ActionRequired, Attempt, Authorising, Cancelling, Committed, LEASE, Order, Paid, State};
use domain::{Currency, DropId, Money, OrderId, Timestamp};

use super::hands::Hand;
use super::provider::{Provider, Request};

/// Now, always.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Everything.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct World {
    /// The ledger's orders; none where nothing was reserved yet.
    pub(crate) rows: [Option<Arc<Row>>; 2],
    /// The ledger's stock: one kind of thing, in one bucket.
    pub(crate) stock: Bucket,
    pub(crate) provider: Arc<Provider>,
    pub(crate) hands: [Hand; 2],
    /// Requests whose senders have given up, and that arrive all the same.
    pub(crate) late: Vec<Arc<Request>>,
    /// Whose limit was looked at in an earlier transaction; only a mistake does that.
    pub(crate) waved_through: [bool; 2],
    /// Faults that may still happen.
    pub(crate) faults: u8,
}

/// An order with what the saga does not care about.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Row {
    pub(crate) order: Order,
    pub(crate) entries: Entries,
    pub(crate) mail: Mail,
    /// The shopper was told that the order is accepted.
    pub(crate) accepted: bool,
    /// How often the merchant was told that it is paid.
    pub(crate) told_paid: u8,
}

/// How often an order's unit moved, by kind.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Entries {
    pub(crate) sold: u8,
    pub(crate) given_back: u8,
}

/// Where the message about an order is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Mail {
    None,
    Outbox,
    Broker,
}

pub(crate) fn drop_id() -> DropId {
    DropId::new("aurora").expect("a short name")
}

pub(crate) fn total() -> Money {
    Money::new(12_900, Currency::new("eur").expect("three letters"))
}

pub(crate) const fn order_id(at: usize) -> OrderId {
    OrderId(at as u128 + 1)
}

/// The place of an order, from its name.
pub(crate) fn place(order: OrderId) -> usize {
    usize::try_from(order.0 - 1).expect("one of two orders")
}

impl World {
    /// Nothing has happened.
    pub(crate) fn new(units: u32, faults: u8) -> Self {
        Self {
            rows: [None, None],
            stock: Bucket::of(units),
            provider: Arc::default(),
            hands: [Hand::Free, Hand::Free],
            late: Vec::new(),
            waved_through: [false; 2],
            faults,
        }
    }

    pub(crate) fn row(&self, at: usize) -> &Row {
        self.rows[at].as_ref().expect("a placed order")
    }

    pub(crate) fn row_mut(&mut self, at: usize) -> &mut Row {
        Arc::make_mut(self.rows[at].as_mut().expect("a placed order"))
    }

    pub(crate) fn placed(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().flatten().map(AsRef::as_ref)
    }

    /// Whether order `at` has come to its end, and nobody has anything in hand or on its way that is about it.
    fn is_over(&self, at: usize) -> bool {
        let over = self.rows[at].as_ref().is_some_and(|row| is_end(&row.order));
        let busy = self.hands.iter().any(|hand| hand.order() == Some(at));
        over && !busy && !self.late.iter().any(|request| request.order == order_id(at))
    }

    /// Puts what has no order of its own into one, and drops what can come to nothing any more.
    pub(crate) fn tidy(&mut self) {
        for at in 0..self.rows.len() {
            let Some(row) = &self.rows[at] else { continue };
            // The lease of a process that died, or that heard all it wanted, runs out before long; until then it changes
            // nothing but who may come next.
            if row.order.pace.leased_until > NOW && !self.hands.iter().any(|hand| hand.waits_for(at)) {
                self.row_mut(at).order.pace.leased_until = Timestamp::EPOCH;
            }
            let row = self.row(at);
            if !is_end(&row.order) {
                continue;
            }
            if row.mail != Mail::None {
                self.row_mut(at).mail = Mail::None;
            }
            for hand in &mut self.hands {
                if hand.is_idle_talk(at) {
                    *hand = Hand::Free;
                }
            }
            if self.is_over(at) && self.provider.has_keys_to_forget(order_id(at)) {
                Arc::make_mut(&mut self.provider).forget_keys(order_id(at));
            }
        }
        if self.hands[0].rank() > self.hands[1].rank() {
            self.hands.swap(0, 1);
        }
        self.late
            .sort_by_key(|request| (request.order, request.call.asked()));
    }
}

/// Whether an order has come to its end and owes nothing.
pub(crate) fn is_end(order: &Order) -> bool {
    order.state.name().is_end() && !matches!(&order.state, State::Paid(data) if data.refund.is_some())
}

/// The order with everything forgotten that nobody could notice: a lease lasts or has run out, what is due at all is due
/// now, and a key is young or too old to be used.
pub(crate) fn plain(mut order: Order) -> Order {
    order.version = 1;
    order.pace.tries = order.pace.tries.min(BUSY_MAX);
    let leased = order.pace.leased_until > NOW;
    order.pace.leased_until = if leased { NOW + LEASE } else { Timestamp::EPOCH };
    if order.pace.due != Timestamp::NEVER {
        order.pace.due = NOW;
    }
    each_attempt(&mut order, |attempt| {
        attempt.first_sent = if attempt.is_aged(NOW) {
            Timestamp::EPOCH
        } else {
            NOW
        };
    });
    order
}

/// Changes every attempt that the order has on record.
pub(crate) fn each_attempt(order: &mut Order, change: impl Fn(&mut Attempt)) {
    match &mut order.state {
        State::Authorising(Authorising { attempt, .. })
        | State::ActionRequired(ActionRequired { attempt, .. })
        | State::Committed(Committed { capture: attempt, .. }) => change(attempt),
        State::Cancelling(Cancelling {
            authorise, cancel, ..
        }) => {
            change(authorise);
            change(cancel);
        }
        State::Paid(Paid { refund, .. }) => refund.iter_mut().for_each(|refund| change(&mut refund.attempt)),
        State::Reserved(_)
        | State::Accepted(_)
        | State::Declined(_)
        | State::Released(_)
        | State::Unwound(_)
        | State::Refunded(_) => {}
    }
    order
        .strays
        .iter_mut()
        .for_each(|stray| change(&mut stray.attempt));
}
