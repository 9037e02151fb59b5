//! Paces over lanes that answer at once, late, or not at all.

use std::sync::atomic::AtomicBool;

use domain::turns::BLOCK;

use crate::ledger::LedgerReply;
use crate::turns::Leased;

use super::*;

async fn turns_in(pace: &Pace, span: Duration) -> u32 {
    let mut turns = 0;
    let end = Instant::now() + span;
    while let Ok(turn) = tokio::time::timeout_at(end, pace.turn()).await {
        turn.unwrap();
        turns += 1;
    }
    turns
}

/// Lanes at the far end of a slow wire, which may be cut.
#[derive(Default)]
struct Far {
    lanes: MemoryTurns,
    way: Mutex<Duration>,
    cut: AtomicBool,
    asked: AtomicU32,
}

impl Far {
    fn away(way: Duration) -> Arc<Self> {
        let far = Self::default();
        *far.way.lock().unwrap() = way;
        Arc::new(far)
    }

    async fn travel(&self) -> Result<(), LedgerError> {
        let way = *self.way.lock().unwrap();
        tokio::time::sleep(way).await;
        if self.cut.load(Ordering::SeqCst) {
            return Err(LedgerError::Unavailable { doing: "leasing" });
        }
        Ok(())
    }
}

impl Turns for Far {
    fn lease(&self, lane: &str, ask: Ask) -> LedgerReply<'_, Leased> {
        let lane = lane.to_owned();
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            self.travel().await?;
            let leased = self.lanes.lease(&lane, ask).await;
            self.travel().await?;
            leased
        })
    }

    fn slow_down(&self, lane: &str, per_second: u32, hold: Micros) -> LedgerReply<'_, u32> {
        let lane = lane.to_owned();
        Box::pin(async move {
            self.travel().await?;
            self.lanes.slow_down(&lane, per_second, hold).await
        })
    }
}

#[tokio::test(start_paused = true)]
async fn gives_no_more_turns_than_the_rate_plus_its_burst() {
    let pace = Pace::per_second(20);
    let turns = turns_in(&pace, Duration::from_secs(10)).await;
    assert!(
        (195..=203).contains(&turns),
        "{turns} turns in ten seconds at 20/s"
    );
}

#[tokio::test(start_paused = true)]
async fn slowing_down_halves_the_rate_and_time_brings_it_back() {
    let pace = Pace::per_second(20);
    pace.slow_down(None).await;
    assert_eq!(pace.rate(), 10);
    turns_in(&pace, Duration::from_mins(1)).await;
    assert_eq!(pace.rate(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_refusals_lowers_the_rate_once_a_second() {
    let pace = Pace::per_second(64);
    for _ in 0..50 {
        pace.slow_down(None).await;
    }
    assert_eq!(pace.rate(), 32);
}

#[tokio::test(start_paused = true)]
async fn a_new_rate_reaches_those_who_wait() {
    let pace = Pace::per_second(1);
    turns_in(&pace, Duration::from_secs(1)).await;
    pace.set(100);
    assert!(turns_in(&pace, Duration::from_secs(1)).await >= 95);
}

#[tokio::test(start_paused = true)]
async fn two_paces_on_one_lane_share_its_rate_and_an_idle_one_takes_nothing() {
    let turns: Arc<dyn Turns> = Arc::new(MemoryTurns::default());
    let pace = |lane| Pace::new(Arc::clone(&turns), lane, 40);
    let (first, second, idle, other) = (pace("a"), pace("a"), pace("a"), pace("b"));
    let span = Duration::from_secs(10);
    let (first, second, other) = tokio::join!(
        turns_in(&first, span),
        turns_in(&second, span),
        turns_in(&other, span)
    );
    let both = first + second;
    assert!((380..=404).contains(&both), "{first} and {second}");
    assert!(
        first.min(second) > 100,
        "{first} and {second}: each gets its share"
    );
    assert!((380..=404).contains(&other), "a lane is its own");
    assert!(turns_in(&idle, span).await >= 380, "nobody else asks any more");
}

#[tokio::test(start_paused = true)]
async fn one_who_is_told_to_give_way_slows_all_on_the_lane() {
    let turns: Arc<dyn Turns> = Arc::new(MemoryTurns::default());
    let told = Pace::new(Arc::clone(&turns), "a", 40);
    let other = Pace::new(turns, "a", 40);
    told.slow_down(None).await;
    let given = turns_in(&other, Duration::from_secs(4)).await;
    assert!(
        (70..=82).contains(&given),
        "{given} turns in four seconds at 20/s"
    );
    assert_eq!(other.rate(), 20);
}

#[tokio::test(start_paused = true)]
async fn turns_are_asked_for_by_the_block_and_ahead_of_time() {
    let far = Far::away(Duration::from_millis(20));
    let pace = Arc::new(Pace::new(far.clone(), "a", 100));
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let pace = pace.clone();
        waiting.spawn(async move { pace.turn().await });
    }
    let start = Instant::now();
    while let Some(turn) = waiting.join_next().await {
        turn.unwrap().unwrap();
    }
    let took = start.elapsed();
    assert!(
        took < Duration::from_millis(1_150),
        "{took:?} for 100 turns at 100/s"
    );
    let blocks = 100 / u32::try_from(BLOCK.0 / 10_000).unwrap();
    let asked = far.asked.load(Ordering::SeqCst);
    assert!((blocks..=blocks + 3).contains(&asked), "asked {asked} times");
}

#[tokio::test(start_paused = true)]
async fn a_lane_far_away_is_slower_and_no_one_is_stuck() {
    let far = Far::away(Duration::from_millis(300));
    let pace = Pace::new(far.clone(), "a", 20);
    let first = turns_in(&pace, Duration::from_secs(10)).await;
    assert!(first >= 8, "{first} turns from a lane 600 ms away");
    *far.way.lock().unwrap() = Duration::ZERO;
    turns_in(&pace, Duration::from_secs(2)).await;
    let then = turns_in(&pace, Duration::from_secs(10)).await;
    assert!(then >= 190, "{then} turns once it is near again");
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_is_away_gives_no_turn_and_says_so() {
    let far = Far::away(Duration::ZERO);
    let pace = Pace::new(far.clone(), "a", 20);
    far.cut.store(true, Ordering::SeqCst);
    assert!(pace.turn().await.is_err());
    pace.slow_down(Some(Duration::from_secs(3))).await;
    far.cut.store(false, Ordering::SeqCst);
    let start = Instant::now();
    pace.turn().await.unwrap();
    assert!(
        start.elapsed() >= Duration::from_secs(3),
        "what it did not hear is told later"
    );
    assert_eq!(pace.rate(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_was_slept_through_is_not_made_up_for() {
    let pace = Arc::new(Pace::per_second(20));
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let pace = pace.clone();
        waiting.spawn(async move {
            pace.turn().await.unwrap();
            Instant::now()
        });
    }
    // Lets everybody take their places, then the process stands still while the clock runs.
    tokio::time::sleep(Duration::from_millis(1)).await;
    tokio::time::advance(Duration::from_secs(3)).await;
    let mut taken = waiting.join_all().await;
    taken.sort_unstable();
    let burst = taken
        .iter()
        .filter(|turn| **turn < taken[1] + Duration::from_millis(50))
        .count();
    assert!(burst <= 4, "{burst} turns at once");
}
