//! The driver: load → domain step → commit → perform the call → feed the answer back as the next event.
//!
//! Local commit before every foreign call: the call of a step is made only after the step, with its attempt row, is in
//! the ledger. Whatever dies in between leaves an order that is leased for a while and then due: the next driver repeats
//! the same call under the same key.

mod drain;
mod keys;
mod valve;

pub use drain::{DRAIN_PER_SECOND, Drain};
pub use keys::Keys;
pub use valve::{Shut, Valve};

use std::sync::Arc;
use std::time::Duration;

use domain::backoff::Jitter;
use domain::saga::{Answer, Asked, Call, Effect, Event, Moment, Refusal, Repeat, Stall, StateName, Step};
use domain::{Clock, DropId, Entropy, OrderId, Span};
use tokio::time::Instant;

use crate::breaker::{Breaker, Health};
use crate::hub::Hub;
use crate::ledger::{Applied, AttemptRow, Ledger, LedgerError, OrderRecord, Transition};
use crate::observe::Observer;
use crate::provider::{Provider, ProviderCall, fingerprint};
use crate::trail;

/// Steps that one event may lead to. The longest path there is (find, authorise, commit, capture, read, paid) is six;
/// more means that an answer is going round.
const STEPS_MAX: u32 = 16;
/// Compare-and-sets that may be lost in a row. Each loss means that somebody else moved the order on.
const CONFLICTS_MAX: u32 = 16;

/// Takes orders through their saga.
pub struct Driver {
    /// Where orders live.
    pub ledger: Arc<dyn Ledger>,
    /// Where money lives.
    pub provider: Arc<dyn Provider>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// For jitter.
    pub entropy: Arc<dyn Entropy>,
    /// Who is told.
    pub observer: Arc<dyn Observer>,
    /// Who watches which order.
    pub hub: Hub,
    /// How fast orders are taken to payment.
    pub drain: Drain,
    /// Whether payments are made at all.
    pub valve: Valve,
    /// Whether the provider answers.
    pub breaker: Breaker,
    /// Where keys are drawn from.
    pub keys: Keys,
}

/// Where an event led.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fed {
    /// Everything that could be done now is done; the order came to rest in this state.
    Rested(StateName),
    /// The event does not apply. Nothing was changed by it.
    Refused(Refusal),
    /// The step is stored and its call is not made: payments are shut, or the provider does not answer. It is made when
    /// the lease runs out, as after a crash; for an order at its end, which is due no more, when somebody asks again.
    Deferred(StateName),
    /// There is no such order.
    Unknown,
}

/// An event could not be brought to its end. The ledger remembers what is owed; a later drive goes on.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The ledger failed.
    #[error("driving order {order} met a failing ledger")]
    Ledger {
        /// Which order.
        order: OrderId,
        /// What the ledger said.
        #[source]
        cause: LedgerError,
    },
    /// Steps or compare-and-sets went round and round.
    #[error("order {order} did not come to rest")]
    Restless {
        /// Which order.
        order: OrderId,
    },
}

impl Driver {
    /// Feeds one event to an order, and every answer that it leads to.
    pub async fn feed(&self, order: OrderId, event: Event) -> Result<Fed, DriveError> {
        let failed = |cause| DriveError::Ledger { order, cause };
        let (mut event, mut fresh) = (event, true);
        let (mut steps, mut conflicts) = (0, 0);
        while steps < STEPS_MAX && conflicts < CONFLICTS_MAX {
            let Some(record) = self.ledger.load(order).await.map_err(failed)? else {
                return Ok(Fed::Unknown);
            };
            let state = record.order.state.name();
            let step = match record
                .order
                .clone()
                .step(event.clone(), self.moment(&record.order.drop))
            {
                Ok(step) => step,
                Err(refusal) if fresh => return Ok(Fed::Refused(refusal)),
                // An answer that no longer applies: somebody else has moved the order on, and it is theirs.
                Err(_) => return Ok(Fed::Rested(state)),
            };
            let call = step.call().map(|call| self.outgoing(&record, call));
            let transition = stored(&step, call.as_ref(), &event);
            match self.ledger.apply(transition).await.map_err(failed)? {
                Applied::Done => steps += 1,
                Applied::Conflict => {
                    conflicts += 1;
                    continue;
                }
            }
            let state = step.order.state.name();
            self.announce(&record, &step).await;
            let Some(call) = call else {
                return Ok(Fed::Rested(state));
            };
            let Some(answer) = self.ask(&call).await else {
                return Ok(Fed::Deferred(state));
            };
            (event, fresh) = (Event::Answered(call.call.asked(), answer), false);
        }
        Err(DriveError::Restless { order })
    }

    /// Tells watchers, metrics and people about a step that is in the ledger, and does what it says about the drain.
    pub async fn announce(&self, before: &OrderRecord, step: &Step) {
        let (id, drop, to) = (step.order.id, &step.order.drop, step.order.state.name());
        if step.from != to {
            trail::went_on(&step.order, step.from);
            self.observer.transition(drop, Some(step.from), to);
            if to.is_end() {
                self.observer
                    .finished(drop, to, self.clock.now().since(before.waits_since()));
            }
        }
        for effect in &step.effects {
            match effect {
                Effect::Alarm(alarm) => {
                    tracing::warn!(order.id = %id, drop.id = %drop, alarm = ?alarm, state = %to, "an order needs a look");
                    self.observer.alarm(*alarm, id);
                }
                Effect::SlowDown(hold) => self.drain.slow_down(drop, hold.map(Span::as_duration)).await,
                Effect::Halt => self.valve.halt(),
                Effect::Call(_) | Effect::Drive | Effect::Notice(_) => {}
            }
        }
        self.hub.wake(id);
    }

