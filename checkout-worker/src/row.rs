//! Rows and what they mean, the same in every SQL ledger: an adapter fetches columns, and here is what they say. Rows are
//! not trusted: whatever cannot be ours is an error with the order's name.

mod books;
pub(crate) mod log;
mod order;
mod sales;
mod telling;

use domain::saga::{
    Accepted, ActionRequired, Attempt, Authorising, By, Cancelling, ClientSecret, Committed, Declined, Flag,
    Frozen, InvalidProviderName, KeySpace, Order, Paid, Parked, PaymentId, PaymentMethod, Reason, Refunded,
    Refunding, Released, Reserved, Restock, Stake, State, Stray, Unwound,
};
use domain::{OrderId, Timestamp};
use serde::{Deserialize, Serialize};

pub(crate) use books::{ENTRIES, ORDERS, STOCK, StockBooks, UNTOLD, forgotten, stock_sums};
pub(crate) use order::{ItemRow, Moved, NoticeRow, OrderRow, channel_name, moved_money};
pub(crate) use sales::{REVENUE, SOLD, states};
pub(crate) use telling::{TellingRow, UntoldRow, hook_word, telling_word};

/// Orders that came to nothing, as a list in SQL: they hold no admission and count towards no limit.
pub(crate) const DEAD: &str = "('declined', 'released', 'unwound')";

/// A row that cannot be what we wrote.
#[derive(Clone, Debug)]
pub(crate) struct Corrupt {
    /// Whose row.
    pub(crate) order: OrderId,
    /// What is wrong with it.
    pub(crate) what: String,
}

impl Corrupt {
    /// Says that a list goes on without this order.
    pub(crate) fn left_out(&self) {
        tracing::error!(order.id = %self.order, what = self.what, "an order that cannot be read is left out of a list");
    }
}

/// The version of [`StateRow`] that is written. Readers refuse others rather than guess.
const STATE_ROW_VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Versioned {
    v: u32,
    is: StateRow,
    /// Payments that the order does not want; hardly any order has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    strays: Vec<StrayRow>,
    /// What the order was accepted with, where its state does not say so itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    method: Option<String>,
}

