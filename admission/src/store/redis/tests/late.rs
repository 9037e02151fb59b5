//! Answers that leave late: the rolling minute is about when somebody is told to be in.

use std::time::Duration;

use super::faulty::Faulty;
use super::*;

/// A record that is slow or mute while the test says so.
async fn house(rules: &DropRules) -> (Redis, Arc<Faulty>, Subject) {
    let redis = Redis::start().await.unwrap();
    let marks = Arc::new(Faulty::over(Arc::new(MemoryMarks::default())));
    let shared: Arc<dyn Marks> = marks.clone();
    let subject = gateways(&redis, &shared, 1, rules).await.remove(0);
    (redis, marks, subject)
}

const SECOND: u64 = 1_000;

/// One place a minute, two who are called, and a first claim that was granted but never answered.
async fn house_with_a_lost_answer() -> (Redis, Subject) {
    let (redis, marks, subject) = house(&contract::rules(10, 1)).await;
    subject.join(&[1, 2]).await;
    subject.call(2).await.unwrap();
    marks.set_mute(true);
    assert!(try_claim(&subject, 1).await.is_err());
    marks.set_mute(false);
    (redis, subject)
}

#[tokio::test]
async fn what_is_answered_late_counts_from_then() {
    let (redis, marks, mut subject) = house(&contract::rules(10, 2)).await;
    subject.join(&[1, 2, 3]).await;
    subject.call(3).await.unwrap();
    marks.set_slow(Duration::from_millis(900));
    let (one, two) = tokio::join!(subject.claim(1, 1), subject.claim(2, 2));
    assert!(admission(&one).is_some() && admission(&two).is_some());
    marks.set_slow(Duration::ZERO);
    // A minute after they were asked for, and not yet after they were answered.
    subject.now += 60_500;
    assert!(matches!(subject.claim(3, 3).await, Claim::RoomFull { .. }));
    // The record knows it as well.
    subject.store.flush(subject.at().now).await.unwrap();
    assert!(redis.flush().await);
    assert!(try_claim(&subject, 3).await.is_err());
    until_back(&subject).await;
    assert!(matches!(subject.claim(3, 3).await, Claim::RoomFull { .. }));
    assert!(
        admission(&subject.claim(1, 1).await).is_some(),
        "who is in stays in"
    );
    subject.now += 10 * SECOND;
    assert!(admission(&subject.claim(3, 3).await).is_some());
}

