//! The stages of the stack: who is held, who passes, who is refused and how.

use std::sync::Arc;

use axum::Json;
use axum::extract::Extension;
use axum::routing::{get, post};
use gateway::edge::address::TrustedProxies;
use gateway::edge::limits::AddressLimit;
use gateway::edge::visit::Visit;

use crate::support::Setup;
use crate::support::client::Raw;
use crate::support::upstream::{Reply, Upstream, ok};

#[tokio::test]
async fn no_method_and_no_spelling_gets_past_the_door() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::before(upstream.addr).start();
    let methods = ["GET", "HEAD", "OPTIONS", "PROPFIND", "DELETE", "PURGE", "BREW"];
    let spellings = [
        "/drops/aurora",
        "//drops/aurora",
        "/drops//aurora/",
        "/drops%2faurora",
        "/%64rops/aurora",
        "/./drops/aurora",
        "/x/..;/drops/aurora",
        "/x/%2e%2e/drops/aurora",
        "/drops;a=b/aurora",
        "/drops/aurora;x",
        "/DROPS/Aurora",
        "/drops/aurora.",
        "/drops/aurora%20",
        "/drops/aurora/deeper?x=1",
        "http://shop.example/drops/aurora",
    ];
    for method in methods {
        for spelling in spellings {
            for version in ["1.1", "1.0"] {
                let mut raw = Raw::connect(gateway.addr).await;
                raw.send(format!(
                    "{method} {spelling} HTTP/{version}\r\nHost: shop.example\r\nConnection: close\r\n\r\n"
                ))
                .await;
                let answer = raw.answer_to(method).await.unwrap();
                assert_eq!(answer.status, 200, "{method} {spelling}");
                assert!(
                    method == "HEAD" || answer.text() == "please wait",
                    "{method} {spelling}: {answer:?}"
                );
            }
        }
    }
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
}

#[tokio::test]
async fn headers_that_override_the_path_do_not_reach_the_upstream() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::before(upstream.addr).start();
    let extra =
        "X-Original-URL: /drops/aurora\r\nX-Rewrite-URL: /drops/aurora\r\nX_Original_URL: /drops/aurora\r\n";
    assert_eq!(
        Raw::connect(gateway.addr).await.get("/open", extra).await.status,
        200
    );
    assert!(!upstream.only().head.contains("drops"));
}

