//! What a protected address answers to whoever is not let in, and to whoever is.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::client::{PAGE, raw};
use crate::house::{House, Terms};

const CLOUDFLARE: [&str; 23] = [
    "inWaitingRoom",
    "waitTimeKnown",
    "waitTime",
    "waitTimeFormatted",
    "waitTime25Percentile",
    "waitTime50Percentile",
    "waitTime75Percentile",
    "queueIsFull",
    "queueAll",
    "lastUpdated",
    "refreshIntervalSeconds",
    "queueingMethod",
    "isFIFOQueue",
    "isRandomQueue",
    "isPassthroughQueue",
    "isRejectQueue",
    "isEventActive",
    "isEventPrequeueing",
    "timeUntilEventStart",
    "timeUntilEventStartFormatted",
    "timeUntilEventEnd",
    "timeUntilEventEndFormatted",
    "shuffleAtEventStart",
];

#[tokio::test]
async fn a_page_is_private_works_without_script_and_loads_nothing_foreign() {
    let house = House::open(Terms {
        drop: "queueing_status_code = 202",
        ..Terms::default()
    })
    .await;
    let page = house.browser().page(PAGE).await.expect(202);
    assert!(page.is_waiting_room() && page.body.contains("Aurora, first edition"));
    assert!(page.header("content-type").starts_with("text/html"));
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    let policy = page.header("content-security-policy");
    for rule in ["default-src 'none'", "frame-ancestors 'none'", "'nonce-"] {
        assert!(policy.contains(rule), "{policy}");
    }
    let seconds: u64 = page
        .header("refresh")
        .split(';')
        .next()
        .and_then(|s| s.parse().ok())
        .expect("a refresh");
    assert!((1..=60).contains(&seconds));
    assert!(house.origin.seen().is_empty(), "the shop heard nothing");
    house.close().await;
}

#[tokio::test]
async fn a_browser_without_script_gets_in_by_reloading_the_page() {
    let house = House::usual().await;
    let browser = house.browser();
    let inside = crate::client::until("a reload shows the shop", async || {
        let answer = browser.page(PAGE).await;
        if answer.status == 303 {
            assert_eq!(answer.header("location"), PAGE);
            return None;
        }
        (!answer.is_waiting_room()).then_some(answer)
    })
    .await;
    assert_eq!(inside.status, 200);
    house.close().await;
}

#[tokio::test]
async fn programs_get_the_vendors_object_and_ours_beside_it() {
    let house = House::open(Terms {
        starts_in_seconds: 1_800,
        prequeue: true,
        ..Terms::default()
    })
    .await;
    let browser = house.browser();
    browser.join().await;
    let json = ("accept", "application/json");
    let answer = browser.ask("GET", PAGE, &[json], None).await.expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    let body = answer.json();
    let vendor = body["cfWaitingRoom"].as_object().expect("the vendor's object");
    for name in CLOUDFLARE {
        assert!(vendor.contains_key(name), "{name} is missing: {vendor:?}");
    }
    assert_eq!(vendor.len(), CLOUDFLARE.len());
    assert_eq!(vendor["inWaitingRoom"], true);
    assert_eq!(vendor["isEventPrequeueing"], true);
    assert_eq!(vendor["isFIFOQueue"], true);
    let ours = &body["doorline"];
    assert_eq!(
        (&ours["drop"], &ours["state"]),
        (&"aurora".into(), &"prequeue".into())
    );
    assert_eq!(ours["number"], 1);
    house.close().await;
}

