//! The list of attacks: each must end in the waiting room or in a refusal.

use serde_json::json;

use crate::client::{Browser, DROP, PAGE, hex, until};
use crate::house::{House, SECOND_DROP, SKU, Terms};

const ADMISSION: &str = "doorline-admission-aurora";
const VISITOR: &str = "doorline-visitor";

#[tokio::test]
async fn a_token_or_a_cookie_alone_opens_nothing() {
    let house = House::usual().await;
    let browser = house.browser();
    let token = browser.enter().await;
    assert!(!browser.page(PAGE).await.is_waiting_room());

    let token_alone = house.browser();
    token_alone.set_cookie(ADMISSION, &token);
    assert!(token_alone.page(PAGE).await.is_waiting_room());

    let by_bearer = format!("Bearer {token}");
    let answer = house
        .browser()
        .ask("POST", PAGE, &[("authorization", &by_bearer)], None)
        .await;
    answer.problem(429, "admission-required");

    let cookie_alone = house.browser();
    cookie_alone.set_cookie(VISITOR, &browser.cookie(VISITOR));
    let answer = cookie_alone.ask("POST", PAGE, &[], None).await;
    answer.problem(429, "admission-required");

    let other = house.browser();
    other.enter().await;
    other.set_cookie(ADMISSION, &token);
    let stolen = other.ask("POST", PAGE, &[], None).await;
    stolen.problem(429, "admission-required");
    house.close().await;
}

#[tokio::test]
async fn changed_shortened_and_foreign_tokens_open_nothing() {
    let house = House::open(Terms {
        more: SECOND_DROP,
        ..Terms::default()
    })
    .await;
    let browser = house.browser();
    let token = browser.enter().await;
    let parts: Vec<&str> = token.split('.').collect();
    // {"alg":"none","typ":"admission+jwt"} and {"alg":"HS256","typ":"admission+jwt"}
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiYWRtaXNzaW9uK2p3dCJ9";
    let hs = "eyJhbGciOiJIUzI1NiIsInR5cCI6ImFkbWlzc2lvbitqd3QifQ";
    let swapped: String = parts[2].chars().rev().collect();
    let forged = [
        String::new(),
        "x".to_owned(),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        format!("{hs}.{}.{}", parts[1], parts[2]),
        format!("{}.{}.{swapped}", parts[0], parts[1]),
        format!("{token}A"),
        "A".repeat(4_096),
        browser.cookie("doorline-ticket-aurora"),
        browser.cookie(VISITOR),
    ];
    for token in forged {
        browser.set_cookie(ADMISSION, &token);
        let answer = browser.ask("POST", PAGE, &[], None).await;
        answer.problem(429, "admission-required");
    }
    browser.set_cookie("doorline-admission-borealis", &token);
    let other_drop = browser.ask("POST", "/products/borealis/shoe", &[], None).await;
    other_drop.problem(429, "admission-required");
    browser.set_cookie(ADMISSION, &token);
    assert!(!browser.ask("POST", PAGE, &[], None).await.is_waiting_room());
    house.close().await;
}

#[tokio::test]
async fn forged_visitors_and_tickets_are_strangers() {
    let house = House::usual().await;
    let browser = house.browser();
    browser.join().await;
    let (visitor, ticket) = (browser.cookie(VISITOR), browser.cookie("doorline-ticket-aurora"));
    for (name, value) in [(VISITOR, &visitor), ("doorline-ticket-aurora", &ticket)] {
        for changed in [
            format!("{value}A"),
            value[1..].to_owned(),
            "A".repeat(value.len()),
        ] {
            browser.set_cookie(name, &changed);
            let answer = browser.ask("GET", &format!("{DROP}/ticket"), &[], None).await;
            answer.problem(404, "no-ticket");
            assert_eq!(browser.claim().await.status, 404);
        }
        browser.set_cookie(name, value);
    }
    browser.get(&format!("{DROP}/ticket")).await.expect(200);
    house.close().await;
}

#[tokio::test]
async fn sessions_from_before_the_start_are_void() {
    let house = House::usual().await;
    let browser = house.browser();
    let token = browser.enter().await;
    assert!(!browser.ask("POST", PAGE, &[], None).await.is_waiting_room());
    let coming = Terms {
        starts_in_seconds: 4,
        prequeue: true,
        ..Terms::default()
    };
    let house = house.reopen(coming).await;
    let again = Browser::new(house.doorline.address);
    for (name, value) in browser.cookies() {
        again.set_cookie(&name, &value);
    }
    let held = again.ask("POST", PAGE, &[], None).await;
    held.problem(429, "admission-required");
    until("the drop has started", async || {
        (again.get(DROP).await.json()["phase"] == "open").then_some(())
    })
    .await;
    again.set_cookie(ADMISSION, &token);
    let still = again.ask("POST", PAGE, &[], None).await;
    still.problem(429, "admission-required");
    house.close().await;
}

