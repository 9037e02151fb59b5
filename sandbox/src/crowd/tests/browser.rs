//! One shopper's browser: what it sends, what it waits out, what it takes for an answer.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::crowd::client::{Ask, Client, Destination, problem_type, retry_after};
use crate::crowd::observer::Observer;
use crate::link::Answer;
use crate::random::Random;
use crate::serve::{HangUp, Reply, reply, serve};

/// What one request looked like.
#[derive(Clone, Debug)]
struct Heard {
    method: Method,
    path: String,
    headers: HeaderMap,
}

/// A server that gives prepared answers one after the other; `None` hangs up.
struct Script {
    heard: Arc<Mutex<Vec<Heard>>>,
    client: Client,
    observer: Arc<Observer>,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

impl Script {
    async fn start(answers: Vec<Option<Reply>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let answers = Arc::new(Mutex::new(answers.into_iter()));
        let notebook = Arc::clone(&heard);
        let handler = move |request: http::Request<hyper::body::Incoming>| {
            let (parts, _) = request.into_parts();
            let path = parts.uri.path().to_owned();
            notebook.lock().unwrap().push(Heard {
                method: parts.method,
                path,
                headers: parts.headers,
            });
            let answer = answers.lock().unwrap().next().expect("an answer was prepared");
            async move { answer.ok_or(HangUp) }
        };
        let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(serve(listener, cancel.clone(), handler));
        tasks.close();
        let observer = Arc::new(Observer::new(Arc::default()));
        let destination = Arc::new(Destination {
            connect: address.to_string(),
            host: "shop.example".to_owned(),
            origin: "http://shop.example".to_owned(),
        });
        let forwarded_for = Some("10.0.0.7".to_owned());
        let client = Client::new(destination, Arc::clone(&observer), Random::new(1), forwarded_for);
        Self {
            heard,
            client,
            observer,
            cancel,
            tasks,
        }
    }

    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.tasks.wait().await;
    }
}

fn fine(text: &'static str) -> Reply {
    reply(StatusCode::OK, "text/plain", text)
}

fn refused(status: StatusCode, kind: &str) -> Reply {
    let body = json!({ "type": format!("https://doorline.example/problems/{kind}") });
    reply(status, "application/problem+json", body.to_string())
}

fn with(mut answer: Reply, name: &'static str, value: &'static str) -> Reply {
    answer
        .headers_mut()
        .append(name, http::HeaderValue::from_static(value));
    answer
}

fn api(method: Method) -> Ask {
    Ask::api(method, "/.doorline/v1/x".to_owned())
}

#[tokio::test]
async fn requests_look_like_a_browsers() {
    let mut script = Script::start(vec![Some(fine("")), Some(fine(""))]).await;
    script.client.ask(&Ask::page("/drops/aurora")).await;
    let mut ask = api(Method::POST);
    ask.json = Some("{}".to_owned());
    ask.idempotency_key = Some("key-1".to_owned());
    script.client.ask(&ask).await;
    let heard = script.heard();
    let (page, call) = (&heard[0], &heard[1]);
    assert_eq!(
        (page.method.as_str(), page.path.as_str()),
        ("GET", "/drops/aurora")
    );
    assert_eq!(page.headers["host"], "shop.example");
    assert_eq!(page.headers["x-forwarded-for"], "10.0.0.7");
    assert!(page.headers["accept"].to_str().unwrap().starts_with("text/html"));
    assert!(!page.headers.contains_key("origin") && !page.headers.contains_key("cookie"));
    assert_eq!(call.headers["accept"], "application/json");
    assert_eq!(call.headers["content-type"], "application/json");
    assert_eq!(call.headers["idempotency-key"], "key-1");
    assert_eq!(call.headers["origin"], "http://shop.example");
    script.stop().await;
}

#[tokio::test]
async fn cookies_come_back_even_those_of_a_refusal() {
    let refusal = with(
        refused(StatusCode::PRECONDITION_REQUIRED, "visitor-cookie-required"),
        "set-cookie",
        "v=1; Path=/",
    );
    let mut script = Script::start(vec![Some(refusal), Some(fine(""))]).await;
    let first = script.client.ask(&api(Method::POST)).await;
    assert_eq!(first.status, 428, "a refusal that is no overload is an answer");
    script.client.ask(&api(Method::POST)).await;
    assert_eq!(script.heard()[1].headers["cookie"], "v=1");
    script.stop().await;
}

