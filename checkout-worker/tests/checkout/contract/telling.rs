//! The ledger's contract on telling the merchant's system: what is due, in which order, to whom, for how long, and again.

use checkout_worker::Checkout;
use checkout_worker::ledger::{DueNotice, LEASE, Next, Replay, Telling, Told};
use checkout_worker::provider::memory::MemoryProvider;
use domain::redelivery::HORIZON;
use domain::saga::Restock;

use super::super::support::{config, place, ports, purchase};
use super::*;

/// Longer than any test's clock runs otherwise.
const MOMENT: Span = Span::from_secs(1);

async fn checkout(house: &House) -> Checkout {
    let provider = Arc::new(MemoryProvider::new(house.clock.clone()));
    let ports = ports(house.ledger.clone(), provider, house.clock.clone());
    Checkout::open(config(50), ports).await.unwrap()
}

async fn paid(checkout: &Checkout, shopper: u8) -> OrderId {
    let order = place(checkout, purchase(shopper, Some(VISA))).await;
    checkout.drive(order).await.unwrap();
    order
}

async fn paid_and_refunded(checkout: &Checkout, shopper: u8) -> OrderId {
    let order = paid(checkout, shopper).await;
    checkout.refund(order, Restock::Keep, "test").await.unwrap();
    order
}

async fn due(ledger: &dyn Ledger) -> Vec<DueNotice> {
    ledger.notices_due(32, HORIZON).await.unwrap()
}

fn news(due: &[DueNotice]) -> Vec<(OrderId, Notice)> {
    due.iter().map(|one| (one.order.order.id, one.notice)).collect()
}

fn ends(due: &DueNotice, next: Next) -> Told {
    Told {
        id: due.id,
        tries: due.tries,
        word: "test",
        outcome: format!("outcome {}", due.tries),
        next,
    }
}

async fn end(ledger: &dyn Ledger, due: &DueNotice, next: Next) {
    ledger.notices_told(vec![ends(due, next)]).await.unwrap();
}

pub(super) async fn a_notice_is_in_one_pair_of_hands_until_its_lease_ends(house: House) {
    let (checkout, ledger) = (checkout(&house).await, house.ledger.clone());
    let order = paid(&checkout, 1).await;
    let record = ledger.load(order).await.unwrap().unwrap();
    let taken = due(&*ledger).await;
    assert_eq!(news(&taken), [(order, Notice::Paid)]);
    assert_eq!(
        (taken[0].version, taken[0].tries, taken[0].at),
        (record.order.version, 0, house.clock.now())
    );
    assert_eq!(taken[0].order, record);
    assert_eq!(due(&*ledger).await, [], "nobody else gets it");
    house.clock.advance(LEASE - MOMENT);
    assert_eq!(due(&*ledger).await, []);
    house.clock.advance(MOMENT);
    assert_eq!(due(&*ledger).await, taken, "whoever had it may have died");
}

pub(super) async fn an_orders_later_notice_waits_for_the_earlier_one(house: House) {
    let (checkout, ledger) = (checkout(&house).await, house.ledger.clone());
    let order = paid_and_refunded(&checkout, 1).await;
    let first = due(&*ledger).await;
    assert_eq!(news(&first), [(order, Notice::Paid)]);
    end(&*ledger, &first[0], Next::Again(Span::from_secs(5))).await;
    assert_eq!(due(&*ledger).await, [], "neither before its time");
    house.clock.advance(Span::from_secs(5));
    let second = due(&*ledger).await;
    assert_eq!((news(&second), second[0].tries), (vec![(order, Notice::Paid)], 1));
    end(&*ledger, &second[0], Next::Taken).await;
    let last = due(&*ledger).await;
    assert_eq!(news(&last), [(order, Notice::Refunded)]);
    assert!(last[0].version > first[0].version);
    end(&*ledger, &last[0], Next::Taken).await;
    assert_eq!(due(&*ledger).await, []);
    assert_eq!(ledger.gauges().await.unwrap().untold, 0);
}

