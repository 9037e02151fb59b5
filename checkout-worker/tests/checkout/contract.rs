//! What every ledger must do, one function per clause, run here for SQLite.

mod upkeep;

use std::sync::Arc;

use checkout_worker::ledger::{
    Acceptance, Applied, Channel, ClientKey, DropPlan, Item, Ledger, Message, NewOrder, Opened, OrderFilter,
    Reservation, StockChange, StockChanged, Transition,
};
use domain::pool::{Level, Line};
use domain::saga::{Event, Moment, Notice, StateName, Why};
use domain::{AdmissionId, Clock, OrderId, ShopperKey, Span};

use super::support::{DECLINED, StandingClock, VISA, drop_id, euros, item, line, method, open_ledger, sku};

/// A new order of one unit each of `lines`.
fn new_order(id: u128, shopper: u8, lines: Vec<Line>) -> NewOrder {
    let items: Vec<Item> = lines
        .into_iter()
        .map(|line| Item {
            line,
            price: euros(12_900),
        })
        .collect();
    let units: u32 = items.iter().map(|item| item.line.quantity).sum();
    NewOrder {
        id: OrderId(id),
        drop: drop_id(),
        shopper: ShopperKey([shopper; 16]),
        admission: AdmissionId([shopper; 16]),
        client_key: ClientKey::new(&format!("key-{id}")).unwrap(),
        request_hash: [7; 32],
        items,
        total: euros(12_900 * u64::from(units)),
        method: None,
        email: None,
        reserve_for: Span::from_mins(5),
        per_shopper: 3,
    }
}

async fn opened(stock: u32) -> (Arc<dyn Ledger>, Arc<StandingClock>, tempfile::TempDir) {
    let (dir, clock) = (tempfile::tempdir().unwrap(), StandingClock::new());
    let ledger: Arc<dyn Ledger> = open_ledger(dir.path(), &clock);
    let items = vec![item("AUR-42", stock), item("AUR-43", stock)];
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
    (ledger, clock, dir)
}

async fn level(ledger: &dyn Ledger) -> Level {
    ledger
        .stock(drop_id())
        .await
        .unwrap()
        .into_iter()
        .find(|(name, _)| *name == sku("AUR-42"))
        .unwrap()
        .1
}

async fn placed(ledger: &dyn Ledger, order: NewOrder) -> OrderId {
    match ledger.reserve(order).await.unwrap() {
        Reservation::Placed(record) => record.order.id,
        other => panic!("{other:?}"),
    }
}

