//! The parts that need no server: what a gateway remembers, group commit, and the scripts as text.

use std::sync::Mutex;

use domain::queue::{Member, MemberState, Saved};

use super::super::marks::{Begun, Guard, Standing};
use super::*;

fn shelf() -> Shelf {
    Shelf::new(contract::rules(10, 10))
}

#[test]
fn what_was_known_of_an_era_is_forgotten_with_it() {
    let shelf = shelf();
    let era = Some(Era(3));
    shelf.adopt(Era(3));
    shelf.note_beat(era, 7);
    shelf.note_bound(era, Number(1_024));
    shelf.note_order(era, 2, None);
    shelf.adopt(Era(3));
    let known = shelf.known();
    assert_eq!((known.beat, known.bound, known.order), (7, 1_024, 2));
    shelf.adopt(Era(4));
    let known = shelf.known();
    assert_eq!(
        (known.era, known.beat, known.bound, known.order),
        (Some(Era(4)), 0, 0, 0)
    );
}

#[test]
fn what_comes_late_from_another_era_changes_nothing() {
    let shelf = shelf();
    shelf.adopt(Era(4));
    shelf.note_beat(Some(Era(3)), 99);
    shelf.note_bound(Some(Era(3)), Number(9_999));
    shelf.lose(Some(Era(3)));
    let known = shelf.known();
    assert_eq!((known.era, known.beat, known.bound), (Some(Era(4)), 0, 0));
}

#[test]
fn a_beat_outlives_the_loss_of_its_era() {
    let shelf = shelf();
    shelf.adopt(Era(4));
    shelf.note_beat(Some(Era(4)), 50);
    shelf.note_bound(Some(Era(4)), Number(9_999));
    shelf.lose(Some(Era(4)));
    assert_eq!(shelf.known().era, None);
    shelf.adopt(Era(4));
    let known = shelf.known();
    assert_eq!(
        (known.beat, known.bound),
        (50, 0),
        "older keys of it would be found out"
    );
}

#[test]
fn rows_that_are_put_back_stay_before_later_ones() {
    let shelf = shelf();
    let row = |at| Row::Alive(Timestamp::from_millis(at), Rank(1));
    shelf.write_later([row(1), row(2)]);
    let taken = shelf.take_behind();
    shelf.write_later([row(3)]);
    shelf.put_back(taken);
    assert_eq!(shelf.take_behind(), [row(1), row(2), row(3)]);
    assert!(shelf.take_behind().is_empty() && !shelf.is_far_behind());
}

#[test]
fn rows_whose_writing_was_given_up_are_put_back() {
    let shelf = shelf();
    let row = |at| Row::Alive(Timestamp::from_millis(at), Rank(1));
    shelf.write_later([row(1)]);
    let given_up = shelf.take_for_now();
    shelf.write_later([row(2)]);
    drop(given_up);
    let mut written = shelf.take_for_now();
    assert_eq!(written.rows, [row(1), row(2)]);
    written.rows.clear();
    drop(written);
    assert!(shelf.take_behind().is_empty());
}

#[test]
fn what_time_did_to_keys_that_are_lost_is_not_written_for_the_next_ones() {
    let (shelf, id) = (shelf(), AdmissionId([1; 16]));
    let at = Timestamp::from_millis(contract::START);
    let by_time = [
        Row::Over(id, None),
        Row::MemberGone(contract::shopper(1), Number(1)),
    ];
    let asked_for = [Row::Over(id, Some(at)), Row::Stamped(id, at), row(2)];
    shelf.adopt(Era(3));
    shelf.note_passing(Some(Era(3)), by_time.to_vec());
    shelf.write_later(asked_for);
    shelf.lose(Some(Era(3)));
    shelf.note_passing(Some(Era(3)), by_time.to_vec());
    shelf.adopt(Era(3));
    let rows = shelf.take_behind();
    assert_eq!(rows.len(), 7, "they are the same keys: {rows:?}");
    shelf.put_back(rows);
    shelf.lose(Some(Era(3)));
    shelf.adopt(Era(4));
    shelf.note_passing(Some(Era(3)), by_time.to_vec());
    assert_eq!(shelf.take_behind(), asked_for);
}

#[test]
fn late_answers_are_looked_up_as_long_as_they_count() {
    let (shelf, id) = (shelf(), AdmissionId([1; 16]));
    let at = Timestamp::from_millis(contract::START);
    shelf.write_later([row(1), Row::Stamped(id, at), Row::Over(id, Some(at))]);
    let held = domain::window::HELD;
    assert_eq!(shelf.answers_behind(at + held - Span::from_millis(1)), [(id, at)]);
    assert!(shelf.answers_behind(at + held).is_empty());
}

#[test]
fn a_rank_is_drawn_with_the_place_or_at_the_start_or_is_the_number() {
    let mut known = Known::default();
    assert_eq!(known.rank(Number(5), None), Rank(5));
    let draw = Draw {
        seed: Seed([7; 32]),
        cohort: 8,
    };
    known.draw = Some(draw);
    assert_eq!(known.rank(Number(5), None), draw.rank(Number(5)));
    assert_eq!(known.rank(Number(5), Some(Rank(77))), Rank(77));
    assert_eq!(known.rank(Number(9), None), Rank(9), "who came after the start");
}

