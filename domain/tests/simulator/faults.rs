//! What breaks, and what operators do: processes, the clock, the provider as a whole, the drop's settings.

use domain::draw::Seed;
use domain::queue::Command;
use domain::saga::{By, Event, Restock};
use domain::{DropRules, Limits, OrderId};

use super::agenda::Task;
use super::world::World;

/// Something that breaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// One process dies.
    Crash,
    /// The shared clock jumps.
    Jump,
    /// The provider stops answering.
    Outage,
    /// Everything is down for most of a day.
    Night,
}

/// Something an operator does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operation {
    /// Whatever comes to mind, and then again some time later.
    Something,
    /// One verb of the queue.
    Control(Command),
}

/// The processes: 0 is the gateway with the queue store in it, the others are workers.
#[derive(Debug)]
pub(crate) struct Fleet {
    processes: Vec<Process>,
}

#[derive(Clone, Copy, Debug)]
struct Process {
    up: bool,
    life: u32,
}

impl Fleet {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            processes: vec![Process { up: true, life: 0 }; workers + 1],
        }
    }

    /// The life of a process that is up.
    pub(crate) fn life(&self, process: usize) -> Option<u32> {
        let process = self.processes[process];
        process.up.then_some(process.life)
    }

    pub(crate) fn is_up(&self, process: usize) -> bool {
        self.processes[process].up
    }

    pub(crate) fn any_up(&self) -> Option<usize> {
        self.processes.iter().position(|process| process.up)
    }
}

impl World {
    pub(crate) fn fault(&mut self, fault: Fault) {
        if self.calm {
            return;
        }
        match fault {
            Fault::Crash => {
                let process = self.random.between(0, self.plan.workers as u64);
                self.crash(
                    usize::try_from(process).expect("few processes"),
                    self.plan.faults.down_max,
                );
                self.again(self.plan.faults.crash_mean, Fault::Crash);
            }
            Fault::Jump => {
                let max = self.plan.faults.jump_max;
                let offset = self.random.between(0, 2 * max);
                self.offset = i64::try_from(offset).expect("minutes") - i64::try_from(max).expect("minutes");
                let offset = self.offset;
                self.note(|| format!("the clock is now {offset} ms off"));
                self.again(self.plan.faults.jump_mean, Fault::Jump);
            }
            Fault::Outage => {
                self.provider.outage = true;
                self.note(|| "the provider stops answering".to_owned());
                let length = self.random.between(5_000, 180_000);
                self.agenda.after(length, Task::OutageEnds);
                self.again(self.plan.faults.outage_mean + length, Fault::Outage);
            }
            Fault::Night => {
                for process in 0..=self.plan.workers {
                    self.crash(process, 1_000);
                }
                let night = self.random.between(15, 30) * 3_600_000;
                self.note(|| format!("everything is down for {night} ms"));
                self.agenda.sleep(night);
            }
        }
    }

    fn again(&mut self, mean: u64, fault: Fault) {
        let delay = self.random.between(mean / 2, mean + mean / 2);
        self.agenda.after(delay, Task::Fault(fault));
    }

    /// Puts down the first of each kind of trouble that this run has.
    pub(crate) fn invite_trouble(&mut self) {
        let faults = self.plan.faults.clone();
        let kinds = [
            (faults.crash_mean, Fault::Crash),
            (faults.jump_mean, Fault::Jump),
            (faults.outage_mean, Fault::Outage),
            (if faults.long_night { 240_000 } else { 0 }, Fault::Night),
        ];
        for (mean, fault) in kinds {
            if mean > 0 {
                self.again(mean, fault);
            }
        }
        if faults.operator_mean > 0 {
            self.agenda
                .after(faults.operator_mean, Task::Operator(Operation::Something));
        }
        self.agenda.after(self.plan.calm_after, Task::Calm);
    }

    fn crash(&mut self, process: usize, down_max: u64) {
        let state = &mut self.fleet.processes[process];
        if !state.up {
            return;
        }
        (state.up, state.life) = (false, state.life + 1);
        if process == 0 {
            self.store.crash();
            self.snapshot = None;
            self.known.clear();
        }
        let down = self.random.between(100, down_max.max(200));
        self.note(|| format!("process {process} dies for {down} ms"));
        self.agenda.after(down, Task::Restart(process));
    }

