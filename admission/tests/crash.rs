//! `kill -9` at arbitrary moments: a child process runs a queue under load and reports every
//! answer it was given; the parent kills it, opens the store it left behind, and holds it to
//! what was answered. Then the next child goes on from there.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test, and its child speaks by printing"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command as Process, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use admission::store::JoinRequest;
use admission::{EmbeddedStore, QueueStore};
use domain::queue::{Advance, Claim, Claimant, EndReason, Moment};
use domain::{
    AdmissionId, DropId, DropRules, Entropy, Limits, Number, ShopperKey, Span, StockState, Timestamp,
};
use tokio::task::JoinSet;

const VICTIM: &str = "DOORLINE_CRASH_VICTIM";
const START: u64 = 1_800_000_000_000;
const ACTIVE_MAX: u32 = 200;
const PER_MINUTE: u32 = 600;
const ROUNDS: u64 = 24;

struct Counting(AtomicU64);

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        let count = self.0.fetch_add(1, Ordering::SeqCst).to_le_bytes();
        buffer
            .iter_mut()
            .zip(count.iter().cycle())
            .for_each(|(byte, count)| *byte = *count);
    }
}

fn rules() -> DropRules {
    let limits = Limits {
        total_active_users: ACTIVE_MAX,
        new_users_per_minute: PER_MINUTE,
    };
    let session_duration = Span::from_secs(5);
    // Most of the shoppers here never turn up, and none shall be forgotten for that.
    let claim_window = Span::from_mins(600);
    DropRules {
        limits,
        session_duration,
        claim_window,
        ..DropRules::new(DropId::new("aurora").unwrap())
    }
}

fn store(dir: &Path) -> Arc<EmbeddedStore> {
    Arc::new(EmbeddedStore::open(dir, Arc::new(Counting(AtomicU64::new(1)))).unwrap())
}

fn moment(millis: u64) -> Moment {
    Moment {
        now: Timestamp::from_millis(millis),
        stock: StockState::Left,
    }
}

fn claimant(name: u64, number: u64) -> Claimant {
    let mut shopper = [0; 16];
    shopper[8..].copy_from_slice(&name.to_be_bytes());
    let mut admission = shopper;
    admission[..8].copy_from_slice(&number.to_be_bytes());
    Claimant {
        shopper: ShopperKey(shopper),
        number: Number(number),
        drawn: None,
        joined_at: Timestamp::from_millis(START),
        admission: AdmissionId(admission),
    }
}

/// What a child was answered, in the words it reports it with.
#[derive(Default)]
struct Answers {
    numbers: BTreeMap<u64, u64>,
    admitted: BTreeMap<u64, u64>,
    ended: BTreeMap<u64, u64>,
    /// When each claim was asked and by when it was answered: it was counted in between.
    claims: Vec<(u64, u64)>,
    frontier: u64,
    latest: u64,
}

impl Answers {
    fn note(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let [kind, name, value, at, "."] = words[..] else {
            return;
        };
        let [name, value, at] = [name, value, at].map(|word| word.parse::<u64>().unwrap());
        match kind {
            "joined" => {
                let known = *self.numbers.entry(name).or_insert(value);
                assert_eq!(known, value, "shopper {name} has two numbers");
            }
            "admitted" => drop(self.admitted.insert(name, at)),
            "claimed" => self.claims.push((at, value)),
            "ended" => drop(self.ended.insert(name, at)),
            "frontier" => self.frontier = self.frontier.max(value),
            // Whatever else a test harness prints.
            _ => return,
        }
        self.latest = self.latest.max(at);
    }
}

/// The child: joins, calls, claims and ends as fast as it can, until it is killed.
async fn be_killed(dir: &Path, round: u64, from: u64) {
    let store = store(dir);
    let drop = rules().drop;
    // The child before has been further than the last answer that was heard of it.
    let reached = store.open(&rules(), moment(from)).await.unwrap();
    let clock = Arc::new(AtomicU64::new(reached.as_millis() + 1));
    let mut tasks = JoinSet::new();
    for worker in 0..8u64 {
        let (store, drop, clock) = (store.clone(), drop.clone(), clock.clone());
        tasks.spawn(async move {
            let mut mine = Vec::new();
            for turn in 0u64.. {
                let at = moment(clock.fetch_add(1, Ordering::SeqCst));
                if mine.len() < 30 {
                    let name = (round * 8 + worker) * 1_000_000 + turn;
                    let request = JoinRequest {
                        shopper: claimant(name, 0).shopper,
                        random: 0,
                        held: None,
                    };
                    let joined = store.join(&drop, vec![request], at).await.unwrap()[0].unwrap();
                    say("joined", name, joined.number.0, at);
                    mine.push((name, joined.number.0));
                }
                // A join that does not wait would never let the other workers have a turn.
                tokio::task::yield_now().await;
                one_turn(&*store, &drop, &mut mine, worker, at, &clock).await;
            }
        });
    }
    tasks.join_next().await;
}

