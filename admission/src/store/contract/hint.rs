//! The stock hint and who went to order, on every store.

use domain::pool::Level;
use domain::{Entropy as _, Keeper, Sku, StockHint};

use super::*;
use crate::testing::Repeating;

/// A reading in which `held` units of ten are held.
fn reading(keeper: u64, read_at: u64, held: u32) -> StockHint {
    let level = |held, sold| Level {
        total: 10,
        held,
        sold,
    };
    StockHint {
        keeper: Keeper(keeper),
        read_at: Timestamp::from_millis(read_at),
        levels: vec![
            (Sku::new("A-1").unwrap(), level(held, 0)),
            (Sku::new("b.2").unwrap(), level(0, 10)),
        ],
    }
}

impl Subject {
    async fn offer(&self, reading: StockHint) {
        let now = self.at().now;
        self.store.offer_stock(&self.drop, reading, now).await.unwrap();
    }

    async fn hint(&self) -> Option<StockHint> {
        self.view().await;
        self.store.stock_hint(&self.drop).map(|hint| (*hint).clone())
    }

    async fn goes(&self, admission: AdmissionId, going: Going) -> Went {
        let now = self.at().now;
        let asked = self.store.go_to_order(&self.drop, vec![(admission, going)], now);
        asked.await.unwrap()[0]
    }
}

/// There is no hint before somebody offers one; then it comes with the view, as it was offered.
pub(crate) async fn a_reading_is_seen_with_the_view(store: Arc<dyn QueueStore>) {
    let subject = Subject::open(store, &rules(10, 10)).await;
    assert_eq!(subject.hint().await, None);
    let offered = reading(u64::MAX, START, 3);
    subject.offer(offered.clone()).await;
    assert_eq!(subject.hint().await, Some(offered));
    let fewer = StockHint {
        levels: vec![reading(0, 0, 4).levels.remove(0)],
        ..reading(u64::MAX, START + 1, 4)
    };
    subject.offer(fewer.clone()).await;
    assert_eq!(
        subject.hint().await,
        Some(fewer),
        "what is no longer sold is gone"
    );
    let nowhere = DropId::new("nowhere").unwrap();
    assert_eq!(subject.store.stock_hint(&nowhere), None);
    let offered = subject
        .store
        .offer_stock(&nowhere, reading(1, START, 0), subject.at().now);
    assert!(offered.await.is_err());
}

/// While a keeper works nobody takes its place; once it is silent the first who offers does.
pub(crate) async fn a_silent_keeper_is_replaced(store: Arc<dyn QueueStore>) {
    let mut subject = Subject::open(store, &rules(10, 10)).await;
    subject.offer(reading(1, START, 1)).await;
    subject.now += 900;
    subject.offer(reading(2, START + 900, 2)).await;
    assert_eq!(subject.hint().await, Some(reading(1, START, 1)));
    subject.now += 101;
    subject.offer(reading(2, START + 1_001, 2)).await;
    subject.offer(reading(3, START + 1_001, 3)).await;
    assert_eq!(subject.hint().await, Some(reading(2, START + 1_001, 2)));
    subject.offer(reading(1, START + 1_001, 1)).await;
    assert_eq!(
        subject.hint().await,
        Some(reading(2, START + 1_001, 2)),
        "who thaws is not the keeper any more"
    );
}

/// Whatever is offered in whatever order, the store takes what the rule of the domain takes.
pub(crate) async fn offers_agree_with_the_rule(store: Arc<dyn QueueStore>) {
    let mut subject = Subject::open(store, &rules(10, 10)).await;
    let (entropy, mut model) = (Repeating::from(7), None::<StockHint>);
    for step in 0..300 {
        let mut random = [0; 4];
        entropy.fill(&mut random);
        let [keeper, age, waited, ahead] = random.map(u64::from);
        subject.now += waited * 3;
        let read_at = (subject.now + (ahead % 8) * 170).saturating_sub(age * 6);
        let offer = reading(keeper % 3, read_at, u32::from(random[0] % 10));
        if offer.may_replace(model.as_ref(), subject.at().now) {
            model = Some(offer.clone());
        }
        subject.offer(offer).await;
        let kept = subject.store.stock_hint(&subject.drop);
        assert_eq!(kept.as_deref(), model.as_ref(), "after offer {step}");
    }
    assert!(model.is_some());
}

/// Who goes to order is remembered from the first time on, alone, and only while inside.
pub(crate) async fn who_went_to_order_is_known_while_the_session_lasts(store: Arc<dyn QueueStore>) {
    let subject = Subject::open(store, &rules(10, 10)).await;
    subject.join(&[1, 2]).await;
    subject.call(2).await.unwrap();
    let (first, second) = (subject.admit(1).await, subject.admit(2).await);
    assert_eq!(subject.goes(first, Going::Perhaps).await, Went::Never);
    assert_eq!(
        subject.goes(first, Going::Perhaps).await,
        Went::Never,
        "looking is not going"
    );
    assert_eq!(subject.goes(first, Going::Now).await, Went::Never);
    for going in [Going::Now, Going::Perhaps] {
        assert_eq!(subject.goes(first, going).await, Went::Perhaps);
    }
    let (stranger, now) = (AdmissionId([9; 16]), subject.at().now);
    let batch = vec![
        (second, Going::Now),
        (stranger, Going::Now),
        (second, Going::Perhaps),
        (first, Going::Perhaps),
    ];
    let asked = subject.store.go_to_order(&subject.drop, batch, now);
    assert_eq!(
        asked.await.unwrap(),
        [Went::Never, Went::Perhaps, Went::Perhaps, Went::Perhaps],
        "each of a batch sees those before it; nobody can tell about one without a session"
    );
    let ended = subject
        .store
        .end_session(&subject.drop, second, EndReason::Left, now);
    ended.await.unwrap();
    assert_eq!(subject.goes(second, Going::Perhaps).await, Went::Perhaps);
}
