//! What the queue is told of the shop and of the stock.

use domain::Keeper;

use super::*;

mod stock;

struct Still(AtomicU64);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

fn house() -> (Arc<Still>, House) {
    let clock = Arc::new(Still(AtomicU64::new(60_000)));
    let drops = vec![aurora(), DropId::new("borealis").unwrap()];
    let house = House::new(Arc::clone(&clock) as Arc<dyn Clock>, drops, None);
    (clock, house)
}

fn aurora() -> DropId {
    DropId::new("aurora").unwrap()
}

fn level(total: u32, held: u32, sold: u32) -> Level {
    Level { total, held, sold }
}

fn note(house: &House, drop: &str, levels: Vec<(Sku, Level)>) {
    let reading = StockHint {
        keeper: Keeper(0),
        read_at: house.now(),
        levels,
    };
    house.note(&DropId::new(drop).unwrap(), &Arc::new(reading));
}

fn health(house: &House) -> u32 {
    house.readings(&aurora()).health_per_mille
}

const QUICK: Duration = Duration::from_millis(20);
const SLOW: Duration = Duration::from_secs(3);

#[test]
fn a_shop_that_fails_slows_the_queue_and_one_that_recovers_speeds_it_up() {
    let (_, house) = house();
    assert_eq!(
        health(&house),
        1_000,
        "nothing is held against a shop that was not asked"
    );
    for _ in 0..100 {
        house.upstream(UpstreamOutcome::ConnectFailed, QUICK);
    }
    house.close_interval();
    let failing = health(&house);
    assert!(failing < 1_000);
    for _ in 0..100 {
        house.upstream(UpstreamOutcome::Answered, QUICK);
    }
    house.close_interval();
    assert!(health(&house) > failing);
}

#[test]
fn one_slow_answer_in_twenty_is_borne_and_more_are_not() {
    for (slow, borne) in [(1, true), (2, false)] {
        let (_, house) = house();
        for n in 0..20 {
            house.upstream(UpstreamOutcome::Answered, if n < slow { SLOW } else { QUICK });
        }
        house.close_interval();
        assert_eq!(health(&house) == 1_000, borne, "{slow} of 20");
    }
}

#[test]
fn a_request_that_found_no_connection_free_is_a_slow_one() {
    for (refused, borne) in [(1, true), (2, false)] {
        let (_, house) = house();
        for n in 0..20 {
            let outcome = if n < refused {
                UpstreamOutcome::Saturated
            } else {
                UpstreamOutcome::Answered
            };
            // Where the line itself is full, the refusal comes at once.
            house.upstream(outcome, QUICK);
        }
        house.close_interval();
        assert_eq!(health(&house) == 1_000, borne, "{refused} of 20");
    }
}

#[test]
fn what_is_not_the_shops_doing_is_not_held_against_it() {
    let (_, house) = house();
    for _ in 0..100 {
        house.upstream(UpstreamOutcome::ClientFailed, SLOW);
    }
    house.close_interval();
    assert_eq!(health(&house), 1_000);
    let left = house
        .upstream
        .all()
        .map(|seen| seen.requests.load(Ordering::Relaxed));
    assert_eq!(left.sum::<u64>(), 0);
}

#[test]
fn an_interval_forgets_what_the_one_before_saw() {
    let (_, house) = house();
    house.upstream(UpstreamOutcome::TimedOut, SLOW);
    house.close_interval();
    let after_one = health(&house);
    house.close_interval();
    assert!(health(&house) >= after_one, "a quiet second is no failure");
}

#[test]
fn units_of_all_items_of_one_drop_are_added_up_and_other_drops_left_out() {
    let (_, house) = house();
    let item = |sku: &str, level| (Sku::new(sku).unwrap(), level);
    note(
        &house,
        "aurora",
        vec![item("A-1", level(10, 2, 3)), item("A-2", level(5, 0, 5))],
    );
    note(&house, "borealis", vec![item("B-1", level(100, 0, 0))]);
    let told = house.readings(&aurora()).stock.unwrap();
    assert_eq!((told.available, told.reserved, told.sold), (5, 2, 8));
    let shown = house.stock(&aurora());
    assert_eq!(
        shown.keys().map(ToString::to_string).collect::<Vec<_>>(),
        ["A-1", "A-2"]
    );
    let nothing = house.readings(&DropId::new("calm").unwrap());
    assert!(
        nothing.stock.is_none(),
        "a drop that sells nothing is not sold out"
    );
}

#[test]
fn the_backlog_is_what_waits_for_payment_and_nothing_else() {
    let (_, house) = house();
    let mut figures = Figures::default();
    figures.gauges.orders = vec![
        (aurora(), StateName::Reserved, 50),
        (aurora(), StateName::Accepted, 7),
        (aurora(), StateName::Authorising, 2),
        (aurora(), StateName::Paid, 900),
        (DropId::new("borealis").unwrap(), StateName::Accepted, 40),
    ];
    figures.drain = vec![(aurora(), 20)];
    house.figures.store(Arc::new(figures));
    let told = house.readings(&aurora());
    assert_eq!((told.order_backlog, told.drain_per_minute), (9, Some(1_200)));
}

#[test]
fn silence_of_the_ledger_counts_from_its_last_answer() {
    let (clock, house) = house();
    house.read_at.store(60_000, Ordering::Relaxed);
    clock.0.store(67_500, Ordering::Relaxed);
    assert_eq!(house.ledger_silence(), Span::from_millis(7_500));
}
