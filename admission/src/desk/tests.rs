//! The desk as the gateway uses it, over the embedded store.

mod batches;
mod checked;
mod fault;
mod sessions;
mod trouble;

use std::sync::Mutex;

use domain::{Limits, Number, Readings, Schedule, StockLevel};
use tokio::task::JoinSet;

use super::*;
use crate::place::PlaceState;
use crate::store::embedded::EmbeddedStore;
use crate::testing::{Repeating, StepClock};
use fault::Faulty;

const START: u64 = 1_800_000_000_000;

#[derive(Default)]
struct Reported(Mutex<Readings>);

impl Outside for Reported {
    fn readings(&self, _drop: &DropId) -> Readings {
        *self.0.lock().unwrap()
    }
}

/// A desk that runs, its clock, and what it is told of the rest of the house.
struct House {
    dir: tempfile::TempDir,
    clock: Arc<StepClock>,
    outside: Arc<Reported>,
    store: Arc<Faulty>,
    desk: Admission,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

fn aurora() -> DropId {
    DropId::new("aurora").unwrap()
}

fn rules(active: u32, per_minute: u32) -> DropRules {
    let limits = Limits {
        total_active_users: active,
        new_users_per_minute: per_minute,
    };
    DropRules {
        limits,
        ..DropRules::new(aurora())
    }
}

async fn open(
    dir: &std::path::Path,
    clock: &Arc<StepClock>,
    outside: &Arc<Reported>,
    rules: DropRules,
) -> (Admission, Arc<Faulty>) {
    let entropy: Arc<dyn Entropy> = Arc::new(Repeating::from(clock.now().as_millis()));
    let store = EmbeddedStore::open(dir, entropy.clone()).unwrap();
    let store = Arc::new(Faulty::over(Arc::new(store)));
    let parts = Parts {
        clock: clock.clone(),
        store: store.clone(),
        keys: Arc::new(Keys::open(dir, &*entropy).unwrap()),
        outside: outside.clone(),
        entropy,
    };
    let settings = Settings {
        issuer: "https://shop.example".to_owned(),
        drops: vec![rules],
        tick: Duration::from_millis(5),
        showing: Showing::Alone,
    };
    (Admission::open(parts, settings).await.unwrap(), store)
}

impl House {
    async fn new(rules: DropRules) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (clock, outside) = (Arc::new(StepClock::at(START)), Arc::new(Reported::default()));
        let (desk, store) = open(dir.path(), &clock, &outside, rules).await;
        let mut house = Self {
            dir,
            clock,
            outside,
            store,
            desk,
            stop: CancellationToken::new(),
            tasks: JoinSet::new(),
        };
        house.run();
        house
    }

    fn run(&mut self) {
        let (desk, stop) = (self.desk.clone(), self.stop.clone());
        self.tasks.spawn(async move { desk.run(stop).await });
    }

    /// Stops in an orderly way and comes back.
    async fn restart(mut self, rules: DropRules) -> Self {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        let Self {
            dir,
            clock,
            outside,
            desk,
            store,
            ..
        } = self;
        drop((desk, store));
        let (desk, store) = open(dir.path(), &clock, &outside, rules).await;
        let mut house = Self {
            dir,
            clock,
            outside,
            store,
            desk,
            stop: CancellationToken::new(),
            tasks: JoinSet::new(),
        };
        house.run();
        house
    }

    async fn join(&self) -> (Visitor, Joined) {
        let (visitor, _) = self.desk.greet();
        let joined = self.desk.join(&aurora(), &visitor, None).await.unwrap();
        (visitor, joined)
    }

    async fn claim(&self, (visitor, joined): &(Visitor, Joined)) -> Claimed {
        self.desk.claim(&aurora(), &joined.ticket, visitor).await.unwrap()
    }

    fn place(&self, (visitor, joined): &(Visitor, Joined)) -> Place {
        self.desk.place(&aurora(), &joined.ticket, visitor).unwrap()
    }

