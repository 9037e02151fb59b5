//! An order as a shopper or an operator sees it.

use domain::saga::{By, ClientSecret, Flag, Order, PaymentId, REFUND_FAILED, Stake, State, StateName, Stray};
use domain::{DropId, Money, OrderId, ShopperKey, Timestamp};

use crate::ledger::{Item, LedgerError, OrderRecord};
use crate::row::flag_reason;

use super::Checkout;

/// The states that shoppers are told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PublicState {
    /// Units are held; a payment method is awaited.
    Reserved,
    /// Taken; waiting for its turn at the provider.
    Accepted,
    /// The provider has it. Also while an order is being given up: until that is sure, nothing else is true.
    Paying,
    /// The shopper has to confirm with their bank.
    ActionRequired,
    /// Paid.
    Paid,
    /// Refused by the provider; nothing was charged.
    Declined,
    /// Given up; nothing was charged.
    Released,
    /// Paid and given back; with the reason `refund_failed` while giving back has failed and waits for a person.
    Refunded,
}

/// What became of a payment that came through although its order had ended or was paid for already.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LatePayment {
    /// The hold on the shopper's card was given up.
    Released,
    /// The hold on the shopper's card is being given up.
    BeingReleased,
    /// The money was given back.
    Refunded,
    /// The money is being given back.
    BeingRefunded,
}

/// An order as it is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OrderView {
    /// Its name.
    pub order: OrderId,
    /// Its drop.
    pub drop: DropId,
    /// Whose it is. Compare before showing it to anybody.
    pub shopper: ShopperKey,
    /// What a shopper is told.
    pub state: PublicState,
    /// What was bought, at which prices.
    pub items: Vec<Item>,
    /// What it costs in all.
    pub total: Money,
    /// Until when the units are held, while the order is only reserved.
    pub reserved_until: Option<Timestamp>,
    /// What the shopper's browser needs to confirm, while it has to. For the shopper's own eyes.
    pub action: Option<ClientSecret>,
    /// Why it came to nothing, or what it waits for: a short stable word.
    pub reason: Option<String>,
    /// A payment beside the order's own that had some of the shopper's money: the one that matters most to them.
    pub late_payment: Option<LatePayment>,
    /// Rises with every change.
    pub version: u64,
    /// The state in the ledger, for operators.
    pub ledger_state: StateName,
    /// Why it is parked or frozen, for operators.
    pub flag: Option<&'static str>,
    /// The provider's word for it, where the provider refused; for operators.
    pub flag_reason: Option<String>,
    /// The payment at the provider, for operators.
    pub payment: Option<PaymentId>,
    /// When it was reserved.
    pub created_at: Timestamp,
    /// When it last changed.
    pub changed_at: Timestamp,
}

impl Checkout {
    /// Reads one order; nothing where there is none.
    pub async fn view(&self, order: OrderId) -> Result<Option<OrderView>, LedgerError> {
        let record = self.driver().ledger.load(order).await?;
        Ok(record.map(|record| self.told(record)))
    }

    /// The view of an order, with what holds it up.
    pub(super) fn told(&self, record: OrderRecord) -> OrderView {
        let mut view = OrderView::from(record);
        let waits = matches!(view.state, PublicState::Accepted | PublicState::Paying);
        if waits && view.reason.is_none() {
            view.reason = self.holds_up(&view.drop).map(str::to_owned);
        }
        view
    }

    fn holds_up(&self, drop: &DropId) -> Option<&'static str> {
        let driver = self.driver();
        if driver.valve.shut(drop).is_some() {
            return Some("payments_paused");
        }
        driver.breaker.is_open().then_some("provider_unavailable")
    }
}

impl PublicState {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Accepted => "accepted",
            Self::Paying => "paying",
            Self::ActionRequired => "action_required",
            Self::Paid => "paid",
            Self::Declined => "declined",
            Self::Released => "released",
            Self::Refunded => "refunded",
        }
    }

    /// Whether nothing more will happen by itself: a stream of events may end here.
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Paid | Self::Declined | Self::Released | Self::Refunded
        )
    }
}

