//! Rate limits: exact at the rate, bounded in memory, and clear about when to come back.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

fn key(n: u32) -> AddressKey {
    AddressKey::of(IpAddr::V4(Ipv4Addr::from_bits(n)))
}

/// A limit whose time stands still until it is stepped.
struct Stepped {
    limit: AddressLimit,
    millis: Arc<AtomicU64>,
}

impl std::ops::Deref for Stepped {
    type Target = AddressLimit;
    fn deref(&self) -> &AddressLimit {
        &self.limit
    }
}

impl Stepped {
    fn advance(&self, by: Span) {
        self.millis.fetch_add(by.as_millis(), Ordering::Relaxed);
    }
}

fn limit(rate: &str, addresses_max: usize) -> Stepped {
    let millis = Arc::new(AtomicU64::new(1_000));
    let elapsed = Arc::clone(&millis);
    let elapsed: Elapsed = Arc::new(move || Duration::from_millis(elapsed.load(Ordering::Relaxed)));
    Stepped {
        limit: AddressLimit::with_clock(rate.parse().unwrap(), addresses_max, elapsed),
        millis,
    }
}

#[test]
fn a_burst_of_twice_the_count_passes_then_the_rate_holds() {
    let limit = limit("20/s", 1_000);
    assert_eq!((0..100).filter(|_| limit.check(key(1)).is_ok()).count(), 40);
    limit.advance(Span::from_secs(1));
    assert_eq!((0..100).filter(|_| limit.check(key(1)).is_ok()).count(), 20);
}

#[test]
fn a_refusal_says_when_the_next_one_passes() {
    let limit = limit("30/min", 1_000);
    while limit.check(key(1)).is_ok() {}
    let wait = limit.check(key(1)).unwrap_err();
    assert!(wait <= Span::from_millis(2_001), "{wait}");
    limit.advance(wait);
    assert_eq!(limit.check(key(1)), Ok(()));
    assert!(limit.check(key(1)).is_err());
}

#[test]
fn addresses_do_not_share_an_allowance() {
    let limit = limit("1/s", 1_000);
    while limit.check(key(1)).is_ok() {}
    assert_eq!(limit.check(key(2)), Ok(()));
}

#[test]
fn a_flood_of_addresses_cannot_grow_the_store() {
    let limit = limit("1/min", 640);
    let passed = (0..100_000).filter(|n| limit.check(key(*n)).is_ok()).count();
    assert!(limit.len() <= 640, "{}", limit.len());
    // 640 with an allowance of their own, and one shared allowance (a burst of 2) per shard.
    assert!(passed <= 640 + 64 * 2, "{passed}");
    assert!(passed >= 640, "{passed}");
}

#[test]
fn a_known_address_keeps_its_allowance_when_the_store_is_full() {
    let limit = limit("1/min", 64);
    assert_eq!(limit.check(key(7)), Ok(()));
    for n in 100..100_000 {
        let _ = limit.check(key(n));
    }
    assert_eq!(limit.check(key(7)), Ok(()));
    assert!(limit.check(key(7)).is_err());
}

#[test]
fn whole_allowances_are_forgotten_when_room_is_needed() {
    // Room for all ten newcomers in every shard, wherever their hashes put them.
    let limit = limit("1/s", 64 * 10);
    for n in 0..10_000 {
        let _ = limit.check(key(n));
    }
    limit.advance(Span::from_secs(60));
    for n in 20_000..20_010 {
        assert_eq!(limit.check(key(n)), Ok(()));
        assert_eq!(limit.check(key(n)), Ok(()));
    }
}

#[test]
fn pruning_forgets_only_whole_allowances() {
    let limit = limit("1/s", 1_000);
    assert_eq!(limit.check(key(1)), Ok(()));
    limit.advance(Span::from_secs(30));
    while limit.check(key(2)).is_ok() {}
    limit.prune();
    assert_eq!(limit.len(), 1);
    assert!(limit.check(key(2)).is_err());
}

#[test]
fn rates_are_read_as_merchants_write_them() {
    let rate = |text: &str| {
        text.parse::<Rate>()
            .map(|rate| (rate.count.get(), rate.per.as_millis()))
    };
    assert_eq!(rate("20/s"), Ok((20, 1_000)));
    assert_eq!(rate("30/min"), Ok((30, 60_000)));
    assert_eq!(rate(" 5 / hour "), Ok((5, 3_600_000)));
    assert_eq!(rate("0/s"), Err(InvalidRate::Zero));
    for text in [
        "",
        "20",
        "-1/s",
        "20/day",
        "x/s",
        "20/",
        "/s",
        "1.5/s",
        "99999999999/s",
    ] {
        assert_eq!(rate(text), Err(InvalidRate::Form), "{text}");
    }
}

#[test]
fn a_rate_reads_back_as_written_and_bursts_to_twice() {
    let rate: Rate = "20/s".parse().unwrap();
    assert_eq!(
        (rate.burst().get(), rate.interval()),
        (40, Duration::from_millis(50))
    );
    for (text, written) in [("30 / minute", "30/min"), ("5/h", "5/h"), ("7/second", "7/s")] {
        assert_eq!(text.parse::<Rate>().unwrap().to_string(), written);
    }
    let most: Rate = format!("{}/s", u32::MAX).parse().unwrap();
    assert_eq!(most.burst().get(), u32::MAX, "no overflow");
    assert!(!most.interval().is_zero());
}

#[test]
fn clients_of_an_exempt_network_have_no_limit_and_others_keep_theirs() {
    let limit = AddressLimit::new("1/s".parse().unwrap(), 16).exempting(vec!["10.0.0.0/8".parse().unwrap()]);
    let client = |ip: &str| ClientAddress {
        ip: ip.parse().unwrap(),
        peer: crate::edge::address::Peer::Stranger,
    };
    for _ in 0..100 {
        assert!(limit.admit(&client("10.1.2.3")).is_ok());
        assert!(limit.admit(&client("::ffff:10.1.2.3")).is_ok());
    }
    let refused = (0..100)
        .filter(|_| limit.admit(&client("192.0.2.1")).is_err())
        .count();
    assert!(
        refused > 90,
        "a burst of two and no more, give or take a slow second"
    );
}
