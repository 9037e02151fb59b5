#![doc = include_str!("../README.md")]

pub mod clock;
mod link;
mod random;
mod running;
mod serve;

pub use running::Running;

pub mod crowd;
pub mod provider;
pub mod shop;
