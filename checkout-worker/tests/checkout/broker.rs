//! The broker port: one contract for every adapter, and what RabbitMQ does when it is hurt.

mod contract;
mod faults;
mod patience;
mod tls;
mod whole;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use checkout_worker::broker::rabbitmq::{RabbitMqBroker, RabbitMqConfig};
use checkout_worker::broker::{Broker, Delivery, PublishError, Published};
use domain::OrderId;
use sandbox::engine::rabbitmq::RabbitMq;
use tokio::task::JoinSet;

/// Longer than anything here takes on a machine that is busy with something else; no test waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(90);

/// Fails the test if `work` does not end.
async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(PATIENCE, work).await;
    ended.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// How a test's broker is set up: it gives up early, so that faults are seen soon.
fn config(rabbit: &RabbitMq, queue: &str) -> RabbitMqConfig {
    RabbitMqConfig {
        queue: queue.to_owned(),
        confirm_within: Duration::from_secs(2),
        connect_within: Duration::from_secs(5),
        ..RabbitMqConfig::new(rabbit.url())
    }
}

async fn connected(config: RabbitMqConfig) -> Arc<RabbitMqBroker> {
    let broker = RabbitMqBroker::open(config).unwrap();
    soon("connecting", broker.connected()).await;
    Arc::new(broker)
}

/// Publishes until it works.
async fn published(broker: &dyn Broker, order: OrderId) {
    let trying = async {
        while broker.publish(order).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon("publishing", trying).await;
}

async fn delivered(broker: &dyn Broker) -> Delivery {
    soon("a delivery", broker.consume())
        .await
        .expect("the broker is open")
}

/// Takes and acknowledges deliveries until all of `orders` were among them. Others may be: repetition is harmless.
async fn all_delivered(broker: &dyn Broker, orders: impl IntoIterator<Item = OrderId>) {
    let mut missing: BTreeSet<OrderId> = orders.into_iter().collect();
    while !missing.is_empty() {
        let delivery = delivered(broker).await;
        missing.remove(&delivery.order);
        delivery.ack.done();
    }
}

type Publishing = JoinSet<(OrderId, Result<Published, PublishError>)>;

/// Publishes many at once.
fn publishing(broker: &Arc<RabbitMqBroker>, orders: impl IntoIterator<Item = u128>) -> Publishing {
    let mut under_way = JoinSet::new();
    for order in orders.into_iter().map(OrderId) {
        let broker = Arc::clone(broker);
        under_way.spawn(async move { (order, broker.publish(order).await) });
    }
    under_way
}

/// Those that the broker confirmed.
async fn confirmed(under_way: Publishing) -> BTreeSet<OrderId> {
    let ended = soon("every publish ends", under_way.join_all()).await;
    let held = |(order, published): (OrderId, Result<Published, _>)| published.is_ok().then_some(order);
    ended.into_iter().filter_map(held).collect()
}
