//! What must hold in every state.

use domain::saga::{By, Flag, Payment, PaymentStatus, State, StateName, Units};

use super::hands::Hand;
use super::scene::{Card, PER_SHOPPER, Scene};
use super::world::{Row, World, total};

pub(crate) const NO_OVERSELL: &str = "held and sold units are no more than there are";
pub(crate) const ROWS_ARE_SUMS: &str = "the stock row is the sum of the live orders";
pub(crate) const GIVEN_BACK_ONCE: &str = "a unit is sold once and given back once";
pub(crate) const PAID_OWNS_UNIT: &str = "a paid order owns a sold unit";
pub(crate) const CHARGED_WHOLE: &str = "an order is charged whole and once, or not at all";
pub(crate) const CHARGED_HAS_STOCK: &str = "nobody is charged without stock";
pub(crate) const PAID_IS_CHARGED: &str = "paid in the books is paid at the provider";
pub(crate) const ONE_PAYMENT_PER_ATTEMPT: &str = "an attempt has one payment";
pub(crate) const TOLD_ONCE: &str = "the merchant is told once that an order is paid";
pub(crate) const SHOPPER_LIMIT: &str = "a shopper stays within their limit";
pub(crate) const NEVER_LOST: &str = "an accepted order is never lost";
pub(crate) const NEVER_FROZEN: &str = "no key is used for two things and no amount differs";
pub(crate) const GOOD_END: &str = "a good end stays reachable";

impl World {
    fn payments_of(&self, row: &Row) -> impl Iterator<Item = &Payment> {
        self.provider
            .payments
            .iter()
            .filter(|payment| payment.order == row.order.id)
    }

    fn captured(&self, row: &Row) -> u64 {
        self.payments_of(row).map(|payment| payment.captured).sum()
    }

    /// What the merchant has of the shopper's money.
    fn kept(&self, row: &Row) -> u64 {
        self.payments_of(row)
            .map(|payment| payment.captured - payment.refunded)
            .sum()
    }

    /// Whether nothing is owed to anybody: every order that there is has come to an end, nobody has anything in hand,
    /// nothing is on its way to the provider, and it holds and keeps what the books say and nothing else.
    pub(crate) fn is_good_end(&self) -> bool {
        let ended = |row: &Row| {
            let refunding = matches!(&row.order.state, State::Paid(data) if data.refund.is_some());
            let paid = row.order.state.name() == StateName::Paid;
            let owed = if paid { total().amount } else { 0 };
            let held = self
                .payments_of(row)
                .any(|p| p.status == PaymentStatus::RequiresCapture);
            row.order.state.name().is_end() && !refunding && !held && self.kept(row) == owed
        };
        self.late.is_empty() && self.hands.iter().all(|hand| *hand == Hand::Free) && self.placed().all(ended)
    }
}

pub(crate) fn no_oversell(world: &World) -> bool {
    world.stock.conserved()
}

pub(crate) fn rows_are_sums(world: &World) -> bool {
    let count = |units| {
        // A refunded order's unit may be back: its own entries say so.
        let live = |row: &&Row| row.order.state.name().units() == units && row.entries.given_back == 0;
        world.placed().filter(live).count()
    };
    (world.stock.held as usize, world.stock.sold as usize) == (count(Units::Held), count(Units::Sold))
}

pub(crate) fn given_back_once(world: &World) -> bool {
    world
        .placed()
        .all(|row| row.entries.sold <= 1 && row.entries.given_back <= 1)
}

pub(crate) fn paid_owns_unit(world: &World) -> bool {
    let paid = |row: &&Row| row.order.state.name() == StateName::Paid;
    world
        .placed()
        .filter(paid)
        .all(|row| row.entries.sold == 1 && row.entries.given_back == 0)
}

pub(crate) fn charged_whole(world: &World) -> bool {
    let whole = |row: &Row| [0, total().amount].contains(&world.captured(row));
    world.placed().all(whole)
}

pub(crate) fn charged_has_stock(world: &World) -> bool {
    let charged = |row: &&Row| world.kept(row) > 0;
    world
        .placed()
        .filter(charged)
        .all(|row| row.entries.sold == 1 && row.entries.given_back == 0)
}

pub(crate) fn paid_is_charged(world: &World) -> bool {
    world.placed().all(|row| match &row.order.state {
        State::Paid(data) => data.refund.is_some() || world.kept(row) == total().amount,
        State::Refunded(_) => world.kept(row) == 0,
        State::Reserved(_)
        | State::Accepted(_)
        | State::Authorising(_)
        | State::ActionRequired(_)
        | State::Cancelling(_)
        | State::Committed(_)
        | State::Declined(_)
        | State::Released(_)
        | State::Unwound(_) => true,
    })
}

pub(crate) fn one_payment_per_attempt(world: &World) -> bool {
    let payments = &world.provider.payments;
    let same = |a: &Payment, b: &Payment| a.order == b.order && a.n == b.n && a.id != b.id;
    !payments.iter().any(|a| payments.iter().any(|b| same(a, b)))
}

pub(crate) fn told_once(world: &World) -> bool {
    world.placed().all(|row| row.told_paid <= 1)
}

pub(crate) fn shopper_limit(world: &World) -> bool {
    let live = |row: &&Row| !row.order.state.name().is_dead();
    world.placed().filter(live).all(|row| {
        let same = |other: &&Row| other.order.shopper == row.order.shopper;
        world.placed().filter(live).filter(same).count() <= PER_SHOPPER
    })
}

/// No backlog of ours ends an accepted order: only a decline, a cancellation, a shopper who did not confirm in time, or an
/// authorisation that ran out.
pub(crate) fn never_lost(scene: &Scene, world: &World) -> bool {
    let lost = |(at, row): (usize, &Row)| match &row.order.state {
        State::Reserved(_) => row.accepted,
        State::Released(data) => row.accepted && data.by == By::Timer && scene.cards[at] != Card::Secure,
        State::Accepted(_)
        | State::Authorising(_)
        | State::ActionRequired(_)
        | State::Cancelling(_)
        | State::Committed(_)
        | State::Paid(_)
        | State::Declined(_)
        | State::Unwound(_)
        | State::Refunded(_) => !row.accepted,
    };
    let rows = world.rows.iter().enumerate();
    !rows.filter_map(|(at, row)| Some((at, row.as_deref()?))).any(lost)
}

pub(crate) fn never_frozen(world: &World) -> bool {
    !world
        .placed()
        .any(|row| matches!(row.order.flag, Some(Flag::Frozen(_))))
}
