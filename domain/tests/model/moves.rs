//! What can happen next: what shoppers and operators may do, what the house owes, what the provider does, and what may
//! break.

use domain::Timestamp;
use domain::saga::{Flag, Order, PaymentStatus, State, StateName};

use super::hands::Hand;
use super::mutation::Mutation;
use super::provider::Mishap;
use super::scene::{Card, Scene};
use super::world::{Mail, NOW, World, is_end, place};

/// One thing that happens. Orders, hands, payments and late requests go by their places.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Move {
    /// A shopper reserves.
    Reserve(usize),
    /// A gateway looks at the limit, for a reservation in a later transaction. Only a mistake does that.
    LookAtLimit(usize),
    /// A shopper gives a payment method.
    Accept(usize),
    /// The shopper of the first order, or an operator for the second, gives it up.
    Cancel(usize),
    /// An operator gives the money back.
    Refund(usize),
    /// The shopper proves to the bank that it is them, or pays with another card in the browser.
    Confirm(usize),
    /// The bank does not believe the shopper.
    FailToConfirm(usize),

    /// The relay publishes the order's message.
    Relay(usize),
    /// The broker gives the message to a worker, who drives the order.
    Deliver(usize),
    /// An order that is due and of which no message is on its way gets one.
    Redrive(usize),
    /// The sweeper finds a reservation past its time.
    Sweep(usize),
    /// The canceller drives an order that is to be given up.
    Tend(usize),
    /// A worker or reconciler finds that the shopper took too long to confirm.
    TimeOut(usize),
    /// The reconciler by order looks.
    Look(usize),
    /// The reconciler by provider, or the handler of a webhook, reads a payment.
    Read(usize),
    /// A process makes the call it owes, and hears the answer.
    Call(usize),
    /// A process decides on what it heard, or stores what it decided.
    Store(usize),

    /// The provider finishes what it was working on, well or badly.
    Settle(usize, Outcome),
    /// A late request arrives.
    Arrive(usize),

    /// A call goes wrong.
    Mishap(usize, Mishap),
    /// A process dies with what it has in hand.
    Crash(usize),
    /// An authorisation runs out.
    Lapse(usize),
    /// The broker loses a message.
    LoseMail(usize),
    /// The broker delivers a message and keeps it.
    DeliverAndKeep(usize),
    /// A process takes longer than its lease.
    LeaseRunsOut(usize),
    /// Everything is down for most of a day: nothing in hand or under way is left, and no key may be used any more.
    Night,
    /// A process has decided and falls asleep before it stores.
    Doze(usize),
    /// The shopper's or operator's request to give an order up falls asleep likewise.
    DozeOverCancel(usize),
    /// The sweeper falls asleep likewise.
    DozeOverSweep(usize),
}

/// How something ends at the provider.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Authorised,
    Refused,
}

/// Who makes a move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Maker {
    /// The house and the provider, by themselves, also when nothing goes wrong any more and nobody wants anything new. From
    /// every state these moves alone must lead to a good end.
    Diligence,
    /// Somebody who wants something.
    Wish,
    /// Misfortune: a scene has a number of these.
    Fault,
}

impl Move {
    pub(crate) const fn maker(self) -> Maker {
        match self {
            Self::Relay(_)
            | Self::Deliver(_)
            | Self::Redrive(_)
            | Self::Sweep(_)
            | Self::Tend(_)
            | Self::TimeOut(_)
            | Self::Look(_)
            | Self::Read(_)
            | Self::Call(_)
            | Self::Store(_)
            | Self::Settle(..)
            | Self::Arrive(_) => Maker::Diligence,
            Self::Reserve(_)
            | Self::LookAtLimit(_)
            | Self::Accept(_)
            | Self::Cancel(_)
            | Self::Refund(_)
            | Self::Confirm(_)
            | Self::FailToConfirm(_) => Maker::Wish,
            Self::Mishap(..)
            | Self::Crash(_)
            | Self::Lapse(_)
            | Self::LoseMail(_)
            | Self::DeliverAndKeep(_)
            | Self::LeaseRunsOut(_)
            | Self::Night
            | Self::Doze(_)
            | Self::DozeOverCancel(_)
            | Self::DozeOverSweep(_) => Maker::Fault,
        }
    }
}

impl World {
    /// Everything that can happen next.
    pub(crate) fn moves(&self, scene: &Scene, moves: &mut Vec<Move>) {
        for at in 0..scene.orders {
            if self.rows[at].is_some() {
                self.moves_of_order(scene, at, moves);
            } else if scene.has(Mutation::LimitOutsideTransaction) && !self.waved_through[at] {
                moves.push(Move::LookAtLimit(at));
            } else {
                moves.push(Move::Reserve(at));
            }
        }
        for at in 0..self.hands.len() {
            self.moves_of_hand(at, moves);
        }
        for at in 0..self.provider.payments.len() {
            self.moves_of_payment(scene, at, moves);
        }
        moves.extend((0..self.late.len()).map(Move::Arrive));
        moves.push(Move::Night);
        if self.faults == 0 {
            moves.retain(|next| next.maker() != Maker::Fault);
        }
    }

