//! What differs between two configurations, by the full names of the keys.

use std::collections::{BTreeMap, BTreeSet};

use domain::DropId;
use serde_json::{Map, Value};

use crate::config::keys::Keys;

/// Keys that are put in force while the program runs, and the beginnings of such keys.
const LIVE: [&str; 8] = [
    "server.trusted_proxies",
    "server.max_body_bytes",
    "server.body_timeout",
    "upstream.allow_upgrade",
    "log.level",
    "rate_limit.",
    "checkout.",
    "drop.",
];
/// Longest account of what changed that is written to the operators' log, in bytes. A whole file of a thousand drops fits
/// into the file, but not into a line.
const TOLD_BYTES_MAX: usize = 16 * 1024;

/// A key's value before and after; nothing where it is not there.
type Change = (Option<String>, Option<String>);

/// What differs, and of that what is put in force.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Difference {
    /// Keys that are put in force, with their values before and after.
    pub(super) live: BTreeMap<String, Change>,
    /// Keys that wait for a restart.
    pub(super) waiting: BTreeSet<String>,
    /// The keys in force now.
    pub(super) keys: Keys,
}

impl Difference {
    /// Compares the keys in force with those of a new configuration. `kept` are drops that stay as they are: refused, or no
    /// longer configured.
    pub(super) fn between(running: &Keys, next: &Keys, kept: &BTreeSet<DropId>) -> Self {
        let mut found = Self::default();
        let names: BTreeSet<&String> = running.keys().chain(next.keys()).collect();
        for name in names {
            let (before, after) = (running.get(name), next.get(name));
            let stays = is_of(name, kept);
            let is_live = !stays && is_live(name) && !ends_selling(name, next);
            if before != after && is_live {
                found.live.insert(name.clone(), (before.cloned(), after.cloned()));
            } else if before != after && !stays {
                found.waiting.insert(name.clone());
            }
            let in_force = if is_live { after } else { before };
            found
                .keys
                .extend(in_force.map(|value| (name.clone(), value.clone())));
        }
        found
    }

    /// The values before and after, as JSON for the operators' log.
    pub(super) fn told(&self) -> (String, String) {
        let text = |value: &dyn Fn(&Change) -> Option<String>| {
            let members = self.live.iter();
            let members = members.map(|(name, change)| (name.clone(), Value::from(value(change))));
            Value::Object(members.collect::<Map<_, _>>()).to_string()
        };
        let told = (
            text(&|(before, _)| before.clone()),
            text(&|(_, after)| after.clone()),
        );
        if told.0.len().max(told.1.len()) > TOLD_BYTES_MAX {
            let count = Value::from(format!("{} keys", self.live.len())).to_string();
            return (count.clone(), count);
        }
        told
    }
}

fn is_live(name: &str) -> bool {
    LIVE.iter()
        .any(|live| name == *live || (live.ends_with('.') && name.starts_with(live)))
}

fn is_of(name: &str, drops: &BTreeSet<DropId>) -> bool {
    let id = name.strip_prefix("drop.").and_then(|rest| rest.split('.').next());
    id.is_some_and(|id| drops.iter().any(|drop| drop.as_str() == id))
}

/// Whether a drop's whole checkout is gone: it may have orders on their way.
fn ends_selling(name: &str, next: &Keys) -> bool {
    let mut parts = name.splitn(4, '.');
    let ("drop", Some(id), Some("checkout" | "item")) =
        (parts.next().unwrap_or_default(), parts.next(), parts.next())
    else {
        return false;
    };
    let begins = [format!("drop.{id}.checkout."), format!("drop.{id}.item.")];
    !next
        .keys()
        .any(|key| begins.iter().any(|begin| key.starts_with(begin)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(pairs: &[(&str, &str)]) -> Keys {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn what_can_change_is_told_apart_from_what_waits_and_from_what_stays() {
        let running = keys(&[
            ("server.listen", "1"),
            ("log.level", "2"),
            ("rate_limit.per_address", "3"),
            ("drop.a.title", "4"),
            ("drop.gone.title", "5"),
            ("webhooks.url", "6"),
        ]);
        let next = keys(&[
            ("server.listen", "9"),
            ("log.level", "2"),
            ("rate_limit.per_address", "9"),
            ("drop.a.title", "9"),
            ("drop.new.title", "9"),
        ]);
        let kept = BTreeSet::from([DropId::new("gone").unwrap()]);
        let found = Difference::between(&running, &next, &kept);
        let live: Vec<&str> = found.live.keys().map(String::as_str).collect();
        assert_eq!(live, ["drop.a.title", "drop.new.title", "rate_limit.per_address"]);
        assert_eq!(
            found.waiting.iter().collect::<Vec<_>>(),
            ["server.listen", "webhooks.url"]
        );
        let in_force = keys(&[
            ("server.listen", "1"),
            ("log.level", "2"),
            ("rate_limit.per_address", "9"),
            ("drop.a.title", "9"),
            ("drop.new.title", "9"),
            ("drop.gone.title", "5"),
            ("webhooks.url", "6"),
        ]);
        assert_eq!(found.keys, in_force);
        let (before, after) = found.told();
        assert!(before.contains("\"drop.new.title\":null"), "{before}");
        assert!(after.contains("\"drop.new.title\":\"9\""), "{after}");
        assert_eq!(Difference::between(&found.keys, &next, &kept).live.len(), 0);
    }

    #[test]
    fn a_drop_that_would_stop_selling_waits_and_a_changed_item_does_not() {
        let running = keys(&[
            ("drop.a.item.X.stock", "1"),
            ("drop.b.item.X.stock", "1"),
            ("drop.b.item.Y.stock", "1"),
            ("drop.a.checkout.per_shopper", "2"),
        ]);
        let next = keys(&[("drop.b.item.X.stock", "9")]);
        let found = Difference::between(&running, &next, &BTreeSet::new());
        let waiting: Vec<&str> = found.waiting.iter().map(String::as_str).collect();
        assert_eq!(waiting, ["drop.a.checkout.per_shopper", "drop.a.item.X.stock"]);
        let live: Vec<&str> = found.live.keys().map(String::as_str).collect();
        assert_eq!(live, ["drop.b.item.X.stock", "drop.b.item.Y.stock"]);
    }

    #[test]
    fn a_change_of_everything_is_told_by_its_size() {
        let long = "x".repeat(TOLD_BYTES_MAX);
        let found = Difference::between(&keys(&[("log.level", &long)]), &Keys::new(), &BTreeSet::new());
        assert_eq!(found.told(), ("\"1 keys\"".to_owned(), "\"1 keys\"".to_owned()));
    }
}
