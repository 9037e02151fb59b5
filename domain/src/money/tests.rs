//! Which amounts can be charged, by example and for all multiples.

use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

fn money(amount: u64, code: &str) -> Money {
    Money::new(amount, Currency::new(code).unwrap())
}

#[test]
fn amounts_are_counted_as_the_provider_counts_them() {
    let of = |code: &str| {
        let currency = Currency::new(code).unwrap();
        (currency.decimals(), currency.step())
    };
    assert_eq!(of("eur"), (2, 1));
    assert_eq!(of("jpy"), (0, 1));
    assert_eq!(of("kwd"), (3, 10));
    // No minor units, and yet counted in hundredths.
    assert_eq!(of("isk"), (2, 100));
    assert_eq!(of("ugx"), (2, 100));
}

#[test]
fn what_cannot_be_charged_says_why() {
    let kwd = Currency::new("kwd").unwrap();
    let uneven = Unchargeable::Uneven {
        currency: kwd,
        step: 10,
    };
    for (amount, code, verdict) in [
        (1, "eur", Ok(())),
        (0, "eur", Err(Unchargeable::Nothing)),
        (AMOUNT_MAX, "jpy", Ok(())),
        (AMOUNT_MAX + 1, "jpy", Err(Unchargeable::TooLarge)),
        (5_120, "kwd", Ok(())),
        (5_124, "kwd", Err(uneven)),
        (500, "isk", Ok(())),
    ] {
        assert_eq!(money(amount, code).check_chargeable(), verdict, "{amount} {code}");
    }
    assert!(money(550, "isk").check_chargeable().is_err());
}

proptest! {
    #[test]
    fn a_multiple_of_what_can_be_charged_fails_only_by_its_size(
        steps in 1_u64..1_000_000,
        quantity in 1_u32..1_000,
        code in prop::sample::select(["eur", "jpy", "kwd", "isk"].into_iter().collect::<Vec<_>>()),
    ) {
        let currency = Currency::new(code).unwrap();
        let price = Money::new(steps * currency.step(), currency);
        prop_assume!(price.check_chargeable().is_ok());
        let total = price.times(quantity).unwrap();
        let fits = total.amount <= AMOUNT_MAX;
        let expected = if fits { Ok(()) } else { Err(Unchargeable::TooLarge) };
        prop_assert_eq!(total.check_chargeable(), expected);
    }
}
