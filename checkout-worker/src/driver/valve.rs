//! The valve in front of the provider: the operators' kill switches, and the stop after refused credentials.

use domain::DropId;
use tokio::sync::watch;

use crate::switch::{Stops, Switch, Switches};

/// Why no payment is made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Shut {
    /// An operator paused payments, of one drop or of all; or the configuration did.
    Paused,
    /// The provider refused our credentials; resuming payments tries again.
    Halted,
}

/// Open, or shut for a reason: for one drop or for all. Orders keep being accepted while it is shut, and wait.
#[derive(Clone, Debug)]
pub struct Valve {
    state: watch::Sender<State>,
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct State {
    /// What operators switched, at whatever process.
    switched: Switches,
    /// What the configuration says, which no operator's word ends.
    configured: Switches,
    /// Credentials were refused here, and the ledger does not know it yet.
    halted: bool,
    /// How often an operator has turned a switch at this very process.
    turns: u64,
}

/// From when on the ledger's switches were read: what is turned here meanwhile is newer than what they say.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    turns: u64,
}

impl State {
    fn stop(&self, stops: Stops, drop: &DropId) -> bool {
        self.switched.stop(stops, drop) || self.configured.stop(stops, drop)
    }

    /// Why payments are shut where they are paused or not: a pause is an operator's, and goes before a halt.
    fn shut(&self, paused: bool) -> Option<Shut> {
        if paused {
            return Some(Shut::Paused);
        }
        (self.halted || self.switched.is_halted()).then_some(Shut::Halted)
    }

    fn stop_everywhere(&self, stops: Stops) -> bool {
        self.switched.stop_everywhere(stops) || self.configured.stop_everywhere(stops)
    }
}

impl Default for Valve {
    fn default() -> Self {
        Self {
            state: watch::Sender::new(State::default()),
        }
    }
}

impl Valve {
    /// Shuts it for all drops because credentials were refused. Where that is known already, nothing is new: what goes on
    /// during a halt (giving up, reading) is refused too, and must not begin another one after an operator's resume.
    pub fn halt(&self) {
        self.change(|state| state.halted |= !state.switched.is_halted());
    }

    /// Takes over that the ledger keeps the halt: from now on it ends for every process when an operator resumes.
    pub fn halt_is_kept(&self) {
        self.change(|state| {
            state.halted = false;
            state.switched.set_halted(true);
        });
    }

    /// Ends a halt: the provider is tried again.
    pub fn end_halt(&self) {
        self.change(|state| {
            state.halted = false;
            state.switched.set_halted(false);
            state.turns += 1;
        });
    }

    /// Whether credentials were refused here, and the ledger does not keep it yet.
    pub fn is_halted_here(&self) -> bool {
        self.state.borrow().halted
    }

    /// Takes one switch over at once, before all processes have seen it.
    pub fn set(&self, switch: Switch, on: bool) {
        self.change(|state| {
            state.switched.set(switch, on);
            state.turns += 1;
        });
    }

    /// To be asked for before the ledger's switches are read, for [`Valve::follow`].
    pub fn reading(&self) -> Reading {
        Reading {
            turns: self.state.borrow().turns,
        }
    }

    /// Takes over all durable switches, which operators set at whatever process. A halt that the ledger does not keep yet
    /// outlasts that. Where a switch was turned here since `reading`, they may be older than it, and the next reading is
    /// waited for. Says whether it changed anything.
    pub fn follow(&self, reading: Reading, switched: Switches) -> bool {
        self.change(|state| {
            if state.turns == reading.turns {
                state.switched = switched;
            }
        })
    }

    /// Takes over what the configuration stops.
    pub fn configure(&self, configured: Switches) {
        self.change(|state| state.configured = configured);
    }

    /// Why the payments of `drop` are shut, if they are.
    pub fn shut(&self, drop: &DropId) -> Option<Shut> {
        let state = self.state.borrow();
        state.shut(state.stop(Stops::Payments, drop))
    }

    /// Why the payments of all drops are shut, if they are.
    pub fn shut_everywhere(&self) -> Option<Shut> {
        let state = self.state.borrow();
        state.shut(state.stop_everywhere(Stops::Payments))
    }

    /// Whether no new orders are taken for `drop`.
    pub fn stops_checkout(&self, drop: &DropId) -> bool {
        self.state.borrow().stop(Stops::Checkout, drop)
    }

