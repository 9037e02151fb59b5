#![doc = include_str!("../README.md")]

pub mod clock;
pub mod engine;
mod link;
mod random;
mod running;
mod serve;

pub use running::Running;

pub mod crowd;
pub mod provider;
pub mod relay;
pub mod shop;
