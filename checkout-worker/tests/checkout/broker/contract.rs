//! What every broker must do, run over each of them; and what a durable one must do besides.

use std::sync::atomic::{AtomicU32, Ordering};

use checkout_worker::broker::embedded::EmbeddedBroker;
use checkout_worker::observe::Observer;
use lapin::options::{BasicGetOptions, BasicPublishOptions, QueueDeleteOptions};
use lapin::{BasicProperties, Connection, ConnectionProperties};

use super::*;

/// The contract. Every broker under it is new, and its consumer is this one.
async fn keeps_the_contract(broker: Arc<dyn Broker>) {
    assert!(broker.standing().takes_messages);
    what_is_published_is_delivered(&broker).await;
    what_is_not_acknowledged_is_not_lost(&broker).await;
    waiting_for_a_message_can_be_given_up(&broker).await;
    many_at_once_all_arrive(&broker).await;
}

async fn what_is_published_is_delivered(broker: &Arc<dyn Broker>) {
    let order = OrderId(1);
    let (published, ()) = tokio::join!(broker.publish(order), async {
        let delivery = delivered(&**broker).await;
        assert_eq!(delivery.order, order);
        delivery.ack.done();
    });
    published.unwrap();
}

/// Either the publisher learns of it and keeps its row, or the broker offers it again.
async fn what_is_not_acknowledged_is_not_lost(broker: &Arc<dyn Broker>) {
    let order = OrderId(2);
    let (published, ()) = tokio::join!(broker.publish(order), async {
        drop(delivered(&**broker).await);
    });
    if published.is_ok() {
        all_delivered(&**broker, [order]).await;
    }
}

async fn waiting_for_a_message_can_be_given_up(broker: &Arc<dyn Broker>) {
    for order in (3..20).map(OrderId) {
        let (published, ()) = tokio::join!(broker.publish(order), async {
            let mut waits = 0;
            let delivery = loop {
                tokio::select! {
                    biased;
                    delivery = broker.consume() => break delivery.unwrap(),
                    () = tokio::task::yield_now() => waits += 1,
                }
            };
            assert_eq!(delivery.order, order, "after {waits} waits given up");
            delivery.ack.done();
        });
        published.unwrap();
    }
}

async fn many_at_once_all_arrive(broker: &Arc<dyn Broker>) {
    let mut under_way = JoinSet::new();
    let orders: Vec<OrderId> = (100..400).map(OrderId).collect();
    for order in orders.clone() {
        let broker = Arc::clone(broker);
        under_way.spawn(async move { broker.publish(order).await.unwrap() });
    }
    all_delivered(&**broker, orders).await;
    soon("every publish ends", under_way.join_all()).await;
}

#[tokio::test]
async fn the_embedded_broker_keeps_the_contract() {
    keeps_the_contract(Arc::new(EmbeddedBroker::new(16))).await;
}

/// Counts messages that were put aside as unreadable.
#[derive(Default)]
struct Refusals(AtomicU32);

impl Observer for Refusals {
    fn message_refused(&self, why: &'static str) {
        assert_eq!(why, "unreadable");
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

// One server for all of these: it takes ten seconds to start.
#[tokio::test]
async fn rabbitmq_keeps_the_contract_and_that_of_a_durable_broker() {
    let rabbit = RabbitMq::start().await.unwrap();
    keeps_the_contract(connected(config(&rabbit, "contract")).await).await;
    what_a_dead_consumer_had_in_hand_goes_to_the_next(&rabbit).await;
    a_full_queue_refuses_and_keeps_what_it_confirmed(&rabbit).await;
    what_cannot_be_worked_on_is_put_aside(&rabbit).await;
    a_returned_message_is_an_error_and_the_queue_is_declared_anew(&rabbit).await;
    tls::amqps_is_encrypted_and_trusts_only_whom_it_is_told_to(&rabbit).await;
}

async fn what_a_dead_consumer_had_in_hand_goes_to_the_next(rabbit: &RabbitMq) {
    let first = connected(config(rabbit, "crash")).await;
    published(&*first, OrderId(1)).await;
    let in_hand = delivered(&*first).await;
    drop(first);
    let second = connected(config(rabbit, "crash")).await;
    let again = delivered(&*second).await;
    assert_eq!(again.order, in_hand.order);
    again.ack.done();
}

async fn a_full_queue_refuses_and_keeps_what_it_confirmed(rabbit: &RabbitMq) {
    let small = RabbitMqConfig {
        length_max: 3,
        prefetch: 1,
        ..config(rabbit, "small")
    };
    let broker = connected(small).await;
    let mut kept = Vec::new();
    // The limit is soft by a few messages that are under way; it is not soft by fifty.
    let refused = loop {
        let order = OrderId(u128::try_from(kept.len()).unwrap());
        match broker.publish(order).await {
            Ok(held) => assert_eq!(held, Published::Held),
            Err(refused) => break refused,
        }
        kept.push(order);
        assert!(kept.len() < 50, "a queue for three took fifty");
    };
    assert!(refused.why.contains("full"), "{refused}");
    all_delivered(&*broker, kept).await;
    published(&*broker, OrderId(99)).await;
    all_delivered(&*broker, [OrderId(99)]).await;
}

async fn raw(rabbit: &RabbitMq) -> Connection {
    Connection::connect(&rabbit.url(), ConnectionProperties::default())
        .await
        .unwrap()
}

async fn what_cannot_be_worked_on_is_put_aside(rabbit: &RabbitMq) {
    let refusals = Arc::new(Refusals::default());
    let listened = RabbitMqConfig {
        observer: refusals.clone(),
        ..config(rabbit, "odd")
    };
    let broker = connected(listened).await;
    let connection = raw(rabbit).await;
    let channel = connection.create_channel().await.unwrap();
    let options = BasicPublishOptions::default();
    let properties = BasicProperties::default();
    let sent = channel.basic_publish("".into(), "odd".into(), options, b"pay me", properties);
    sent.await.unwrap().await.unwrap();
    published(&*broker, OrderId(1)).await;
    let delivery = delivered(&*broker).await;
    assert_eq!(delivery.order, OrderId(1), "the other one never reaches a worker");
    delivery.ack.refuse();
    let mut aside = BTreeSet::new();
    let looking = async {
        while aside.len() < 2 {
            let options = BasicGetOptions { no_ack: true };
            match channel.basic_get("odd.dead".into(), options).await.unwrap() {
                Some(message) => _ = aside.insert(message.delivery.data),
                None => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    soon("both are put aside", looking).await;
    assert!(aside.contains(&b"pay me"[..]));
    assert_eq!(refusals.0.load(Ordering::SeqCst), 1);
}

async fn a_returned_message_is_an_error_and_the_queue_is_declared_anew(rabbit: &RabbitMq) {
    let broker = connected(config(rabbit, "gone")).await;
    let connection = raw(rabbit).await;
    let returned = async {
        // The supervisors declare the queue anew within moments: now and then they are faster than the message.
        loop {
            let channel = connection.create_channel().await.unwrap();
            let delete = QueueDeleteOptions::default();
            let _ = channel.queue_delete("gone".into(), delete).await;
            match broker.publish(OrderId(1)).await {
                Err(refused) if refused.why.contains("returned") => return,
                Err(_) | Ok(_) => soon("connecting", broker.connected()).await,
            }
        }
    };
    soon("a message is returned", returned).await;
    published(&*broker, OrderId(2)).await;
    all_delivered(&*broker, [OrderId(2)]).await;
    assert!(
        broker.standing().emptied.is_some(),
        "it is known to have lost what it held"
    );
}