/// What an order's text says.
pub(crate) struct StateText {
    pub(crate) state: State,
    pub(crate) strays: Vec<Stray>,
    /// None also for an order that had left the states which know it before this was kept.
    pub(crate) method: Option<PaymentMethod>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StrayRow {
    payment: String,
    attempt: AttemptRow,
    // Rows from before these were kept have none of them; nor need those that say nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    part: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stake: Option<StakeRow>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_settled: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_told: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StakeRow {
    Hold,
    Charge,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum StateRow {
    Reserved {
        until: u64,
    },
    Accepted {
        method: String,
    },
    Authorising {
        method: String,
        attempt: AttemptRow,
        payment: Option<String>,
    },
    ActionRequired {
        method: String,
        attempt: AttemptRow,
        payment: String,
        client_secret: Option<String>,
        until: u64,
    },
    Cancelling {
        method: String,
        authorise: AttemptRow,
        payment: Option<String>,
        cancel: AttemptRow,
        by: ByRow,
    },
    Committed {
        payment: String,
        capture: AttemptRow,
    },
    Paid {
        payment: String,
        refund: Option<RefundRow>,
    },
    Declined {
        reason: String,
    },
    Released {
        by: ByRow,
    },
    Unwound {
        payment: String,
    },
    Refunded {
        payment: String,
        /// Not written but while a person's retry is under way.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_retried: bool,
    },
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(deny_unknown_fields)]
struct AttemptRow {
    n: u32,
    first_sent: u64,
    errors: u32,
    /// Not written for the first space: rows of ledgers that were never restored stay as they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    space: Option<u32>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RefundRow {
    attempt: AttemptRow,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    part: Option<u64>,
    restock: bool,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum ByRow {
    Shopper,
    Timer,
    Operator,
}

/// Writes a state's own data, the order's strays, and what it was accepted with.
pub(crate) fn state_text(order: &Order) -> String {
    let row = Versioned {
        v: STATE_ROW_VERSION,
        is: StateRow::from(&order.state),
        strays: order.strays.iter().map(StrayRow::from).collect(),
        method: order
            .method
            .as_ref()
            .filter(|_| order.state.method().is_none())
            .map(|method| method.as_str().to_owned()),
    };
    serde_json::to_string(&row).expect("strings and numbers always serialize")
}

/// Reads what [`state_text`] wrote.
pub(crate) fn parse_state(order: OrderId, text: &str) -> Result<StateText, Corrupt> {
    let corrupt = |what: String| Corrupt { order, what };
    let row: Versioned =
        serde_json::from_str(text).map_err(|e| corrupt(format!("its state does not parse: {e}")))?;
    if row.v != STATE_ROW_VERSION {
        return Err(corrupt(format!("its state is of version {}", row.v)));
    }
    let strays: Result<_, _> = row.strays.into_iter().map(Stray::try_from).collect();
    let state = State::try_from(row.is).map_err(|e| corrupt(e.to_string()))?;
    let kept = row.method.as_deref().map(PaymentMethod::new).transpose();
    let kept = kept.map_err(|e| corrupt(e.to_string()))?;
    Ok(StateText {
        method: kept.or_else(|| state.method().cloned()),
        strays: strays.map_err(|e| corrupt(e.to_string()))?,
        state,
    })
}

/// Reads a state's own data alone.
pub(crate) fn parse_own(text: &str) -> Option<State> {
    let row: StateRow = serde_json::from_str(text).ok()?;
    State::try_from(row).ok()
}

/// Reads a flag from its two columns.
pub(crate) fn parse_flag(
    order: OrderId,
    flag: Option<&str>,
    reason: Option<&str>,
) -> Result<Option<Flag>, Corrupt> {
    let corrupt = |what: String| Corrupt { order, what };
    Ok(Some(match flag {
        None => return Ok(None),
        Some("no_answer") => Flag::Parked(Parked::NoAnswer),
        Some("rejected") => {
            let reason = Reason::new(reason.unwrap_or("unknown")).map_err(|e| corrupt(e.to_string()))?;
            Flag::Parked(Parked::Rejected(reason))
        }
        Some("key_mismatch") => Flag::Frozen(Frozen::KeyMismatch),
        Some("amount_mismatch") => Flag::Frozen(Frozen::AmountMismatch),
        Some(other) => return Err(corrupt(format!("its flag is {other:?}"))),
    }))
}

/// The reason column that goes with a flag.
pub(crate) fn flag_reason(flag: Option<&Flag>) -> Option<&str> {
    match flag {
        Some(Flag::Parked(Parked::Rejected(reason))) => Some(reason.as_str()),
        Some(Flag::Parked(Parked::NoAnswer) | Flag::Frozen(_)) | None => None,
    }
}

/// An instant as a column holds it: "never" is the greatest number there is.
pub(crate) fn millis(at: Timestamp) -> i64 {
    i64::try_from(at.as_millis()).unwrap_or(i64::MAX)
}

/// An instant from its column.
pub(crate) fn timestamp(millis: i64) -> Timestamp {
    match u64::try_from(millis) {
        Ok(_) if millis == i64::MAX => Timestamp::NEVER,
        Ok(millis) => Timestamp::from_millis(millis),
        Err(_) => Timestamp::EPOCH,
    }
}

/// An order's instant from its column; none of ours lies before the epoch.
pub(crate) fn instant(order: OrderId, what: &str, millis: i64) -> Result<Timestamp, Corrupt> {
    whole::<u64>(order, what, millis)?;
    Ok(timestamp(millis))
}

/// A count or an amount from its column.
pub(crate) fn whole<T: TryFrom<i64>>(order: OrderId, what: &str, value: i64) -> Result<T, Corrupt> {
    T::try_from(value).map_err(|_| Corrupt {
        order,
        what: format!("its {what} is {value}"),
    })
}

/// An amount as a column holds it.
pub(crate) fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

impl From<Attempt> for AttemptRow {
    fn from(attempt: Attempt) -> Self {
        Self {
            n: attempt.n,
            first_sent: attempt.first_sent.as_millis(),
            errors: attempt.errors,
            space: (attempt.space != KeySpace::FIRST).then_some(attempt.space.0),
        }
    }
}

impl From<AttemptRow> for Attempt {
    fn from(row: AttemptRow) -> Self {
        Self {
            n: row.n,
            first_sent: Timestamp::from_millis(row.first_sent),
            errors: row.errors,
            space: row.space.map_or(KeySpace::FIRST, KeySpace),
        }
    }
}

impl From<&Stray> for StrayRow {
    fn from(stray: &Stray) -> Self {
        Self {
            payment: stray.payment.as_str().to_owned(),
            attempt: stray.attempt.into(),
            part: stray.part,
            stake: match stray.stake {
                Stake::Nothing => None,
                Stake::Hold => Some(StakeRow::Hold),
                Stake::Charge => Some(StakeRow::Charge),
            },
            is_settled: stray.is_settled,
            is_told: stray.is_told,
        }
    }
}

impl TryFrom<StrayRow> for Stray {
    type Error = InvalidProviderName;

    fn try_from(row: StrayRow) -> Result<Self, InvalidProviderName> {
        Ok(Self {
            payment: PaymentId::new(&row.payment)?,
            attempt: row.attempt.into(),
            part: row.part,
            stake: match row.stake {
                None => Stake::Nothing,
                Some(StakeRow::Hold) => Stake::Hold,
                Some(StakeRow::Charge) => Stake::Charge,
            },
            is_settled: row.is_settled,
            is_told: row.is_told,
        })
    }
}

impl From<By> for ByRow {
    fn from(by: By) -> Self {
        match by {
            By::Shopper => Self::Shopper,
            By::Timer => Self::Timer,
            By::Operator => Self::Operator,
        }
    }
}

impl From<ByRow> for By {
    fn from(row: ByRow) -> Self {
        match row {
            ByRow::Shopper => Self::Shopper,
            ByRow::Timer => Self::Timer,
            ByRow::Operator => Self::Operator,
        }
    }
}

impl From<&State> for StateRow {
    fn from(state: &State) -> Self {
        let text = |id: &PaymentId| id.as_str().to_owned();
        match state {
            State::Reserved(d) => Self::Reserved {
                until: d.until.as_millis(),
            },
            State::Accepted(d) => Self::Accepted {
                method: d.method.as_str().to_owned(),
            },
            State::Authorising(d) => Self::Authorising {
                method: d.method.as_str().to_owned(),
                attempt: d.attempt.into(),
                payment: d.payment.as_ref().map(text),
            },
            State::ActionRequired(d) => Self::ActionRequired {
                method: d.method.as_str().to_owned(),
                attempt: d.attempt.into(),
                payment: text(&d.payment),
                client_secret: d.client_secret.as_ref().map(|secret| secret.as_str().to_owned()),
                until: d.until.as_millis(),
            },
            State::Cancelling(d) => Self::Cancelling {
                method: d.method.as_str().to_owned(),
                authorise: d.authorise.into(),
                payment: d.payment.as_ref().map(text),
                cancel: d.cancel.into(),
                by: d.by.into(),
            },
            State::Committed(d) => Self::Committed {
                payment: text(&d.payment),
                capture: d.capture.into(),
            },
            State::Paid(d) => Self::Paid {
                payment: text(&d.payment),
                refund: d.refund.map(RefundRow::from),
            },
            State::Declined(d) => Self::Declined {
                reason: d.reason.as_str().to_owned(),
            },
            State::Released(d) => Self::Released { by: d.by.into() },
            State::Unwound(d) => Self::Unwound {
                payment: text(&d.payment),
            },
            State::Refunded(d) => Self::Refunded {
                payment: text(&d.payment),
                is_retried: d.is_retried,
            },
        }
    }
}

impl From<Refunding> for RefundRow {
    fn from(refund: Refunding) -> Self {
        Self {
            attempt: refund.attempt.into(),
            part: refund.part,
            restock: refund.restock == Restock::Return,
        }
    }
}

impl From<RefundRow> for Refunding {
    fn from(row: RefundRow) -> Self {
        let restock = if row.restock {
            Restock::Return
        } else {
            Restock::Keep
        };
        Self {
            attempt: row.attempt.into(),
            part: row.part,
            restock,
        }
    }
}

impl TryFrom<StateRow> for State {
    type Error = InvalidProviderName;

    fn try_from(row: StateRow) -> Result<Self, InvalidProviderName> {
        let id = |text: String| PaymentId::new(&text);
        Ok(match row {
            StateRow::Reserved { until } => Self::Reserved(Reserved {
                until: Timestamp::from_millis(until),
            }),
            StateRow::Accepted { method } => Self::Accepted(Accepted {
                method: PaymentMethod::new(&method)?,
            }),
            StateRow::Authorising {
                method,
                attempt,
                payment,
            } => Self::Authorising(Authorising {
                method: PaymentMethod::new(&method)?,
                attempt: attempt.into(),
                payment: payment.map(id).transpose()?,
            }),
            StateRow::ActionRequired {
                method,
                attempt,
                payment,
                client_secret,
                until,
            } => Self::ActionRequired(ActionRequired {
                method: PaymentMethod::new(&method)?,
                attempt: attempt.into(),
                payment: id(payment)?,
                client_secret: client_secret.as_deref().map(ClientSecret::new).transpose()?,
                until: Timestamp::from_millis(until),
            }),
            StateRow::Cancelling {
                method,
                authorise,
                payment,
                cancel,
                by,
            } => Self::Cancelling(Cancelling {
                method: PaymentMethod::new(&method)?,
                authorise: authorise.into(),
                payment: payment.map(id).transpose()?,
                cancel: cancel.into(),
                by: by.into(),
            }),
            StateRow::Committed { payment, capture } => Self::Committed(Committed {
                payment: id(payment)?,
                capture: capture.into(),
            }),
            StateRow::Paid { payment, refund } => Self::Paid(Paid {
                payment: id(payment)?,
                refund: refund.map(Refunding::from),
            }),
            StateRow::Declined { reason } => Self::Declined(Declined {
                reason: Reason::new(&reason)?,
            }),
            StateRow::Released { by } => Self::Released(Released { by: by.into() }),
            StateRow::Unwound { payment } => Self::Unwound(Unwound {
                payment: id(payment)?,
            }),
            StateRow::Refunded { payment, is_retried } => Self::Refunded(Refunded {
                payment: id(payment)?,
                is_retried,
            }),
        })
    }
}