#[tokio::test]
async fn whatever_could_change_something_is_refused_whole() {
    let house = House::usual().await;
    let browser = house.browser();
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "BREW"] {
        let refused = browser.ask(method, PAGE, &[], Some("secret=1")).await;
        let problem = refused.problem(429, "admission-required");
        assert!(problem["retry_after"].is_number(), "{problem}");
    }
    for method in ["TRACE", "TRACK"] {
        let refused = browser.ask(method, PAGE, &[], None).await;
        refused.problem(405, "method-not-allowed");
    }
    let head = browser.ask("HEAD", PAGE, &[("accept", "text/html")], None).await;
    assert!(head.status == 200 && head.body.is_empty());
    assert_eq!(head.header("cache-control"), "no-store");
    assert!(house.origin.seen().is_empty(), "the shop heard nothing");
    house.close().await;
}

#[tokio::test]
async fn no_spelling_of_a_protected_address_reaches_the_shop_unnoticed() {
    let house = House::usual().await;
    let address = house.doorline.address;
    for target in [
        "/products/aurora/shoe",
        "//products/aurora/shoe",
        "/products//aurora/shoe",
        "/products/./aurora/shoe",
        "/x/../products/aurora/shoe",
        "/x/%2e%2e/products/aurora/shoe",
        "/products/%61urora/shoe",
        "/products%2faurora/shoe",
        "/products/aurora%2fshoe",
        "/products/aurora;v=1/shoe",
        "/PRODUCTS/Aurora/shoe",
        "/products/aurora./shoe",
        "/products\\aurora\\shoe",
        "/drops/aurora/",
        "/drops/aurora?x=/open",
        "http://shop.example/products/aurora/shoe",
    ] {
        for (method, version) in [("GET", "1.1"), ("POST", "1.1"), ("GET", "1.0")] {
            let request = format!(
                "{method} {target} HTTP/{version}\r\nHost: shop.example\r\nConnection: close\r\n\
                 Content-Length: 0\r\n\r\n"
            );
            let answer = raw(address, &request).await;
            assert!(answer.starts_with("HTTP/1."), "{target}: {answer}");
            assert!(
                !answer.contains(crate::origin::MARKER),
                "{method} {target}: {answer}"
            );
        }
    }
    assert!(house.origin.seen().is_empty(), "{:?}", house.origin.seen());
    house.close().await;
}

#[tokio::test]
async fn open_addresses_pass_with_names_for_request_and_trace() {
    let house = House::usual().await;
    let browser = house.browser();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [("x-request-id", "my-own-request-7"), ("traceparent", trace)];
    let answer = browser
        .ask("POST", "/basket?item=7", &headers, Some("one=1"))
        .await;
    assert!(!answer.is_waiting_room());
    assert_eq!(answer.header("x-request-id"), "my-own-request-7");
    let seen = house.origin.last("/basket");
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("POST", "/basket?item=7")
    );
    assert_eq!(seen.body, b"one=1");
    assert_eq!(seen.header("x-request-id"), Some("my-own-request-7"));
    let passed = seen.header("traceparent").expect("a trace context");
    assert_eq!(passed[3..35], trace[3..35], "the trace goes on");
    for (name, value) in [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-proto", "http")] {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
    let host = house.doorline.address.to_string();
    assert_eq!(seen.header("x-forwarded-host"), Some(host.as_str()));
    let forwarded = seen.header("forwarded").unwrap_or_default();
    assert!(
        forwarded.contains("127.0.0.1") && forwarded.contains("proto=http"),
        "{forwarded}"
    );
    assert_eq!(seen.header("doorline-admission"), None);
    let made = browser.get("/").await;
    assert!(made.header("x-request-id").len() >= 16);
    house.close().await;
}

#[tokio::test]
async fn the_shop_can_verify_who_was_let_in() {
    let house = House::usual().await;
    let browser = house.browser();
    let token = browser.enter().await;
    let posted = browser
        .ask("POST", PAGE, &[("doorline-drop", "forged")], Some("x=1"))
        .await;
    assert!(!posted.is_waiting_room(), "an admitted shopper may also post");
    let seen = house.origin.last(PAGE);
    assert_eq!(seen.header("doorline-drop"), Some("aurora"));
    let shown = seen.header("doorline-admission").expect("proof for the shop");
    assert_eq!(shown, token);
    for address in ["/.well-known/jwks.json", "/.doorline/v1/.well-known/jwks.json"] {
        let keys = house.browser().get(address).await.expect(200).json();
        verify(shown, &keys);
    }
    house.close().await;
}

