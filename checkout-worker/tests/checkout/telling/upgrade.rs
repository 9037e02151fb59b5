//! An update from a version that told nobody: its notices are history, and only what comes after is news.

use checkout_worker::sqlite::FILE_NAME;

use super::*;
use crate::support::open_ledger;

/// Takes back what the fourth migration and those after it added, so that the file is as the version before left it.
const DOWNGRADE: &str = "
    ALTER TABLE orders DROP COLUMN accepted_at;
    DROP TABLE configured;
    ALTER TABLE audit DROP COLUMN before;
    ALTER TABLE audit DROP COLUMN after;
    DROP TABLE key_space;
    DROP INDEX outbox_notices; DROP INDEX outbox_hook_due; DROP INDEX outbox_hook_given_up;
    ALTER TABLE outbox DROP COLUMN hook;
    ALTER TABLE outbox DROP COLUMN hook_tries;
    ALTER TABLE outbox DROP COLUMN hook_due_at;
    ALTER TABLE outbox DROP COLUMN hook_leased_until;
    ALTER TABLE outbox DROP COLUMN hook_outcome;
    PRAGMA user_version = 3;";

#[tokio::test]
async fn what_was_written_before_the_update_is_told_only_when_it_is_replayed() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), StandingClock::new());
    let provider = MemoryProvider::new(clock.clone());
    let bought = async |merchant: Option<Arc<Listener>>, shopper| {
        let ports = Ports {
            merchant: merchant.map(|listener| listener as Arc<dyn Merchant>),
            ..ports(
                open_ledger(dir.path(), &clock),
                Arc::new(provider.clone()),
                clock.clone(),
            )
        };
        let checkout = Checkout::open(config(9), ports).await.unwrap();
        let order = place(&checkout, purchase(shopper, Some(VISA))).await;
        checkout.drive(order).await.unwrap();
        (checkout, order)
    };
    let (checkout, before) = bought(None, 1).await;
    drop(checkout);
    // A process that starts at the very same instant would choose the same ids, in a test.
    clock.advance(Span::from_secs(1));
    let file = rusqlite::Connection::open(dir.path().join(FILE_NAME)).unwrap();
    file.execute_batch(DOWNGRADE).unwrap();
    drop(file);
    let listener = Listener::answering(&clock, |_, _| Heard::Taken);
    let (checkout, after) = bought(Some(listener.clone()), 2).await;
    while checkout.jobs().tell_now().await.unwrap() > 0 {}
    assert_eq!(listener.names(), [(after, Notice::Paid)]);
    let replayed = checkout.replay(Replay::Untaken(HORIZON), "since", "test").await;
    assert_eq!(replayed.unwrap(), 0, "nobody was to be told of it");
    let replayed = checkout.replay(Replay::Order(before), "order", "test").await;
    assert_eq!(replayed.unwrap(), 1);
    while checkout.jobs().tell_now().await.unwrap() > 0 {}
    assert_eq!(listener.names(), [(after, Notice::Paid), (before, Notice::Paid)]);
}
