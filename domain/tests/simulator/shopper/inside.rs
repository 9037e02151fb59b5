//! Inside the shop: reserve, accept, watch the order, try again, go.

use domain::pool::Line;
use domain::queue::EndReason;
use domain::saga::{By, Event, Order, PaymentMethod, State, StockMove};
use domain::{Decision, Intent, OrderId, Phase, Question, Renewal, RouteClass};
use domain::{Standing as Token, Timestamp};

use super::{Behaviour, End, Move, Stage};
use crate::simulator::agenda::Task;
use crate::simulator::door::admission;
use crate::simulator::ledger::{Ledger, Placed, Purchase};
use crate::simulator::mutation::{Law, Mutation, Violation, require};
use crate::simulator::world::World;

impl World {
    pub(super) fn shop(&mut self, index: usize) -> Move {
        if !self.fleet.is_up(0) {
            return Ok(self.soon());
        }
        self.sign_of_life(index);
        match self.shoppers[index].order {
            Some(order) if self.shoppers[index].accepted => Ok(self.watch(index, order)),
            Some(order) => Ok(self.pay(index, order)),
            None if self.may_enter(index) => self.reserve(index),
            // Held for the moment, or the session is over.
            None if self.shoppers[index].token_until > self.wall() && self.held => Ok(self.soon()),
            None => Ok(self.again_or(index, End::GaveUp)),
        }
    }

    fn sign_of_life(&mut self, index: usize) {
        let shopper = &self.shoppers[index];
        let Some(ticket) = shopper.ticket else { return };
        let id = admission(shopper.key, ticket.number);
        if self.store.rules().renewal == Renewal::Sliding
            && self.random.chance(400)
            && let Some(until) = self.renew(id)
        {
            self.shoppers[index].token_until = until;
        }
    }

    /// What the gateway decides about a request that would change something.
    fn may_enter(&self, index: usize) -> bool {
        let valid = self.shoppers[index].token_until > self.wall();
        let Some(view) = &self.snapshot else { return false };
        let question = Question {
            route: RouteClass::Protected,
            intent: Intent::Act,
            phase: view.phase,
            method: self.store.rules().method,
            hold_everybody: view.control.queue_all,
            standing: if valid { Token::Admitted } else { Token::Outside },
        };
        question.answer() == Decision::Pass && view.phase != Phase::Ended
    }

    fn purchase(&mut self, index: usize) -> Purchase {
        let (key, ticket) = (
            self.shoppers[index].key,
            self.shoppers[index].ticket.expect("inside with a ticket"),
        );
        let mut lines = Vec::new();
        let mut room = self.plan.per_shopper.min(2);
        for item in &self.plan.items {
            if room > 0 && (lines.is_empty() || self.random.chance(300)) && self.random.chance(700) {
                let quantity = self.random.small(1, room);
                room -= quantity;
                lines.push(Line {
                    sku: item.sku.clone(),
                    quantity,
                });
            }
        }
        if lines.is_empty() {
            lines.push(Line {
                sku: self.plan.items[0].sku.clone(),
                quantity: 1,
            });
        }
        let items = &self.plan.items;
        let price = |line: &Line| {
            items
                .iter()
                .find(|item| item.sku == line.sku)
                .expect("of the drop")
                .price
        };
        let total = Ledger::price(&lines, price);
        self.orders += 1;
        let until = self.wall() + self.store.rules().reserve_for;
        let order = Order::reserved(
            OrderId(self.orders),
            self.store.rules().drop.clone(),
            key,
            total,
            until,
        );
        let method = self.random.chance(300).then(|| self.method(index));
        let client_key = self.shoppers[index].client_key;
        Purchase {
            order,
            lines,
            admission: admission(key, ticket.number),
            client_key,
            method,
        }
    }

    fn method(&mut self, index: usize) -> PaymentMethod {
        let first = self.shoppers[index].refusals == 0;
        let name = match self.shoppers[index].behaviour {
            Behaviour::Decliner if first => self.random.pick(&["pm_declined", "pm_slow_declined"]),
            Behaviour::ThreeDs if first => {
                self.random
                    .pick(&["pm_3ds_good", "pm_3ds_good", "pm_3ds_fails", "pm_3ds_abandoned"])
            }
            Behaviour::Decliner
            | Behaviour::ThreeDs
            | Behaviour::Patient
            | Behaviour::Impatient
            | Behaviour::NoShow
            | Behaviour::LateReturner
            | Behaviour::DoubleClicker
            | Behaviour::AbandonsAtPayment
            | Behaviour::Rejoins => self
                .random
                .pick(&["pm_good", "pm_good", "pm_good", "pm_slow_good"]),
        };
        PaymentMethod::new(name).expect("a short name")
    }

    fn reserve(&mut self, index: usize) -> Move {
        let first = self.purchase(index);
        let mut purchases = vec![first];
        if self.shoppers[index].behaviour == Behaviour::DoubleClicker {
            let mut second = self.purchase(index);
            // The same click twice, or a second tab with a key of its own.
            second.client_key += self.random.pick(&[0, 1_000]);
            purchases.push(second);
        }
        let early: Vec<Option<Placed>> = purchases
            .iter()
            .map(|purchase| self.ledger.refusal(purchase))
            .collect();
        let mut placed = Placed::SoldOut;
        for (purchase, refusal) in purchases.iter().zip(early).rev() {
            let (moment, start) = (self.moment(), self.random.small(0, 7));
            let late = self.mutation == Some(Mutation::LimitOutsideTransaction);
            placed = match refusal.filter(|_| late) {
                Some(refusal) => refusal,
                None => self.ledger.reserve(purchase, start, moment),
            };
            let shopper = index + 1;
            self.note(|| {
                format!(
                    "shopper {shopper} reserves under key {}: {placed:?}",
                    purchase.client_key
                )
            });
        }
        self.agenda.after(10, Task::Relay);
        if self.answer_is_lost() {
            return Ok(self.soon());
        }
        self.reserved(index, placed)
    }

