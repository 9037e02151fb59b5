//! Sessions: renewal, the ways they end, and what holding everybody does to them.

use super::*;
use crate::{AfterOrder, Renewal};

fn one_inside(rules: DropRules) -> (Bench, AdmissionId) {
    let mut bench = Bench::new(rules);
    bench.join(1);
    bench.call(1);
    let admission = bench.admit(1);
    (bench, admission)
}

fn active(bench: &mut Bench) -> u64 {
    let at = bench.at();
    bench.queue.view(at).room.active
}

#[test]
fn a_sign_of_life_prolongs_a_sliding_session() {
    let (mut bench, admission) = one_inside(rules(1, 10));
    bench.wait(Span::from_mins(9));
    let until = bench.queue.renew(admission, bench.at().now);
    assert_eq!(until, Some(bench.at().now + Span::from_mins(10)));
    bench.wait(Span::from_mins(9));
    assert_eq!(active(&mut bench), 1);
    bench.wait(Span::from_mins(1));
    assert_eq!(active(&mut bench), 0);
    assert_eq!(bench.queue.renew(admission, bench.at().now), None);
}

#[test]
fn a_fixed_session_is_not_prolonged() {
    let (mut bench, admission) = one_inside(DropRules {
        renewal: Renewal::Fixed,
        ..rules(1, 10)
    });
    assert_eq!(bench.queue.renew(admission, bench.at().now), None);
    bench.wait(Span::from_mins(10));
    assert_eq!(active(&mut bench), 0);
}

#[test]
fn a_completed_order_frees_the_slot_and_kills_the_token() {
    let (mut bench, admission) = one_inside(rules(1, 10));
    bench
        .queue
        .end_session(admission, EndReason::Completed, bench.at().now);
    let view = bench.queue.view(bench.at());
    assert_eq!(
        (view.room.active, view.revoked.as_slice()),
        (0, [admission].as_slice())
    );
    assert_eq!(bench.claim(1), Claim::Finished);
    bench.wait(Span::from_mins(10) + secs(10));
    assert!(
        bench.queue.view(bench.at()).revoked.is_empty(),
        "the token has died by itself"
    );
}

#[test]
fn a_session_that_goes_on_after_its_order_no_longer_counts_as_undecided() {
    let rules = DropRules {
        after_order: AfterOrder::KeepSession,
        ..rules(1, 10)
    };
    let (mut bench, admission) = one_inside(rules);
    bench
        .queue
        .end_session(admission, EndReason::Completed, bench.at().now);
    let view = bench.queue.view(bench.at());
    assert_eq!((view.room.active, view.room.undecided), (1, 0));
    assert!(view.revoked.is_empty());
}

#[test]
fn an_open_order_is_noted_without_ending_the_session() {
    let (mut bench, admission) = one_inside(rules(1, 10));
    bench.queue.note_decided(admission, bench.at().now);
    let view = bench.queue.view(bench.at());
    assert_eq!((view.room.active, view.room.undecided), (1, 0));
}

#[test]
fn leaving_ends_the_session_too() {
    let (mut bench, admission) = one_inside(rules(1, 10));
    bench.leave(1);
    let view = bench.queue.view(bench.at());
    assert_eq!((view.room.active, view.tally.left), (0, 1));
    assert_eq!(view.revoked, [admission]);
    bench.leave(1);
    assert_eq!(bench.queue.view(bench.at()).tally.left, 1);
}

#[test]
fn ending_twice_or_an_unknown_session_changes_nothing() {
    let (mut bench, admission) = one_inside(rules(1, 10));
    bench
        .queue
        .end_session(admission, EndReason::Revoked, bench.at().now);
    let once = bench.queue.clone();
    bench
        .queue
        .end_session(admission, EndReason::Revoked, bench.at().now);
    bench
        .queue
        .end_session(AdmissionId([7; 16]), EndReason::Revoked, bench.at().now);
    assert_eq!(bench.queue, once);
}

#[test]
fn while_everybody_is_held_sessions_stand_still() {
    let (mut bench, admission) = one_inside(rules(1, 10));
    bench.wait(Span::from_mins(9));
    bench.queue.control(Command::QueueAll, bench.at());
    bench.wait(Span::from_mins(60));
    assert_eq!(active(&mut bench), 1);
    bench.queue.control(Command::Resume, bench.at());
    assert_eq!(
        bench.queue.session(&admission).unwrap().expires_at,
        bench.at().now + Span::from_mins(1)
    );
    bench.wait(Span::from_mins(1));
    assert_eq!(active(&mut bench), 0);
}

#[test]
fn a_finished_shopper_may_join_again_at_the_end() {
    let (mut bench, first) = one_inside(rules(1, 10));
    bench.join(2);
    bench.wait(Span::from_mins(10));
    assert_eq!(bench.claim(1), Claim::Finished);
    assert_eq!(bench.join(1), Number(3));
    bench.call(5);
    bench.admit(2);
    bench.leave(2);
    assert_ne!(bench.admit(1), first);
}

#[test]
fn a_session_that_outlives_the_call_history_is_forgotten_when_it_ends() {
    let (mut bench, _) = one_inside(DropRules {
        session_duration: Span::from_mins(30),
        ..rules(1, 10)
    });
    bench.wait(Span::from_mins(29));
    assert_eq!(active(&mut bench), 1);
    bench.wait(Span::from_mins(1));
    assert_eq!(active(&mut bench), 0);
    assert_eq!(bench.queue.member(&shopper(1)), None);
    assert_eq!(bench.claim(1), Claim::Lapsed);
}

#[test]
fn holding_everybody_after_a_pause_gives_sessions_back_no_more_than_they_lost() {
    let (mut bench, admission) = one_inside(rules(1, 10));
    bench.join(2);
    bench.call(1);
    bench.wait(secs(20));
    bench.queue.control(Command::Pause, bench.at());
    bench.wait(Span::from_mins(3));
    bench.queue.control(Command::QueueAll, bench.at());
    bench.wait(Span::from_mins(4));
    bench.queue.control(Command::Resume, bench.at());
    let expires_at = bench.queue.session(&admission).map(|session| session.expires_at);
    let left = Span::from_mins(10) - secs(20) - Span::from_mins(3);
    assert_eq!(
        expires_at,
        Some(bench.at().now + left),
        "the pause ran against the session, the hold did not"
    );
    // Its window stood still through both: it ends a little under two minutes and the grace from here.
    bench.wait(left);
    bench.admit(2);
}

#[test]
fn a_sign_of_life_while_everybody_is_held_prolongs_nothing() {
    let (mut bench, admission) = one_inside(rules(1, 10));
    bench.wait(Span::from_mins(4));
    bench.queue.control(Command::QueueAll, bench.at());
    bench.wait(Span::from_mins(60));
    assert_eq!(bench.queue.renew(admission, bench.at().now), None);
    bench.queue.control(Command::Resume, bench.at());
    let expires_at = bench.queue.session(&admission).map(|session| session.expires_at);
    assert_eq!(expires_at, Some(bench.at().now + Span::from_mins(6)));
}
