//! What operators do: look, mend, pause, pace, count.

use domain::pool::Level;
use domain::saga::{By, Event, Refusal, Restock};
use domain::{DropId, OrderId, Sku, Span};

use serde_json::json;

use crate::audit::AuditReport;
use crate::driver::{DriveError, Fed, Shut};
use crate::jobs::{JobError, Reconciled};
use crate::ledger::{
    AuditEntry, AuditLine, Change, Gauges, LedgerError, OrderFilter, Replay, Sales, StockChange,
    StockChanged, Telling, UNITS_MAX, Untold,
};
use crate::switch::{HALTED, Stops, Switch};

use super::{Checkout, OrderView};

/// Figures for metrics and for the outflow, read at about one moment.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Figures {
    /// Orders per drop and state, flags, outbox.
    pub gauges: Gauges,
    /// Orders per second taken to payment now, per drop.
    pub drain: Vec<(DropId, u32)>,
    /// Why no payment of any drop is made, if so.
    pub shut: Option<Shut>,
    /// Drops that take no new orders.
    pub stopped: Vec<DropId>,
    /// Whether the circuit breaker towards the provider holds calls back.
    pub breaker_open: bool,
    /// Orders that somebody watches.
    pub watched: usize,
}

/// Why an order was not mended.
#[derive(Debug, thiserror::Error)]
pub enum MendError {
    /// There is no such order.
    #[error("there is no order {0}")]
    Unknown(OrderId),
    /// The saga refuses.
    #[error("{0}")]
    Refused(Refusal),
    /// It did not come to its end; the ledger remembers what is owed.
    #[error("mending did not come to its end")]
    Drive(#[from] DriveError),
    /// The ledger failed.
    #[error("mending met a failing ledger")]
    Ledger(#[from] LedgerError),
}

/// Why stock was not changed.
#[derive(Debug, thiserror::Error)]
pub enum StockChangeError {
    /// Fewer units are free.
    #[error("only {free} units of {sku} are free")]
    NotFree {
        /// The SKU.
        sku: Sku,
        /// Units neither held nor sold.
        free: u32,
    },
    /// There would be more units than a SKU may have.
    #[error("a SKU has {UNITS_MAX} units at most")]
    TooMany,
    /// The drop does not sell it.
    #[error("drop {drop} has no SKU {sku}")]
    UnknownSku {
        /// The drop.
        drop: DropId,
        /// The SKU.
        sku: Sku,
    },
    /// The ledger failed.
    #[error("changing stock met a failing ledger")]
    Ledger(#[from] LedgerError),
}

impl Checkout {
    /// Lists orders, oldest first.
    pub async fn orders(&self, filter: OrderFilter) -> Result<Vec<OrderView>, LedgerError> {
        let records = self.driver().ledger.list(filter).await?;
        Ok(records.into_iter().map(|record| self.told(record)).collect())
    }

    /// Lists orders that are parked or frozen.
    pub async fn parked(&self, limit: u32) -> Result<Vec<OrderView>, LedgerError> {
        self.orders(OrderFilter {
            flagged: true,
            limit,
            ..OrderFilter::default()
        })
        .await
    }

    /// Lets a parked or frozen order go on.
    pub async fn retry(&self, order: OrderId, by: &str) -> Result<OrderView, MendError> {
        self.mend(order, Event::Retry, "order.retry", by).await
    }

    /// Gives the money of a paid order back.
    pub async fn refund(&self, order: OrderId, restock: Restock, by: &str) -> Result<OrderView, MendError> {
        self.mend(order, Event::Refund(restock), "order.refund", by).await
    }

    /// Gives an order up on the merchant's behalf.
    pub async fn cancel_by_operator(&self, order: OrderId, by: &str) -> Result<OrderView, MendError> {
        self.mend(order, Event::Cancel(By::Operator), "order.cancel", by)
            .await
    }

    /// Stops what the switch stops: here at once, at every other process within a second. Holds over a restart.
    pub async fn stop(&self, switch: Switch, by: &str) -> Result<(), LedgerError> {
        // Before it is written, which may take long or fail: at least this process stops. And after: a job that read the
        // switches meanwhile, as it does each second, has opened the valve again.
        self.turn_on_here(switch.clone());
        let noted = self.note_switch(&switch, true, by).await;
        self.turn_on_here(switch);
        noted
    }

    fn turn_on_here(&self, switch: Switch) {
        self.driver().valve.set(switch, true);
        self.driver().hub.wake_all();
    }

    /// Ends what the switch stopped; a stop of all payments for refused credentials ends too. What the configuration
    /// stops stays stopped.
    pub async fn resume(&self, switch: Switch, by: &str) -> Result<(), LedgerError> {
        if switch == Switch::everywhere(Stops::Payments) {
            self.end_halt(by).await?;
        }
        self.note_switch(&switch, false, by).await?;
        self.driver().valve.set(switch, false);
        self.driver().hub.wake_all();
        Ok(())
    }

    /// Has the provider tried again after refused credentials, here at once and at every other process within a second.
    async fn end_halt(&self, by: &str) -> Result<(), LedgerError> {
        let ledger = &self.driver().ledger;
        if ledger.switches().await?.iter().any(|on| on == HALTED) {
            let entry = AuditEntry::new("payments.resume", "refused credentials", by);
            ledger.set_switch(HALTED.to_owned(), false, entry).await?;
        }
        self.driver().valve.end_halt();
        Ok(())
    }

    /// Turns the durable switch, and writes who did it.
    async fn note_switch(&self, switch: &Switch, on: bool, by: &str) -> Result<(), LedgerError> {
        let action = match (switch.stops, on) {
            (Stops::Payments, true) => "payments.pause",
            (Stops::Payments, false) => "payments.resume",
            (Stops::Checkout, true) => "checkout.pause",
            (Stops::Checkout, false) => "checkout.resume",
        };
        let place = switch.drop.as_ref().map_or("all drops", DropId::as_str);
        let entry = AuditEntry::new(action, place, by);
        self.driver().ledger.set_switch(switch.name(), on, entry).await
    }

    /// Keeps changes of drops' settings over restarts and for every process on the ledger, and does here what they say
    /// about drain rates; other processes do within a second. What they say about other settings is the caller's.
    pub async fn change(&self, changes: Vec<Change>, subject: &str, by: &str) -> Result<(), LedgerError> {
        let entry = AuditEntry::new("drop.change", subject, by);
        self.driver().ledger.change(changes, entry).await?;
        self.follow_changes().await
    }

    /// What operators have changed, over all drops.
    pub async fn changes(&self) -> Result<Vec<Change>, LedgerError> {
        self.driver().ledger.changes().await
    }

    /// Drains each drop as it is configured, or as an operator changed it since.
    pub(super) async fn follow_changes(&self) -> Result<(), LedgerError> {
        let driver = self.driver();
        driver.drain.follow_ledger(driver.ledger.as_ref()).await
    }

    /// The stock of a drop, by SKU.
    pub async fn stock(&self, drop: &DropId) -> Result<Vec<(Sku, Level)>, LedgerError> {
        self.driver().ledger.stock(drop.clone()).await
    }

    /// The stock of a drop as far as it is for sale. Nobody can buy the free units of a SKU that the drop does not name any
    /// more: they are left out, or it would never be sold out. What orders hold and have of it stays, here as in the books.
    pub async fn stock_for_sale(&self, drop: &DropId) -> Result<Vec<(Sku, Level)>, LedgerError> {
        let terms = self.terms(drop);
        let names = |sku: &Sku| {
            let items = terms.iter().flat_map(|terms| &terms.items);
            items.into_iter().any(|item| item.sku == *sku)
        };
        let for_sale = |(sku, level): (Sku, Level)| {
            let taken = level.held.saturating_add(level.sold);
            let total = if names(&sku) { level.total } else { taken };
            (sku, Level { total, ..level })
        };
        Ok(self.stock(drop).await?.into_iter().map(for_sale).collect())
    }

    /// Adds or withdraws units, over restarts: the change stands until another stock is configured.
    pub async fn change_stock(
        &self,
        drop: &DropId,
        sku: &Sku,
        change: StockChange,
        by: &str,
    ) -> Result<Level, StockChangeError> {
        let word = match change {
            StockChange::Add(units) => format!("add {units}"),
            StockChange::Withdraw(units) => format!("withdraw {units}"),
        };
        let entry = AuditEntry::new("stock.change", &format!("{drop} {sku} {word}"), by);
        let ledger = &self.driver().ledger;
        match ledger
            .change_stock(drop.clone(), sku.clone(), change, entry)
            .await?
        {
            StockChanged::Done(level) => Ok(level),
            StockChanged::TooMany => Err(StockChangeError::TooMany),
            StockChanged::NotFree { free } => Err(StockChangeError::NotFree {
                sku: sku.clone(),
                free,
            }),
            StockChanged::UnknownSku => Err(StockChangeError::UnknownSku {
                drop: drop.clone(),
                sku: sku.clone(),
            }),
        }
    }

    /// Writes a line in the operators' log about something done outside of the checkout.
    pub async fn note(&self, entry: AuditEntry) -> Result<(), LedgerError> {
        self.driver().ledger.note(entry).await
    }

    /// The operators' log, the newest line first; with `ago`, only what is no older.
    pub async fn noted(&self, ago: Option<Span>, limit: u32) -> Result<Vec<AuditLine>, LedgerError> {
        let since = ago.map(|ago| self.driver().clock.now() - ago);
        self.driver().ledger.noted(since, limit).await
    }

    /// Lists notices that the merchant's system has not taken.
    pub async fn untold(&self, telling: Telling, limit: u32) -> Result<Vec<Untold>, LedgerError> {
        self.driver().ledger.untold(telling, limit).await
    }

    /// Has the merchant's system told once more; says of how many notices. Each step is kept: where a later one fails,
    /// asking again tells the first ones twice, which changes nothing.
    pub async fn replay(&self, what: Replay, subject: &str, by: &str) -> Result<u64, LedgerError> {
        let ledger = &self.driver().ledger;
        let begun = AuditEntry::new("webhooks.replay", subject, by);
        ledger.note(begun.clone()).await?;
        let (mut count, mut after) = (0, Some(0));
        while let Some(message) = after {
            let step = ledger.replay_notices(what, message).await?;
            count += u64::from(step.count);
            after = step.more_after;
        }
        let done = begun.ended(json!({ "replayed": count }).to_string());
        ledger.note(done).await?;
        self.jobs().wake();
        Ok(count)
    }

    /// What a drop came to so far.
    pub async fn sales(&self, drop: &DropId) -> Result<Sales, LedgerError> {
        self.driver().ledger.sales(drop.clone()).await
    }

    /// Counts every unit and every charge from both sides.
    pub async fn audit(&self) -> Result<AuditReport, LedgerError> {
        let sums = self.driver().ledger.audit().await?;
        Ok(AuditReport::of(sums, self.driver().clock.now()))
    }

    /// Asks the provider about every payment of the usual window, now.
    pub async fn reconcile(&self) -> Result<Reconciled, JobError> {
        self.jobs().reconcile_with_provider().await
    }

    /// Units per drop and SKU: one look-up by key per drop, cheap enough for several times a second.
    pub async fn levels(&self) -> Result<Vec<(DropId, Sku, Level)>, LedgerError> {
        let mut levels = Vec::new();
        for terms in self.all_terms() {
            let of_drop = self.stock(&terms.drop).await?;
            levels.extend(
                of_drop
                    .into_iter()
                    .map(|(sku, level)| (terms.drop.clone(), sku, level)),
            );
        }
        Ok(levels)
    }

    /// Figures for metrics and for the outflow. They count rows: read them once a second at most.
    pub async fn figures(&self) -> Result<Figures, LedgerError> {
        let driver = self.driver();
        let gauges = driver.ledger.gauges().await?;
        Ok(Figures {
            gauges,
            drain: driver.drain.rates(),
            shut: driver.valve.shut_everywhere(),
            stopped: self
                .all_terms()
                .iter()
                .map(|terms| terms.drop.clone())
                .filter(|drop| self.is_stopped(drop))
                .collect(),
            breaker_open: driver.breaker.is_open(),
            watched: driver.hub.watched(),
        })
    }

    /// Why no payment of a drop is made, if so. Shoppers are told that their order waits.
    pub fn payments_shut(&self, drop: &DropId) -> Option<Shut> {
        self.driver().valve.shut(drop)
    }

    /// Whether no new orders are taken for a drop.
    pub fn is_stopped(&self, drop: &DropId) -> bool {
        self.driver().valve.stops_checkout(drop)
    }

    async fn mend(
        &self,
        order: OrderId,
        event: Event,
        action: &'static str,
        by: &str,
    ) -> Result<OrderView, MendError> {
        let unknown = || MendError::Unknown(order);
        let before = self.view(order).await?.ok_or_else(unknown)?;
        let begun = AuditEntry {
            before: Some(told(&before)),
            ..AuditEntry::new(action, &order.to_string(), by)
        };
        let ledger = &self.driver().ledger;
        ledger.note(begun.clone()).await?;
        let fed = self.driver().feed(order, event).await?;
        self.jobs().wake();
        match fed {
            Fed::Unknown => Err(unknown()),
            Fed::Refused(refusal) => Err(MendError::Refused(refusal)),
            Fed::Rested(_) | Fed::Deferred(_) => {
                let view = self.view(order).await?.ok_or_else(unknown)?;
                ledger.note(begun.ended(told(&view))).await?;
                Ok(view)
            }
        }
    }
}

/// An order as the operators' log tells it.
fn told(view: &OrderView) -> String {
    json!({ "state": view.ledger_state.as_str(), "flag": view.flag, "version": view.version }).to_string()
}
