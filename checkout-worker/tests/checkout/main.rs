//! The checkout from the outside: the ledger's contract, histories against the domain's model, whole purchases against
//! providers that misbehave, and a death at every commit and every call.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod contract;
mod crash;
mod histories;
mod house;
mod many;
mod purchases;
mod recovery;
mod sandboxed;
mod support;
mod webhooks;
