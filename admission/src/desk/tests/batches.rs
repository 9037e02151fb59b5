//! Joins and signs of life that come in the same moment go to the store together.

use super::*;
use crate::store::{Going, Went};

/// Whether anybody's join has reached the store.
fn a_join(store: &Faulty) -> bool {
    !store.joins.lock().unwrap().is_empty()
}

impl House {
    /// Comes back when so many errands wait for the clerk.
    async fn waiting(&self, errands: usize) {
        let full = || clerk::ERRANDS_MAX - self.desk.inner.errands.capacity() == errands;
        let asked = async {
            while !full() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), asked)
            .await
            .unwrap();
    }

    /// Comes back when the store has been asked what is wanted.
    async fn asked(&self, wanted: impl Fn(&Faulty) -> bool) {
        let asked = async {
            while !wanted(&self.store) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), asked)
            .await
            .unwrap();
    }

    /// Lets `count` shoppers join; gives their names in the order they came.
    fn crowd(
        &self,
        count: usize,
        crowd: &mut JoinSet<(ShopperKey, Result<Joined, JoinError>)>,
    ) -> Vec<ShopperKey> {
        let one = |_| {
            let (desk, (visitor, _)) = (self.desk.clone(), self.desk.greet());
            let name = desk.shopper(&aurora(), &visitor);
            crowd.spawn(async move { (name, desk.join(&aurora(), &visitor, None).await) });
            name
        };
        (0..count).map(one).collect()
    }

    fn sizes(&self) -> Vec<usize> {
        self.store.joins.lock().unwrap().iter().map(Vec::len).collect()
    }
}

