//! The contract suite and random histories, over one server and over a cluster.

use std::future::Future;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use domain::QueueingMethod;

use super::*;

/// Runs one claim of the contract over a fresh store.
async fn judge<F: Future<Output = ()>>(claim: impl FnOnce(Arc<dyn QueueStore>) -> F) {
    let redis = Redis::start().await.unwrap();
    claim(store(&redis).await).await;
}

async fn judge_on_cluster<F: Future<Output = ()>>(
    cluster: &RedisCluster,
    claim: impl FnOnce(Arc<dyn QueueStore>) -> F,
) {
    for node in cluster.nodes() {
        assert!(node.flush().await);
    }
    claim(store_on(cluster.urls(), true, Arc::new(MemoryMarks::default())).await).await;
}

macro_rules! contract {
    ($($claim:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $claim() {
                judge(contract::$claim).await;
            }
        )*

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn a_cluster_of_three_keeps_the_whole_contract() {
            let cluster = RedisCluster::start().await.unwrap();
            $(judge_on_cluster(&cluster, contract::$claim).await;)*
        }
    };
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
    a_reading_is_seen_with_the_view,
    a_silent_keeper_is_replaced,
    offers_agree_with_the_rule,
    who_went_to_order_is_known_while_the_session_lasts,
);

/// Plays random histories on one server and on the model.
fn agree(cases: u32, rules: &DropRules) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let redis = runtime.block_on(Redis::start()).unwrap();
    let mut runner = TestRunner::new(ProptestConfig::with_cases(cases));
    runner
        .run(&contract::steps(), |steps| {
            runtime.block_on(async {
                assert!(redis.flush().await);
                contract::replay_under(rules, store(&redis).await, &steps).await;
            });
            Ok(())
        })
        .unwrap();
}

#[test]
fn random_histories_agree_with_the_model() {
    agree(60, &contract::tight_rules(QueueingMethod::Fifo));
}

#[test]
fn random_histories_with_drawn_ranks_agree_with_the_model() {
    let method = domain::QueueingMethod::Random;
    agree(
        30,
        &DropRules {
            method,
            ..contract::tight_rules(QueueingMethod::Fifo)
        },
    );
}

#[test]
fn random_histories_of_a_scheduled_drop_agree_with_the_model() {
    let start = |seconds: u64| Timestamp::from_millis(contract::START + seconds * 1_000);
    let schedule = domain::Schedule {
        prequeue_start: start(5),
        event_start: start(40),
        event_end: Some(start(400)),
    };
    agree(
        40,
        &DropRules {
            schedule,
            ..contract::tight_rules(QueueingMethod::Fifo)
        },
    );
}

#[test]
fn random_histories_without_a_queue_agree_with_the_model() {
    let method = domain::QueueingMethod::Passthrough;
    let rules = DropRules {
        method,
        renewal: domain::Renewal::Fixed,
        after_order: domain::AfterOrder::KeepSession,
        ..contract::tight_rules(QueueingMethod::Fifo)
    };
    agree(20, &rules);
}
