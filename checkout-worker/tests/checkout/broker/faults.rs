//! RabbitMQ blocks, freezes, dies, and forgets everything: what it confirmed and still has is delivered, what it did
//! not confirm is an error, and it is used again as soon as it can be.

use super::*;

// One server for all of these: it takes ten seconds to start.
#[tokio::test]
async fn rabbitmq_that_is_hurt_never_loses_what_it_confirmed_and_is_used_again() {
    let rabbit = RabbitMq::start().await.unwrap();
    let broker = connected(config(&rabbit, "hurt")).await;
    assert!(broker.standing().emptied.is_some(), "a new server holds nothing");
    a_memory_alarm_is_a_timeout_and_passes(&rabbit, &broker).await;
    a_frozen_server_is_a_timeout_and_thaws(&rabbit, &broker).await;
    a_restart_keeps_what_was_confirmed(&rabbit, &broker).await;
    a_wiped_server_is_found_empty_and_set_up_again(&rabbit, &broker).await;
}

async fn a_memory_alarm_is_a_timeout_and_passes(rabbit: &RabbitMq, broker: &Arc<RabbitMqBroker>) {
    published(&**broker, OrderId(1)).await;
    let in_hand = delivered(&**broker).await;
    rabbit.raise_memory_alarm().await.unwrap();
    let refused = soon("an answer", broker.publish(OrderId(2))).await.unwrap_err();
    assert!(refused.why.contains("time"), "{refused}");
    let blocked = async {
        while broker.standing().takes_messages {
            let _ = broker.publish(OrderId(2)).await;
        }
    };
    soon("being told that it blocks", blocked).await;
    // Acknowledgements do not wait behind the alarm: only their own connection could block them.
    in_hand.ack.done();
    assert!(broker.links().borrow().consuming);
    rabbit.clear_memory_alarm().await.unwrap();
    published(&**broker, OrderId(3)).await;
    all_delivered(&**broker, [OrderId(3)]).await;
}

async fn a_frozen_server_is_a_timeout_and_thaws(rabbit: &RabbitMq, broker: &Arc<RabbitMqBroker>) {
    rabbit.freeze();
    let held = confirmed(publishing(broker, 10..30)).await;
    assert!(held.is_empty(), "a frozen server confirmed {held:?}");
    let given_up = async {
        while broker.standing().takes_messages {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("giving it up", given_up).await;
    rabbit.thaw();
    soon("connecting", broker.connected()).await;
    published(&**broker, OrderId(30)).await;
    all_delivered(&**broker, [OrderId(30)]).await;
}

async fn a_restart_keeps_what_was_confirmed(rabbit: &RabbitMq, broker: &Arc<RabbitMqBroker>) {
    let waiting = confirmed(publishing(broker, 100..150)).await;
    assert_eq!(waiting.len(), 50, "a healthy server takes everything");
    // Killed while messages are between publish and confirmation.
    let under_way = publishing(broker, 200..1_200);
    let first = tokio::task::yield_now();
    first.await;
    rabbit.kill();
    let more = confirmed(under_way).await;
    assert!(!broker.standing().takes_messages);
    assert!(broker.publish(OrderId(1_300)).await.is_err(), "nobody is there");
    rabbit.restart().await.unwrap();
    soon("connecting", broker.connected()).await;
    all_delivered(&**broker, waiting.into_iter().chain(more)).await;
}

async fn a_wiped_server_is_found_empty_and_set_up_again(rabbit: &RabbitMq, broker: &Arc<RabbitMqBroker>) {
    let held = confirmed(publishing(broker, 2_000..2_010)).await;
    assert_eq!(held.len(), 10, "a healthy server takes everything");
    let before = broker.standing().emptied.unwrap();
    rabbit.wipe().await.unwrap();
    let noticed = async {
        while broker.standing().emptied.unwrap() >= before {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("finding it empty", noticed).await;
    published(&**broker, OrderId(3_000)).await;
    all_delivered(&**broker, [OrderId(3_000)]).await;
}
