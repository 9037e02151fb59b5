//! The right to rebuild a drop's keys: an advisory lock that lives as long as a transaction, and a transaction that
//! lives as long as somebody is heard of.
//!
//! A rebuild may take a minute, and a gateway that freezes in the middle of one must not keep all others from it for as
//! long. So the server ends the transaction when nothing was said in it for a moment, and whoever rebuilds says
//! something every second. Both at work at once is no danger: the era decides (see `marks.rs`).

use std::time::Duration;

use domain::DropId;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::super::Guard;
use super::connect::Lent;

/// Whoever holds the lock and is not heard of for so long is taken for dead: two signs of life may be missed.
const SILENT_WITHIN: &str = "SET LOCAL idle_in_transaction_session_timeout = '3s'";
/// How often its holder is heard of.
const HEARD_EVERY: Duration = Duration::from_secs(1);

/// The right to rebuild.
pub(super) struct Locked {
    /// Has the connection, and ends with the guard: the connection is closed then, and the lock free.
    _held: JoinSet<()>,
}

impl Guard for Locked {}

impl Locked {
    /// Keeps what [`take`] gave.
    pub(super) fn new(lent: Lent) -> Self {
        let mut held = JoinSet::new();
        held.spawn(hold(lent));
        Self { _held: held }
    }
}

/// The lock, with the connection that it hangs on; none where somebody else has it. Lost again unless it is heard of.
pub(super) async fn take(mut lent: Lent, drop: &DropId) -> sqlx::Result<Option<Lent>> {
    sqlx::query("BEGIN").execute(&mut *lent).await?;
    sqlx::query(SILENT_WITHIN).execute(&mut *lent).await?;
    let taken: bool = sqlx::query_scalar(
        "SELECT pg_try_advisory_xact_lock(hashtextextended('doorline admission ' || $1, 0))",
    )
    .bind(drop.as_str())
    .fetch_one(&mut *lent)
    .await?;
    if taken {
        return Ok(Some(lent));
    }
    sqlx::query("ROLLBACK").execute(&mut *lent).await?;
    lent.give_back();
    Ok(None)
}

/// Says something for as long as it is listened to.
async fn hold(mut lent: Lent) {
    let mut signs = tokio::time::interval(HEARD_EVERY);
    signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        signs.tick().await;
        if let Err(error) = sqlx::query("SELECT 1").execute(&mut *lent).await {
            tracing::warn!(%error, "the right to rebuild a queue's keys was lost");
            return;
        }
    }
}
