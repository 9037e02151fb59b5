//! Several gateways at once on one queue: nobody leads, and nothing is granted twice.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::JoinSet;

use super::*;

/// An admission as it was answered: when it was asked for.
type Granted = Arc<Mutex<Vec<u64>>>;

fn shared(gateways: Vec<Subject>) -> Vec<Arc<Subject>> {
    gateways.into_iter().map(Arc::new).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_gateways_give_every_shopper_a_number_of_their_own() {
    let redis = Redis::start().await.unwrap();
    let marks: Arc<dyn Marks> = Arc::new(MemoryMarks::default());
    let gateways = shared(gateways(&redis, &marks, 4, &contract::rules(10, 10)).await);
    let mut crowd = JoinSet::new();
    // A gateway sends one batch of joins at a time; two here, so that batches of one gateway meet as well.
    for hand in 0..8_u64 {
        let gateway = gateways[usize::try_from(hand % 4).unwrap()].clone();
        crowd.spawn(async move {
            let mut numbers = Vec::new();
            for batch in (hand..80).step_by(8) {
                let names: Vec<u64> = (batch * 100..batch * 100 + 100).collect();
                let places = gateway.join(&names).await;
                numbers.extend(places.into_iter().map(|place| place.unwrap().number.0));
            }
            numbers
        });
    }
    let numbers: BTreeSet<u64> = crowd.join_all().await.into_iter().flatten().collect();
    assert_eq!(numbers, (1..=8_000).collect());
    assert_eq!(gateways[3].view().await.room.waiting, 8_000);
}

/// How many of `times` lie within `span` of each other, at most.
fn most_within(times: &mut [u64], span: u64) -> usize {
    times.sort_unstable();
    let mut most = 0;
    let mut first = 0;
    for last in 0..times.len() {
        while times[first] + span <= times[last] {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most
}

/// Claims of 25,000 shoppers each, through four gateways, while time runs: a hundred thousand in
/// all. Every admission is judged by when it was asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_claims_through_four_gateways_meet_both_limits_exactly() {
    const CLAIMS: u64 = 100_000;
    const SHOPPERS: u64 = 25_000;
    const SESSION: u64 = 20_000;
    let (active, per_minute) = (700, 1_000);
    let rules = DropRules {
        session_duration: Span::from_millis(SESSION),
        claim_window: Span::from_mins(600),
        ..contract::rules(active, per_minute)
    };
    let redis = Redis::start().await.unwrap();
    let marks: Arc<dyn Marks> = Arc::new(MemoryMarks::default());
    let gateways = shared(gateways(&redis, &marks, 4, &rules).await);
    for names in (1..=SHOPPERS).collect::<Vec<_>>().chunks(1_000) {
        gateways[0].join(names).await;
    }
    gateways[0].call(SHOPPERS).await.unwrap();
    let (granted, turn) = (Granted::default(), Arc::new(AtomicU64::new(0)));
    let mut crowd = JoinSet::new();
    for worker in 0..64_usize {
        let (gateway, granted, turn) = (gateways[worker % 4].clone(), granted.clone(), turn.clone());
        crowd.spawn(async move {
            loop {
                let turn = turn.fetch_add(1, Ordering::SeqCst);
                if turn >= CLAIMS {
                    return;
                }
                // Two virtual milliseconds per claim: three and a third minutes in all.
                let at = Moment {
                    now: Timestamp::from_millis(contract::START + turn * 2),
                    ..gateway.at()
                };
                let name = turn % SHOPPERS + 1;
                let claimant = contract::claimant(name, Number(name));
                let claim = gateway.store.claim(&gateway.drop, claimant, at).await.unwrap();
                if let Claim::Admitted { repeated: false, .. } = claim {
                    granted.lock().unwrap().push(at.now.as_millis());
                }
            }
        });
    }
    crowd.join_all().await;
    let mut times = granted.lock().unwrap().clone();
    let in_a_minute = most_within(&mut times, 60_000);
    let at_once = most_within(&mut times, SESSION);
    assert!(in_a_minute <= per_minute as usize, "{in_a_minute} in a minute");
    assert!(at_once <= active as usize, "{at_once} at once");
    let tally = gateways[1].view().await.tally;
    assert_eq!(
        (tally.active_max, tally.claims_in_minute_max),
        (active.into(), per_minute.into()),
        "both limits were reached"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draw_is_held_once_for_all_gateways_and_survives_a_loss() {
    let start = contract::START + 10_000;
    let schedule = domain::Schedule {
        prequeue_start: Timestamp::EPOCH,
        event_start: Timestamp::from_millis(start),
        event_end: None,
    };
    let rules = DropRules {
        schedule,
        ..contract::rules(5_000, 5_000)
    };
    let redis = Redis::start().await.unwrap();
    let marks: Arc<dyn Marks> = Arc::new(MemoryMarks::default());
    let mut gateways = gateways(&redis, &marks, 3, &rules).await;
    gateways[0].join(&(1..=3_000).collect::<Vec<_>>()).await;
    gateways[0].store.flush(gateways[0].at().now).await.unwrap();
    for gateway in &mut gateways {
        gateway.now = start;
    }
    let (one, two, three) = tokio::join!(gateways[0].view(), gateways[1].view(), gateways[2].view());
    let draw = one.draw.unwrap();
    assert_eq!(draw.cohort, 3_000);
    assert!(two.draw == Some(draw) && three.draw == Some(draw));
    assert_eq!((one.epoch, two.epoch, three.epoch), (2, 2, 2));

    let called_first = (1..=3_000).filter(|name| draw.rank(Number(*name)).0 <= 100);
    let called_first: BTreeSet<u64> = called_first.collect();
    // Another gateway's look may have moved the version on since ours.
    let mut called = gateways[1].call(100).await;
    while called.is_err() {
        called = gateways[1].call(100).await;
    }
    assert_eq!(called, Ok(Rank(101)));
    assert!(redis.flush().await);
    assert!(try_claim(&gateways[2], 1).await.is_err());
    let after = until_back(&gateways[2]).await;
    assert_eq!((after.draw, after.frontier), (Some(draw), Rank(101)));
    for name in 1..=3_000 {
        let claim = gateways[2].claim(name, name).await;
        assert_eq!(
            admission(&claim).is_some(),
            called_first.contains(&name),
            "shopper {name}"
        );
    }
}
