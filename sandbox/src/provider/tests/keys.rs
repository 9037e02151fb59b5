//! Idempotency keys against a naive model: random beginnings, answers, releases and hours.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::StatusCode;
use proptest::prelude::*;

use crate::provider::keys::{Begun, Keys, SavedAnswer};

const HOUR_MS: u64 = 3_600_000;

#[derive(Clone, Debug)]
enum Step {
    Begin { key: u8, path: u8, fingerprint: u8 },
    Save { key: u8 },
    Release { key: u8 },
    Wait { hours: u64 },
}

/// What the model remembers of a key: where and what it was used for, and since when it is answered.
#[derive(Clone, Copy, Debug)]
struct Used {
    path: u8,
    fingerprint: u8,
    answered_ms: Option<u64>,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_u8..4, 0_u8..2, 0_u8..2)
            .prop_map(|(key, path, fingerprint)| Step::Begin { key, path, fingerprint }),
        4 => (0_u8..4).prop_map(|key| Step::Save { key }),
        2 => (0_u8..4).prop_map(|key| Step::Release { key }),
        1 => (1_u64..30).prop_map(|hours| Step::Wait { hours }),
    ]
}

fn answer(key: u8, now_ms: u64) -> SavedAnswer {
    let body = Bytes::from(format!("{key}@{now_ms}"));
    SavedAnswer {
        status: StatusCode::OK,
        body,
        request_id: format!("req_{key}"),
    }
}

fn check_begin(
    keys: &mut Keys,
    model: &mut BTreeMap<u8, Used>,
    (key, path, fingerprint): (u8, u8, u8),
    now_ms: u64,
) {
    let known = model.get(&key).copied();
    let begun = keys.begin(
        &format!("k{key}"),
        &format!("/p{path}"),
        [fingerprint; 32],
        now_ms,
    );
    match known {
        None => {
            assert!(matches!(begun, Ok(Begun::Fresh)));
            model.insert(
                key,
                Used {
                    path,
                    fingerprint,
                    answered_ms: None,
                },
            );
        }
        Some(used) if used.path != path || used.fingerprint != fingerprint => {
            let error = begun.unwrap_err();
            assert_eq!(error.status, StatusCode::BAD_REQUEST);
            assert!(!error.saved && error.to_body().contains("idempotency_error"));
        }
        Some(Used {
            answered_ms: None, ..
        }) => {
            let error = begun.unwrap_err();
            assert_eq!(error.status, StatusCode::CONFLICT);
            assert!(error.to_body().contains("idempotency_key_in_use"));
        }
        Some(Used {
            answered_ms: Some(at),
            ..
        }) => {
            let Ok(Begun::Replay(saved)) = begun else {
                panic!("an answered key repeats its answer")
            };
            assert_eq!(saved.body, answer(key, at).body);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn keys_agree_with_the_model(steps in prop::collection::vec(step(), 1..80)) {
        let mut keys = Keys::new(100);
        let mut model: BTreeMap<u8, Used> = BTreeMap::new();
        let mut now_ms = 1_000;
        for step in steps {
            match step {
                Step::Begin { key, path, fingerprint } => {
                    check_begin(&mut keys, &mut model, (key, path, fingerprint), now_ms);
                }
                // A running request ends in one of two ways; others have nothing to end.
                Step::Save { key } => {
                    if let Some(used) = model.get_mut(&key).filter(|used| used.answered_ms.is_none()) {
                        keys.save(&format!("k{key}"), answer(key, now_ms), now_ms);
                        used.answered_ms = Some(now_ms);
                    }
                }
                Step::Release { key } => {
                    if model.get(&key).is_some_and(|used| used.answered_ms.is_none()) {
                        keys.release(&format!("k{key}"));
                        model.remove(&key);
                    }
                }
                Step::Wait { hours } => {
                    now_ms += hours * HOUR_MS;
                    model.retain(|_, used| used.answered_ms.is_none_or(|at| now_ms < at + 24 * HOUR_MS));
                }
            }
        }
    }
}

#[test]
fn a_full_store_refuses_new_keys_and_serves_the_old() {
    let mut keys = Keys::new(2);
    for key in ["a", "b"] {
        assert!(matches!(keys.begin(key, "/p", [0; 32], 0), Ok(Begun::Fresh)));
        keys.save(key, answer(1, 0), 0);
    }
    let error = keys.begin("c", "/p", [0; 32], 0).unwrap_err();
    assert_eq!(
        (error.status, error.saved),
        (StatusCode::INTERNAL_SERVER_ERROR, false)
    );
    assert!(matches!(keys.begin("a", "/p", [0; 32], 0), Ok(Begun::Replay(_))));
    assert!(
        matches!(keys.begin("c", "/p", [0; 32], 24 * HOUR_MS), Ok(Begun::Fresh)),
        "a day later there is room"
    );
}

#[test]
fn a_key_in_flight_never_expires() {
    let mut keys = Keys::new(2);
    assert!(matches!(keys.begin("a", "/p", [0; 32], 0), Ok(Begun::Fresh)));
    let error = keys.begin("a", "/p", [0; 32], 1_000 * HOUR_MS).unwrap_err();
    assert_eq!(error.status, StatusCode::CONFLICT);
}

#[test]
fn empty_and_endless_keys_are_refused() {
    let mut keys = Keys::new(2);
    for key in [String::new(), "k".repeat(256)] {
        assert_eq!(
            keys.begin(&key, "/p", [0; 32], 0).unwrap_err().status,
            StatusCode::BAD_REQUEST
        );
    }
}
