#![doc = include_str!("../README.md")]

pub mod audit;
pub mod breaker;
pub mod broker;
pub mod checkout;
pub mod driver;
pub mod hub;
pub mod jobs;
pub mod ledger;
pub mod merchant;
pub mod observe;
pub mod pace;
pub mod postgres;
pub mod provider;
mod reserving;
mod row;
pub mod sqlite;
pub mod switch;
pub mod trail;
pub mod turns;
pub mod webhook;

pub use checkout::{Checkout, CheckoutConfig, DropTerms, OrderView, Placed, Ports, PublicState, Purchase};
