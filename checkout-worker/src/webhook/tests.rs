//! Which bytes are believed.

use super::*;

const SECRET: &str = "whsec_test";
const BODY: &[u8] = br#"{"id":"evt_1","type":"payment_intent.succeeded","livemode":false,
    "data":{"object":{"id":"pi_1","object":"payment_intent","metadata":{"order":"2a"}}}}"#;

fn now() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000)
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn signature(secret: &str, time: u64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signed = [format!("{time}.").as_bytes(), body].concat();
    hex(hmac::sign(&key, &signed).as_ref())
}

fn header(secret: &str, time: u64, body: &[u8]) -> String {
    format!("t={time},v1={}", signature(secret, time, body))
}

fn verify(header: &str, body: &[u8]) -> Result<WebhookEvent, WebhookError> {
    Signing::new([SECRET], Some(false)).verify(body, header, now())
}

#[test]
fn a_signed_event_is_believed_and_names_its_payment() {
    let event = verify(&header(SECRET, now().as_secs(), BODY), BODY).unwrap();
    assert_eq!(
        (event.id.as_str(), event.kind.as_str()),
        ("evt_1", "payment_intent.succeeded")
    );
    assert_eq!(event.payment, PaymentId::new("pi_1").ok());
    assert_eq!(event.order, Some(OrderId(0x2a)));
}

#[test]
fn any_of_several_signatures_and_secrets_will_do() {
    let time = now().as_secs();
    let good = signature(SECRET, time, BODY);
    let bad = "0".repeat(64);
    assert!(verify(&format!("t={time},v1={bad},v1={good},v0={bad}"), BODY).is_ok());
    let rotating = Signing::new(["whsec_new", SECRET], None);
    for secret in ["whsec_new", SECRET] {
        assert!(rotating.verify(BODY, &header(secret, time, BODY), now()).is_ok());
    }
}

#[test]
fn one_changed_bit_anywhere_is_forged() {
    let good = header(SECRET, now().as_secs(), BODY);
    for at in 0..BODY.len() {
        let mut body = BODY.to_vec();
        body[at] ^= 1;
        assert_eq!(verify(&good, &body), Err(WebhookError::Forged));
    }
    let other = header("whsec_other", now().as_secs(), BODY);
    assert_eq!(verify(&other, BODY), Err(WebhookError::Forged));
}

#[test]
fn another_scheme_alone_is_not_a_signature() {
    let time = now().as_secs();
    let good = signature(SECRET, time, BODY);
    for header in [
        format!("t={time},v0={good}"),
        format!("v1={good}"),
        format!("t={time}"),
        String::new(),
    ] {
        assert_eq!(
            verify(&header, BODY),
            Err(WebhookError::MalformedHeader),
            "{header:?}"
        );
    }
}

#[test]
fn odd_headers_are_refused_without_a_panic() {
    let long = "v1=00,".repeat(1_000);
    let sign = format!("t=1,v1=+{}", "f".repeat(63));
    let twice = format!("t=1,t=2,v1={}", "0".repeat(64));
    let time = format!("t=99999999999999999999,v1={}", "0".repeat(64));
    let wide = format!("t=1,v1={}", "é".repeat(32));
    for header in [
        long,
        sign,
        twice,
        time,
        wide,
        "=,=,=".to_owned(),
        "t=,v1=".to_owned(),
    ] {
        assert_eq!(
            verify(&header, BODY),
            Err(WebhookError::MalformedHeader),
            "{header:?}"
        );
    }
}

#[test]
fn five_minutes_either_way_are_in_time_and_a_second_more_is_not() {
    for (offset, expected) in [
        (-301_i64, false),
        (-300, true),
        (0, true),
        (300, true),
        (301, false),
    ] {
        let time = now().as_secs().checked_add_signed(offset).unwrap();
        let outcome = verify(&header(SECRET, time, BODY), BODY);
        assert_eq!(outcome.is_ok(), expected, "{offset} s: {outcome:?}");
    }
}

#[test]
fn a_huge_body_is_not_even_looked_at() {
    let body = vec![b' '; EVENT_BYTES_MAX + 1];
    assert_eq!(
        verify(&header(SECRET, now().as_secs(), &body), &body),
        Err(WebhookError::TooLarge)
    );
}

#[test]
fn the_other_modes_events_are_refused() {
    let live = Signing::new([SECRET], Some(true));
    let good = header(SECRET, now().as_secs(), BODY);
    assert_eq!(live.verify(BODY, &good, now()), Err(WebhookError::OtherMode));
}

#[test]
fn a_signed_body_that_is_no_event_is_refused() {
    for body in [
        &b"{}"[..],
        b"[]",
        b"",
        br#"{"id":"","type":"a","data":{"object":{}}}"#,
    ] {
        assert_eq!(
            verify(&header(SECRET, now().as_secs(), body), body),
            Err(WebhookError::MalformedBody)
        );
    }
}

#[test]
fn without_a_secret_nothing_is_believed() {
    let none = Signing::new([""], None);
    assert_eq!(
        none.verify(BODY, &header("", now().as_secs(), BODY), now()),
        Err(WebhookError::Forged)
    );
}

#[test]
fn an_event_about_a_refund_names_the_refunded_payment() {
    let body = br#"{"id":"evt_2","type":"charge.refunded","data":{"object":{"id":"ch_1","object":"charge","payment_intent":"pi_9"}}}"#;
    let event = verify(&header(SECRET, now().as_secs(), body), body).unwrap();
    assert_eq!(event.payment, PaymentId::new("pi_9").ok());
}
