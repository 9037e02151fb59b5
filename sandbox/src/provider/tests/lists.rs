//! Lists and refunds.

use std::time::Duration;

use serde_json::json;

use super::{authorise, get, id, path, post, start};

#[tokio::test]
async fn lists_page_newest_first_without_gaps_or_repeats() {
    let provider = start().await;
    let mut made = Vec::new();
    for index in 0..5 {
        made.push(authorise(&provider, &format!("o{index}")).await);
    }
    made.reverse();
    let mut seen = Vec::new();
    let mut url = "/v1/payment_intents?limit=2".to_owned();
    loop {
        let page = get(&provider, &url).ok().await;
        let ids: Vec<String> = page["data"].as_array().unwrap().iter().map(id).collect();
        assert!(ids.len() <= 2);
        seen.extend(ids);
        if page["has_more"] == json!(false) {
            break;
        }
        url = format!(
            "/v1/payment_intents?limit=2&starting_after={}",
            seen.last().unwrap()
        );
    }
    assert_eq!(seen, made);
}

#[tokio::test]
async fn created_bounds_a_list() {
    let provider = start().await;
    let early = authorise(&provider, "o1").await;
    provider.clock().advance(Duration::from_hours(1));
    let cut = provider.clock().now_s();
    let late = authorise(&provider, "o2").await;
    let since = get(&provider, &format!("/v1/payment_intents?created[gte]={cut}"))
        .ok()
        .await;
    let before = get(&provider, &format!("/v1/payment_intents?created%5Blt%5D={cut}"))
        .ok()
        .await;
    let only = |page: &serde_json::Value| (page["data"].as_array().unwrap().len(), id(&page["data"][0]));
    assert_eq!(only(&since), (1, late));
    assert_eq!(only(&before), (1, early));
}

#[tokio::test]
async fn a_refund_gives_back_no_more_than_was_taken() {
    let provider = start().await;
    let intent = authorise(&provider, "o1").await;
    let refund = |amount: &'static str| vec![("payment_intent", intent.as_str()), ("amount", amount)];
    let (status, _) = post(&provider, "/v1/refunds", &refund("100")).error().await;
    assert_eq!(status, 400, "nothing was captured yet");
    post(&provider, &path(&intent, "capture"), &[]).ok().await;
    let first = post(&provider, "/v1/refunds", &refund("900"))
        .key("r1")
        .ok()
        .await;
    let same = post(&provider, "/v1/refunds", &refund("900"))
        .key("r1")
        .ok()
        .await;
    assert_eq!(id(&first), id(&same));
    let (status, _) = post(&provider, "/v1/refunds", &refund("12001")).error().await;
    assert_eq!(status, 400);
    post(&provider, "/v1/refunds", &[("payment_intent", &intent)])
        .ok()
        .await;
    let (status, error) = post(&provider, "/v1/refunds", &[("payment_intent", &intent)])
        .error()
        .await;
    assert_eq!((status, &error["code"]), (400, &json!("charge_already_refunded")));
    let tally = provider.tally();
    assert_eq!((tally.orders["o1"].refunded, tally.net_captured()), (12_900, 0));
    let list = get(&provider, &format!("/v1/refunds?payment_intent={intent}"))
        .ok()
        .await;
    assert_eq!(list["data"].as_array().unwrap().len(), 2);
    assert_eq!(
        get(&provider, &format!("/v1/refunds/{}", id(&first))).ok().await["amount"],
        900
    );
}

#[tokio::test]
async fn the_log_is_append_only_and_can_be_read_from_a_point() {
    let provider = start().await;
    let intent = authorise(&provider, "o1").await;
    let before = get(&provider, "/sandbox/log").ok().await;
    post(&provider, &path(&intent, "capture"), &[]).ok().await;
    let news = get(&provider, "/sandbox/log?after=1").ok().await;
    assert_eq!(before.as_array().unwrap().len(), 1);
    assert_eq!(news[0]["movement"], "captured");
    assert_eq!(news[0]["sequence"], 2);
    let tally = get(&provider, "/sandbox/tally").ok().await;
    assert_eq!(tally["orders"]["o1"]["captures"], 1);
}
