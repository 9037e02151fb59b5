//! Of several rows with one key in a transaction the one that counts is written, in whatever order
//! they come: a statement that met the same key twice would be refused by Postgres as a whole.

use super::*;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn member(number: u64, state: MemberState) -> Member {
    Member {
        number: Number(number),
        drawn: None,
        joined_at: at(0),
        state,
    }
}

const ME: ShopperKey = ShopperKey([1; 16]);
const ID: AdmissionId = AdmissionId([2; 16]);

/// Both orders of the same rows must come to the same.
fn sorted_both_ways(mut rows: Vec<Row>, judge: impl Fn(&Sorted)) {
    judge(&Sorted::of(rows.clone()));
    rows.reverse();
    judge(&Sorted::of(rows));
}

#[test]
fn of_two_places_the_higher_number_counts_then_the_later_state() {
    let rows = vec![
        Row::Member(ME, member(5, MemberState::Left)),
        Row::Member(ME, member(9, MemberState::Queued)),
        Row::Member(ME, member(9, MemberState::Inside(ID))),
    ];
    sorted_both_ways(rows, |sorted| {
        assert_eq!(sorted.members[&ME], member(9, MemberState::Inside(ID)));
    });
}

#[test]
fn of_two_expiries_the_later_counts_and_of_two_endings_the_one_that_revokes() {
    let rows = vec![
        Row::Extended(ID, at(70)),
        Row::Extended(ID, at(50)),
        Row::Stamped(ID, at(40)),
        Row::Stamped(ID, at(20)),
        Row::Over(ID, None),
        Row::Over(ID, Some(at(90))),
        Row::MemberGone(ME, Number(3)),
        Row::MemberGone(ME, Number(8)),
    ];
    sorted_both_ways(rows, |sorted| {
        assert_eq!(sorted.extended[&ID], at(70));
        assert_eq!(sorted.stamped[&ID], at(40));
        assert_eq!(sorted.over[&ID], Some(at(90)));
        assert_eq!(sorted.gone[&ME], Number(8));
    });
}

#[test]
fn of_two_switches_the_later_version_counts_and_time_never_goes_back() {
    let switches = |version, paused| Switches {
        version,
        control: domain::Control {
            paused,
            ..domain::Control::default()
        },
        held_since: None,
    };
    let rows = vec![
        Row::Switches(switches(8, true)),
        Row::Switches(switches(7, false)),
        Row::Alive(at(20), Rank(4)),
        Row::Alive(at(30), Rank(3)),
    ];
    sorted_both_ways(rows, |sorted| {
        assert_eq!(sorted.switches, Some(switches(8, true)));
        assert_eq!(sorted.alive, Some((at(30), Rank(4))));
    });
}

#[test]
fn a_session_is_written_as_it_was_first_claimed() {
    let session = |claimed_at| Session {
        shopper: ME,
        number: Number(1),
        claimed_at: at(claimed_at),
        expires_at: at(claimed_at + 600),
        has_decided: false,
    };
    let rows = vec![Row::Session(ID, session(10)), Row::Session(ID, session(20))];
    assert_eq!(Sorted::of(rows).sessions[&ID], session(10));
}
