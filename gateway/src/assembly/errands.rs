//! What has to be done between the two halves of the house after the fact: a completed order
//! ends its shopper's session, and units that come back void what was read of the stock before. Notices
//! come at least once, and ending a session twice is harmless.

use std::sync::{Arc, OnceLock};

use admission::Admission;
use checkout_worker::ledger::OrderNotice;
use domain::saga::{Notice, StateName};
use tokio_util::task::TaskTracker;

use super::readings::House;
use crate::telemetry::checkout::Listening;

/// Carries notices from the checkout to the desk. The desk is opened after the checkout, so it
/// is handed in later; a notice from before then is told again by the outbox.
pub(super) struct Errands {
    house: Arc<House>,
    desk: OnceLock<Admission>,
    tasks: TaskTracker,
}

impl Errands {
    pub(super) fn of(house: Arc<House>) -> Self {
        Self {
            house,
            desk: OnceLock::new(),
            tasks: TaskTracker::new(),
        }
    }

    pub(super) fn serve(&self, desk: Admission) {
        // Only assembly calls this, once.
        let _ = self.desk.set(desk);
    }
}

impl Listening for Arc<Errands> {
    fn transition(&self, to: StateName) {
        if gives_units_back(to) {
            self.house.units_returned();
        }
    }

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

/// Whether an order that comes to this state lets go of its units.
fn gives_units_back(state: StateName) -> bool {
    match state {
        StateName::Declined | StateName::Released | StateName::Unwound | StateName::Refunded => true,
        StateName::Reserved
        | StateName::Accepted
        | StateName::Authorising
        | StateName::ActionRequired
        | StateName::Cancelling
        | StateName::Committed
        | StateName::Paid => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_come_back_exactly_where_an_order_ends_without_a_buyer() {
        use StateName::{
            Accepted, ActionRequired, Authorising, Cancelling, Committed, Declined, Paid, Refunded, Released,
            Reserved, Unwound,
        };
        for state in [Declined, Released, Unwound, Refunded] {
            assert!(gives_units_back(state), "{state:?}");
        }
        for state in [
            Reserved,
            Accepted,
            Authorising,
            ActionRequired,
            Cancelling,
            Committed,
            Paid,
        ] {
            assert!(!gives_units_back(state), "{state:?}");
        }
    }
}
