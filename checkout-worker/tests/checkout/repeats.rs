//! Whole lives of a few orders, with everything happening in any order, twice, or not at all: two processes on one file,
//! a provider that loses and fails, shoppers and operators who change their minds. In the end stock and money balance.

use std::sync::Arc;

use checkout_worker::Checkout;
use checkout_worker::provider::memory::{Fault, MemoryProvider};
use domain::saga::{By, Payment, Restock, StateName};
use domain::{OrderId, Span};
use proptest::prelude::*;

use super::support::{
    DECLINED, SECURE, StandingClock, VISA, config, drop_id, method, open_ledger, place, ports, purchase,
    recover,
};

#[derive(Clone, Copy, Debug)]
enum Act {
    Drive { order: usize, process: usize },
    Both { order: usize },
    Cancel { order: usize, by: By },
    Accept { order: usize },
    Bank { order: usize, approves: bool },
    Lapse { order: usize },
    Refund { order: usize, restock: Restock },
    Retry { order: usize },
    Wait { seconds: u64 },
    Fail { fault: Fault },
    Job { which: usize, process: usize },
}

const ORDERS: usize = 4;

fn act() -> impl Strategy<Value = Act> {
    let (order, process) = (0..ORDERS, 0..2_usize);
    let faults = [
        Fault::RequestLost,
        Fault::AnswerLost,
        Fault::SavedError,
        Fault::SavedErrorAfterEffect,
        Fault::RateLimited,
    ];
    let by = prop::sample::select(vec![By::Shopper, By::Operator]);
    let restock = prop::sample::select(vec![Restock::Return, Restock::Keep]);
    prop_oneof![
        6 => (order.clone(), process.clone()).prop_map(|(order, process)| Act::Drive { order, process }),
        3 => order.clone().prop_map(|order| Act::Both { order }),
        2 => (order.clone(), by).prop_map(|(order, by)| Act::Cancel { order, by }),
        1 => order.clone().prop_map(|order| Act::Accept { order }),
        2 => (order.clone(), any::<bool>()).prop_map(|(order, approves)| Act::Bank { order, approves }),
        1 => order.clone().prop_map(|order| Act::Lapse { order }),
        1 => (order.clone(), restock).prop_map(|(order, restock)| Act::Refund { order, restock }),
        1 => order.prop_map(|order| Act::Retry { order }),
        4 => (1_u64..200).prop_map(|seconds| Act::Wait { seconds }),
        4 => prop::sample::select(faults.to_vec()).prop_map(|fault| Act::Fail { fault }),
        3 => (0..5_usize, process).prop_map(|(which, process)| Act::Job { which, process }),
    ]
}

struct Lives {
    processes: [Checkout; 2],
    provider: MemoryProvider,
    clock: Arc<StandingClock>,
    orders: Vec<OrderId>,
    _dir: tempfile::TempDir,
}

impl Lives {
    async fn begin() -> Self {
        let (dir, clock) = (tempfile::tempdir().unwrap(), StandingClock::new());
        let provider = MemoryProvider::new(clock.clone());
        let ledger = open_ledger(dir.path(), &clock);
        let open = async || {
            let ports = ports(ledger.clone(), Arc::new(provider.clone()), clock.clone());
            Checkout::open(config(4), ports).await.unwrap()
        };
        let processes = [open().await, open().await];
        let mut orders = Vec::new();
        for (shopper, card) in [(1, Some(VISA)), (2, Some(SECURE)), (3, Some(DECLINED)), (4, None)] {
            orders.push(place(&processes[0], purchase(shopper, card)).await);
        }
        Self {
            processes,
            provider,
            clock,
            orders,
            _dir: dir,
        }
    }

    fn payments(&self, order: usize) -> Vec<Payment> {
        let id = self.orders[order];
        let books = self.provider.books();
        books
            .payments
            .into_iter()
            .filter(|payment| payment.order == id)
            .collect()
    }

    /// What an act comes to is not its own to say: refusals are as good as anything, as long as the laws hold.
    async fn act(&self, act: Act) {
        let one = &self.processes[0];
        match act {
            Act::Drive { order, process } => {
                self.processes[process].drive(self.orders[order]).await.unwrap();
            }
            Act::Both { order } => {
                let [one, other] = &self.processes;
                let (first, second) =
                    tokio::join!(one.drive(self.orders[order]), other.drive(self.orders[order]));
                assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
            }
            Act::Cancel { order, by } => drop(one.cancel(self.orders[order], by).await),
            Act::Accept { order } => drop(one.accept(self.orders[order], method(VISA)).await),
            Act::Bank { order, approves } => {
                for payment in self.payments(order) {
                    self.provider.confirm(&payment.id, approves);
                }
            }
            Act::Lapse { order } => {
                for payment in self.payments(order) {
                    self.provider.expire(&payment.id);
                }
            }
            Act::Refund { order, restock } => drop(one.refund(self.orders[order], restock, "test").await),
            Act::Retry { order } => drop(one.retry(self.orders[order], "test").await),
            Act::Wait { seconds } => self.wait(Span::from_secs(seconds)).await,
            Act::Fail { fault } => self.provider.plan([fault]),
            Act::Job { which, process } => self.job(which, process).await,
        }
    }

