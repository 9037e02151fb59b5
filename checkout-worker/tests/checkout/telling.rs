//! Telling the merchant's system, from the outside: what it hears, how often, in which order, whatever it answers.

mod http;
mod upgrade;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use checkout_worker::ledger::{Replay, Reply, Telling};
use checkout_worker::merchant::{Heard, Merchant, MerchantEvent};
use checkout_worker::observe::Observer;
use checkout_worker::provider::memory::MemoryProvider;
use checkout_worker::{Checkout, Ports, PublicState, Purchase};
use domain::redelivery::{ASKED_MAX, HORIZON, TRIES_MAX};
use domain::saga::{Notice, Restock};
use domain::{AdmissionId, Clock as _, OrderId, ShopperKey, Span, Timestamp};
use tokio_util::sync::CancellationToken;

use super::house::House;
use super::support::{DECLINED, StandingClock, VISA, config, place, ports, purchase};

type Answers = Box<dyn Fn(&MerchantEvent, usize) -> Heard + Send + Sync>;

/// A merchant's system that answers as it is told and remembers what it heard, with the time.
struct Listener {
    answers: Mutex<Answers>,
    heard: Mutex<Vec<(Timestamp, MerchantEvent)>>,
    wanted: Vec<Notice>,
    /// Orders that it never answers about.
    stuck: Mutex<Option<OrderId>>,
    clock: Arc<StandingClock>,
}

impl Listener {
    fn answering(
        clock: &Arc<StandingClock>,
        answers: impl Fn(&MerchantEvent, usize) -> Heard + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::new(Box::new(answers)),
            heard: Mutex::default(),
            wanted: Notice::ALL.to_vec(),
            stuck: Mutex::default(),
            clock: clock.clone(),
        })
    }

    fn answer_from_now_on(&self, answers: impl Fn(&MerchantEvent, usize) -> Heard + Send + Sync + 'static) {
        *self.answers.lock().unwrap() = Box::new(answers);
    }

    fn events(&self) -> Vec<MerchantEvent> {
        let heard = self.heard.lock().unwrap();
        heard.iter().map(|(_, event)| event.clone()).collect()
    }

    fn names(&self) -> Vec<(OrderId, Notice)> {
        self.events()
            .iter()
            .map(|event| (event.order, event.notice))
            .collect()
    }
}

impl Merchant for Listener {
    fn wants(&self, notice: Notice) -> bool {
        self.wanted.contains(&notice)
    }

    fn tell<'a>(&'a self, event: &'a MerchantEvent) -> Reply<'a, Heard> {
        Box::pin(async move {
            if *self.stuck.lock().unwrap() == Some(event.order) {
                std::future::pending::<()>().await;
            }
            let mut heard = self.heard.lock().unwrap();
            heard.push((self.clock.now(), event.clone()));
            let time = heard.iter().filter(|(_, one)| one.id() == event.id()).count();
            (self.answers.lock().unwrap())(event, time)
        })
    }
}

