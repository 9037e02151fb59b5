//! What must hold in every state.

use domain::saga::{
    ActionRequired, Authorising, By, Cancelling, Committed, Flag, Order, Payment, PaymentStatus, State,
    StateName, Units,
};

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
pub(crate) const RELEASED_IS_CLOSED: &str =
    "an order is released when its payment can no longer come to anything";
pub(crate) const NEVER_FROZEN: &str = "no key is used for two things and no amount differs";
pub(crate) const FEW_KEYS: &str = "no more keys are used up than things go wrong";
pub(crate) const GOOD_END: &str = "a good end stays reachable";

/// A law of every single state, by its name. That a good end stays reachable is a law of the whole graph.
pub(crate) type Law = (&'static str, fn(&Scene, &World) -> bool);

pub(crate) const LAWS: [Law; 14] = [
    (NO_OVERSELL, no_oversell),
    (ROWS_ARE_SUMS, rows_are_sums),
    (GIVEN_BACK_ONCE, given_back_once),
    (PAID_OWNS_UNIT, paid_owns_unit),
    (CHARGED_WHOLE, charged_whole),
    (CHARGED_HAS_STOCK, charged_has_stock),
    (PAID_IS_CHARGED, paid_is_charged),
    (ONE_PAYMENT_PER_ATTEMPT, one_payment_per_attempt),
    (TOLD_ONCE, told_once),
    (SHOPPER_LIMIT, shopper_limit),
    (NEVER_LOST, never_lost),
    (RELEASED_IS_CLOSED, released_is_closed),
    (NEVER_FROZEN, never_frozen),
    (FEW_KEYS, few_keys),
];

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

fn no_oversell(_: &Scene, world: &World) -> bool {
    world.stock.conserved()
}

fn rows_are_sums(_: &Scene, world: &World) -> bool {
    let count = |units| {
        // A refunded order's unit may be back: its own entries say so.
        let live = |row: &&Row| row.order.state.name().units() == units && row.entries.given_back == 0;
        world.placed().filter(live).count()
    };
    (world.stock.held as usize, world.stock.sold as usize) == (count(Units::Held), count(Units::Sold))
}

fn given_back_once(_: &Scene, world: &World) -> bool {
    world
        .placed()
        .all(|row| row.entries.sold <= 1 && row.entries.given_back <= 1)
}

fn paid_owns_unit(_: &Scene, world: &World) -> bool {
    let paid = |row: &&Row| row.order.state.name() == StateName::Paid;
    world
        .placed()
        .filter(paid)
        .all(|row| row.entries.sold == 1 && row.entries.given_back == 0)
}

fn charged_whole(_: &Scene, world: &World) -> bool {
    let whole = |row: &Row| [0, total().amount].contains(&world.captured(row));
    world.placed().all(whole)
}

fn charged_has_stock(_: &Scene, world: &World) -> bool {
    let charged = |row: &&Row| world.kept(row) > 0;
    world
        .placed()
        .filter(charged)
        .all(|row| row.entries.sold == 1 && row.entries.given_back == 0)
}

fn paid_is_charged(_: &Scene, world: &World) -> bool {
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

fn one_payment_per_attempt(_: &Scene, world: &World) -> bool {
    let payments = &world.provider.payments;
    let same = |a: &Payment, b: &Payment| a.order == b.order && a.n == b.n && a.id != b.id;
    !payments.iter().any(|a| payments.iter().any(|b| same(a, b)))
}

fn told_once(_: &Scene, world: &World) -> bool {
    world.placed().all(|row| row.told_paid <= 1)
}

fn shopper_limit(_: &Scene, world: &World) -> bool {
    let live = |row: &&Row| !row.order.state.name().is_dead();
    world.placed().filter(live).all(|row| {
        let same = |other: &&Row| other.order.shopper == row.order.shopper;
        world.placed().filter(live).filter(same).count() <= PER_SHOPPER
    })
}

/// No backlog of ours ends an accepted order: only a decline, a cancellation, a shopper who did not confirm in time, or an
/// authorisation that ran out.
fn never_lost(scene: &Scene, world: &World) -> bool {
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

/// A release gives the unit to somebody else and tells the shopper that nothing is charged. So nothing may be on its way by
/// then that would still make a payment, and the newest payment may neither hold money nor come to hold it.
///
/// That is promised for two faults. Of three, two may be server errors from in front of the provider, which look like one
/// that it saved, while the third keeps the request itself back; what comes of it then is given up as a stray.
fn released_is_closed(scene: &Scene, world: &World) -> bool {
    if scene.faults > 2 {
        return true;
    }
    let released = |row: &&Row| row.order.state.name() == StateName::Released;
    world.placed().filter(released).all(|row| {
        let newest = world.payments_of(row).max_by_key(|payment| payment.n);
        let holds = |payment: &Payment| match payment.status {
            PaymentStatus::Processing | PaymentStatus::RequiresAction | PaymentStatus::RequiresCapture => {
                true
            }
            PaymentStatus::RequiresMethod
            | PaymentStatus::RequiresConfirmation
            | PaymentStatus::Cancelled
            | PaymentStatus::Succeeded => false,
        };
        !newest.is_some_and(holds) && !world.may_still_pay(row.order.id)
    })
}

fn never_frozen(_: &Scene, world: &World) -> bool {
    !world
        .placed()
        .any(|row| matches!(row.order.flag, Some(Flag::Frozen(_))))
}

/// A fault uses up one key at most, and a provider that is still at it refuses one cancellation. A number that rose by
/// mere asking would rise for ever, and the walk would not end.
fn few_keys(scene: &Scene, world: &World) -> bool {
    let numbers_max = 2 + u32::from(scene.faults);
    world
        .placed()
        .all(|row| highest_number(&row.order) <= numbers_max)
}

fn highest_number(order: &Order) -> u32 {
    let of_state = match &order.state {
        State::Authorising(Authorising { attempt, .. })
        | State::ActionRequired(ActionRequired { attempt, .. })
        | State::Committed(Committed { capture: attempt, .. }) => attempt.n,
        State::Cancelling(Cancelling {
            authorise, cancel, ..
        }) => authorise.n.max(cancel.n),
        State::Paid(data) => data.refund.map_or(0, |refund| refund.attempt.n),
        State::Reserved(_)
        | State::Accepted(_)
        | State::Declined(_)
        | State::Released(_)
        | State::Unwound(_)
        | State::Refunded(_) => 0,
    };
    let of_strays = order.strays.iter().map(|stray| stray.attempt.n);
    of_strays.fold(of_state, u32::max)
}
