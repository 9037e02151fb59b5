//! The admission decision: may this request pass to the upstream, does it wait, or is it refused?
//! The same answer for every method and protocol version, and every doubt ends outside the door.

use crate::{Phase, QueueingMethod};

/// What kind of place the normalised path leads to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RouteClass {
    /// No drop protects it.
    Open,
    /// A drop protects it.
    Protected,
}

/// What the request's method may do to the upstream.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Intent {
    /// `GET` or `HEAD`: somebody who can be shown a page instead.
    Read,
    /// Anything else, unknown methods included: the body must not be kept, so it cannot wait.
    Act,
}

/// What the request has shown about its sender.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Standing {
    /// A verified, unexpired, unrevoked admission token of this drop and epoch, with its visitor.
    Admitted,
    /// Anything else: no token, a bad one, somebody else's.
    Outside,
}

/// All that is known about one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Question {
    /// Where it goes.
    pub route: RouteClass,
    /// What it may do.
    pub intent: Intent,
    /// Where the drop stands.
    pub phase: Phase,
    /// How the drop queues.
    pub method: QueueingMethod,
    /// Whether the operator holds everybody, admitted shoppers included.
    pub hold_everybody: bool,
    /// What the sender has shown.
    pub standing: Standing,
}

/// The answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Decision {
    /// On to the upstream.
    Pass,
    /// The waiting room instead.
    Wait,
    /// Neither.
    Refuse(Refusal),
}

/// Why a request is turned away.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refusal {
    /// It would change something and its sender is not admitted.
    AdmissionRequired,
    /// The drop is closed to everybody.
    Closed,
}

impl Question {
    /// Decides.
    pub fn answer(self) -> Decision {
        if self.route == RouteClass::Open {
            return Decision::Pass;
        }
        if self.may_pass() {
            return Decision::Pass;
        }
        match (self.method, self.intent) {
            (QueueingMethod::Reject, _) => Decision::Refuse(Refusal::Closed),
            (_, Intent::Act) => Decision::Refuse(Refusal::AdmissionRequired),
            (_, Intent::Read) => Decision::Wait,
        }
    }

    fn may_pass(self) -> bool {
        if self.hold_everybody {
            return false;
        }
        let started = match self.phase {
            Phase::Scheduled | Phase::Prequeue => false,
            Phase::Open | Phase::Paused | Phase::Draining | Phase::SoldOut | Phase::Ended => true,
        };
        match self.method {
            QueueingMethod::Reject => false,
            QueueingMethod::Passthrough => started,
            QueueingMethod::Fifo | QueueingMethod::Random => started && self.standing == Standing::Admitted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHASES: [Phase; 7] = [
        Phase::Scheduled,
        Phase::Prequeue,
        Phase::Open,
        Phase::Paused,
        Phase::Draining,
        Phase::SoldOut,
        Phase::Ended,
    ];
    const METHODS: [QueueingMethod; 4] = [
        QueueingMethod::Fifo,
        QueueingMethod::Random,
        QueueingMethod::Passthrough,
        QueueingMethod::Reject,
    ];

    fn every_question(route: RouteClass) -> impl Iterator<Item = Question> {
        PHASES.into_iter().flat_map(move |phase| {
            METHODS.into_iter().flat_map(move |method| {
                [Intent::Read, Intent::Act].into_iter().flat_map(move |intent| {
                    [Standing::Admitted, Standing::Outside]
                        .into_iter()
                        .flat_map(move |standing| {
                            [false, true].into_iter().map(move |hold_everybody| Question {
                                route,
                                intent,
                                phase,
                                method,
                                hold_everybody,
                                standing,
                            })
                        })
                })
            })
        })
    }

    #[test]
    fn nobody_outside_passes_a_queueing_door() {
        for q in every_question(RouteClass::Protected) {
            let queues = matches!(q.method, QueueingMethod::Fifo | QueueingMethod::Random);
            if queues && q.standing == Standing::Outside {
                assert_ne!(q.answer(), Decision::Pass, "{q:?}");
            }
        }
    }

    #[test]
    fn before_the_start_no_token_opens_anything() {
        for q in every_question(RouteClass::Protected) {
            if matches!(q.phase, Phase::Scheduled | Phase::Prequeue) {
                assert_ne!(q.answer(), Decision::Pass, "{q:?}");
            }
        }
    }

    #[test]
    fn holding_everybody_holds_the_admitted_too() {
        for q in every_question(RouteClass::Protected).filter(|q| q.hold_everybody) {
            assert_ne!(q.answer(), Decision::Pass, "{q:?}");
        }
    }

    #[test]
    fn a_request_that_acts_is_never_shown_a_page() {
        for q in every_question(RouteClass::Protected).filter(|q| q.intent == Intent::Act) {
            assert_ne!(q.answer(), Decision::Wait, "{q:?}");
        }
    }

    #[test]
    fn the_admitted_go_on_through_pause_drain_and_sold_out() {
        for phase in [Phase::Open, Phase::Paused, Phase::Draining, Phase::SoldOut] {
            let q = Question {
                route: RouteClass::Protected,
                intent: Intent::Act,
                phase,
                method: QueueingMethod::Fifo,
                hold_everybody: false,
                standing: Standing::Admitted,
            };
            assert_eq!(q.answer(), Decision::Pass);
        }
    }

    #[test]
    fn open_paths_always_pass_and_closed_drops_never() {
        assert!(every_question(RouteClass::Open).all(|q| q.answer() == Decision::Pass));
        let closed = every_question(RouteClass::Protected).filter(|q| q.method == QueueingMethod::Reject);
        for q in closed {
            assert_eq!(q.answer(), Decision::Refuse(Refusal::Closed), "{q:?}");
        }
    }
}
