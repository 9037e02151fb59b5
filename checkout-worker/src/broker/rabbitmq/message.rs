//! What stands in a message: a version and the order's id, nothing else. Distrusted when read.

use domain::OrderId;
use serde::{Deserialize, Serialize};

/// The version that is written; the only one that is read.
const VERSION: u32 = 1;
/// Ours has some fifty bytes. More is not ours, and is not parsed.
const BYTES_MAX: usize = 256;

/// A message as it travels.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    v: u32,
    order: String,
}

/// A message that we did not write, or not in this version.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// Longer than anything we write.
    #[error("it is too long")]
    TooLong,
    /// Not the expected JSON.
    #[error("it is not of our form")]
    Form,
    /// Of another version.
    #[error("its version is {0}")]
    Version(u32),
    /// The order's id is not 32 lower-case hexadecimal digits.
    #[error("its order id is malformed")]
    Order,
}

/// The body of a message about `order`.
pub(super) fn write(order: OrderId) -> Vec<u8> {
    // Two plain fields: there is nothing in them that JSON could refuse.
    serde_json::to_vec(&Wire {
        v: VERSION,
        order: order.to_string(),
    })
    .unwrap_or_default()
}

/// The order that a message is about.
pub(super) fn read(body: &[u8]) -> Result<OrderId, Unreadable> {
    if body.len() > BYTES_MAX {
        return Err(Unreadable::TooLong);
    }
    let wire: Wire = serde_json::from_slice(body).map_err(|_| Unreadable::Form)?;
    if wire.v != VERSION {
        return Err(Unreadable::Version(wire.v));
    }
    let digits = wire
        .order
        .bytes()
        .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if wire.order.len() != 32 || !digits {
        return Err(Unreadable::Order);
    }
    u128::from_str_radix(&wire.order, 16)
        .map(OrderId)
        .map_err(|_| Unreadable::Order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_carries_the_id_only() {
        let order = OrderId(0x0190_aaaa_bbbb_cccc_dddd_eeee_ffff_0000);
        let body = write(order);
        assert_eq!(body, br#"{"v":1,"order":"0190aaaabbbbccccddddeeeeffff0000"}"#);
        assert_eq!(read(&body), Ok(order));
    }

    #[test]
    fn what_we_did_not_write_is_not_read() {
        let id = "0190aaaabbbbccccddddeeeeffff0000";
        let of = |v: u32, order: &str| format!(r#"{{"v":{v},"order":"{order}"}}"#);
        let cases = [
            (String::new(), Unreadable::Form),
            ("null".to_owned(), Unreadable::Form),
            (format!(r#"{{"v":1,"order":"{id}","pay":1}}"#), Unreadable::Form),
            (of(2, id), Unreadable::Version(2)),
            (of(1, "0190"), Unreadable::Order),
            (of(1, &id.to_uppercase()), Unreadable::Order),
            (of(1, "+190aaaabbbbccccddddeeeeffff0000"), Unreadable::Order),
            (of(1, &"0".repeat(300)), Unreadable::TooLong),
        ];
        for (body, expected) in cases {
            assert_eq!(read(body.as_bytes()), Err(expected), "{body}");
        }
    }
}
