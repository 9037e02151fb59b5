//! Several cores before one upstream: each has connections of its own, and all of them together no more
//! than are allowed.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::support::client::Raw;
use crate::support::upstream::Upstream;
use crate::support::{Gateway, Setup, eventually};

const SHORT: Duration = Duration::from_millis(150);

#[tokio::test]
async fn what_lies_idle_with_one_core_makes_way_for_another() {
    let upstream = Upstream::echo().await;
    let mut setup = Setup::before(upstream.addr);
    setup.proxy.connections_max = 1;
    let cores: [Gateway; 2] = setup.start_cores();
    for core in [0, 1, 1, 0] {
        let answer = Raw::connect(cores[core].addr).await.get("/", "").await;
        assert_eq!(answer.status, 200);
        assert_eq!(cores[core].stack.upstream_connections(), 1);
    }
    let connections: Vec<_> = upstream.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(
        connections,
        [0, 1, 1, 2],
        "a core keeps its own until another is short"
    );
}

#[tokio::test]
async fn one_core_alone_has_all_connections() {
    let upstream = Upstream::unhurried(SHORT).await;
    let mut setup = Setup::before(upstream.addr);
    setup.proxy.connections_max = 4;
    let [busy, _quiet] = setup.start_cores();
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        let addr = busy.addr;
        clients.spawn(async move { Raw::connect(addr).await.get("/", "").await.status });
    }
    eventually("all are open", || busy.stack.upstream_connections() == 4).await;
    assert_eq!(clients.join_all().await, [200; 4]);
}

#[tokio::test]
async fn a_request_gets_its_turn_when_another_core_is_done() {
    let upstream = Upstream::unhurried(SHORT).await;
    let mut setup = Setup::before(upstream.addr);
    setup.proxy.connections_max = 1;
    let [one, other] = setup.start_cores();
    let mut first = Raw::connect(one.addr).await;
    let mut second = Raw::connect(other.addr).await;
    let (first, second) = tokio::join!(first.get("/", ""), second.get("/", ""));
    assert_eq!((first.status, second.status), (200, 200));
    let seen = upstream.seen();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert_eq!(one.stack.upstream_connections(), 1);
}

#[tokio::test]
async fn requests_of_all_cores_get_their_turn() {
    let upstream = Upstream::unhurried(Duration::from_millis(5)).await;
    let mut setup = Setup::before(upstream.addr);
    setup.proxy.connections_max = 2;
    let cores: [Gateway; 3] = setup.start_cores();
    let mut clients = JoinSet::new();
    for n in 0..60 {
        let addr = cores[n % 3].addr;
        clients.spawn(async move { Raw::connect(addr).await.get("/", "").await.status });
    }
    assert_eq!(clients.join_all().await, [200; 60]);
    assert!(cores[0].stack.upstream_connections() <= 2);
    assert_eq!(cores[0].counts.of("upstream answered"), 60);
}