#[tokio::test]
async fn what_is_answered_at_once_counts_from_when_it_was_asked_for() {
    let (_redis, _marks, mut subject) = house(&contract::rules(10, 1)).await;
    subject.join(&[1, 2]).await;
    subject.call(2).await.unwrap();
    assert!(admission(&subject.claim(1, 1).await).is_some());
    subject.now += 30 * SECOND;
    assert!(
        admission(&subject.claim(1, 1).await).is_some(),
        "it was answered before"
    );
    subject.now += 30_250;
    assert!(admission(&subject.claim(2, 2).await).is_some());
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_counts_from_the_repeated_one() {
    let (_redis, mut subject) = house_with_a_lost_answer().await;
    subject.now += 30 * SECOND;
    let again = subject.claim(1, 1).await;
    assert!(
        matches!(again, Claim::Admitted { repeated: true, .. }),
        "{again:?}"
    );
    subject.now += 31 * SECOND;
    assert!(matches!(subject.claim(2, 2).await, Claim::RoomFull { .. }));
    subject.now += 30 * SECOND;
    assert!(admission(&subject.claim(2, 2).await).is_some());
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_for_longer_than_a_minute_needs_room_again() {
    let (_redis, mut subject) = house_with_a_lost_answer().await;
    subject.now += 61 * SECOND;
    assert!(admission(&subject.claim(2, 2).await).is_some());
    assert!(matches!(subject.claim(1, 1).await, Claim::RoomFull { .. }));
    subject.now += 61 * SECOND;
    assert!(admission(&subject.claim(1, 1).await).is_some());
}

#[tokio::test]
async fn a_claim_that_cannot_be_written_down_counts_once_however_often_it_is_asked_for() {
    let (_redis, marks, mut subject) = house(&contract::rules(10, 2)).await;
    subject.join(&[1, 2, 3]).await;
    subject.call(3).await.unwrap();
    marks.set_away(true);
    for _ in 0..5 {
        assert!(try_claim(&subject, 1).await.is_err());
        subject.now += SECOND;
    }
    marks.set_away(false);
    assert!(
        admission(&subject.claim(1, 1).await).is_some(),
        "its own place in the minute is its own"
    );
    assert!(admission(&subject.claim(2, 2).await).is_some());
    assert!(matches!(subject.claim(3, 3).await, Claim::RoomFull { .. }));
    // A minute after it was first asked for, and not yet after it was answered.
    subject.now += 56 * SECOND;
    assert!(matches!(subject.claim(3, 3).await, Claim::RoomFull { .. }));
}

#[tokio::test]
async fn the_only_claim_of_a_minute_is_let_in_when_the_record_is_back() {
    let (_redis, marks, subject) = house(&contract::rules(10, 1)).await;
    subject.join(&[1]).await;
    subject.call(1).await.unwrap();
    marks.set_away(true);
    assert!(try_claim(&subject, 1).await.is_err());
    marks.set_away(false);
    assert!(admission(&subject.claim(1, 1).await).is_some());
}

#[tokio::test]
async fn who_was_granted_and_finds_the_minute_full_goes_before_later_ones() {
    let (_redis, marks, mut subject) = house(&contract::rules(10, 1)).await;
    subject.join(&[1, 2, 3]).await;
    subject.call(3).await.unwrap();
    marks.set_mute(true);
    assert!(try_claim(&subject, 1).await.is_err());
    marks.set_mute(false);
    subject.now += 61 * SECOND;
    assert!(admission(&subject.claim(2, 2).await).is_some());
    subject.now += 59 * SECOND;
    assert!(matches!(subject.claim(1, 1).await, Claim::RoomFull { .. }));
    // There is one place again, and somebody is expected back for it.
    subject.now += 2 * SECOND;
    assert!(matches!(subject.claim(3, 3).await, Claim::RoomFull { .. }));
    assert!(admission(&subject.claim(1, 1).await).is_some());
    subject.now += 61 * SECOND;
    assert!(
        admission(&subject.claim(3, 3).await).is_some(),
        "nobody is expected any more"
    );
}

#[tokio::test]
async fn a_late_answer_that_was_not_written_down_yet_counts_on_in_keys_that_another_gateway_wrote() {
    let redis = Redis::start().await.unwrap();
    let marks = Arc::new(Faulty::over(Arc::new(MemoryMarks::default())));
    let shared: Arc<dyn Marks> = marks.clone();
    let mut pair = gateways(&redis, &shared, 2, &contract::rules(10, 1)).await;
    pair[0].join(&[1, 2]).await;
    pair[0].call(2).await.unwrap();
    marks.set_slow(Duration::from_millis(900));
    assert!(admission(&pair[0].claim(1, 1).await).is_some());
    marks.set_slow(Duration::ZERO);
    assert!(redis.flush().await);
    // The other one writes the keys, with what it can know: when it was asked for. Then the first is back.
    for gateway in pair.iter().rev() {
        assert!(try_claim(gateway, 2).await.is_err());
        until_back(gateway).await;
    }
    for gateway in &mut pair {
        gateway.now += 60_500;
        assert!(matches!(gateway.claim(2, 2).await, Claim::RoomFull { .. }));
    }
    pair[1].now += 10 * SECOND;
    assert!(admission(&pair[1].claim(2, 2).await).is_some());
}

#[tokio::test]
async fn another_gateway_counts_it_from_then_too_but_turns_nobody_away_who_is_long_in() {
    let redis = Redis::start().await.unwrap();
    let marks: Arc<dyn Marks> = Arc::new(MemoryMarks::default());
    let mut pair = gateways(&redis, &marks, 2, &contract::rules(10, 1)).await;
    pair[0].join(&[1, 2]).await;
    pair[0].call(2).await.unwrap();
    assert!(admission(&pair[0].claim(1, 1).await).is_some());
    // Nobody tells this gateway whether the answer of the other one arrived.
    pair[1].now += 30 * SECOND;
    assert!(admission(&pair[1].claim(1, 1).await).is_some());
    pair[1].now += 31 * SECOND;
    assert!(matches!(pair[1].claim(2, 2).await, Claim::RoomFull { .. }));
    pair[1].now += 30 * SECOND;
    assert!(admission(&pair[1].claim(2, 2).await).is_some());
    pair[0].now = pair[1].now;
    let fresh = gateways(&redis, &marks, 1, &contract::rules(10, 1))
        .await
        .remove(0);
    let long_in = Subject {
        now: pair[1].now,
        ..fresh
    };
    let again = long_in.claim(1, 1).await;
    assert!(
        admission(&again).is_some(),
        "the minute is full and not about it: {again:?}"
    );
}
