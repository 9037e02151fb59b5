//! Sheds load before work is done: when requests in flight approach the cap, the least
//! important ones are refused first, so that a shopper who pays is the last to be turned away.

use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};

use domain::Span;
use http::Method;

use super::observe::Priority;
use super::per_core::PerCore;
use super::problem::Problem;

/// How long a shed client is asked to stay away: long enough to help, short enough to forgive.
const RETRY_AFTER: Span = Span::from_secs(2);

/// What all cores together may keep to themselves of their counts: a share of the cap in so many.
const UNTOLD_SHARE: usize = 128;

/// Counts requests in flight and refuses by priority. Clones share one count.
///
/// A core keeps to itself how its count moves and tells the others only once it has moved far: were
/// one word counted up and down with every request, the cores would pass its cache line to and fro.
/// So a refusal may come early or late by the 128th part of the cap; below a cap of 128 requests
/// per core the count is exact.
#[derive(Clone, Debug)]
pub struct Shedder {
    in_flight: Arc<InFlight>,
    /// Requests in flight from which each priority is refused.
    ceilings: [usize; Priority::ALL.len()],
}

#[derive(Debug)]
struct InFlight {
    /// What the cores have told.
    told: AtomicIsize,
    /// What each has not told yet. All of it and `told` together are the requests in flight.
    untold: PerCore<AtomicIsize>,
    /// How much a core keeps to itself.
    untold_max: usize,
}

impl InFlight {
    /// Counts one more or one less. Yields how many were in flight before, as far as this core knows.
    fn moved(&self, by: isize) -> usize {
        let mine = self.untold.mine();
        let untold = mine.fetch_add(by, Ordering::Relaxed) + by;
        let told = if untold.unsigned_abs() > self.untold_max {
            // What is taken here is given there, so that nothing is lost between threads of one core.
            mine.fetch_sub(untold, Ordering::Relaxed);
            self.told.fetch_add(untold, Ordering::Relaxed)
        } else {
            self.told.load(Ordering::Relaxed)
        };
        usize::try_from(told + untold - by).unwrap_or(0)
    }
}

/// The right to be worked on; given back when dropped.
#[derive(Debug)]
pub struct Place(Arc<Shedder>);

impl Shedder {
    /// Allows `in_flight_max` requests at once, and each priority only its share of them:
    /// open 60 %, join 75 %, poll 85 %, reserve 95 %, pay all.
    pub fn new(in_flight_max: usize) -> Self {
        let share = |percent: usize| in_flight_max.saturating_mul(percent).div_ceil(100);
        let ceilings = [share(60), share(75), share(85), share(95), in_flight_max];
        let untold = PerCore::<AtomicIsize>::default();
        let untold_max = in_flight_max / UNTOLD_SHARE / untold.all().count();
        Self {
            in_flight: Arc::new(InFlight {
                told: AtomicIsize::new(0),
                untold,
                untold_max,
            }),
            ceilings,
        }
    }

    /// Takes a place for a request of `priority`, or refuses it. The place refers to this very
    /// shedder, of which a runtime best has a clone of its own.
    pub fn enter(self: &Arc<Self>, priority: Priority) -> Result<Place, Problem> {
        let before = self.in_flight.moved(1);
        let place = Place(Arc::clone(self));
        if before < self.ceilings[priority.index()] {
            return Ok(place);
        }
        Err(Problem::overloaded(RETRY_AFTER))
    }

    /// Requests in flight right now.
    pub fn in_flight(&self) -> usize {
        let count = |count: &AtomicIsize| count.load(Ordering::Relaxed);
        let untold: isize = self.in_flight.untold.all().map(count).sum();
        usize::try_from(count(&self.in_flight.told) + untold).unwrap_or(0)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_flight.moved(-1);
    }
}

/// How important a request to our own API is, from its method and its normal path.
pub fn api_priority(method: &Method, path: &str) -> Priority {
    let writes = *method == Method::POST;
    if !writes && *method != Method::DELETE {
        return Priority::Poll; // by far the most, told without a look at the path
    }
    let path = path.trim_end_matches('/');
    match path.rsplit('/').next() {
        Some("payment") if writes => Priority::Pay,
        Some("orders" | "admission") if writes => Priority::Reserve,
        Some("ticket") if writes => Priority::Join,
        _ if writes && path.contains("/webhooks/") => Priority::Pay,
        _ if *method == Method::DELETE => Priority::Reserve, // gives units or a place back
        _ => Priority::Poll,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_important_are_refused_first() {
        let shedder = Arc::new(Shedder::new(100));
        let mut held = Vec::new();
        for (priority, ceiling) in [
            (Priority::Open, 60),
            (Priority::Join, 75),
            (Priority::Poll, 85),
            (Priority::Reserve, 95),
            (Priority::Pay, 100),
        ] {
            while let Ok(place) = shedder.enter(priority) {
                held.push(place);
            }
            assert_eq!(held.len(), ceiling, "{priority:?}");
        }
        held.truncate(10);
        assert_eq!(shedder.in_flight(), 10);
        assert!(shedder.enter(Priority::Open).is_ok());
    }

    #[test]
    fn a_refusal_takes_no_place_and_says_when_to_return() {
        let shedder = Arc::new(Shedder::new(0));
        let problem = shedder.enter(Priority::Pay).unwrap_err();
        assert_eq!(problem.status(), 503);
        assert_eq!(shedder.in_flight(), 0);
    }

    #[test]
    fn cores_keep_little_to_themselves_and_lose_nothing() {
        let max = 100_000;
        let shedder = Arc::new(Shedder::new(max));
        let enter = |count: usize| -> Vec<Place> {
            (0..count)
                .map_while(|_| shedder.enter(Priority::Pay).ok())
                .collect()
        };
        let held: Vec<Place> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| enter(max))).collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().expect("no thread panics"))
                .collect()
        });
        assert_eq!(shedder.in_flight(), held.len());
        assert!(held.len().abs_diff(max) <= max / UNTOLD_SHARE, "{}", held.len());
        drop(held); // by another thread than those that took the places
        assert_eq!(shedder.in_flight(), 0);
        assert!(shedder.enter(Priority::Open).is_ok());
    }

    #[test]
    fn api_requests_rank_by_what_they_do() {
        for (method, path, priority) in [
            (Method::POST, "/.doorline/v1/orders/abc/payment", Priority::Pay),
            (Method::POST, "/.doorline/v1/webhooks/stripe", Priority::Pay),
            (
                Method::POST,
                "/.doorline/v1/drops/aurora/orders",
                Priority::Reserve,
            ),
            (
                Method::POST,
                "/.doorline/v1/drops/aurora/admission",
                Priority::Reserve,
            ),
            (Method::POST, "/.doorline/v1/drops/aurora/ticket/", Priority::Join),
            (Method::GET, "/.doorline/v1/drops/aurora/ticket", Priority::Poll),
            (Method::GET, "/.doorline/v1/orders/abc/payment", Priority::Poll),
            (Method::DELETE, "/.doorline/v1/orders/abc", Priority::Reserve),
        ] {
            assert_eq!(api_priority(&method, path), priority, "{method} {path}");
        }
    }
}
