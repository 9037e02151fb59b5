//! The ledger and the domain's pool replay the same random histories and must agree after every step.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use checkout_worker::ledger::{
    Applied, AuditEntry, ClientKey, DropPlan, Item, ItemPlan, Ledger, NewOrder, Opened, Reservation,
    StockChange, StockChanged, Transition,
};
use domain::pool::{Line, Pool, PoolError, Slice};
use domain::saga::{
    Answer, Asked, Event, KeySpace, Moment, Operation, Payment, PaymentId, PaymentMethod, PaymentStatus,
    Reason, StateName,
};
use domain::{AdmissionId, Clock, OrderId, ShopperKey, Span};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::house::{House, postgres};
use super::support::{StandingClock, drop_id, euros, sku};

const SKUS: [&str; 3] = ["AUR-42", "AUR-43", "AUR-44"];

#[derive(Clone, Debug)]
enum Op {
    Reserve(Vec<(usize, u32)>),
    Cancel(usize),
    Decline(usize),
    Commit(usize),
    Unwind(usize),
    Change(usize, i32),
}

fn op() -> impl Strategy<Value = Op> {
    let lines = prop::collection::btree_map(0_usize..3, 1_u32..5, 1..4);
    prop_oneof![
        6 => lines.prop_map(|lines| Op::Reserve(lines.into_iter().collect())),
        2 => any::<usize>().prop_map(Op::Cancel),
        2 => any::<usize>().prop_map(Op::Decline),
        3 => any::<usize>().prop_map(Op::Commit),
        1 => any::<usize>().prop_map(Op::Unwind),
        1 => (0_usize..3, -8_i32..8).prop_map(|(at, by)| Op::Change(at, by)),
    ]
}

/// Both sides, and what the model knows of every order.
struct Pair {
    ledger: Arc<dyn Ledger>,
    clock: Arc<StandingClock>,
    pool: Pool,
    held: BTreeMap<u128, Vec<Slice>>,
    sold: BTreeMap<u128, Vec<Slice>>,
    next: u128,
}

impl Pair {
    async fn reserve(&mut self, wanted: &[(usize, u32)]) {
        self.next += 1;
        let id = OrderId(self.next * 0x9e37_79b9 + self.next);
        let lines: Vec<Line> = wanted
            .iter()
            .map(|(at, quantity)| Line {
                sku: sku(SKUS[*at]),
                quantity: *quantity,
            })
            .collect();
        let items: Vec<Item> = lines
            .iter()
            .cloned()
            .map(|line| Item {
                line,
                price: euros(100),
            })
            .collect();
        let units: u32 = lines.iter().map(|line| line.quantity).sum();
        let order = NewOrder {
            id,
            drop: drop_id(),
            shopper: ShopperKey(id.0.to_be_bytes()),
            admission: AdmissionId(id.0.to_be_bytes()),
            client_key: ClientKey::new("key").unwrap(),
            request_hash: [1; 32],
            items,
            total: euros(100 * u64::from(units)),
            method: None,
            email: None,
            reserve_for: Span::from_mins(5),
            per_shopper: 1_000,
        };
        // The ledger starts looking in the bucket that the order's id points at; so does the model.
        let start = u32::try_from(id.0 & 0xffff_ffff).unwrap();
        let answer = self.ledger.reserve(order).await.unwrap();
        match (self.pool.reserve(&lines, start), answer) {
            (Ok(slices), Reservation::Placed(_)) => drop(self.held.insert(id.0, slices)),
            (Err(PoolError::SoldOut { left }), Reservation::SoldOut { left: said }) => assert_eq!(left, said),
            (model, ledger) => panic!("the model says {model:?}, the ledger {ledger:?}"),
        }
    }

    async fn event(&self, id: u128, event: Event) -> StateName {
        let record = self.ledger.load(OrderId(id)).await.unwrap().unwrap();
        let step = record.order.step(event, Moment::at(self.clock.now())).unwrap();
        let name = step.order.state.name();
        let transition = Transition {
            step,
            attempt: None,
            outcome: None,
        };
        assert_eq!(self.ledger.apply(transition).await.unwrap(), Applied::Done);
        name
    }

    async fn authorising(&self, id: u128) {
        self.ledger
            .accept(OrderId(id), PaymentMethod::new("pm_card_visa").unwrap())
            .await
            .unwrap();
        self.event(id, Event::Drive).await;
    }

    async fn payment(&self, id: u128, status: PaymentStatus) -> Payment {
        let total = self.ledger.load(OrderId(id)).await.unwrap().unwrap().order.total;
        Payment {
            id: PaymentId::new(&format!("pi_{id}")).unwrap(),
            drop: drop_id(),
            order: OrderId(id),
            space: KeySpace::FIRST,
            n: 1,
            status,
            amount: total,
            capturable: if status == PaymentStatus::RequiresCapture {
                total.amount
            } else {
                0
            },
            captured: 0,
            refunded: 0,
            client_secret: None,
            decline: None,
        }
    }