/// As a shop would, with another library than the gateway's.
fn verify(token: &str, keys: &Value) {
    let parts: Vec<&str> = token.split('.').collect();
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).expect("base64url");
    let json = |text: &str| -> Value { serde_json::from_slice(&decode(text)).expect("JSON") };
    let header = json(parts[0]);
    assert_eq!(
        (&header["alg"], &header["typ"]),
        (&"EdDSA".into(), &"admission+jwt".into())
    );
    let mut keys = keys["keys"].as_array().expect("a key set").iter();
    let key = keys
        .find(|key| key["kid"] == header["kid"])
        .expect("the key by its name");
    assert_eq!((&key["kty"], &key["crv"]), (&"OKP".into(), &"Ed25519".into()));
    assert!(key.get("d").is_none(), "a public key is public");
    let public = decode(key["x"].as_str().expect("a public key"));
    let signed = format!("{}.{}", parts[0], parts[1]);
    let verifier = UnparsedPublicKey::new(&ED25519, public);
    verifier
        .verify(signed.as_bytes(), &decode(parts[2]))
        .expect("the shop believes the token");
    let claims = json(parts[1]);
    for name in ["exp", "nbf", "iat", "aud", "iss", "sub", "jti", "drop", "epoch"] {
        assert!(!claims[name].is_null(), "{name} in {claims}");
    }
    assert_eq!(claims["drop"], "aurora");
    let iss = claims["iss"].as_str().expect("an issuer").trim_end_matches('/');
    assert_eq!(iss, "http://shop.example");
}

#[tokio::test]
async fn an_upstream_that_is_down_is_a_problem_with_a_reason() {
    let house = House::usual().await;
    let browser = house.browser();
    browser.enter().await;
    let House { doorline, origin, .. } = house;
    drop(origin);
    let answer = browser.get("/anything").await;
    assert!(matches!(answer.status, 502..=504), "{answer:?}");
    let slug = answer.json()["type"].as_str().expect("a type").to_owned();
    let slug = slug.rsplit('/').next().expect("a name");
    answer.problem(answer.status, slug);
    let page = browser.page("/anything").await;
    assert!(page.header("content-type").starts_with("text/html") && page.status >= 502);
    doorline.close().await;
}

#[tokio::test]
async fn a_closed_drop_shows_its_page_and_takes_nobody() {
    let house = House::open(Terms {
        drop: "queueing_method = \"reject\"",
        ..Terms::default()
    })
    .await;
    let browser = house.browser();
    let page = browser.page(PAGE).await.expect(200);
    assert!(page.is_waiting_room());
    for path in [PAGE.to_owned(), format!("{}/ticket", crate::client::DROP)] {
        let refused = browser.ask("POST", &path, &[], None).await;
        assert_eq!(refused.header("retry-after"), "60", "{refused:?}");
        refused.problem(503, "drop-closed");
    }
    house.close().await;
}

#[tokio::test]
async fn a_drop_that_only_counts_lets_everybody_through() {
    let house = House::open(Terms {
        drop: "queueing_method = \"passthrough\"",
        ..Terms::default()
    })
    .await;
    let browser = house.browser();
    assert!(!browser.page(PAGE).await.is_waiting_room());
    assert!(
        !browser
            .ask("POST", PAGE, &[], Some("x=1"))
            .await
            .is_waiting_room()
    );
    let seen = house.origin.last(PAGE);
    assert_eq!(seen.header("doorline-drop"), Some("aurora"));
    assert_eq!(seen.header("doorline-admission"), None, "nobody was admitted");
    house.close().await;
}
