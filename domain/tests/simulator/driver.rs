//! Workers: load → domain step → commit → perform the call → feed the answer back, each a step of its own, so that a
//! process can die and another can come in between anywhere.

use domain::backoff::Jitter;
use domain::saga::{
    Answer, Asked, Call, Event, KeySpace, Moment, PaymentId, PaymentStatus, Repeat, Stall, StateName, Step,
};
use domain::{OrderId, Span};

use super::agenda::Task;
use super::ledger::Applied;
use super::mutation::Mutation;
use super::plan::START;
use super::provider::Mishap;
use super::world::World;

/// The deadline of one call, in milliseconds.
const DEADLINE: u64 = 20_000;
/// Compare-and-sets and steps that one event may take.
const ROUNDS_MAX: u32 = 32;

/// One event on its way into one order, in the hands of one process.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) process: usize,
    /// The process's life: work does not outlive it.
    pub(crate) life: u32,
    pub(crate) order: OrderId,
    pub(crate) event: Event,
    rounds: u32,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    Load,
    Commit(Box<Step>),
    Send(Call),
    Wait(Call),
}

/// A request on its way to the provider.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Who waits for the answer, if anybody still does.
    pub(crate) waiting: Option<Box<Work>>,
    pub(crate) order: OrderId,
    pub(crate) call: Call,
    pub(crate) key: Option<String>,
    pub(crate) params: String,
}

/// Everything that goes out under a key.
fn params(call: &Call) -> String {
    match call {
        Call::Authorise { method, amount, .. } => format!("authorise {} {amount}", method.as_str()),
        Call::Capture { payment, amount, .. } => format!("capture {payment} {amount}"),
        Call::Refund { payment, amount, .. } => format!("refund {payment} {amount}"),
        Call::RefundStray { payment, amount, .. } => format!("refund-stray {payment} {amount}"),
        Call::Cancel { payment, .. } => format!("cancel {payment}"),
        Call::CancelStray { payment, .. } => format!("cancel-stray {payment}"),
        Call::Retrieve { payment } => format!("retrieve {payment}"),
        Call::Find { .. } => "find".to_owned(),
    }
}

impl World {
    /// The instant of a step by the shared clock.
    pub(crate) fn moment(&mut self) -> Moment {
        let jitter = Jitter(u16::try_from(self.random.between(0, 65_535)).expect("16 bits"));
        Moment {
            jitter,
            ..Moment::at(self.wall())
        }
    }

    /// Lets `process` feed `event` to `order`, if it is up.
    pub(crate) fn feed(&mut self, process: usize, order: OrderId, event: Event) {
        if let Some(life) = self.fleet.life(process) {
            let work = Work {
                process,
                life,
                order,
                event,
                rounds: 0,
                stage: Stage::Load,
            };
            let delay = self.random.between(0, 20);
            self.agenda.after(delay, Task::Work(Box::new(work)));
        }
    }

    /// One step of one process's work.
    pub(crate) fn work(&mut self, mut work: Box<Work>) {
        if self.fleet.life(work.process) != Some(work.life) || work.rounds > ROUNDS_MAX {
            return;
        }
        match std::mem::replace(&mut work.stage, Stage::Load) {
            Stage::Load => self.load(work),
            Stage::Commit(step) => self.commit(work, &step),
            Stage::Send(call) => self.send(work, call),
            Stage::Wait(_) => unreachable!("waiting ends with an answer"),
        }
    }

    fn load(&mut self, mut work: Box<Work>) {
        let moment = self.moment();
        let Some(row) = self.ledger.rows.get(&work.order) else {
            return;
        };
        let Ok(mut step) = row.order.clone().step(work.event.clone(), moment) else {
            return;
        };
        let read = matches!(&work.event, Event::Answered(Asked::Find(_) | Asked::Retrieve, _));
        if self.mutation == Some(Mutation::TriesForgotten) && read {
            step.order.pace.tries = 0;
        }
        let early = match (self.mutation, step.call()) {
            (Some(Mutation::CallBeforeCommit), Some(Call::Authorise { .. })) => true,
            (Some(Mutation::CaptureBeforeCommit), Some(Call::Capture { .. })) => {
                step.from != StateName::Committed
            }
            _ => false,
        };
        if let Some(call) = step.call().filter(|_| early) {
            let first = Work {
                stage: Stage::Send(call.clone()),
                ..(*work).clone()
            };
            self.agenda.after(0, Task::Work(Box::new(first)));
        }
        work.stage = Stage::Commit(Box::new(step));
        let pause = if early { 3_000 } else { self.pause() };
        self.agenda.after(pause, Task::Work(work));
    }