#[tokio::test]
async fn nobody_is_sent_to_another_site() {
    let house = House::open(Terms {
        server: "return_hosts = [\"www.shop.example\"]",
        ..Terms::default()
    })
    .await;
    let browser = house.browser();
    browser.enter().await;
    let admission = format!("{DROP}/admission");
    for hostile in [
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https:evil.example",
        "https://evil.example/",
        "https://www.shop.example@evil.example/",
        "https://www.shop.example.evil.example/",
        "%09//evil.example",
        "/%09/evil.example",
        "\t//evil.example",
        "/a\r\nSet-Cookie: x=y",
        "javascript:alert(1)",
        "data:text/html,x",
        "/%2fevil.example",
        "/.doorline/v1/drops/aurora",
        "",
    ] {
        let body = json!({"return_to": hostile});
        let claimed = browser.post(&admission, &body).await.expect(200).json();
        assert_eq!(claimed["return_to"], "/", "{hostile:?}");
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let field = format!("return_to={}", escape(hostile));
        let sent = browser
            .ask("POST", &admission, &form, Some(&field))
            .await
            .expect(303);
        assert_eq!(sent.header("location"), "/", "{hostile:?}");
    }
    for kind in [
        "/products/aurora/shoe?size=42#now",
        "https://www.shop.example/thanks",
    ] {
        let claimed = browser.post(&admission, &json!({"return_to": kind})).await;
        assert_eq!(claimed.expect(200).json()["return_to"], kind);
    }
    house.close().await;
}

fn escape(text: &str) -> String {
    let escaped = text
        .bytes()
        .flat_map(|byte| ['%'].into_iter().chain(hex(&[byte]).chars().collect::<Vec<_>>()));
    escaped.collect()
}

#[tokio::test]
async fn what_other_sites_make_a_browser_send_changes_nothing_and_sets_no_cookie() {
    let house = House::usual().await;
    let (browser, stranger) = (house.browser(), house.browser());
    browser.join().await;
    let foreign = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "http://www.shop.example.evil.example"),
    ];
    let form = "application/x-www-form-urlencoded";
    for (header, kind) in foreign
        .into_iter()
        .zip([form, "text/plain", form, "application/json"])
    {
        for verb in ["ticket", "leave", "admission", "orders"] {
            for whoever in [&browser, &stranger] {
                let headers = [("content-type", kind), header];
                let path = format!("{DROP}/{verb}");
                let answer = whoever.ask("POST", &path, &headers, None).await;
                assert_eq!(answer.header("set-cookie"), "", "{header:?} {verb}");
                answer.problem(403, "cross-site-request");
            }
        }
        let answer = browser
            .ask("DELETE", &format!("{DROP}/ticket"), &[header], None)
            .await;
        answer.problem(403, "cross-site-request");
    }
    let place = browser.get(&format!("{DROP}/ticket")).await.expect(200).json();
    assert_ne!(place["state"], "left");
    house.close().await;
}

#[tokio::test]
async fn what_our_own_pages_and_programs_send_is_taken() {
    let house = House::usual().await;
    for header in [
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-site", "none"),
        ("origin", "null"),
        ("accept", "*/*"),
    ] {
        let browser = house.browser();
        let path = format!("{DROP}/ticket");
        browser.ask("POST", &path, &[header], None).await.expect(428);
        browser.ask("POST", &path, &[header], None).await.expect(201);
    }
    house.close().await;
}

#[tokio::test]
async fn our_cookies_and_headers_stay_between_us_and_the_browser() {
    let house = House::usual().await;
    let browser = house.browser();
    browser.enter().await;
    browser.set_cookie("basket", "7");
    browser.set_cookie("__Host-doorline-visitor", "planted");
    let planted = [
        ("doorline-admission", "forged"),
        ("doorline_admission", "forged"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-original-url", "/open"),
        ("forwarded", "for=203.0.113.9"),
    ];
    for path in [PAGE, "/open"] {
        browser.ask("GET", path, &planted, None).await.expect(200);
        let seen = house.origin.last(path);
        assert_eq!(seen.header("cookie"), Some("basket=7"), "{path}");
        assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(seen.header("x-original-url"), None);
        for (name, value) in &seen.headers {
            let value = value.to_str().unwrap_or_default();
            assert!(
                !value.contains("forged") && !value.contains("203.0.113"),
                "{name}: {value}"
            );
            assert!(!name.as_str().contains('_'), "{name}");
        }
    }
    let before = browser.cookies();
    let answer = browser.get(&format!("{PAGE}?do=cookies")).await.expect(200);
    let kept: Vec<&str> = answer
        .headers
        .get_all("set-cookie")
        .iter()
        .filter_map(|cookie| cookie.to_str().ok())
        .collect();
    assert_eq!(kept, ["basket=7; Path=/"]);
    assert_eq!(browser.cookies(), before);
    house.close().await;
}

#[tokio::test]
async fn over_https_no_other_site_can_plant_a_cookie() {
    let house = House::open(Terms {
        public_url: "https://shop.example",
        ..Terms::default()
    })
    .await;
    let browser = house.browser();
    let ticket = format!("{DROP}/ticket");
    let greeted = browser.ask("POST", &ticket, &[], None).await;
    let set = greeted.header("set-cookie");
    assert!(set.starts_with("__Host-doorline-visitor="), "{set}");
    for attribute in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(set.split("; ").any(|part| part == attribute), "{set}");
    }
    assert!(!set.contains("Domain"), "{set}");
    browser.enter().await;
    let names: Vec<String> = browser.cookies().into_keys().collect();
    let kinds = ["admission-aurora", "ticket-aurora", "visitor"];
    assert_eq!(names, kinds.map(|kind| format!("__Host-doorline-{kind}")));
    assert!(!browser.page(PAGE).await.is_waiting_room());
    let planted = house.browser();
    for (name, value) in browser.cookies() {
        planted.set_cookie(name.trim_start_matches("__Host-"), &value);
    }
    let bare = planted.ask("POST", PAGE, &[], None).await;
    bare.problem(429, "admission-required");
    house.close().await;
}

