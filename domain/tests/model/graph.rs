//! The graph that the checker walks, kept for the one law that no single state can break: from everywhere, a good end is
//! within reach.
//!
//! stateright's own `eventually` would not do. It looks at paths that end, and takes a path that closes a cycle for one
//! that joins another; a saga that asks again and again is made of cycles, so that it would find nothing. And on a path
//! chosen by an adversary nothing ever ends: somebody may keep a message for ever. What is asked of the protocol is that
//! nothing is ever *lost*: in whatever state faults leave the house, the moves that it makes by itself, with no further
//! fault and without anybody's new wish, can still bring everything to a good end. That is reachability, backwards from
//! the good ends over exactly these moves. It is sound only over the whole graph, hence a run that was cut short is
//! never judged.

use std::collections::{BTreeSet, HashMap, HashSet};

use domain::saga::StateName;

/// States by their fingerprints, and the moves between them that the house makes by itself.
#[derive(Default, Debug)]
pub(crate) struct Graph {
    places: HashMap<u64, u32>,
    good: Vec<bool>,
    /// From where to where.
    moves: Vec<(u32, u32)>,
    /// Every state that any order was in.
    pub(crate) reached: BTreeSet<StateName>,
}

impl Graph {
    /// The place of a state; `describe` says whether it is a good end, and in which states its orders are.
    pub(crate) fn place(&mut self, print: u64, describe: impl FnOnce() -> (bool, Vec<StateName>)) -> u32 {
        if let Some(place) = self.places.get(&print) {
            return *place;
        }
        let place = u32::try_from(self.good.len()).expect("fewer states than that");
        let (good, names) = describe();
        self.places.insert(print, place);
        self.good.push(good);
        self.reached.extend(names);
        place
    }

    pub(crate) fn connect(&mut self, from: u32, to: u32) {
        self.moves.push((from, to));
    }

    /// The fingerprints of all states from which no good end can be reached.
    pub(crate) fn stuck(&self) -> HashSet<u64> {
        let mut before: Vec<Vec<u32>> = vec![Vec::new(); self.good.len()];
        for (from, to) in &self.moves {
            before[*to as usize].push(*from);
        }
        let mut reaches = self.good.clone();
        let places = 0_u32..;
        let mut open: Vec<u32> = places
            .zip(&self.good)
            .filter_map(|(at, good)| good.then_some(at))
            .collect();
        while let Some(place) = open.pop() {
            for from in &before[place as usize] {
                if !std::mem::replace(&mut reaches[*from as usize], true) {
                    open.push(*from);
                }
            }
        }
        let stuck = |(_, place): &(&u64, &u32)| !reaches[**place as usize];
        self.places
            .iter()
            .filter(stuck)
            .map(|(print, _)| *print)
            .collect()
    }
}
