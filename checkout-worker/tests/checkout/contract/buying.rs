//! The ledger's contract on buying: reserve, accept, expire, and the rules that hold among many at once.

use super::*;

pub(super) async fn a_reservation_holds_units_and_comes_back_whole(house: House) {
    let (ledger, clock) = opened(&house, 5).await;
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

pub(super) async fn a_repeated_request_is_answered_with_its_order_and_another_body_is_refused(house: House) {
    let (ledger, _clock) = opened(&house, 5).await;
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

pub(super) async fn two_shoppers_may_choose_the_same_key(house: House) {
    let (ledger, _clock) = opened(&house, 5).await;
    let key = ClientKey::new("same").unwrap();
    for shopper in [1, 2] {
        let order = NewOrder {
            client_key: key.clone(),
            ..new_order(shopper.into(), shopper, vec![line("AUR-42", 1)])
        };
        placed(&*ledger, order).await;
    }
}

pub(super) async fn one_short_sku_refuses_the_whole_order_and_says_what_is_left(house: House) {
    let (ledger, _clock) = opened(&house, 2).await;
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

pub(super) async fn a_shoppers_limit_counts_all_their_living_orders(house: House) {
    let (ledger, clock) = opened(&house, 9).await;
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

pub(super) async fn an_admission_holds_one_order_that_is_not_dead(house: House) {
    let (ledger, clock) = opened(&house, 9).await;
    let first = placed(&*ledger, new_order(1, 1, vec![line("AUR-42", 1)])).await;
    let second = new_order(2, 1, vec![line("AUR-42", 1)]);
    let spent = Reservation::AdmissionSpent { order: first };
    assert_eq!(ledger.reserve(second.clone()).await.unwrap(), spent);
    stepped(&*ledger, first, Event::Cancel(domain::saga::By::Shopper), &*clock).await;
    placed(&*ledger, second).await;
}

pub(super) async fn a_thousand_replays_of_one_admission_make_one_order(house: House) {
    let (ledger, _clock) = opened(&house, 2_000).await;
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

pub(super) async fn the_last_unit_goes_to_one_of_many(house: House) {
    let (ledger, _clock) = opened(&house, 1).await;
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

pub(super) async fn acceptance_is_judged_by_the_ledgers_clock(house: House) {
    let (ledger, clock) = opened(&house, 5).await;
    let (early, late) = (
        new_order(1, 1, vec![line("AUR-42", 1)]),
        new_order(2, 2, vec![line("AUR-42", 1)]),
    );
    let (early, late) = (placed(&*ledger, early).await, placed(&*ledger, late).await);
    house.clock.advance(Span::from_mins(2));
    let at = clock.now();
    let Acceptance::Accepted(record) = ledger.accept(early, method(VISA)).await.unwrap() else {
        panic!("not accepted")
    };
    assert_eq!((record.accepted_at, record.waits_since()), (Some(at), at));
    let kept = async |id| ledger.load(id).await.unwrap().unwrap().accepted_at;
    assert_eq!((kept(early).await, kept(late).await), (Some(at), None));
    let again = ledger.accept(early, method(VISA)).await.unwrap();
    assert!(matches!(again, Acceptance::Refused(refusal) if refusal.why == Why::Unchanged));
    let other = ledger.accept(early, method(DECLINED)).await.unwrap();
    assert!(matches!(other, Acceptance::Refused(refusal) if refusal.why == Why::NotHere));
    house.clock.advance(Span::from_mins(5));
    let refused = ledger.accept(late, method(VISA)).await.unwrap();
    assert!(matches!(refused, Acceptance::Refused(refusal) if refusal.why == Why::TooLate));
    assert_eq!(
        ledger.accept(OrderId(99), method(VISA)).await.unwrap(),
        Acceptance::Unknown
    );
}

pub(super) async fn a_repeated_acceptance_is_known_to_the_end_and_splits_no_reason(house: House) {
    let (ledger, clock) = opened(&house, 5).await;
    for (shopper, card) in [(1, VISA), (2, DECLINED)] {
        let id = placed(
            &*ledger,
            new_order(shopper.into(), shopper, vec![line("AUR-42", 1)]),
        )
        .await;
        ledger.accept(id, method(card)).await.unwrap();
        stepped(&*ledger, id, Event::Cancel(By::Operator), &*clock).await;
        let known = ledger.load(id).await.unwrap().unwrap().order;
        assert_eq!(
            (known.state.name(), known.method),
            (StateName::Released, Some(method(card)))
        );
    }
    house.clock.advance(Span::from_mins(10));
    let again = ledger.accept(OrderId(1), method(VISA)).await.unwrap();
    assert!(matches!(again, Acceptance::Refused(refusal) if refusal.why == Why::Unchanged));
    let other = ledger.accept(OrderId(1), method(DECLINED)).await.unwrap();
    assert!(matches!(other, Acceptance::Refused(refusal) if refusal.why == Why::NotHere));
    let reasons = ledger.sales(drop_id()).await.unwrap().reasons;
    assert_eq!(
        reasons,
        [(StateName::Released, "cancelled_by_shop".to_owned(), 2)]
    );
}

pub(super) async fn acceptance_and_its_message_are_one(house: House) {
    let (ledger, _clock) = opened(&house, 5).await;
    let order = NewOrder {
        method: Some(method(VISA)),
        ..new_order(1, 1, vec![line("AUR-42", 1)])
    };
    let id = placed(&*ledger, order).await;
    let record = ledger.load(id).await.unwrap().unwrap();
    assert_eq!(
        (record.order.state.name(), record.accepted_at),
        (StateName::Accepted, Some(record.created_at))
    );
    let pending = ledger.pending(Channel::Workers, 10).await.unwrap();
    assert_eq!(
        pending.iter().map(|p| (p.order, &p.message)).collect::<Vec<_>>(),
        [(id, &Message::Drive)]
    );
    assert_eq!(
        ledger.redrive(10, Span::from_mins(10), Vec::new()).await.unwrap(),
        0,
        "one message per order is enough"
    );
    ledger.delivered(vec![pending[0].id]).await.unwrap();
    assert_eq!(ledger.pending(Channel::Workers, 10).await.unwrap(), []);
    assert_eq!(
        ledger.redrive(10, Span::from_mins(10), Vec::new()).await.unwrap(),
        1,
        "a lost message comes back"
    );
}

pub(super) async fn a_postponed_order_is_driven_again_once_its_drop_is_not_paused(house: House) {
    let (ledger, _clock) = opened(&house, 5).await;
    let order = NewOrder {
        method: Some(method(VISA)),
        ..new_order(1, 1, vec![line("AUR-42", 1)])
    };
    let id = placed(&*ledger, order).await;
    let pending = ledger.pending(Channel::Workers, 10).await.unwrap();
    ledger.published(vec![pending[0].id]).await.unwrap();
    let redrive = async |paused| ledger.redrive(10, Span::from_mins(10), paused).await.unwrap();
    assert_eq!(redrive(vec![]).await, 0, "the broker holds its message");
    ledger.postponed(id).await.unwrap();
    assert_eq!(redrive(vec![drop_id()]).await, 0);
    let other = DropId::new("boreal").unwrap();
    assert_eq!(redrive(vec![other]).await, 1);
    assert_eq!(redrive(vec![]).await, 0, "one message per order is enough");
    // The worker was faster than the confirmation: what the relay notes afterwards must not hide the order.
    let pending = ledger.pending(Channel::Workers, 10).await.unwrap();
    ledger.postponed(id).await.unwrap();
    ledger.published(vec![pending[0].id]).await.unwrap();
    assert_eq!(redrive(vec![]).await, 1, "nobody holds a message of it");
}

pub(super) async fn each_drop_has_its_turn_when_messages_are_written_anew(house: House) {
    let (ledger, _clock) = opened(&house, 9).await;
    let other = DropId::new("borealis").unwrap();
    let plan = DropPlan {
        drop: other.clone(),
        items: vec![item("BOR-1", 9)],
    };
    ledger.open_drop(plan).await.unwrap();
    assert_eq!(ledger.due_drops().await.unwrap(), []);
    for shopper in 1..=8 {
        let order = new_order(shopper.into(), shopper, vec![line("AUR-42", 1)]);
        let order = NewOrder {
            method: Some(method(VISA)),
            ..order
        };
        placed(&*ledger, order).await;
    }
    assert_eq!(ledger.due_drops().await.unwrap(), [(drop_id(), 8)]);
    house.clock.advance(Span::from_secs(1));
    for shopper in 9..=11 {
        let order = NewOrder {
            drop: other.clone(),
            method: Some(method(VISA)),
            ..new_order(shopper.into(), shopper, vec![line("BOR-1", 1)])
        };
        placed(&*ledger, order).await;
    }
    let mut due = ledger.due_drops().await.unwrap();
    due.sort_unstable();
    assert_eq!(due, [(drop_id(), 8), (other, 3)]);
    for message in ledger.pending(Channel::Workers, 100).await.unwrap() {
        ledger.postponed(message.order).await.unwrap();
    }
    let redriven = ledger.redrive(4, Span::from_mins(10), Vec::new()).await.unwrap();
    assert_eq!(redriven, 4);
    let mut orders: Vec<u128> = ledger
        .pending(Channel::Workers, 100)
        .await
        .unwrap()
        .iter()
        .map(|message| message.order.0)
        .collect();
    orders.sort_unstable();
    assert_eq!(orders.len(), 4);
    assert_eq!(orders.iter().filter(|order| **order > 8).count(), 2, "{orders:?}");
    assert_eq!(
        ledger
            .redrive(100, Span::from_mins(10), Vec::new())
            .await
            .unwrap(),
        7,
        "and then the rest"
    );
}

pub(super) async fn expired_reservations_return_their_units_and_tell_the_house(house: House) {
    let (ledger, _clock) = opened(&house, 5).await;
    let id = placed(&*ledger, new_order(1, 1, vec![line("AUR-42", 2)])).await;
    assert_eq!(ledger.expire(10).await.unwrap(), []);
    house.clock.advance(Span::from_mins(5));
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

pub(super) async fn a_step_decided_on_an_old_version_is_not_stored(house: House) {
    let (ledger, clock) = opened(&house, 5).await;
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
