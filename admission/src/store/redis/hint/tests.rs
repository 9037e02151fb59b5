//! What a script may answer about the hint, and what is made of it.

use redis::Value;

use super::*;

fn reply(words: &[&str]) -> Reply {
    let words = words
        .iter()
        .map(|word| Value::BulkString(word.as_bytes().to_vec()));
    Reply::of(Value::Array(words.collect())).unwrap()
}

fn hint(words: &[&str]) -> Result<Option<StockHint>, Unavailable> {
    hint_of(&mut reply(words))
}

#[test]
fn a_hint_is_read_in_whatever_order_its_fields_come() {
    let words = [
        "sku:B.2",
        "9:1:1",
        "read_at",
        "1800000000000",
        "sku:A-1",
        "5:3:2",
        "keeper",
        "18446744073709551615",
    ];
    let read = hint(&words).unwrap().unwrap();
    let level = |total, held, sold| Level { total, held, sold };
    assert_eq!(read.keeper, Keeper(u64::MAX));
    assert_eq!(read.read_at, Timestamp::from_millis(1_800_000_000_000));
    let levels = [("A-1", level(5, 3, 2)), ("B.2", level(9, 1, 1))];
    assert_eq!(
        read.levels,
        levels.map(|(name, level)| (Sku::new(name).unwrap(), level))
    );
}

#[test]
fn no_hint_is_no_error() {
    assert_eq!(hint(&[]), Ok(None));
}

#[test]
fn what_nobody_wrote_is_refused() {
    for words in [
        &["keeper", "1"][..],
        &["read_at", "1"],
        &["sku:A", "1:0:0"],
        &["keeper", "1", "read_at", "-2"],
        &["keeper", "1", "read_at", "2", "sku:", "1:0:0"],
        &["keeper", "1", "read_at", "2", "else", "1:0:0"],
        &["keeper", "1", "read_at", "2", "sku:A", "1:0"],
        &["keeper", "1", "read_at", "2", "sku:A", "1:0:0:0"],
        &["keeper", "1", "read_at", "2", "sku:A", "1:1:1"],
        &["keeper", "1", "read_at", "2", "sku:A", "4294967296:0:0"],
        &["keeper", "1", "read_at"],
    ] {
        assert!(hint(words).is_err(), "{words:?}");
    }
}