    async fn apply(&mut self, op: Op) {
        let pick = |from: &BTreeMap<u128, Vec<Slice>>, at: usize| {
            from.keys().nth(at.checked_rem(from.len()).unwrap_or(0)).copied()
        };
        match op {
            Op::Reserve(wanted) => self.reserve(&wanted).await,
            Op::Cancel(at) => {
                let Some(id) = pick(&self.held, at) else { return };
                assert_eq!(
                    self.event(id, Event::Cancel(domain::saga::By::Shopper)).await,
                    StateName::Released
                );
                self.pool.void(&self.held.remove(&id).unwrap()).unwrap();
            }
            Op::Decline(at) => {
                let Some(id) = pick(&self.held, at) else { return };
                self.authorising(id).await;
                let answer = Answer::Declined(Reason::new("insufficient_funds").unwrap());
                let event = Event::Answered(Asked::Change(Operation::Authorise, 1), answer);
                assert_eq!(self.event(id, event).await, StateName::Declined);
                self.pool.void(&self.held.remove(&id).unwrap()).unwrap();
            }
            Op::Commit(at) => {
                let Some(id) = pick(&self.held, at) else { return };
                self.authorising(id).await;
                let payment = self.payment(id, PaymentStatus::RequiresCapture).await;
                assert_eq!(self.event(id, Event::Seen(payment)).await, StateName::Committed);
                let slices = self.held.remove(&id).unwrap();
                self.pool.sell(&slices).unwrap();
                self.sold.insert(id, slices);
            }
            Op::Unwind(at) => {
                let Some(id) = pick(&self.sold, at) else { return };
                let payment = self.payment(id, PaymentStatus::Cancelled).await;
                assert_eq!(self.event(id, Event::Seen(payment)).await, StateName::Unwound);
                self.pool.unsell(&self.sold.remove(&id).unwrap()).unwrap();
            }
            Op::Change(at, by) => self.change(SKUS[at], by).await,
        }
    }

    async fn change(&mut self, name: &str, by: i32) {
        let quantity = by.unsigned_abs();
        let change = if by < 0 {
            StockChange::Withdraw(quantity)
        } else {
            StockChange::Add(quantity)
        };
        let said = self
            .ledger
            .change_stock(
                drop_id(),
                sku(name),
                change,
                AuditEntry::new("test", name, "model"),
            )
            .await
            .unwrap();
        let model = if by < 0 {
            self.pool.withdraw(&sku(name), quantity)
        } else {
            self.pool.add(&sku(name), quantity)
        };
        assert_eq!(
            model.is_ok(),
            matches!(said, StockChanged::Done(_)),
            "{model:?} and {said:?}"
        );
    }

    async fn compare(&self) {
        let said = self.ledger.stock(drop_id()).await.unwrap();
        let model: Vec<_> = self
            .pool
            .levels()
            .map(|(sku, level)| (sku.clone(), level))
            .collect();
        assert_eq!(said, model);
        let sums = self.ledger.audit().await.unwrap();
        let report = checkout_worker::audit::AuditReport::of(sums, self.clock.now());
        let books: Vec<_> = report
            .differences
            .iter()
            .filter(|d| d.what.contains("_by_") || d.what == "oversold")
            .collect();
        assert!(books.is_empty(), "{books:?}");
    }
}

async fn replay(house: House, stock: [u32; 3], buckets: u32, ops: Vec<Op>) {
    let (ledger, clock) = (house.ledger.clone(), house.clock.clone());
    let mut pool = Pool::new();
    let mut items = Vec::new();
    for (name, stock) in SKUS.into_iter().zip(stock) {
        pool = pool.with(sku(name), stock, buckets);
        items.push(ItemPlan {
            sku: sku(name),
            price: euros(100),
            stock,
            buckets,
        });
    }
    assert_eq!(
        ledger
            .open_drop(DropPlan {
                drop: drop_id(),
                items
            })
            .await
            .unwrap(),
        Opened::Done
    );
    let (held, sold) = (BTreeMap::new(), BTreeMap::new());
    let mut pair = Pair {
        ledger,
        clock,
        pool,
        held,
        sold,
        next: 0,
    };
    for op in ops {
        pair.apply(op).await;
        pair.compare().await;
    }
}

/// Stock of each SKU, buckets, and what happens.
fn history() -> impl Strategy<Value = ([u32; 3], u32, Vec<Op>)> {
    (
        [0_u32..15, 0..15, 0..15],
        1_u32..5,
        prop::collection::vec(op(), 1..40),
    )
}

fn runner(cases: u32) -> TestRunner {
    let config = ProptestConfig {
        cases,
        source_file: Some(file!()),
        ..ProptestConfig::default()
    };
    TestRunner::new(config)
}

#[test]
fn sqlite_and_the_pool_agree_on_every_history() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let run = |(stock, buckets, ops)| {
        runtime.block_on(replay(House::sqlite(), stock, buckets, ops));
        Ok(())
    };
    runner(24).run(&history(), run).unwrap();
}

#[test]
fn postgres_and_the_pool_agree_on_every_history() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(postgres());
    let case = AtomicU32::new(0);
    let run = |(stock, buckets, ops)| {
        let name = format!("history_{}", case.fetch_add(1, Ordering::Relaxed));
        runtime.block_on(async {
            let house = House::postgres(&server, &name).await;
            replay(house, stock, buckets, ops).await;
        });
        Ok(())
    };
    runner(12).run(&history(), run).unwrap();
}
