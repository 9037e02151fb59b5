//! The public part of the shopper API: drop state, draw, addresses, methods, problems.

use std::hash::Hasher as _;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use siphasher::sip::SipHasher24;

use crate::client::{Browser, DROP, hex, raw, until};
use crate::house::{House, SKU, Terms};

#[tokio::test]
async fn the_drops_state_is_public_and_may_be_kept_for_a_second() {
    let house = House::usual().await;
    let browser = house.browser();
    let answer = browser.get(DROP).await.expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    let caching = answer.header("cache-control");
    assert!(
        caching.contains("public") && caching.contains("max-age=1"),
        "{caching}"
    );
    assert!(!answer.headers.contains_key("set-cookie"));
    let state = answer.json();
    for name in [
        "drop",
        "title",
        "phase",
        "now",
        "opens_at",
        "frontier",
        "waiting",
        "outflow_per_minute",
        "stock",
        "notice",
        "poll_after_ms",
    ] {
        assert!(state.get(name).is_some(), "{name} is missing: {state}");
    }
    assert_eq!(
        (&state["drop"], &state["phase"]),
        (&json!("aurora"), &json!("open"))
    );
    assert_eq!(
        state["stock"][SKU],
        json!({"available": 50, "reserved": 0, "sold": 0})
    );
    let head = browser.ask("HEAD", DROP, &[], None).await.expect(200);
    assert!(head.body.is_empty() && head.header("content-type") == "application/json");
    house.close().await;
}

#[tokio::test]
async fn the_public_state_follows_the_stock_and_the_operators_word() {
    let house = House::usual().await;
    let browser = house.browser();
    browser.enter().await;
    let body = json!({"items": [{"sku": SKU, "quantity": 2}]});
    browser.order("k-1", &body).await.expect(201);
    until("two units show as reserved", async || {
        let state = house.browser().get(DROP).await.json();
        (state["stock"][SKU] == json!({"available": 48, "reserved": 2, "sold": 0})).then_some(())
    })
    .await;
    house
        .change_drop(&json!({"notice": "Doors <b>close</b> at nine."}))
        .await
        .expect(200);
    until("the notice shows", async || {
        let state = house.browser().get(DROP).await.json();
        (state["notice"] == "Doors <b>close</b> at nine.").then_some(())
    })
    .await;
    house.close().await;
}

#[tokio::test]
async fn the_draw_is_committed_to_first_and_recomputed_by_anybody_afterwards() {
    let house = House::open(Terms {
        starts_in_seconds: 4,
        prequeue: true,
        drop: "shuffle_at_event_start = true",
        total_active_users: 1,
        ..Terms::default()
    })
    .await;
    let draw = format!("{DROP}/draw");
    let before = house.browser().get(&draw).await.expect(200).json();
    assert!(before.get("seed").is_none(), "nobody may know it yet: {before}");
    let promised = before["commitment"].as_str().expect("a commitment").to_owned();
    let shoppers: Vec<Browser> = (0..12).map(|_| house.browser()).collect();
    for shopper in &shoppers {
        let place = shopper.join().await;
        assert_eq!(
            (&place["state"], &place["rank"]),
            (&json!("prequeue"), &Value::Null)
        );
    }
    let after = until("the seed is revealed", async || {
        let draw = house.browser().get(&draw).await.expect(200).json();
        draw.get("seed").is_some().then_some(draw)
    })
    .await;
    assert_eq!(after["commitment"], promised.as_str());
    let seed = unhex(after["seed"].as_str().expect("a seed"));
    assert_eq!(hex(&Sha256::digest(&seed)), promised);
    let cohort = after["cohort"].as_u64().expect("a cohort");
    assert_eq!(cohort, 12);
    assert_eq!(after["method"], "fifo");
    for shopper in &shoppers {
        let place = shopper.get(&format!("{DROP}/ticket")).await.expect(200).json();
        let number = place["number"].as_u64().expect("a number");
        assert_eq!(place["rank"], rank(&seed, cohort, number), "{place}");
    }
    let late = house.browser().join().await;
    assert_eq!((&late["number"], &late["rank"]), (&json!(13), &json!(13)));
    house.close().await;
}

/// The published rule, written anew: eight Feistel rounds of SipHash-2-4 over the smallest
/// even number of bits that holds the cohort; what falls outside the cohort goes round again.
fn rank(seed: &[u8], cohort: u64, number: u64) -> u64 {
    let bits = 64 - (cohort - 1).leading_zeros();
    let half = bits.div_ceil(2).max(1);
    let mask = (1_u64 << half) - 1;
    let mut value = number - 1;
    loop {
        let (mut left, mut right) = (value >> half, value & mask);
        for round in 0..8_u8 {
            let mut hash = SipHasher24::new_with_key(seed[..16].try_into().expect("a key"));
            hash.write(&seed[16..]);
            hash.write(&[round]);
            hash.write(&cohort.to_le_bytes());
            hash.write(&right.to_le_bytes());
            (left, right) = (right, left ^ (hash.finish() & mask));
        }
        value = left << half | right;
        if value < cohort {
            return value + 1;
        }
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex"))
        .collect()
}

#[tokio::test]
async fn every_address_names_its_methods_and_refuses_all_others() {
    let house = House::usual().await;
    let browser = house.browser();
    let order = "/.doorline/v1/orders/018f5c2e-7a5b-7c33-9d0e-1f2a3b4c5d6e";
    let rows = [
        (DROP.to_owned(), vec!["GET", "HEAD"]),
        (format!("{DROP}/draw"), vec!["GET", "HEAD"]),
        (format!("{DROP}/ticket"), vec!["GET", "HEAD", "POST", "DELETE"]),
        (format!("{DROP}/ticket/events"), vec!["GET", "HEAD"]),
        (format!("{DROP}/admission"), vec!["POST"]),
        (format!("{DROP}/orders"), vec!["POST"]),
        (order.to_owned(), vec!["GET", "HEAD", "DELETE"]),
        (format!("{order}/payment"), vec!["POST"]),
        (format!("{order}/events"), vec!["GET", "HEAD"]),
        ("/.doorline/v1/webhooks/stripe".to_owned(), vec!["POST"]),
        ("/.well-known/jwks.json".to_owned(), vec!["GET", "HEAD"]),
        ("/.doorline/openapi.json".to_owned(), vec!["GET", "HEAD"]),
    ];
    for (address, served) in rows {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
            if served.contains(&method) {
                continue;
            }
            let refused = browser.ask(method, &address, &[], None).await;
            refused.problem(405, "method-not-allowed");
            let allowed: Vec<&str> = refused.header("allow").split(", ").collect();
            assert_eq!(allowed, served, "{method} {address}");
        }
    }
    house.close().await;
}

