//! What a script answered, distrusted: every value is looked at before it becomes one of ours.

use domain::{Rank, Timestamp};
use redis::Value;

use crate::store::Unavailable;
use crate::store::redis::unavailable;

/// A script's answer, read from front to back.
#[derive(Debug)]
pub(super) struct Reply(std::vec::IntoIter<Value>);

impl Reply {
    /// Takes an answer that must be a list.
    pub(super) fn of(value: Value) -> Result<Self, Unavailable> {
        match value {
            Value::Array(values) => Ok(Self(values.into_iter())),
            _ => Err(nonsense()),
        }
    }

    fn next(&mut self) -> Result<Value, Unavailable> {
        self.0.next().ok_or_else(nonsense)
    }

    /// How many values are left.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The next value, as bytes.
    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, Unavailable> {
        match self.next()? {
            Value::BulkString(bytes) => Ok(bytes),
            Value::SimpleString(text) => Ok(text.into_bytes()),
            Value::Int(number) => Ok(number.to_string().into_bytes()),
            _ => Err(nonsense()),
        }
    }

    /// The next value, as text.
    pub(super) fn text(&mut self) -> Result<String, Unavailable> {
        String::from_utf8(self.bytes()?).map_err(|_| nonsense())
    }

    /// The next value, as a number that is not negative.
    pub(super) fn number(&mut self) -> Result<u64, Unavailable> {
        parse(&self.text()?)
    }

    /// The next value, as a number, or none where it is empty.
    pub(super) fn number_if_any(&mut self) -> Result<Option<u64>, Unavailable> {
        let text = self.text()?;
        if text.is_empty() {
            return Ok(None);
        }
        parse(&text).map(Some)
    }

    /// The next value, as an instant.
    pub(super) fn time(&mut self) -> Result<Timestamp, Unavailable> {
        self.number().map(Timestamp::from_millis)
    }

    /// The next value, as a rank.
    pub(super) fn rank(&mut self) -> Result<Rank, Unavailable> {
        self.number().map(Rank)
    }

    /// The next value, as an id.
    pub(super) fn id(&mut self) -> Result<[u8; 16], Unavailable> {
        self.bytes()?.try_into().map_err(|_| nonsense())
    }

    /// The next value, as an id, or none where it is empty.
    pub(super) fn id_if_any(&mut self) -> Result<Option<[u8; 16]>, Unavailable> {
        let bytes = self.bytes()?;
        if bytes.is_empty() {
            return Ok(None);
        }
        bytes.try_into().map(Some).map_err(|_| nonsense())
    }

    /// The next value, a list of its own.
    pub(super) fn list(&mut self) -> Result<Self, Unavailable> {
        Self::of(self.next()?)
    }
}

/// A number as scripts write it.
pub(super) fn parse(text: &str) -> Result<u64, Unavailable> {
    text.parse().map_err(|_| nonsense())
}

/// The answer is not what the script's contract says.
pub(super) fn nonsense() -> Unavailable {
    unavailable("the queue store answered something else than its scripts say")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(values: Vec<Value>) -> Reply {
        Reply::of(Value::Array(values)).unwrap()
    }

    #[test]
    fn values_are_read_in_order_and_checked() {
        let mut reply = reply(vec![
            Value::BulkString(b"18".to_vec()),
            Value::Int(7),
            Value::BulkString(Vec::new()),
            Value::Array(vec![Value::BulkString(vec![1; 16])]),
        ]);
        assert_eq!(reply.number(), Ok(18));
        assert_eq!(reply.number(), Ok(7));
        assert_eq!(reply.number_if_any(), Ok(None));
        assert_eq!(reply.list().unwrap().id(), Ok([1; 16]));
        assert!(reply.text().is_err(), "nothing is left");
    }

    #[test]
    fn what_is_not_promised_is_refused() {
        assert!(Reply::of(Value::Nil).is_err());
        assert!(reply(vec![Value::BulkString(b"-3".to_vec())]).number().is_err());
        assert!(reply(vec![Value::BulkString(b"1e3".to_vec())]).number().is_err());
        assert!(reply(vec![Value::BulkString(vec![0xff])]).text().is_err());
        assert!(reply(vec![Value::BulkString(vec![1; 15])]).id().is_err());
        assert!(reply(vec![Value::Nil]).bytes().is_err());
    }
}