/// Steps an order by `event` as a driver would, and says how storing it ended.
async fn stepped(ledger: &dyn Ledger, order: OrderId, event: Event, clock: &dyn Clock) -> Applied {
    let record = ledger.load(order).await.unwrap().unwrap();
    let step = record.order.step(event, Moment::at(clock.now())).unwrap();
    ledger
        .apply(Transition {
            step,
            attempt: None,
            outcome: None,
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn a_reservation_holds_units_and_comes_back_whole() {
    let (ledger, clock, _dir) = opened(5).await;
    let order = new_order(1, 1, vec![line("AUR-42", 2), line("AUR-43", 1)]);
    let id = placed(&*ledger, order.clone()).await;
    assert_eq!(
        level(&*ledger).await,
        Level {
            total: 5,
            held: 2,
            sold: 0
        }
    );
    let record = ledger.load(id).await.unwrap().unwrap();
    assert_eq!(
        (record.order.state.name(), record.items, record.order.total),
        (StateName::Reserved, order.items, order.total)
    );
    assert_eq!(record.reserved_until, clock.now() + Span::from_mins(5));
}

#[tokio::test]
async fn a_repeated_request_is_answered_with_its_order_and_another_body_is_refused() {
    let (ledger, _clock, _dir) = opened(5).await;
    let first = new_order(1, 1, vec![line("AUR-42", 1)]);
    placed(&*ledger, first.clone()).await;
    let again = NewOrder {
        id: OrderId(2),
        ..first.clone()
    };
    assert!(
        matches!(ledger.reserve(again).await.unwrap(), Reservation::Repeated(r) if r.order.id == OrderId(1))
    );
    let other = NewOrder {
        id: OrderId(3),
        request_hash: [8; 32],
        ..first
    };
    assert_eq!(
        ledger.reserve(other).await.unwrap(),
        Reservation::KeyMismatch { order: OrderId(1) }
    );
    assert_eq!(level(&*ledger).await.held, 1);
}

#[tokio::test]
async fn two_shoppers_may_choose_the_same_key() {
    let (ledger, _clock, _dir) = opened(5).await;
    let key = ClientKey::new("same").unwrap();
    for shopper in [1, 2] {
        let order = NewOrder {
            client_key: key.clone(),
            ..new_order(shopper.into(), shopper, vec![line("AUR-42", 1)])
        };
        placed(&*ledger, order).await;
    }
}

#[tokio::test]
async fn one_short_sku_refuses_the_whole_order_and_says_what_is_left() {
    let (ledger, _clock, _dir) = opened(2).await;
    placed(&*ledger, new_order(1, 1, vec![line("AUR-43", 1)])).await;
    let greedy = new_order(2, 2, vec![line("AUR-42", 1), line("AUR-43", 2)]);
    let left = vec![line("AUR-42", 2), line("AUR-43", 1)];
    assert_eq!(
        ledger.reserve(greedy).await.unwrap(),
        Reservation::SoldOut { left }
    );
    assert_eq!(level(&*ledger).await.held, 0);
    let unknown = new_order(3, 3, vec![line("AUR-99", 1)]);
    assert_eq!(
        ledger.reserve(unknown).await.unwrap(),
        Reservation::UnknownSku(sku("AUR-99"))
    );
}

#[tokio::test]
async fn a_shoppers_limit_counts_all_their_living_orders() {
    let (ledger, clock, _dir) = opened(9).await;
    let of = |id: u128, units| NewOrder {
        admission: AdmissionId([u8::try_from(id).unwrap(); 16]),
        ..new_order(id, 1, vec![line("AUR-42", units)])
    };
    let first = placed(&*ledger, of(1, 2)).await;
    assert_eq!(
        ledger.reserve(of(2, 2)).await.unwrap(),
        Reservation::LimitExceeded { limit: 3, has: 2 }
    );
    stepped(&*ledger, first, Event::Cancel(domain::saga::By::Shopper), &*clock).await;
    placed(&*ledger, of(3, 3)).await;
}

#[tokio::test]
async fn an_admission_holds_one_order_that_is_not_dead() {
    let (ledger, clock, _dir) = opened(9).await;
    let first = placed(&*ledger, new_order(1, 1, vec![line("AUR-42", 1)])).await;
    let second = new_order(2, 1, vec![line("AUR-42", 1)]);
    let spent = Reservation::AdmissionSpent { order: first };
    assert_eq!(ledger.reserve(second.clone()).await.unwrap(), spent);
    stepped(&*ledger, first, Event::Cancel(domain::saga::By::Shopper), &*clock).await;
    placed(&*ledger, second).await;
}

#[tokio::test]
async fn a_thousand_replays_of_one_admission_make_one_order() {
    let (ledger, _clock, _dir) = opened(2_000).await;
    let mut replays = tokio::task::JoinSet::new();
    for id in 1..=1_000 {
        let ledger = ledger.clone();
        replays.spawn(async move {
            ledger
                .reserve(new_order(id, 1, vec![line("AUR-42", 1)]))
                .await
                .unwrap()
        });
    }
    let answers = replays.join_all().await;
    assert_eq!(
        answers
            .iter()
            .filter(|answer| matches!(answer, Reservation::Placed(_)))
            .count(),
        1
    );
    assert_eq!(level(&*ledger).await.held, 1);
}

#[tokio::test]
async fn the_last_unit_goes_to_one_of_many() {
    let (ledger, _clock, _dir) = opened(1).await;
    let mut race = tokio::task::JoinSet::new();
    for shopper in 1..=100 {
        let ledger = ledger.clone();
        race.spawn(async move {
            let order = new_order(shopper.into(), shopper, vec![line("AUR-42", 1)]);
            ledger.reserve(order).await.unwrap()
        });
    }
    let answers = race.join_all().await;
    assert_eq!(
        answers
            .iter()
            .filter(|answer| matches!(answer, Reservation::Placed(_)))
            .count(),
        1
    );
    let left = vec![line("AUR-42", 0)];
    assert_eq!(
        answers
            .iter()
            .filter(|a| **a == Reservation::SoldOut { left: left.clone() })
            .count(),
        99
    );
}

#[tokio::test]
async fn acceptance_is_judged_by_the_ledgers_clock() {
    let (ledger, clock, _dir) = opened(5).await;
    let (early, late) = (
        new_order(1, 1, vec![line("AUR-42", 1)]),
        new_order(2, 2, vec![line("AUR-42", 1)]),
    );
    let (early, late) = (placed(&*ledger, early).await, placed(&*ledger, late).await);
    assert!(matches!(
        ledger.accept(early, method(VISA)).await.unwrap(),
        Acceptance::Accepted(_)
    ));
    let again = ledger.accept(early, method(VISA)).await.unwrap();
    assert!(matches!(again, Acceptance::Refused(refusal) if refusal.why == Why::Unchanged));
    let other = ledger.accept(early, method(DECLINED)).await.unwrap();
    assert!(matches!(other, Acceptance::Refused(refusal) if refusal.why == Why::NotHere));
    clock.advance(Span::from_mins(5));
    let refused = ledger.accept(late, method(VISA)).await.unwrap();
    assert!(matches!(refused, Acceptance::Refused(refusal) if refusal.why == Why::TooLate));
    assert_eq!(
        ledger.accept(OrderId(99), method(VISA)).await.unwrap(),
        Acceptance::Unknown
    );
}

#[tokio::test]
async fn acceptance_and_its_message_are_one() {
    let (ledger, _clock, _dir) = opened(5).await;
    let order = NewOrder {
        method: Some(method(VISA)),
        ..new_order(1, 1, vec![line("AUR-42", 1)])
    };
    let id = placed(&*ledger, order).await;
    assert_eq!(
        ledger.load(id).await.unwrap().unwrap().order.state.name(),
        StateName::Accepted
    );
    let pending = ledger.pending(Channel::Workers, 10).await.unwrap();
    assert_eq!(
        pending.iter().map(|p| (p.order, &p.message)).collect::<Vec<_>>(),
        [(id, &Message::Drive)]
    );
    assert_eq!(
        ledger.redrive(10, Span::from_mins(10)).await.unwrap(),
        0,
        "one message per order is enough"
    );
    ledger.delivered(vec![pending[0].id]).await.unwrap();
    assert_eq!(ledger.pending(Channel::Workers, 10).await.unwrap(), []);
    assert_eq!(
        ledger.redrive(10, Span::from_mins(10)).await.unwrap(),
        1,
        "a lost message comes back"
    );
}

#[tokio::test]
async fn expired_reservations_return_their_units_and_tell_the_house() {
    let (ledger, clock, _dir) = opened(5).await;
    let id = placed(&*ledger, new_order(1, 1, vec![line("AUR-42", 2)])).await;
    assert_eq!(ledger.expire(10).await.unwrap(), []);
    clock.advance(Span::from_mins(5));
    let released = ledger.expire(10).await.unwrap();
    assert_eq!(
        released.iter().map(|record| record.order.id).collect::<Vec<_>>(),
        [id]
    );
    assert_eq!(
        ledger.expire(10).await.unwrap(),
        [],
        "a unit is not given back twice"
    );
    assert_eq!(
        level(&*ledger).await,
        Level {
            total: 5,
            held: 0,
            sold: 0
        }
    );
    let notices = ledger.pending(Channel::Notices, 10).await.unwrap();
    let Message::Notice(notice) = &notices[0].message else {
        panic!("{notices:?}")
    };
    assert_eq!(
        (notice.notice, notice.returned, notice.shopper),
        (Notice::Released, 2, ShopperKey([1; 16]))
    );
}

#[tokio::test]
async fn a_step_decided_on_an_old_version_is_not_stored() {
    let (ledger, clock, _dir) = opened(5).await;
    let id = placed(&*ledger, new_order(1, 1, vec![line("AUR-42", 1)])).await;
    let stale = ledger.load(id).await.unwrap().unwrap();
    assert!(matches!(
        ledger.accept(id, method(VISA)).await.unwrap(),
        Acceptance::Accepted(_)
    ));
    let cancel = Event::Cancel(domain::saga::By::Shopper);
    let step = stale.order.step(cancel, Moment::at(clock.now())).unwrap();
    let late = Transition {
        step,
        attempt: None,
        outcome: None,
    };
    assert_eq!(ledger.apply(late).await.unwrap(), Applied::Conflict);
    assert_eq!(level(&*ledger).await.held, 1);
}