    /// The instant of a step, with jitter and the drop's own terms.
    pub fn moment(&self, drop: &DropId) -> Moment {
        Moment {
            now: self.clock.now(),
            jitter: self.jitter(),
            action_time: self.drain.action_time(drop),
            space: self.keys.space(),
        }
    }

    /// Draws where a wait lies within its spread.
    pub fn jitter(&self) -> Jitter {
        let mut drawn = [0; 2];
        self.entropy.fill(&mut drawn);
        Jitter(u16::from_be_bytes(drawn))
    }

    /// A step's call with everything that goes out with it, from ledger rows alone.
    fn outgoing(&self, record: &OrderRecord, call: &Call) -> ProviderCall {
        let space = self.keys.space();
        let key = call
            .attempt()
            .map(|(operation, attempt)| record.order.key(space, operation, attempt.n));
        ProviderCall {
            drop: record.order.drop.clone(),
            order: record.order.id,
            space,
            key,
            email: record.email.clone(),
            call: call.clone(),
        }
    }

    /// Makes a call, unless payments are shut or the provider is known not to answer.
    async fn ask(&self, call: &ProviderCall) -> Option<Answer> {
        if (moves_money(&call.call) && self.valve.shut(&call.drop).is_some()) || !self.breaker.admits() {
            return None;
        }
        let start = Instant::now();
        let answer = self.provider.perform(call).await;
        let took = start.elapsed();
        trail::asked(call, outcome_word(&answer), took);
        self.took_note(call.call.asked().as_str(), &answer, took);
        Some(answer)
    }

    /// Tells breaker and metrics how a request to the provider ended.
    pub fn took_note(&self, operation: &'static str, answer: &Answer, took: Duration) {
        self.observer
            .provider_request(operation, outcome_word(answer), took);
        let health = match answer {
            Answer::Stalled(Stall::Failed { .. } | Stall::Lost) => Health::Silent,
            Answer::Stalled(Stall::InFlight | Stall::RateLimited { .. } | Stall::Forbidden)
            | Answer::Payment(_)
            | Answer::Refunded(_)
            | Answer::Absent
            | Answer::Declined(_)
            | Answer::Rejected(_)
            | Answer::KeyMismatch => Health::Answered,
        };
        if let Some(open) = self.breaker.report(health) {
            tracing::warn!(open, "the circuit breaker towards the provider changed");
            self.observer.breaker(open);
        }
    }
}

/// Whether a call can take or move money. Giving an authorisation up and reading go on while payments are paused.
const fn moves_money(call: &Call) -> bool {
    match call {
        Call::Authorise { .. } | Call::Capture { .. } | Call::Refund { .. } | Call::RefundStray { .. } => {
            true
        }
        Call::Cancel { .. } | Call::CancelStray { .. } | Call::Retrieve { .. } | Call::Find { .. } => false,
    }
}

fn stored(step: &Step, call: Option<&ProviderCall>, event: &Event) -> Transition {
    let attempt = call.and_then(|out| {
        let (operation, attempt) = out.call.attempt()?;
        let key = out.key.clone()?;
        let (n, first_sent) = (attempt.n, attempt.first_sent);
        Some(AttemptRow {
            operation,
            n,
            key,
            params: fingerprint(out),
            first_sent,
        })
    });
    let outcome = match event {
        Event::Answered(Asked::Change(operation, n), answer) => Some((*operation, *n, outcome_word(answer))),
        Event::Answered(Asked::Retrieve | Asked::Find(_), _)
        | Event::Accept(_)
        | Event::Expire
        | Event::Cancel(_)
        | Event::Drive
        | Event::Look
        | Event::Seen(_)
        | Event::Refund(_)
        | Event::Retry => None,
    };
    Transition {
        step: step.clone(),
        attempt,
        outcome,
    }
}

/// The word for an answer that stands in rows and metric labels.
pub const fn outcome_word(answer: &Answer) -> &'static str {
    match answer {
        Answer::Payment(_) | Answer::Refunded(_) => "ok",
        Answer::Absent => "absent",
        Answer::Declined(_) => "declined",
        Answer::Rejected(_) => "rejected",
        Answer::KeyMismatch => "key_mismatch",
        Answer::Stalled(Stall::InFlight) => "in_flight",
        Answer::Stalled(Stall::RateLimited { .. }) => "rate_limited",
        Answer::Stalled(Stall::Forbidden) => "forbidden",
        Answer::Stalled(Stall::Failed {
            repeat: Repeat::SameKey,
        }) => "failed",
        Answer::Stalled(Stall::Failed {
            repeat: Repeat::Never,
        }) => "failed_for_good",
        Answer::Stalled(Stall::Lost) => "lost",
    }
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver")
            .field("valve", &self.valve)
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}
