//! The whole shop: everything there is, and the loop that lets one thing happen at a time and checks the laws after it.

use std::collections::{BTreeMap, BTreeSet};

use domain::draw::Seed;
use domain::queue::View;
use domain::saga::{PaymentId, PaymentStatus};
use domain::{OrderId, ShopperKey, StockState, Timestamp};

use super::agenda::{Agenda, History, Task};
use super::faults::Fleet;
use super::ledger::{Ledger, Stock};
use super::mutation::{Checked, Mutation};
use super::plan::{Faults, Plan, Profile, START};
use super::provider::Provider;
use super::random::Random;
use super::shopper::Shopper;
use super::store::Store;
use super::witness::Witness;

/// Simulated time within which everything must have come to rest once faults are over: the slowest drop there is lets
/// one shopper in at a time, for two and a half minutes each.
const RECOVERY: u64 = 6 * 3_600_000;

/// Everything.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) mutation: Option<Mutation>,
    pub(crate) random: Random,
    pub(crate) agenda: Agenda,
    history: History,
    /// How far the shared clock is off true time.
    pub(crate) offset: i64,
    pub(crate) store: Store,
    pub(crate) witness: Witness,
    pub(crate) ledger: Ledger,
    pub(crate) provider: Provider,
    pub(crate) fleet: Fleet,
    pub(crate) shoppers: Vec<Shopper>,
    /// The gateway's snapshot of the queue.
    pub(crate) snapshot: Option<View>,
    /// Whom this life of the gateway has seen.
    pub(crate) known: BTreeSet<ShopperKey>,
    pub(crate) stock_state: StockState,
    /// An operator holds the queue.
    pub(crate) held: bool,
    /// Faults are over.
    pub(crate) calm: bool,
    /// No loop is started any more.
    closing: bool,
    pub(crate) orders: u128,
    pub(crate) events: u64,
    /// When the drain lets the next order through.
    pub(crate) next_slot: u64,
    /// Messages in the broker, by order.
    pub(crate) queued: BTreeMap<OrderId, u32>,
    /// Notices that have been told.
    pub(crate) told: usize,
    /// Payments as they were when the world last heard of them.
    pub(crate) seen: BTreeMap<PaymentId, (PaymentStatus, u64)>,
    /// Answers that an order has had since it last came to rest.
    pub(crate) answers: BTreeMap<OrderId, u32>,
    /// What had been checked already.
    pub(crate) checked: (u64, u64, usize),
    pub(crate) steps: u64,
}