pub(super) async fn one_orders_notices_do_not_hold_up_anothers(house: House) {
    let (checkout, ledger) = (checkout(&house).await, house.ledger.clone());
    let orders = [
        paid(&checkout, 1).await,
        paid(&checkout, 2).await,
        paid(&checkout, 3).await,
    ];
    let one = ledger.notices_due(1, HORIZON).await.unwrap();
    assert_eq!(news(&one), [(orders[0], Notice::Paid)], "the longest due first");
    let others = due(&*ledger).await;
    assert_eq!(
        news(&others),
        [(orders[1], Notice::Paid), (orders[2], Notice::Paid)]
    );
    end(&*ledger, &others[0], Next::Taken).await;
    end(&*ledger, &others[1], Next::Skipped).await;
    house.clock.advance(LEASE);
    assert_eq!(due(&*ledger).await, one);
}

pub(super) async fn a_try_that_ends_late_counts_only_if_it_was_heard(house: House) {
    let (checkout, ledger) = (checkout(&house).await, house.ledger.clone());
    paid(&checkout, 1).await;
    let frozen = due(&*ledger).await.remove(0);
    house.clock.advance(LEASE);
    let other = due(&*ledger).await.remove(0);
    end(&*ledger, &other, Next::Again(Span::from_mins(5))).await;
    end(&*ledger, &frozen, Next::GivenUp).await;
    end(&*ledger, &frozen, Next::Again(Span::ZERO)).await;
    assert_eq!(due(&*ledger).await, [], "the other's word stands");
    let listed = ledger.untold(Telling::Pending, 10).await.unwrap();
    assert_eq!(
        (listed[0].tries, listed[0].outcome.as_deref()),
        (1, Some("outcome 0"))
    );
    end(&*ledger, &frozen, Next::Taken).await;
    assert_eq!(ledger.untold(Telling::Pending, 10).await.unwrap(), []);
    house.clock.advance(Span::from_mins(5));
    assert_eq!(due(&*ledger).await, [], "it was heard after all");
}

pub(super) async fn what_is_given_up_is_shown_and_lets_the_next_one_go(house: House) {
    let (checkout, ledger) = (checkout(&house).await, house.ledger.clone());
    let order = paid_and_refunded(&checkout, 1).await;
    let written = house.clock.now();
    let first = due(&*ledger).await.remove(0);
    // The order's next notice is older than the horizon by the time that it has its turn.
    house.clock.advance(HORIZON + Span::from_mins(60));
    end(&*ledger, &first, Next::GivenUp).await;
    assert_eq!(ledger.forget_notices(HORIZON, 10).await.unwrap(), 0);
    let next = due(&*ledger).await;
    assert_eq!(news(&next), [(order, Notice::Refunded)]);
    let shown = ledger.untold(Telling::GivenUp, 10).await.unwrap();
    assert_eq!(shown.len(), 1);
    assert_eq!(
        (shown[0].order, shown[0].notice, shown[0].version, shown[0].at),
        (order, Notice::Paid, first.version, written)
    );
    assert_eq!((shown[0].drop.clone(), shown[0].tries), (drop_id(), 1));
    assert_eq!(shown[0].outcome.as_deref(), Some("outcome 0"));
    let gauges = ledger.gauges().await.unwrap();
    assert_eq!(
        (gauges.given_up, gauges.untold, gauges.untold_oldest),
        (1, 1, Some(written))
    );
}

pub(super) async fn a_notice_that_waits_behind_an_earlier_one_does_not_grow_old(house: House) {
    let (checkout, ledger) = (checkout(&house).await, house.ledger.clone());
    let order = paid_and_refunded(&checkout, 1).await;
    let first = due(&*ledger).await.remove(0);
    end(&*ledger, &first, Next::Again(HORIZON)).await;
    house.clock.advance(HORIZON + Span::from_mins(60));
    assert_eq!(ledger.forget_notices(HORIZON, 10).await.unwrap(), 0);
    let again = due(&*ledger).await;
    assert_eq!(news(&again), [(order, Notice::Paid)]);
    end(&*ledger, &again[0], Next::Taken).await;
    assert_eq!(ledger.forget_notices(HORIZON, 10).await.unwrap(), 0);
    assert_eq!(news(&due(&*ledger).await), [(order, Notice::Refunded)]);
}

