//! Counts a finished drop from both sides: what the ledger says, and what the provider's own
//! log says. Neither is asked about the other.

use std::collections::BTreeMap;
use std::time::Duration;

use checkout_worker::OrderView;
use checkout_worker::ledger::OrderFilter;
use domain::OrderId;
use domain::saga::StateName;
use sandbox::crowd::CrowdReport;
use sandbox::provider::{OrderTally, Tally};
use uuid::Uuid;

use super::report::{Latency, Limits, Report, Wait};
use super::settings::{DROP, Plan};
use super::stage::Stage;
use crate::admin::wire::Counts;

/// Orders read at once; the demo's are few enough for one page per ten thousand.
const PAGE: u32 = 1_000;

/// Both sides at one moment.
pub struct Count {
    orders: Vec<OrderView>,
    tally: Tally,
    seen: Counts,
}

impl Count {
    /// Reads both sides now.
    pub async fn take(stage: &Stage) -> anyhow::Result<Self> {
        let seen = stage.status().await?.since_start;
        let mut orders: Vec<OrderView> = Vec::new();
        loop {
            let after = orders.last().map(|order| order.order);
            let filter = OrderFilter {
                after,
                limit: PAGE,
                ..OrderFilter::default()
            };
            let page = stage.checkout.orders(filter).await?;
            if page.is_empty() {
                return Ok(Self {
                    orders,
                    tally: stage.provider().tally(),
                    seen,
                });
            }
            orders.extend(page);
        }
    }

    /// Whether every order has come to its end.
    pub fn is_settled(&self) -> bool {
        self.orders.iter().all(|order| order.ledger_state.is_end())
    }

    fn in_state(&self, state: StateName) -> u64 {
        self.orders
            .iter()
            .filter(|order| order.ledger_state == state)
            .count() as u64
    }

    /// The provider's sums by our order.
    fn charges(&self) -> BTreeMap<OrderId, &OrderTally> {
        let orders = self.tally.orders.iter();
        orders
            .filter_map(|(name, tally)| Some((OrderId(Uuid::try_parse(name).ok()?.as_u128()), tally)))
            .collect()
    }

    /// Units sold beyond the pool: by the ledger, or by what was captured, whichever is worse.
    fn oversold(&self, stock: u32) -> u64 {
        let charges = self.charges();
        let units =
            |order: &OrderView| -> u64 { order.items.iter().map(|item| u64::from(item.line.quantity)).sum() };
        let kept = |order: &&OrderView| {
            charges
                .get(&order.order)
                .is_some_and(|tally| tally.captured > tally.refunded)
        };
        let by_ledger: u64 = self.orders.iter().filter(|order| is_sold(order)).map(units).sum();
        let by_provider: u64 = self.orders.iter().filter(kept).map(units).sum();
        by_ledger.max(by_provider).saturating_sub(u64::from(stock))
    }

    /// Orders charged twice, or not exactly their total, or charged and unknown to the ledger.
    fn double_charged(&self) -> u64 {
        let totals: BTreeMap<OrderId, u64> = self
            .orders
            .iter()
            .map(|order| (order.order, order.total.amount))
            .collect();
        let wrong = |(name, tally): &(&String, &OrderTally)| {
            let order = Uuid::try_parse(name).ok().map(|id| OrderId(id.as_u128()));
            let total = order.and_then(|order| totals.get(&order)).copied();
            tally.captures > 1 || (tally.captures > 0 && Some(tally.captured) != total)
        };
        self.tally.orders.iter().filter(wrong).count() as u64
    }

    /// Captures whose order holds no sold unit.
    fn charged_without_stock(&self) -> u64 {
        let sold: BTreeMap<OrderId, bool> = self
            .orders
            .iter()
            .map(|order| (order.order, is_sold(order)))
            .collect();
        let bare = |(order, tally): &(&OrderId, &&OrderTally)| {
            tally.captured > tally.refunded && !sold.get(order).copied().unwrap_or(false)
        };
        self.charges().iter().filter(bare).count() as u64
    }

    /// Accepted orders without an end, as the ledger knows them and as the shoppers do.
    fn accepted_lost(&self, crowd: &CrowdReport) -> u64 {
        let known: BTreeMap<OrderId, &OrderView> =
            self.orders.iter().map(|order| (order.order, order)).collect();
        let open =
            |order: &&OrderView| order.ledger_state != StateName::Reserved && !order.ledger_state.is_end();
        let vanished = crowd
            .orders
            .iter()
            .filter(|order| order.accepted)
            .filter(|order| {
                let id = Uuid::try_parse(&order.order).ok().map(|id| OrderId(id.as_u128()));
                id.is_none_or(|id| !known.contains_key(&id))
            });
        (self.orders.iter().filter(open).count() + vanished.count()) as u64
    }

    /// The report of a sale that `crowd` saw and that took so long.
    pub fn report(&self, plan: &Plan, seed: u64, crowd: &CrowdReport, took: Duration) -> Report {
        let seen = &self.seen;
        Report {
            drop: DROP.to_owned(),
            seed,
            shoppers: u64::from(plan.shoppers),
            joined: seen.joined,
            admitted: seen.admitted,
            no_shows: seen.no_shows,
            reserved: self.orders.len() as u64,
            orders_accepted: crowd.counts.accepted,
            paid: self.in_state(StateName::Paid),
            declined: self.in_state(StateName::Declined),
            released: self.in_state(StateName::Released) + self.in_state(StateName::Unwound),
            stock: u64::from(plan.stock),
            sold: self
                .orders
                .iter()
                .filter(|order| is_sold(order))
                .flat_map(|order| &order.items)
                .map(|item| u64::from(item.line.quantity))
                .sum(),
            oversold: self.oversold(plan.stock),
            double_charged: self.double_charged(),
            charged_without_stock: self.charged_without_stock(),
            accepted_lost: self.accepted_lost(crowd),
            max_active_users: seen.active_users_max.max(crowd.max_active_seen),
            max_admitted_in_60s: seen.admitted_in_60s_max.max(crowd.max_admitted_in_60s),
            limits: Limits {
                total_active_users: u64::from(plan.total_active_users),
                new_users_per_minute: u64::from(plan.new_users_per_minute),
            },
            wait_seconds: Wait {
                p50: crowd.wait_seconds.p50,
                p90: crowd.wait_seconds.p90,
                p99: crowd.wait_seconds.p99,
                max: crowd.wait_seconds.max,
            },
            join_ms: Latency {
                p50: crowd.join_ms.p50,
                p99: crowd.join_ms.p99,
            },
            poll_ms: Latency {
                p50: crowd.poll_ms.p50,
                p99: crowd.poll_ms.p99,
            },
            duration_seconds: (took.as_secs_f64() * 1_000.0).round() / 1_000.0,
        }
    }
}

fn is_sold(order: &OrderView) -> bool {
    matches!(order.ledger_state, StateName::Committed | StateName::Paid)
}
