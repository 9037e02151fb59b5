//! What must hold after any death and recovery: stock and money are where the orders say, and the merchant knows their ends.

use checkout_worker::ledger::{OrderFilter, Telling};
use checkout_worker::{OrderView, PublicState};
use domain::saga::{Notice, Payment, StateName};

use super::Scene;
use super::stories::is_strange;
use crate::support::drop_id;

impl Scene {
    /// What does not balance yet: nothing, when everything has come to its end as it should.
    pub(super) async fn complaints(&self) -> Vec<String> {
        let report = self.checkout.audit().await.unwrap();
        // The ledger's own books agree at every moment, whatever is still under way.
        assert!(report.is_clean(), "{:?}", report.differences);
        let filter = OrderFilter {
            limit: 100,
            ..OrderFilter::default()
        };
        let orders = self.checkout.orders(filter).await.unwrap();
        let payments = self.provider.books().payments;
        let mut complaints: Vec<String> = orders
            .iter()
            .filter_map(|view| self.about_order(view, &payments))
            .collect();
        // Of no order, known or unknown.
        complaints.extend(payments.iter().filter_map(about_payment));
        complaints.extend(self.about_stock(&orders).await);
        let untold = self.checkout.untold(Telling::Pending, 100).await.unwrap();
        complaints.extend(untold.iter().map(|notice| format!("not told: {notice:?}")));
        complaints
    }

    fn about_order(&self, view: &OrderView, payments: &[Payment]) -> Option<String> {
        let (order, state, total) = (view.order, view.ledger_state, view.total.amount);
        let Some(end) = told_of(view.state) else {
            return Some(format!("{order} is {state}"));
        };
        let own = payments
            .iter()
            .filter(|payment| payment.order == order && !is_strange(payment));
        let money = own.fold((0, 0), |(captured, refunded), payment| {
            (captured + payment.captured, refunded + payment.refunded)
        });
        let expected = match view.state {
            PublicState::Paid => (total, 0),
            PublicState::Refunded => (total, total),
            PublicState::Reserved
            | PublicState::Accepted
            | PublicState::Paying
            | PublicState::ActionRequired
            | PublicState::Declined
            | PublicState::Released => (0, 0),
        };
        if money != expected {
            return Some(format!(
                "{order} is {state}, and captured and refunded are {money:?}"
            ));
        }
        let is_known = self.merchant.has_heard(order, end);
        (!is_known).then(|| format!("{order} is {state}, and the merchant has not heard of it"))
    }

    async fn about_stock(&self, orders: &[OrderView]) -> Vec<String> {
        let in_state = |name| orders.iter().filter(|view| view.ledger_state == name).count();
        let (paid, refunded) = (in_state(StateName::Paid), in_state(StateName::Refunded));
        let stock = self.checkout.stock(&drop_id()).await.unwrap();
        let sold: usize = stock.iter().map(|(_, level)| level.sold as usize).sum();
        let held: u32 = stock.iter().map(|(_, level)| level.held).sum();
        let mut complaints = Vec::new();
        // What was given back may have stayed with its shopper.
        if !(paid..=paid + refunded).contains(&sold) {
            complaints.push(format!(
                "{sold} units are sold: {paid} orders paid, {refunded} refunded"
            ));
        }
        if held > 0 {
            complaints.push(format!("{held} units are held"));
        }
        complaints
    }
}

fn about_payment(payment: &Payment) -> Option<String> {
    let (id, order) = (&payment.id, payment.order);
    if payment.capturable > 0 {
        return Some(format!("{id} of {order} is still held"));
    }
    let is_kept = is_strange(payment) && payment.captured != payment.refunded;
    is_kept.then(|| format!("{id} of {order}, which no step asked for, is kept"))
}

/// What the merchant is told of an end; nothing where it is none.
const fn told_of(state: PublicState) -> Option<Notice> {
    match state {
        PublicState::Paid => Some(Notice::Paid),
        PublicState::Declined => Some(Notice::Declined),
        PublicState::Released => Some(Notice::Released),
        PublicState::Refunded => Some(Notice::Refunded),
        PublicState::Reserved | PublicState::Accepted | PublicState::Paying | PublicState::ActionRequired => {
            None
        }
    }
}
