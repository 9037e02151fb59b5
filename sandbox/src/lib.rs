#![doc = include_str!("../README.md")]

pub mod clock;
pub mod engine;
mod link;
mod random;
mod serve;

pub mod crowd;
pub mod provider;
pub mod relay;
pub mod shop;
