//! Turns of all adapters: the same histories run through memory, Postgres and the domain's lane, and every answer must be
//! the same; paces of several processes over one Postgres keep one rate between them; two workers keep one provider's limit.

mod shared;

use std::sync::Arc;
use std::time::Duration;

use checkout_worker::turns::{Leased, MemoryTurns, Turns};
use domain::turns::{Ask, Lane, Lease, Micros, SLACK};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use sandbox::engine::postgres::Postgres;

use super::house::{open_postgres, postgres};

/// Where the standing clocks of these tests begin, in microseconds.
const NOON: u64 = 1_700_000_000_000_000;

#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u64),
    Lease { lane: usize, ask: Ask },
    SlowDown { lane: usize, rate: u32, hold: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let ask = (0u32..300, 0u32..40, 0u64..400_000).prop_map(|(per_second, turns, late)| Ask {
        per_second,
        turns,
        late: Micros(late),
    });
    prop_oneof![
        3 => (1u64..700).prop_map(|millis| Step::Wait(millis * 1_000)),
        5 => (0usize..2, ask).prop_map(|(lane, ask)| Step::Lease { lane, ask }),
        1 => (0usize..2, 0u32..300, 0u64..3).prop_map(|(lane, rate, seconds)| Step::SlowDown {
            lane,
            rate,
            hold: seconds * 1_000_000,
        }),
    ]
}

fn history(length: usize) -> Vec<Step> {
    let steps = prop::collection::vec(step(), length);
    let mut runner = TestRunner::deterministic();
    steps.new_tree(&mut runner).unwrap().current()
}

const LANES: [&str; 2] = ["drain/aurora", "provider/create"];

/// Two lanes of the domain, and what they say at each step.
#[derive(Default)]
struct Model {
    elapsed: u64,
    lanes: [Lane; 2],
}

impl Model {
    async fn agrees(&mut self, turns: &dyn Turns, step: Step) {
        let now = Micros(NOON + self.elapsed);
        match step {
            Step::Wait(micros) => self.elapsed += micros,
            Step::Lease { lane, ask } => {
                let (next, lease) = self.lanes[lane].lease(now, ask);
                self.lanes[lane] = next;
                let in_force = next.in_force;
                let said = turns.lease(LANES[lane], ask).await.unwrap();
                assert_eq!(said, Leased { lease, in_force }, "{step:?}");
            }
            Step::SlowDown { lane, rate, hold } => {
                self.lanes[lane] = self.lanes[lane].slowed(now, rate, Micros(hold));
                let said = turns.slow_down(LANES[lane], rate, Micros(hold)).await.unwrap();
                assert_eq!(said, self.lanes[lane].in_force, "{step:?}");
            }
        }
    }
}

/// Makes the database's clock of turns stand at an instant.
fn set_clock(server: &Postgres, database: &str, micros: u64) {
    let sql = format!(
        "CREATE OR REPLACE FUNCTION checkout.pace_now() RETURNS bigint LANGUAGE sql VOLATILE \
         AS $$ SELECT {micros}::bigint $$"
    );
    server.sql(database, &sql).unwrap();
}

#[tokio::test(start_paused = true)]
async fn lanes_in_memory_say_what_the_domain_says() {
    let (turns, mut model) = (MemoryTurns::default(), Model::default());
    for step in history(2_000) {
        if let Step::Wait(micros) = step {
            tokio::time::advance(Duration::from_micros(micros)).await;
        }
        model.agrees(&turns, step).await;
    }
}

#[tokio::test]
async fn lanes_in_postgres_say_what_the_domain_says_whichever_process_asks() {
    let server = postgres().await;
    let (url, database) = (server.fresh_database("lanes").unwrap(), "lanes");
    checkout_worker::postgres::migrate(&url).await.unwrap();
    set_clock(&server, database, NOON);
    let ledgers = [open_postgres(&url).await, open_postgres(&url).await];
    let mut model = Model::default();
    for (count, step) in history(250).into_iter().enumerate() {
        model.agrees(&*ledgers[count % 2], step).await;
        if matches!(step, Step::Wait(_)) {
            set_clock(&server, database, NOON + model.elapsed);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_ask_in_the_same_instant_get_turns_of_their_own() {
    const INTERVAL: u64 = 1_000;
    let server = postgres().await;
    let url = server.fresh_database("crowd").unwrap();
    checkout_worker::postgres::migrate(&url).await.unwrap();
    set_clock(&server, "crowd", NOON);
    let ledgers = [
        open_postgres(&url).await,
        open_postgres(&url).await,
        open_postgres(&url).await,
    ];
    let ask = Ask {
        per_second: 1_000,
        turns: 10,
        late: SLACK,
    };
    let mut asking = tokio::task::JoinSet::new();
    for count in 0..40 {
        let ledger = ledgers[count % 3].clone();
        asking.spawn(async move { ledger.lease("drain/aurora", ask).await.unwrap().lease });
    }
    let mut taken = Vec::new();
    for lease in asking.join_all().await {
        let Lease::Granted(block) = lease else {
            panic!("{lease:?}");
        };
        assert_eq!(block.interval, Micros(INTERVAL));
        taken.extend((0..block.turns).map(|count| block.first_in.0 + u64::from(count) * INTERVAL));
    }
    taken.sort_unstable();
    let expected: Vec<u64> = (0..400).map(|count| count * INTERVAL).collect();
    assert_eq!(taken, expected, "every turn is given once, and none is left out");
}

#[tokio::test]
async fn a_server_that_crashed_begins_its_lanes_anew() {
    let server = postgres().await;
    let url = server.fresh_database("crashed").unwrap();
    checkout_worker::postgres::migrate(&url).await.unwrap();
    let ledger = open_postgres(&url).await;
    let in_force = ledger
        .slow_down("drain/aurora", 20, Micros(60_000_000))
        .await
        .unwrap();
    assert_eq!(in_force, 10);
    server.kill();
    server.restart().await.unwrap();
    let ask = Ask {
        per_second: 20,
        turns: 1,
        late: SLACK,
    };
    let leased = ledger.lease("drain/aurora", ask).await.unwrap();
    assert_eq!(leased.in_force, Lane::FULL);
    assert!(matches!(leased.lease, Lease::Granted(_)));
}