    /// How long a worker takes between two things; now and then longer than its lease.
    fn pause(&mut self) -> u64 {
        if self.random.chance(self.faults().stall) {
            return self.random.between(61_000, 120_000);
        }
        self.random.between(0, 25)
    }

    fn commit(&mut self, mut work: Box<Work>, step: &Step) {
        let to = step.order.state.name();
        if self.mutation == Some(Mutation::NoUncommit) && to == StateName::Unwound {
            return;
        }
        let attempt = step.call().and_then(|call| {
            let (operation, attempt) = call.attempt()?;
            Some((operation, attempt.n, params(call)))
        });
        let now = self.wall();
        work.rounds += 1;
        if self.ledger.apply(step, attempt, now) == Applied::Conflict {
            let pause = self.pause();
            self.agenda.after(pause, Task::Work(work));
            return;
        }
        let (order, process) = (work.order, work.process);
        self.note(|| format!("process {process}: order {:x} {} -> {to}", order.0, step.from));
        self.agenda.after(10, Task::Relay);
        if let Some(call) = step.call() {
            work.stage = Stage::Send(call.clone());
            let pause = self.pause();
            self.agenda.after(pause, Task::Work(work));
        }
    }

    /// Sends a request: decides whether it arrives, when, and whether anybody hears the answer.
    fn send(&mut self, mut work: Box<Work>, call: Call) {
        let order = work.order;
        let row = &self.ledger.rows[&order];
        let mut key = call
            .attempt()
            .map(|(operation, attempt)| row.order.key(KeySpace::FIRST, operation, attempt.n).to_string());
        if self.mutation == Some(Mutation::NewKeyOnRetry) {
            key = key.map(|key| format!("{key}.{}", self.random.next()));
        }
        work.stage = Stage::Wait(call.clone());
        let mut request = Request {
            waiting: None,
            order,
            params: params(&call),
            call,
            key,
        };
        let faults = self.faults();
        let lost = Answer::Stalled(Stall::Lost);
        if self.provider.outage || self.random.chance(faults.call_dropped) {
            self.agenda.after(DEADLINE, Task::Answer(work, lost));
            return;
        }
        let late = self.random.chance(faults.call_late);
        if late || self.random.chance(faults.call_answer_lost) {
            let arrives = if late {
                self.random.between(21_000, 600_000)
            } else {
                self.random.between(10, 900)
            };
            self.agenda.after(arrives, Task::Arrive(Box::new(request)));
            self.agenda.after(DEADLINE, Task::Answer(work, lost));
            return;
        }
        request.waiting = Some(work);
        let arrives = self.random.between(10, 900);
        self.agenda.after(arrives, Task::Arrive(Box::new(request)));
    }

    /// A request reaches the provider and takes its effect there.
    pub(crate) fn arrive(&mut self, request: Box<Request>) {
        let (mishap, busy) = (self.mishap(&request), self.random.between(0, 300));
        let before = self.provider.revision;
        let answer = self.provider.receive(&request, mishap, self.agenda.now, busy);
        self.note(|| {
            format!(
                "provider: {} for order {:x}: {answer:?}",
                request.params, request.order.0
            )
        });
        if self.provider.revision != before {
            self.changed(request.order);
        }
        if let Some(work) = request.waiting {
            let back = self.random.between(5, 500);
            self.agenda.after(back, Task::Answer(work, answer));
        }
    }

