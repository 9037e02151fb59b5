//! The outflow: which bound binds, and that none is ever exceeded.

use super::*;
use crate::{DropId, Limits, Span};
use proptest::prelude::*;

fn rules() -> DropRules {
    let drop = DropId::new("aurora").unwrap();
    DropRules {
        limits: Limits {
            total_active_users: 100,
            new_users_per_minute: 60,
        },
        ..DropRules::new(drop)
    }
}

/// Plenty of everything: whatever a test takes away is what binds.
fn room() -> Room {
    Room {
        waiting: 10_000,
        active: 0,
        undecided: 0,
        claims_last_minute: 0,
        pending_calls: 0,
        returning: 0,
        show_per_mille: 1_000,
        pace_milli_claims: 10_000_000,
    }
}

fn decide(room: &Room, readings: &Readings) -> Outflow {
    Outflow::decide(Phase::Open, &rules(), room, readings)
}

fn stock(available: u64) -> Readings {
    Readings {
        stock: Some(StockLevel {
            available,
            reserved: 5,
            sold: 0,
        }),
        ..Readings::default()
    }
}

#[test]
fn each_bound_binds_under_its_own_name() {
    let full = Room { active: 95, ..room() };
    assert_eq!(
        decide(&full, &Readings::default()),
        Outflow {
            calls: 5,
            bound: Bound::Sessions
        }
    );
    let busy = Room {
        claims_last_minute: 57,
        ..room()
    };
    assert_eq!(
        decide(&busy, &Readings::default()),
        Outflow {
            calls: 3,
            bound: Bound::Rate
        }
    );
    let paced = Room {
        pace_milli_claims: 2_999,
        ..room()
    };
    assert_eq!(
        decide(&paced, &Readings::default()),
        Outflow {
            calls: 2,
            bound: Bound::Rate
        }
    );
}

#[test]
fn what_others_measure_binds_under_its_own_name() {
    let paced = Room {
        pace_milli_claims: 2_999,
        ..room()
    };
    let ill = Readings {
        health_per_mille: 500,
        ..Readings::default()
    };
    assert_eq!(
        decide(&paced, &ill),
        Outflow {
            calls: 2,
            bound: Bound::Upstream
        }
    );
    assert_eq!(
        decide(&room(), &stock(7)),
        Outflow {
            calls: 7,
            bound: Bound::Stock
        }
    );
    let empty = Room { waiting: 1, ..room() };
    assert_eq!(
        decide(&empty, &Readings::default()),
        Outflow {
            calls: 1,
            bound: Bound::QueueEmpty
        }
    );
    // 12 a minute for 5 minutes clears 60 orders; 50 are behind and 6 shoppers may still order.
    let slow = Readings {
        drain_per_minute: Some(12),
        order_backlog: 50,
        ..Readings::default()
    };
    let deciding = Room {
        undecided: 6,
        active: 6,
        ..room()
    };
    assert_eq!(
        decide(&deciding, &slow),
        Outflow {
            calls: 4,
            bound: Bound::Backlog
        }
    );
}

#[test]
fn nobody_is_called_for_nothing() {
    let inside = Room {
        undecided: 7,
        active: 7,
        ..room()
    };
    assert_eq!(
        decide(&inside, &stock(7)),
        Outflow {
            calls: 0,
            bound: Bound::Stock
        }
    );
    assert_eq!(
        decide(&room(), &stock(0)),
        Outflow {
            calls: 0,
            bound: Bound::Stock
        }
    );
}

#[test]
fn overbooking_and_units_per_order_scale_the_stock_bound() {
    let rules = DropRules {
        overbooking_per_mille: 1_500,
        ..rules()
    };
    let readings = Readings {
        units_per_order_per_mille: 2_000,
        ..stock(20)
    };
    let outflow = Outflow::decide(Phase::Open, &rules, &room(), &readings);
    assert_eq!(
        outflow,
        Outflow {
            calls: 15,
            bound: Bound::Stock
        }
    );
}

#[test]
fn no_shows_are_called_over() {
    let half_show = Room {
        active: 90,
        show_per_mille: 500,
        ..room()
    };
    assert_eq!(decide(&half_show, &Readings::default()).calls, 20);
    let nobody_shows = Room {
        active: 90,
        show_per_mille: 0,
        ..room()
    };
    assert_eq!(decide(&nobody_shows, &Readings::default()).calls, 200);
}

#[test]
fn the_backlog_is_measured_against_the_reservation_time() {
    let short = DropRules {
        reserve_for: Span::from_secs(30),
        ..rules()
    };
    let readings = Readings {
        drain_per_minute: Some(20),
        ..Readings::default()
    };
    assert_eq!(
        Outflow::decide(Phase::Open, &short, &room(), &readings),
        Outflow {
            calls: 10,
            bound: Bound::Backlog
        }
    );
}

#[test]
fn every_phase_but_open_calls_nobody() {
    use Phase::{Draining, Ended, Prequeue, Scheduled, SoldOut};
    for phase in [Scheduled, Prequeue, Draining, SoldOut, Ended] {
        let outflow = Outflow::decide(phase, &rules(), &room(), &Readings::default());
        assert_eq!(
            outflow,
            Outflow {
                calls: 0,
                bound: Bound::Phase
            }
        );
    }
    let paused = Outflow::decide(Phase::Paused, &rules(), &room(), &Readings::default());
    assert_eq!(
        paused,
        Outflow {
            calls: 0,
            bound: Bound::Paused
        }
    );
}

fn any_room() -> impl Strategy<Value = Room> {
    (
        0u64..500,
        0u64..150,
        0u64..80,
        0u64..50,
        0u64..20,
        0u32..=1_000,
        0u64..50_000,
    )
        .prop_map(
            |(waiting, active, claims_last_minute, pending_calls, returning, show_per_mille, pace)| Room {
                waiting,
                active,
                undecided: active / 2,
                claims_last_minute,
                pending_calls,
                returning,
                show_per_mille,
                pace_milli_claims: pace,
            },
        )
}

proptest! {
    /// The naive model: count heads, one inequality per promise.
    #[test]
    fn expected_claims_never_exceed_any_bound(room in any_room(), available in 0u64..200) {
        let readings = stock(available);
        let calls = decide(&room, &readings).calls;
        let show = u64::from(room.show_per_mille.clamp(SHOW_PER_MILLE_MIN, 1_000));
        let coming = (calls + room.pending_calls) * show + room.returning * 1_000;
        prop_assert!(calls <= room.waiting);
        if calls > 0 {
            prop_assert!(room.active * 1_000 + coming <= 100_000);
            prop_assert!(room.claims_last_minute * 1_000 + coming <= 60_000);
            prop_assert!(room.undecided * 1_000 + coming <= available * 1_000);
            prop_assert!(calls * show <= room.pace_milli_claims);
        }
    }

    #[test]
    fn one_call_more_would_break_the_named_bound(room in any_room(), available in 0u64..200) {
        let readings = stock(available);
        let outflow = decide(&room, &readings);
        let alone = room.calls_within(outflow.bound, &rules(), &readings);
        prop_assert_eq!(alone, outflow.calls);
    }
}
