//! Every name of a key in Redis, and the order in which scripts get them.
//!
//! The drop stands in braces, so that Redis Cluster keeps all keys of a drop on one node and a
//! script may touch them all.

use domain::DropId;

/// What comes before every key of ours.
const PREFIX: &str = "doorline";

/// The keys of a drop, in the order of the scripts' KEYS; what each holds is said in
/// `scripts/shared/head.lua`.
const NAMES: [&str; 16] = [
    "head",
    "members",
    "queued",
    "over",
    "sessions",
    "session",
    "ordered",
    "window",
    "returning",
    "until",
    "revoked",
    "calls",
    "call",
    "rebuild",
    "stock",
    "went",
];

/// One key, by its place among the scripts' KEYS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Key {
    Members = 2,
    Queued = 3,
    Over = 4,
    Sessions = 5,
    Session = 6,
    Ordered = 7,
    Window = 8,
    Revoked = 11,
    Calls = 12,
    Call = 13,
    Went = 16,
}

/// All keys of one drop.
pub(super) struct Keys {
    all: Vec<String>,
    probe: String,
}

impl Keys {
    /// The keys of `drop`.
    pub(super) fn of(drop: &DropId) -> Self {
        let name = |name: &str| format!("{PREFIX}:{{d:{drop}}}:{name}");
        Self {
            all: NAMES.iter().map(|one| name(one)).collect(),
            probe: name("probe"),
        }
    }

    /// In the order of the scripts.
    pub(super) fn all(&self) -> &[String] {
        &self.all
    }

    /// A key that no script knows: written to see whether the server of the others takes writes.
    pub(super) fn probe(&self) -> &str {
        &self.probe
    }

    /// The name of one.
    pub(super) fn name(&self, key: Key) -> &str {
        &self.all[key as usize - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_a_drop_carries_the_same_hash_tag() {
        let keys = Keys::of(&DropId::new("aurora").unwrap());
        assert!(
            keys.all()
                .iter()
                .map(String::as_str)
                .chain([keys.probe()])
                .all(|key| key.starts_with("doorline:{d:aurora}:"))
        );
    }

    #[test]
    fn a_key_is_found_at_the_place_the_scripts_find_it_at() {
        let keys = Keys::of(&DropId::new("aurora").unwrap());
        let places = [
            (Key::Members, "members"),
            (Key::Queued, "queued"),
            (Key::Over, "over"),
            (Key::Sessions, "sessions"),
            (Key::Session, "session"),
            (Key::Ordered, "ordered"),
            (Key::Window, "window"),
            (Key::Revoked, "revoked"),
            (Key::Calls, "calls"),
            (Key::Call, "call"),
            (Key::Went, "went"),
        ];
        for (key, name) in places {
            assert_eq!(keys.name(key), format!("doorline:{{d:aurora}}:{name}"));
            assert_eq!(NAMES[key as usize - 1], name);
        }
    }
}
