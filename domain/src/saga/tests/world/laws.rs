//! The laws that no walk may break.

use super::*;

impl World {
    /// What must hold at every instant.
    pub(super) fn laws(&self) -> Result<(), Broken> {
        let level = self.pool.level(&sku()).unwrap();
        let taken = self
            .orders
            .iter()
            .filter(|order| order.state.name().units() != Units::Back)
            .count();
        if taken > level.total as usize {
            return Err(format!("{taken} orders hold or own {} units", level.total));
        }
        for order in &self.orders {
            let kept: Vec<&Payment> = self
                .payments
                .iter()
                .filter(|payment| payment.order == order.id && payment.is_kept())
                .collect();
            if kept.len() > 1
                || self
                    .captures
                    .get(&order.id.0)
                    .is_some_and(|captures| *captures > 1)
            {
                return Err(format!("order {} was charged twice", order.id));
            }
            let live = |payment: &&Payment| {
                payment.order == order.id
                    && (payment.is_kept() || payment.status == PaymentStatus::RequiresCapture)
            };
            if self.payments.iter().filter(live).count() > 1 {
                return Err(format!("order {} has two payments at once", order.id));
            }
            if !kept.is_empty() && order.state.name().units() != Units::Sold {
                return Err(format!(
                    "order {} is charged while {}",
                    order.id,
                    order.state.name()
                ));
            }
            if self
                .paid_notices
                .get(&order.id.0)
                .is_some_and(|notices| *notices > 1)
            {
                return Err(format!("order {} was paid twice in the books", order.id));
            }
        }
        Ok(())
    }

    /// What must hold in the end: everything final, every unit and every charge where it belongs.
    pub(super) fn judge(&self) -> Result<(), Broken> {
        let mut sold = 0;
        for order in &self.orders {
            let name = order.state.name();
            if !name.is_end() {
                return Err(format!(
                    "order {} is still {name} ({:?}, {:?})",
                    order.id, order.flag, order.pace
                ));
            }
            let of_order = || self.payments.iter().filter(|payment| payment.order == order.id);
            let paid = name == StateName::Paid;
            sold += u32::from(paid);
            if of_order().any(Payment::is_kept) != paid {
                return Err(format!("order {} is {name} and money says otherwise", order.id));
            }
            if of_order().any(|payment| payment.status == PaymentStatus::RequiresCapture) {
                return Err(format!("order {} ended with money still held", order.id));
            }
        }
        let level = self.pool.level(&sku()).unwrap();
        if (level.held, level.sold) != (0, sold) {
            return Err(format!(
                "{} held and {} sold for {sold} paid orders",
                level.held, level.sold
            ));
        }
        Ok(())
    }
}
