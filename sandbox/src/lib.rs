#![doc = include_str!("../README.md")]

pub mod clock;
mod link;
mod random;
mod serve;

pub mod crowd;
pub mod provider;
pub mod shop;
