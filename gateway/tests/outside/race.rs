//! Many at once: one admission makes one order, and the last unit has one buyer.

use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};

use crate::client::{Browser, DROP, until};
use crate::house::{House, SKU, Terms};

/// Requests under way at once; each needs two of the process's sockets.
const AT_ONCE: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_replays_of_one_admission_make_one_order() {
    let house = House::usual().await;
    let browser = house.browser();
    browser.enter().await;
    let body = json!({"items": [{"sku": SKU, "quantity": 1}]});
    let answers: Vec<_> = stream::iter(0..1_000)
        .map(|n| {
            let (browser, body) = (&browser, &body);
            async move { browser.order(&format!("replay-{n}"), body).await }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut order: Option<Value> = None;
    for answer in &answers {
        if answer.status == 201 {
            assert!(order.is_none(), "a second order: {answer:?}");
            order = Some(answer.json()["order"].clone());
        }
    }
    let order = order.expect("one order");
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(answer.problem(409, "admission-spent")["order"], order);
    }
    let listed = house.operator().get("/admin/v1/orders").await.expect(200).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_unit_has_one_buyer_and_all_others_a_clear_answer() {
    let house = House::open(Terms {
        stock: 1,
        checkout: "overbooking_percent = 10000",
        ..Terms::default()
    })
    .await;
    let crowd: Vec<Browser> = (0..100).map(|_| house.browser()).collect();
    stream::iter(&crowd)
        .for_each_concurrent(20, |browser| async move {
            browser.enter().await;
        })
        .await;
    let body = json!({"items": [{"sku": SKU, "quantity": 1}], "payment_method": "pm_card_visa"});
    let answers: Vec<_> = stream::iter(&crowd)
        .map(|browser| {
            let body = &body;
            async move { browser.order("the-last", body).await }
        })
        .buffer_unordered(100)
        .collect()
        .await;
    let taken: Vec<_> = answers.iter().filter(|answer| answer.status == 202).collect();
    assert_eq!(taken.len(), 1, "{taken:?}");
    for answer in answers.iter().filter(|answer| answer.status != 202) {
        let problem = answer.problem(409, "sold-out");
        assert_eq!(problem["left"], json!({SKU: 0}));
    }
    until("the unit is sold", async || {
        let state = house.browser().get(DROP).await.json();
        (state["stock"][SKU] == json!({"available": 0, "reserved": 0, "sold": 1})).then_some(())
    })
    .await;
    assert_eq!(house.provider.tally().net_captured(), 12_900);
    house.close().await;
}
