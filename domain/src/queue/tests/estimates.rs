//! What waiting shoppers are told, held against what then happens to them: whole queues in front
//! of rooms that fill, empty and fill again.

use super::*;
use crate::Wait;
use proptest::prelude::*;

/// Where the limits lie and how long sessions last.
#[derive(Clone, Copy, Debug)]
struct Room {
    slots: u32,
    per_minute: u32,
    /// The shortest and the longest session, in seconds.
    lasts: (u64, u64),
    shoppers: u64,
}

/// One estimate: when it was told, and what.
struct Told {
    name: u64,
    at: u64,
    wait: Option<Wait>,
}

const TICK_MS: u64 = 500;
/// Every so many milliseconds every so many shoppers ask how long it will take.
const ASK_EVERY_MS: u64 = 7_000;
const ASKS_ONE_IN: u64 = 13;

/// Lets everybody through; gives what was told and when each was admitted.
fn pass_through(room: Room) -> (Vec<Told>, Vec<Option<u64>>) {
    let mut bench = Bench::new(DropRules {
        session_duration: Span::from_mins(60),
        ..rules(room.slots, room.per_minute)
    });
    bench.join_all(1..=room.shoppers);
    let (mut told, mut admitted, mut inside) = (Vec::new(), Vec::from([None]), Vec::new());
    while (admitted.len() as u64) <= room.shoppers {
        inside.retain(|(over, id)| {
            let runs = *over > bench.now;
            if !runs {
                let now = bench.at().now;
                bench.queue.end_session(*id, EndReason::Left, now);
            }
            runs
        });
        bench.tick(&Readings::default());
        while admitted.len() as u64 <= room.shoppers && (admitted.len() as u64) < bench.queue.frontier().0 {
            let name = admitted.len() as u64;
            let Claim::Admitted { admission, .. } = bench.claim(name) else {
                break;
            };
            let lasts = room.lasts.0 + mixed(name) % (room.lasts.1 - room.lasts.0 + 1);
            inside.push((bench.now + lasts * 1_000, admission));
            admitted.push(Some(bench.now));
        }
        if bench.now.is_multiple_of(ASK_EVERY_MS) {
            let view = bench.queue.view(bench.at());
            let waiting =
                (bench.queue.frontier().0..=room.shoppers).filter(|name| name.is_multiple_of(ASKS_ONE_IN));
            told.extend(waiting.map(|name| Told {
                name,
                at: bench.now,
                wait: Wait::estimate(name - view.frontier.0 + 1, &view.flow),
            }));
        }
        bench.wait(Span::from_millis(TICK_MS));
    }
    (told, admitted)
}

/// A number that looks drawn by lot: the finaliser of `SplitMix64` (Steele, Lea and Flood, OOPSLA 2014).
/// One multiplication alone is a ladder for some ranges, neighbours nine seconds apart, and makes
/// departures come in waves that no crowd makes.
fn mixed(name: u64) -> u64 {
    let value = name.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// Of those who were told something: how many, how many of them too little, and how many truly.
fn judge(room: Room) -> (u64, u64, u64) {
    let (told, admitted) = pass_through(room);
    let (mut all, mut too_short, mut true_ones) = (0, 0, 0);
    for one in &told {
        let Some(wait) = one.wait else { continue };
        let admitted_at = admitted[usize::try_from(one.name).unwrap()].unwrap();
        let actual = Span::from_millis(admitted_at - one.at);
        all += 1;
        too_short += u64::from(actual > wait.max);
        true_ones += u64::from(wait.holds(actual));
    }
    (all, too_short, true_ones)
}

/// Rooms of all sizes, whose sessions last as long as they like.
fn rooms() -> impl Strategy<Value = Room> {
    (20u32..200, 60u32..900, 20u64..120, 40u64..240).prop_map(|(slots, per_minute, least, more)| Room {
        slots,
        per_minute,
        lasts: (least, least + more),
        shoppers: u64::from(slots) * 8,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn hardly_anybody_waits_longer_than_told(room in rooms()) {
        let (told, too_short, held) = judge(room);
        prop_assert!(told > 0, "nobody was told anything");
        prop_assert!(too_short * 10 <= told, "{too_short} of {told} were told too little: {room:?}");
        prop_assert!(held * 10 >= told * 6, "{held} of {told} were told the truth: {room:?}");
    }
}

#[test]
fn while_a_room_fills_its_pace_is_promised_to_those_who_still_fit_in() {
    let room = Room {
        slots: 300,
        per_minute: 600,
        lasts: (180, 360),
        shoppers: 2_000,
    };
    let (told, admitted) = pass_through(room);
    // Half a minute to fill it, three minutes until the first one leaves.
    let early = told.iter().filter(|one| one.at < admitted[1].unwrap() + 180_000);
    let (mut known, mut unknown) = (0, 0);
    for one in early {
        let fits_in = one.name <= 300;
        assert!(
            fits_in || one.wait.is_none(),
            "{} was told {:?}",
            one.name,
            one.wait
        );
        known += u64::from(one.wait.is_some());
        unknown += u64::from(one.wait.is_none());
    }
    assert!(
        known > 20 && unknown > 1_000,
        "{known} knew and {unknown} did not"
    );
}

#[test]
fn where_all_sessions_last_alike_and_end_in_waves_most_are_still_told_enough() {
    let room = Room {
        slots: 50,
        per_minute: 600,
        lasts: (180, 180),
        shoppers: 600,
    };
    let (told, too_short, held) = judge(room);
    assert!(
        told > 500 && too_short * 6 <= told,
        "{too_short} of {told} were told too little"
    );
    assert!(held * 10 >= told * 8, "{held} of {told} were told the truth");
}