    /// Waits for snapshots until one is as wanted. The clock stands still meanwhile.
    async fn until(&self, wanted: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let mut changes = self.desk.changes(&aurora()).unwrap();
        loop {
            let snapshot = self.desk.snapshot(&aurora()).unwrap();
            if wanted(&snapshot) {
                return snapshot;
            }
            tokio::time::timeout(Duration::from_secs(10), changes.changed())
                .await
                .unwrap()
                .unwrap();
        }
    }

    async fn admit(&self, shopper: &(Visitor, Joined)) -> Grant {
        match self.claim(shopper).await {
            Claimed::Admitted(grant) => grant,
            other => panic!("not admitted: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_open_door_lets_the_first_shopper_straight_through() {
    let house = House::new(rules(10, 600)).await;
    let shopper = house.join().await;
    assert_eq!(shopper.1.place.state, PlaceState::Called);
    let grant = house.admit(&shopper).await;
    let admitted = house.desk.verify(&aurora(), &grant.token, &shopper.0).unwrap();
    assert_eq!((admitted.admission, admitted.drop), (grant.admission, aurora()));
    assert_eq!(house.place(&shopper).state, PlaceState::Admitted);
}

#[tokio::test]
async fn joining_again_gives_the_same_place_with_or_without_the_ticket() {
    let house = House::new(rules(1, 600)).await;
    let (visitor, first) = house.join().await;
    let again = house.desk.join(&aurora(), &visitor, None).await.unwrap();
    let held = house
        .desk
        .join(&aurora(), &visitor, Some(&first.ticket))
        .await
        .unwrap();
    for joined in [again, held] {
        assert_eq!((joined.place.number, joined.repeated), (first.place.number, true));
    }
}

#[tokio::test]
async fn a_lost_answer_is_repeated_with_the_same_admission() {
    let house = House::new(rules(1, 1)).await;
    let shopper = house.join().await;
    let first = house.admit(&shopper).await;
    let second = house.admit(&shopper).await;
    assert_eq!(
        (second.admission, second.expires_at, second.repeated),
        (first.admission, first.expires_at, true)
    );
    assert_eq!(
        house
            .desk
            .figures(&aurora())
            .unwrap()
            .wait_buckets
            .iter()
            .sum::<u64>(),
        1
    );
}

#[tokio::test]
async fn a_full_room_says_when_and_the_freed_slot_goes_to_the_next() {
    let house = House::new(rules(1, 600)).await;
    let (first, second) = (house.join().await, house.join().await);
    let grant = house.admit(&first).await;
    assert!(matches!(house.claim(&second).await, Claimed::NotCalled(place) if place.position == Some(1)));
    house.desk.complete(&aurora(), grant.admission).await.unwrap();
    let revoked = house.desk.verify(&aurora(), &grant.token, &first.0);
    assert_eq!(revoked, Err(TokenError::Revoked));
    house.until(|snapshot| snapshot.frontier.0 > 2).await;
    house.admit(&second).await;
}

#[tokio::test]
async fn tokens_tickets_and_visitors_belong_together() {
    let house = House::new(rules(10, 600)).await;
    let (mine, yours) = (house.join().await, house.join().await);
    let grant = house.admit(&mine).await;
    assert_eq!(
        house.desk.verify(&aurora(), &grant.token, &yours.0),
        Err(TokenError::NotYours)
    );
    let stolen = house.desk.place(&aurora(), &mine.1.ticket, &yours.0);
    assert_eq!(stolen, Err(PlaceError::BadTicket));
    let claim = house.desk.claim(&aurora(), &mine.1.ticket, &yours.0).await;
    assert_eq!(claim, Err(LeaveError::Place(PlaceError::BadTicket)));
    let elsewhere = DropId::new("borealis").unwrap();
    assert_eq!(
        house.desk.place(&elsewhere, &mine.1.ticket, &mine.0),
        Err(PlaceError::UnknownDrop)
    );
    assert_eq!(
        house.desk.verify(&elsewhere, &grant.token, &mine.0),
        Err(TokenError::Foreign)
    );
}

/// Somebody inside, whose token was checked.
#[tokio::test]
async fn a_session_is_renewed_after_its_half_and_not_before() {
    let house = House::new(rules(10, 600)).await;
    let shopper = house.join().await;
    let grant = house.admit(&shopper).await;
    let admitted = house.desk.verify(&aurora(), &grant.token, &shopper.0).unwrap();
    house.clock.wait(299_000);
    assert_eq!(house.desk.renew(&admitted).await, Ok(None));
    house.clock.wait(2_000);
    let renewed = house.desk.renew(&admitted).await.unwrap().unwrap();
    assert_eq!(renewed.admission, grant.admission);
    assert!(renewed.expires_at > grant.expires_at);
    let later = house.desk.verify(&aurora(), &renewed.token, &shopper.0).unwrap();
    assert_eq!(later.expires_at.as_secs(), renewed.expires_at.as_secs());
}

#[tokio::test]
async fn leaving_kills_place_and_token_at_once() {
    let house = House::new(rules(10, 600)).await;
    let shopper = house.join().await;
    let grant = house.admit(&shopper).await;
    house
        .desk
        .leave(&aurora(), &shopper.1.ticket, &shopper.0)
        .await
        .unwrap();
    assert_eq!(
        house.desk.verify(&aurora(), &grant.token, &shopper.0),
        Err(TokenError::Revoked)
    );
    assert_eq!(house.place(&shopper).state, PlaceState::Left);
    assert_eq!(house.claim(&shopper).await, Claimed::Left);
    let again = house
        .desk
        .join(&aurora(), &shopper.0, Some(&shopper.1.ticket))
        .await
        .unwrap();
    assert_eq!((again.place.number, again.repeated), (Number(2), false));
}

#[tokio::test]
async fn an_operator_pauses_and_resumes() {
    let house = House::new(rules(10, 600)).await;
    let shopper = house.join().await;
    assert!(
        house
            .desk
            .control(&aurora(), Command::Pause)
            .await
            .unwrap()
            .paused
    );
    assert_eq!(house.claim(&shopper).await, Claimed::Paused);
    assert_eq!(house.place(&shopper).state, PlaceState::Paused);
    house.desk.control(&aurora(), Command::Resume).await.unwrap();
    house.admit(&shopper).await;
    let unknown = house
        .desk
        .control(&DropId::new("borealis").unwrap(), Command::Pause)
        .await;
    assert_eq!(unknown, Err(JoinError::UnknownDrop));
}

#[tokio::test]
async fn new_limits_hold_at_once() {
    let house = House::new(rules(1, 600)).await;
    let (first, second) = (house.join().await, house.join().await);
    house.admit(&first).await;
    house.desk.reconfigure(vec![rules(2, 600)]).await.unwrap();
    house.until(|snapshot| snapshot.frontier.0 > 2).await;
    house.admit(&second).await;
    assert_eq!(house.desk.drops(), [aurora()]);
}

#[tokio::test]
async fn nobody_is_called_for_nothing_and_sold_out_is_said_at_once() {
    let house = House::new(rules(10, 600)).await;
    let report = |available, reserved, sold| {
        house.outside.0.lock().unwrap().stock = Some(StockLevel {
            available,
            reserved,
            sold,
        });
    };
    report(0, 1, 9);
    let shopper = house.join().await;
    let held = house
        .until(|snapshot| snapshot.bound == domain::Bound::Stock)
        .await;
    assert_eq!(held.frontier.0, 1);
    assert_eq!(
        house.claim(&shopper).await,
        Claimed::NotCalled(house.place(&shopper))
    );
    report(0, 0, 10);
    assert_eq!(house.claim(&shopper).await, Claimed::SoldOut);
    house.until(|snapshot| snapshot.phase == Phase::SoldOut).await;
    assert_eq!(house.place(&shopper).state, PlaceState::SoldOut);
    let late = house.desk.join(&aurora(), &house.desk.greet().0, None).await;
    assert_eq!(late, Err(JoinError::NotOpen(Phase::SoldOut)));
}

#[tokio::test]
async fn the_start_publishes_the_draw_that_was_promised() {
    let schedule = Schedule {
        prequeue_start: Timestamp::from_millis(START),
        event_start: Timestamp::from_millis(START + 60_000),
        event_end: None,
    };
    let house = House::new(DropRules {
        schedule,
        ..rules(100, 6_000)
    })
    .await;
    let mut shoppers = Vec::new();
    for _ in 0..20 {
        shoppers.push(house.join().await);
    }
    let before = house.desk.snapshot(&aurora()).unwrap();
    assert_eq!((before.phase, before.draw.revealed), (Phase::Prequeue, None));
    assert_eq!(house.place(&shoppers[0]).rank, None);
    assert_eq!(house.claim(&shoppers[0]).await, Claimed::NotOpen);
    house.clock.wait(60_000);
    let after = house.until(|snapshot| snapshot.draw.revealed.is_some()).await;
    let (seed, cohort) = after.draw.revealed.unwrap();
    assert_eq!(
        (cohort, domain::draw::Seed(seed).commitment()),
        (20, before.draw.commitment)
    );
    let mut ranks: Vec<u64> = shoppers.iter().map(|s| house.place(s).rank.unwrap().0).collect();
    assert_ne!(ranks, (1..=20).collect::<Vec<u64>>());
    ranks.sort_unstable();
    assert_eq!(ranks, (1..=20).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_restart_keeps_places_tokens_and_limits() {
    let house = House::new(rules(2, 600)).await;
    let (first, second, third) = (house.join().await, house.join().await, house.join().await);
    let grant = house.admit(&first).await;
    house.until(|snapshot| snapshot.frontier.0 > 2).await;
    house.admit(&second).await;
    house.clock.wait(30_000);
    let house = house.restart(rules(2, 600)).await;
    assert!(house.desk.verify(&aurora(), &grant.token, &first.0).is_ok());
    assert!(house.admit(&first).await.repeated);
    assert!(matches!(house.claim(&third).await, Claimed::NotCalled(_)));
    assert_eq!(house.place(&third).position, Some(1));
    let newcomer = house.join().await;
    assert!(newcomer.1.place.number > third.1.place.number);
}

#[tokio::test]
async fn ten_thousand_shoppers_join_and_everybody_has_a_place_of_their_own() {
    let house = House::new(rules(1, 600)).await;
    let mut crowd = JoinSet::new();
    for _ in 0..100 {
        let desk = house.desk.clone();
        crowd.spawn(async move {
            let mut numbers = Vec::new();
            for _ in 0..100 {
                let (visitor, _) = desk.greet();
                numbers.push(desk.join(&aurora(), &visitor, None).await.unwrap().place.number);
            }
            numbers
        });
    }
    let mut numbers: Vec<Number> = crowd.join_all().await.concat();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=10_000).map(Number).collect::<Vec<_>>());
    let snapshot = house.until(|snapshot| snapshot.waiting >= 9_000).await;
    assert!(snapshot.frontier.0 < 100);
}

#[tokio::test]
async fn without_a_store_the_last_snapshot_stays_and_is_marked() {
    let house = House::new(rules(1, 600)).await;
    let door = house.desk.inner.door(&aurora()).unwrap();
    let before = house.desk.snapshot(&aurora()).unwrap();
    house.stop.cancel();
    door.mark_stale("taken away by the test");
    let after = house.desk.snapshot(&aurora()).unwrap();
    assert!(after.stale && after.frontier == before.frontier);
}
