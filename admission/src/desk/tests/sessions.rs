//! Sessions that are ended, noted and not renewed; places that lapse; and what is counted.

use domain::{AfterOrder, Bound, Renewal};

use super::*;

#[tokio::test]
async fn a_revocation_reaches_the_door_and_may_be_repeated() {
    let house = House::new(rules(1, 600)).await;
    let (first, second) = (house.join().await, house.join().await);
    let grant = house.admit(&first).await;
    for _ in 0..2 {
        house.desk.revoke(&aurora(), grant.admission).await.unwrap();
        let shown = house.desk.verify(&aurora(), &grant.token, &first.0);
        assert_eq!(shown, Err(TokenError::Revoked));
    }
    assert!(
        house
            .desk
            .snapshot(&aurora())
            .unwrap()
            .revoked
            .contains(&grant.admission)
    );
    assert_eq!(house.claim(&first).await, Claimed::Finished);
    house.until(|snapshot| snapshot.frontier.0 > 2).await;
    house.admit(&second).await;
    let elsewhere = DropId::new("borealis").unwrap();
    assert_eq!(house.desk.revoke(&elsewhere, grant.admission).await, Ok(()));
    assert_eq!(house.desk.note_order(&elsewhere, grant.admission).await, Ok(()));
}

#[tokio::test]
async fn a_completed_order_ends_the_session_only_where_the_rules_say_so() {
    let keeps = DropRules {
        after_order: AfterOrder::KeepSession,
        ..rules(2, 600)
    };
    let house = House::new(keeps).await;
    let shopper = house.join().await;
    let grant = house.admit(&shopper).await;
    house.desk.complete(&aurora(), grant.admission).await.unwrap();
    assert!(house.desk.verify(&aurora(), &grant.token, &shopper.0).is_ok());
    house.desk.reconfigure(vec![rules(2, 600)]).await.unwrap();
    house.desk.complete(&aurora(), grant.admission).await.unwrap();
    let shown = house.desk.verify(&aurora(), &grant.token, &shopper.0);
    assert_eq!(shown, Err(TokenError::Revoked));
}

#[tokio::test]
async fn who_has_ordered_no_longer_keeps_a_unit_from_the_next() {
    let house = House::new(rules(10, 600)).await;
    let one_left = Some(StockLevel {
        available: 1,
        reserved: 0,
        sold: 9,
    });
    house.outside.0.lock().unwrap().stock = one_left;
    let (first, second) = (house.join().await, house.join().await);
    let grant = house.admit(&first).await;
    let held = house.until(|snapshot| snapshot.bound == Bound::Stock).await;
    assert_eq!((held.frontier.0, house.place(&second).position), (2, Some(1)));
    house.desk.note_order(&aurora(), grant.admission).await.unwrap();
    house.until(|snapshot| snapshot.frontier.0 > 2).await;
    let (third, grant) = (house.join().await, house.admit(&second).await);
    house
        .desk
        .note_turned_away(&aurora(), grant.admission)
        .await
        .unwrap();
    house.until(|snapshot| snapshot.frontier.0 > 3).await;
    house.admit(&third).await;
}

#[tokio::test]
async fn who_was_let_in_is_told_of_by_how_long_it_took() {
    let house = House::new(rules(1, 600)).await;
    assert_eq!(house.desk.waits(&aurora()), None, "nobody was let in");
    let nowhere = DropId::new("elsewhere").unwrap();
    assert_eq!(house.desk.waits(&nowhere), None);
    let shopper = house.join().await;
    house.admit(&shopper).await;
    let waits = house.desk.waits(&aurora()).unwrap();
    assert!(waits.p50 <= waits.p90 && waits.p90 <= waits.p99 && waits.p99 <= waits.max);
    assert!(waits.max < Span::from_mins(1), "{waits:?}");
}

#[tokio::test]
async fn a_fixed_session_ends_when_its_time_is_over() {
    let fixed = DropRules {
        renewal: Renewal::Fixed,
        ..rules(1, 600)
    };
    let house = House::new(fixed).await;
    let shopper = house.join().await;
    let grant = house.admit(&shopper).await;
    let admitted = house.desk.verify(&aurora(), &grant.token, &shopper.0).unwrap();
    house.clock.wait(599_000);
    assert!(!house.desk.wants_renewal(&admitted));
    assert_eq!(house.desk.renew(&admitted).await, Ok(None));
    house.clock.wait(1_000);
    let shown = house.desk.verify(&aurora(), &grant.token, &shopper.0);
    assert_eq!(shown, Err(TokenError::Expired));
    assert_eq!(house.claim(&shopper).await, Claimed::Finished);
}

