//! The rules of a drop, pure: they decide and never act.
//!
//! Nothing here opens a file, reads a clock or draws a random number: `now`, seeds and
//! measured values are arguments, and what should happen next is returned as a value.
#![no_std]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]
extern crate alloc;

pub mod backoff;
pub mod calls;
pub mod decision;
pub mod draw;
pub mod estimate;
pub mod health;
pub mod hint;
pub mod id;
pub mod money;
pub mod outflow;
pub mod pace;
pub mod phase;
pub mod pool;
pub mod queue;
pub mod redelivery;
pub mod returning;
pub mod rules;
pub mod saga;
pub mod sessions;
pub mod time;
pub mod turnover;
pub mod turns;
pub mod window;

pub use decision::{Decision, Intent, Question, Refusal, RouteClass, Standing};
pub use estimate::{Chance, Flow, StockLevel, Wait};
pub use hint::{Keeper, StockHint};
pub use id::{AdmissionId, DropId, InvalidName, Number, OrderId, Rank, ShopperKey, Sku};
pub use money::{Currency, Money, UnknownCurrency};
pub use outflow::{Bound, Outflow, Readings, Room};
pub use phase::{Control, Phase, Schedule, StockState};
pub use rules::{AfterOrder, DropRules, Limits, QueueingMethod, Renewal, Shuffle};
pub use time::{Clock, Entropy, Span, Timestamp};
