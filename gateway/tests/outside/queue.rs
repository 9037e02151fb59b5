//! A shopper's way through the queue: join, look, listen, claim, leave.

use serde_json::{Value, json};

use crate::client::{Browser, DROP, PAGE, until};
use crate::house::{House, Terms, now_seconds};
use crate::stream::Stream;

fn ticket() -> String {
    format!("{DROP}/ticket")
}

/// A drop that may be joined and starts in an hour.
async fn announced() -> House {
    House::open(Terms {
        starts_in_seconds: 3_600,
        prequeue: true,
        ..Terms::default()
    })
    .await
}

#[tokio::test]
async fn joining_takes_a_cookie_first_and_gives_one_place_for_ever() {
    let house = House::usual().await;
    let browser = house.browser();
    let first = browser.ask("POST", &ticket(), &[], None).await;
    first.problem(428, "visitor-cookie-required");
    let set = first.header("set-cookie").to_owned();
    for attribute in ["doorline-visitor=", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(set.contains(attribute), "{set}");
    }
    assert_eq!(browser.cookies().len(), 1, "no ticket for who keeps no cookies");
    let joined = browser.ask("POST", &ticket(), &[], None).await.expect(201).json();
    for name in [
        "ticket",
        "number",
        "rank",
        "position",
        "state",
        "chance",
        "wait",
        "poll_after_ms",
    ] {
        assert!(joined.get(name).is_some(), "{name} is missing: {joined}");
    }
    assert_eq!((&joined["number"], &joined["rank"]), (&json!(1), &json!(1)));
    assert_eq!(
        joined["ticket"],
        browser.cookie("doorline-ticket-aurora").as_str()
    );
    for _ in 0..3 {
        let again = browser.ask("POST", &ticket(), &[], None).await.expect(200).json();
        assert_eq!(again["number"], 1);
    }
    browser.forget_cookie("doorline-ticket-aurora");
    let again = browser.ask("POST", &ticket(), &[], None).await.expect(200).json();
    assert_eq!(again["number"], 1, "the visitor is known even without the ticket");
    assert_eq!(house.browser().join().await["number"], 2);
    house.close().await;
}

#[tokio::test]
async fn first_contacts_without_cookies_never_stretch_the_queue() {
    let house = House::usual().await;
    for _ in 0..20 {
        house
            .browser()
            .ask("POST", &ticket(), &[], None)
            .await
            .problem(428, "visitor-cookie-required");
        house.browser().page(PAGE).await.expect(200);
    }
    assert_eq!(house.browser().join().await["number"], 1);
    house.close().await;
}

#[tokio::test]
async fn parallel_joins_of_one_visitor_get_one_number() {
    let house = House::usual().await;
    let browser = house.browser();
    browser.ask("POST", &ticket(), &[], None).await;
    let address = ticket();
    let joins = (0..20).map(|_| browser.ask("POST", &address, &[], None));
    for joined in futures_util::future::join_all(joins).await {
        assert_eq!(joined.json()["number"], 1, "{joined:?}");
    }
    house.close().await;
}

#[tokio::test]
async fn a_place_is_shown_only_to_who_holds_it() {
    let house = House::usual().await;
    house.browser().get(&ticket()).await.problem(404, "no-ticket");
    let (mine, other) = (house.browser(), house.browser());
    mine.join().await;
    other.join().await;
    other.set_cookie("doorline-ticket-aurora", &mine.cookie("doorline-ticket-aurora"));
    other.get(&ticket()).await.problem(404, "no-ticket");
    other.claim().await.problem(404, "no-ticket");
    let shown = mine.get(&ticket()).await.expect(200);
    assert_eq!(shown.header("cache-control"), "no-store");
    assert_eq!(shown.json()["number"], 1);
    house.close().await;
}

