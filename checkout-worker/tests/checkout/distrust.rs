//! Rows that somebody wrote by hand: each is refused with the order's name, and nothing panics, moves or is charged.

use checkout_worker::driver::DriveError;
use checkout_worker::ledger::{Channel, Ledger, LedgerError, OrderFilter};
use checkout_worker::sqlite::FILE_NAME;
use domain::OrderId;
use domain::saga::StateName;
use proptest::prelude::*;
use rusqlite::{Connection, params};

use super::audits::by_hand;
use super::support::{SECURE, VISA, place, purchase};
use super::witness::Watched;

/// A shop with one order that is at its shopper's bank: every column of its row is in use.
async fn at_the_bank() -> (Watched, OrderId) {
    let shop = Watched::usual().await;
    let order = place(&shop.checkout, purchase(1, Some(SECURE))).await;
    shop.checkout.drive(order).await.unwrap();
    assert_eq!(shop.state(order).await, StateName::ActionRequired);
    shop.provider.keys();
    (shop, order)
}

/// What is done to the row of the order.
const SPOILT: &[(&str, &str)] = &[
    ("state", "'levitating'"),
    ("state", "'paid'"),
    ("state", "''"),
    ("version", "-1"),
    ("tries", "-1"),
    ("tries", "99999999999"),
    ("due_at", "-1"),
    ("leased_until", "-5"),
    ("flag", "'odd'"),
    ("flag", "''"),
    ("total", "-12900"),
    ("currency", "'euros'"),
    ("currency", "'E1R'"),
    ("currency", "''"),
    ("email", "'nobody'"),
    ("email", "'a@b@c'"),
    ("reserved_until", "-1"),
    ("created_at", "-1"),
    ("changed_at", "-1"),
    ("accepted_at", "-1"),
    ("drop_id", "''"),
    ("drop_id", "'no such drop!'"),
    ("shopper", "x'01'"),
    ("shopper", "zeroblob(17)"),
    ("data", "''"),
    ("data", "'null'"),
    ("data", "'{}'"),
    ("data", "'[]'"),
    ("data", "'{\"v\":1}'"),
    ("data", "'{\"v\":2,\"is\":{\"released\":{\"by\":\"shopper\"}}}'"),
    ("data", "'{\"v\":1,\"is\":{\"levitating\":{}}}'"),
    ("data", "replace(data, '\"v\":1', '\"v\":-1')"),
    ("data", "replace(data, '\"n\":1', '\"n\":-1')"),
    ("data", "replace(data, '\"n\":1', '\"n\":4294967296')"),
    ("data", "replace(data, '\"n\":1', '\"n\":\"1\"')"),
    ("data", "replace(data, '\"n\":1', '\"n\":1,\"m\":2')"),
    ("data", "replace(data, '\"errors\":0', '\"errors\":null')"),
    ("data", "replace(data, 'pm_card', 'pm card')"),
    ("data", "replace(data, '\"pi_1\"', '\"\"')"),
    ("data", "replace(data, '\"pi_1\"', 'null')"),
    ("data", "replace(data, '\"until\"', '\"til\"')"),
    ("data", "replace(data, 'action_required', 'authorising')"),
    ("data", "substr(data, 1, length(data) - 1)"),
    ("data", "data || ' '|| data"),
    (
        "data",
        "substr(data, 1, length(data) - 1) || ',\"strays\":[{\"payment\":\"\",\"attempt\":{\"n\":1,\"first_sent\":0,\"errors\":0}}]}'",
    ),
    ("data", "substr(data, 1, length(data) - 1) || ',\"strays\":[{}]}'"),
    ("data", "substr(data, 1, length(data) - 1) || ',\"strays\":7}'"),
];

fn is_refused<T>(result: &Result<T, LedgerError>, order: OrderId) -> bool {
    matches!(result, Err(LedgerError::Corrupt { order: named, .. }) if *named == order)
}

#[tokio::test]
async fn every_spoilt_column_is_refused_with_the_orders_name() {
    for (column, value) in SPOILT {
        let (shop, order) = at_the_bank().await;
        by_hand(&shop, &format!("UPDATE orders SET {column} = {value}"));
        let what = format!("{column} = {value}");
        assert!(is_refused(&shop.ledger.load(order).await, order), "{what}: load");
        let all = shop
            .ledger
            .list(OrderFilter {
                limit: 10,
                ..OrderFilter::default()
            })
            .await;
        assert_eq!(all.unwrap(), [], "{what}: a list leaves it out");
        let driven = shop.checkout.drive(order).await;
        assert!(
            matches!(driven, Err(DriveError::Ledger { order: named, .. }) if named == order),
            "{what}: {driven:?}"
        );
        assert_eq!(
            shop.provider.keys(),
            Vec::<String>::new(),
            "{what}: money was asked for"
        );
    }
}

#[tokio::test]
async fn every_spoilt_item_is_refused_with_the_orders_name() {
    for (column, value) in [
        ("sku", "''"),
        ("sku", "'two words'"),
        ("quantity", "-1"),
        ("quantity", "4294967296"),
        ("amount", "-1"),
    ] {
        let (shop, order) = at_the_bank().await;
        by_hand(&shop, &format!("UPDATE order_items SET {column} = {value}"));
        assert!(
            is_refused(&shop.ledger.load(order).await, order),
            "{column} = {value}"
        );
    }
}

