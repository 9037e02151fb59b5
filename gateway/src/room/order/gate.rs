//! The gate before the ledger: who asks for what is sold out is told so from the latest reading of the
//! stock, as the ledger would tell it.
//!
//! Only somebody who never went to order may be turned away here: whoever did may have an order, and asks
//! again because its answer was lost. That is known from the queue store, through whichever gateway they
//! went; where it does not answer, the gate stands open and the ledger decides.

use std::time::Duration;

use admission::{Going, Went};
use checkout_worker::checkout::ReserveError;
use domain::pool::Line;
use domain::{AdmissionId, DropId};

use crate::room::Room;

/// Longest wait for the queue store. Then the gate is no help, and the ledger is asked.
const ANSWER_WITHIN: Duration = Duration::from_millis(200);

impl Room {
    /// Lets an order pass, or says what is left.
    pub(super) async fn gate(
        &self,
        drop: &DropId,
        admission: AdmissionId,
        lines: &[Line],
    ) -> Result<(), ReserveError> {
        let gone = self.house.sold_out(drop, lines);
        let gone = gone.filter(|_| self.is_within_limit(drop, lines));
        let going = if gone.is_some() {
            Going::Perhaps
        } else {
            Going::Now
        };
        let asked = self.desk.go_to_order(drop, admission, going);
        let went = tokio::time::timeout(ANSWER_WITHIN, asked).await;
        match (gone, went) {
            (Some(left), Ok(Ok(Went::Never))) => Err(ReserveError::SoldOut { left }),
            (None | Some(_), _) => Ok(()),
        }
    }

    /// Who asks for more than one shopper may have is told that first, and by the ledger.
    fn is_within_limit(&self, drop: &DropId, lines: &[Line]) -> bool {
        let units = lines
            .iter()
            .fold(0, |units: u32, line| units.saturating_add(line.quantity));
        let board = self.board(drop);
        let checkout = board.as_ref().and_then(|board| board.config.checkout.as_ref());
        checkout.is_none_or(|checkout| units <= checkout.per_shopper)
    }
}