#[tokio::test]
async fn claiming_gives_one_admission_however_often_it_is_asked_for() {
    let house = House::usual().await;
    let browser = house.browser();
    browser.join().await;
    browser.until_place("called").await;
    let claimed = browser.claim().await.expect(200);
    assert_eq!(claimed.header("cache-control"), "no-store");
    let set = claimed.header("set-cookie").to_owned();
    assert!(
        set.contains("doorline-admission-aurora=") && set.contains("HttpOnly"),
        "{set}"
    );
    let first = claimed.json();
    for name in ["admission_token", "expires_at", "return_to"] {
        assert!(first[name].is_string(), "{first}");
    }
    let claim_of = |grant: &Value| {
        use base64::Engine as _;
        let token = grant["admission_token"].as_str().expect("a token").to_owned();
        let claims = token.split('.').nth(1).expect("a payload").to_owned();
        let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims);
        let claims: Value = serde_json::from_slice(&claims.expect("base64url")).expect("JSON");
        claims["jti"].clone()
    };
    for _ in 0..3 {
        let again = browser.claim().await.expect(200).json();
        assert_eq!(claim_of(&again), claim_of(&first), "the same admission");
    }
    assert_eq!(browser.until_place("admitted").await["number"], 1);
    assert!(!browser.page(PAGE).await.is_waiting_room());
    house.close().await;
}

#[tokio::test]
async fn who_is_not_called_learns_the_position_and_waits() {
    let house = House::with_room_for(1).await;
    let (inside, next) = (house.browser(), house.browser());
    inside.enter().await;
    let place = next.join().await;
    assert_eq!(
        (&place["state"], &place["position"]),
        (&json!("waiting"), &json!(1))
    );
    let problem = next.claim().await.problem(409, "not-called");
    assert_eq!(problem["position"], 1);
    assert!(problem["retry_after"].is_number());
    let page = next.page(PAGE).await.expect(200);
    assert!(page.is_waiting_room());
    let left = inside.ask("DELETE", &ticket(), &[], None).await;
    assert!(matches!(left.status, 200 | 204), "{left:?}");
    next.until_place("called").await;
    next.claim().await.expect(200);
    house.close().await;
}

#[tokio::test]
async fn a_full_room_says_you_are_next_and_when() {
    let house = House::with_room_for(2).await;
    let (first, second) = (house.browser(), house.browser());
    first.join().await;
    second.join().await;
    first.until_place("called").await;
    second.until_place("called").await;
    house
        .change_drop(&json!({"total_active_users": 1}))
        .await
        .expect(200);
    first.claim().await.expect(200);
    let refused = second.claim().await;
    let problem = refused.problem(429, "room-full");
    assert!(problem["retry_after"].is_number() && !refused.header("retry-after").is_empty());
    assert_eq!(
        second.get(&ticket()).await.json()["state"],
        "called",
        "the turn is kept"
    );
    first.ask("DELETE", &ticket(), &[], None).await;
    until("the freed slot is claimed", async || {
        (second.claim().await.status == 200).then_some(())
    })
    .await;
    house.close().await;
}

#[tokio::test]
async fn a_turn_that_passed_is_gone_and_joining_anew_is_the_way_back() {
    let house = House::open(Terms {
        drop: "claim_window = \"1s\"\nlate_grace = \"0s\"",
        ..Terms::default()
    })
    .await;
    let browser = house.browser();
    browser.join().await;
    browser.until_place("lapsed").await;
    browser.claim().await.problem(410, "lapsed");
    let page = browser.page(PAGE).await.expect(200);
    assert!(page.is_waiting_room() && page.header("refresh").is_empty());
    let again = browser.post(&ticket(), &json!({"rejoin": true})).await;
    assert!(matches!(again.status, 200 | 201), "{again:?}");
    assert_eq!(again.json()["number"], 2);
    browser.until_place("called").await;
    browser.claim().await.expect(200);
    house.close().await;
}

