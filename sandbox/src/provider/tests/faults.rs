//! What goes wrong on purpose, and what must hold all the same.

use serde_json::json;

use super::{
    FaultPlan, Provider, ProviderConfig, authorise, body, buy, get, header, path, post, start, start_with,
};
use crate::provider::{Fault, FaultRule, Operation, Outage};

#[tokio::test]
async fn a_lost_answer_took_effect_and_its_key_tells() {
    let provider = start().await;
    assert!(
        buy(&provider, "pm_sandbox_lostAnswer", "o1")
            .key("k1")
            .try_send()
            .await
            .is_err()
    );
    assert_eq!(provider.tally().orders["o1"].authorisations, 1);
    let again = buy(&provider, "pm_sandbox_lostAnswer", "o1")
        .key("k1")
        .send()
        .await;
    assert_eq!(
        (again.status.as_u16(), header(&again, "idempotent-replayed")),
        (200, Some("true"))
    );
    assert_eq!(provider.tally().orders["o1"].authorisations, 1);
}

#[tokio::test]
async fn a_lost_answer_at_capture_took_effect() {
    let provider = start().await;
    let intent = buy(&provider, "pm_sandbox_captureLostAnswer", "o1").ok().await;
    let capture = path(&super::id(&intent), "capture");
    assert!(post(&provider, &capture, &[]).key("c1").try_send().await.is_err());
    let again = post(&provider, &capture, &[]).key("c1").ok().await;
    assert_eq!(again["status"], "succeeded");
    assert_eq!(provider.tally().orders["o1"].captures, 1);
}

#[tokio::test]
async fn a_lost_request_never_happened() {
    let provider = start_with(FaultPlan {
        hang_ms: 5,
        ..FaultPlan::default()
    })
    .await;
    assert!(
        buy(&provider, "pm_sandbox_lostRequest", "o1")
            .key("k1")
            .try_send()
            .await
            .is_err()
    );
    assert!(provider.log_after(0).is_empty());
    let again = buy(&provider, "pm_sandbox_lostRequest", "o1")
        .key("k1")
        .send()
        .await;
    assert_eq!(
        (again.status.as_u16(), header(&again, "idempotent-replayed")),
        (200, None)
    );
}

#[tokio::test]
async fn a_saved_500_repeats_with_or_without_effect() {
    let provider = start().await;
    for (method, order, authorisations) in [
        ("pm_sandbox_saved500", "o1", 0),
        ("pm_sandbox_saved500AfterEffect", "o2", 1),
    ] {
        for _ in 0..3 {
            let answer = buy(&provider, method, order).key(order).send().await;
            assert_eq!(answer.status, 500, "{method}");
        }
        let counted = provider
            .tally()
            .orders
            .get(order)
            .map_or(0, |tally| tally.authorisations);
        assert_eq!(counted, authorisations, "{method}");
    }
    let list = get(&provider, "/v1/payment_intents").ok().await;
    assert_eq!(
        list["data"][0]["metadata"]["order"], "o2",
        "reading tells what a saved 500 hides"
    );
}

#[tokio::test]
async fn an_unsaved_500_and_a_429_leave_the_key_free() {
    let provider = start().await;
    for (method, order, status) in [
        ("pm_sandbox_unsaved500", "o1", 500),
        ("pm_sandbox_rateLimited", "o2", 429),
    ] {
        for _ in 0..2 {
            let answer = buy(&provider, method, order).key(order).send().await;
            assert_eq!(answer.status.as_u16(), status);
            assert_eq!(header(&answer, "stripe-should-retry"), Some("true"));
        }
        assert!(!provider.tally().orders.contains_key(order));
        buy(&provider, method, order).key(order).ok().await;
        assert_eq!(provider.tally().orders[order].authorisations, 1);
    }
}

#[tokio::test]
async fn a_purchase_is_one_order_whatever_keys_it_takes() {
    let provider = start().await;
    for (key, status) in [("k1", 500), ("k2", 500), ("k3", 200)] {
        let answer = buy(&provider, "pm_sandbox_unsaved500", "o1")
            .key(key)
            .send()
            .await;
        assert_eq!(answer.status.as_u16(), status, "{key}");
    }
}

#[tokio::test]
async fn each_endpoint_has_its_own_rate_limit() {
    let faults = FaultPlan {
        requests_per_second: 3,
        ..FaultPlan::default()
    };
    let provider = Provider::start(ProviderConfig {
        faults,
        ..ProviderConfig::default()
    })
    .await
    .unwrap();
    let mut refused = 0;
    for _ in 0..8 {
        let answer = get(&provider, "/v1/payment_intents").send().await;
        if answer.status == 429 {
            assert_eq!(body(&answer)["error"]["code"], "rate_limit");
            assert_eq!(
                header(&answer, "stripe-rate-limited-reason"),
                Some("endpoint-rate")
            );
            refused += 1;
        }
    }
    assert!(refused > 0, "eight at once do not fit into three per second");
    assert_eq!(get(&provider, "/v1/refunds").send().await.status, 200);
}

