//! The valve in front of the provider: the operators' kill switch, and the stop after refused credentials.

use tokio::sync::watch;

/// Why no payment is made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Shut {
    /// An operator paused payments.
    Paused,
    /// The provider refused our credentials; resuming payments tries again.
    Halted,
}

/// Open, or shut for a reason. Orders keep being accepted while it is shut, and wait.
#[derive(Clone, Debug)]
pub struct Valve {
    shut: watch::Sender<Option<Shut>>,
}

impl Default for Valve {
    fn default() -> Self {
        Self {
            shut: watch::Sender::new(None),
        }
    }
}

impl Valve {
    /// Shuts it on an operator's word.
    pub fn pause(&self) {
        self.shut.send_replace(Some(Shut::Paused));
    }

    /// Shuts it because credentials were refused. An operator's pause stays an operator's.
    pub fn halt(&self) {
        self.shut.send_modify(|shut| *shut = shut.or(Some(Shut::Halted)));
    }

    /// Takes over what the durable switch says, which operators set at whatever process. A stop after refused
    /// credentials is not the switch's to end.
    pub fn follow(&self, paused: bool) {
        self.shut.send_if_modified(|shut| {
            let next = match (*shut, paused) {
                (None, true) => Some(Shut::Paused),
                (Some(Shut::Paused), false) => None,
                (unchanged, _) => unchanged,
            };
            std::mem::replace(shut, next) != next
        });
    }

    /// Opens it.
    pub fn resume(&self) {
        self.shut.send_replace(None);
    }

    /// Why it is shut, if it is.
    pub fn shut(&self) -> Option<Shut> {
        *self.shut.borrow()
    }

    /// Waits until it is open.
    pub async fn opened(&self) {
        // The sender lives as long as `self`: waiting cannot fail.
        let _ = self.shut.subscribe().wait_for(Option::is_none).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_pauses_and_resumes_but_does_not_end_a_halt() {
        let valve = Valve::default();
        valve.follow(true);
        assert_eq!(valve.shut(), Some(Shut::Paused));
        valve.follow(false);
        assert_eq!(valve.shut(), None);
        valve.halt();
        valve.follow(false);
        assert_eq!(valve.shut(), Some(Shut::Halted));
        valve.pause();
        valve.follow(false);
        assert_eq!(valve.shut(), None);
    }
}
