//! The JSON of an event, as the merchant's system reads it. Members may be added, none is renamed or taken away without a
//! new number in `schema`.

use domain::{Money, OrderId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::MerchantEvent;

/// The version of [`Body`].
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    /// When it happened, not when it is sent.
    timestamp: String,
    schema: u32,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    order: String,
    drop: &'a str,
    version: u64,
    state: &'static str,
    items: Vec<ItemJson<'a>>,
    total: MoneyJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

#[derive(Serialize)]
struct ItemJson<'a> {
    sku: &'a str,
    quantity: u32,
    price: MoneyJson<'a>,
}

#[derive(Serialize)]
struct MoneyJson<'a> {
    amount: u64,
    currency: &'a str,
}

/// Writes an event. The same event is always the same bytes.
pub(super) fn body(event: &MerchantEvent) -> Vec<u8> {
    let items = event.items.iter().map(|item| ItemJson {
        sku: item.line.sku.as_str(),
        quantity: item.line.quantity,
        price: money(&item.price),
    });
    let body = Body {
        kind: event.notice.as_str(),
        timestamp: rfc3339(event.at),
        schema: SCHEMA,
        data: Data {
            order: order_id(event.order),
            drop: event.drop.as_str(),
            version: event.version,
            state: event.state().as_str(),
            items: items.collect(),
            total: money(&event.total),
            email: event.email.as_deref(),
            reason: event.reason.as_deref(),
        },
    };
    serde_json::to_vec(&body).expect("strings and numbers always serialize")
}

/// An order's name as the API shows it: a UUID with dashes.
fn order_id(order: OrderId) -> String {
    Uuid::from_u128(order.0).to_string()
}

fn money(money: &Money) -> MoneyJson<'_> {
    MoneyJson {
        amount: money.amount,
        currency: money.currency.as_str(),
    }
}

/// An instant as RFC 3339 in UTC. One beyond the calendar's end, which no clock shows, is left empty.
fn rfc3339(at: Timestamp) -> String {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).map_or_else(|_| String::new(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use domain::pool::Line;
    use domain::saga::Notice;
    use domain::{Currency, DropId, Sku};

    use super::*;
    use crate::ledger::Item;

    fn event() -> MerchantEvent {
        let euros = |amount| Money::new(amount, Currency::new("eur").unwrap());
        MerchantEvent {
            notice: Notice::Paid,
            order: OrderId(0x018f_5c2e_7a5b_7c33_9d0e_1f2a_3b4c_5d6e),
            drop: DropId::new("aurora").unwrap(),
            version: 5,
            at: Timestamp::from_millis(1_795_773_600_250),
            items: vec![Item {
                line: Line {
                    sku: Sku::new("AUR-42").unwrap(),
                    quantity: 2,
                },
                price: euros(12_900),
            }],
            total: euros(25_800),
            email: Some("ada@example.org".to_owned()),
            reason: None,
        }
    }

    #[test]
    fn an_event_is_written_as_documented() {
        let text = String::from_utf8(body(&event())).unwrap();
        assert_eq!(
            text,
            "{\"type\":\"order.paid\",\"timestamp\":\"2026-11-27T10:00:00.25Z\",\"schema\":1,\"data\":{\
             \"order\":\"018f5c2e-7a5b-7c33-9d0e-1f2a3b4c5d6e\",\"drop\":\"aurora\",\"version\":5,\"state\":\"paid\",\
             \"items\":[{\"sku\":\"AUR-42\",\"quantity\":2,\"price\":{\"amount\":12900,\"currency\":\"eur\"}}],\
             \"total\":{\"amount\":25800,\"currency\":\"eur\"},\"email\":\"ada@example.org\"}}"
        );
    }

    #[test]
    fn what_is_not_known_is_left_out_and_what_is_stays_escaped() {
        let declined = MerchantEvent {
            notice: Notice::Declined,
            email: None,
            reason: Some("card\"declined".to_owned()),
            ..event()
        };
        let value: serde_json::Value = serde_json::from_slice(&body(&declined)).unwrap();
        assert_eq!(value["type"], "order.declined");
        assert_eq!(value["data"]["state"], "declined");
        assert_eq!(value["data"]["reason"], "card\"declined");
        assert!(value["data"].get("email").is_none());
    }

    #[test]
    fn an_events_name_holds_no_full_stop_and_tells_versions_apart() {
        let (first, second) = (
            event(),
            MerchantEvent {
                version: 6,
                ..event()
            },
        );
        assert_eq!(first.id(), "msg_018f5c2e7a5b7c339d0e1f2a3b4c5d6e_5");
        assert_ne!(first.id(), second.id());
        assert!(!first.id().contains('.'));
    }
}
