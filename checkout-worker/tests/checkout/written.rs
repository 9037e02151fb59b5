//! What operators do is written down: by whom, and how it was before and after.

use checkout_worker::checkout::{MendError, StockChangeError};
use checkout_worker::ledger::{AuditEntry, AuditLine, Replay, StockChange};
use domain::saga::Restock;
use domain::{OrderId, Span};

use super::support::{Shop, VISA, drop_id, sku};

async fn lines(shop: &Shop) -> Vec<AuditLine> {
    shop.checkout.noted(None, 99).await.unwrap()
}

/// A member of what a line tells.
fn member(text: Option<&String>, name: &str) -> serde_json::Value {
    let told: serde_json::Value = serde_json::from_str(text.unwrap()).unwrap();
    told[name].clone()
}

#[tokio::test]
async fn a_mended_order_is_written_down_when_it_is_begun_and_when_it_is_done() {
    let shop = Shop::open(5).await;
    let order = shop.buy(1, VISA).await;
    shop.checkout.drive(order).await.unwrap();
    shop.checkout.refund(order, Restock::Keep, "ann").await.unwrap();
    let written = lines(&shop).await;
    let [done, begun] = written.as_slice() else {
        panic!("{written:?}")
    };
    for line in [done, begun] {
        assert_eq!((line.action.as_str(), line.by.as_str()), ("order.refund", "ann"));
        assert_eq!(line.subject, order.to_string());
        assert_eq!(member(line.before.as_ref(), "state"), "paid");
    }
    assert_eq!(begun.after, None);
    let version = |text: Option<&String>| member(text, "version").as_u64().unwrap();
    assert!(version(done.after.as_ref()) > version(done.before.as_ref()));
}

#[tokio::test]
async fn what_is_refused_is_written_down_as_begun_only_and_what_is_unknown_not_at_all() {
    let shop = Shop::open(5).await;
    let order = shop.buy(1, VISA).await;
    let refused = shop.checkout.refund(order, Restock::Keep, "ann").await;
    assert!(matches!(refused, Err(MendError::Refused(_))), "{refused:?}");
    let unknown = shop.checkout.retry(OrderId(404), "ann").await;
    assert!(matches!(unknown, Err(MendError::Unknown(_))), "{unknown:?}");
    let written = lines(&shop).await;
    assert_eq!(written.len(), 1);
    assert_eq!(member(written[0].before.as_ref(), "state"), "accepted");
    assert_eq!(written[0].after, None);
}

#[tokio::test]
async fn a_stock_change_is_written_down_once_and_a_refused_one_never() {
    let shop = Shop::open(5).await;
    let change = async |name: &str, change| {
        let (drop, sku) = (drop_id(), sku(name));
        shop.checkout.change_stock(&drop, &sku, change, "ben").await
    };
    let level = change("AUR-42", StockChange::Add(3)).await.unwrap();
    assert_eq!(level.total, 8);
    let refused = change("AUR-42", StockChange::Withdraw(9)).await;
    assert!(matches!(refused, Err(StockChangeError::NotFree { free: 8, .. })));
    let refused = change("AUR-42", StockChange::Add(u32::MAX)).await;
    assert!(matches!(refused, Err(StockChangeError::TooMany)));
    let refused = change("AUR-99", StockChange::Add(1)).await;
    assert!(matches!(refused, Err(StockChangeError::UnknownSku { .. })));
    let written = lines(&shop).await;
    assert_eq!(written.len(), 1);
    assert_eq!(written[0].subject, "aurora AUR-42 add 3");
    assert_eq!(member(written[0].before.as_ref(), "total"), 5);
    assert_eq!(member(written[0].after.as_ref(), "total"), 8);
}

#[tokio::test]
async fn a_replay_is_written_down_with_what_it_came_to_and_old_lines_are_left_out() {
    let shop = Shop::open(5).await;
    let order = shop.buy(1, VISA).await;
    shop.checkout.drive(order).await.unwrap();
    let old = AuditEntry::new("test", "old", "ann");
    shop.checkout.note(old).await.unwrap();
    shop.clock.advance(Span::from_mins(10));
    let replayed = shop.checkout.replay(Replay::Order(order), "one", "ann").await;
    let count = replayed.unwrap();
    let newest = shop.checkout.noted(Some(Span::from_mins(9)), 99).await.unwrap();
    let told: Vec<_> = newest.iter().map(|line| line.after.clone()).collect();
    assert_eq!(told, [Some(format!("{{\"replayed\":{count}}}")), None]);
    assert_eq!(lines(&shop).await.len(), 3);
}
