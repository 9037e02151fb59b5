//! The audit finds what is made wrong by hand, under its own name: a book that cannot differ proves nothing.

use std::collections::BTreeSet;

use checkout_worker::audit::BOOKS;
use checkout_worker::checkout::MendError;
use checkout_worker::ledger::{Channel, FORGOTTEN_NAMED, Ledger, OrderFilter};
use checkout_worker::sqlite::FILE_NAME;
use checkout_worker::{DropTerms, Purchase};
use domain::saga::{Restock, StateName};
use domain::{OrderId, Span};
use rusqlite::Connection;

use super::drains::all;
use super::support::{DECLINED, SECURE, Shop, VISA, config, drop_id, item, line, place, purchase, terms};
use super::witness::Watched;

/// One order each that is paid, refunded, declined, reserved, and at its shopper's bank.
async fn lived() -> Watched {
    let shop = Watched::usual().await;
    for (shopper, card) in [(1, VISA), (2, VISA), (3, DECLINED), (5, SECURE)] {
        let order = place(&shop.checkout, purchase(shopper, Some(card))).await;
        shop.checkout.drive(order).await.unwrap();
        if shopper == 2 {
            shop.checkout
                .refund(order, Restock::Return, "test")
                .await
                .unwrap();
        }
    }
    place(&shop.checkout, purchase(4, None)).await;
    // Every message was delivered, as by a broker.
    let pending = shop.ledger.pending(Channel::Workers, 100).await.unwrap();
    let delivered = pending.into_iter().map(|row| row.id).collect();
    shop.ledger.delivered(delivered).await.unwrap();
    assert!(shop.checkout.audit().await.unwrap().is_clean());
    shop
}

/// The order that stands in this state.
async fn standing(shop: &Watched, state: StateName) -> OrderId {
    let states = vec![state];
    let filter = OrderFilter { states, ..all() };
    shop.checkout.orders(filter).await.unwrap()[0].order
}

/// Somebody writes into the file, past every guard there is.
pub(crate) fn by_hand(shop: &Watched, sql: &str) {
    let connection = Connection::open(shop.dir.path().join(FILE_NAME)).unwrap();
    connection
        .execute_batch(
            "PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF; \
             DROP TRIGGER IF EXISTS stock_entry_is_not_updated; DROP TRIGGER IF EXISTS stock_entry_is_not_deleted;",
        )
        .unwrap();
    let changed = connection.execute(sql, []).unwrap();
    assert!(changed > 0, "{sql} changes nothing");
}

/// What is written by hand, and the books that must then differ: these and no others.
const WRONGS: &[(&str, &[&str])] = &[
    (
        "UPDATE stock SET held = held + 1 WHERE sku = 'AUR-42' AND bucket = 0",
        &["held_by_entries", "held_by_orders"],
    ),
    (
        "UPDATE stock SET sold = sold + 1 WHERE sku = 'AUR-42' AND bucket = 0",
        &["sold_by_entries", "sold_by_orders"],
    ),
    ("UPDATE stock SET total = 0 WHERE sku = 'AUR-42'", &["oversold"]),
    (
        "UPDATE stock_entry SET quantity = quantity + 1 WHERE kind = 'hold' AND order_id = \
         (SELECT id FROM orders WHERE state = 'reserved')",
        &["held_by_entries"],
    ),
    (
        "DELETE FROM stock_entry WHERE kind = 'void' AND order_id = (SELECT id FROM orders WHERE state = 'declined')",
        &["held_by_entries"],
    ),
    (
        "UPDATE stock_entry SET quantity = quantity + 1 WHERE kind = 'sell' AND order_id = \
         (SELECT id FROM orders WHERE state = 'paid')",
        &["held_by_entries", "sold_by_entries"],
    ),
    (
        "DELETE FROM stock_entry WHERE kind = 'unsell'",
        &["sold_by_entries", "sold_by_orders"],
    ),
    (
        "UPDATE order_items SET quantity = 2 WHERE order_id = (SELECT id FROM orders WHERE state = 'reserved')",
        &["held_by_orders"],
    ),
    (
        "UPDATE order_items SET quantity = 2 WHERE order_id = (SELECT id FROM orders WHERE state = 'paid')",
        &["sold_by_orders"],
    ),
    (
        "UPDATE payment SET captured = captured + 1 WHERE order_id = (SELECT id FROM orders WHERE state = 'paid')",
        &["captured_total", "paid_without_capture"],
    ),
    (
        "UPDATE payment SET captured = 12900 WHERE order_id = \
         (SELECT id FROM orders WHERE state = 'action_required')",
        &["captured_total", "captured_without_paid"],
    ),
    (
        "DELETE FROM payment WHERE order_id = (SELECT id FROM orders WHERE state = 'paid')",
        &["captured_total", "paid_without_capture"],
    ),
    (
        "UPDATE orders SET due_at = 9223372036854775807, leased_until = 0 WHERE state = 'action_required'",
        &["forgotten_orders"],
    ),
    (
        "UPDATE orders SET total = total - 1 WHERE state = 'refunded'",
        &["captured_total", "paid_without_capture"],
    ),
];

