//! Every path through a small shop, walked by a model checker: two orders, two processes, a broker that loses and repeats,
//! a provider that answers late, twice or not at all. The saga is the real one of `domain`; what surrounds it (ledger,
//! broker, workers, jobs, provider) is drawn small enough that *every* order of events can be looked at, where the
//! simulator beside it draws a few of them from a big world.
//!
//! Each scene is walked to its end: in every state the laws hold, and from every state the house by itself still reaches a
//! good end. Then each mistake that the protocol names is built in, and the checker has to find the way to the law that it
//! breaks. A failure shows the moves that lead there. `DOORLINE_MODEL_FAULTS` walks every scene with another number of
//! faults; each fault more takes about twenty times as long.

mod model {
    pub(crate) mod apply;
    pub(crate) mod checker;
    pub(crate) mod graph;
    pub(crate) mod hands;
    pub(crate) mod laws;
    pub(crate) mod ledger;
    pub(crate) mod moves;
    pub(crate) mod mutation;
    pub(crate) mod provider;
    pub(crate) mod scene;
    pub(crate) mod world;
}

use domain::saga::StateName;
use model::checker::{Walked, walk};
use model::mutation::Mutation;
use model::scene::{Card, Scene};

/// Fewer distinct states than this in the main scene mean that the model has lost something that can happen.
const STATES_MIN: usize = 500_000;

/// Walks all of `scene`; orders must have been in each of the states `reached`, lest the walk prove nothing.
fn holds(scene: Scene, reached: &[StateName]) -> Walked {
    let faults = std::env::var("DOORLINE_MODEL_FAULTS").ok();
    let faults = faults.map_or(scene.faults, |text| text.parse().expect("a number of faults"));
    match walk(&Scene { faults, ..scene }) {
        Err(broken) => panic!(
            "{:?} broken by {:#?}\nin {:#?}",
            broken.laws, broken.moves, broken.world
        ),
        Ok(walked) => {
            let missing = reached.iter().find(|name| !walked.reached.contains(name));
            assert_eq!(missing, None, "no order was ever there");
            walked
        }
    }
}

fn report(walked: &Walked) -> String {
    let Walked {
        states, moves, depth, ..
    } = walked;
    format!("{states} states, {moves} moves, {depth} deep")
}

#[test]
fn any_two_faults_leave_two_orders_for_the_last_unit_on_their_way_to_a_good_end() {
    let ends = [
        StateName::Paid,
        StateName::Released,
        StateName::Declined,
        StateName::Unwound,
    ];
    let walked = holds(Scene::last_unit([Card::Good, Card::Good], 2), &ends);
    println!("{}", report(&walked));
    assert!(walked.states >= STATES_MIN, "{}", report(&walked));
}

#[test]
fn any_three_faults_leave_an_order_on_its_way_to_a_good_end() {
    let ends = [
        StateName::Paid,
        StateName::Released,
        StateName::Declined,
        StateName::Unwound,
    ];
    println!("{}", report(&holds(Scene::alone(Card::Good, 3), &ends)));
}

#[test]
fn a_shopper_who_has_to_confirm_and_any_fault_leave_a_good_end_within_reach() {
    let reached = [
        StateName::ActionRequired,
        StateName::Paid,
        StateName::Declined,
        StateName::Unwound,
    ];
    println!(
        "{}",
        report(&holds(Scene::last_unit([Card::Good, Card::Secure], 1), &reached))
    );
}

#[test]
fn a_declined_card_and_any_fault_leave_the_unit_to_the_next_shopper() {
    let reached = [StateName::Declined, StateName::Paid, StateName::Unwound];
    println!(
        "{}",
        report(&holds(Scene::last_unit([Card::Bad, Card::Good], 1), &reached))
    );
}

#[test]
fn a_provider_that_takes_its_time_leaves_a_good_end_within_reach() {
    let reached = [StateName::Cancelling, StateName::Paid, StateName::Declined];
    println!(
        "{}",
        report(&holds(Scene::last_unit([Card::Slow, Card::Slow], 0), &reached))
    );
}

#[test]
fn a_refund_and_any_fault_give_the_money_and_the_unit_back_once() {
    let scene = Scene {
        refunds: true,
        ..Scene::last_unit([Card::Good, Card::Good], 1)
    };
    println!(
        "{}",
        report(&holds(scene, &[StateName::Refunded, StateName::Unwound]))
    );
}

#[test]
fn one_shopper_with_two_requests_stays_within_the_limit_under_any_fault() {
    let scene = Scene {
        shoppers: [1, 1],
        units: 2,
        ..Scene::last_unit([Card::Good, Card::Good], 1)
    };
    println!(
        "{}",
        report(&holds(scene, &[StateName::Paid, StateName::Unwound]))
    );
}

#[test]
fn orders_that_share_nothing_but_the_workers_do_not_disturb_each_other() {
    let scene = Scene {
        units: 2,
        ..Scene::last_unit([Card::Good, Card::Good], 1)
    };
    println!(
        "{}",
        report(&holds(scene, &[StateName::Paid, StateName::Unwound]))
    );
}

/// Builds `mutation` into `scene`, and requires that the checker finds a way to the law that it breaks.
fn must_be_caught(mutation: Mutation, scene: Scene) {
    let scene = Scene {
        mutation: Some(mutation),
        ..scene
    };
    let Err(broken) = walk(&scene) else {
        panic!("{mutation:?} went unnoticed");
    };
    assert!(
        broken.laws.contains(&mutation.breaks()),
        "{mutation:?} broke other laws: {:?} by {:#?}",
        broken.laws,
        broken.moves
    );
}

macro_rules! caught {
    ($($name:ident: $mutation:ident in $scene:expr;)*) => {
        mod caught {
            use super::{Card::*, Mutation, Scene, must_be_caught};
            $(
                #[test]
                fn $name() {
                    must_be_caught(Mutation::$mutation, $scene);
                }
            )*
        }
    };
}

// Each in the smallest scene that has what it takes. Without the mistake all of them are part of a walk above.
caught! {
    stock_check_without_guard: StockWithoutGuard in Scene::last_unit([Good, Good], 0);
    a_new_key_on_retry: NewKeyOnRetry in Scene::last_unit([Good, Good], 1);
    capture_before_commit: CaptureBeforeCommit in Scene::last_unit([Good, Good], 0);
    automatic_capture_with_plain_cancel: AutomaticCapture in Scene::last_unit([Good, Good], 0);
    accept_without_outbox_and_redrive: AcceptWithoutOutboxAndRedrive in Scene::last_unit([Good, Good], 0);
    no_reconciler: NoReconciler in Scene::last_unit([Good, Secure], 1);
    no_uncommit_of_an_expired_authorisation: NoUncommit in Scene::last_unit([Good, Good], 1);
    release_twice: ReleaseTwice in Scene::last_unit([Good, Good], 1);
    decline_not_releasing: DeclineNotReleasing in Scene::last_unit([Bad, Good], 0);
    cancel_that_wins_after_capture: CancelWinsAfterCapture in Scene::last_unit([Good, Good], 0);
    limit_checked_outside_the_transaction: LimitOutsideTransaction
        in Scene { shoppers: [1, 1], units: 2, ..Scene::last_unit([Good, Good], 0) };
    webhook_applied_twice: WebhookAppliedTwice in Scene::last_unit([Good, Good], 1);
    release_on_bare_absence: ReleaseOnAbsence in Scene::alone(Good, 1);
}
