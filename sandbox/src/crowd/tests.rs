//! Crowds at a gateway in miniature, over real sockets.

mod browser;
mod fake;
mod notebook;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::fake::{Fake, Manner};
use super::{Behaviour, Crowd, CrowdConfig, CrowdReport, Mix};

fn config(fake: &Fake, shoppers: u32, mix: Mix) -> CrowdConfig {
    CrowdConfig {
        provider_url: Some(format!("http://{}", fake.address)),
        mix,
        ramp: Duration::from_millis(20),
        think_ms: 0..=5,
        returns_after: Duration::from_millis(20),
        deadline: Duration::from_secs(30),
        ..CrowdConfig::new(fake.address, shoppers, 7)
    }
}

async fn run(fake: &Fake, shoppers: u32, mix: Mix) -> CrowdReport {
    Crowd::new(config(fake, shoppers, mix))
        .run(CancellationToken::new())
        .await
}

#[tokio::test]
async fn patient_shoppers_buy_what_there_is_and_the_rest_hear_sold_out() {
    let fake = Fake::start(Manner::Good, 12).await;
    let report = run(&fake, 30, Mix::only(Behaviour::Patient)).await;
    assert_eq!(report.violations, Vec::<String>::new());
    assert_eq!(
        (report.counts.joined, report.counts.admitted, report.unfinished),
        (30, 30, 0)
    );
    assert_eq!((report.counts.paid, report.counts.sold_out), (12, 18));
    assert_eq!(fake.paid(), 12);
    assert_eq!(
        report
            .orders
            .iter()
            .filter(|order| order.accepted && order.state == "paid")
            .count(),
        12
    );
    assert_eq!(report.max_admitted_in_60s, 30);
    assert!(report.max_active_seen <= 30);
    assert!(report.join_ms.count == 30 && report.poll_ms.count >= 30 && report.wait_seconds.count == 30);
    assert_eq!(
        report.problems.get("room-full"),
        None,
        "a full room is an answer, not a problem"
    );
    fake.stop().await;
}

#[tokio::test]
async fn every_behaviour_ends_as_it_should() {
    for (behaviour, check) in [
        (
            Behaviour::Impatient,
            (|r| r.counts.left + r.counts.admitted == 10) as fn(&CrowdReport) -> bool,
        ),
        (Behaviour::NoShow, |r| {
            r.counts.no_shows == 10 && r.counts.admitted == 0
        }),
        (Behaviour::LateReturner, |r| r.counts.paid == 10),
        (Behaviour::DoubleClicker, |r| {
            r.counts.paid == 10 && r.orders.len() == 10
        }),
        (Behaviour::Decliner, |r| {
            r.counts.declined == 10 && r.counts.paid > 0 && r.counts.paid < 10
        }),
        (Behaviour::ThreeDSecure, |r| {
            r.counts.paid > 0 && r.counts.declined == 0
        }),
        (Behaviour::AbandonsAtPayment, |r| {
            r.counts.reserved == 10 && r.counts.accepted == 0
        }),
        (Behaviour::Reloader, |r| r.counts.paid == 10),
    ] {
        let fake = Fake::start(Manner::Good, 100).await;
        let report = run(&fake, 10, Mix::only(behaviour)).await;
        assert!(check(&report), "{behaviour:?}: {report:?}");
        assert_eq!(report.violations, Vec::<String>::new(), "{behaviour:?}");
        assert_eq!(report.unfinished, 0, "{behaviour:?}");
        fake.stop().await;
    }
}

#[tokio::test]
async fn broken_promises_are_noticed() {
    for (manner, behaviour, words) in [
        (Manner::PositionsGrow, Behaviour::Impatient, "position went back"),
        (Manner::NumbersChange, Behaviour::Patient, "became"),
        (Manner::NumbersRepeat, Behaviour::Patient, "belongs to shopper"),
        (Manner::PlacesAreLost, Behaviour::Patient, "lost its place"),
        (Manner::OrdersAreLost, Behaviour::Patient, "is gone"),
        (
            Manner::KeysAreIgnored,
            Behaviour::DoubleClicker,
            "one key made two orders",
        ),
        (
            Manner::AdmissionIsVoid,
            Behaviour::Patient,
            "met the waiting room",
        ),
    ] {
        let fake = Fake::start(manner, 100).await;
        let report = run(&fake, 4, Mix::only(behaviour)).await;
        let noticed = report
            .violations
            .iter()
            .any(|violation| violation.contains(words));
        assert!(noticed, "{manner:?}: {:?}", report.violations);
        assert_eq!(
            u64::try_from(report.violations.len()).unwrap(),
            report.counts.violations
        );
        fake.stop().await;
    }
}

