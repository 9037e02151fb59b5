//! The contract of the port, and what is the embedded store's own: the journal, restarts, and a
//! disk that fails.

mod disk;
mod late;
mod restart;

use std::future::Future;

use proptest::prelude::*;

use super::*;
use crate::store::contract::{self, Subject};
use crate::testing::Repeating;

fn open(dir: &Path) -> Arc<EmbeddedStore> {
    Arc::new(EmbeddedStore::open(dir, Arc::new(Repeating::from(1))).unwrap())
}

/// Runs one claim of the contract over a fresh store.
async fn judge<F: Future<Output = ()>>(claim: impl FnOnce(Arc<dyn QueueStore>) -> F) {
    let dir = tempfile::tempdir().unwrap();
    claim(open(dir.path())).await;
}

macro_rules! contract {
    ($($claim:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $claim() {
            judge(contract::$claim).await;
        }
    )*};
}

contract!(
    a_batch_of_joins_is_served_in_order_and_once,
    of_two_decisions_one_wins,
    a_crowd_of_claims_meets_the_exact_limit,
    a_claim_is_repeated_alike,
    what_is_given_up_again_is_given_up_once,
    a_batch_of_renewals_is_answered_one_by_one,
    a_ticket_brings_its_place_back,
    commands_hold_for_their_drop_alone,
    an_unknown_drop_is_refused,
    the_random_method_serves_by_lot,
    time_does_not_run_back_between_operations,
    a_reading_is_seen_with_the_view,
    a_silent_keeper_is_replaced,
    offers_agree_with_the_rule,
    who_went_to_order_is_known_while_the_session_lasts,
);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn random_histories_agree_with_the_model(steps in contract::steps(), is_random: bool) {
        let method = if is_random { domain::QueueingMethod::Random } else { domain::QueueingMethod::Fifo };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        runtime.block_on(contract::replay(open(dir.path()), method, &steps));
    }
}