    /// Time passes for the ledger and, with it, for the breaker.
    async fn wait(&self, span: Span) {
        self.clock.advance(span);
        tokio::time::sleep(span.as_duration()).await;
    }

    async fn job(&self, which: usize, process: usize) {
        let jobs = self.processes[process].jobs();
        match which {
            0 => drop(jobs.sweep().await.unwrap()),
            1 => drop(jobs.redrive().await.unwrap()),
            2 => drop(jobs.cancel().await.unwrap()),
            3 => drop(jobs.reconcile_orders().await.unwrap()),
            _ => drop(jobs.reconcile_with_provider().await.unwrap()),
        }
    }

    /// What must hold at every moment: nobody is charged twice, or without stock, and every book agrees.
    async fn laws(&self) -> Result<(), TestCaseError> {
        let report = self.processes[0].audit().await.unwrap();
        prop_assert!(report.is_clean(), "{:?}", report.differences);
        for order in 0..ORDERS {
            let kept: Vec<Payment> = self
                .payments(order)
                .into_iter()
                .filter(Payment::is_kept)
                .collect();
            prop_assert!(kept.len() <= 1, "order {order} is charged twice: {kept:?}");
            if kept.is_empty() {
                continue;
            }
            let state = self.state(order).await;
            let sold = matches!(state, StateName::Committed | StateName::Paid);
            prop_assert!(sold, "order {order} is charged while {state}");
        }
        Ok(())
    }

    async fn state(&self, order: usize) -> StateName {
        let view = self.processes[0].view(self.orders[order]).await.unwrap();
        view.unwrap().ledger_state
    }

    /// Faults are over: recovery runs, an operator lets parked orders go on, and everything must have come to an end.
    async fn end(&self) -> Result<(), TestCaseError> {
        self.provider.plan([]);
        for _ in 0..3 {
            // A saved error outlives its key's day, and not longer.
            self.wait(Span::from_mins(25 * 60)).await;
            recover(&self.processes[0], &self.clock).await;
            for view in self.processes[0].parked(10).await.unwrap() {
                self.processes[0].retry(view.order, "test").await.unwrap();
            }
        }
        recover(&self.processes[1], &self.clock).await;
        self.laws().await?;
        let mut sold = 0;
        for order in 0..ORDERS {
            let state = self.state(order).await;
            prop_assert!(state.is_end(), "order {order} is still {state}");
            sold += u32::from(state == StateName::Paid);
            let open = self.payments(order).iter().any(|payment| payment.capturable > 0);
            prop_assert!(!open, "order {order} ended with money still held");
        }
        let levels = self.processes[0].stock(&drop_id()).await.unwrap();
        let held: u32 = levels.iter().map(|(_, level)| level.held).sum();
        let counted: u32 = levels.iter().map(|(_, level)| level.sold).sum();
        prop_assert_eq!(held, 0);
        prop_assert!(counted >= sold && counted <= sold + u32::try_from(ORDERS).unwrap());
        Ok(())
    }
}

fn live(acts: &[Act]) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let lives = Lives::begin().await;
        for act in acts {
            lives.act(*act).await;
            lives.laws().await?;
        }
        lives.end().await
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_history_of_two_processes_ends_with_stock_and_money_balanced(acts in prop::collection::vec(act(), 1..40)) {
        live(&acts)?;
    }
}

/// Every step of a plain purchase three times over, by both processes, with every job after it.
#[test]
fn every_step_repeated_is_one_purchase() {
    let mut acts = Vec::new();
    for _ in 0..6 {
        for order in 0..ORDERS {
            acts.extend([
                Act::Both { order },
                Act::Both { order },
                Act::Bank {
                    order,
                    approves: true,
                },
            ]);
        }
        acts.extend(
            (0..5).flat_map(|which| [Act::Job { which, process: 0 }, Act::Job { which, process: 1 }]),
        );
        acts.push(Act::Wait { seconds: 61 });
    }
    live(&acts).unwrap();
}

/// The answer to every single request is lost, one after the other; then every request itself.
#[test]
fn every_message_of_the_line_lost_once_is_one_purchase() {
    for fault in [Fault::AnswerLost, Fault::RequestLost] {
        let mut acts = Vec::new();
        for _ in 0..8 {
            for order in 0..ORDERS {
                acts.extend([
                    Act::Fail { fault },
                    Act::Drive { order, process: 0 },
                    Act::Wait { seconds: 61 },
                    Act::Drive { order, process: 1 },
                    Act::Bank {
                        order,
                        approves: true,
                    },
                ]);
            }
        }
        live(&acts).unwrap();
    }
}
