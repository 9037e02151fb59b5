//! Compares what the shoppers were told, what the ledger says and what the provider counted.
//! None of the three is asked about the others.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use gateway::admin::wire::{Audit, OrderStatus};
use sandbox::crowd::{CrowdReport, OrderSeen};
use sandbox::provider::OrderTally;
use tokio::time::Instant;
use uuid::Uuid;

use crate::house::House;
use crate::terms::PRICE;

/// How long the last reservations, payments and 3-D Secure questions may take to end.
const SETTLES_WITHIN: Duration = Duration::from_secs(45);
const ENDS: [&str; 5] = ["paid", "declined", "released", "unwound", "refunded"];

/// All three books, and what is wrong with them.
pub(crate) struct Books {
    pub(crate) orders: BTreeMap<Uuid, OrderStatus>,
    pub(crate) wrong: Vec<String>,
}

/// Waits until every order has come to its end. Parked ones are retried, as an operator would.
pub(crate) async fn settle(house: &House) -> anyhow::Result<()> {
    let until = Instant::now() + SETTLES_WITHIN;
    loop {
        let orders: Vec<OrderStatus> = house.ask("orders?limit=1000").await?;
        let open: Vec<&OrderStatus> = orders.iter().filter(|order| !is_ended(order)).collect();
        if open.is_empty() {
            return Ok(());
        }
        let parked = open
            .iter()
            .filter(|order| order.flag.as_deref() == Some("no_answer"));
        for order in parked {
            let _: OrderStatus = house.tell(&format!("orders/{}/retry", order.order)).await?;
        }
        anyhow::ensure!(
            Instant::now() < until,
            "orders that come to no end: {open:#?}\n{}",
            house.log_tail()
        );
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

fn is_ended(order: &OrderStatus) -> bool {
    ENDS.contains(&order.state.as_str())
}

impl Books {
    /// Reads everything and compares.
    pub(crate) async fn compare(house: &House, seen: &CrowdReport) -> anyhow::Result<Self> {
        let listed: Vec<OrderStatus> = house.ask("orders?limit=1000").await?;
        anyhow::ensure!(listed.len() < 1_000, "more orders than one page shows");
        let mut books = Self {
            orders: BTreeMap::new(),
            wrong: seen.violations.clone(),
        };
        for order in listed {
            books.orders.insert(Uuid::try_parse(&order.order)?, order);
        }
        books.against_shoppers(seen)?;
        books.against_provider(house)?;
        books.audited(house, &house.ask("audit").await?);
        // The provider's own list of payments holds nothing that the ledger does not explain.
        books.audited(house, &house.tell("reconcile").await?);
        books.limits(house, seen);
        books.wrong.extend(house.log_alarms());
        Ok(books)
    }

    fn note(&mut self, what: String) {
        self.wrong.push(what);
    }

    /// Whatever a shopper was told about an order has to be so.
    fn against_shoppers(&mut self, seen: &CrowdReport) -> anyhow::Result<()> {
        for told in &seen.orders {
            let id = Uuid::try_parse(&told.order).with_context(|| format!("{told:?}"))?;
            match self.orders.get(&id) {
                None => self.note(format!("lost: {told:?}")),
                Some(order) if contradicts(told, order) => {
                    self.note(format!("told {told:?}, but the ledger says {order:?}"));
                }
                Some(_) => {}
            }
        }
        let open: Vec<String> = self
            .orders
            .values()
            .filter(|order| !is_ended(order))
            .map(|order| format!("without an end: {order:?}"))
            .collect();
        self.wrong.extend(open);
        Ok(())
    }

    /// Every charge belongs to one paid order, once and in full.
    fn against_provider(&mut self, house: &House) -> anyhow::Result<()> {
        let tally = house.provider().tally();
        let mut charges: BTreeMap<Uuid, OrderTally> = BTreeMap::new();
        for (name, sums) in tally.orders {
            charges.insert(
                Uuid::try_parse(&name).context("a payment without an order")?,
                sums,
            );
        }
        for (id, sums) in &charges {
            match self.orders.get(id).cloned() {
                None => self.note(format!(
                    "the provider knows an order that the ledger does not: {id}, {sums:?}"
                )),
                Some(order) => {
                    if let Some(why) = miscounted(&order, sums) {
                        self.note(format!("{why}: {order:?}, the provider counts {sums:?}"));
                    }
                }
            }
        }
        let unpaid = |(id, order): &(&Uuid, &OrderStatus)| {
            order.state == "paid" && charges.get(id).is_none_or(|sums| sums.captures == 0)
        };
        let unpaid: Vec<String> = self
            .orders
            .iter()
            .filter(unpaid)
            .map(|(id, _)| format!("paid in the ledger, not at the provider: {id}"))
            .collect();
        self.wrong.extend(unpaid);
        let charged: u32 = self
            .orders
            .iter()
            .filter(|(id, _)| charges.get(id).is_some_and(|sums| sums.captured > sums.refunded))
            .map(|(_, order)| units(order))
            .sum();
        if charged > house.terms.stock {
            self.note(format!("oversold: {charged} units charged"));
        }
        Ok(())
    }

    fn audited(&mut self, house: &House, audit: &Audit) {
        if !audit.clean {
            self.note(format!("the audit is not clean: {:?}", audit.differences));
        }
        let captured = house.provider().tally().net_captured();
        if audit.captured_total != captured || audit.paid_total != captured {
            self.note(format!("{captured} captured at the provider, but {audit:?}"));
        }
        let sold: u32 = self
            .orders
            .values()
            .filter(|order| order.state == "paid")
            .map(units)
            .sum();
        let shown = audit
            .stock
            .iter()
            .map(|stock| (stock.total, stock.held, stock.sold));
        let expected = (house.terms.stock, 0, sold);
        if shown.clone().ne([expected]) || sold > house.terms.stock {
            let shown: Vec<_> = shown.collect();
            self.note(format!(
                "stock (total, held, sold) is {shown:?}, not {expected:?}"
            ));
        }
    }

    fn limits(&mut self, house: &House, seen: &CrowdReport) {
        let Self { wrong, .. } = self;
        let most = [
            (
                "active at once",
                seen.max_active_seen,
                house.terms.total_active_users,
            ),
            (
                "admitted in 60 s",
                seen.max_admitted_in_60s,
                house.terms.new_users_per_minute,
            ),
        ];
        for (what, found, limit) in most {
            if found > u64::from(limit) {
                wrong.push(format!("{found} {what}, the limit is {limit}"));
            }
        }
        if seen.counts.lapsed > 0 {
            wrong.push(format!(
                "{} shoppers lost their turn to the crashes",
                seen.counts.lapsed
            ));
        }
    }
}

fn units(order: &OrderStatus) -> u32 {
    order.items.values().sum()
}

/// Whether a shopper was told something that the ledger, which may only be ahead, denies.
fn contradicts(told: &OrderSeen, order: &OrderStatus) -> bool {
    let is_final = match told.state.as_str() {
        "paid" => order.state == "paid",
        "declined" => order.state == "declined",
        "released" => matches!(order.state.as_str(), "released" | "unwound"),
        _ => true,
    };
    !is_final || (told.accepted && order.state == "reserved")
}

/// What is wrong between an order and the money that moved for it.
fn miscounted(order: &OrderStatus, sums: &OrderTally) -> Option<&'static str> {
    let total = u64::from(units(order)) * PRICE;
    let is_paid = order.state == "paid";
    match sums {
        _ if order.amount != total => Some("a wrong total"),
        sums if sums.captures > 1 || sums.captured > total => Some("charged twice"),
        sums if sums.captured != 0 && sums.captured != total => Some("charged in part"),
        sums if (sums.captured > 0) != is_paid => Some("charged without stock, or the reverse"),
        sums if sums.held() > 0 => Some("money is still held"),
        sums if sums.refunded > 0 => Some("refunded though nobody asked"),
        sums if sums.payment_intents > 1 => Some("authorised under two payments"),
        _ => None,
    }
}
