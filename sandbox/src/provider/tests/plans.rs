//! The fault plan's draws and counts, and the rate limit's arithmetic.

use std::time::Duration;

use proptest::prelude::*;

use crate::clock::monotonic;
use crate::provider::fault::Faults;
use crate::provider::limits::Limits;
use crate::provider::{Fault, FaultPlan, FaultRule, Operation, WebhookFaults};

fn with_rules(rules: Vec<FaultRule>) -> Faults {
    Faults::new(FaultPlan {
        rules,
        ..FaultPlan::default()
    })
}

#[test]
fn an_honest_plan_does_nothing() {
    let mut faults = Faults::new(FaultPlan::default());
    for _ in 0..100 {
        let verdict = faults.judge(Operation::CreateIntent, None);
        assert_eq!((verdict.delay_ms, verdict.fault), (0, None));
        assert_eq!(faults.judge_event(), (false, false, false));
    }
}

#[test]
fn rules_count_match_and_take_turns() {
    let mut faults = with_rules(vec![
        FaultRule::next(Operation::CaptureIntent, Fault::LostAnswer, 2),
        FaultRule {
            operation: None,
            fault: Fault::Unsaved500,
            chance: 1.0,
            times: Some(1),
        },
    ]);
    let mut judge = |operation| faults.judge(operation, None).fault;
    assert_eq!(judge(Operation::CaptureIntent), Some(Fault::LostAnswer));
    assert_eq!(judge(Operation::CreateIntent), Some(Fault::Unsaved500));
    assert_eq!(judge(Operation::CreateIntent), None);
    assert_eq!(judge(Operation::CaptureIntent), Some(Fault::LostAnswer));
    assert_eq!(judge(Operation::CaptureIntent), None);
}

#[test]
fn a_purchases_own_fault_strikes_so_often_and_goes_before_the_rules() {
    let mut faults = with_rules(vec![FaultRule::chance(Fault::Saved500, 1.0)]);
    let own = |purchase: &str| Some((Fault::LostAnswer, 2, purchase.to_owned()));
    let mut judge = |purchase| faults.judge(Operation::CreateIntent, own(purchase)).fault;
    assert_eq!(judge("a"), Some(Fault::LostAnswer));
    assert_eq!(judge("b"), Some(Fault::LostAnswer));
    assert_eq!(judge("a"), Some(Fault::LostAnswer));
    assert_eq!(
        judge("a"),
        Some(Fault::Saved500),
        "after that it is like any other"
    );
    assert_eq!(
        judge("b"),
        Some(Fault::LostAnswer),
        "each purchase is counted apart"
    );
}

#[test]
fn slowness_adds_to_latency() {
    let rules = vec![FaultRule::next(Operation::CreateIntent, Fault::Slow, 1)];
    let plan = FaultPlan {
        latency_ms_min: 10,
        latency_ms_max: 20,
        slow_ms: 1_000,
        rules,
        ..FaultPlan::default()
    };
    let mut faults = Faults::new(plan);
    let slow = faults.judge(Operation::CreateIntent, None).delay_ms;
    assert!((1_010..=1_020).contains(&slow), "{slow}");
    for _ in 0..100 {
        let usual = faults.judge(Operation::CreateIntent, None).delay_ms;
        assert!((10..=20).contains(&usual), "{usual}");
    }
}

#[test]
fn plans_survive_json_and_absent_fields_take_defaults() {
    let plan = FaultPlan {
        seed: 9,
        rules: vec![FaultRule::next(
            Operation::CreateRefund,
            Fault::Saved500AfterEffect,
            3,
        )],
        webhooks: WebhookFaults {
            duplicate: 0.5,
            ..WebhookFaults::default()
        },
        ..FaultPlan::default()
    };
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<FaultPlan>(&text).unwrap(), plan);
    assert_eq!(
        serde_json::from_str::<FaultPlan>("{}").unwrap(),
        FaultPlan::default()
    );
    let rule: FaultRule = serde_json::from_str(r#"{ "fault": "slow" }"#).unwrap();
    assert_eq!((rule.operation, rule.times), (None, None));
    assert!(rule.chance >= 1.0);
}

#[test]
fn plans_out_of_range_say_which_field() {
    let base = FaultPlan::default;
    let many = vec![FaultRule::chance(Fault::Slow, 0.1); 101];
    for (plan, word) in [
        (
            FaultPlan {
                slow_ms: 120_001,
                ..base()
            },
            "delay",
        ),
        (
            FaultPlan {
                latency_ms_min: 2,
                latency_ms_max: 1,
                ..base()
            },
            "latency_ms_min",
        ),
        (
            FaultPlan {
                rules: many,
                ..base()
            },
            "rules",
        ),
        (
            FaultPlan {
                rules: vec![FaultRule::chance(Fault::Slow, -0.1)],
                ..base()
            },
            "chance",
        ),
        (
            FaultPlan {
                rules: vec![FaultRule::chance(Fault::Slow, f64::NAN)],
                ..base()
            },
            "chance",
        ),
        (
            FaultPlan {
                webhooks: WebhookFaults {
                    drop: 1.1,
                    ..WebhookFaults::default()
                },
                ..base()
            },
            "chance",
        ),
    ] {
        let why = plan.check().unwrap_err();
        assert!(why.contains(word), "{why}");
    }
    base().check().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_second_holds_more_than_the_limit(
        limit in 1_u32..6,
        gaps in prop::collection::vec(0_u64..700, 1..80),
    ) {
        let mut limits = Limits::default();
        let start = monotonic();
        let (mut now_ms, mut admitted): (u64, Vec<u64>) = (0, Vec::new());
        for gap in gaps {
            now_ms += gap;
            let recent = admitted.iter().filter(|at| now_ms - **at < 1_000).count();
            let fits = recent < usize::try_from(limit).unwrap();
            let now = start + Duration::from_millis(now_ms);
            prop_assert_eq!(limits.admit(Operation::CreateIntent, limit, now), fits, "at {} ms", now_ms);
            if fits {
                admitted.push(now_ms);
            }
        }
    }
}

#[test]
fn endpoints_are_limited_apart_and_zero_is_unlimited() {
    let mut limits = Limits::default();
    let now = monotonic();
    assert!(limits.admit(Operation::CreateIntent, 1, now));
    assert!(!limits.admit(Operation::CreateIntent, 1, now));
    assert!(limits.admit(Operation::CaptureIntent, 1, now));
    assert!((0..1_000).all(|_| limits.admit(Operation::ListIntents, 0, now)));
}
