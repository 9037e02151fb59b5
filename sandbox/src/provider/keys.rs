//! Idempotency keys: one execution per key, its answer repeated for a day.
//!
//! Rules from Stripe's "Idempotent requests" and "Advanced error handling": an answer is saved once
//! the endpoint began to execute, 500s included; other parameters under the same key are an error;
//! a twin in flight is a conflict.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use http::StatusCode;

use super::error::ApiError;

/// An answer as it was first sent.
#[derive(Clone, Debug)]
pub(crate) struct SavedAnswer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    /// Request id of the first execution, sent as `Original-Request`.
    pub(crate) request_id: String,
}

/// What a request under a key is to do.
#[derive(Debug)]
pub(crate) enum Begun {
    /// First of its key: execute, then [`Keys::save`] or [`Keys::release`].
    Fresh,
    /// Repeat this answer.
    Replay(SavedAnswer),
}

#[derive(Debug)]
struct Entry {
    path: String,
    fingerprint: [u8; 32],
    /// `None` while in flight.
    answer: Option<SavedAnswer>,
}

/// Stripe keeps keys at least this long, and so do we, exactly.
const LIFETIME_MS: u64 = 24 * 60 * 60 * 1_000;
const KEY_LENGTH_MAX: usize = 255;

/// All keys of the last day.
#[derive(Debug)]
pub(crate) struct Keys {
    entries: HashMap<String, Entry>,
    /// Keys with saved answers by the time they expire, oldest first.
    expiry: VecDeque<(u64, String)>,
    capacity: usize,
}

impl Keys {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            entries: HashMap::new(),
            expiry: VecDeque::new(),
            capacity,
        }
    }

    /// Takes the key for a request, or says why it cannot be had.
    pub(crate) fn begin(
        &mut self,
        key: &str,
        path: &str,
        fingerprint: [u8; 32],
        now_ms: u64,
    ) -> Result<Begun, ApiError> {
        if key.is_empty() || key.len() > KEY_LENGTH_MAX {
            let message = format!("Idempotency keys hold 1 to {KEY_LENGTH_MAX} characters.");
            return Err(ApiError::invalid(message, None).before_execution());
        }
        self.expire(now_ms);
        if let Some(entry) = self.entries.get(key) {
            return repeat(key, path, fingerprint, entry);
        }
        if self.entries.len() >= self.capacity {
            return Err(ApiError::unavailable(
                "The sandbox holds as many idempotency keys as it may.",
            ));
        }
        let entry = Entry {
            path: path.to_owned(),
            fingerprint,
            answer: None,
        };
        self.entries.insert(key.to_owned(), entry);
        Ok(Begun::Fresh)
    }

    /// Keeps the answer of a finished execution for a day.
    pub(crate) fn save(&mut self, key: &str, answer: SavedAnswer, now_ms: u64) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.answer = Some(answer);
            self.expiry
                .push_back((now_ms.saturating_add(LIFETIME_MS), key.to_owned()));
        }
    }

    /// Forgets a key whose execution never began.
    pub(crate) fn release(&mut self, key: &str) {
        self.entries.remove(key);
    }

    fn expire(&mut self, now_ms: u64) {
        while self.expiry.front().is_some_and(|(at, _)| *at <= now_ms) {
            if let Some((_, key)) = self.expiry.pop_front() {
                self.entries.remove(&key);
            }
        }
    }
}

fn repeat(key: &str, path: &str, fingerprint: [u8; 32], entry: &Entry) -> Result<Begun, ApiError> {
    let refused = |status, message| ApiError::new(status, "idempotency_error", message).before_execution();
    if entry.path != path {
        let first = &entry.path;
        let message = format!(
            "Keys for idempotent requests can only be used for the same endpoint they were first used for \
             ('{path}' vs '{first}'). Try using a key other than '{key}' if you meant to execute a \
             different request."
        );
        return Err(refused(StatusCode::BAD_REQUEST, message));
    }
    if entry.fingerprint != fingerprint {
        let message = format!(
            "Keys for idempotent requests can only be used with the same parameters they were first used \
             with. Try using a key other than '{key}' if you meant to execute a different request."
        );
        return Err(refused(StatusCode::BAD_REQUEST, message));
    }
    if let Some(answer) = &entry.answer {
        return Ok(Begun::Replay(answer.clone()));
    }
    let message = format!(
        "There is currently another in-progress request using this Idempotent Key (that probably means you \
         submitted twice, and the other request is still going through): {key}"
    );
    Err(refused(StatusCode::CONFLICT, message)
        .code("idempotency_key_in_use")
        .retry(true))
}
