//! The `cfWaitingRoom` object over a drop's whole life, as clients written for it rely on it.

use serde_json::{Value, json};

use crate::client::{Browser, PAGE, until};
use crate::house::{House, Terms};

/// Looks as such a client does.
async fn object(browser: &Browser) -> Value {
    let json = [("accept", "application/json")];
    let answer = browser.ask("GET", PAGE, &json, None).await.expect(200).json();
    answer["cfWaitingRoom"].clone()
}

#[track_caller]
fn fields_are(object: &Value, expected: &Value) {
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&object[name], value, "{name} of {object}");
    }
}

/// Types that never change, whatever the state.
#[track_caller]
fn is_well_formed(object: &Value) {
    for name in [
        "waitTime",
        "waitTime25Percentile",
        "waitTime50Percentile",
        "waitTime75Percentile",
        "refreshIntervalSeconds",
        "timeUntilEventStart",
        "timeUntilEventEnd",
    ] {
        assert!(object[name].is_u64(), "{name}: {object}");
    }
    for name in [
        "waitTimeFormatted",
        "lastUpdated",
        "queueingMethod",
        "timeUntilEventStartFormatted",
        "timeUntilEventEndFormatted",
    ] {
        assert!(object[name].is_string(), "{name}: {object}");
    }
    let flags = [
        "isFIFOQueue",
        "isRandomQueue",
        "isPassthroughQueue",
        "isRejectQueue",
    ];
    let methods = flags.iter().filter(|flag| object[**flag] == true).count();
    assert_eq!(methods, 1, "one method at a time: {object}");
    let wait = |name: &str| object[name].as_u64().expect("minutes");
    assert!(wait("waitTime25Percentile") <= wait("waitTime50Percentile"));
    assert!(wait("waitTime50Percentile") <= wait("waitTime75Percentile"));
    assert!(
        wait("refreshIntervalSeconds") > 0,
        "a client would ask without end"
    );
}

#[tokio::test]
async fn before_the_start_the_countdown_is_told_in_minutes() {
    let house = House::open(Terms {
        starts_in_seconds: 1_800,
        prequeue: true,
        drop: "shuffle_at_event_start = true",
        ..Terms::default()
    })
    .await;
    let browser = house.browser();
    browser.join().await;
    let shown = object(&browser).await;
    is_well_formed(&shown);
    fields_are(
        &shown,
        &json!({"inWaitingRoom": true, "isEventPrequeueing": true, "isEventActive": false,
            "shuffleAtEventStart": true, "waitTimeKnown": false, "waitTimeFormatted": "unavailable",
            "timeUntilEventStart": 30, "timeUntilEventStartFormatted": "30 minutes",
            "timeUntilEventEnd": 0, "timeUntilEventEndFormatted": ""}),
    );
    house.close().await;
}

#[tokio::test]
async fn a_first_look_before_the_start_and_one_at_a_full_queue_are_told_as_such() {
    let house = House::open(Terms {
        starts_in_seconds: 1_800,
        prequeue: true,
        drop: "queue_capacity = 1",
        ..Terms::default()
    })
    .await;
    let (first, second) = (house.browser(), house.browser());
    let flags = |full: bool| json!({"isEventPrequeueing": true, "queueIsFull": full});
    fields_are(&object(&first).await, &flags(false));
    fields_are(&object(&first).await, &flags(false));
    fields_are(&object(&second).await, &flags(false));
    fields_are(&object(&second).await, &flags(true));
    house.close().await;
}

#[tokio::test]
async fn while_it_runs_the_method_and_the_operators_hold_are_told() {
    let house = House::open(Terms {
        total_active_users: 1,
        drop: "queueing_method = \"random\"",
        ..Terms::default()
    })
    .await;
    let (inside, waiting) = (house.browser(), house.browser());
    inside.enter().await;
    waiting.join().await;
    let shown = object(&waiting).await;
    is_well_formed(&shown);
    fields_are(
        &shown,
        &json!({"inWaitingRoom": true, "isEventActive": true, "isEventPrequeueing": false,
            "queueingMethod": "random", "isRandomQueue": true, "isFIFOQueue": false,
            "queueAll": false, "queueIsFull": false, "timeUntilEventStart": 0}),
    );
    house.command("queue-all").await.expect(200);
    until("the hold is told", async || {
        (object(&waiting).await["queueAll"] == true).then_some(())
    })
    .await;
    fields_are(
        &object(&waiting).await,
        &json!({"waitTimeKnown": false, "waitTimeFormatted": "unavailable", "waitTime": 0}),
    );
    house.close().await;
}

#[tokio::test]
async fn a_closed_drop_is_a_full_queue_and_an_ended_one_is_not_active() {
    let house = House::open(Terms {
        drop: "queueing_method = \"reject\"",
        ..Terms::default()
    })
    .await;
    let shown = object(&house.browser()).await;
    is_well_formed(&shown);
    fields_are(
        &shown,
        &json!({"queueIsFull": true, "isRejectQueue": true, "inWaitingRoom": true}),
    );
    house.close().await;
    let house = House::usual().await;
    house.command("end").await.expect(200);
    let browser = house.browser();
    until("it is over", async || {
        (object(&browser).await["isEventActive"] == false).then_some(())
    })
    .await;
    is_well_formed(&object(&browser).await);
    house.close().await;
}
