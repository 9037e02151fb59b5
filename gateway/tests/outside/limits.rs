//! What is too large, too long or too much is refused by the gateway as it is configured, with
//! the number that holds, and the shop hears nothing of it.

use std::fmt::Write as _;

use crate::client::{DROP, PAGE, raw};
use crate::house::{House, Terms};

#[tokio::test]
async fn bodies_for_the_shop_have_the_configured_limit() {
    let house = House::open(Terms {
        server: "max_body_bytes = 1000",
        ..Terms::default()
    })
    .await;
    let browser = house.browser();
    let fits = "x".repeat(1_000);
    browser.ask("POST", "/upload", &[], Some(&fits)).await.expect(200);
    assert_eq!(house.origin.last("/upload").body.len(), 1_000);
    let refused = browser
        .ask("POST", "/upload?too=much", &[], Some(&format!("{fits}x")))
        .await;
    assert_eq!(refused.problem(413, "body-too-large")["bytes_max"], 1_000);
    assert!(
        house
            .origin
            .seen()
            .iter()
            .all(|seen| seen.target != "/upload?too=much")
    );
    // Without a length told beforehand, the limit strikes where it is passed.
    let chunked = format!(
        "POST /dripped HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n{fits}x\r\n0\r\n\r\n"
    );
    let answer = raw(house.doorline.address, &chunked).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    house.close().await;
}

#[tokio::test]
async fn bodies_for_the_api_are_a_few_fields_and_no_more() {
    let house = House::usual().await;
    let browser = house.browser();
    browser.enter().await;
    let json = [("content-type", "application/json"), ("idempotency-key", "k-1")];
    let long = format!("{{\"items\": [], \"email\": \"{}\"}}", "x".repeat(17 * 1_024));
    for path in ["orders", "ticket", "admission"] {
        let refused = browser
            .ask("POST", &format!("{DROP}/{path}"), &json, Some(&long))
            .await;
        refused.problem(413, "body-too-large");
    }
    house.close().await;
}

#[tokio::test]
async fn heads_have_limits_in_length_and_in_lines() {
    let house = House::usual().await;
    let ask = async |target: &str, lines: &str| {
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n{lines}\r\n");
        raw(house.doorline.address, &request).await
    };
    let lines = |count: usize| {
        (0..count).fold(String::new(), |mut text, n| {
            let _ = write!(text, "X-Line-{n}: {n}\r\n");
            text
        })
    };
    for (target, lines, status) in [
        (format!("/{}", "a".repeat(8_000)), String::new(), "200"),
        (format!("/{}", "a".repeat(8_300)), String::new(), "414"),
        ("/lines".to_owned(), lines(60), "200"),
        ("/too-many".to_owned(), lines(80), "431"),
        (
            "/too-long".to_owned(),
            format!("X-Long: {}\r\n", "a".repeat(33_000)),
            "431",
        ),
    ] {
        let answer = ask(&target, &lines).await;
        let shown = &target[..target.len().min(20)];
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{shown}: {answer}"
        );
    }
    let reached = house.origin.seen();
    assert_eq!(reached.len(), 2, "only what was within the limits");
    house.close().await;
}

#[tokio::test]
async fn many_cookie_jars_at_one_address_share_one_allowance_of_places() {
    let house = House::open(Terms {
        rate_limit: "per_address = \"100000/s\"\njoins_per_address = \"5/h\"",
        ..Terms::default()
    })
    .await;
    for n in 0..30 {
        let shopper = house.browser();
        if n % 2 == 0 {
            for _ in 0..2 {
                shopper.page(PAGE).await;
            }
        } else {
            for _ in 0..2 {
                shopper.ask("POST", &format!("{DROP}/ticket"), &[], None).await;
            }
        }
    }
    let drop = house
        .operator()
        .get("/admin/v1/drops/aurora")
        .await
        .expect(200)
        .json();
    let joined = drop["since_start"]["joined"].as_u64().expect("a count");
    assert!(
        (1..=10).contains(&joined),
        "a burst of twice five and no more: {joined}"
    );
    let metrics = house.operator().get("/metrics").await.expect(200).body;
    let counted = metrics
        .lines()
        .find_map(|line| line.strip_prefix("doorline_rate_limited_total{limit=\"joins_per_address\"} "));
    let counted: u32 = counted.and_then(|count| count.parse().ok()).expect("a count");
    assert!(counted >= 20, "visits of the page are counted as well: {counted}");
    house.close().await;
}

#[tokio::test]
async fn who_reloads_keeps_the_place_and_costs_no_further_join() {
    let house = House::open(Terms {
        total_active_users: 1,
        rate_limit: "per_address = \"100000/s\"\njoins_per_address = \"3/h\"",
        ..Terms::default()
    })
    .await;
    let (inside, waiting) = (house.browser(), house.browser());
    inside.enter().await;
    waiting.join().await;
    for _ in 0..20 {
        waiting.page(PAGE).await.expect(200);
    }
    let place = waiting.get(&format!("{DROP}/ticket")).await.expect(200).json();
    assert_eq!(
        (&place["number"], &place["state"]),
        (&2.into(), &"waiting".into())
    );
    house.close().await;
}
