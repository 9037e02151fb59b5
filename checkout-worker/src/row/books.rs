//! Both sides of every book of stock: the questions, and what their answers come to.

use std::collections::BTreeMap;

use domain::pool::Level;
use domain::{DropId, Sku};

use crate::ledger::{FORGOTTEN_NAMED, StockSums};

/// One SKU's counts by drop and SKU: total, held and sold by [`STOCK`], held and sold by [`ENTRIES`], and by [`ORDERS`].
pub(crate) type StockBooks = BTreeMap<(String, String), [i64; 7]>;

/// What the stock rows say. Postgres sums into another type than it counts in, so every sum is cast.
pub(crate) const STOCK: &str = "SELECT drop_id, sku, CAST(sum(total) AS bigint), CAST(sum(held) AS bigint), CAST(sum(sold) AS bigint) \
    FROM stock GROUP BY drop_id, sku";

/// What the movements say is held and sold.
pub(crate) const ENTRIES: &str = "SELECT o.drop_id, e.sku, \
    CAST(sum(CASE e.kind WHEN 'hold' THEN e.quantity WHEN 'void' THEN -e.quantity WHEN 'sell' THEN -e.quantity \
        ELSE 0 END) AS bigint), \
    CAST(sum(CASE e.kind WHEN 'sell' THEN e.quantity WHEN 'unsell' THEN -e.quantity ELSE 0 END) AS bigint) \
    FROM stock_entry e JOIN orders o ON o.id = e.order_id GROUP BY o.drop_id, e.sku";

/// What the orders' states say is held and sold. A refunded order's units are sold unless they were given back.
pub(crate) const ORDERS: &str = "SELECT o.drop_id, i.sku, \
    CAST(sum(CASE WHEN o.state IN ('reserved', 'accepted', 'authorising', 'action_required', 'cancelling') \
        THEN i.quantity ELSE 0 END) AS bigint), \
    CAST(sum(CASE WHEN o.state IN ('committed', 'paid') THEN i.quantity \
        WHEN o.state = 'refunded' AND NOT EXISTS \
            (SELECT 1 FROM stock_entry e WHERE e.order_id = o.id AND e.kind = 'unsell') THEN i.quantity \
        ELSE 0 END) AS bigint) \
    FROM orders o JOIN order_items i ON i.order_id = o.id GROUP BY o.drop_id, i.sku";

/// The first of the orders that nobody will ever look at, and how many there are of them. `now` is how the adapter says it.
pub(crate) fn forgotten(now: &str) -> String {
    format!(
        "SELECT o.id, count(*) OVER () FROM orders o WHERE o.flag IS NULL AND o.due_at = 9223372036854775807 \
         AND o.leased_until <= {now} AND o.state IN \
         ('accepted', 'authorising', 'action_required', 'cancelling', 'committed') \
         AND NOT EXISTS (SELECT 1 FROM outbox b WHERE b.order_id = o.id AND b.channel = 'workers') \
         ORDER BY o.id LIMIT {FORGOTTEN_NAMED}"
    )
}

/// Notices that are to be told, when the oldest of them was written, and how many were given up on.
pub(crate) const UNTOLD: &str = "SELECT count(*), min(at), \
    (SELECT count(*) FROM outbox WHERE notice IS NOT NULL AND hook = 'given_up') \
    FROM outbox WHERE notice IS NOT NULL AND hook = 'open'";

/// The books as the auditor reads them. A row under a name that cannot be ours is nobody's stock.
pub(crate) fn stock_sums(books: StockBooks) -> Vec<StockSums> {
    let units = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
    let mut sums = Vec::with_capacity(books.len());
    for ((drop, sku), book) in books {
        let [
            total,
            held,
            sold,
            held_by_entries,
            sold_by_entries,
            held_by_orders,
            sold_by_orders,
        ] = book;
        let (Ok(drop), Ok(sku)) = (DropId::new(&drop), Sku::new(&sku)) else {
            continue;
        };
        sums.push(StockSums {
            drop,
            sku,
            level: Level {
                total: units(total),
                held: units(held),
                sold: units(sold),
            },
            held_by_entries,
            sold_by_entries,
            held_by_orders,
            sold_by_orders,
        });
    }
    sums
}