#[tokio::test]
async fn an_admitted_request_carries_proof_and_comes_back_with_its_cookie() {
    let upstream = Upstream::start(|_| {
        Reply::Say(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: shop=1\r\n\
              Set-Cookie: __Host-doorline-admission-aurora=forged\r\nDoorline-Debug: x\r\nServer: shop\r\n\r\nhi"
                .to_vec(),
        )
    })
    .await;
    let gateway = Setup::before(upstream.addr).start();
    let extra =
        "X-Pass: signed\r\nDoorline-Admission: forged\r\nCookie: a=1; __Host-doorline-visitor=v; b=2\r\n";
    let answer = Raw::connect(gateway.addr)
        .await
        .get("//drops/./Aurora/x?q=%2e", extra)
        .await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "hi"));
    assert_eq!(
        answer.headers("set-cookie"),
        ["shop=1", "__Host-doorline-admission-aurora=renewed"]
    );
    assert_eq!(
        (answer.header("doorline-debug"), answer.header("server")),
        (None, Some("shop"))
    );
    let seen = upstream.only();
    assert_eq!(seen.line(), "GET /drops/Aurora/x?q=%2e HTTP/1.1");
    assert_eq!(seen.value("doorline-admission"), Some("signed"));
    assert_eq!(seen.value("doorline-drop"), Some("aurora"));
    assert_eq!(seen.value("cookie"), Some("a=1; b=2"));
    assert_eq!(seen.value("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.value("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.value("x-forwarded-host"), Some("shop.example"));
    assert_eq!(
        seen.value("forwarded"),
        Some(r#"for="127.0.0.1";host="shop.example";proto=http"#)
    );
    assert_eq!(seen.value("x-request-id"), answer.header("x-request-id"));
    assert_eq!(gateway.counts.of("request protected ok"), 1);
}

#[tokio::test]
async fn what_only_the_admitted_may_see_stays_out_of_shared_caches() {
    let upstream = Upstream::start(|_| {
        Reply::Say(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: public, max-age=60, s-maxage=600\r\n\
              CDN-Cache-Control: max-age=600\r\nVary: Accept-Encoding\r\n\r\nhi"
                .to_vec(),
        )
    })
    .await;
    let gateway = Setup::before(upstream.addr).start();
    let mut raw = Raw::connect(gateway.addr).await;
    let as_it_came = (
        "public, max-age=60, s-maxage=600",
        Some("max-age=600"),
        vec!["Accept-Encoding"],
    );
    for (target, pass, expected) in [
        (
            "/drops/aurora",
            "quiet",
            ("max-age=60, private", None, vec!["Accept-Encoding", "cookie"]),
        ),
        (
            "/drops/aurora",
            "renewed",
            ("no-store", None, vec!["Accept-Encoding", "cookie"]),
        ),
        ("/drops/aurora", "open", as_it_came.clone()),
        ("/open", "quiet", as_it_came),
    ] {
        let answer = raw.get(target, &format!("X-Pass: {pass}\r\n")).await;
        let got = (
            answer.header("cache-control").unwrap(),
            answer.header("cdn-cache-control"),
            answer.headers("vary"),
        );
        assert_eq!(got, expected, "{target} {pass}");
        assert_eq!(answer.headers("cache-control").len(), 1);
    }
}

#[tokio::test]
async fn the_upstream_can_revoke_an_admission() {
    for name in ["Doorline-Command", "Cf-Waiting-Room-Command"] {
        let upstream = Upstream::start(move |_| {
            Reply::Say(format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{name}: revoke\r\n\r\n").into_bytes())
        })
        .await;
        let gateway = Setup::before(upstream.addr).start();
        let answer = Raw::connect(gateway.addr)
            .await
            .get("/drops/aurora", "X-Pass: signed\r\n")
            .await;
        assert_eq!(answer.header(name), None);
        assert!(
            answer
                .headers("set-cookie")
                .contains(&"__Host-doorline-admission-aurora=; Max-Age=0")
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        // On an open path there is nobody to revoke.
        let answer = Raw::connect(gateway.addr).await.get("/open", "").await;
        assert_eq!((answer.header(name), answer.header("set-cookie")), (None, None));
    }
}

#[tokio::test]
async fn a_rate_limit_refuses_with_a_problem_that_says_when() {
    let upstream = Upstream::echo().await;
    let mut setup = Setup::before(upstream.addr);
    setup.rules.per_address = Some(Arc::new(AddressLimit::new("2/h".parse().unwrap(), 100)));
    let gateway = setup.start();
    let mut raw = Raw::connect(gateway.addr).await;
    for _ in 0..4 {
        assert_eq!(raw.get("/", "").await.status, 200);
    }
    let answer = raw.get("/", "").await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem = answer.json();
    assert_eq!(problem["type"], "/.doorline/problems/rate-limited");
    assert_eq!(problem["instance"], answer.header("x-request-id").unwrap());
    let wait = problem["retry_after"].as_u64().unwrap();
    assert!((1..=1_801).contains(&wait), "{wait}");
    assert_eq!(answer.header("retry-after"), Some(wait.to_string().as_str()));
    assert_eq!(gateway.counts.of("limited per_address"), 1);
    assert_eq!(gateway.counts.of("request unrouted rate_limited"), 1);
    assert_eq!(upstream.seen().len(), 4);
}

#[tokio::test]
async fn limits_count_clients_behind_a_trusted_proxy_one_by_one() {
    let upstream = Upstream::echo().await;
    let mut setup = Setup::before(upstream.addr);
    setup.rules.per_address = Some(Arc::new(AddressLimit::new("1/h".parse().unwrap(), 100)));
    setup.rules.trusted = TrustedProxies::new(vec!["127.0.0.0/8".parse().unwrap()]);
    let gateway = setup.start();
    let mut raw = Raw::connect(gateway.addr).await;
    for client in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
        let extra = |junk: &str| format!("X-Forwarded-For: {junk}{client}\r\n");
        assert_eq!(raw.get("/", &extra("")).await.status, 200);
        assert_eq!(raw.get("/", &extra("6.6.6.6, ")).await.status, 200);
        assert_eq!(raw.get("/", &extra("7.7.7.7, ")).await.status, 429);
    }
    assert_eq!(
        upstream.seen()[1].value("x-forwarded-for"),
        Some("6.6.6.6, 192.0.2.1, 127.0.0.1")
    );
}

#[tokio::test]
async fn joins_have_a_limit_of_their_own() {
    let upstream = Upstream::echo().await;
    let mut setup = Setup::before(upstream.addr);
    setup.rules.joins_per_address = Some(Arc::new(AddressLimit::new("1/h".parse().unwrap(), 100)));
    setup.router = axum::Router::new().route(
        "/.doorline/v1/drops/{drop}/ticket",
        post(|| async { "joined" }).get(|| async { "place" }),
    );
    let gateway = setup.start();
    let mut raw = Raw::connect(gateway.addr).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        raw.send("POST /.doorline/v1/drops/aurora/ticket HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            .await;
        statuses.push(raw.answer().await.status);
    }
    assert_eq!(statuses, [200, 200, 429]);
    assert_eq!(
        raw.get("/.doorline/v1/drops/aurora/ticket", "").await.text(),
        "place"
    );
    assert_eq!(gateway.counts.of("limited joins_per_address"), 1);
}

#[tokio::test]
async fn the_api_answers_and_its_rejections_are_problems() {
    async fn who(Extension(visit): Extension<Visit>) -> String {
        format!("{} {}", visit.client.ip, visit.id())
    }
    async fn echo(Json(value): Json<serde_json::Value>) -> Json<serde_json::Value> {
        Json(value)
    }
    let upstream = Upstream::echo().await;
    let mut setup = Setup::before(upstream.addr);
    setup.router = axum::Router::new()
        .route("/.doorline/who", get(who))
        .route("/.doorline/echo", post(echo))
        .route("/.well-known/jwks.json", get(|| async { "keys" }));
    let gateway = setup.start();
    let mut raw = Raw::connect(gateway.addr).await;
    let answer = raw.get("/.doorline/who", "X-Request-Id: my-request-1\r\n").await;
    assert_eq!(answer.text(), "127.0.0.1 my-request-1");
    assert_eq!(answer.header("x-request-id"), Some("my-request-1"));
    assert_eq!(raw.get("/.well-known/jwks.json", "").await.text(), "keys");
    for (method, target, body, status, slug) in [
        ("GET", "/.doorline/none", "", 404, "not-found"),
        ("GET", "/.doorline", "", 404, "not-found"),
        ("GET", "/.DOORLINE/who", "", 404, "not-found"),
        ("PUT", "/.doorline/who", "", 405, "method-not-allowed"),
        ("POST", "/.doorline/echo", "{", 415, "unsupported-media-type"),
    ] {
        let length = body.len();
        raw.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
        .await;
        let answer = raw.answer().await;
        assert_eq!(answer.status, status, "{method} {target}");
        assert_eq!(
            answer.json()["type"],
            format!("/.doorline/problems/{slug}"),
            "{method} {target}"
        );
    }
    let big = "x".repeat(2_000);
    raw.send(format!(
        "POST /.doorline/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n{big}"
    ))
    .await;
    assert_eq!(raw.answer().await.status, 413);
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn browsers_get_a_page_and_programs_a_problem() {
    let upstream = Upstream::start(|_| Reply::Hang).await;
    let gateway = Setup::before(upstream.addr).start();
    let mut raw = Raw::connect(gateway.addr).await;
    let page = raw.get("/", "Accept: text/html,*/*;q=0.8\r\n").await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (502, Some("text/html; charset=utf-8"))
    );
    assert_eq!(page.header("content-security-policy"), Some("default-src 'none'"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let id = page
        .header("x-request-id")
        .expect("every answer names its request");
    assert!(page.text().contains("<title>upstream-unreachable</title>"));
    assert!(page.text().ends_with(id), "{}", page.text());
    let problem = raw.get("/", "Accept: application/json\r\n").await;
    assert_eq!(problem.json()["type"], "/.doorline/problems/upstream-unreachable");
    assert_eq!(gateway.counts.of("request open upstream_failed"), 2);
}

#[tokio::test]
async fn load_is_shed_by_priority() {
    let upstream = Upstream::start(|seen| {
        if seen.line().contains("/hold") {
            Reply::Wait
        } else {
            Reply::Say(ok(b"fine"))
        }
    })
    .await;
    let mut setup = Setup::before(upstream.addr);
    setup.in_flight_max = 10; // open paths: 6, polls: 9
    setup.router = axum::Router::new().route("/.doorline/v1/orders/{id}/payment", post(|| async { "paid" }));
    let gateway = setup.start();
    let mut held = Vec::new();
    for n in 0..6 {
        let mut raw = Raw::connect(gateway.addr).await;
        raw.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n").await;
        held.push(raw);
        crate::support::eventually("held", || upstream.seen().len() == n + 1).await;
    }
    let mut raw = Raw::connect(gateway.addr).await;
    let shed = raw.get("/open", "").await;
    assert_eq!((shed.status, shed.header("retry-after")), (503, Some("2")));
    assert_eq!(raw.get("/drops/aurora", "").await.text(), "please wait");
    raw.send("POST /.doorline/v1/orders/7/payment HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(raw.answer().await.text(), "paid");
    assert_eq!(gateway.counts.of("shed open"), 1);
    held.clear();
    crate::support::eventually("abandoned", || gateway.counts.of("request open abandoned") == 6).await;
    assert_eq!(raw.get("/open", "").await.status, 200);
}
