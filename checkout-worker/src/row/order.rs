//! Orders, their items and their news as columns hold them, before any of it is believed.

use domain::pool::Line;
use domain::saga::{Notice, Order, Pace, PaymentId, StateName};
use domain::{AdmissionId, Currency, DropId, Money, OrderId, ShopperKey, Sku};

use crate::ledger::{Channel, Email, Item, Message, OrderNotice, OrderRecord};

use super::{Corrupt, StateText, instant, parse_flag, parse_state, whole};

/// An order's row.
pub(crate) struct OrderRow {
    pub(crate) id: [u8; 16],
    pub(crate) drop: String,
    pub(crate) shopper: Vec<u8>,
    pub(crate) state: String,
    pub(crate) version: i64,
    pub(crate) data: String,
    pub(crate) tries: i64,
    pub(crate) due: i64,
    pub(crate) leased_until: i64,
    pub(crate) flag: Option<String>,
    pub(crate) flag_reason: Option<String>,
    pub(crate) total: i64,
    pub(crate) currency: String,
    pub(crate) email: Option<String>,
    pub(crate) reserved_until: i64,
    pub(crate) created_at: i64,
    pub(crate) changed_at: i64,
    pub(crate) accepted_at: Option<i64>,
}

/// One line of an order.
pub(crate) struct ItemRow {
    pub(crate) sku: String,
    pub(crate) quantity: i64,
    pub(crate) amount: i64,
}

/// A message's row, joined with its order's.
pub(crate) struct NoticeRow {
    pub(crate) order: OrderId,
    pub(crate) notice: Option<String>,
    pub(crate) version: i64,
    pub(crate) returned: i64,
    pub(crate) drop: String,
    pub(crate) shopper: [u8; 16],
    pub(crate) admission: [u8; 16],
}

/// What an order's state says about money: one provider object per order, and what it captured.
pub(crate) struct Moved<'a> {
    pub(crate) payment: &'a PaymentId,
    pub(crate) captured: u64,
    pub(crate) refunded: u64,
}

impl OrderRow {
    /// Whose row it is.
    pub(crate) fn order(&self) -> OrderId {
        OrderId(u128::from_be_bytes(self.id))
    }

    /// Checks every column and joins them with the order's items.
    pub(crate) fn into_record(self, items: Vec<ItemRow>) -> Result<OrderRecord, Corrupt> {
        let id = self.order();
        let corrupt = |what: String| Corrupt { order: id, what };
        let StateText {
            state,
            strays,
            method,
        } = parse_state(id, &self.data)?;
        if state.name().as_str() != self.state {
            return Err(corrupt(format!(
                "it is {} by its column and {} by its data",
                self.state,
                state.name()
            )));
        }
        let currency = Currency::new(&self.currency).map_err(|e| corrupt(e.to_string()))?;
        let shopper = <[u8; 16]>::try_from(self.shopper.as_slice())
            .map_err(|_| corrupt("its shopper's key is not 16 bytes".to_owned()))?;
        let email = match self.email.as_deref() {
            Some(text) => {
                Some(Email::new(text).ok_or_else(|| corrupt("its e-mail address is none".to_owned()))?)
            }
            None => None,
        };
        let order = Order {
            id,
            drop: DropId::new(&self.drop).map_err(|e| corrupt(e.to_string()))?,
            shopper: ShopperKey(shopper),
            total: Money::new(whole(id, "total", self.total)?, currency),
            method,
            version: whole(id, "version", self.version)?,
            state,
            pace: Pace {
                tries: whole(id, "count of tries", self.tries)?,
                due: instant(id, "due time", self.due)?,
                leased_until: instant(id, "lease", self.leased_until)?,
            },
            flag: parse_flag(id, self.flag.as_deref(), self.flag_reason.as_deref())?,
            strays,
        };
        let items = items.into_iter().map(|item| item.into_item(id, currency));
        Ok(OrderRecord {
            items: items.collect::<Result<_, _>>()?,
            order,
            email,
            created_at: instant(id, "creation", self.created_at)?,
            reserved_until: instant(id, "reservation", self.reserved_until)?,
            changed_at: instant(id, "last change", self.changed_at)?,
            accepted_at: (self.accepted_at)
                .map(|at| instant(id, "acceptance", at))
                .transpose()?,
        })
    }
}

impl ItemRow {
    fn into_item(self, order: OrderId, currency: Currency) -> Result<Item, Corrupt> {
        let sku = Sku::new(&self.sku).map_err(|e| Corrupt {
            order,
            what: e.to_string(),
        })?;
        Ok(Item {
            line: Line {
                sku,
                quantity: whole(order, "quantity", self.quantity)?,
            },
            price: Money::new(whole(order, "price", self.amount)?, currency),
        })
    }
}

impl NoticeRow {
    /// What the message says: without a notice it is a drive message.
    pub(crate) fn into_message(self) -> Result<Message, Corrupt> {
        let Some(word) = self.notice else {
            return Ok(Message::Drive);
        };
        let corrupt = |what: String| Corrupt {
            order: self.order,
            what,
        };
        Ok(Message::Notice(OrderNotice {
            notice: Notice::named(&word).ok_or_else(|| corrupt(format!("its notice is {word:?}")))?,
            order: self.order,
            drop: DropId::new(&self.drop).map_err(|e| corrupt(e.to_string()))?,
            shopper: ShopperKey(self.shopper),
            admission: AdmissionId(self.admission),
            version: whole(self.order, "message's version", self.version)?,
            returned: whole(self.order, "count of returned units", self.returned)?,
        }))
    }
}

/// What goes into the payment row: it repeats what the states say in a book of its own.
pub(crate) fn moved_money(order: &Order) -> Option<Moved<'_>> {
    let payment = order.state.payment()?;
    let (captured, refunded) = match order.state.name() {
        StateName::Paid => (order.total.amount, 0),
        StateName::Refunded => (order.total.amount, order.total.amount),
        StateName::Reserved
        | StateName::Accepted
        | StateName::Authorising
        | StateName::ActionRequired
        | StateName::Cancelling
        | StateName::Committed
        | StateName::Declined
        | StateName::Released
        | StateName::Unwound => (0, 0),
    };
    Some(Moved {
        payment,
        captured,
        refunded,
    })
}

/// A channel's word in its column.
pub(crate) const fn channel_name(channel: Channel) -> &'static str {
    match channel {
        Channel::Workers => "workers",
        Channel::Notices => "notices",
    }
}
