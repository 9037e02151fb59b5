//! The waiting room: its pages and what they show.

pub mod cloudflare;
pub mod page;
pub mod return_path;
