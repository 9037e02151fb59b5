//! Endings whose answer was lost: carried out on the keys, and whoever was to write them down has not. What ended stays
//! so over a loss, or two would have the same slot.

use domain::queue::TOKEN_LEEWAY;

use super::super::shopper::leave_words;
use super::losses::lose;
use super::*;

/// A gateway that carries things out and is gone before it hears so; and one that lives.
async fn pair(redis: &Redis, rules: &DropRules) -> (Arc<RedisStore>, Subject) {
    let marks: Arc<dyn Marks> = Arc::new(MemoryMarks::default());
    let dies = store_on(vec![redis.url()], false, marks.clone()).await;
    drop(Subject::open(dies.clone(), rules).await);
    (dies, gateways(redis, &marks, 1, rules).await.remove(0))
}

fn id(name: u64) -> AdmissionId {
    contract::claimant(name, Number(name)).admission
}

/// Ends a session, and says nothing of it to anybody.
async fn end_unheard(store: &RedisStore, subject: &Subject, name: u64) {
    let shelf = store.shelf(&subject.drop).unwrap();
    let words = |_: &Known| {
        let words = Words::default().bytes(&id(name).0).text("end");
        words.number(TOKEN_LEEWAY.as_millis())
    };
    let script = &store.scripts.end_session;
    let mut done = store.run(&shelf, script, subject.at(), words).await.unwrap();
    assert_eq!(done.reply.text().unwrap(), "over");
}

/// Gives a place up, and says nothing of it to anybody.
async fn leave_unheard(store: &RedisStore, subject: &Subject, name: u64) {
    let shelf = store.shelf(&subject.drop).unwrap();
    let leaver = contract::claimant(name, Number(name));
    let words = |known: &Known| leave_words(known, &leaver);
    let script = &store.scripts.leave;
    let mut done = store.run(&shelf, script, subject.at(), words).await.unwrap();
    assert_eq!(done.reply.text().unwrap(), "left");
}

#[tokio::test]
async fn what_one_gateway_ended_unheard_another_writes_down() {
    let redis = Redis::start().await.unwrap();
    let (dies, subject) = pair(&redis, &contract::rules(2, 100)).await;
    subject.join(&[1, 2, 3, 4]).await;
    subject.call(4).await.unwrap();
    for name in 1..=2 {
        assert!(admission(&subject.claim(name, name).await).is_some());
    }
    end_unheard(&dies, &subject, 1).await;
    leave_unheard(&dies, &subject, 2).await;
    drop(dies);
    for name in 3..=4 {
        assert!(
            admission(&subject.claim(name, name).await).is_some(),
            "it is free"
        );
    }
    subject.store.flush(subject.at().now).await.unwrap();
    let after = lose(&redis, &subject).await;
    assert_eq!(after.room.active, 2, "who has left holds a slot again");
    assert_eq!(after.revoked.len(), 2, "their tokens are refused as before");
    for name in 1..=2 {
        assert_eq!(subject.claim(name, name).await, Claim::Finished);
    }
}

#[tokio::test]
async fn an_ending_that_is_asked_for_again_is_written_down_before_it_is_answered() {
    let redis = Redis::start().await.unwrap();
    let (dies, subject) = pair(&redis, &contract::rules(10, 100)).await;
    subject.join(&[1, 2, 3]).await;
    subject.call(3).await.unwrap();
    for name in 1..=2 {
        assert!(admission(&subject.claim(name, name).await).is_some());
    }
    subject.store.flush(subject.at().now).await.unwrap();
    end_unheard(&dies, &subject, 1).await;
    leave_unheard(&dies, &subject, 2).await;
    leave_unheard(&dies, &subject, 3).await;
    drop(dies);
    let (store, drop, at) = (&subject.store, &subject.drop, subject.at());
    store
        .end_session(drop, id(1), EndReason::Revoked, at.now)
        .await
        .unwrap();
    for name in 2..=3 {
        let leaver = contract::claimant(name, Number(name));
        store.leave(drop, leaver, at).await.unwrap();
    }
    let after = lose(&redis, &subject).await;
    assert_eq!((after.room.active, after.revoked.len()), (0, 2));
    assert_eq!(subject.claim(1, 1).await, Claim::Finished);
    assert_eq!(subject.claim(2, 2).await, Claim::Left);
    assert_eq!(subject.claim(3, 3).await, Claim::Left);
}

#[tokio::test]
async fn what_ended_by_time_on_lost_keys_goes_on_where_the_time_was_given_back() {
    let redis = Redis::start().await.unwrap();
    let marks: Arc<dyn Marks> = Arc::new(MemoryMarks::default());
    let mut pair = gateways(&redis, &marks, 2, &contract::rules(1, 100)).await;
    pair[0].join(&[1]).await;
    pair[0].call(1).await.unwrap();
    assert!(admission(&pair[0].claim(1, 1).await).is_some());
    pair[0].store.flush(pair[0].at().now).await.unwrap();
    for gateway in &mut pair {
        gateway.now += 3_600_000;
    }
    assert_eq!(pair[0].view().await.room.active, 0, "its time is over");
    // The record has not heard of anybody for an hour, so to the next keys that hour does not count.
    assert_eq!(lose(&redis, &pair[1]).await.room.active, 1);
    until_back(&pair[0]).await;
    pair[0].store.flush(pair[0].at().now).await.unwrap();
    assert_eq!(
        lose(&redis, &pair[1]).await.room.active,
        1,
        "it was ended by what happened to keys that are gone"
    );
}

#[tokio::test]
async fn time_is_written_down_before_it_is_given_back() {
    const INSIDE: u64 = 600;
    let redis = Redis::start().await.unwrap();
    let (dies, mut subject) = pair(&redis, &contract::rules(1_000, 100_000)).await;
    subject.join(&(1..=INSIDE).collect::<Vec<_>>()).await;
    subject.call(INSIDE).await.unwrap();
    for name in 1..=INSIDE {
        assert!(admission(&subject.claim(name, name).await).is_some());
    }
    let (store, drop_id) = (subject.store.clone(), subject.drop.clone());
    store
        .control(&drop_id, Command::QueueAll, subject.at())
        .await
        .unwrap();
    subject.now += 3_600_000;
    // Carried out, and not heard of.
    let shelf = dies.shelf(&subject.drop).unwrap();
    dies.write_ahead(&shelf, subject.at()).await.unwrap();
    let words = |_: &Known| Words::default().text("resume");
    let script = &dies.scripts.control;
    drop(dies.run(&shelf, script, subject.at(), words).await.unwrap());
    drop((shelf, dies));
    let control = store
        .control(&drop_id, Command::Resume, subject.at())
        .await
        .unwrap();
    assert_eq!(
        control,
        Control::default(),
        "asked for again it gives nothing back"
    );
    store.flush(subject.at().now).await.unwrap();
    let after = lose(&redis, &subject).await;
    assert_eq!(after.room.active, INSIDE);
    subject.now += 500_000;
    assert_eq!(subject.view().await.room.active, INSIDE);
    subject.now += 101_000;
    assert_eq!(subject.view().await.room.active, 0, "the hour is given back once");
}
