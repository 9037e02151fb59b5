//! What every queue store must do, whatever it keeps its queues in. Each claim is a function
//! over the port, so that the same suite judges every adapter; random histories are replayed
//! against `domain::queue` and must agree to the last figure.

use std::sync::Arc;

use domain::draw::Seed;
use domain::queue::{
    Advance, Claim, Claimant, Command, EndReason, JoinRefusal, Joined, Moment, Queue, Stale, View,
};
use domain::{
    AdmissionId, DropId, DropRules, Limits, Number, QueueingMethod, Rank, ShopperKey, Span, StockState,
    Timestamp,
};

use super::{Going, JoinRequest, QueueStore, Went};

mod hint;
mod history;

pub(crate) use hint::{
    a_reading_is_seen_with_the_view, a_silent_keeper_is_replaced, offers_agree_with_the_rule,
    who_went_to_order_is_known_while_the_session_lasts,
};
pub(crate) use history::{replay, replay_under, steps, tight_rules};

/// The instant at which a suite's clock starts.
pub(crate) const START: u64 = 1_800_000_000_000;

/// A fresh store under test with one open drop.
pub(crate) struct Subject {
    pub(crate) store: Arc<dyn QueueStore>,
    pub(crate) drop: DropId,
    pub(crate) now: u64,
    pub(crate) stock: StockState,
}

pub(crate) fn rules(active: u32, per_minute: u32) -> DropRules {
    let limits = Limits {
        total_active_users: active,
        new_users_per_minute: per_minute,
    };
    DropRules {
        limits,
        ..DropRules::new(DropId::new("aurora").unwrap())
    }
}

pub(crate) fn shopper(name: u64) -> ShopperKey {
    let mut key = [0; 16];
    key[8..].copy_from_slice(&name.to_be_bytes());
    ShopperKey(key)
}

