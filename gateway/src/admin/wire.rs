//! The JSON of the admin API, written by the gateway and read by the command line.

pub mod log;
pub mod report;
pub mod stock;
pub mod webhooks;

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use admission::figures::Waits;
use admission::{Figures, Snapshot};
use checkout_worker::OrderView;
use checkout_worker::audit::{self, AuditReport};
use checkout_worker::checkout::Restored;
use checkout_worker::ledger::StockSums;
use domain::pool::Level;
use domain::{Control, Sku};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::config::DropConfig;
use crate::room::page::rfc3339;

/// One drop as ops see it.
#[derive(Clone, PartialEq, Serialize, Deserialize, Debug)]
pub struct DropStatus {
    /// The drop's id.
    pub drop: String,
    /// What shoppers read.
    pub title: String,
    /// Where it stands.
    pub phase: String,
    /// What the operator has switched.
    pub control: Switches,
    /// `running`, `paused`, or `halted` for refused credentials.
    pub payments: String,
    /// `running`, or `paused`: no new orders are taken.
    pub checkout: String,
    /// Shoppers waiting.
    pub waiting: u64,
    /// All ranks below are called.
    pub frontier: u64,
    /// Sessions active now.
    pub active_users: u64,
    /// Admissions in the last 60 seconds.
    pub admitted_last_minute: u64,
    /// Shoppers called per minute, as measured.
    pub outflow_per_minute: Option<u64>,
    /// What paces the outflow now.
    pub outflow_bound: String,
    /// How long the first in line has waited, in seconds.
    pub oldest_wait_seconds: u64,
    /// How long those waited whom this process let in since it started; nothing where it let nobody in.
    pub wait_seconds: Option<WaitSeconds>,
    /// The hard limits.
    pub limits: Limits,
    /// Units by SKU.
    pub stock: BTreeMap<String, Units>,
    /// Since the process started.
    pub since_start: Counts,
    /// Whether the figures could not be refreshed lately.
    pub stale: bool,
}

/// Waits from join to admission, in seconds: so many of a hundred waited no longer. Three digits are kept of each wait.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize, Debug)]
pub struct WaitSeconds {
    /// Half.
    pub p50: f64,
    /// Nine of ten.
    pub p90: f64,
    /// Ninety-nine of a hundred.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// What the operator has switched.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four independent switches, shown as such"
)]
pub struct Switches {
    /// Nobody is called.
    pub paused: bool,
    /// Nobody joins.
    pub draining: bool,
    /// It is over.
    pub ended: bool,
    /// Everybody is held.
    pub queue_all: bool,
}

/// `POST {payments|checkout}/{pause|resume}`, for all drops or for one: what was switched, and where
/// every drop stands then. One that is still paused is so by another switch, or by the configuration.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, Debug)]
pub struct SwitchStatus {
    /// What payments were switched to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payments: Option<String>,
    /// What the checkout was switched to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkout: Option<String>,
    /// Each drop the switch is about, and where it stands.
    pub drops: BTreeMap<String, String>,
}

/// What `doorline restore` came to.
#[derive(Clone, PartialEq, Serialize, Deserialize, Debug)]
pub struct RestoreStatus {
    /// Whether everything is settled and the books are right.
    pub done: bool,
    /// Where keys are drawn from now.
    pub key_space: String,
    /// From when on payments were compared.
    pub since: String,
    /// Payments looked at.
    pub seen: u64,
    /// Payments that told the ledger something.
    pub applied: u64,
    /// Payments whose order is lost: given up or given back.
    pub unknown: u64,
    /// Those of them whose money was given back. The operators' log names each.
    pub given_back: u64,
    /// Payments whose end was not seen.
    pub left: u64,
    /// The books at the end.
    pub audit: Audit,
}

/// The hard limits.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Limits {
    /// Sessions at once.
    pub total_active_users: u32,
    /// Admissions in any 60 seconds.
    pub new_users_per_minute: u32,
}

/// Units of one SKU.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Units {
    /// Free.
    pub available: u32,
    /// Held for orders that are not paid.
    pub reserved: u32,
    /// Sold.
    pub sold: u32,
}