#[tokio::test]
async fn a_session_that_stood_still_for_longer_than_its_token_lives_goes_on_afterwards() {
    let house = House::new(rules(10, 600)).await;
    let shopper = house.join().await;
    let grant = house.admit(&shopper).await;
    let mut lost = Span::ZERO;
    for _ in 0..2 {
        house.clock.wait(2 * 60_000);
        assert_eq!(house.place(&shopper).state, PlaceState::Admitted);
        house.desk.control(&aurora(), Command::QueueAll).await.unwrap();
        assert_eq!(house.place(&shopper).state, PlaceState::Paused);
        house.clock.wait(20 * 60_000);
        assert_eq!(house.place(&shopper).state, PlaceState::Paused);
        house.desk.control(&aurora(), Command::Resume).await.unwrap();
        lost = lost + Span::from_mins(20);
        assert_eq!(house.place(&shopper).state, PlaceState::Admitted);
        let shown = house.desk.verify(&aurora(), &grant.token, &shopper.0);
        assert_eq!(shown, Err(TokenError::Expired));
    }
    let again = house.admit(&shopper).await;
    assert_eq!((again.admission, again.repeated), (grant.admission, true));
    assert_eq!(again.expires_at, grant.expires_at + lost);
    house.clock.wait(6 * 60_000 - 1);
    assert_eq!(house.place(&shopper).state, PlaceState::Admitted);
    house.clock.wait(1);
    assert_eq!(house.place(&shopper).state, PlaceState::Left);
    assert_eq!(house.claim(&shopper).await, Claimed::Finished);
}

#[tokio::test]
async fn a_late_returner_is_let_in_within_the_grace_and_then_joins_at_the_end() {
    let house = House::new(rules(1, 600)).await;
    let (late, too_late) = (house.join().await, house.join().await);
    house.until(|snapshot| snapshot.frontier.0 > 1).await;
    house.clock.wait(11 * 60_000);
    let place = house.place(&late);
    assert_eq!(place.state, PlaceState::Called);
    assert_eq!(place.claim_within, Some(Span::from_mins(1)));
    let grant = house.admit(&late).await;
    house.desk.complete(&aurora(), grant.admission).await.unwrap();
    // No-shows are not waited for: the second was called long ago, and its time runs too.
    house.until(|snapshot| snapshot.frontier.0 > 2).await;
    house.clock.wait(12 * 60_000 + 1_000);
    house.until(|snapshot| snapshot.lapsed_below.0 > 2).await;
    assert_eq!(house.place(&too_late).state, PlaceState::Lapsed);
    assert_eq!(house.claim(&too_late).await, Claimed::Lapsed);
    let ticket = Some(too_late.1.ticket.as_str());
    let again = house.desk.join(&aurora(), &too_late.0, ticket).await.unwrap();
    assert_eq!((again.place.number, again.repeated), (Number(3), false));
    let figures = house.desk.figures(&aurora()).unwrap();
    assert_eq!((figures.no_shows, figures.admitted), (1, 1));
}

#[tokio::test]
async fn the_figures_count_everything_once() {
    let house = House::new(rules(1, 600)).await;
    let (first, second, third) = (house.join().await, house.join().await, house.join().await);
    house.clock.wait(4_000);
    house.admit(&first).await;
    house.admit(&first).await;
    let (drop, desk) = (aurora(), &house.desk);
    desk.leave(&drop, &third.1.ticket, &third.0).await.unwrap();
    desk.leave(&drop, &third.1.ticket, &third.0).await.unwrap();
    // Over-called once the first call is no longer expected, and turned away by the limit.
    desk.reconfigure(vec![rules(2, 600)]).await.unwrap();
    house.until(|snapshot| snapshot.frontier.0 > 2).await;
    desk.reconfigure(vec![rules(1, 600)]).await.unwrap();
    assert!(matches!(house.claim(&second).await, Claimed::RoomFull { .. }));
    assert_eq!(house.place(&second).state, PlaceState::Called, "the turn is kept");
    house.until(|snapshot| snapshot.waiting == 0).await;
    desk.control(&drop, Command::Pause).await.unwrap();
    let figures = desk.figures(&drop).unwrap();
    assert_eq!((figures.joined, figures.admitted, figures.left), (3, 1, 1));
    assert_eq!((figures.room_full, figures.active_users_max), (1, 1));
    assert_eq!((figures.wait_millis_sum, figures.wait_buckets[2]), (4_000, 1));
}
