//! The space that keys are drawn from, as the ledger has it.

use std::sync::atomic::{AtomicU32, Ordering};

use domain::saga::KeySpace;

/// The space in force. It changes with a restore only. A process that was opened before, and stood still meanwhile, reads it
/// with the switches.
#[derive(Debug)]
pub struct Keys(AtomicU32);

impl Keys {
    /// Draws from `space`.
    pub const fn of(space: KeySpace) -> Self {
        Self(AtomicU32::new(space.0))
    }

    /// The space in force.
    pub fn space(&self) -> KeySpace {
        KeySpace(self.0.load(Ordering::Acquire))
    }

    /// Moves to another space.
    pub fn move_to(&self, space: KeySpace) {
        self.0.store(space.0, Ordering::Release);
    }
}
