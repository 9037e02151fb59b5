//! The rules of a drop, pure: they decide and never act.
//!
//! Nothing here opens a file, reads a clock or draws a random number: `now`, seeds and
//! measured values are arguments, and what should happen next is returned as a value.
#![no_std]
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
extern crate alloc;

pub mod id;
pub mod money;
pub mod time;

pub use id::{AdmissionId, DropId, InvalidName, Number, OrderId, Rank, ShopperKey, Sku};
pub use money::{Currency, Money, UnknownCurrency};
pub use time::{Clock, Entropy, Span, Timestamp};
