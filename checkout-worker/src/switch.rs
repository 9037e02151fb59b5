//! The kill switches: what operators have stopped, for one drop or for all.

use std::collections::BTreeSet;

use domain::DropId;

/// What a switch stops.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stops {
    /// Money. Orders keep being accepted, and wait; authorisations can still be given up.
    Payments,
    /// New orders. Those that exist go on, and places in the queue are kept.
    Checkout,
}

/// One switch.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Switch {
    /// What it stops.
    pub stops: Stops,
    /// Where: in one drop, or in all of them.
    pub drop: Option<DropId>,
}

/// The name under which it is kept that a restore has begun and not come to its end.
pub const RESTORING: &str = "restoring";

/// The name under which it is kept that the provider refused our credentials. It is no operator's pause, and is told apart
/// from one at every process and over restarts; resuming all payments ends it.
pub const HALTED: &str = "payments.halted";

/// The switches that are on; all others are off.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Switches {
    on: BTreeSet<Switch>,
    /// Everything is stopped, and only a restore that succeeds ends it.
    restoring: bool,
    /// The provider refused our credentials, and nobody has resumed payments since.
    halted: bool,
}

impl Stops {
    /// Everything that can be stopped.
    pub const ALL: [Self; 2] = [Self::Payments, Self::Checkout];

    const fn name(self) -> &'static str {
        match self {
            Self::Payments => "payments.paused",
            Self::Checkout => "checkout.paused",
        }
    }
}

impl Switch {
    /// The switch for all drops.
    pub const fn everywhere(stops: Stops) -> Self {
        Self { stops, drop: None }
    }

    /// The name it is kept under: `payments.paused`, or `payments.paused/aurora`.
    pub fn name(&self) -> String {
        match &self.drop {
            None => self.stops.name().to_owned(),
            Some(drop) => format!("{}/{drop}", self.stops.name()),
        }
    }

    fn parse(name: &str) -> Option<Self> {
        let (name, drop) = match name.split_once('/') {
            None => (name, None),
            Some((name, drop)) => (name, Some(DropId::new(drop).ok()?)),
        };
        let stops = Stops::ALL.into_iter().find(|stops| stops.name() == name)?;
        Some(Self { stops, drop })
    }
}

impl Switches {
    /// Reads the names of those that are on. A name that means nothing here stops nothing here: a newer
    /// version may have set it.
    pub fn of_names<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Self {
        let mut switches = Self::default();
        for name in names {
            switches.restoring |= name.as_ref() == RESTORING;
            switches.halted |= name.as_ref() == HALTED;
            switches.on.extend(Switch::parse(name.as_ref()));
        }
        switches
    }

    /// Whether something is stopped for `drop`, by its own switch or by the one for all.
    pub fn stop(&self, stops: Stops, drop: &DropId) -> bool {
        self.stop_everywhere(stops)
            || self
                .on
                .iter()
                .any(|on| on.stops == stops && on.drop.as_ref() == Some(drop))
    }

    /// Whether something is stopped for all drops.
    pub fn stop_everywhere(&self, stops: Stops) -> bool {
        self.restoring || self.on.contains(&Switch::everywhere(stops))
    }

    /// Whether payments stand still because the provider refused our credentials. That stops nothing of what
    /// [`Self::stop`] tells of: it is the valve's to shut for it.
    pub const fn is_halted(&self) -> bool {
        self.halted
    }

    /// Takes over that credentials were refused, or that the provider may be tried again.
    pub const fn set_halted(&mut self, halted: bool) {
        self.halted = halted;
    }

    /// The drops whose own switch is on.
    pub fn drops(&self, stops: Stops) -> impl Iterator<Item = &DropId> {
        self.on
            .iter()
            .filter(move |on| on.stops == stops)
            .filter_map(|on| on.drop.as_ref())
    }

    /// Turns one on or off. Says whether that changed anything.
    pub fn set(&mut self, switch: Switch, on: bool) -> bool {
        if on {
            self.on.insert(switch)
        } else {
            self.on.remove(&switch)
        }
    }
}

impl FromIterator<Switch> for Switches {
    fn from_iter<I: IntoIterator<Item = Switch>>(on: I) -> Self {
        Self {
            on: on.into_iter().collect(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drop(name: &str) -> DropId {
        DropId::new(name).unwrap()
    }

    #[test]
    fn a_switch_is_found_again_by_its_name() {
        for stops in Stops::ALL {
            for place in [None, Some(drop("aurora"))] {
                let switch = Switch { stops, drop: place };
                assert_eq!(Switch::parse(&switch.name()), Some(switch));
            }
        }
        assert!(
            [
                "",
                "payments",
                "payments.paused/",
                "payments.paused/A B",
                "other/aurora"
            ]
            .iter()
            .all(|name| Switch::parse(name).is_none())
        );
    }

    #[test]
    fn while_the_ledger_is_being_restored_everything_is_stopped_and_no_switch_ends_that() {
        let mut switches = Switches::of_names([RESTORING, "payments.paused"]);
        assert!(switches.set(Switch::everywhere(Stops::Payments), false));
        for stops in Stops::ALL {
            assert!(switches.stop_everywhere(stops) && switches.stop(stops, &drop("aurora")));
        }
    }

    #[test]
    fn refused_credentials_are_told_apart_from_a_pause() {
        let switches = Switches::of_names([HALTED]);
        assert!(switches.is_halted() && !switches.stop_everywhere(Stops::Payments));
        assert!(!Switches::of_names(["payments.paused"]).is_halted());
    }

    #[test]
    fn a_drop_is_stopped_by_its_own_switch_or_by_the_one_for_all() {
        let (aurora, boreal) = (drop("aurora"), drop("boreal"));
        let mut switches = Switches::of_names(["payments.paused/aurora", "unheard.of"]);
        assert!(switches.stop(Stops::Payments, &aurora));
        assert!(!switches.stop(Stops::Payments, &boreal) && !switches.stop(Stops::Checkout, &aurora));
        assert!(!switches.stop_everywhere(Stops::Payments));
        assert!(switches.set(Switch::everywhere(Stops::Checkout), true));
        assert!(switches.stop(Stops::Checkout, &boreal));
        assert_eq!(switches.drops(Stops::Payments).collect::<Vec<_>>(), [&aurora]);
        assert_eq!(switches.drops(Stops::Checkout).count(), 0);
        assert!(switches.set(Switch::everywhere(Stops::Checkout), false));
        assert!(!switches.set(Switch::everywhere(Stops::Checkout), false));
        assert!(!switches.stop(Stops::Checkout, &boreal));
    }
}
