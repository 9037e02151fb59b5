//! The checkout from the outside: the ledger's contract, histories against the domain's model, whole purchases against
//! providers that misbehave, a death at every commit and every call, and brokers that are hurt.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod broker;
mod contract;
mod crash;
mod histories;
mod purchases;
mod recovery;
mod sandboxed;
mod support;
mod webhooks;