#[tokio::test]
async fn overload_is_waited_out_and_counted() {
    let busy = [
        Some(refused(StatusCode::TOO_MANY_REQUESTS, "rate-limited")),
        Some(refused(StatusCode::SERVICE_UNAVAILABLE, "overloaded")),
        Some(refused(StatusCode::BAD_GATEWAY, "upstream-failed")),
        None,
    ];
    let mut answers = busy.to_vec();
    answers.push(Some(fine("at last")));
    let mut script = Script::start(answers).await;
    let answer = script.client.ask(&api(Method::GET)).await;
    assert_eq!(answer.body.as_ref(), b"at last");
    assert_eq!(script.heard().len(), 5);
    let seen = script.observer.seen().problems.clone();
    for kind in ["rate-limited", "overloaded", "upstream-failed"] {
        assert_eq!(seen[kind], 1, "{kind}");
    }
    let counts = script.observer.progress.counts();
    assert_eq!((counts.problems, counts.broken), (3, 1));
    script.stop().await;
}

#[tokio::test]
async fn a_full_room_and_a_closed_door_are_answers() {
    for kind in ["room-full", "admission-required"] {
        let mut script = Script::start(vec![Some(refused(StatusCode::TOO_MANY_REQUESTS, kind))]).await;
        let answer = script.client.ask(&api(Method::POST)).await;
        assert_eq!(
            (answer.status.as_u16(), problem_type(&answer).as_str()),
            (429, kind)
        );
        script.stop().await;
    }
}

#[tokio::test]
async fn a_page_is_an_answer_whatever_its_status() {
    for status in [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::FORBIDDEN,
    ] {
        let mut script = Script::start(vec![Some(reply(status, "text/html", "wait"))]).await;
        assert_eq!(
            script.client.ask(&Ask::page("/drops/aurora")).await.status,
            status
        );
        script.stop().await;
    }
}

#[tokio::test]
async fn one_connection_is_used_until_it_ends() {
    let closing = with(fine(""), "connection", "close");
    let mut script = Script::start(vec![
        Some(fine("")),
        Some(closing),
        Some(fine("")),
        Some(fine("")),
    ])
    .await;
    for _ in 0..3 {
        script.client.ask(&api(Method::GET)).await;
    }
    script.client.hang_up();
    script.client.ask(&api(Method::GET)).await;
    assert_eq!(
        script.observer.progress.counts().broken,
        0,
        "a goodbye is not a failure"
    );
    assert_eq!(script.observer.progress.counts().requests, 4);
    script.stop().await;
}

#[tokio::test]
async fn two_clicks_are_two_requests_with_one_key() {
    let mut script = Script::start(vec![Some(fine("one")), None]).await;
    let mut ask = api(Method::POST);
    ask.idempotency_key = Some("key-1".to_owned());
    let (first, second) = script.client.ask_twice(&ask).await;
    assert_eq!(
        [first, second].iter().filter(|answer| answer.is_some()).count(),
        1
    );
    let keys: Vec<_> = script
        .heard()
        .iter()
        .map(|heard| heard.headers["idempotency-key"].clone())
        .collect();
    assert_eq!(keys, ["key-1", "key-1"]);
    assert_eq!(script.observer.progress.counts().broken, 1);
    script.stop().await;
}

fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Answer {
    let headers = headers.iter().map(|(name, value)| {
        (
            http::HeaderName::from_static(name),
            http::HeaderValue::from_static(value),
        )
    });
    let status = StatusCode::from_u16(status).unwrap();
    Answer {
        status,
        headers: headers.collect(),
        body: Bytes::from(body.to_owned()),
    }
}

#[test]
fn the_time_to_wait_is_found_wherever_it_is_said() {
    let none: &[(&str, &str)] = &[];
    assert_eq!(
        retry_after(&answer(429, &[("retry-after", "7")], "")),
        Some(Duration::from_secs(7))
    );
    assert_eq!(
        retry_after(&answer(429, none, r#"{"retry_after":2}"#)),
        Some(Duration::from_secs(2))
    );
    assert_eq!(
        retry_after(&answer(429, &[("retry-after", "1")], r#"{"retry_after":2}"#)),
        Some(Duration::from_secs(1))
    );
    assert_eq!(
        retry_after(&answer(429, &[("retry-after", "86400")], "")),
        Some(Duration::from_secs(30)),
        "bounded"
    );
    assert_eq!(retry_after(&answer(429, &[("retry-after", "soon")], "")), None);
    assert_eq!(retry_after(&answer(429, none, "")), None);
}

#[test]
fn problems_are_named_by_the_last_word_of_their_type() {
    for (body, name) in [
        (
            r#"{"type":"https://doorline.example/problems/sold-out"}"#,
            "sold-out",
        ),
        (r#"{"type":"urn:problem:not-called"}"#, "not-called"),
        (r#"{"type":"https://doorline.example/problems#lapsed"}"#, "lapsed"),
        (r#"{"type":"room-full"}"#, "room-full"),
        (r#"{"type":"about:blank"}"#, "status-409"),
        (r#"{"type":""}"#, "status-409"),
        ("{}", "status-409"),
        ("<html>", "status-409"),
    ] {
        assert_eq!(problem_type(&answer(409, &[], body)), name, "{body}");
    }
}
