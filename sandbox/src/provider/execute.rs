//! One execution of an API call: under its idempotency key, through the faults it meets.

use bytes::Bytes;
use http::StatusCode;

use super::card;
use super::error::ApiError;
use super::fault::{Fault, Verdict};
use super::keys::{Begun, SavedAnswer};
use super::operations::{self, Call};
use super::route::Operation;
use super::server::{Server, put, refusal};
use super::shared::State;
use crate::serve::{HangUp, Reply, reply};

/// A call with everything it needs to run apart from its connection.
pub(crate) struct Execution {
    pub(crate) server: Server,
    pub(crate) path: String,
    pub(crate) key: Option<String>,
    pub(crate) request_id: String,
    pub(crate) call: Call,
}

/// Carries the call out, or repeats what was answered before.
pub(crate) async fn execute(execution: Execution) -> Result<Reply, HangUp> {
    let (begun, verdict) = execution.begin();
    let begun = match begun {
        Ok(begun) => begun,
        Err(error) => return Ok(refusal(&error)),
    };
    execution.server.pause(verdict.delay_ms).await;
    if let Begun::Replay(saved) = begun {
        return match verdict.fault {
            Some(Fault::LostAnswer | Fault::LostRequest) => Err(HangUp),
            _ => Ok(replay(&saved)),
        };
    }
    if let Some(early) = execution.fail_before_effect(&verdict).await {
        return early;
    }
    let answer = execution.take_effect(verdict.fault);
    match verdict.fault {
        Some(Fault::LostAnswer) => Err(HangUp),
        _ => Ok(answer),
    }
}

impl Execution {
    fn begin(&self) -> (Result<Begun, ApiError>, Verdict) {
        let shared = &self.server.shared;
        let mut guard = shared.state();
        let state = &mut *guard;
        let own = self.own_fault(state);
        let verdict = state.faults.judge(self.call.operation, own);
        let begun = match &self.key {
            None => Ok(Begun::Fresh),
            Some(key) => {
                let fingerprint = self.call.params.fingerprint();
                state
                    .keys
                    .begin(key, &self.path, fingerprint, shared.clock.now_ms())
            }
        };
        (begun, verdict)
    }

    /// The fault that the payment method of this purchase asks for at this operation.
    fn own_fault(&self, state: &State) -> Option<(Fault, u32, String)> {
        let call = &self.call;
        let index = call.id.as_deref().and_then(|id| state.book.find(id).ok());
        let stored = index.and_then(|index| state.book.intents[index].payment_method.as_deref());
        let method = call.params.get("payment_method").or(stored)?;
        let (operation, fault, times) = card::find(method)?.fault?;
        let charges = [Operation::CreateIntent, Operation::ConfirmIntent];
        let applies = operation == call.operation
            || (operation == Operation::CreateIntent && charges.contains(&call.operation));
        // One purchase is one order where the client names it: a client that takes a new key for
        // the same order must not meet the same fault for ever.
        let order_key = state.book.order_key();
        let named = call.params.get(&format!("metadata[{order_key}]"));
        let known = index.and_then(|index| state.book.intents[index].metadata.get(order_key));
        let order = named.or(known.map(String::as_str)).map(str::to_owned);
        let purchase = order
            .or_else(|| self.key.clone())
            .unwrap_or_else(|| format!("{}?{method}", self.path));
        applies.then_some((fault, times, purchase))
    }

    async fn fail_before_effect(&self, verdict: &Verdict) -> Option<Result<Reply, HangUp>> {
        let early = match verdict.fault? {
            Fault::LostRequest => {
                self.server.pause(verdict.hang_ms).await;
                Err(HangUp)
            }
            Fault::RateLimited => Ok(refusal(&ApiError::rate_limited())),
            Fault::Unsaved500 => Ok(refusal(&ApiError::unavailable("An unknown error occurred."))),
            Fault::Saved500 => {
                let error = crashed();
                self.save(
                    &mut self.server.shared.state(),
                    error.status,
                    error.to_body().into(),
                );
                return Some(Ok(refusal(&error)));
            }
            Fault::Slow | Fault::LostAnswer | Fault::Saved500AfterEffect => return None,
        };
        if let Some(key) = &self.key {
            self.server.shared.state().keys.release(key);
        }
        Some(early)
    }

    /// Performs the call and settles its key in one step, so that no twin sees one without the other.
    fn take_effect(&self, fault: Option<Fault>) -> Reply {
        let shared = &self.server.shared;
        let mut guard = shared.state();
        let state = &mut *guard;
        let result = operations::perform(&mut state.book, &self.call, shared.clock.now_ms());
        shared.publish(state);
        let result = if fault == Some(Fault::Saved500AfterEffect) {
            Err(crashed())
        } else {
            result
        };
        match result {
            Ok(object) => {
                let body = Bytes::from(object.to_string());
                self.save(state, StatusCode::OK, body.clone());
                reply(StatusCode::OK, "application/json", body)
            }
            Err(error) => {
                if error.saved {
                    self.save(state, error.status, error.to_body().into());
                } else if let Some(key) = &self.key {
                    state.keys.release(key);
                }
                refusal(&error)
            }
        }
    }

    fn save(&self, state: &mut State, status: StatusCode, body: Bytes) {
        if let Some(key) = &self.key {
            let answer = SavedAnswer {
                status,
                body,
                request_id: self.request_id.clone(),
            };
            state.keys.save(key, answer, self.server.shared.clock.now_ms());
        }
    }
}

/// A 500 out of a running endpoint: saved, and with no word on whether anything happened.
fn crashed() -> ApiError {
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "api_error",
        "An unknown error occurred.",
    )
}

fn replay(saved: &SavedAnswer) -> Reply {
    let mut answer = reply(saved.status, "application/json", saved.body.clone());
    put(answer.headers_mut(), "idempotent-replayed", "true");
    put(answer.headers_mut(), "original-request", &saved.request_id);
    answer
}
