//! Saving and restoring: what a stop must not change, and what it must not cost a shopper.

use super::*;

fn restart(bench: &mut Bench, down: Span) {
    let saved = bench.queue.save(bench.at().now);
    bench.wait(down);
    bench.queue = Queue::restore(bench.queue.rules().clone(), saved, bench.at().now);
}

#[test]
fn places_frontier_and_order_survive() {
    let mut bench = Bench::new(rules(10, 100));
    bench.join_all(1..=20).call(5);
    let line: Vec<_> = bench.queue.line.iter().copied().collect();
    restart(&mut bench, secs(30));
    assert_eq!(bench.queue.frontier(), Rank(6));
    assert_eq!(bench.queue.line.iter().copied().collect::<Vec<_>>(), line);
    assert_eq!(bench.join(7), Number(7));
    assert_eq!(bench.join(99), Number(21));
    bench.admit(3);
}

#[test]
fn limits_hold_over_a_restart() {
    let mut bench = Bench::new(rules(2, 100));
    bench.join_all(1..=5).call(5);
    bench.admit(1);
    bench.admit(2);
    restart(&mut bench, secs(5));
    assert!(matches!(bench.claim(3), Claim::RoomFull { .. }));
    let mut bench = Bench::new(rules(100, 2));
    bench.join_all(1..=5).call(5);
    bench.admit(1);
    let second = bench.admit(2);
    bench.queue.end_session(second, EndReason::Left, bench.at().now);
    restart(&mut bench, secs(5));
    assert!(
        matches!(bench.claim(3), Claim::RoomFull { .. }),
        "an ended session still counts for its minute"
    );
    bench.wait(secs(56)).admit(3);
}

#[test]
fn downtime_runs_against_nobody() {
    let mut bench = Bench::new(rules(10, 100));
    bench.join_all(1..=3).call(2);
    let admission = bench.admit(1);
    bench.wait(Span::from_mins(9));
    bench.queue.renew(admission, bench.at().now);
    bench.wait(Span::from_mins(2));
    restart(&mut bench, Span::from_mins(60));
    bench.admit(2);
    assert!(bench.queue.session(&admission).is_some());
    bench.wait(secs(61));
    assert_eq!(bench.claim(3), Claim::NotCalled { position: 1 });
}

#[test]
fn a_restored_queue_saves_as_it_was_saved() {
    let mut bench = Bench::new(rules(3, 100));
    bench.join_all(1..=20).call(8);
    bench.admit(1);
    bench.leave(4);
    let saved = bench.queue.save(bench.at().now);
    let restored = Queue::restore(bench.queue.rules().clone(), saved.clone(), bench.at().now);
    assert_eq!(restored.save(bench.at().now), saved);
}

#[test]
fn what_has_happened_is_counted_on() {
    let mut bench = Bench::new(rules(1, 100));
    bench.join_all(1..=4).call(3);
    bench.admit(1);
    bench.claim(2);
    bench.leave(4);
    let before = bench.queue.view(bench.at()).tally;
    assert_eq!((before.joined, before.admitted, before.left), (4, 1, 1));
    assert_eq!(
        (before.room_full, before.active_max, before.claims_in_minute_max),
        (1, 1, 1)
    );
    restart(&mut bench, secs(5));
    assert_eq!(bench.queue.view(bench.at()).tally, before);
    bench.join(5);
    assert_eq!(bench.queue.view(bench.at()).tally.joined, 5);
}

#[test]
fn a_place_the_store_lost_is_taken_up_from_its_ticket() {
    let mut bench = Bench::new(rules(10, 100));
    bench.join_all(1..=5);
    let mut saved = bench.queue.save(bench.at().now);
    saved.members.retain(|(_, member)| member.number < Number(4));
    saved.head.issued = Number(1_000);
    bench.queue = Queue::restore(rules(10, 100), saved, bench.at().now);
    let lost = bench.ticket(4, Number(4), None);
    assert!(bench.queue.relearn(&lost, bench.at()));
    assert_eq!(bench.join(4), Number(4));
    assert_eq!(bench.join(6), Number(1_001));
    bench.call(4);
    bench.admit(4);
    let also_lost = bench.ticket(5, Number(5), None);
    assert_eq!(
        bench.queue.claim(&also_lost, bench.at()),
        Claim::NotCalled { position: 1 }
    );
}

#[test]
fn rows_are_not_trusted() {
    let mut bench = Bench::new(rules(3, 100));
    bench.join_all(1..=4).call(4);
    bench.admit(1);
    let kept = bench.admit(2);
    let mut saved = bench.queue.save(bench.at().now);
    saved.members.retain(|(key, _)| *key != shopper(1));
    saved.sessions.retain(|(id, _)| *id != kept);
    let mut queue = Queue::restore(rules(3, 100), saved, bench.at().now);
    let view = queue.view(bench.at());
    assert_eq!(
        view.room.active, 0,
        "a session without its shopper, a shopper without a session"
    );
    assert_eq!(queue.member(&shopper(2)).unwrap().state, MemberState::Finished);
}

#[test]
fn a_frontier_beyond_its_history_gives_everybody_a_fresh_window() {
    let mut bench = Bench::new(rules(10, 100));
    bench.join_all(1..=9).call(5);
    let mut saved = bench.queue.save(bench.at().now);
    saved.calls.clear();
    bench.wait(Span::from_mins(30));
    bench.queue = Queue::restore(rules(10, 100), saved, bench.at().now);
    assert_eq!(bench.queue.frontier(), Rank(6));
    bench.admit(5);
}