impl LatePayment {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::BeingReleased => "being_released",
            Self::Refunded => "refunded",
            Self::BeingRefunded => "being_refunded",
        }
    }

    fn of(stray: &Stray) -> Option<Self> {
        match (stray.stake, stray.is_settled) {
            (Stake::Nothing, _) => None,
            (Stake::Hold, true) => Some(Self::Released),
            (Stake::Hold, false) => Some(Self::BeingReleased),
            (Stake::Charge, true) => Some(Self::Refunded),
            (Stake::Charge, false) => Some(Self::BeingRefunded),
        }
    }
}

impl From<StateName> for PublicState {
    fn from(state: StateName) -> Self {
        match state {
            StateName::Reserved => Self::Reserved,
            StateName::Accepted => Self::Accepted,
            StateName::Authorising | StateName::Cancelling | StateName::Committed => Self::Paying,
            StateName::ActionRequired => Self::ActionRequired,
            StateName::Paid => Self::Paid,
            StateName::Declined => Self::Declined,
            StateName::Released | StateName::Unwound => Self::Released,
            StateName::Refunded => Self::Refunded,
        }
    }
}

impl From<OrderRecord> for OrderView {
    fn from(record: OrderRecord) -> Self {
        let order = record.order;
        let ledger_state = order.state.name();
        let reserved_until = (ledger_state == StateName::Reserved).then_some(record.reserved_until);
        let reason = reason(&order.state).or_else(|| refund_failed(&order));
        let late_payment = beside(&order).filter_map(LatePayment::of).max();
        Self {
            order: order.id,
            drop: order.drop,
            shopper: order.shopper,
            state: ledger_state.into(),
            items: record.items,
            total: order.total,
            reserved_until,
            reason,
            payment: order.state.payment().cloned(),
            action: action(&order.state),
            late_payment,
            version: order.version,
            ledger_state,
            flag: order.flag.as_ref().map(Flag::as_str),
            flag_reason: flag_reason(order.flag.as_ref()).map(str::to_owned),
            created_at: record.created_at,
            changed_at: record.changed_at,
        }
    }
}

/// The payments that an order has had beside its own.
fn beside(order: &Order) -> impl Iterator<Item = &Stray> {
    let own = order.state.payment();
    order
        .strays
        .iter()
        .filter(move |stray| own != Some(&stray.payment))
}

/// A refunded order whose refund came back has its money with the merchant: its shopper is told that it failed.
fn refund_failed(order: &Order) -> Option<String> {
    let failed = order.state.name() == StateName::Refunded && order.flag.is_some();
    failed.then(|| REFUND_FAILED.to_owned())
}

fn action(state: &State) -> Option<ClientSecret> {
    match state {
        State::ActionRequired(data) => data.client_secret.clone(),
        State::Reserved(_)
        | State::Accepted(_)
        | State::Authorising(_)
        | State::Cancelling(_)
        | State::Committed(_)
        | State::Paid(_)
        | State::Declined(_)
        | State::Released(_)
        | State::Unwound(_)
        | State::Refunded(_) => None,
    }
}

/// Why an order came to nothing, or what it waits for.
pub(crate) fn reason(state: &State) -> Option<String> {
    let word = match state {
        State::Declined(data) => data.reason.as_str(),
        State::Released(data) => match data.by {
            By::Shopper => "cancelled",
            By::Timer => "expired",
            By::Operator => "cancelled_by_shop",
        },
        State::Cancelling(_) => "cancelling",
        State::Unwound(_) => "authorisation_lost",
        State::Reserved(_)
        | State::Accepted(_)
        | State::Authorising(_)
        | State::ActionRequired(_)
        | State::Committed(_)
        | State::Paid(_)
        | State::Refunded(_) => return None,
    };
    Some(word.to_owned())
}