#[tokio::test]
async fn all_who_wait_go_in_one_batch_in_the_order_they_came() {
    let house = House::new(rules(1, 600)).await;
    let mut crowd = JoinSet::new();
    let closed = house.store.gate.write().await;
    let mut names = house.crowd(1, &mut crowd);
    house.asked(a_join).await;
    names.extend(house.crowd(1_030, &mut crowd));
    house.waiting(1_030).await;
    drop(closed);
    let answers: BTreeMap<ShopperKey, Number> = crowd
        .join_all()
        .await
        .into_iter()
        .map(|(name, joined)| (name, joined.unwrap().place.number))
        .collect();
    assert_eq!(house.sizes(), [1, 1_024, 6]);
    assert_eq!(house.store.joins.lock().unwrap().concat(), names);
    let numbers: Vec<u64> = names.iter().map(|name| answers[name].0).collect();
    assert_eq!(numbers, (1..=1_031).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_store_that_fails_refuses_one_batch_and_serves_the_next() {
    let house = House::new(rules(1, 600)).await;
    let mut crowd = JoinSet::new();
    house.store.set_away(true);
    house.crowd(20, &mut crowd);
    for (_, refused) in crowd.join_all().await {
        assert!(matches!(refused, Err(JoinError::Unavailable(_))), "{refused:?}");
    }
    house.store.set_away(false);
    let mut crowd = JoinSet::new();
    house.crowd(20, &mut crowd);
    let joined = crowd.join_all().await.into_iter();
    let mut numbers: Vec<u64> = joined.map(|(_, joined)| joined.unwrap().place.number.0).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn more_than_may_wait_are_refused_at_once() {
    let house = House::new(rules(1, 600)).await;
    let mut crowd = JoinSet::new();
    let closed = house.store.gate.write().await;
    house.crowd(1, &mut crowd);
    house.asked(a_join).await;
    house.crowd(clerk::ERRANDS_MAX, &mut crowd);
    house.waiting(clerk::ERRANDS_MAX).await;
    let (visitor, _) = house.desk.greet();
    let refused = house.desk.join(&aurora(), &visitor, None).await;
    let Err(JoinError::Unavailable(Unavailable { reason, retry_after })) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(
        (reason, retry_after),
        ("too many shoppers join at once", Span::from_secs(2))
    );
    drop(closed);
    let answers = crowd.join_all().await;
    assert!(answers.iter().all(|(_, joined)| joined.is_ok()));
}

#[tokio::test]
async fn who_hangs_up_takes_nothing_from_the_others() {
    let house = House::new(rules(1, 600)).await;
    let (mut crowd, mut gone) = (JoinSet::new(), JoinSet::new());
    let closed = house.store.gate.write().await;
    house.crowd(1, &mut crowd);
    house.asked(a_join).await;
    house.crowd(3, &mut gone);
    house.crowd(3, &mut crowd);
    house.waiting(6).await;
    gone.shutdown().await;
    drop(closed);
    let mut numbers: Vec<u64> = crowd
        .join_all()
        .await
        .into_iter()
        .map(|(_, joined)| joined.unwrap().place.number.0)
        .collect();
    numbers.sort_unstable();
    assert_eq!(
        numbers,
        [1, 5, 6, 7],
        "those who hung up had numbers that belong to nobody"
    );
}

#[tokio::test]
async fn a_desk_that_has_closed_says_so() {
    let mut house = House::new(rules(1, 600)).await;
    house.stop.cancel();
    while house.tasks.join_next().await.is_some() {}
    let refused = house.desk.join(&aurora(), &house.desk.greet().0, None).await;
    let Err(JoinError::Unavailable(Unavailable { reason, .. })) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(reason, "the desk is closing");
}

#[tokio::test]
async fn signs_of_life_go_together_and_each_gets_its_own_answer() {
    let house = House::new(rules(10, 600)).await;
    let mut inside = Vec::new();
    for _ in 0..5 {
        let shopper = house.join().await;
        house
            .until(|snapshot| snapshot.frontier.0 > shopper.1.place.number.0)
            .await;
        let grant = house.admit(&shopper).await;
        inside.push(house.desk.verify(&aurora(), &grant.token, &shopper.0).unwrap());
    }
    let ended = inside[3].admission;
    house.desk.revoke(&aurora(), ended).await.unwrap();
    house.clock.wait(400_000);
    let closed = house.store.gate.write().await;
    let mut renewals = JoinSet::new();
    for (nth, admitted) in inside.into_iter().enumerate() {
        let desk = house.desk.clone();
        renewals.spawn(async move { (admitted.admission, desk.renew(&admitted).await.unwrap()) });
        // The first is at the store before the others come, so that they have to wait.
        if nth == 0 {
            house
                .asked(|store| store.renewals.lock().unwrap().len() == 1)
                .await;
        }
    }
    house.waiting(4).await;
    drop(closed);
    for (admission, renewed) in renewals.join_all().await {
        assert_eq!(
            renewed.map(|grant| grant.admission),
            (admission != ended).then_some(admission)
        );
    }
    assert_eq!(*house.store.renewals.lock().unwrap(), [1, 4]);
}

#[tokio::test]
async fn those_who_go_to_order_in_one_moment_ask_together() {
    let house = House::new(rules(10, 600)).await;
    let mut inside = Vec::new();
    for _ in 0..4 {
        let shopper = house.join().await;
        house
            .until(|snapshot| snapshot.frontier.0 > shopper.1.place.number.0)
            .await;
        inside.push(house.admit(&shopper).await.admission);
    }
    let closed = house.store.gate.write().await;
    let mut going = JoinSet::new();
    for (nth, admission) in inside.iter().chain([&inside[0]]).copied().enumerate() {
        let desk = house.desk.clone();
        going.spawn(async move {
            let went = desk.go_to_order(&aurora(), admission, Going::Now).await;
            (nth, went.unwrap())
        });
        if nth == 0 {
            house.asked(|store| store.orders.lock().unwrap().len() == 1).await;
        }
    }
    house.waiting(4).await;
    drop(closed);
    for (nth, went) in going.join_all().await {
        let again = nth == 4;
        assert_eq!(went == Went::Perhaps, again, "the {nth}th");
    }
    assert_eq!(*house.store.orders.lock().unwrap(), [1, 4]);
}

#[tokio::test]
async fn whoever_asks_about_an_order_while_the_store_is_away_is_told_so() {
    let house = House::new(rules(10, 600)).await;
    house.store.set_away(true);
    let (drop, nobody) = (aurora(), AdmissionId([1; 16]));
    let asked = house.desk.go_to_order(&drop, nobody, Going::Perhaps);
    assert!(asked.await.is_err());
}