/// Counts since the process started.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Counts {
    /// Places handed out.
    pub joined: u64,
    /// Shoppers let in.
    pub admitted: u64,
    /// Called shoppers who did not turn up.
    pub no_shows: u64,
    /// Places given up.
    pub left: u64,
    /// Most sessions at once.
    pub active_users_max: u64,
    /// Most admissions in any 60 seconds.
    pub admitted_in_60s_max: u64,
}

/// `PATCH drops/{drop}`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct DropChange {
    /// Sessions at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_active_users: Option<u32>,
    /// Admissions in any 60 seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_users_per_minute: Option<u32>,
    /// Orders per second taken to payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_per_second: Option<u32>,
    /// A message on the page; an empty one takes it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

/// A body that is a JSON object. A list of the same values by position, which a struct would
/// take as well, is a mistake rather than a wish.
#[derive(Clone, Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members))
            }
        }

        deserializer.deserialize_map(Members(PhantomData)).map(Self)
    }
}

/// How an order is mended, where there is a choice.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Mending {
    /// Whether the units of a refunded order go back on sale.
    #[serde(default)]
    pub restock: bool,
}

/// One order as ops see it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct OrderStatus {
    /// The order's id.
    pub order: String,
    /// Its drop.
    pub drop: String,
    /// Its state in the ledger.
    pub state: String,
    /// Units per SKU.
    pub items: BTreeMap<String, u32>,
    /// What it costs, in minor units.
    pub amount: u64,
    /// Of this currency.
    pub currency: String,
    /// Why it is parked or frozen.
    pub flag: Option<String>,
    /// The provider's word for it, where the provider refused.
    pub flag_reason: Option<String>,
    /// Why it came to nothing.
    pub reason: Option<String>,
    /// The payment at the provider.
    pub payment: Option<String>,
    /// When it was reserved.
    pub created_at: String,
    /// When it last changed.
    pub changed_at: String,
    /// Rises with every change.
    pub version: u64,
}

/// What an audit found.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Audit {
    /// When the books were read.
    pub at: String,
    /// Whether every unit and every charge adds up.
    pub clean: bool,
    /// Orders paid.
    pub paid_orders: u64,
    /// Their totals, in minor units.
    pub paid_total: u64,
    /// What the payments say was captured, in minor units.
    pub captured_total: u64,
    /// Units by drop and SKU.
    pub stock: Vec<AuditedStock>,
    /// What does not agree.
    pub differences: Vec<Difference>,
}

/// One SKU's books.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct AuditedStock {
    /// The drop.
    pub drop: String,
    /// The SKU.
    pub sku: String,
    /// Units in the pool.
    pub total: u32,
    /// Of them held.
    pub held: u32,
    /// Of them sold.
    pub sold: u32,
}

/// Two books that should agree and do not.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Difference {
    /// Which books.
    pub what: String,
    /// Of what.
    pub subject: String,
    /// What one says.
    pub expected: i64,
    /// What the other says.
    pub found: i64,
}

impl From<Waits> for WaitSeconds {
    fn from(waits: Waits) -> Self {
        let [p50, p90, p99, max] =
            [waits.p50, waits.p90, waits.p99, waits.max].map(|wait| wait.as_duration().as_secs_f64());
        Self { p50, p90, p99, max }
    }
}