    fn moves_of_order(&self, scene: &Scene, at: usize, moves: &mut Vec<Move>) {
        let row = self.row(at);
        let order = &row.order;
        let leased = order.pace.leased_until > NOW;
        let free = self.free_hand().is_some();
        let name = order.state.name();
        match &order.state {
            State::Reserved(_) => {
                moves.extend([Move::Accept(at), Move::Cancel(at), Move::Sweep(at)]);
                if free {
                    moves.extend([Move::DozeOverCancel(at), Move::DozeOverSweep(at)]);
                }
            }
            State::Accepted(_) | State::Authorising(_) => {
                moves.push(Move::Cancel(at));
                if free {
                    moves.push(Move::DozeOverCancel(at));
                }
            }
            State::ActionRequired(_) => {
                moves.push(Move::Cancel(at));
                if !leased {
                    moves.push(Move::TimeOut(at));
                }
            }
            State::Cancelling(_) if free && !leased && is_owed(order) => moves.push(Move::Tend(at)),
            State::Paid(data) if scene.refunds && data.refund.is_none() && free => {
                moves.push(Move::Refund(at));
            }
            State::Committed(_) | State::Paid(_) if scene.has(Mutation::CancelWinsAfterCapture) => {
                moves.push(Move::Cancel(at));
            }
            State::Cancelling(_)
            | State::Committed(_)
            | State::Paid(_)
            | State::Declined(_)
            | State::Released(_)
            | State::Unwound(_)
            | State::Refunded(_) => {}
        }
        let flagged_refund = name == StateName::Paid && order.flag.is_some();
        let open = matches!(
            name,
            StateName::Authorising | StateName::ActionRequired | StateName::Cancelling | StateName::Committed
        );
        if leased {
            moves.push(Move::LeaseRunsOut(at));
        }
        if free && !leased && (open || flagged_refund) && !scene.has(Mutation::NoReconciler) {
            moves.push(Move::Look(at));
        }
        let redrives = !scene.has(Mutation::AcceptWithoutOutboxAndRedrive);
        match row.mail {
            Mail::None if redrives && !leased && is_owed(order) => moves.push(Move::Redrive(at)),
            Mail::None => {}
            Mail::Outbox => moves.push(Move::Relay(at)),
            Mail::Broker => {
                moves.push(Move::LoseMail(at));
                if free {
                    moves.extend([Move::Deliver(at), Move::DeliverAndKeep(at)]);
                }
            }
        }
    }

    fn moves_of_hand(&self, at: usize, moves: &mut Vec<Move>) {
        match &self.hands[at] {
            Hand::Free => {}
            Hand::Owing(_, call) => {
                moves.extend([Move::Call(at), Move::Crash(at)]);
                if call.attempt().is_some() {
                    moves.extend(Mishap::OF_CHANGES.map(|mishap| Move::Mishap(at, mishap)));
                } else {
                    moves.push(Move::Mishap(at, Mishap::Dropped));
                }
            }
            Hand::Told(..) => moves.extend([Move::Store(at), Move::Crash(at), Move::Doze(at)]),
            Hand::Drowsy { .. } => moves.extend([Move::Store(at), Move::Crash(at)]),
        }
    }

    fn moves_of_payment(&self, scene: &Scene, at: usize, moves: &mut Vec<Move>) {
        let payment = &self.provider.payments[at];
        let card = scene.cards[place(payment.order)];
        match payment.status {
            PaymentStatus::RequiresAction => moves.extend([Move::Confirm(at), Move::FailToConfirm(at)]),
            PaymentStatus::RequiresMethod if card == Card::Secure => moves.push(Move::Confirm(at)),
            PaymentStatus::Processing => {
                let ends = [Outcome::Authorised, Outcome::Refused];
                moves.extend(ends.map(|outcome| Move::Settle(at, outcome)));
            }
            PaymentStatus::RequiresCapture => moves.push(Move::Lapse(at)),
            PaymentStatus::RequiresMethod
            | PaymentStatus::RequiresConfirmation
            | PaymentStatus::Succeeded
            | PaymentStatus::Cancelled => {}
        }
        let order = &self.row(place(payment.order)).order;
        let settled = is_end(order) && !scene.refunds && !payment.is_open();
        if !settled && self.free_hand().is_some() && !scene.has(Mutation::NoReconciler) {
            moves.push(Move::Read(at));
        }
    }
}

/// Whether a worker would find something to do.
fn is_owed(order: &Order) -> bool {
    order.pace.due != Timestamp::NEVER && !matches!(order.flag, Some(Flag::Parked(_) | Flag::Frozen(_)))
}