    /// The drops whose payments are paused by a switch of their own.
    pub fn paused_drops(&self) -> Vec<DropId> {
        let state = self.state.borrow();
        let own = |switches: &Switches| switches.drops(Stops::Payments).cloned().collect::<Vec<_>>();
        [own(&state.switched), own(&state.configured)].concat()
    }

    /// Waits until it is open for all drops that have no switch of their own on.
    pub async fn opened(&self) {
        let open = |state: &State| state.shut(state.stop_everywhere(Stops::Payments)).is_none();
        // The sender lives as long as `self`: waiting cannot fail.
        let _ = self.state.subscribe().wait_for(open).await;
    }

    fn change(&self, change: impl FnOnce(&mut State)) -> bool {
        self.state.send_if_modified(|state| {
            let before = state.clone();
            change(state);
            *state != before
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everywhere() -> Switches {
        Switches::from_iter([Switch::everywhere(Stops::Payments)])
    }

    fn follow(valve: &Valve, switched: Switches) {
        valve.follow(valve.reading(), switched);
    }

    #[test]
    fn what_was_read_before_a_switch_was_turned_here_does_not_turn_it_back() {
        let valve = Valve::default();
        let before = valve.reading();
        valve.set(Switch::everywhere(Stops::Payments), true);
        assert!(!valve.follow(before, Switches::default()));
        assert_eq!(valve.shut_everywhere(), Some(Shut::Paused));
        let before = valve.reading();
        valve.set(Switch::everywhere(Stops::Payments), false);
        assert!(!valve.follow(before, everywhere()));
        assert_eq!(valve.shut_everywhere(), None);
        assert!(
            valve.follow(valve.reading(), everywhere()),
            "another process turned it"
        );
        assert_eq!(valve.shut_everywhere(), Some(Shut::Paused));
    }

    #[test]
    fn the_switch_pauses_and_resumes_but_does_not_end_a_halt() {
        let valve = Valve::default();
        let drop = DropId::new("aurora").unwrap();
        follow(&valve, everywhere());
        assert_eq!(valve.shut(&drop), Some(Shut::Paused));
        follow(&valve, Switches::default());
        assert_eq!(valve.shut(&drop), None);
        valve.halt();
        follow(&valve, Switches::default());
        assert_eq!(valve.shut(&drop), Some(Shut::Halted));
        follow(&valve, everywhere());
        assert_eq!(valve.shut_everywhere(), Some(Shut::Paused));
        follow(&valve, Switches::default());
        assert_eq!(valve.shut_everywhere(), Some(Shut::Halted));
        valve.end_halt();
        assert_eq!(valve.shut_everywhere(), None);
    }

    #[test]
    fn a_kept_halt_lasts_as_long_as_the_ledger_says_and_is_not_begun_anew_meanwhile() {
        let valve = Valve::default();
        valve.halt();
        valve.halt_is_kept();
        assert_eq!(
            (valve.shut_everywhere(), valve.is_halted_here()),
            (Some(Shut::Halted), false)
        );
        // Another call is refused while payments stand still; then somebody resumes them at another process.
        valve.halt();
        follow(&valve, Switches::default());
        assert_eq!(valve.shut_everywhere(), None);
        valve.halt();
        assert!(valve.is_halted_here(), "refused once more");
    }

    #[test]
    fn one_drop_is_shut_alone_and_the_configuration_outlasts_operators() {
        let valve = Valve::default();
        let (aurora, boreal) = (DropId::new("aurora").unwrap(), DropId::new("boreal").unwrap());
        let switch = |stops| Switch {
            stops,
            drop: Some(aurora.clone()),
        };
        valve.configure(Switches::from_iter([
            switch(Stops::Payments),
            switch(Stops::Checkout),
        ]));
        valve.set(switch(Stops::Payments), true);
        valve.set(switch(Stops::Payments), false);
        assert_eq!(
            (valve.shut(&aurora), valve.shut(&boreal)),
            (Some(Shut::Paused), None)
        );
        assert!(valve.stops_checkout(&aurora) && !valve.stops_checkout(&boreal));
        assert_eq!(
            (valve.shut_everywhere(), valve.paused_drops()),
            (None, vec![aurora.clone()])
        );
        valve.configure(Switches::default());
        assert_eq!(valve.shut(&aurora), None);
    }
}