#[tokio::test]
async fn the_shop_can_end_a_session() {
    let house = House::usual().await;
    for command in ["revoke", "alias"] {
        the_shop_ends_it(&house, command).await;
    }
    house.close().await;
}

async fn the_shop_ends_it(house: &House, command: &str) {
    let browser = house.browser();
    let token = browser.enter().await;
    let answer = browser.get(&format!("{PAGE}?do={command}")).await.expect(200);
    assert!(!answer.is_waiting_room() && answer.header("doorline-command").is_empty());
    assert!(answer.header("cf-waiting-room-command").is_empty());
    assert!(
        !browser.cookies().contains_key(ADMISSION),
        "the browser forgets it"
    );
    browser.set_cookie(ADMISSION, &token);
    until("the old token is void", async || {
        (browser.ask("POST", PAGE, &[], None).await.status == 429).then_some(())
    })
    .await;
    let body = json!({"items": [{"sku": SKU, "quantity": 1}]});
    browser
        .order("k-1", &body)
        .await
        .problem(401, "admission-required");
}

#[tokio::test]
async fn a_stranger_cannot_change_the_address_that_limits_count() {
    let limits = "per_address = \"3/h\"\njoins_per_address = \"2/h\"";
    let house = House::open(Terms {
        rate_limit: limits,
        ..Terms::default()
    })
    .await;
    let browser = house.browser();
    let mut refused = 0;
    for n in 0..12 {
        let claimed = format!("203.0.113.{n}");
        let answer = browser
            .ask("GET", "/open", &[("x-forwarded-for", &claimed)], None)
            .await;
        if answer.status == 429 {
            let problem = answer.problem(429, "rate-limited");
            assert!(problem["retry_after"].is_number());
            refused += 1;
        }
    }
    assert_eq!(refused, 6, "six pass: the burst is twice the rate");
    house.close().await;

    let house = House::open(Terms {
        rate_limit: limits,
        server: "trusted_proxies = [\"127.0.0.0/8\"]",
        ..Terms::default()
    })
    .await;
    let browser = house.browser();
    for n in 0..12 {
        let told = format!("198.51.100.1, 203.0.113.{n}");
        browser
            .ask("GET", "/open", &[("x-forwarded-for", &told)], None)
            .await
            .expect(200);
    }
    let same = [("x-forwarded-for", "203.0.113.200")];
    let ticket = format!("{DROP}/ticket");
    let mut refused = 0;
    for _ in 0..6 {
        let answer = browser.ask("POST", &ticket, &same, None).await;
        refused += u32::from(answer.status == 429);
    }
    assert_eq!(refused, 2, "four joins pass: the burst is twice the rate");
    house.close().await;
}

#[tokio::test]
async fn no_more_are_inside_than_may_be() {
    let house = House::with_room_for(3).await;
    let crowd: Vec<Browser> = (0..12).map(|_| house.browser()).collect();
    for browser in &crowd {
        browser.join().await;
    }
    let mut inside = 0;
    until("three are inside", async || {
        let claims = futures_util::future::join_all(crowd.iter().map(Browser::claim)).await;
        inside = claims.iter().filter(|claim| claim.status == 200).count();
        assert!(inside <= 3, "{inside} are inside");
        (inside == 3).then_some(())
    })
    .await;
    for _ in 0..10 {
        let claims = futures_util::future::join_all(crowd.iter().map(Browser::claim)).await;
        assert_eq!(claims.iter().filter(|claim| claim.status == 200).count(), 3);
    }
    house.close().await;
}
