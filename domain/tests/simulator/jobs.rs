//! The outbox relay, the broker, and the recovery jobs. All of them may run twice, or on several processes at once.

use domain::OrderId;
use domain::queue::EndReason;
use domain::saga::{Event, Flag, Notice, Parked, State, StateName};
use domain::{AfterOrder, Span, Timestamp};

use super::agenda::Task;
use super::ledger::Row;
use super::mutation::Mutation;
use super::world::World;

/// How long an order may rest before the reconciler asks about it.
const RESTS: Span = Span::from_secs(60);

impl World {
    /// Publishes what waits in the outbox, and tells the rest of the house.
    pub(crate) fn relay(&mut self) {
        if self.fleet.any_up().is_none() {
            return;
        }
        let waiting: Vec<(u64, OrderId)> = self
            .ledger
            .outbox
            .iter()
            .map(|(id, order)| (*id, *order))
            .collect();
        let faults = self.faults();
        for (id, order) in waiting {
            let copies = 1 + u64::from(self.random.chance(faults.message_twice));
            for _ in 0..copies {
                if !self.random.chance(faults.message_lost) {
                    self.publish(order);
                }
            }
            // Dying between the confirm and the mark publishes once more.
            if !self.random.chance(faults.message_twice / 5) {
                self.ledger.outbox.remove(&id);
            }
        }
        self.tell();
    }

    /// Hands a message to the broker, which delivers in no particular order.
    fn publish(&mut self, order: OrderId) {
        *self.queued.entry(order).or_default() += 1;
        let delay = self.random.between(1, 2_000);
        self.agenda.after(delay, Task::Deliver(order));
    }

    /// A message reaches a worker, at the pace of the drain; it waits in the broker until there is one. Messages about
    /// orders that owe nothing now cost no pace.
    pub(crate) fn deliver(&mut self, order: OrderId) {
        let now = self.agenda.now;
        let slot = self.next_slot.max(now);
        let worker = self.some_worker().filter(|_| slot == now);
        let Some(worker) = worker else {
            let delay = (slot - now).max(200) + self.random.between(0, 50);
            self.agenda.after(delay, Task::Deliver(order));
            return;
        };
        if let Some(waiting) = self.queued.get_mut(&order) {
            *waiting = waiting.saturating_sub(1);
        }
        if owes(&self.ledger.rows[&order], self.wall()) {
            self.next_slot = now + self.plan.drain_gap;
        }
        self.feed(worker, order, Event::Drive);
    }

    /// Orders that came to their end end the session they were made in, where the rules say so.
    fn tell(&mut self) {
        while let Some((order, notice)) = self.ledger.notices.get(self.told).copied() {
            if !self.fleet.is_up(0) {
                return;
            }
            self.told += 1;
            let admission = self.ledger.rows[&order].admission;
            if notice == Notice::Paid {
                self.door(None, |queue, at| {
                    queue.end_session(admission, EndReason::Completed, at.now);
                });
                if self.store.rules().after_order == AfterOrder::EndSession {
                    self.witness.ended(admission);
                }
            }
        }
    }

    fn some_worker(&mut self) -> Option<usize> {
        let first = self.random.between(1, self.plan.workers as u64);
        let first = usize::try_from(first).expect("few workers");
        (first..=self.plan.workers)
            .chain(1..first)
            .find(|worker| self.fleet.is_up(*worker))
    }

    fn orders(&self, which: impl Fn(&Row) -> bool) -> Vec<OrderId> {
        self.ledger
            .rows
            .values()
            .filter(|row| which(row))
            .map(|row| row.order.id)
            .collect()
    }

    /// Sweeper, canceller, re-drive.
    pub(crate) fn swift_jobs(&mut self) {
        let Some(host) = self.some_worker() else { return };
        let now = self.wall();
        for order in self.orders(|row| matches!(&row.order.state, State::Reserved(data) if data.until <= now))
        {
            self.feed(host, order, Event::Expire);
        }
        let owed = |row: &Row| owes(row, now);
        for order in self.orders(|row| owed(row) && row.order.state.name() == StateName::Cancelling) {
            self.feed(host, order, Event::Drive);
        }
        if self.mutation != Some(Mutation::AcceptWithoutOutboxAndRedrive) {
            for order in self.orders(|row| owed(row) && row.order.state.name() != StateName::Cancelling) {
                // The embedded broker is the outbox: it knows what it has. A message about every waiting order every few
                // seconds would bury a slow drain.
                let waits = self.queued.get(&order).is_some_and(|waiting| *waiting > 0);
                if !waits && !self.ledger.outbox.values().any(|waiting| *waiting == order) {
                    self.ledger.message(order);
                }
            }
        }
        self.relay();
    }

    /// The reconciler by order; once faults are over, an operator lets refused orders go on.
    pub(crate) fn look(&mut self) {
        let Some(host) = self.some_worker() else { return };
        if self.mutation == Some(Mutation::NoReconciler) {
            return;
        }
        let now = self.wall();
        let open = |row: &Row| match &row.order.state {
            State::Authorising(_) | State::ActionRequired(_) | State::Cancelling(_) | State::Committed(_) => {
                true
            }
            State::Paid(data) => data.refund.is_some(),
            State::Reserved(_)
            | State::Accepted(_)
            | State::Declined(_)
            | State::Released(_)
            | State::Unwound(_)
            | State::Refunded(_) => false,
        };
        let rested = |row: &Row| row.changed_at + RESTS <= now || row.order.flag.is_some();
        for order in self.orders(|row| open(row) && rested(row)) {
            self.feed(host, order, Event::Look);
        }
        let refused = |row: &Row| matches!(row.order.flag, Some(Flag::Parked(Parked::Rejected(_))));
        if self.calm {
            for order in self.orders(refused) {
                self.feed(host, order, Event::Retry);
            }
        }
    }

    /// The reconciler by provider: every payment whose order may not know how it stands.
    pub(crate) fn list(&mut self) {
        let Some(host) = self.some_worker() else { return };
        if self.mutation == Some(Mutation::NoReconciler) || self.provider.outage {
            return;
        }
        let all = self
            .provider
            .objects
            .values()
            .map(|object| object.payment.clone());
        let open: Vec<_> = all
            .filter(|payment| payment.is_open() || payment.is_kept())
            .collect();
        for payment in open {
            self.feed(host, payment.order, Event::Seen(payment));
        }
    }
}

/// Whether a worker would find something to do.
fn owes(row: &Row, now: Timestamp) -> bool {
    let pace = row.order.pace;
    pace.due <= now && pace.leased_until <= now && row.order.flag.is_none()
}