/// Counts what the jobs say came of it.
#[derive(Default)]
struct Counts(Mutex<BTreeMap<&'static str, u32>>);

impl Observer for Counts {
    fn merchant_told(&self, outcome: &'static str) {
        *self.0.lock().unwrap().entry(outcome).or_default() += 1;
    }
}

const REFUSED: Heard = Heard::Refused {
    status: 503,
    retry_after: None,
};

/// A shop whose merchant listens.
struct Told {
    house: House,
    listener: Arc<Listener>,
    checkout: Checkout,
    counts: Arc<Counts>,
}

impl Told {
    async fn of(house: House, listener: Arc<Listener>) -> Self {
        let counts = Arc::new(Counts::default());
        let provider = MemoryProvider::new(house.clock.clone());
        let ports = Ports {
            merchant: Some(listener.clone()),
            observer: counts.clone(),
            ..ports(house.ledger.clone(), Arc::new(provider), house.clock.clone())
        };
        let checkout = Checkout::open(config(5_000), ports).await.unwrap();
        Self {
            house,
            listener,
            checkout,
            counts,
        }
    }

    async fn answering(answers: impl Fn(&MerchantEvent, usize) -> Heard + Send + Sync + 'static) -> Self {
        let house = House::sqlite();
        let listener = Listener::answering(&house.clock, answers);
        Self::of(house, listener).await
    }

    async fn buy(&self, shopper: u8, card: &str) -> OrderId {
        let order = place(&self.checkout, purchase(shopper, Some(card))).await;
        self.checkout.drive(order).await.unwrap();
        order
    }

    async fn refund(&self, order: OrderId) {
        self.checkout.refund(order, Restock::Keep, "test").await.unwrap();
    }

    /// Tells what is due until nothing is; says how many tries that took.
    async fn tell(&self) -> usize {
        let mut tries = 0;
        loop {
            match self.checkout.jobs().tell_now().await.unwrap() {
                0 => return tries,
                some => tries += some,
            }
        }
    }

    fn counted(&self, outcome: &str) -> u32 {
        self.counts.0.lock().unwrap().get(outcome).copied().unwrap_or(0)
    }
}

#[tokio::test]
async fn every_end_of_an_order_is_told_once_with_what_it_needs() {
    let shop = Told::answering(|_, _| Heard::Taken).await;
    let paid = place(
        &shop.checkout,
        Purchase {
            email: checkout_worker::ledger::Email::new("ada@example.org"),
            ..purchase(1, Some(VISA))
        },
    )
    .await;
    shop.checkout.drive(paid).await.unwrap();
    let declined = shop.buy(2, DECLINED).await;
    let released = place(&shop.checkout, purchase(3, None)).await;
    shop.house.clock.advance(Span::from_mins(6));
    shop.checkout.jobs().sweep().await.unwrap();
    shop.refund(paid).await;
    assert_eq!(shop.tell().await, 4);
    assert_eq!(shop.tell().await, 0);
    let mut told = shop.listener.names();
    told.sort_unstable();
    let mut expected = [
        (paid, Notice::Paid),
        (paid, Notice::Refunded),
        (declined, Notice::Declined),
        (released, Notice::Released),
    ];
    expected.sort_unstable();
    assert_eq!(told, expected);
    let events = shop.listener.events();
    let of = |order, notice| {
        let mut found = events
            .iter()
            .filter(|one| one.order == order && one.notice == notice);
        found.next().unwrap().clone()
    };
    let first = of(paid, Notice::Paid);
    // Told after the refund, it still speaks of its own moment.
    assert_eq!((first.state(), first.reason.clone()), (PublicState::Paid, None));
    assert_eq!(first.email.as_deref(), Some("ada@example.org"));
    assert_eq!(first.items[0].line.quantity, 1);
    assert!(of(paid, Notice::Refunded).version > first.version);
    assert!(of(declined, Notice::Declined).reason.is_some());
    assert_eq!(of(released, Notice::Released).reason.as_deref(), Some("expired"));
    assert_eq!(shop.counted("taken"), 4);
}

#[tokio::test]
async fn what_is_not_taken_is_told_again_on_schedule_and_given_up_after_three_days() {
    let shop = Told::answering(|_, _| REFUSED).await;
    let order = shop.buy(1, VISA).await;
    let start = shop.house.clock.now();
    for _ in 0..(86_400 / 60 * 4) {
        shop.tell().await;
        shop.house.clock.advance(Span::from_mins(1));
    }
    let at: Vec<u64> = shop
        .listener
        .heard
        .lock()
        .unwrap()
        .iter()
        .map(|(at, _)| at.since(start).as_millis() / 60_000)
        .collect();
    assert_eq!(at.len(), usize::try_from(TRIES_MAX).unwrap());
    let waits: Vec<u64> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (waited, scheduled) in waits.iter().zip([0, 5, 30, 120, 300, 600, 840, 1_200, 1_440]) {
        // The clock goes by minutes, and a tenth is spread.
        assert!(
            (scheduled..=scheduled + scheduled / 10 + 1).contains(waited),
            "{waits:?}"
        );
    }
    let ids: std::collections::BTreeSet<String> =
        shop.listener.events().iter().map(MerchantEvent::id).collect();
    assert_eq!(ids.len(), 1, "always under one name");
    let given_up = shop.checkout.untold(Telling::GivenUp, 10).await.unwrap();
    assert_eq!((given_up[0].order, given_up[0].tries), (order, TRIES_MAX));
    assert_eq!(given_up[0].outcome.as_deref(), Some("status 503"));
    assert_eq!(
        (shop.counted("refused"), shop.counted("given_up")),
        (TRIES_MAX, 1)
    );

    shop.listener.answer_from_now_on(|_, _| Heard::Taken);
    assert_eq!(shop.tell().await, 0, "given up is given up");
    let replayed = shop
        .checkout
        .replay(Replay::Untaken(HORIZON + HORIZON), "all", "test")
        .await;
    assert_eq!(replayed.unwrap(), 1);
    assert_eq!(shop.tell().await, 1);
    assert_eq!(shop.checkout.untold(Telling::GivenUp, 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_receiver_is_given_the_time_it_asks_for_within_bounds() {
    for (asked, waits) in [
        (Span::from_mins(10), Span::from_mins(10)),
        (Span::from_mins(60 * 24 * 30), ASKED_MAX),
    ] {
        let shop = Told::answering(move |_, time| match time {
            1 => Heard::Refused {
                status: 429,
                retry_after: Some(asked),
            },
            _ => Heard::Taken,
        })
        .await;
        shop.buy(1, VISA).await;
        assert_eq!(shop.tell().await, 1);
        shop.house.clock.advance(waits - Span::from_secs(1));
        assert_eq!(shop.tell().await, 0);
        shop.house.clock.advance(Span::from_secs(1));
        assert_eq!(shop.tell().await, 1);
    }
}

#[tokio::test]
async fn a_receiver_that_is_gone_hears_no_more_of_that_event_and_the_order_goes_on() {
    let shop = Told::answering(|event, _| match event.notice {
        Notice::Paid => Heard::Gone,
        Notice::Declined | Notice::Released | Notice::Refunded => Heard::Taken,
    })
    .await;
    let order = shop.buy(1, VISA).await;
    shop.refund(order).await;
    assert_eq!(shop.tell().await, 2);
    assert_eq!(
        shop.listener.names(),
        [(order, Notice::Paid), (order, Notice::Refunded)]
    );
    let given_up = shop.checkout.untold(Telling::GivenUp, 10).await.unwrap();
    assert_eq!(
        (given_up.len(), given_up[0].outcome.as_deref()),
        (1, Some("status 410"))
    );
}

#[tokio::test]
async fn events_that_nobody_asked_for_are_not_told() {
    let house = House::sqlite();
    let listener = Arc::new(Listener {
        wanted: vec![Notice::Refunded],
        ..Arc::into_inner(Listener::answering(&house.clock, |_, _| Heard::Taken)).unwrap()
    });
    let shop = Told::of(house, listener).await;
    let order = shop.buy(1, VISA).await;
    shop.buy(2, DECLINED).await;
    shop.refund(order).await;
    shop.tell().await;
    assert_eq!(shop.listener.names(), [(order, Notice::Refunded)]);
    assert_eq!((shop.counted("skipped"), shop.counted("taken")), (2, 1));
}

/// Some answer for every event and time, the same in every run.
fn moody(event: &MerchantEvent, time: usize) -> Heard {
    let mixed = (event.order.0 ^ u128::from(event.version) << 7 ^ (time as u128) << 19)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    match (mixed >> 64) % 5 {
        0 | 1 => Heard::Taken,
        2 => Heard::TimedOut,
        3 => Heard::Unreachable,
        _ => REFUSED,
    }
}

async fn stay_in_order(house: House) {
    let listener = Listener::answering(&house.clock, moody);
    let shop = Told::of(house, listener).await;
    let mut orders = Vec::new();
    for shopper in 1..=30 {
        let order = shop.buy(shopper, VISA).await;
        orders.push(order);
        if shopper % 3 > 0 {
            shop.refund(order).await;
        }
    }
    // Two schedules, one after the other, are the most that an order needs here.
    for _ in 0..180 {
        shop.tell().await;
        shop.house.clock.advance(Span::from_mins(60));
    }
    let untold = shop.house.ledger.gauges().await.unwrap();
    for order in orders {
        let events = shop.listener.events();
        let of_order: Vec<u64> = events
            .iter()
            .filter(|one| one.order == order)
            .map(|one| one.version)
            .collect();
        assert!(of_order.is_sorted(), "{order}: {of_order:?}");
    }
    let events = shop.listener.events();
    let taken = u64::from(shop.counted("taken"));
    assert_eq!(taken + untold.given_up, 50, "{} tries", events.len());
    assert_eq!(untold.untold, 0);
}

#[tokio::test]
async fn an_orders_events_stay_in_order_whatever_the_receiver_answers() {
    stay_in_order(House::sqlite()).await;
    let server = super::house::postgres().await;
    stay_in_order(House::postgres(&server, "telling").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_never_answers_holds_up_neither_checkout_nor_other_orders() {
    let shop = Told::answering(|_, _| Heard::Taken).await;
    let stuck = shop.buy(1, VISA).await;
    *shop.listener.stuck.lock().unwrap() = Some(stuck);
    shop.refund(stuck).await;
    let stop = CancellationToken::new();
    let (running, until) = (shop.checkout.clone(), stop.clone());
    let mut runs = tokio::task::JoinSet::new();
    runs.spawn(async move { running.run(until).await });
    for shopper in 2..=20 {
        place(&shop.checkout, purchase(shopper, Some(VISA))).await;
    }
    let told = async {
        while shop.listener.names().len() < 19 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), told).await.unwrap();
    assert!(
        shop.listener
            .names()
            .iter()
            .all(|(order, notice)| *order != stuck && *notice == Notice::Paid)
    );
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(20), runs.join_all())
        .await
        .unwrap();
    let pending = shop.checkout.untold(Telling::Pending, 10).await.unwrap();
    assert_eq!(pending.len(), 2, "what was cut off is owed still");
}

#[tokio::test]
async fn a_receiver_whose_handling_dies_is_told_again() {
    let shop = Told::answering(|_, time| match time {
        1 => panic!("a bug in the adapter"),
        _ => Heard::Taken,
    })
    .await;
    shop.buy(1, VISA).await;
    assert_eq!(shop.checkout.jobs().tell_now().await.unwrap(), 1);
    assert_eq!(shop.tell().await, 0);
    // The mutex that died with it is the test's own.
    shop.listener.answers.clear_poison();
    shop.listener.heard.clear_poison();
    shop.house.clock.advance(checkout_worker::ledger::LEASE);
    assert_eq!(shop.tell().await, 1);
    assert_eq!(shop.counted("taken"), 1);
}

#[tokio::test]
async fn an_endpoint_configured_late_hears_of_three_days_and_not_of_last_year() {
    let shop = Told::answering(|_, _| Heard::Taken).await;
    shop.buy(1, VISA).await;
    shop.house.clock.advance(HORIZON);
    let recent = shop.buy(2, VISA).await;
    shop.house.clock.advance(Span::from_mins(60));
    assert_eq!(shop.checkout.jobs().forget().await.unwrap(), 1);
    shop.tell().await;
    assert_eq!(shop.listener.names(), [(recent, Notice::Paid)]);
}

#[tokio::test]
async fn a_replay_of_many_goes_in_steps_and_forgets_none() {
    let shop = Told::answering(|_, _| Heard::Taken).await;
    let many = 2 * checkout_worker::ledger::REPLAY_STEP + 7;
    let mut buying = tokio::task::JoinSet::new();
    for shopper in 0..u128::from(many) {
        let checkout = shop.checkout.clone();
        buying.spawn(async move {
            let key = shopper.to_be_bytes();
            let purchase = Purchase {
                shopper: ShopperKey(key),
                admission: AdmissionId(key),
                client_key: checkout_worker::ledger::ClientKey::new(&shopper.to_string()).unwrap(),
                ..purchase(1, None)
            };
            let order = checkout.reserve(purchase).await.map(|placed| match placed {
                checkout_worker::Placed::New(view) | checkout_worker::Placed::Repeated(view) => view.order,
            });
            checkout.cancel_by_operator(order.unwrap(), "test").await.unwrap();
        });
    }
    buying.join_all().await;
    assert_eq!(shop.tell().await, usize::try_from(many).unwrap());
    let replay = async |what| shop.checkout.replay(what, "all", "test").await.unwrap();
    assert_eq!(replay(Replay::Untaken(HORIZON)).await, 0);
    assert_eq!(replay(Replay::Everything(HORIZON)).await, u64::from(many));
    assert_eq!(shop.tell().await, usize::try_from(many).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_never_have_one_notice_in_hand_at_once() {
    let server = super::house::postgres().await;
    let house = House::postgres(&server, "hands").await;
    let listener = Listener::answering(&house.clock, |_, _| Heard::Taken);
    let mut shop = Told::of(house, listener).await;
    for shopper in 1..=40 {
        let order = shop.buy(shopper, VISA).await;
        shop.refund(order).await;
    }
    let first = shop.house.ledger.clone();
    let second = shop.house.reopened().await;
    let mut workers = tokio::task::JoinSet::new();
    for ledger in [&first, &second, &first, &second] {
        let ledger = Arc::clone(ledger);
        workers.spawn(async move {
            let mut taken = Vec::new();
            loop {
                let due = ledger.notices_due(3, HORIZON).await.unwrap();
                if due.is_empty() {
                    return taken;
                }
                taken.extend(due.into_iter().map(|one| (one.id, one.notice)));
            }
        });
    }
    let mut taken = workers.join_all().await.concat();
    assert!(
        taken.iter().all(|(_, notice)| *notice == Notice::Paid),
        "refunds wait"
    );
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken.len(), 40);
}
