//! The command line: what merchants and ops type.
//!
//! [`args`] says what can be typed; [`offline`] runs what needs no running gateway. All results
//! are written to a `dyn Write` that the caller passes in, so that tests read them back.

pub mod args;
mod exit;
pub mod live;
pub mod offline;
mod show;
mod signals;

pub use exit::Exit;

#[cfg(test)]
mod tests;
