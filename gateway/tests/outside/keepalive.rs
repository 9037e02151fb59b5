//! One connection, many requests: what the gateway remembers of one must never speak for the next.

use std::fmt::Write as _;

use crate::client::{Browser, DROP, PAGE, raw};
use crate::house::House;

const VISITOR: &str = "doorline-visitor";
const TICKET: &str = "doorline-ticket-aurora";
const ADMISSION: &str = "doorline-admission-aurora";

fn cookies(of: &[(&str, &Browser)]) -> String {
    let pairs: Vec<_> = of
        .iter()
        .map(|(name, browser)| format!("{name}={}", browser.cookie(name)))
        .collect();
    pairs.join("; ")
}

/// Sends one request per cookie field over one connection; yields the answers' statuses and texts.
async fn in_a_row(house: &House, head: &str, fields: &[&str]) -> Vec<(u16, String)> {
    let mut text = String::new();
    for (n, cookie) in fields.iter().enumerate() {
        let last = if n + 1 == fields.len() {
            "close"
        } else {
            "keep-alive"
        };
        write!(
            text,
            "{head} HTTP/1.1\r\nHost: shop.example\r\nCookie: {cookie}\r\nConnection: {last}\r\nContent-Length: 0\r\n\r\n"
        )
        .expect("a string takes whatever is written to it");
    }
    let answers = raw(house.doorline.address, &text).await;
    let status = |answer: &str| answer[..3].parse().expect("a status");
    answers
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| (status(answer), answer.to_owned()))
        .collect()
}

#[tokio::test]
async fn another_shoppers_cookie_on_the_same_connection_is_judged_anew() {
    let house = House::usual().await;
    let (mine, yours) = (house.browser(), house.browser());
    mine.enter().await;
    yours.join().await;
    let inside = cookies(&[(ADMISSION, &mine), (VISITOR, &mine)]);
    let stolen = cookies(&[(ADMISSION, &mine), (VISITOR, &yours)]);
    let outside = cookies(&[(VISITOR, &yours)]);
    let forged = inside.replace(ADMISSION, "doorline-admission-other");
    let shown = [&*inside, &inside, &stolen, &inside, &outside, &forged, &inside];
    let answers = in_a_row(&house, &format!("POST {PAGE}"), &shown).await;
    let statuses: Vec<_> = answers.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [200, 200, 429, 200, 429, 429, 200]);
    house.close().await;
}

#[tokio::test]
async fn a_place_is_shown_to_its_own_shopper_only_on_a_shared_connection() {
    let house = House::usual().await;
    let (mine, yours) = (house.browser(), house.browser());
    let (first, second) = (mine.join().await, yours.join().await);
    let (i, you) = (
        cookies(&[(VISITOR, &mine), (TICKET, &mine)]),
        cookies(&[(VISITOR, &yours), (TICKET, &yours)]),
    );
    let stolen = cookies(&[(VISITOR, &yours), (TICKET, &mine)]);
    let shown = [&*i, &i, &you, &stolen, &i, &you];
    let answers = in_a_row(&house, &format!("GET {DROP}/ticket"), &shown).await;
    let expected = [
        Some(&first),
        Some(&first),
        Some(&second),
        None,
        Some(&first),
        Some(&second),
    ];
    assert_eq!(answers.len(), expected.len());
    for ((status, text), place) in answers.iter().zip(expected) {
        match place {
            Some(place) => assert!(
                *status == 200 && text.contains(&format!("\"number\":{},", place["number"])),
                "{text}"
            ),
            None => assert_eq!(*status, 404, "{text}"),
        }
    }
    house.close().await;
}