    fn mishap(&mut self, request: &Request) -> Mishap {
        let faults = self.faults();
        let failing = faults.writes_fail && self.agenda.now >= START + faults.writes_fail_after;
        if failing && request.key.is_some() {
            Mishap::FailedSaved {
                effect: false,
                repeat: Repeat::SameKey,
            }
        } else if self.random.chance(faults.call_limited) {
            Mishap::Limited
        } else if self.random.chance(faults.call_failed_saved) {
            let repeat = self
                .random
                .pick(&[Repeat::SameKey, Repeat::SameKey, Repeat::Never]);
            Mishap::FailedSaved {
                effect: self.random.chance(500),
                repeat,
            }
        } else if self.random.chance(faults.call_failed_unsaved) {
            Mishap::FailedUnsaved
        } else {
            Mishap::None
        }
    }

    /// An answer, or the deadline, reaches whoever waits for it.
    pub(crate) fn answer(&mut self, mut work: Box<Work>, answer: Answer) {
        let Stage::Wait(call) = std::mem::replace(&mut work.stage, Stage::Load) else {
            return;
        };
        // An account that is overrun is told so by the drain, and is no matter of one order.
        if !matches!(answer, Answer::Stalled(Stall::RateLimited { .. })) {
            *self.answers.entry(work.order).or_default() += 1;
        }
        work.event = Event::Answered(call.asked(), answer);
        self.work(work);
    }

    /// Payments of `order` may have changed at the provider: what follows by itself, and who is told.
    fn changed(&mut self, order: OrderId) {
        let of_order = self
            .provider
            .objects
            .values()
            .filter(|object| object.payment.order == order);
        let payments: Vec<PaymentId> = of_order.map(|object| object.payment.id.clone()).collect();
        for payment in payments {
            self.payment_changed(&payment);
        }
    }

    /// Schedules webhooks, and what the provider does by itself with a payment as it now stands.
    pub(crate) fn payment_changed(&mut self, id: &PaymentId) {
        let Some(payment) = self.provider.snapshot(id) else {
            return;
        };
        if self.seen.insert(id.clone(), (payment.status, payment.refunded))
            == Some((payment.status, payment.refunded))
        {
            return;
        }
        let faults = self.faults();
        match payment.status {
            PaymentStatus::Processing => {
                let delay = self.random.between(500, 8_000);
                self.agenda.after(delay, Task::Settle(id.clone()));
            }
            PaymentStatus::RequiresCapture if faults.authorisation_life > 0 => {
                let life = self.random.between(1_000, faults.authorisation_life);
                self.agenda.after(life, Task::Lapse(id.clone()));
            }
            PaymentStatus::RequiresCapture
            | PaymentStatus::RequiresMethod
            | PaymentStatus::RequiresConfirmation
            | PaymentStatus::RequiresAction
            | PaymentStatus::Succeeded
            | PaymentStatus::Cancelled => {}
        }
        self.send_webhooks(id);
    }

    fn send_webhooks(&mut self, id: &PaymentId) {
        let faults = self.faults();
        self.events += 1;
        let event = self.events;
        if self.random.chance(faults.webhook_lost) {
            return;
        }
        let copies = 1 + u64::from(self.random.chance(faults.webhook_twice));
        for _ in 0..copies {
            let delay = self.random.between(100, 15_000);
            self.agenda.after(delay, Task::Webhook(event, id.clone(), 0));
        }
    }

    /// A webhook reaches the gateway: recorded once, and taken as a reason to read, never at its word.
    pub(crate) fn webhook(&mut self, event: u64, id: PaymentId, delivery: u8) {
        if !self.fleet.is_up(0) || self.provider.outage {
            if delivery < 4 {
                self.agenda.after(
                    Span::from_mins(1).as_millis(),
                    Task::Webhook(event, id, delivery + 1),
                );
            }
            return;
        }
        let Some(payment) = self.provider.snapshot(&id) else {
            return;
        };
        if self.ledger.events.contains(&event) {
            if self.mutation == Some(Mutation::WebhookAppliedTwice)
                && payment.status == PaymentStatus::Succeeded
            {
                let slices = self.ledger.rows[&payment.order].slices.clone();
                self.ledger
                    .stock
                    .shift(payment.order, &slices, domain::saga::StockMove::Sell);
                self.ledger.revision += 1;
            }
            return;
        }
        self.feed(0, payment.order, Event::Seen(payment));
        // Dying before the event is on record means that it comes again.
        if !self.random.chance(100) {
            self.ledger.events.insert(event);
        }
    }
}
