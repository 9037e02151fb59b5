//! A gateway that starts while its engines are away.

use std::net::SocketAddr;
use std::time::Duration;

use sandbox::relay::Relay;

use crate::client::{Browser, DROP};
use crate::house::Terms;
use crate::shared::SharedHouse;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_comes_back_before_its_engines_waits_for_them() {
    let house = SharedHouse::open(1, Terms::default()).await;
    let (url, port) = (house.postgres.url(), house.postgres.port());
    // Like a balancer before it: takes the line, and hangs up when there is nobody behind.
    let balancer = Relay::start(vec![SocketAddr::from(([127, 0, 0, 1], port))])
        .await
        .expect("a port");
    let url = url.replacen(&port.to_string(), &balancer.address().port().to_string(), 1);
    house.postgres.kill();
    house.redis.kill();
    let back = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        house.postgres.restart().await.expect("Postgres");
        tokio::time::sleep(Duration::from_secs(1)).await;
        house.redis.restart().await.expect("Redis");
    };
    let (opened, ()) = tokio::join!(house.another(&url), back);
    let gateway = opened.expect("a gateway");
    Browser::new(gateway.address).get(DROP).await.expect(200);
    gateway.close().await;
    house.close().await;
}