    fn reserved(&mut self, index: usize, placed: Placed) -> Result<u64, Violation> {
        let shopper = &mut self.shoppers[index];
        match placed {
            Placed::New(order) | Placed::Repeated(order) | Placed::AdmissionSpent(order) => {
                shopper.order = Some(order);
                shopper.client_key += 1;
                Ok(self.random.between(500, 12_000))
            }
            Placed::SoldOut => {
                shopper.refusals += 1;
                shopper.client_key += 1;
                if shopper.refusals > 4 {
                    Ok(self.go(index, End::SoldOut))
                } else {
                    Ok(self.soon())
                }
            }
            Placed::LimitExceeded => {
                let has = self.ledger.units_of(self.shoppers[index].key);
                require(Law::ShopperLimits, has > 0, || {
                    "a shopper without units met the limit".to_owned()
                })?;
                Ok(self.go(index, End::Bought))
            }
        }
    }

    /// Leaves the shop, and gives the session up.
    fn go(&mut self, index: usize, end: End) -> u64 {
        let shopper = &self.shoppers[index];
        if let Some(ticket) = shopper.ticket {
            let id = admission(shopper.key, ticket.number);
            self.door(None, |queue, at| queue.end_session(id, EndReason::Left, at.now));
            self.witness.ended(id);
        }
        self.again_or(index, end)
    }

    fn pay(&mut self, index: usize, order: OrderId) -> u64 {
        if self.ledger.accepted.contains(&order) {
            self.shoppers[index].accepted = true;
            return self.soon();
        }
        if self.shoppers[index].behaviour == Behaviour::AbandonsAtPayment {
            return self.done(index, End::GaveUp);
        }
        if self.random.chance(30) {
            self.feed(0, order, Event::Cancel(By::Shopper));
        }
        let (method, moment) = (self.method(index), self.moment());
        let accepted = self.ledger.accept(order, &method, moment);
        self.agenda.after(10, Task::Relay);
        if self.answer_is_lost() {
            return self.soon();
        }
        if accepted {
            let id = self.ledger.rows[&order].admission;
            self.door(None, |queue, at| queue.note_decided(id, at.now));
            self.shoppers[index].accepted = true;
        } else if self.ledger.rows[&order].order.state.name().is_end() {
            self.try_again(index);
        }
        self.soon()
    }

    /// Another order, with the same admission while it lasts.
    fn try_again(&mut self, index: usize) {
        let shopper = &mut self.shoppers[index];
        (shopper.order, shopper.accepted, shopper.asked_by_bank) = (None, false, false);
        shopper.refusals += 1;
    }

    fn watch(&mut self, index: usize, order: OrderId) -> u64 {
        let state = self.ledger.rows[&order].order.state.clone();
        if self.random.chance(25) {
            self.cancel(order, &state);
        }
        match state {
            State::ActionRequired(data) if !self.shoppers[index].asked_by_bank => {
                self.shoppers[index].asked_by_bank = true;
                let delay = self.random.between(2_000, 60_000);
                self.agenda.after(delay, Task::Bank(data.payment.clone()));
                if self.random.chance(400) {
                    // With another card in the bank's own page, where the first was refused.
                    self.agenda.after(delay + 3_000, Task::Bank(data.payment));
                }
                self.soon()
            }
            State::Paid(_) | State::Refunded(_) => self.again_or(index, End::Bought),
            State::Declined(_) | State::Released(_) | State::Unwound(_)
                if self.shoppers[index].refusals < 3 =>
            {
                self.try_again(index);
                self.soon()
            }
            State::Declined(_) | State::Released(_) | State::Unwound(_) => self.go(index, End::GaveUp),
            State::Reserved(_)
            | State::Accepted(_)
            | State::Authorising(_)
            | State::ActionRequired(_)
            | State::Cancelling(_)
            | State::Committed(_) => self.soon(),
        }
    }

    fn cancel(&mut self, order: OrderId, state: &State) {
        self.feed(0, order, Event::Cancel(By::Shopper));
        let captured = matches!(state, State::Committed(_) | State::Paid(_));
        if self.mutation == Some(Mutation::CancelWinsAfterCapture) && captured {
            let row = self.ledger.rows.get_mut(&order).expect("it is watched");
            row.order.state = State::Released(domain::saga::Released { by: By::Shopper });
            row.order.version += 1;
            row.order.pace.due = Timestamp::NEVER;
            let slices = row.slices.clone();
            self.ledger.stock.shift(order, &slices, StockMove::Unsell);
            self.ledger.revision += 1;
        }
    }

    /// Whether a shopper has come to an end.
    pub(crate) fn everybody_is_done(&self) -> bool {
        self.shoppers
            .iter()
            .all(|shopper| matches!(shopper.stage, Stage::Done(_)))
    }
}