#[tokio::test]
async fn a_spoilt_reason_of_a_flag_is_refused() {
    let (shop, order) = at_the_bank().await;
    by_hand(
        &shop,
        "UPDATE orders SET flag = 'rejected', flag_reason = 'two words'",
    );
    assert!(is_refused(&shop.ledger.load(order).await, order));
    by_hand(&shop, "UPDATE orders SET flag_reason = NULL");
    let flag = shop.checkout.view(order).await.unwrap().unwrap().flag;
    assert_eq!(flag, Some("rejected"), "a reason that is missing is only unknown");
}

#[tokio::test]
async fn a_spoilt_notice_is_refused_and_told_to_nobody() {
    for (column, value) in [
        ("notice", "'order.levitated'"),
        ("version", "-1"),
        ("returned", "-1"),
        ("returned", "4294967296"),
    ] {
        let shop = Watched::usual().await;
        let order = place(&shop.checkout, purchase(1, Some(VISA))).await;
        shop.checkout.drive(order).await.unwrap();
        let notices = shop.ledger.pending(Channel::Notices, 10).await.unwrap();
        assert_eq!(notices.len(), 1);
        by_hand(
            &shop,
            &format!("UPDATE outbox SET {column} = {value} WHERE channel = 'notices'"),
        );
        let pending = shop.ledger.pending(Channel::Notices, 10).await;
        assert!(is_refused(&pending, order), "{column} = {value}");
    }
}

#[tokio::test]
async fn a_payment_that_changes_its_name_by_hand_is_not_overwritten() {
    let (shop, order) = at_the_bank().await;
    let payment = shop.checkout.view(order).await.unwrap().unwrap().payment.unwrap();
    by_hand(&shop, "UPDATE payment SET provider_id = 'pi_forged'");
    assert!(shop.provider.inner.confirm(&payment, true));
    shop.clock.advance(domain::Span::from_mins(2));
    let driven = shop.checkout.drive(order).await;
    assert!(matches!(driven, Err(DriveError::Ledger { .. })), "{driven:?}");
    assert_eq!(shop.state(order).await, StateName::ActionRequired);
    assert!(
        shop.provider.inner.books().captures.is_empty(),
        "nothing is captured without its commit"
    );
}

#[tokio::test]
async fn parameters_changed_by_hand_stop_the_call_before_it_is_made() {
    let shop = Watched::usual().await;
    let order = place(&shop.checkout, purchase(1, Some(VISA))).await;
    shop.provider
        .inner
        .plan([checkout_worker::provider::memory::Fault::RequestLost]);
    shop.checkout.drive(order).await.unwrap();
    shop.provider.keys();
    by_hand(&shop, "UPDATE orders SET total = 1");
    shop.clock.advance(domain::Span::from_mins(2));
    let driven = shop.checkout.drive(order).await;
    assert!(
        matches!(
            driven,
            Err(DriveError::Ledger {
                cause: LedgerError::AttemptChanged { .. },
                ..
            })
        ),
        "{driven:?}"
    );
    assert_eq!(shop.provider.keys(), Vec::<String>::new());
}

#[tokio::test]
async fn one_spoilt_order_does_not_stop_the_others() {
    let (shop, spoilt) = at_the_bank().await;
    by_hand(&shop, "UPDATE orders SET data = 'null'");
    let other = place(&shop.checkout, purchase(2, Some(VISA))).await;
    shop.checkout.drive(other).await.unwrap();
    assert_eq!(shop.state(other).await, StateName::Paid);
    assert!(is_refused(&shop.ledger.load(spoilt).await, spoilt));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Cut, doubled, overwritten anywhere: the row is read as what it says or refused, and nothing panics.
    #[test]
    fn a_row_spoilt_anywhere_is_read_or_refused(
        spoils in prop::collection::vec((0.0_f64..1.0, 0_usize..6, "[ -~]{0,6}"), 12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (shop, order) = at_the_bank().await;
            let file = Connection::open(shop.dir.path().join(FILE_NAME)).unwrap();
            let whole: String = file.query_row("SELECT data FROM orders", [], |row| row.get(0)).unwrap();
            for (at, cut, text) in spoils {
                // The row is ASCII: every index is a boundary.
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss,
                    reason = "a place within a short text")]
                let at = (at * whole.len() as f64) as usize;
                let end = (at + cut).min(whole.len());
                let spoilt = format!("{}{text}{}", &whole[..at], &whole[end..]);
                file.execute("UPDATE orders SET data = ?1", params![spoilt]).unwrap();
                match shop.ledger.load(order).await {
                    Ok(record) => prop_assert_eq!(record.unwrap().order.id, order),
                    Err(LedgerError::Corrupt { order: named, .. }) => prop_assert_eq!(named, order),
                    Err(other) => prop_assert!(false, "{spoilt}: {other:?}"),
                }
            }
            Ok(())
        })?;
    }
}
