//! Counters that a progress bar may read while the crowd is at work.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Live counts; each only grows. Written by the shoppers, read by anybody.
        #[derive(Debug, Default)]
        pub struct Progress {
            $($name: AtomicU64,)*
        }

        /// [`Progress`] at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Progress {
            /// All counts as they are now.
            #[must_use]
            pub fn counts(&self) -> Counts {
                Counts { $($name: self.$name.load(Ordering::Relaxed),)* }
            }

            $(pub(crate) fn $name(&self) {
                self.$name.fetch_add(1, Ordering::Relaxed);
            })*
        }
    };
}

counters! {
    /// Shoppers who opened the page.
    arrived,
    /// Shoppers who hold or held a ticket.
    joined,
    /// Shoppers who were called.
    called,
    /// Shoppers who were let in.
    admitted,
    /// Shoppers who were called and did not come.
    no_shows,
    /// Shoppers who left the queue.
    left,
    /// Shoppers who came too late.
    lapsed,
    /// Shoppers who were told that nothing is left.
    sold_out,
    /// Orders that were reserved.
    reserved,
    /// Orders that were accepted for payment.
    accepted,
    /// Orders seen paid.
    paid,
    /// Orders seen declined.
    declined,
    /// Orders seen released.
    released,
    /// Shoppers who went home, for whatever reason.
    finished,
    /// Requests that were answered.
    requests,
    /// Connections that broke or could not be made.
    broken,
    /// Answers that were problems.
    problems,
    /// Invariants seen violated.
    violations,
}