/// A record that counts its transactions, and can be told to refuse.
#[derive(Default)]
struct Counting {
    written: Mutex<Vec<(Era, usize)>>,
    refuses: std::sync::atomic::AtomicBool,
    inner: MemoryMarks,
}

impl Marks for Counting {
    fn standing<'a>(&'a self, drop: &'a DropId) -> Answer<'a, Option<Standing>> {
        self.inner.standing(drop)
    }
    fn create<'a>(&'a self, drop: &'a DropId, seed: Seed, now: Timestamp) -> Answer<'a, ()> {
        self.inner.create(drop, seed, now)
    }
    fn lock<'a>(&'a self, drop: &'a DropId) -> Answer<'a, Option<Box<dyn Guard>>> {
        self.inner.lock(drop)
    }
    fn begin_era<'a>(&'a self, drop: &'a DropId, now: Timestamp) -> Answer<'a, (Era, Saved)> {
        self.inner.begin_era(drop, now)
    }
    fn raise_numbers<'a>(&'a self, drop: &'a DropId, era: Era, end: Number) -> Answer<'a, ()> {
        self.inner.raise_numbers(drop, era, end)
    }
    fn raise_frontier<'a>(&'a self, drop: &'a DropId, era: Era, to: Rank) -> Answer<'a, ()> {
        self.inner.raise_frontier(drop, era, to)
    }
    fn start<'a>(&'a self, drop: &'a DropId, era: Era, cohort: Option<u64>) -> Answer<'a, Begun> {
        self.inner.start(drop, era, cohort)
    }
    fn begin_epoch<'a>(
        &'a self,
        drop: &'a DropId,
        era: Era,
        epoch: u32,
        seed: Option<Seed>,
    ) -> Answer<'a, Begun> {
        self.inner.begin_epoch(drop, era, epoch, seed)
    }
    fn write<'a>(&'a self, _drop: &'a DropId, era: Era, rows: Vec<Row>) -> Answer<'a, ()> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            if self.refuses.load(std::sync::atomic::Ordering::SeqCst) {
                return Err(superseded());
            }
            self.written.lock().unwrap().push((era, rows.len()));
            Ok(())
        })
    }
    fn knows<'a>(&'a self, drop: &'a DropId, admission: AdmissionId) -> Answer<'a, bool> {
        self.inner.knows(drop, admission)
    }
}

fn row(name: u64) -> Row {
    let member = Member {
        number: Number(name),
        drawn: None,
        joined_at: Timestamp::from_millis(contract::START),
        state: MemberState::Queued,
    };
    Row::Member(contract::shopper(name), member)
}

#[tokio::test]
async fn what_is_asked_for_in_the_same_moment_is_one_transaction_per_era() {
    let marks = Arc::new(Counting::default());
    let journal = Journal::new(marks.clone());
    let drop = contract::rules(1, 1).drop;
    let (one, two, three) = tokio::join!(
        journal.write(&drop, Era(1), vec![row(1)]),
        journal.write(&drop, Era(2), vec![row(2)]),
        journal.write(&drop, Era(1), vec![row(3), row(4)]),
    );
    assert_eq!((one, two, three), (Ok(()), Ok(()), Ok(())));
    assert_eq!(*marks.written.lock().unwrap(), [(Era(1), 3), (Era(2), 1)]);
}

#[tokio::test]
async fn who_waits_for_a_refused_transaction_is_told_and_the_next_is_tried() {
    let marks = Arc::new(Counting::default());
    let journal = Journal::new(marks.clone());
    let drop = contract::rules(1, 1).drop;
    marks.refuses.store(true, std::sync::atomic::Ordering::SeqCst);
    let refused = journal.write(&drop, Era(1), vec![row(1)]).await;
    assert_eq!(refused, Err(superseded()));
    marks.refuses.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(journal.write(&drop, Era(1), vec![row(1)]).await, Ok(()));
}

#[test]
fn every_script_says_what_it_returns_and_whether_it_may_be_repeated() {
    let scripts = Scripts::new();
    let Scripts {
        join,
        relearn,
        claim,
        restamp,
        leave,
        renew,
        end_session,
        advance,
        control,
        held,
        view,
        offer_stock,
        go_to_order,
        configure,
        start,
        rank,
        begin,
        fill,
        publish,
    } = &scripts;
    let on_drop = [
        join,
        relearn,
        claim,
        restamp,
        leave,
        renew,
        end_session,
        advance,
        control,
        held,
        view,
        offer_stock,
        go_to_order,
        configure,
        start,
        rank,
    ];
    for script in on_drop {
        assert!(script.source.starts_with("-- Stands in front"), "{}", script.name);
        assert!(
            script.source.matches("-- Returns").count() >= 2,
            "{}",
            script.name
        );
        let checks = script.source.find("return {'STALE'}").unwrap();
        let first_write = script.source.find("redis.call('HINCRBY'").unwrap();
        assert!(checks < first_write, "{} writes before it looks", script.name);
    }
    let alone = [begin, fill, publish];
    assert!(alone.iter().all(|script| script.source.contains("{'STALE'}")));
    let mut hashes: Vec<&str> = on_drop.iter().chain(&alone).map(|s| s.hash.as_str()).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 19, "each is a script of its own");
}
