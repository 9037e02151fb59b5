//! The restore drill: the ledger comes back as it was hours ago, and the provider has gone on since.

use std::collections::BTreeMap;

use checkout_worker::Checkout;
use checkout_worker::checkout::Restored;
use checkout_worker::jobs::Job;
use checkout_worker::ledger::{Channel, Message};
use checkout_worker::provider::memory::{Fault, MemoryProvider};
use domain::saga::{LEASE, Restock, StateName};
use domain::{OrderId, Span};

use super::house::{House, postgres};
use super::support::{PAYMENTS, SECURE, VISA, config, drop_id, method, place, ports, purchase, recover};

const PRICE: u64 = 12_900;

/// The orders of the story, by what became of them in the time that is lost.
struct Story {
    refunded: OrderId,
    reserved: OrderId,
    accepted: OrderId,
    unanswered: OrderId,
    lost: [OrderId; 3],
}

async fn open(house: &House, provider: &MemoryProvider) -> Checkout {
    let ports = ports(
        house.ledger.clone(),
        std::sync::Arc::new(provider.clone()),
        house.clock.clone(),
    );
    Checkout::open(config(9), ports).await.unwrap()
}

async fn state(checkout: &Checkout, order: OrderId) -> StateName {
    checkout.view(order).await.unwrap().unwrap().ledger_state
}

/// What the provider keeps of each order's money, and how many of its payments are open.
fn kept(provider: &MemoryProvider) -> BTreeMap<OrderId, (u64, usize)> {
    let mut orders: BTreeMap<OrderId, (u64, usize)> = BTreeMap::new();
    for payment in provider.books().payments {
        let order = orders.entry(payment.order).or_default();
        order.0 += payment.captured - payment.refunded;
        order.1 += usize::from(payment.is_open());
    }
    orders
}

/// Every notice that the ledger has kept, as whoever is told knows it: by order and version.
async fn notices(house: &House) -> Vec<(OrderId, u64)> {
    let pending = house.ledger.pending(Channel::Notices, 1_000).await.unwrap();
    let named = pending.into_iter().map(|row| match row.message {
        Message::Notice(notice) => (notice.order, notice.version),
        Message::Drive => panic!("a notice is no message to workers"),
    });
    named.collect()
}

/// The spaces that the payments of an order were made in, the oldest payment first.
fn spaces(provider: &MemoryProvider, order: OrderId) -> Vec<String> {
    let payments = provider.books().payments;
    let own = payments.iter().filter(|payment| payment.order == order);
    own.map(|payment| payment.space.to_string()).collect()
}

/// Sells until the backup is made, and goes on afterwards; gives the copy.
async fn tell(house: &House, provider: &MemoryProvider) -> (Story, House) {
    let checkout = open(house, provider).await;
    let refunded = place(&checkout, purchase(1, Some(VISA))).await;
    checkout.drive(refunded).await.unwrap();
    let reserved = place(&checkout, purchase(2, None)).await;
    let accepted = place(&checkout, purchase(3, Some(VISA))).await;
    let unanswered = place(&checkout, purchase(4, Some(VISA))).await;
    provider.plan([Fault::AnswerLost]);
    checkout.drive(unanswered).await.unwrap();
    assert_eq!(state(&checkout, unanswered).await, StateName::Authorising);
    let copy = house.copied().await;

    checkout.refund(refunded, Restock::Keep, "test").await.unwrap();
    checkout.accept(reserved, method(VISA)).await.unwrap();
    house.clock.advance(LEASE + Span::from_secs(5));
    for order in [reserved, accepted, unanswered] {
        checkout.drive(order).await.unwrap();
        assert_eq!(state(&checkout, order).await, StateName::Paid);
    }
    let paid = place(&checkout, purchase(5, Some(VISA))).await;
    checkout.drive(paid).await.unwrap();
    let confirming = place(&checkout, purchase(6, Some(SECURE))).await;
    checkout.drive(confirming).await.unwrap();
    let authorised = place(&checkout, purchase(7, Some(VISA))).await;
    provider.plan([Fault::None, Fault::RequestLost]);
    checkout.drive(authorised).await.unwrap();
    assert_eq!(state(&checkout, authorised).await, StateName::Committed);
    let story = Story {
        refunded,
        reserved,
        accepted,
        unanswered,
        lost: [paid, confirming, authorised],
    };
    (story, copy)
}