#[tokio::test]
async fn overload_and_broken_connections_are_waited_out() {
    let fake = Fake::start(Manner::Flaky, 100).await;
    let report = run(&fake, 10, Mix::only(Behaviour::Patient)).await;
    assert_eq!((report.counts.paid, report.unfinished), (10, 0));
    assert_eq!(report.violations, Vec::<String>::new());
    assert!(report.problems["rate-limited"] > 0 && report.problems["overloaded"] > 0);
    assert!(report.counts.broken > 0);
    fake.stop().await;
}

#[tokio::test]
async fn a_crowd_outlives_restarts_and_goes_on_with_its_places() {
    let mut fake = Fake::start(Manner::Good, 100).await;
    let crowd = Crowd::new(config(&fake, 20, Mix::only(Behaviour::Patient)));
    let progress = crowd.progress();
    let running = crowd.run(CancellationToken::new());
    let mut running = std::pin::pin!(running);
    for joined in [1, 8, 15] {
        let reached = async {
            while progress.counts().joined < joined {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            _ = &mut running => panic!("the crowd is not through yet"),
            () = reached => {}
        }
        fake = tokio::select! {
            _ = &mut running => panic!("the crowd cannot be through without a gateway"),
            fake = fake.restart() => fake,
        };
    }
    let report = running.await;
    assert_eq!((report.counts.paid, report.unfinished), (20, 0));
    assert_eq!(report.violations, Vec::<String>::new());
    fake.stop().await;
}

#[tokio::test]
async fn the_deadline_and_the_token_end_it_without_leftovers() {
    let fake = Fake::start(Manner::PositionsGrow, 0).await;
    let mut short = config(&fake, 5, Mix::only(Behaviour::Patient));
    short.deadline = Duration::from_millis(150);
    let report = Crowd::new(short).run(CancellationToken::new()).await;
    assert_eq!((report.counts.finished, report.unfinished), (0, 5));

    let cancel = CancellationToken::new();
    cancel.cancel();
    let crowd = Crowd::new(config(&fake, 5, Mix::default()));
    assert_eq!(crowd.run(cancel).await.unfinished, 5);
    fake.stop().await;
}

#[tokio::test]
async fn each_shopper_has_an_address_when_asked_for() {
    let fake = Fake::start(Manner::Good, 100).await;
    run(&fake, 8, Mix::only(Behaviour::Patient)).await;
    let addresses = fake.state.lock().unwrap().addresses.clone();
    assert_eq!(addresses.len(), 8);
    assert!(
        addresses.contains("10.0.0.1") && addresses.contains("10.0.0.8"),
        "{addresses:?}"
    );
    fake.stop().await;
}

#[test]
fn arrivals_follow_the_profile() {
    let base = CrowdConfig {
        starts_in: Duration::from_secs(10),
        share_before_start: 0.5,
        ramp: Duration::from_secs(5),
        ..CrowdConfig::new("127.0.0.1:1".parse().unwrap(), 2_000, 3)
    };
    let arrivals = super::arrivals(&base);
    let early = arrivals.iter().filter(|(at, _)| *at <= base.starts_in).count();
    assert!((900..1_100).contains(&early), "{early}");
    assert!(arrivals.iter().all(|(at, _)| *at <= Duration::from_secs(15)));
    assert!(arrivals.is_sorted());
    let shoppers: std::collections::BTreeSet<u32> = arrivals.iter().map(|(_, index)| *index).collect();
    assert_eq!(shoppers.len(), 2_000);
    assert_eq!(
        arrivals,
        super::arrivals(&base),
        "the same seed, the same arrivals"
    );
}

#[tokio::test]
async fn a_shopper_on_the_way_is_small() {
    let fake = Fake::start(Manner::Good, 0).await;
    let config = std::sync::Arc::new(config(&fake, 1, Mix::default()));
    let observer = std::sync::Arc::new(super::Observer::new(std::sync::Arc::default()));
    let destination = std::sync::Arc::new(super::Destination {
        connect: fake.address.to_string(),
        host: "shop.example".to_owned(),
        origin: "http://shop.example".to_owned(),
    });
    let walk = super::shopper(0, &config, &observer, &destination).walk();
    let bytes = std::mem::size_of_val(&walk);
    // The socket, the task and the cookies come on top; the budget for all of it is 20 KiB.
    assert!(bytes <= 8 * 1024, "the walk takes {bytes} bytes");
    fake.stop().await;
}