    pub(crate) fn restart(&mut self, process: usize) {
        let state = &mut self.fleet.processes[process];
        if state.up {
            return;
        }
        (state.up, state.life) = (true, state.life + 1);
        self.note(|| format!("process {process} is back"));
        if process == 0 {
            let wall = self.wall();
            self.store.restart(wall);
            let now = self.store.now(wall);
            self.witness.woke(now);
            self.start_gateway();
        }
    }

    /// The gateway's own loops, for as long as this life of it lasts.
    pub(crate) fn start_gateway(&mut self) {
        let life = self.fleet.processes[0].life;
        self.agenda.after(50, Task::Caller(life));
        self.agenda.after(2_000, Task::Heartbeat(life));
    }

    /// Faults are over: everything comes back and stays, and the operator lets the drop go on.
    pub(crate) fn become_calm(&mut self) {
        self.calm = true;
        self.provider.outage = false;
        self.note(|| "faults are over".to_owned());
        for process in 0..=self.plan.workers {
            self.restart(process);
        }
        self.control(Command::Resume);
    }

    /// Carries out a verb of the queue, where the gateway is up to take it.
    pub(crate) fn control(&mut self, command: Command) {
        if self.door(None, |queue, at| queue.control(command, at)).is_some() {
            self.note(|| format!("operator: {command:?}"));
            let held = match command {
                Command::Pause | Command::QueueAll => true,
                Command::Resume => false,
                Command::Drain | Command::End => self.held,
            };
            self.hold(held);
        }
    }

    pub(crate) fn operate(&mut self, operation: Operation) {
        if self.calm {
            return;
        }
        match operation {
            Operation::Control(command) => self.control(command),
            Operation::Something => {
                self.do_something();
                let mean = self.plan.faults.operator_mean;
                let delay = self.random.between(mean / 2, mean + mean / 2);
                self.agenda.after(delay, Task::Operator(Operation::Something));
            }
        }
    }

    fn do_something(&mut self) {
        match self.random.between(0, 5) {
            0 => {
                let command = self
                    .random
                    .pick(&[Command::Pause, Command::Drain, Command::QueueAll]);
                self.control(command);
                let length = self.random.between(3_000, 90_000);
                self.agenda
                    .after(length, Task::Operator(Operation::Control(Command::Resume)));
            }
            1 => self.change_limits(),
            2 => self.change_stock(),
            3 | 4 => {
                if let Some(order) = self.some_order() {
                    self.feed(0, order, Event::Cancel(By::Operator));
                }
            }
            _ => {
                if let Some(order) = self.some_order() {
                    let restock = self.random.pick(&[Restock::Return, Restock::Keep]);
                    self.feed(0, order, Event::Refund(restock));
                }
            }
        }
    }

    fn some_order(&mut self) -> Option<OrderId> {
        let orders: Vec<OrderId> = self.ledger.rows.keys().copied().collect();
        (!orders.is_empty()).then(|| self.random.pick(&orders))
    }

    fn change_limits(&mut self) {
        let limits = Limits {
            total_active_users: self.random.small(1, 10),
            new_users_per_minute: self.random.small(3, 40),
        };
        let rules = DropRules {
            limits,
            ..self.store.rules().clone()
        };
        let seed = Seed([7; 32]);
        if self
            .door(None, |queue, at| queue.reconfigure(rules, seed, at))
            .is_some()
        {
            self.note(|| format!("operator: {limits:?}"));
        }
    }

    fn change_stock(&mut self) {
        let index = self.random.between(0, self.plan.items.len() as u64 - 1);
        let sku = self.plan.items[usize::try_from(index).expect("few SKUs")]
            .sku
            .clone();
        let quantity = self.random.small(1, 5);
        if self.random.chance(500) {
            self.ledger.stock.add(&sku, quantity);
            self.note(|| format!("operator: {quantity} more of {sku}"));
        } else if self.ledger.stock.withdraw(&sku, quantity) {
            self.note(|| format!("operator: {quantity} of {sku} withdrawn"));
        }
        self.ledger.revision += 1;
    }
}