fn check_money(story: &Story, provider: &MemoryProvider) {
    let kept = kept(provider);
    assert!(
        kept.values().all(|(_, open)| *open == 0),
        "nothing is left open: {kept:?}"
    );
    assert_eq!(
        kept[&story.unanswered].0, PRICE,
        "what the copy waits for is taken over"
    );
    for order in [story.refunded, story.reserved, story.accepted]
        .iter()
        .chain(&story.lost)
    {
        assert_eq!(kept[order].0, 0, "order {order}");
    }
}

async fn drill(house: House) {
    let provider = MemoryProvider::new(house.clock.clone());
    let (story, copy) = tell(&house, &provider).await;
    let (lost, kept_notices) = (notices(&house).await, notices(&copy).await);

    let checkout = open(&copy, &provider).await;
    let since = copy_time(&copy);
    let restored: Restored = checkout.restore(since, "test").await.unwrap();
    assert!(restored.is_done(), "{restored:?}");
    assert_eq!(
        (
            restored.key_space.to_string().as_str(),
            restored.found.unknown,
            restored.found.given_back
        ),
        ("dl2", 3, 1)
    );
    assert_eq!(
        given_back(&checkout).await,
        [format!("{} pi_5 {PRICE} eur", story.lost[0])]
    );
    assert_eq!(state(&checkout, story.unanswered).await, StateName::Paid);
    assert_eq!(state(&checkout, story.refunded).await, StateName::Refunded);
    check_money(&story, &provider);
    assert_eq!(copy.ledger.switches().await.unwrap(), Vec::<String>::new());

    // Life goes on: keys of the lost time are not met again, whatever is asked for now.
    let again = open(&copy, &provider).await;
    let other_card = method("pm_card_mastercard");
    again.accept(story.reserved, other_card).await.unwrap();
    for order in [story.reserved, story.accepted] {
        again.drive(order).await.unwrap();
        assert_eq!(state(&again, order).await, StateName::Paid);
        assert_eq!(kept(&provider)[&order].0, PRICE);
    }
    assert!(again.audit().await.unwrap().is_clean());
    // And once more changes nothing but the space.
    let twice = again.restore(since, "test").await.unwrap();
    assert!(twice.is_done() && twice.found.applied == 0, "{twice:?}");
    assert_eq!(twice.key_space.to_string(), "dl3");

    // Whoever was told of the lost time takes nothing that is told now for a repetition, or for old news.
    let mut told = notices(&copy).await;
    told.retain(|notice| !kept_notices.contains(notice));
    assert_eq!(told.len(), 4, "{told:?}");
    for (order, version) in told {
        let newest = lost.iter().filter(|(known, _)| *known == order).max();
        let newest = newest.map_or(0, |(_, version)| *version);
        assert!(
            version > newest,
            "{order}: {version}, and {newest} in the lost time"
        );
    }
}

/// What the operators' log says was given back.
async fn given_back(checkout: &Checkout) -> Vec<String> {
    let lines = checkout.noted(None, 100).await.unwrap();
    let ended = lines
        .into_iter()
        .filter(|line| line.action == "restore.give_back" && line.after.as_deref() == Some("\"ok\""));
    ended.map(|line| line.subject).collect()
}

#[tokio::test]
async fn a_process_that_stood_still_through_a_restore_draws_no_key_of_the_lost_time() {
    let house = House::sqlite();
    let provider = MemoryProvider::new(house.clock.clone());
    let (story, copy) = tell(&house, &provider).await;
    let early = open(&copy, &provider).await;
    let restored = open(&copy, &provider)
        .await
        .restore(copy_time(&copy), "test")
        .await
        .unwrap();
    assert!(restored.is_done(), "{restored:?}");
    early.jobs().round(Job::Switches).await.unwrap();
    early.drive(story.accepted).await.unwrap();
    assert_eq!(state(&early, story.accepted).await, StateName::Paid);
    assert_eq!(kept(&provider)[&story.accepted].0, PRICE, "paid, and with money");
    assert_eq!(spaces(&provider, story.accepted), ["dl1", "dl2"]);
}