async fn one_turn(
    store: &dyn QueueStore,
    drop: &DropId,
    mine: &mut Vec<(u64, u64)>,
    worker: u64,
    at: Moment,
    clock: &AtomicU64,
) {
    if worker == 0 {
        let view = store.view(drop, at).await.unwrap();
        let advance = Advance {
            version: view.version,
            calls: 400,
            pace: view.pace,
        };
        if let Ok(frontier) = store.advance(drop, advance, at).await.unwrap() {
            say("frontier", 0, frontier.0, at);
        }
    }
    let Some((name, number)) = mine.first().copied() else {
        return;
    };
    match store.claim(drop, claimant(name, number), at).await.unwrap() {
        Claim::Admitted { admission, .. } => {
            say("admitted", name, number, at);
            say("claimed", name, clock.load(Ordering::SeqCst), at);
            mine.remove(0);
            if name % 3 == 0 {
                store
                    .end_session(drop, admission, EndReason::Completed, at.now)
                    .await
                    .unwrap();
                say("ended", name, number, at);
            }
        }
        Claim::NotCalled { .. } | Claim::RoomFull { .. } => {}
        other => panic!("shopper {name} with number {number}: {other:?}"),
    }
}

fn say(what: &str, name: u64, value: u64, at: Moment) {
    println!("{what} {name} {value} {} .", at.now.as_millis());
}

/// Starts a child, reads `lines` answers, kills it, and reads what it still had said.
fn run_and_kill(dir: &Path, round: u64, lines: usize, answers: &mut Answers) {
    let mut child = Process::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_process_breaks_no_promise", "--nocapture"])
        .env(
            VICTIM,
            format!("{round} {} {}", answers.latest.max(START) + 500, dir.display()),
        )
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    // On a busy machine the first lines may all be joins: something has to be at stake.
    let at_stake = answers.admitted.len() + 2;
    for (count, line) in said.by_ref().take(4_000).enumerate() {
        answers.note(&line.unwrap());
        if count >= lines && answers.admitted.len() >= at_stake {
            break;
        }
    }
    child.kill().unwrap();
    let ended_by = child.wait().unwrap().signal();
    assert_eq!(
        ended_by,
        Some(9),
        "the child was not killed, it gave up by itself"
    );
    said.map_while(Result::ok).for_each(|line| answers.note(&line));
}

/// Holds the store that was left behind to every answer that was given.
async fn judge(dir: &Path, answers: &Answers) {
    let (store, drop) = (store(dir), rules().drop);
    // The store has been further than the last answer that was heard.
    let now = store
        .open(&rules(), moment(answers.latest))
        .await
        .unwrap()
        .as_millis();
    let view = store.view(&drop, moment(now)).await.unwrap();
    assert!(view.frontier.0 >= answers.frontier, "the frontier went back");
    assert!(view.room.active <= u64::from(ACTIVE_MAX));
    let mut owners: Vec<u64> = answers.numbers.values().copied().collect();
    owners.sort_unstable();
    assert!(
        owners.windows(2).all(|pair| pair[0] < pair[1]),
        "a number was given twice"
    );
    for (name, number) in answers.numbers.iter().rev().take(400) {
        let ticket = claimant(*name, *number);
        let claim = store.claim(&drop, ticket, moment(now)).await.unwrap();
        let (admitted, ended) = (answers.admitted.get(name), answers.ended.contains_key(name));
        // The kill may have come between the end of a session and its report.
        let may_have_ended = name % 3 == 0;
        let ran_out = admitted.is_some_and(|at| at + 5_000 <= now);
        match claim {
            Claim::Admitted { repeated: true, .. } => assert!(!ended, "an ended session came back"),
            Claim::Finished => assert!(
                ended || ran_out || may_have_ended || admitted.is_none(),
                "a session was lost"
            ),
            Claim::NotCalled { .. } | Claim::RoomFull { .. } => {
                assert!(admitted.is_none(), "admitted, then forgotten");
            }
            Claim::Admitted { repeated: false, .. } => assert!(admitted.is_none(), "admitted twice"),
            other => panic!("the place of {name} was lost: {other:?}"),
        }
    }
}

#[test]
fn a_killed_process_breaks_no_promise() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    if let Ok(order) = std::env::var(VICTIM) {
        let words: Vec<&str> = order.splitn(3, ' ').collect();
        let (round, from) = (words[0].parse().unwrap(), words[1].parse().unwrap());
        return runtime.block_on(be_killed(Path::new(words[2]), round, from));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut answers = Answers::default();
    for round in 0..ROUNDS {
        // Between a handful of answers and many blocks of numbers, never the same.
        let lines = 5 + (round * round * 37 % 1_500) as usize;
        run_and_kill(dir.path(), round, lines, &mut answers);
        runtime.block_on(judge(dir.path(), &answers));
    }
    let happened = (answers.numbers.len(), answers.admitted.len(), answers.frontier);
    assert!(
        happened.0 > 1_000 && happened.1 > 50 && happened.2 > 50,
        "too little happened: {happened:?}"
    );
    // Only claims asked and answered within the minute were surely counted in it.
    for (start, _) in &answers.claims {
        let inside = answers
            .claims
            .iter()
            .filter(|(asked, answered)| asked >= start && *answered < start + 60_000)
            .count();
        assert!(inside <= PER_MINUTE as usize, "{inside} admissions in one minute");
    }
}