impl DropStatus {
    /// Puts a drop together from what its parts know.
    pub fn of(
        config: &DropConfig,
        snapshot: &Snapshot,
        (figures, waits): (&Figures, Option<Waits>),
        stock: &BTreeMap<Sku, Level>,
        [payments, checkout]: [&str; 2],
    ) -> Self {
        Self {
            drop: config.id.to_string(),
            title: config.title.clone(),
            phase: snapshot.phase.as_str().to_owned(),
            control: Switches::from(snapshot.control),
            payments: payments.to_owned(),
            checkout: checkout.to_owned(),
            waiting: snapshot.waiting,
            frontier: snapshot.frontier.0,
            active_users: snapshot.active_users,
            admitted_last_minute: snapshot.admitted_last_minute,
            outflow_per_minute: snapshot.outflow_per_minute,
            outflow_bound: snapshot.bound.as_str().to_owned(),
            oldest_wait_seconds: snapshot.oldest_wait.as_secs_ceil(),
            wait_seconds: waits.map(WaitSeconds::from),
            limits: Limits::from(snapshot.rules.limits),
            stock: units(stock.iter().map(|(sku, level)| (sku, *level))),
            since_start: Counts {
                joined: figures.joined,
                admitted: figures.admitted,
                no_shows: figures.no_shows,
                left: figures.left,
                active_users_max: figures.active_users_max,
                admitted_in_60s_max: figures.admitted_in_60s_max,
            },
            stale: snapshot.stale,
        }
    }
}

/// The stock of a drop, by SKU.
pub(super) fn units<S: ToString>(levels: impl IntoIterator<Item = (S, Level)>) -> BTreeMap<String, Units> {
    let levels = levels.into_iter();
    levels
        .map(|(sku, level)| (sku.to_string(), Units::from(level)))
        .collect()
}

impl From<domain::Limits> for Limits {
    fn from(limits: domain::Limits) -> Self {
        Self {
            total_active_users: limits.total_active_users,
            new_users_per_minute: limits.new_users_per_minute,
        }
    }
}

impl From<Level> for Units {
    fn from(level: Level) -> Self {
        Self {
            available: level.available(),
            reserved: level.held,
            sold: level.sold,
        }
    }
}

impl From<Control> for Switches {
    fn from(control: Control) -> Self {
        Self {
            paused: control.paused,
            draining: control.draining,
            ended: control.ended,
            queue_all: control.queue_all,
        }
    }
}

impl From<&OrderView> for OrderStatus {
    fn from(view: &OrderView) -> Self {
        Self {
            order: Uuid::from_u128(view.order.0).to_string(),
            drop: view.drop.to_string(),
            state: view.ledger_state.as_str().to_owned(),
            items: view
                .items
                .iter()
                .map(|item| (item.line.sku.to_string(), item.line.quantity))
                .collect(),
            amount: view.total.amount,
            currency: view.total.currency.to_string(),
            flag: view.flag.map(str::to_owned),
            flag_reason: view.flag_reason.clone(),
            reason: view.reason.clone(),
            payment: view.payment.as_ref().map(|payment| payment.as_str().to_owned()),
            created_at: rfc3339(view.created_at.as_millis()),
            changed_at: rfc3339(view.changed_at.as_millis()),
            version: view.version,
        }
    }
}

impl From<&Restored> for RestoreStatus {
    fn from(restored: &Restored) -> Self {
        Self {
            done: restored.is_done(),
            key_space: restored.key_space.to_string(),
            since: rfc3339(restored.since.as_millis()),
            seen: restored.found.seen,
            applied: restored.found.applied,
            unknown: restored.found.unknown,
            given_back: restored.found.given_back,
            left: u64::try_from(restored.left).unwrap_or(u64::MAX),
            audit: Audit::from(&restored.audit),
        }
    }
}

impl From<&AuditReport> for Audit {
    fn from(report: &AuditReport) -> Self {
        let sums = &report.sums;
        let stock = |sums: &StockSums| AuditedStock {
            drop: sums.drop.to_string(),
            sku: sums.sku.to_string(),
            total: sums.level.total,
            held: sums.level.held,
            sold: sums.level.sold,
        };
        let difference = |difference: &audit::Difference| Difference {
            what: difference.what.to_owned(),
            subject: difference.subject.clone(),
            expected: difference.expected,
            found: difference.found,
        };
        Self {
            at: rfc3339(report.at.as_millis()),
            clean: report.is_clean(),
            paid_orders: sums.paid_orders,
            paid_total: sums.paid_total,
            captured_total: sums.captured_total,
            stock: sums.stock.iter().map(stock).collect(),
            differences: report.differences.iter().map(difference).collect(),
        }
    }
}
