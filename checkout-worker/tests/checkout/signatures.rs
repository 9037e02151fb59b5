//! A corpus of webhooks as they may arrive: what is believed, what is refused and in which word, and that nothing but a
//! read of the provider ever moves an order.

use aws_lc_rs::hmac;
use checkout_worker::CheckoutConfig;
use checkout_worker::checkout::{WebhookDone, WebhookFailure};
use checkout_worker::webhook::{EVENT_BYTES_MAX, Signing};
use domain::saga::{PaymentId, StateName};
use domain::{Clock, OrderId, Span};
use proptest::prelude::*;

use super::support::{SECURE, VISA, config, place, purchase};
use super::witness::Watched;

const SECRET: &str = "whsec_test";
const CAPTURABLE: &str = "payment_intent.amount_capturable_updated";

fn signature(secret: &str, time: u64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signed = [format!("{time}.").as_bytes(), body].concat();
    let tag = hmac::sign(&key, &signed);
    tag.as_ref()
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn event(id: &str, kind: &str, payment: &PaymentId) -> String {
    let object = format!(r#"{{"id":"{payment}","object":"payment_intent"}}"#);
    format!(r#"{{"id":"{id}","type":"{kind}","livemode":false,"data":{{"object":{object}}}}}"#)
}

/// A shop that takes test-mode events only, with an order at its shopper's bank whose payment is confirmed by now.
async fn confirmed() -> (Watched, OrderId, PaymentId) {
    let shop = Watched::open(CheckoutConfig {
        signing: Signing::new([SECRET, "whsec_next"], Some(false)),
        ..config(8)
    })
    .await;
    let order = place(&shop.checkout, purchase(1, Some(SECURE))).await;
    shop.checkout.drive(order).await.unwrap();
    let payment = shop.checkout.view(order).await.unwrap().unwrap().payment.unwrap();
    assert!(shop.provider.inner.confirm(&payment, true));
    (shop, order, payment)
}

/// The word for what came of a webhook.
fn word(done: &Result<WebhookDone, WebhookFailure>) -> &'static str {
    match done {
        Ok(WebhookDone::Applied) => "applied",
        Ok(WebhookDone::Repeated) => "repeated",
        Ok(WebhookDone::Ignored) => "ignored",
        Err(WebhookFailure::Refused(refused)) => refused.as_str(),
        Err(WebhookFailure::NotNow) => "not_now",
        Err(WebhookFailure::Ledger(_) | WebhookFailure::Drive(_)) => "failed",
    }
}

/// How the header is written, given the time, a good signature and a bad one.
type Header = fn(u64, &str, &str) -> String;

/// Headers over a good body, and what comes of each.
const HEADERS: &[(&str, Header, &str)] = &[
    (
        "as it should be",
        |t, good, _| format!("t={t},v1={good}"),
        "applied",
    ),
    (
        "with spaces",
        |t, good, _| format!(" t={t} , v1={good} "),
        "applied",
    ),
    (
        "signature first",
        |t, good, _| format!("v1={good},t={t}"),
        "applied",
    ),
    (
        "a bad one before it",
        |t, good, bad| format!("t={t},v1={bad},v1={good}"),
        "applied",
    ),
    (
        "a bad v0 beside it",
        |t, good, bad| format!("t={t},v1={good},v0={bad}"),
        "applied",
    ),
    (
        "an unknown scheme beside it",
        |t, good, bad| format!("t={t},v9={bad},v1={good}"),
        "applied",
    ),
    (
        "the eighth of eight",
        |t, good, bad| format!("t={t},{}v1={good}", format!("v1={bad},").repeat(7)),
        "applied",
    ),
    (
        "the ninth of nine",
        |t, good, bad| format!("t={t},{}v1={good}", format!("v1={bad},").repeat(8)),
        "forged",
    ),
    ("forged", |t, _, bad| format!("t={t},v1={bad}"), "forged"),
    (
        "v0 only",
        |t, good, _| format!("t={t},v0={good}"),
        "malformed_header",
    ),
    ("no signature", |t, _, _| format!("t={t}"), "malformed_header"),
    ("no time", |_, good, _| format!("v1={good}"), "malformed_header"),
    (
        "two times",
        |t, good, _| format!("t={t},t={t},v1={good}"),
        "malformed_header",
    ),
    (
        "another time",
        |t, good, _| format!("t={},v1={good}", t + 1),
        "forged",
    ),
    (
        "a time with a sign",
        |t, good, _| format!("t=+{t},v1={good}"),
        "malformed_header",
    ),
    (
        "a time in words",
        |_, good, _| format!("t=now,v1={good}"),
        "malformed_header",
    ),
    (
        "an endless time",
        |_, good, _| format!("t={},v1={good}", "9".repeat(40)),
        "malformed_header",
    ),
    (
        "a short signature",
        |t, good, _| format!("t={t},v1={}", &good[..62]),
        "malformed_header",
    ),
    (
        "not hexadecimal",
        |t, good, _| format!("t={t},v1=g{}", &good[1..]),
        "malformed_header",
    ),
    (
        "a letter outside of ASCII",
        |t, good, _| format!("t={t},v1=é{}", &good[2..]),
        "malformed_header",
    ),
    ("nothing", |_, _, _| String::new(), "malformed_header"),
    ("commas", |_, _, _| ",,,,".to_owned(), "malformed_header"),
    (
        "huge",
        |t, good, _| format!("t={t},v1={good},{}", "x".repeat(4_096)),
        "malformed_header",
    ),
];

#[tokio::test]
async fn every_header_of_the_corpus_gets_its_word_and_only_a_believed_one_moves_the_order() {
    for (name, header, expected) in HEADERS {
        let (shop, order, payment) = confirmed().await;
        let (body, time) = (event("evt_1", CAPTURABLE, &payment), shop.clock.now().as_secs());
        let good = signature(SECRET, time, body.as_bytes());
        let bad = signature("whsec_wrong", time, body.as_bytes());
        let done = shop
            .checkout
            .webhook(body.as_bytes(), &header(time, &good, &bad))
            .await;
        assert_eq!(word(&done), *expected, "{name}");
        let moved = if *expected == "applied" {
            StateName::Paid
        } else {
            StateName::ActionRequired
        };
        assert_eq!(shop.state(order).await, moved, "{name}");
    }
}

/// Bodies that are signed well, as events about `payment`, and what comes of each.
fn bodies(payment: &PaymentId) -> Vec<(&'static str, String, &'static str)> {
    let whole = event("evt_1", CAPTURABLE, payment);
    let with = |from: &str, to: &str| whole.replace(from, to);
    let hint = |order: &str| {
        let object = r#""object":"payment_intent""#;
        with(object, &format!(r#"{object},"metadata":{{"order":"{order}"}}"#))
    };
    let charge = r#"{"id":"evt_1","type":"charge.updated","data":{"object":{"id":"ch_1","object":"charge","payment_intent":"pi_1"}}}"#;
    let about_nothing = r#"{"id":"evt_1","type":"x","data":{"object":{}}}"#;
    let longest = EVENT_BYTES_MAX - whole.len() - r#""pad":"","#.len();
    let padded = |pad: usize| whole.replacen('{', &format!(r#"{{"pad":"{}","#, "x".repeat(pad)), 1);
    vec![
        ("as it should be", whole.clone(), "applied"),
        ("as large as may be", padded(longest), "applied"),
        ("one byte larger", padded(longest + 1), "too_large"),
        ("of live mode", with("false", "true"), "other_mode"),
        ("cut short", whole[..whole.len() - 1].to_owned(), "malformed_body"),
        ("empty", String::new(), "malformed_body"),
        ("a list", "[]".to_owned(), "malformed_body"),
        ("without a name", with(r#""id":"evt_1","#, ""), "malformed_body"),
        ("with an empty name", with("evt_1", ""), "malformed_body"),
        (
            "with an endless name",
            with("evt_1", &"e".repeat(256)),
            "malformed_body",
        ),
        (
            "with an endless type",
            with(CAPTURABLE, &"k".repeat(256)),
            "malformed_body",
        ),
        (
            "without data",
            r#"{"id":"evt_1","type":"x"}"#.to_owned(),
            "malformed_body",
        ),
        ("about nothing", about_nothing.to_owned(), "ignored"),
        (
            "about an unknown payment",
            with(payment.as_str(), "pi_unknown"),
            "ignored",
        ),
        (
            "about a name that is none",
            with(payment.as_str(), "pi 1"),
            "ignored",
        ),
        (
            "about a charge",
            charge.replace("pi_1", payment.as_str()),
            "applied",
        ),
        (
            "of a type nobody knows",
            with(CAPTURABLE, "payment_intent.levitated"),
            "applied",
        ),
        ("hinting at no order", hint("zz"), "applied"),
        ("hinting at another order", hint("2a"), "applied"),
    ]
}

#[tokio::test]
async fn every_body_of_the_corpus_gets_its_word() {
    let (_, _, payment) = confirmed().await;
    for (name, body, expected) in bodies(&payment) {
        let (shop, order, _) = confirmed().await;
        let time = shop.clock.now().as_secs();
        let header = format!("t={time},v1={}", signature(SECRET, time, body.as_bytes()));
        let done = shop.checkout.webhook(body.as_bytes(), &header).await;
        assert_eq!(word(&done), expected, "{name}");
        let moved = shop.state(order).await == StateName::Paid;
        assert_eq!(moved, expected == "applied", "{name}");
    }
}

#[tokio::test]
async fn a_signature_lives_for_five_minutes_either_way() {
    for (skew, expected) in [
        (-301_i64, "out_of_time"),
        (-300, "applied"),
        (0, "applied"),
        (300, "applied"),
        (301, "out_of_time"),
        (-86_400, "out_of_time"),
        (86_400 * 365, "out_of_time"),
    ] {
        let (shop, _, payment) = confirmed().await;
        let body = event("evt_1", CAPTURABLE, &payment);
        let time = shop.clock.now().as_secs().checked_add_signed(skew).unwrap();
        let header = format!("t={time},v1={}", signature(SECRET, time, body.as_bytes()));
        let done = shop.checkout.webhook(body.as_bytes(), &header).await;
        assert_eq!(word(&done), expected, "{skew} s");
    }
}

#[tokio::test]
async fn both_secrets_of_a_rotation_are_believed_and_a_third_is_not() {
    for (secret, expected) in [
        (SECRET, "applied"),
        ("whsec_next", "applied"),
        ("whsec_old", "forged"),
    ] {
        let (shop, _, payment) = confirmed().await;
        let body = event("evt_1", CAPTURABLE, &payment);
        let time = shop.clock.now().as_secs();
        let header = format!("t={time},v1={}", signature(secret, time, body.as_bytes()));
        assert_eq!(
            word(&shop.checkout.webhook(body.as_bytes(), &header).await),
            expected,
            "{secret}"
        );
    }
}

#[tokio::test]
async fn a_refused_webhook_does_not_use_its_name_up() {
    let (shop, order, payment) = confirmed().await;
    let body = event("evt_1", CAPTURABLE, &payment);
    let time = shop.clock.now().as_secs();
    let forged = format!("t={time},v1={}", signature("whsec_wrong", time, body.as_bytes()));
    assert_eq!(
        word(&shop.checkout.webhook(body.as_bytes(), &forged).await),
        "forged"
    );
    let good = format!("t={time},v1={}", signature(SECRET, time, body.as_bytes()));
    assert_eq!(
        word(&shop.checkout.webhook(body.as_bytes(), &good).await),
        "applied"
    );
    assert_eq!(
        word(&shop.checkout.webhook(body.as_bytes(), &good).await),
        "repeated"
    );
    assert_eq!(shop.state(order).await, StateName::Paid);
}

const KINDS: [&str; 6] = [
    "payment_intent.created",
    "payment_intent.requires_action",
    CAPTURABLE,
    "payment_intent.succeeded",
    "payment_intent.canceled",
    "payment_intent.payment_failed",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// In any order, any number of times, whatever they claim: the orders end as the provider has them.
    #[test]
    fn repeated_and_reordered_webhooks_end_as_the_provider_has_it(
        deliveries in prop::collection::vec((0_usize..6, 0_u32..4, any::<bool>()), 1..24),
        approves: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let shop = Watched::usual().await;
            let mut orders = Vec::new();
            for (shopper, card) in [(1, SECURE), (2, VISA)] {
                let order = place(&shop.checkout, purchase(shopper, Some(card))).await;
                shop.checkout.drive(order).await.unwrap();
                let payment = shop.checkout.view(order).await.unwrap().unwrap().payment.unwrap();
                orders.push((order, payment));
            }
            assert!(shop.provider.inner.confirm(&orders[0].1, approves));
            for (kind, number, second) in deliveries {
                let payment = &orders[usize::from(second)].1;
                let body = event(&format!("evt_{kind}_{number}"), KINDS[kind], payment);
                let time = shop.clock.now().as_secs();
                let header = format!("t={time},v1={}", signature(SECRET, time, body.as_bytes()));
                let done = shop.checkout.webhook(body.as_bytes(), &header).await;
                prop_assert!(done.is_ok(), "{done:?}");
            }
            shop.clock.advance(Span::from_mins(2));
            shop.checkout.drive(orders[0].0).await.unwrap();
            let end = if approves { StateName::Paid } else { StateName::Declined };
            prop_assert_eq!(shop.state(orders[0].0).await, end);
            prop_assert_eq!(shop.state(orders[1].0).await, StateName::Paid);
            prop_assert!(shop.checkout.audit().await.unwrap().is_clean());
            let captures = shop.provider.inner.books().captures;
            prop_assert!(captures.values().all(|count| *count == 1));
            Ok(())
        })?;
    }
}
