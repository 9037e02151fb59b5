//! What a person sees where there is no page to show: the waiting room's look, the shop's name,
//! plain words, a number to ask about, and nothing of what lies behind the door.

use std::net::TcpListener;

use crate::client::{Answer, Browser, DROP, PAGE};
use crate::house::{House, Terms};

/// Checks all that every page of this kind has; yields nothing, because it must not be relied on.
#[track_caller]
fn is_branded(page: &Answer, status: u16, word: &str) {
    assert_eq!(page.status, status, "{page:?}");
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    let policy = page.header("content-security-policy");
    for rule in [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "style-src 'sha256-",
    ] {
        assert!(policy.contains(rule), "{policy}");
    }
    assert!(
        !policy.contains("unsafe") && !policy.contains("script-src"),
        "{policy}"
    );
    assert!(page.body.contains("data-state=\"error\""), "the room's look");
    assert!(
        page.body.contains(&format!(">{word}<")),
        "{word} is missing: {}",
        page.body
    );
    assert!(page.body.contains("shop.example"), "whose page it is");
    assert!(
        page.body.contains(page.header("x-request-id")),
        "a number to ask about"
    );
    assert!(
        !page.body.contains("127.0.0.1"),
        "what lies behind the door stays there"
    );
}

/// A gateway whose shop is gone.
async fn without_a_shop() -> (House, Browser) {
    let house = House::usual().await;
    let browser = house.browser();
    browser.enter().await;
    house.origin.stop().await;
    (house, browser)
}

#[tokio::test]
async fn a_shop_that_is_down_gets_a_page_that_a_brand_can_show() {
    let (house, browser) = without_a_shop().await;
    let stranger = house.browser();
    for (who, path) in [(&stranger, "/anything"), (&browser, PAGE)] {
        let page = who.page(path).await;
        is_branded(&page, 502, "A hitch");
        assert!(page.body.contains("<a class=\"button\" href=\"\">Try again</a>"));
    }
    stranger
        .get("/anything")
        .await
        .problem(502, "upstream-unreachable");
    let json = [("accept", "application/json, text/html;q=0.5")];
    let program = stranger.ask("GET", "/anything", &json, None).await;
    program.problem(502, "upstream-unreachable");
    let head = stranger
        .ask("HEAD", "/anything", &[("accept", "text/html")], None)
        .await;
    assert!(head.status == 502 && head.body.is_empty(), "{head:?}");
    house.close().await;
}

#[tokio::test]
async fn the_waiting_room_stays_open_while_the_shop_is_down() {
    let (house, _) = without_a_shop().await;
    let newcomer = house.browser();
    assert!(newcomer.page(PAGE).await.expect(200).body.contains("data-api"));
    assert!(newcomer.join().await["number"].is_number());
    house.browser().get(DROP).await.expect(200);
    house.close().await;
}

#[tokio::test]
async fn a_shop_that_does_not_answer_in_time_is_a_page_as_well() {
    // Takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = silent.local_addr().expect("a bound socket has an address");
    let house = House::before(address, "response_timeout = \"250ms\"", Terms::default()).await;
    let page = house.browser().page("/anything").await;
    is_branded(&page, 504, "A hitch");
    assert!(page.body.contains("took too long"));
    house
        .browser()
        .get("/anything")
        .await
        .problem(504, "upstream-timeout");
    house.close().await;
}

#[tokio::test]
async fn too_many_requests_are_told_when_to_come_back_in_words_and_in_the_header() {
    let house = House::open(Terms {
        rate_limit: "per_address = \"1/h\"\njoins_per_address = \"100/s\"",
        ..Terms::default()
    })
    .await;
    let browser = house.browser();
    for _ in 0..2 {
        browser.page("/open").await.expect(200);
    }
    let page = browser.page("/open").await;
    is_branded(&page, 429, "Slowly");
    let seconds: u64 = page.header("retry-after").parse().expect("whole seconds");
    assert!((1..=3_600).contains(&seconds));
    assert!(page.body.contains("Please wait"), "{}", page.body);
    let reload: u64 = page.header("refresh").parse().expect("whole seconds");
    assert!(
        reload > seconds,
        "it loads itself again, and not too early: {reload}"
    );
    house.close().await;
}

#[tokio::test]
async fn what_cannot_be_read_or_found_or_done_here_says_so_on_a_page() {
    let house = House::usual().await;
    let browser = house.browser();
    is_branded(&browser.page("/%zz").await, 400, "Pardon?");
    is_branded(&browser.page("/.doorline/v1/nothing").await, 404, "Nothing");
    is_branded(&browser.page(&format!("{DROP}/orders")).await, 405, "Pardon?");
    let accept = [("accept", "text/html")];
    let refused = browser.ask("POST", PAGE, &accept, Some("card=1")).await;
    is_branded(&refused, 429, "Queue first");
    assert!(refused.body.contains("Nothing you typed was stored"));
    assert_eq!(refused.header("refresh"), "", "nothing is sent twice by itself");
    assert!(!refused.header("retry-after").is_empty());
    let cookies: Vec<_> = refused.headers.get_all("set-cookie").iter().collect();
    assert!(cookies.is_empty(), "a refusal starts nothing: {cookies:?}");
    assert!(house.origin.seen().is_empty(), "the shop heard nothing");
    house.close().await;
}

#[tokio::test]
async fn trying_again_after_a_form_that_was_refused_leads_to_the_drops_page() {
    let house = House::open(Terms {
        rate_limit: "per_address = \"3/h\"\njoins_per_address = \"100/s\"",
        ..Terms::default()
    })
    .await;
    let browser = house.browser();
    for form in ["leave", "admission", "ticket"] {
        let again = browser.page(&format!("{DROP}/{form}")).await.expect(303);
        assert_eq!(again.header("location"), "/drops/aurora", "{form}");
    }
    for form in ["leave", "admission"] {
        let program = browser.get(&format!("{DROP}/{form}")).await;
        program.problem(405, "method-not-allowed");
    }
    browser.page("/open").await.expect(200);
    let html = [
        ("accept", "text/html"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let leave = format!("{DROP}/leave");
    let refused = browser.ask("POST", &leave, &html, Some("return_to=/")).await;
    is_branded(&refused, 429, "Slowly");
    // Its link leads to the page's own address, which is then read.
    assert!(
        refused.body.contains("href=\"\">Try again</a>"),
        "{}",
        refused.body
    );
    assert_eq!(refused.header("refresh"), "", "nothing is sent twice by itself");
    house.close().await;
}

#[tokio::test]
async fn nothing_of_a_request_becomes_markup_of_a_refusal() {
    let house = House::usual().await;
    let browser = house.browser();
    for path in [
        "/.doorline/v1/%3Cscript%3Ealert(1)%3C/script%3E",
        "/.doorline/v1/x?q=%3Cimg%20src=x%20onerror=alert(1)%3E",
        "/%zz%3Csvg%20onload=alert(1)%3E",
    ] {
        let page = browser.page(path).await;
        assert!((400..500).contains(&page.status), "{page:?}");
        for markup in ["<script", "<img", "onerror", "onload", "alert("] {
            assert!(!page.body.contains(markup), "{path}: {markup}");
        }
    }
    let id = [
        ("accept", "text/html"),
        ("x-request-id", "\"><script>alert(1)</script>"),
    ];
    let page = browser.ask("GET", "/.doorline/v1/nothing", &id, None).await;
    assert!(
        !page.body.contains("<script"),
        "an id that is none is not taken over"
    );
    house.close().await;
}