#[tokio::test]
async fn a_copy_that_comes_back_twice_meets_no_key_of_either_time_that_was_lost() {
    let house = House::sqlite();
    let provider = MemoryProvider::new(house.clock.clone());
    let (story, copy) = tell(&house, &provider).await;
    let same_copy = copy.copied().await;
    let checkout = open(&copy, &provider).await;
    let restored = checkout.restore(copy_time(&copy), "test").await.unwrap();
    assert_eq!(restored.key_space.to_string(), "dl2");
    checkout.drive(story.accepted).await.unwrap();
    assert_eq!(kept(&provider)[&story.accepted].0, PRICE);

    let checkout = open(&same_copy, &provider).await;
    let restored = checkout.restore(copy_time(&same_copy), "test").await.unwrap();
    assert!(restored.is_done(), "{restored:?}");
    assert_eq!(restored.key_space.to_string(), "dl3");
    assert_eq!(kept(&provider)[&story.accepted].0, 0, "given back once more");
    checkout.drive(story.accepted).await.unwrap();
    assert_eq!(state(&checkout, story.accepted).await, StateName::Paid);
    assert_eq!(kept(&provider)[&story.accepted].0, PRICE, "paid, and with money");
    assert_eq!(spaces(&provider, story.accepted), ["dl1", "dl2", "dl3"]);
    assert!(checkout.audit().await.unwrap().is_clean());
}

#[tokio::test]
async fn a_dead_payment_of_the_lost_time_is_not_the_one_of_the_order_that_starts_over() {
    let house = House::sqlite();
    let provider = MemoryProvider::new(house.clock.clone());
    let (story, copy) = tell(&house, &provider).await;
    let checkout = open(&copy, &provider).await;
    checkout.restore(copy_time(&copy), "test").await.unwrap();
    assert_eq!(kept(&provider)[&story.accepted], (0, 0));
    // Its new key is of no use, so that the provider is asked whether there is a payment: there is an old one.
    provider.plan([Fault::SavedError, Fault::SavedError]);
    checkout.drive(story.accepted).await.unwrap();
    recover(&checkout, &copy.clock).await;
    assert_eq!(state(&checkout, story.accepted).await, StateName::Paid);
    assert_eq!(kept(&provider)[&story.accepted].0, PRICE);
    assert_eq!(spaces(&provider, story.accepted), ["dl1", "dl2"]);
}

fn copy_time(house: &House) -> domain::Timestamp {
    use domain::Clock as _;
    house.clock.now() - Span::from_mins(10)
}

#[tokio::test]
async fn a_restored_sqlite_ledger_and_the_provider_come_together() {
    drill(House::sqlite()).await;
}

#[tokio::test]
async fn a_restored_postgres_ledger_and_the_provider_come_together() {
    drill(House::postgres(&postgres().await, "drill").await).await;
}

#[tokio::test]
async fn while_something_is_left_orders_and_payments_stay_stopped() {
    let house = House::sqlite();
    let provider = MemoryProvider::new(house.clock.clone());
    let (story, copy) = tell(&house, &provider).await;
    let checkout = open(&copy, &provider).await;
    // The provider does not answer to any change, however often it is asked.
    provider.plan([Fault::RequestLost; 200]);
    let restored = checkout.restore(copy_time(&copy), "test").await.unwrap();
    assert!(!restored.is_done() && restored.left > 0, "{restored:?}");
    assert_eq!(copy.ledger.switches().await.unwrap(), ["restoring"]);
    let early = open(&copy, &provider).await;
    early.resume(PAYMENTS, "test").await.unwrap();
    assert!(early.payments_shut(&drop_id()).is_some() && early.is_stopped(&drop_id()));
    provider.plan([]);
    let restored = open(&copy, &provider)
        .await
        .restore(copy_time(&copy), "test")
        .await
        .unwrap();
    assert!(restored.is_done(), "{restored:?}");
    check_money(&story, &provider);
    let checkout = open(&copy, &provider).await;
    assert!(checkout.payments_shut(&drop_id()).is_none() && !checkout.is_stopped(&drop_id()));
    recover(&checkout, &copy.clock).await;
    assert!(checkout.audit().await.unwrap().is_clean());
}
