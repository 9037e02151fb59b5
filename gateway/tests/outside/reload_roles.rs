//! A new configuration reaches a gateway and a worker that share their engines.

use std::fs;

use gateway::assembly::{Doorline, Following, Source, Worker};
use gateway::config::LogFormat;
use gateway::telemetry::start_logging;
use tokio::signal::unix::{SignalKind, signal};

use crate::changes::Engines;
use crate::client::{Browser, DROP, until};
use crate::house::ADMIN_TOKEN;

/// Follows the file at `path`, as `serve` does.
fn following(engines: &Engines, path: &std::path::Path) -> Following {
    let source = Source {
        file: Some(path.to_owned()),
        overrides: Vec::new(),
        environment: engines.ground().environment,
    };
    let loaded = gateway::config::load(Some(path), &[], &source.environment);
    let loaded = loaded.unwrap_or_else(|error| panic!("{error}"));
    let hangups = signal(SignalKind::hangup()).expect("signals");
    Following::new(source, &loaded, start_logging("error", LogFormat::Text), hangups)
}

async fn drain(checkout: &checkout_worker::Checkout) -> u32 {
    checkout.figures().await.expect("figures").drain[0].1
}

async fn takes_no_orders(gateway: &Doorline) -> bool {
    let operator =
        Browser::new(gateway.admin_address).always("authorization", &format!("Bearer {ADMIN_TOKEN}"));
    let drop = operator.get("/admin/v1/drops/aurora").await.expect(200).json();
    drop["checkout"] == "paused"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_and_a_worker_take_over_the_same_file() {
    let mut engines = Engines::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.toml");
    engines.text = engines
        .text
        .replace("[drop.checkout]", "[drop.checkout]\ndrain_per_second = 20");
    fs::write(&path, &engines.text).expect("a writable folder");
    let gateway = engines.gateway().await;
    let ground = engines.ground();
    let loaded = gateway::config::load(Some(&path), &[], &ground.environment);
    let config = loaded.unwrap_or_else(|error| panic!("{error}")).config;
    let worker = Worker::open(&config, &ground).await.expect("a worker");
    gateway.follow(following(&engines, &path));
    worker.follow(following(&engines, &path));
    let other = engines
        .text
        .replace("drain_per_second = 20", "drain_per_second = 7\npaused = true")
        .replace("Aurora, first edition", "Aurora, second edition");
    fs::write(&path, other).expect("a writable folder");
    for checkout in [&gateway.checkout, &worker.checkout] {
        until("orders are drained at the new rate", async || {
            (drain(checkout).await == 7).then_some(())
        })
        .await;
    }
    until("nobody may order at the gateway", async || {
        takes_no_orders(&gateway).await.then_some(())
    })
    .await;
    let shown = Browser::new(gateway.address).get(DROP).await.expect(200).json();
    assert_eq!(shown["title"], "Aurora, second edition");
    gateway.close().await;
    worker.close().await;
}
