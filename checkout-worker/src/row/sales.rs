//! What a drop came to: the questions, and what the states' own data says of reasons.

use domain::OrderId;
use domain::saga::StateName;

use crate::checkout::reason;
use crate::ledger::Sales;

use super::parse_state;

/// Orders per state. Those that came to nothing are told apart by their data, which holds the reason and, but for a few, nothing else.
pub(crate) const STATES: &str = "SELECT state, CASE WHEN state IN ('declined', 'released', 'unwound') THEN data ELSE '' END AS why, \
    count(*) FROM orders WHERE drop_id = $1 GROUP BY 1, 2";

/// Money per currency.
pub(crate) const REVENUE: &str = "SELECT p.currency, CAST(sum(p.captured) AS bigint), CAST(sum(p.refunded) AS bigint) \
    FROM payment p JOIN orders o ON o.id = p.order_id WHERE o.drop_id = $1 \
    GROUP BY p.currency HAVING sum(p.captured) > 0 ORDER BY p.currency";

/// When the first and the last unit was sold.
pub(crate) const SOLD: &str = "SELECT min(e.at), max(e.at) FROM stock_entry e JOIN orders o ON o.id = e.order_id \
    WHERE o.drop_id = $1 AND e.kind = 'sell'";

impl Sales {
    /// Counts the orders of one row of [`STATES`].
    pub(crate) fn count(&mut self, state: &str, data: &str, count: u64) {
        let Some(state) = StateName::parse(state) else {
            return;
        };
        match self.orders.iter_mut().find(|(known, _)| *known == state) {
            Some((_, sum)) => *sum += count,
            None => self.orders.push((state, count)),
        }
        // Whose data it is does not matter: what cannot be read is counted without a reason.
        let why = parse_state(OrderId(0), data).ok();
        let Some(why) = why.and_then(|(state, _)| reason(&state)) else {
            return;
        };
        match self
            .reasons
            .iter_mut()
            .find(|(of, known, _)| *of == state && *known == why)
        {
            Some((.., sum)) => *sum += count,
            None => self.reasons.push((state, why, count)),
        }
    }
}