#[tokio::test]
async fn outages_come_and_go_by_the_admin_endpoint() {
    let provider = start().await;
    let plan = json!({ "requests_per_second": 0, "outage": "error" });
    post(&provider, "/sandbox/faults", &[]).json(&plan).ok().await;
    let down = get(&provider, "/v1/payment_intents").send().await;
    assert_eq!(
        (down.status.as_u16(), header(&down, "stripe-should-retry")),
        (500, Some("true"))
    );
    provider
        .set_faults(FaultPlan {
            outage: Outage::Refuse,
            ..FaultPlan::default()
        })
        .unwrap();
    assert!(get(&provider, "/v1/payment_intents").try_send().await.is_err());
    provider
        .set_faults(FaultPlan {
            outage: Outage::Hang,
            hang_ms: 5,
            ..FaultPlan::default()
        })
        .unwrap();
    assert!(get(&provider, "/v1/payment_intents").try_send().await.is_err());
    post(&provider, "/sandbox/faults", &[])
        .json(&json!({}))
        .ok()
        .await;
    authorise(&provider, "o1").await;
}

#[tokio::test]
async fn a_bad_fault_plan_is_refused_and_the_old_one_stays() {
    let provider = start().await;
    for bad in [
        json!({ "outages": "error" }),
        json!({ "hang_ms": 999_999_999_u64 }),
        json!({ "latency_ms_min": 5, "latency_ms_max": 1 }),
        json!({ "rules": [{ "fault": "slow", "chance": 1.5 }] }),
    ] {
        let (status, _) = post(&provider, "/sandbox/faults", &[]).json(&bad).error().await;
        assert_eq!(status, 400, "{bad}");
    }
    let plan = get(&provider, "/sandbox/faults").ok().await;
    assert_eq!(plan["requests_per_second"], 0);
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_stop_what_it_started() {
    let provider = start_with(FaultPlan {
        latency_ms_min: 30,
        latency_ms_max: 30,
        ..FaultPlan::default()
    })
    .await;
    let impatient = buy(&provider, "pm_card_visa", "o1").key("k1").try_send();
    let cut = tokio::time::timeout(std::time::Duration::from_millis(10), impatient).await;
    assert!(cut.is_err());
    // Either it had arrived and is executed under its key, or it had not and is executed now.
    loop {
        let again = buy(&provider, "pm_card_visa", "o1").key("k1").send().await;
        if again.status != 409 {
            assert_eq!(again.status, 200);
            break;
        }
    }
    assert_eq!(provider.tally().orders["o1"].authorisations, 1);
}

#[tokio::test]
async fn the_same_seed_brings_the_same_faults() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let rules = vec![FaultRule::chance(Fault::Unsaved500, 0.5)];
        let provider = start_with(FaultPlan {
            seed: 9,
            rules,
            ..FaultPlan::default()
        })
        .await;
        let mut statuses = Vec::new();
        for _ in 0..20 {
            statuses.push(get(&provider, "/v1/payment_intents").send().await.status.as_u16());
        }
        provider.shutdown().await;
        runs.push(statuses);
    }
    assert_eq!(runs[0], runs[1]);
    assert!(runs[0].contains(&200) && runs[0].contains(&500), "{:?}", runs[0]);
}

#[tokio::test]
async fn memory_is_bounded_and_a_full_book_changes_nothing() {
    let config = ProviderConfig {
        capacity: 2,
        faults: FaultPlan {
            requests_per_second: 0,
            ..FaultPlan::default()
        },
        ..ProviderConfig::default()
    };
    let provider = Provider::start(config).await.unwrap();
    authorise(&provider, "o1").await;
    let kept = authorise(&provider, "o2").await;
    let answer = buy(&provider, "pm_card_visa", "o3").send().await;
    assert_eq!(answer.status, 500);
    assert!(!provider.tally().orders.contains_key("o3"));
    post(&provider, &path(&kept, "cancel"), &[]).ok().await;
}

#[tokio::test]
async fn rules_apply_to_their_operation_only() {
    let rules = vec![FaultRule::next(Operation::CaptureIntent, Fault::Unsaved500, 1)];
    let provider = start_with(FaultPlan {
        rules,
        ..FaultPlan::default()
    })
    .await;
    let intent = authorise(&provider, "o1").await;
    let capture = path(&intent, "capture");
    assert_eq!(post(&provider, &capture, &[]).send().await.status, 500);
    post(&provider, &capture, &[]).ok().await;
}

const README: &str = include_str!("../../../README.md");

#[test]
fn every_payment_method_in_the_readme_is_known() {
    let named: Vec<&str> = README
        .split('`')
        .filter(|word| word.starts_with("pm_card_") || word.starts_with("pm_sandbox_"))
        .collect();
    assert!(named.len() > 20, "{named:?}");
    for method in named.into_iter().filter(|name| !name.ends_with('…')) {
        assert!(crate::provider::card::find(method).is_some(), "{method}");
    }
}

#[test]
fn the_plan_in_the_readme_is_a_plan() {
    let text = README
        .split("```json")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap();
    let plan: FaultPlan = serde_json::from_str(text).unwrap();
    plan.check().unwrap();
    assert_eq!(plan.rules[0].operation, Some(Operation::CaptureIntent));
}