/// What decides the rank of `name` where each shopper draws one: anything, but always the same.
pub(crate) fn lot(name: u64) -> u64 {
    name.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

pub(crate) fn claimant(name: u64, number: Number) -> Claimant {
    let mut id = shopper(name).0;
    id[..8].copy_from_slice(&number.0.to_be_bytes());
    Claimant {
        shopper: shopper(name),
        number,
        drawn: None,
        joined_at: Timestamp::from_millis(START),
        admission: AdmissionId(id),
    }
}

impl Subject {
    pub(crate) async fn open(store: Arc<dyn QueueStore>, rules: &DropRules) -> Self {
        let subject = Self {
            store,
            drop: rules.drop.clone(),
            now: START,
            stock: StockState::Left,
        };
        subject.store.open(rules, subject.at()).await.unwrap();
        subject
    }

    pub(crate) fn at(&self) -> Moment {
        Moment {
            now: Timestamp::from_millis(self.now),
            stock: self.stock,
        }
    }

    pub(crate) async fn join(&self, names: &[u64]) -> Vec<Result<Joined, JoinRefusal>> {
        let request = |name: &u64| JoinRequest {
            shopper: shopper(*name),
            random: lot(*name),
            held: None,
        };
        self.store
            .join(&self.drop, names.iter().map(request).collect(), self.at())
            .await
            .unwrap()
    }

    pub(crate) async fn view(&self) -> View {
        self.store.view(&self.drop, self.at()).await.unwrap()
    }

    pub(crate) async fn call(&self, calls: u64) -> Result<Rank, Stale> {
        let view = self.view().await;
        let advance = Advance {
            version: view.version,
            calls,
            pace: view.pace,
        };
        self.store.advance(&self.drop, advance, self.at()).await.unwrap()
    }

    pub(crate) async fn claim(&self, name: u64, number: u64) -> Claim {
        self.store
            .claim(&self.drop, claimant(name, Number(number)), self.at())
            .await
            .unwrap()
    }

    async fn admit(&self, name: u64) -> AdmissionId {
        match self.claim(name, name).await {
            Claim::Admitted { admission, .. } => admission,
            other => panic!("shopper {name} was not admitted: {other:?}"),
        }
    }
}

/// One round trip gives every shopper of the batch a number, in order, and the same one again.
pub(crate) async fn a_batch_of_joins_is_served_in_order_and_once(store: Arc<dyn QueueStore>) {
    let subject = Subject::open(store, &rules(10, 10)).await;
    let first = subject.join(&[1, 2, 3, 2]).await;
    let numbers: Vec<(u64, bool)> = first
        .into_iter()
        .map(|joined| joined.map(|j| (j.number.0, j.repeated)).unwrap())
        .collect();
    assert_eq!(numbers, [(1, false), (2, false), (3, false), (2, true)]);
    let again = subject.join(&[3, 4]).await;
    assert_eq!(
        again.iter().map(|j| j.unwrap().number.0).collect::<Vec<_>>(),
        [3, 4]
    );
}

/// Two decisions on one version: one moves the frontier, the other is told that it is stale.
pub(crate) async fn of_two_decisions_one_wins(store: Arc<dyn QueueStore>) {
    let subject = Subject::open(store, &rules(10, 10)).await;
    subject.join(&[1, 2, 3]).await;
    let view = subject.view().await;
    let advance = Advance {
        version: view.version,
        calls: 1,
        pace: view.pace,
    };
    let (left, right) = tokio::join!(
        subject.store.advance(&subject.drop, advance, subject.at()),
        subject.store.advance(&subject.drop, advance, subject.at()),
    );
    let outcomes = [left.unwrap(), right.unwrap()];
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(subject.view().await.frontier, Rank(2));
}

/// However many claim at once, only as many come in as there are slots.
pub(crate) async fn a_crowd_of_claims_meets_the_exact_limit(store: Arc<dyn QueueStore>) {
    let subject = Arc::new(Subject::open(store, &rules(7, 100)).await);
    subject
        .join(&(1..=50).collect::<Vec<u64>>())
        .await
        .iter()
        .for_each(|joined| assert!(joined.is_ok()));
    subject.call(50).await.unwrap();
    let mut crowd = tokio::task::JoinSet::new();
    for name in 1..=50 {
        let subject = subject.clone();
        crowd.spawn(async move { subject.claim(name, name).await });
    }
    let claims = crowd.join_all().await;
    let admitted = claims
        .iter()
        .filter(|claim| matches!(claim, Claim::Admitted { .. }))
        .count();
    let full = claims
        .iter()
        .filter(|claim| matches!(claim, Claim::RoomFull { .. }))
        .count();
    assert_eq!((admitted, full), (7, 43));
    assert_eq!(subject.view().await.room.active, 7);
}

/// A claim whose answer was lost is answered again with the same admission.
pub(crate) async fn a_claim_is_repeated_alike(store: Arc<dyn QueueStore>) {
    let subject = Subject::open(store, &rules(1, 1)).await;
    subject.join(&[1]).await;
    subject.call(1).await.unwrap();
    let first = subject.claim(1, 1).await;
    let Claim::Admitted {
        admission,
        expires_at,
        repeated: false,
    } = first
    else {
        panic!("{first:?}")
    };
    assert_eq!(
        subject.claim(1, 1).await,
        Claim::Admitted {
            admission,
            expires_at,
            repeated: true
        }
    );
}

/// Giving up, a place or a session, is done once however often it is asked for, and by whichever word.
pub(crate) async fn what_is_given_up_again_is_given_up_once(store: Arc<dyn QueueStore>) {
    let mut subject = Subject::open(store, &rules(10, 10)).await;
    subject.join(&[1, 2, 3]).await;
    subject.call(2).await.unwrap();
    let (first, second) = (subject.admit(1).await, subject.admit(2).await);
    let (store, drop) = (subject.store.clone(), subject.drop.clone());
    let mut seen = Vec::new();
    for _ in 0..3 {
        for reason in [EndReason::Revoked, EndReason::Completed, EndReason::Left] {
            let ended = store.end_session(&drop, first, reason, subject.at().now);
            ended.await.unwrap();
        }
        store.note_decided(&drop, first, subject.at().now).await.unwrap();
        for name in [2, 3] {
            let leaver = claimant(name, Number(name));
            store.leave(&drop, leaver, subject.at()).await.unwrap();
        }
        let view = subject.view().await;
        seen.push((view.room, view.tally, view.revoked));
    }
    assert_eq!((&seen[0], &seen[0]), (&seen[1], &seen[2]));
    let (room, tally, revoked) = &seen[0];
    assert_eq!((room.active, room.waiting, tally.left), (0, 0, 2));
    assert_eq!(revoked.len(), 2);
    assert!(revoked.contains(&first) && revoked.contains(&second));
    assert_eq!(subject.claim(1, 1).await, Claim::Finished);
    for name in [2, 3] {
        assert_eq!(subject.claim(name, name).await, Claim::Left);
    }
    // When their tokens have died by themselves nobody speaks of them any more.
    subject.now += 611_000;
    assert!(subject.view().await.revoked.is_empty());
}

/// Renewal answers each admission of the batch; sessions that are over answer nothing.
pub(crate) async fn a_batch_of_renewals_is_answered_one_by_one(store: Arc<dyn QueueStore>) {
    let mut subject = Subject::open(store, &rules(10, 10)).await;
    subject.join(&[1, 2, 3]).await;
    subject.call(3).await.unwrap();
    let (first, second) = (subject.admit(1).await, subject.admit(2).await);
    let now = subject.at().now;
    subject
        .store
        .end_session(&subject.drop, second, EndReason::Left, now)
        .await
        .unwrap();
    subject.now += 1_000;
    let now = subject.at().now;
    let unknown = AdmissionId([9; 16]);
    let renewed = subject
        .store
        .renew(&subject.drop, vec![first, second, unknown], now)
        .await
        .unwrap();
    assert_eq!(renewed, [Some(now + Span::from_mins(10)), None, None]);
}

/// A place that the store never heard of is taken up from its ticket.
pub(crate) async fn a_ticket_brings_its_place_back(store: Arc<dyn QueueStore>) {
    let subject = Subject::open(store, &rules(10, 10)).await;
    subject.join(&[1]).await;
    let held = Some(claimant(5, Number(40)));
    let request = JoinRequest {
        shopper: shopper(5),
        random: 0,
        held,
    };
    let joined = subject
        .store
        .join(&subject.drop, vec![request], subject.at())
        .await
        .unwrap();
    assert_eq!(joined[0].map(|j| (j.number, j.repeated)), Ok((Number(40), true)));
    let foreign = JoinRequest {
        shopper: shopper(6),
        random: 0,
        held,
    };
    let joined = subject
        .store
        .join(&subject.drop, vec![foreign], subject.at())
        .await
        .unwrap();
    assert_eq!(
        joined[0].map(|j| j.number),
        Ok(Number(41)),
        "somebody else's ticket brings nothing"
    );
}

/// Commands take effect before they are answered, and drops do not know of each other.
pub(crate) async fn commands_hold_for_their_drop_alone(store: Arc<dyn QueueStore>) {
    let aurora = Subject::open(store.clone(), &rules(10, 10)).await;
    let borealis = DropRules {
        drop: DropId::new("borealis").unwrap(),
        ..rules(10, 10)
    };
    let borealis = Subject::open(store, &borealis).await;
    for subject in [&aurora, &borealis] {
        subject.join(&[1]).await;
        subject.call(1).await.unwrap();
    }
    let control = aurora
        .store
        .control(&aurora.drop, Command::Pause, aurora.at())
        .await
        .unwrap();
    assert!(control.paused);
    assert_eq!(aurora.claim(1, 1).await, Claim::Paused);
    borealis.admit(1).await;
}

/// A drop that was never opened is refused, not invented.
pub(crate) async fn an_unknown_drop_is_refused(store: Arc<dyn QueueStore>) {
    let nowhere = DropId::new("nowhere").unwrap();
    let at = Moment {
        now: Timestamp::from_millis(START),
        stock: StockState::Left,
    };
    assert!(store.view(&nowhere, at).await.is_err());
    assert!(store.claim(&nowhere, claimant(1, Number(1)), at).await.is_err());
}

/// Whoever reads the clock first may get here second; time does not run back for that.
pub(crate) async fn time_does_not_run_back_between_operations(store: Arc<dyn QueueStore>) {
    let mut subject = Subject::open(store, &rules(10, 10)).await;
    subject.join(&[1]).await;
    subject.call(1).await.unwrap();
    let later = subject.at().now + Span::from_secs(5);
    subject.now += 5_000;
    subject.view().await;
    subject.now -= 5_000;
    let Claim::Admitted { expires_at, .. } = subject.claim(1, 1).await else {
        panic!("not admitted")
    };
    assert_eq!(expires_at, later + Span::from_mins(10));
    assert_eq!(subject.view().await.now, later);
    let opened = subject.store.open(&rules(10, 10), subject.at()).await;
    assert_eq!(opened, Ok(later), "whoever opens it again is told how late it is");
}

/// Where each shopper draws a rank, the lowest ranks are called, whoever came first.
pub(crate) async fn the_random_method_serves_by_lot(store: Arc<dyn QueueStore>) {
    let rules = DropRules {
        method: QueueingMethod::Random,
        ..rules(10, 100)
    };
    let subject = Subject::open(store, &rules).await;
    let names: Vec<u64> = (1..=20).collect();
    let joined = subject.join(&names).await;
    let mut drawn: Vec<(Rank, u64)> = joined
        .iter()
        .zip(&names)
        .map(|(joined, name)| (joined.unwrap().drawn.unwrap(), *name))
        .collect();
    let again = subject.join(&names).await;
    assert!(
        again
            .iter()
            .zip(&drawn)
            .all(|(joined, (rank, _))| joined.unwrap().drawn == Some(*rank)),
        "nobody draws twice"
    );
    drawn.sort_unstable();
    assert!(
        !drawn.iter().map(|(_, name)| *name).is_sorted(),
        "the order of joining decides nothing"
    );
    subject.call(5).await.unwrap();
    for (place, (rank, name)) in drawn.iter().enumerate() {
        let ticket = Claimant {
            drawn: Some(*rank),
            ..claimant(*name, Number(*name))
        };
        let claim = subject
            .store
            .claim(&subject.drop, ticket, subject.at())
            .await
            .unwrap();
        let is_in = matches!(claim, Claim::Admitted { repeated: false, .. });
        assert_eq!(is_in, place < 5, "place {place}: {claim:?}");
    }
}
