//! What a drop came to: the questions, and what the states' own data says of reasons.

use domain::saga::StateName;

use crate::checkout::reason;
use crate::ledger::Sales;

use super::parse_own;

/// Orders per state. Those that came to nothing are told apart by the state's own part of their data, which holds the reason
/// and, but for a few, nothing else. `own` is that part as the database reads it, or NULL where it cannot.
pub(crate) fn states(own: &str) -> String {
    format!(
        "SELECT state, coalesce(CASE WHEN state IN ('declined', 'released', 'unwound') THEN {own} END, '') AS why, \
         count(*) FROM orders WHERE drop_id = $1 GROUP BY 1, 2"
    )
}

/// Money per currency. A refund that came back, days after it was made, does not count: its order is set aside for a person.
pub(crate) const REVENUE: &str = "SELECT p.currency, CAST(sum(p.captured) AS bigint), \
    CAST(sum(CASE WHEN o.state = 'refunded' AND o.flag IS NOT NULL THEN 0 ELSE p.refunded END) AS bigint) \
    FROM payment p JOIN orders o ON o.id = p.order_id WHERE o.drop_id = $1 \
    GROUP BY p.currency HAVING sum(p.captured) > 0 ORDER BY p.currency";

/// When the first and the last unit was sold.
pub(crate) const SOLD: &str = "SELECT min(e.at), max(e.at) FROM stock_entry e JOIN orders o ON o.id = e.order_id \
    WHERE o.drop_id = $1 AND e.kind = 'sell'";

impl Sales {
    /// Counts the orders of one row of [`states`]; `own` is their state's own data.
    pub(crate) fn count(&mut self, state: &str, own: &str, count: u64) {
        let Some(state) = StateName::parse(state) else {
            return;
        };
        match self.orders.iter_mut().find(|(known, _)| *known == state) {
            Some((_, sum)) => *sum += count,
            None => self.orders.push((state, count)),
        }
        // What cannot be read is counted without a reason.
        let Some(why) = parse_own(own).and_then(|state| reason(&state)) else {
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