impl World {
    pub(crate) fn new(profile: Profile, seed: u64, mutation: Option<Mutation>, lines: usize) -> Self {
        let mut random = Random::new(seed);
        let plan = Plan::draw(profile, &mut random);
        let shoppers = (0..plan.shoppers)
            .map(|index| Shopper::new(index, &mut random))
            .collect();
        let now = Timestamp::from_millis(START);
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&random.next().to_be_bytes());
        let drop = plan.rules.drop.clone();
        Self {
            store: Store::new(plan.rules.clone(), Seed(secret), now, mutation),
            ledger: Ledger::new(Stock::new(&plan.items, mutation), plan.per_shopper, mutation),
            provider: Provider::new(drop, mutation),
            fleet: Fleet::new(plan.workers),
            plan,
            mutation,
            random,
            agenda: Agenda::new(START),
            history: History::new(lines),
            offset: 0,
            witness: Witness::default(),
            shoppers,
            snapshot: None,
            known: BTreeSet::new(),
            stock_state: StockState::Left,
            held: false,
            calm: false,
            closing: false,
            orders: 0,
            events: 0,
            next_slot: 0,
            queued: BTreeMap::new(),
            told: 0,
            seen: BTreeMap::new(),
            answers: BTreeMap::new(),
            checked: (u64::MAX, 0, 0),
            steps: 0,
        }
    }

    /// What the shared clock says.
    pub(crate) fn wall(&self) -> Timestamp {
        Timestamp::from_millis(self.agenda.now.saturating_add_signed(self.offset))
    }

    /// What breaks now.
    pub(crate) fn faults(&self) -> Faults {
        if self.calm {
            Faults::default()
        } else {
            self.plan.faults.clone()
        }
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        self.history.note(self.agenda.now, line);
    }

    pub(crate) fn history(&self) -> String {
        self.history.text()
    }

    /// Runs the drop from its beginning to long after its end.
    pub(crate) fn run(&mut self) -> Checked {
        for index in 0..self.shoppers.len() {
            let arrives = self.random.between(0, self.plan.arrivals);
            self.agenda.after(arrives, Task::Shopper(index));
        }
        self.start_gateway();
        self.agenda.after(1_000, Task::SwiftJobs);
        self.agenda.after(30_000, Task::Look);
        self.agenda.after(120_000, Task::List);
        self.invite_trouble();
        let mut deadline = None;
        while let Some(task) = self.agenda.next() {
            self.perform(task)?;
            self.check()?;
            self.steps += 1;
            if self.calm {
                let end = *deadline.get_or_insert(self.agenda.now + RECOVERY);
                if self.agenda.now > end || (self.steps.is_multiple_of(32) && self.at_rest()) {
                    break;
                }
            }
        }
        self.close()?;
        self.check_end()
    }

    /// Lets what is under way finish, and the reconciler look three more times, a day apart: the provider remembers a
    /// saved error for as long.
    fn close(&mut self) -> Checked {
        self.closing = true;
        for _ in 0..4 {
            while let Some(task) = self.agenda.next() {
                self.perform(task)?;
                self.check()?;
            }
            self.agenda.now += 25 * 3_600_000;
            self.list();
        }
        while let Some(task) = self.agenda.next() {
            self.perform(task)?;
            self.check()?;
        }
        Ok(())
    }

    fn perform(&mut self, task: Task) -> Checked {
        match task {
            Task::Shopper(index) if !self.closing => self.shopper(index)?,
            Task::Caller(life) if !self.closing => self.caller(life)?,
            Task::Heartbeat(life) if !self.closing => self.heartbeat(life),
            Task::SwiftJobs if !self.closing => {
                self.swift_jobs();
                self.agenda.after(3_000, Task::SwiftJobs);
            }
            Task::Look if !self.closing => {
                self.look();
                self.agenda.after(30_000, Task::Look);
            }
            Task::List if !self.closing => {
                self.list();
                self.agenda.after(120_000, Task::List);
            }
            Task::Shopper(_)
            | Task::Caller(_)
            | Task::Heartbeat(_)
            | Task::SwiftJobs
            | Task::Look
            | Task::List => {}
            Task::Advance(life, advance) => self.advance(life, advance)?,
            Task::Relay => self.relay(),
            Task::Deliver(order) => self.deliver(order),
            Task::Work(work) => self.work(work),
            Task::Arrive(request) => self.arrive(request),
            Task::Answer(work, answer) => self.answer(work, answer),
            Task::Webhook(event, payment, delivery) => self.webhook(event, payment, delivery),
            Task::Settle(payment) => self.by_itself(&payment, Provider::settle),
            Task::Bank(payment) => self.by_itself(&payment, Provider::bank),
            Task::Lapse(payment) => self.by_itself(&payment, Provider::lapse),
            Task::Fault(fault) => self.fault(fault),
            Task::Restart(process) => self.restart(process),
            Task::OutageEnds => self.provider.outage = false,
            Task::Operator(operation) => self.operate(operation),
            Task::Calm => self.become_calm(),
        }
        Ok(())
    }

    fn heartbeat(&mut self, life: u32) {
        if self.fleet.life(0) == Some(life) {
            let wall = self.wall();
            self.store.heartbeat(wall);
            let now = self.store.now(wall);
            self.witness.time(now, self.held);
            self.agenda.after(2_000, Task::Heartbeat(life));
        }
    }

    /// Something happens to a payment that nobody here asked for.
    fn by_itself(&mut self, payment: &PaymentId, change: impl FnOnce(&mut Provider, &PaymentId) -> bool) {
        if change(&mut self.provider, payment) {
            self.note(|| format!("provider: {payment} changes by itself"));
            self.payment_changed(payment);
        }
    }
}