pub(super) async fn old_news_that_was_never_tried_is_let_go_and_tried_news_is_not(house: House) {
    let (checkout, ledger) = (checkout(&house).await, house.ledger.clone());
    let (tried, old) = (paid(&checkout, 1).await, paid(&checkout, 2).await);
    let first = ledger.notices_due(1, HORIZON).await.unwrap().remove(0);
    end(&*ledger, &first, Next::Again(Span::from_secs(5))).await;
    house.clock.advance(HORIZON);
    let fresh = paid(&checkout, 3).await;
    let mut found = news(&due(&*ledger).await);
    found.sort_unstable();
    let mut expected = [(tried, Notice::Paid), (fresh, Notice::Paid)];
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(ledger.forget_notices(HORIZON, 10).await.unwrap(), 1);
    assert_eq!(ledger.forget_notices(HORIZON, 10).await.unwrap(), 0);
    assert_eq!(ledger.gauges().await.unwrap().untold, 2);
    let replayed = ledger.replay_notices(Replay::Order(old), 0).await.unwrap();
    assert_eq!((replayed.count, replayed.more_after), (1, None));
    assert_eq!(news(&due(&*ledger).await), [(old, Notice::Paid)]);
}

pub(super) async fn a_replay_tells_again_what_it_names_from_the_first_try_on(house: House) {
    let (checkout, ledger) = (checkout(&house).await, house.ledger.clone());
    let taken = paid_and_refunded(&checkout, 1).await;
    for _ in 0..2 {
        let one = due(&*ledger).await.remove(0);
        end(&*ledger, &one, Next::Taken).await;
    }
    house.clock.advance(Span::from_mins(60));
    let given_up = paid(&checkout, 2).await;
    let one = due(&*ledger).await.remove(0);
    end(&*ledger, &one, Next::GivenUp).await;
    let waiting = paid(&checkout, 3).await;
    let one = due(&*ledger).await.remove(0);
    end(&*ledger, &one, Next::Again(Span::from_mins(60))).await;
    assert_eq!(due(&*ledger).await, []);
    let replay = async |what| ledger.replay_notices(what, 0).await.unwrap().count;

    assert_eq!(replay(Replay::Untaken(Span::from_mins(30))).await, 2);
    let again = due(&*ledger).await;
    assert_eq!(news(&again), [(given_up, Notice::Paid), (waiting, Notice::Paid)]);
    assert!(again.iter().all(|one| one.tries == 0));
    for one in &again {
        end(&*ledger, one, Next::Taken).await;
    }
    assert_eq!(replay(Replay::Untaken(HORIZON)).await, 0, "everything was taken");
    assert_eq!(replay(Replay::Everything(Span::from_mins(30))).await, 2);
    let everything = due(&*ledger).await;
    assert_eq!(everything.len(), 2);
    for one in &everything {
        end(&*ledger, one, Next::Taken).await;
    }
    assert_eq!(replay(Replay::Order(taken)).await, 2);
    let first = due(&*ledger).await;
    assert_eq!(news(&first), [(taken, Notice::Paid)], "in order, once more");
    end(&*ledger, &first[0], Next::Taken).await;
    assert_eq!(news(&due(&*ledger).await), [(taken, Notice::Refunded)]);
    assert_eq!(replay(Replay::Order(OrderId(404))).await, 0);
    assert_eq!(replay(Replay::Everything(HORIZON)).await, 4);
}

pub(super) async fn what_is_owed_is_owed_after_a_restart(mut house: House) {
    let order = paid(&checkout(&house).await, 1).await;
    let taken = due(&*house.ledger).await;
    let again = house.reopened().await;
    // Where one process has the file, its leases died with the one before; elsewhere they end by themselves.
    house.clock.advance(LEASE);
    assert_eq!(due(&*again).await, taken);
    end(&*again, &taken[0], Next::GivenUp).await;
    let later = house.reopened().await;
    assert_eq!(later.untold(Telling::GivenUp, 10).await.unwrap()[0].order, order);
}
