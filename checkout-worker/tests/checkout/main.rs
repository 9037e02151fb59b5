//! The checkout from the outside: the ledger's contract, histories against the domain's model, whole purchases against
//! providers that misbehave, a death at every commit and every call, and brokers that are hurt.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod adversary;
mod audits;
mod broker;
mod contract;
mod crash;
mod crowds;
mod distrust;
mod drains;
mod histories;
mod house;
mod lists;
mod livelock;
mod many;
mod news;
mod purchases;
mod reconciling;
mod recovery;
mod relay;
mod repeats;
mod restored;
mod sandboxed;
mod signatures;
mod storm;
mod strays;
mod support;
mod switches;
mod telling;
mod turns;
mod webhooks;
mod wire;
mod witness;
mod workers;
mod written;
