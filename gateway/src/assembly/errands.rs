//! What has to be done between the two halves of the house after the fact: a completed order
//! ends its shopper's session. Notices come at least once, and ending a session twice is harmless.

use std::sync::{Arc, OnceLock};

use admission::Admission;
use checkout_worker::ledger::OrderNotice;
use domain::saga::Notice;
use tokio_util::task::TaskTracker;

use crate::telemetry::checkout::Listening;

/// Carries notices from the checkout to the desk. The desk is opened after the checkout, so it
/// is handed in later; a notice from before then is told again by the outbox.
#[derive(Default)]
pub(super) struct Errands {
    desk: OnceLock<Admission>,
    tasks: TaskTracker,
}

impl Errands {
    pub(super) fn serve(&self, desk: Admission) {
        // Only assembly calls this, once.
        let _ = self.desk.set(desk);
    }
}

impl Listening for Arc<Errands> {
    fn notice(&self, notice: &OrderNotice) {
        let Notice::Paid = notice.notice else { return };
        let Some(desk) = self.desk.get().cloned() else {
            return;
        };
        let (drop, admission) = (notice.drop.clone(), notice.admission);
        self.tasks.spawn(async move {
            if let Err(error) = desk.complete(&drop, admission).await {
                tracing::warn!(drop.id = %drop, %error, "a completed order could not end its session");
            }
        });
    }
}