#[tokio::test]
async fn a_late_shopper_goes_in_within_the_grace() {
    let house = House::open(Terms {
        drop: "claim_window = \"1s\"\nlate_grace = \"10m\"",
        ..Terms::default()
    })
    .await;
    let browser = house.browser();
    browser.join().await;
    let place = until("the claim window has passed", async || {
        let place = browser.get(&ticket()).await.expect(200).json();
        let late = place["state"] == "called" && place.get("claim_deadline").is_none();
        late.then_some(place)
    })
    .await;
    assert!(place["late_until"].is_string(), "the page says so: {place}");
    browser.claim().await.expect(200);
    house.close().await;
}

#[tokio::test]
async fn leaving_gives_the_place_up_for_good() {
    let house = House::usual().await;
    let browser = house.browser();
    house
        .browser()
        .ask("DELETE", &ticket(), &[], None)
        .await
        .problem(404, "no-ticket");
    browser.enter().await;
    browser.ask("DELETE", &ticket(), &[], None).await.expect(204);
    assert!(!browser.cookies().contains_key("doorline-admission-aurora"));
    browser.until_place("left").await;
    browser.claim().await.problem(410, "left");
    let page = browser.page(PAGE).await.expect(200);
    assert!(page.is_waiting_room());
    house.close().await;
}

#[tokio::test]
async fn before_the_start_nobody_is_let_in() {
    let house = announced().await;
    let browser = house.browser();
    assert_eq!(browser.join().await["state"], "prequeue");
    browser.claim().await.problem(409, "not-called");
    house.close().await;
    let house = House::open(Terms {
        starts_in_seconds: 3_600,
        ..Terms::default()
    })
    .await;
    let browser = house.browser();
    browser.ask("POST", &ticket(), &[], None).await;
    let refused = browser.ask("POST", &ticket(), &[], None).await;
    assert_eq!(refused.problem(409, "not-open")["phase"], "scheduled");
    house.close().await;
}

#[tokio::test]
async fn a_pause_keeps_places_and_lets_nobody_in() {
    let house = House::usual().await;
    let browser = house.browser();
    house.command("pause").await.expect(200);
    browser.join().await;
    browser.until_place("paused").await;
    browser.claim().await.problem(409, "paused");
    house.command("resume").await.expect(200);
    browser.until_place("called").await;
    house.close().await;
}

#[tokio::test]
async fn whoever_is_inside_waits_while_all_are_held_and_goes_on_however_long_that_lasts() {
    let house = House::open(Terms {
        drop: "session_duration = \"6s\"",
        ..Terms::default()
    })
    .await;
    let browser = house.browser();
    browser.enter().await;
    let ends = now_seconds() + 7;
    house.command("queue-all").await.expect(200);
    let is_held = async |browser: &Browser| {
        let page = browser.page(PAGE).await.expect(200);
        assert!(page.body.contains("data-state=\"paused\""), "{page:?}");
        assert!(!page.header("refresh").is_empty(), "it finds out without script");
        assert!(!page.headers.contains_key("set-cookie"), "{page:?}");
        assert_eq!(browser.get(&ticket()).await.expect(200).json()["state"], "paused");
    };
    is_held(&browser).await;
    until("the session's time is over", async || {
        (now_seconds() > ends).then_some(())
    })
    .await;
    is_held(&browser).await;
    house.command("resume").await.expect(200);
    let place = browser.get(&ticket()).await.expect(200).json();
    assert_eq!(
        place["state"], "admitted",
        "the token is over, the session is not"
    );
    let sent_on = browser.page(PAGE).await.expect(303);
    assert_eq!(sent_on.header("location"), PAGE);
    assert!(!browser.page(PAGE).await.expect(200).is_waiting_room());
    house.close().await;
}

