//! The stock hint over several gateways, and over servers that forget.

use domain::pool::Level;
use domain::{Keeper, Sku};

use super::*;

fn memory() -> Arc<dyn Marks> {
    Arc::new(MemoryMarks::default())
}

/// A reading of gateway `keeper` in which `sold` of ten units are sold.
fn reading(keeper: u64, subject: &Subject, sold: u32) -> StockHint {
    let level = Level {
        total: 10,
        held: 0,
        sold,
    };
    StockHint {
        keeper: Keeper(keeper),
        read_at: subject.at().now,
        levels: vec![(Sku::new("AUR-42").unwrap(), level)],
    }
}

async fn offer(subject: &Subject, reading: StockHint) -> Result<(), Unavailable> {
    let now = subject.at().now;
    subject.store.offer_stock(&subject.drop, reading, now).await
}

fn kept_by(subject: &Subject) -> Option<u64> {
    subject.store.stock_hint(&subject.drop).map(|hint| hint.keeper.0)
}

async fn goes(subject: &Subject, name: u64, going: Going) -> Went {
    let admission = contract::claimant(name, Number(name)).admission;
    let now = subject.at().now;
    let asked = subject
        .store
        .go_to_order(&subject.drop, vec![(admission, going)], now);
    asked.await.unwrap()[0]
}

#[tokio::test]
async fn what_one_gateway_reads_all_see_with_their_view() {
    let redis = Redis::start().await.unwrap();
    let gateways = gateways(&redis, &memory(), 3, &contract::rules(10, 10)).await;
    offer(&gateways[0], reading(1, &gateways[0], 4)).await.unwrap();
    for gateway in &gateways[1..] {
        assert_eq!(kept_by(gateway), None, "it has not looked yet");
        gateway.view().await;
        let seen = gateway.store.stock_hint(&gateway.drop).unwrap();
        assert_eq!(*seen, reading(1, &gateways[0], 4));
    }
}

#[tokio::test]
async fn of_gateways_that_all_read_one_is_kept_and_the_others_are_told_whose() {
    let redis = Redis::start().await.unwrap();
    let mut gateways = gateways(&redis, &memory(), 4, &contract::rules(10, 10)).await;
    for (keeper, gateway) in (1..).zip(&gateways) {
        offer(gateway, reading(keeper, gateway, 0)).await.unwrap();
        assert_eq!(kept_by(gateway), Some(1), "told with the offer's own answer");
    }
    // The keeper dies: a second later whoever reads next has the office.
    for gateway in &mut gateways {
        gateway.now += 1_001;
    }
    for (keeper, gateway) in (1..).zip(&gateways).skip(2) {
        offer(gateway, reading(keeper, gateway, 0)).await.unwrap();
    }
    for gateway in &gateways[1..] {
        gateway.view().await;
        assert_eq!(kept_by(gateway), Some(3));
    }
}

#[tokio::test]
async fn a_hint_that_is_lost_with_its_keys_is_missing_until_somebody_reads_again() {
    let redis = Redis::start().await.unwrap();
    let pair = gateways(&redis, &memory(), 2, &contract::rules(10, 10)).await;
    offer(&pair[0], reading(1, &pair[0], 9)).await.unwrap();
    assert!(redis.flush().await);
    assert!(
        offer(&pair[0], reading(1, &pair[0], 10)).await.is_err(),
        "nothing is written to lost keys"
    );
    for gateway in &pair {
        until_back(gateway).await;
        assert_eq!(kept_by(gateway), None);
    }
    offer(&pair[1], reading(2, &pair[1], 10)).await.unwrap();
    pair[0].view().await;
    assert_eq!(kept_by(&pair[0]), Some(2));
}

#[tokio::test]
async fn a_server_that_is_away_keeps_no_hint_and_takes_none() {
    let redis = Redis::start().await.unwrap();
    let subject = gateways(&redis, &memory(), 1, &contract::rules(10, 10))
        .await
        .remove(0);
    offer(&subject, reading(1, &subject, 0)).await.unwrap();
    redis.freeze();
    assert!(offer(&subject, reading(1, &subject, 1)).await.is_err());
    let seen = subject.store.stock_hint(&subject.drop).unwrap();
    assert!(
        !seen.is_fresh(subject.at().now + Span::from_millis(1_001)),
        "it grows old by itself"
    );
    redis.thaw();
}

#[tokio::test]
async fn who_went_through_one_gateway_is_known_at_the_others() {
    let redis = Redis::start().await.unwrap();
    let pair = gateways(&redis, &memory(), 2, &contract::rules(10, 10)).await;
    pair[0].join(&[1, 2]).await;
    pair[0].call(2).await.unwrap();
    for name in [1, 2] {
        assert!(admission(&pair[0].claim(name, name).await).is_some());
    }
    assert_eq!(goes(&pair[0], 1, Going::Now).await, Went::Never);
    assert_eq!(goes(&pair[1], 1, Going::Perhaps).await, Went::Perhaps);
    assert_eq!(goes(&pair[1], 2, Going::Perhaps).await, Went::Never);
}

#[tokio::test]
async fn after_a_loss_everybody_inside_may_have_gone() {
    let redis = Redis::start().await.unwrap();
    let subject = gateways(&redis, &memory(), 1, &contract::rules(10, 10))
        .await
        .remove(0);
    subject.join(&[1, 2]).await;
    subject.call(2).await.unwrap();
    assert!(admission(&subject.claim(1, 1).await).is_some());
    assert_eq!(goes(&subject, 1, Going::Perhaps).await, Went::Never);
    assert!(redis.flush().await);
    until_back(&subject).await;
    assert_eq!(goes(&subject, 1, Going::Perhaps).await, Went::Perhaps);
    assert!(admission(&subject.claim(2, 2).await).is_some());
    assert_eq!(
        goes(&subject, 2, Going::Perhaps).await,
        Went::Never,
        "who comes in later is known from the start"
    );
}

#[tokio::test]
async fn the_names_of_those_who_went_go_with_their_sessions() {
    let redis = Redis::start().await.unwrap();
    let mut subject = gateways(&redis, &memory(), 1, &contract::rules(10, 10))
        .await
        .remove(0);
    subject.join(&[1]).await;
    subject.call(1).await.unwrap();
    subject.claim(1, 1).await;
    goes(&subject, 1, Going::Now).await;
    let key = "doorline:{d:aurora}:went";
    assert_eq!(redis.command(&["SCARD", key]).await.as_deref(), Some(":1\r\n"));
    subject.now += 3_600_000;
    subject.view().await;
    assert_eq!(redis.command(&["SCARD", key]).await.as_deref(), Some(":0\r\n"));
}
