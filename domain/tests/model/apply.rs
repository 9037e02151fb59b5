//! What every move does.

use std::sync::Arc;

use domain::saga::{ACTION_TIME, Answer, Asked, By, Event, Moment, Payment, PaymentStatus, Restock};
use domain::{Span, Timestamp};

use super::hands::{Hand, capturing, owing};
use super::ledger::Applied;
use super::moves::{Maker, Move, Outcome};
use super::provider;
use super::scene::Scene;
use super::world::{Mail, NOW, World, each_attempt, place};

/// A moment at which every deadline is over.
fn later() -> Moment {
    Moment::at(NOW + ACTION_TIME + Span::from_mins(1))
}

impl World {
    /// The world after a move; nothing where it changes nothing.
    pub(crate) fn after(&self, scene: &Scene, next: Move) -> Option<Self> {
        let mut world = self.clone();
        if next.maker() == Maker::Fault {
            world.faults -= 1;
        }
        world.make(scene, next)?;
        world.tidy();
        Some(world)
    }

    fn make(&mut self, scene: &Scene, next: Move) -> Option<()> {
        let now = Moment::at(NOW);
        match next {
            Move::Reserve(at) => self.reserve(scene, at)?,
            Move::LookAtLimit(at) => self.waved_through[at] = self.within_limit(scene, at),
            Move::Accept(at) => self.told(scene, at, Event::Accept(scene.cards[at].method()), now)?,
            Move::Cancel(at) => self.told(scene, at, Event::Cancel(canceller(at)), now)?,
            Move::Sweep(at) => self.told(scene, at, Event::Expire, later())?,
            Move::TimeOut(at) => {
                let read = Event::Answered(Asked::Retrieve, Answer::Payment(self.unconfirmed(at)?));
                self.told(scene, at, read, later())?;
            }
            Move::Refund(at) => self.take_up(scene, at, Event::Refund(Restock::Return))?,
            Move::Look(at) => self.take_up(scene, at, Event::Look)?,
            Move::Tend(at) | Move::DeliverAndKeep(at) => self.take_up(scene, at, Event::Drive)?,
            Move::Deliver(at) => {
                self.row_mut(at).mail = Mail::None;
                // A message about an order that owes nothing, or that somebody has in hand, is worked off all the same.
                self.take_up(scene, at, Event::Drive).unwrap_or_default();
            }
            Move::Relay(at) => self.row_mut(at).mail = Mail::Broker,
            Move::Redrive(at) => self.row_mut(at).mail = Mail::Outbox,
            Move::LoseMail(at) => self.row_mut(at).mail = Mail::None,
            Move::Read(at) => {
                let (payment, hand) = (self.provider.payments[at].clone(), self.free_hand()?);
                self.hands[hand] = Hand::Told(place(payment.order), Arc::new(Event::Seen(payment)));
            }
            Move::Call(hand) => self.call(scene, hand, None)?,
            Move::Mishap(hand, mishap) => self.call(scene, hand, Some(mishap))?,
            Move::Store(hand) => self.go_on(scene, hand),
            Move::Crash(hand) => self.hands[hand] = Hand::Free,
            Move::LeaseRunsOut(at) => self.row_mut(at).order.pace.leased_until = Timestamp::EPOCH,
            Move::Night => self.sleep(),
            Move::Doze(hand) => self.doze(scene, hand)?,
            Move::DozeOverCancel(at) => self.doze_over(scene, at, Event::Cancel(canceller(at)), now)?,
            Move::DozeOverSweep(at) => self.doze_over(scene, at, Event::Expire, later())?,
            Move::Confirm(at) | Move::Settle(at, Outcome::Authorised) => {
                provider::authorise(self.payment(at));
            }
            Move::FailToConfirm(at) | Move::Settle(at, Outcome::Refused) => {
                provider::refuse(self.payment(at));
            }
            Move::Lapse(at) => provider::give_up(self.payment(at)),
            Move::Arrive(at) => {
                let request = self.late.remove(at);
                Arc::make_mut(&mut self.provider).receive(&request, capturing(scene), None);
            }
        }
        Some(())
    }

    /// Feeds an event that leads to no call.
    fn told(&mut self, scene: &Scene, at: usize, event: Event, moment: Moment) -> Option<()> {
        let Applied::Done(call) = self.feed(scene, at, event, moment) else {
            return None;
        };
        assert!(call.is_none(), "nobody is there to make this call");
        Some(())
    }

    /// Lets a free hand feed an event, and owe the call that follows.
    fn take_up(&mut self, scene: &Scene, at: usize, event: Event) -> Option<()> {
        let hand = self.free_hand()?;
        let Applied::Done(call) = self.feed(scene, at, event, Moment::at(NOW)) else {
            return None;
        };
        self.hands[hand] = owing(at, call);
        Some(())
    }

    /// The payment of an order as it was read when nobody had confirmed it yet, however long ago.
    fn unconfirmed(&self, at: usize) -> Option<Payment> {
        let named = self.row(at).order.state.payment()?;
        let payment = self
            .provider
            .payments
            .iter()
            .find(|payment| payment.id == *named)?;
        Some(Payment {
            status: PaymentStatus::RequiresAction,
            capturable: 0,
            ..payment.clone()
        })
    }

    /// A payment, to be changed by the provider itself.
    fn payment(&mut self, at: usize) -> &mut Payment {
        &mut Arc::make_mut(&mut self.provider).payments[at]
    }

    /// Hours pass in which nobody does anything: the provider forgets its keys, and orders know that it may have.
    fn sleep(&mut self) {
        self.hands = [Hand::Free, Hand::Free];
        self.late.clear();
        Arc::make_mut(&mut self.provider).forget_all_keys();
        for row in self.rows.iter_mut().flatten() {
            each_attempt(&mut Arc::make_mut(row).order, |attempt| {
                attempt.first_sent = Timestamp::EPOCH;
            });
        }
    }
}

/// The shopper gives up the first order, an operator the second: the saga treats both alike but for whose word it is.
const fn canceller(at: usize) -> By {
    if at == 0 { By::Shopper } else { By::Operator }
}
