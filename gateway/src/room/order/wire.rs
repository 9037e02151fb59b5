//! The JSON of the orders API.

use checkout_worker::OrderView;
use checkout_worker::checkout::LatePayment;
use domain::{Money, OrderId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::room::page::rfc3339;

/// `POST …/orders`.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct OrderBody {
    /// What, and how many.
    pub(super) items: Vec<ItemBody>,
    /// The provider's reference to a payment method; with it the order is accepted at once.
    #[serde(default)]
    pub(super) payment_method: Option<String>,
    /// Where a receipt may go.
    #[serde(default)]
    pub(super) email: Option<String>,
}

/// One line of an order.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct ItemBody {
    pub(super) sku: String,
    pub(super) quantity: u32,
}

/// `POST /orders/{id}/payment`.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct PaymentBody {
    pub(super) payment_method: String,
}

/// An order as its shopper sees it.
#[derive(Serialize, Debug)]
pub(super) struct OrderJson {
    order: String,
    drop: String,
    state: &'static str,
    items: Vec<ItemJson>,
    total: MoneyJson,
    reserved_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<ActionJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    late_payment: Option<&'static str>,
}

#[derive(Serialize, Debug)]
struct ItemJson {
    sku: String,
    quantity: u32,
    price: MoneyJson,
}

#[derive(Serialize, Debug)]
struct MoneyJson {
    amount: u64,
    currency: String,
}

#[derive(Serialize, Debug)]
struct ActionJson {
    client_secret: String,
}

impl OrderJson {
    pub(super) fn of(view: &OrderView) -> Self {
        let item = |item: &checkout_worker::ledger::Item| ItemJson {
            sku: item.line.sku.to_string(),
            quantity: item.line.quantity,
            price: money(item.price),
        };
        Self {
            order: order_id(view.order),
            drop: view.drop.to_string(),
            state: view.state.as_str(),
            items: view.items.iter().map(item).collect(),
            total: money(view.total),
            reserved_until: view.reserved_until.map(|at| rfc3339(at.as_millis())),
            action: view.action.as_ref().map(|secret| ActionJson {
                client_secret: secret.as_str().to_owned(),
            }),
            reason: view.reason.clone(),
            late_payment: view.late_payment.map(LatePayment::as_str),
        }
    }
}

fn money(money: Money) -> MoneyJson {
    MoneyJson {
        amount: money.amount,
        currency: money.currency.to_string(),
    }
}

/// An order's name as outsiders see it: a UUID with dashes.
pub(super) fn order_id(order: OrderId) -> String {
    Uuid::from_u128(order.0).to_string()
}
