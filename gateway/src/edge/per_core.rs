//! One value per thread that serves, so that what every request writes to stays in its core's cache:
//! a counter that two cores share costs each of them a transfer of its cache line per request.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

/// Threads are numbered as they come.
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
}

/// A value per core. Threads beyond the number of cores share: right for whatever bears sharing,
/// which is why `T` is only ever lent out.
#[derive(Debug)]
pub struct PerCore<T>(Box<[Alone<T>]>);

/// Two cache lines of its own, because processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Alone<T>(pub(super) T);

impl<T> PerCore<T> {
    /// Makes one value for each core.
    pub fn new(make: impl Fn() -> T) -> Self {
        let cores = available_parallelism().map_or(1, std::num::NonZero::get);
        Self((0..cores).map(|_| Alone(make())).collect())
    }

    /// The value of the present thread.
    pub fn mine(&self) -> &T {
        &self.0[number() % self.0.len()].0
    }

    /// All values.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|alone| &alone.0)
    }
}

impl<T: Default> Default for PerCore<T> {
    fn default() -> Self {
        Self::new(T::default)
    }
}

fn number() -> usize {
    NUMBER.with(|known| {
        known.get().unwrap_or_else(|| {
            let number = THREADS.fetch_add(1, Ordering::Relaxed);
            known.set(Some(number));
            number
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_however_threads_share() {
        let counts = PerCore::<AtomicUsize>::default();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        counts.mine().fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        let all: usize = counts.all().map(|count| count.load(Ordering::Relaxed)).sum();
        assert_eq!(all, 8_000);
    }

    #[test]
    fn a_thread_keeps_its_value() {
        let values = PerCore::<AtomicUsize>::default();
        assert!(std::ptr::eq(values.mine(), values.mine()));
    }
}
