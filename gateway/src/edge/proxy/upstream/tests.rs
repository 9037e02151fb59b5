//! Who is given a connection, and that nobody is forgotten.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::super::turn::Turn;
use super::*;

const WAIT: Duration = Duration::from_secs(2);

fn config(target: &str, connections_max: usize) -> ProxyConfig {
    ProxyConfig {
        connections_max,
        wait: WAIT,
        ..ProxyConfig::new(target.parse().unwrap())
    }
}

/// An upstream that two runtimes share, and nobody connects to.
fn shared(connections_max: usize) -> (Arc<Upstream>, [Arc<Pool>; 2]) {
    let upstream = Upstream::new(config("http://127.0.0.1:9", connections_max));
    let pools = std::array::from_fn(|_| Pool::new(Arc::clone(&upstream)));
    (upstream, pools)
}

fn slot(upstream: &Arc<Upstream>, number: usize) -> Slot {
    match upstream.ask(number).unwrap() {
        Asked::Slot(slot) => slot,
        Asked::Wait(_) => panic!("no slot is free"),
    }
}

fn wait(upstream: &Arc<Upstream>, number: usize) -> Wait {
    match upstream.ask(number).unwrap() {
        Asked::Slot(_) => panic!("a slot is free"),
        Asked::Wait(wait) => wait,
    }
}

#[tokio::test(start_paused = true)]
async fn a_slot_goes_to_whoever_has_waited_longest() {
    let (upstream, _pools) = shared(1);
    let held = slot(&upstream, 0);
    let mut first = wait(&upstream, 1);
    tokio::time::advance(Duration::from_millis(1)).await;
    let mut second = wait(&upstream, 0);
    drop(held);
    let granted = first.grant.try_recv();
    assert!(matches!(granted, Ok(Grant::Slot(_))));
    assert!(second.grant.try_recv().is_err(), "there is but one");
    drop(granted);
    assert!(second.grant.try_recv().is_ok());
    assert_eq!(upstream.open(), 0, "the second one's is gone as well");
}

#[tokio::test(start_paused = true)]
async fn a_connection_stays_with_its_runtime_unless_another_waits_for_much_longer() {
    for (apart, stays) in [(WAIT / 10, true), (WAIT / 5, false)] {
        let (upstream, _pools) = shared(1);
        let _held = slot(&upstream, 0);
        let _other = wait(&upstream, 1);
        assert!(
            matches!(upstream.taker(0), Taker::Other),
            "it has none of its own"
        );
        tokio::time::advance(apart).await;
        let _own = wait(&upstream, 0);
        assert_eq!(matches!(upstream.taker(0), Taker::Own(_)), stays, "{apart:?}");
    }
}

#[tokio::test]
async fn who_has_stopped_waiting_is_nobody() {
    let (upstream, _pools) = shared(1);
    let held = slot(&upstream, 0);
    for number in [0, 1, 1] {
        drop(wait(&upstream, number));
    }
    assert!(upstream.is_wanted(), "nobody has looked yet");
    assert!(matches!(upstream.taker(0), Taker::Nobody));
    assert!(!upstream.is_wanted());
    drop((wait(&upstream, 1), held));
    assert_eq!(upstream.open(), 0);
}

#[tokio::test]
async fn the_line_of_each_runtime_has_its_length() {
    let mut config = config("http://127.0.0.1:9", 1);
    config.waiting_max = 1;
    let upstream = Upstream::new(config);
    let _pools: [_; 2] = std::array::from_fn(|_| Pool::new(Arc::clone(&upstream)));
    let _held = slot(&upstream, 0);
    let waiting = wait(&upstream, 0);
    assert!(matches!(upstream.ask(0), Err(ProxyError::Saturated)));
    let _other = wait(&upstream, 1);
    drop(waiting);
    let _another = wait(&upstream, 0);
}

#[tokio::test]
async fn as_many_wait_for_clients_as_clients_hold_connections() {
    let (upstream, _pools) = shared(4);
    let mut turn = Turn::upstream();
    let holds = [
        upstream.holds().take(WAIT, &mut turn).await.unwrap(),
        upstream.holds().take(WAIT, &mut turn).await.unwrap(),
    ];
    let _slots: [_; 4] = std::array::from_fn(|_| slot(&upstream, 0));
    let waits: [_; 3] = std::array::from_fn(|n| wait(&upstream, n % 2));
    let for_clients = waits.each_ref().map(|wait| wait.is_for_clients);
    assert_eq!(for_clients, [true, true, false]);
    drop(holds);
    assert!(!wait(&upstream, 0).is_for_clients);
}

/// Takes connections to all of what `upstream` allows and gives them back, as a core does.
fn serve(upstream: &Arc<Upstream>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    let pool = Pool::new(Arc::clone(upstream));
    runtime.block_on(async {
        let mut requests = JoinSet::new();
        for _ in 0..3 {
            let pool = Arc::clone(&pool);
            requests.spawn(async move {
                for n in 0..200 {
                    let mut turn = Turn::upstream();
                    if n % 5 == 0 {
                        // A client that leaves.
                        let _ = timeout(Duration::from_micros(50), pool.take(&mut turn)).await;
                    }
                    let link = pool.take(&mut turn).await.expect("its turn comes");
                    tokio::task::yield_now().await;
                    if n % 7 > 0 {
                        pool.give_back(link);
                    }
                }
            });
        }
        requests.join_all().await;
    });
}

#[test]
fn nobody_is_forgotten_by_the_cores_that_share_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || io::copy(&mut stream?, &mut io::sink()));
        }
    });
    let mut config = config(&target, 4);
    config.wait = Duration::from_secs(20);
    let upstream = Upstream::new(config);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| serve(&upstream));
        }
    });
    assert_eq!((upstream.open(), upstream.is_wanted()), (0, false));
}