#[tokio::test]
async fn the_api_describes_itself_truly() {
    let house = House::usual().await;
    let browser = house.browser();
    let answer = browser.get("/.doorline/openapi.json").await.expect(200);
    assert!(answer.header("cache-control").starts_with("public"));
    let document = answer.json();
    assert_eq!(document["openapi"], "3.1.0");
    let unknown = "018f5c2e-7a5b-7c33-9d0e-1f2a3b4c5d6e";
    for (path, item) in document["paths"].as_object().expect("paths") {
        let address = path.replace("{drop}", "aurora").replace("{order}", unknown);
        for method in ["get", "post", "put", "patch", "delete"] {
            let answer = browser.ask(&method.to_uppercase(), &address, &[], None).await;
            match item.get(method) {
                Some(operation) => {
                    let status = answer.status.to_string();
                    let known = &operation["responses"][status.as_str()];
                    assert!(known.is_object(), "{method} {path} answers {status} as well");
                }
                None => assert_eq!(answer.status, 405, "{method} {path} is served: {answer:?}"),
            }
        }
    }
    for (name, document) in document["paths"].as_object().expect("paths") {
        for reference in references(document) {
            let pointer = reference.trim_start_matches('#');
            assert!(answer.json().pointer(pointer).is_some(), "{reference} of {name}");
        }
    }
    house.close().await;
}

/// Every `$ref` below `value`.
fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(members) => {
            let own = members.get("$ref").and_then(Value::as_str).map(str::to_owned);
            own.into_iter()
                .chain(members.values().flat_map(references))
                .collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_and_never_the_shops() {
    let house = House::usual().await;
    let browser = house.browser();
    for address in [
        "/.doorline",
        "/.doorline/",
        "/.doorline/v1",
        "/.doorline/v2/drops/aurora",
        "/.doorline/v1/drops/aurora/nothing",
        "/.doorline/v1/orders/7",
        "/.doorline/metrics",
        "/.doorline/admin/v1/drops",
    ] {
        browser.get(address).await.problem(404, "not-found");
    }
    for rest in ["", "/draw", "/ticket", "/admission", "/orders"] {
        let address = format!("/.doorline/v1/drops/unheard-of{rest}");
        let method = if matches!(rest, "/admission" | "/orders") {
            "POST"
        } else {
            "GET"
        };
        let answer = browser.ask(method, &address, &[], None).await;
        assert!(matches!(answer.status, 401 | 404), "{address}: {answer:?}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    assert!(house.origin.seen().is_empty());
    house.close().await;
}

#[tokio::test]
async fn people_get_a_page_where_programs_get_a_problem() {
    let house = House::usual().await;
    let page = house.browser().page("/.doorline/v1/nothing").await.expect(404);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(
        page.header("content-security-policy")
            .contains("default-src 'none'")
    );
    assert!(
        page.body.contains(page.header("x-request-id")),
        "a number to ask about"
    );
    house.close().await;
}

#[tokio::test]
async fn bodies_that_cannot_be_read_say_where() {
    let house = House::usual().await;
    let browser = house.browser();
    browser.enter().await;
    let headers = [("idempotency-key", "k"), ("content-type", "application/json")];
    let orders = format!("{DROP}/orders");
    for body in ["", "{", "[]", "{\"items\": 7}", "{\"items\": [], \"price\": 1}"] {
        let problem = browser.ask("POST", &orders, &headers, Some(body)).await;
        let problem = problem.problem(400, "invalid-body");
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|detail| detail.contains("line 1")),
            "{problem}"
        );
    }
    let huge = "x".repeat(300 * 1_024);
    let refused = browser.ask("POST", &orders, &headers, Some(&huge)).await;
    refused.problem(413, "body-too-large");
    let ticket = format!("{DROP}/ticket");
    let answer = browser
        .ask(
            "POST",
            &ticket,
            &[("content-type", "application/json")],
            Some("{"),
        )
        .await;
    answer.problem(400, "invalid-body");
    house.close().await;
}

#[tokio::test]
async fn requests_that_can_be_read_in_two_ways_are_refused() {
    let house = House::usual().await;
    let address = house.doorline.address;
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET http://other.example/ HTTP/1.1\r\nHost: shop.example\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n",
    ] {
        let answer = raw(address, head).await;
        assert!(
            answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.0 4"),
            "{head:?}: {answer}"
        );
    }
    assert!(house.origin.seen().is_empty());
    house.close().await;
}