#[tokio::test]
async fn each_book_made_wrong_by_hand_shows_up_under_its_name_and_no_other() {
    let mut shown = BTreeSet::new();
    for (sql, books) in WRONGS {
        let shop = lived().await;
        by_hand(&shop, sql);
        let report = shop.checkout.audit().await.unwrap();
        let found: BTreeSet<&str> = report
            .differences
            .iter()
            .map(|difference| difference.what)
            .collect();
        assert_eq!(found, books.iter().copied().collect(), "after {sql}");
        for difference in &report.differences {
            let of_stock = difference.what.contains("_by_") || difference.what == "oversold";
            let subject = match difference.what {
                _ if of_stock => "aurora AUR-42".to_owned(),
                "forgotten_orders" => standing(&shop, StateName::ActionRequired).await.to_string(),
                _ => String::new(),
            };
            assert_eq!(difference.subject, subject, "after {sql}");
            assert_ne!(difference.expected, difference.found);
        }
        shown.extend(found);
    }
    assert_eq!(
        shown,
        BOOKS.into_iter().collect(),
        "a book that nothing here can make differ"
    );
}

#[tokio::test]
async fn the_size_of_a_difference_is_told() {
    let shop = lived().await;
    by_hand(
        &shop,
        "UPDATE payment SET captured = captured + 7 WHERE captured > 0 AND refunded = 0",
    );
    let report = shop.checkout.audit().await.unwrap();
    let total = report
        .differences
        .iter()
        .find(|difference| difference.what == "captured_total")
        .unwrap();
    assert_eq!(total.found - total.expected, 7);
}

#[tokio::test]
async fn the_auditors_round_tells_the_house_what_an_audit_on_command_finds() {
    let shop = lived().await;
    let on_command = shop.checkout.audit().await.unwrap();
    let round = shop.checkout.jobs().audit().await.unwrap();
    assert_eq!(
        (round.sums, round.differences),
        (on_command.sums, on_command.differences)
    );
}

#[tokio::test]
async fn an_order_that_lost_only_its_message_is_not_forgotten() {
    let shop = Watched::usual().await;
    let order = place(&shop.checkout, purchase(1, Some(VISA))).await;
    by_hand(&shop, "DELETE FROM outbox");
    assert!(
        shop.checkout.audit().await.unwrap().is_clean(),
        "it is due, so the re-drive finds it"
    );
    assert_eq!(shop.checkout.jobs().redrive().await.unwrap(), 1);
    assert_eq!(shop.state(order).await, StateName::Accepted);
}

const FORGET: &str = "UPDATE orders SET due_at = 9223372036854775807, leased_until = 0 WHERE state = ";

#[tokio::test]
async fn so_many_forgotten_orders_are_named_and_the_others_counted() {
    let shop = Watched::open(config(FORGOTTEN_NAMED + 2)).await;
    let mut named = Vec::new();
    for shopper in 1..=FORGOTTEN_NAMED + 2 {
        let shopper = u8::try_from(shopper).unwrap();
        named.push(
            place(&shop.checkout, purchase(shopper, Some(VISA)))
                .await
                .to_string(),
        );
    }
    by_hand(&shop, "DELETE FROM outbox");
    by_hand(&shop, &format!("{FORGET} 'accepted'"));
    let differences = shop.checkout.audit().await.unwrap().differences;
    let told = differences.iter().map(|one| (one.subject.clone(), one.found));
    named.sort();
    named.truncate(FORGOTTEN_NAMED as usize);
    let mut expected: Vec<_> = named.into_iter().map(|order| (order, 1)).collect();
    expected.push((String::new(), 2));
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_forgotten_order_that_the_provider_may_know_is_asked_about_and_goes_on() {
    let shop = lived().await;
    by_hand(&shop, &format!("{FORGET} 'action_required'"));
    assert!(!shop.checkout.audit().await.unwrap().is_clean());
    shop.clock.advance(Span::from_mins(5));
    shop.checkout.jobs().reconcile_orders().await.unwrap();
    assert!(shop.checkout.audit().await.unwrap().is_clean());
}

#[tokio::test]
async fn a_forgotten_order_that_was_only_accepted_is_not_retried_and_can_be_given_up() {
    let shop = Watched::usual().await;
    let order = place(&shop.checkout, purchase(1, Some(VISA))).await;
    by_hand(&shop, "DELETE FROM outbox");
    by_hand(&shop, &format!("{FORGET} 'accepted'"));
    shop.clock.advance(Span::from_mins(2));
    shop.checkout.jobs().reconcile_orders().await.unwrap();
    assert_eq!(shop.checkout.jobs().redrive().await.unwrap(), 0);
    let retried = shop.checkout.retry(order, "test").await;
    assert!(matches!(retried, Err(MendError::Refused(_))), "{retried:?}");
    shop.checkout.cancel_by_operator(order, "test").await.unwrap();
    assert_eq!(shop.state(order).await, StateName::Released);
    assert!(shop.checkout.audit().await.unwrap().is_clean());
}

#[tokio::test]
async fn free_units_of_a_sku_that_is_not_named_any_more_are_not_for_sale() {
    let shop = Shop::open(2).await;
    let other = Purchase {
        lines: vec![line("AUR-43", 1)],
        ..purchase(1, Some(VISA))
    };
    place(&shop.checkout, other).await;
    let renamed = DropTerms {
        items: vec![item("AUR-42", 2), item("AUR-43-EU", 1)],
        ..terms(2)
    };
    shop.checkout.reconfigure(vec![renamed]).await.unwrap();
    let for_sale = shop.checkout.stock_for_sale(&drop_id()).await.unwrap();
    let told: Vec<_> = for_sale
        .iter()
        .map(|(sku, level)| (sku.as_str(), level.available(), level.held))
        .collect();
    assert_eq!(told, [("AUR-42", 2, 0), ("AUR-43", 0, 1), ("AUR-43-EU", 1, 0)]);
    let books = shop.checkout.stock(&drop_id()).await.unwrap();
    assert_eq!(books[1].1.available(), 1, "the books know it as before");
    assert!(shop.checkout.audit().await.unwrap().is_clean());
}