#[tokio::test]
async fn a_form_without_a_cookie_sets_none_and_leads_to_the_page_that_does() {
    let house = House::usual().await;
    let browser = house.browser();
    let hidden = ("origin", "null");
    let form = [("content-type", "application/x-www-form-urlencoded"), hidden];
    let fields = format!("rejoin=1&return_to={PAGE}");
    for _ in 0..3 {
        let sent = browser
            .ask("POST", &ticket(), &form, Some(&fields))
            .await
            .expect(303);
        assert_eq!(sent.header("location"), PAGE);
        assert!(!sent.headers.contains_key("set-cookie"), "{sent:?}");
    }
    let plain = [("content-type", "text/plain"), hidden];
    let refused = browser.ask("POST", &ticket(), &plain, None).await;
    assert!(!refused.headers.contains_key("set-cookie"), "{refused:?}");
    refused.problem(428, "visitor-cookie-required");
    browser.page(PAGE).await.expect(200);
    browser
        .ask("POST", &ticket(), &form, Some(&fields))
        .await
        .expect(303);
    assert_eq!(browser.get(&ticket()).await.expect(200).json()["number"], 1);
    house.close().await;
}

#[tokio::test]
async fn a_stream_tells_the_place_and_each_change_of_it() {
    let house = House::with_room_for(1).await;
    let (inside, next) = (house.browser(), house.browser());
    house
        .browser()
        .get(&format!("{}/events", ticket()))
        .await
        .problem(404, "no-ticket");
    inside.enter().await;
    next.join().await;
    let mut stream = Stream::open(&next, &format!("{}/events", ticket())).await;
    assert_eq!(stream.state().await.expect("a place")["state"], "waiting");
    inside.ask("DELETE", &ticket(), &[], None).await;
    while stream.state().await.expect("a change")["state"] != "called" {}
    next.ask("DELETE", &ticket(), &[], None).await;
    while stream.state().await.expect("a change")["state"] != "left" {}
    assert!(stream.state().await.is_none(), "nothing can change any more");
    house.close().await;
}

#[tokio::test]
async fn who_leaves_before_the_start_has_left_and_may_join_anew() {
    let house = announced().await;
    let browser = house.browser();
    browser.join().await;
    browser.ask("DELETE", &ticket(), &[], None).await.expect(204);
    let state = async || browser.get(&ticket()).await.expect(200).json()["state"].clone();
    assert_eq!(state().await, "left");
    browser
        .post(&ticket(), &json!({"rejoin": true}))
        .await
        .expect(201);
    assert_eq!(state().await, "prequeue");
    house.close().await;
}

#[tokio::test]
async fn who_is_inside_is_told_so_after_a_restart_and_who_was_put_out_is_told_that() {
    const ADMISSION: &str = "doorline-admission-aurora";
    let house = House::usual().await;
    let before = house.browser();
    before.enter().await;
    let house = house.reopen(Terms::default()).await;
    let browser = house.browser();
    for (name, value) in before.cookies() {
        browser.set_cookie(&name, &value);
    }
    let state = async |browser: &Browser| browser.get(&ticket()).await.expect(200).json()["state"].clone();
    assert_eq!(state(&browser).await, "admitted");
    let other = house.browser();
    let token = other.enter().await;
    assert_eq!(state(&other).await, "admitted");
    other.get(&format!("{PAGE}?do=revoke")).await.expect(200);
    other.set_cookie(ADMISSION, &token);
    until("the end of the session is known", async || {
        (state(&other).await == "left").then_some(())
    })
    .await;
    house.close().await;
}

#[tokio::test]
async fn a_silent_stream_still_says_that_it_lives() {
    let house = announced().await;
    let browser = house.browser();
    browser.join().await;
    let mut stream = Stream::open(&browser, &format!("{}/events", ticket())).await;
    let first = stream.next().await.expect("the place");
    assert!(first.starts_with("data: "), "{first}");
    // The contract promises a sign of life within 15 seconds: proxies cut silent lines.
    let next = tokio::time::timeout(std::time::Duration::from_secs(15), stream.next()).await;
    assert!(next.expect("in time").expect("not the end").starts_with(':'));
    drop(stream);
    house.close().await;
}
