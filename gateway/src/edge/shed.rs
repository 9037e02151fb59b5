//! Sheds load before work is done: when requests in flight approach the cap, the least
//! important ones are refused first, so that a shopper who pays is the last to be turned away.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::Span;
use http::Method;

use super::observe::Priority;
use super::problem::Problem;

/// How long a shed client is asked to stay away: long enough to help, short enough to forgive.
const RETRY_AFTER: Span = Span::from_secs(2);

/// Counts requests in flight and refuses by priority. Clones share one count.
#[derive(Clone, Debug)]
pub struct Shedder {
    in_flight: Arc<AtomicUsize>,
    /// Requests in flight from which each priority is refused.
    ceilings: [usize; Priority::ALL.len()],
}

/// The right to be worked on; given back when dropped.
#[derive(Debug)]
pub struct Place(Arc<AtomicUsize>);

impl Shedder {
    /// Allows `in_flight_max` requests at once, and each priority only its share of them:
    /// open 60 %, join 75 %, poll 85 %, reserve 95 %, pay all.
    pub fn new(in_flight_max: usize) -> Self {
        let share = |percent: usize| in_flight_max.saturating_mul(percent).div_ceil(100);
        let ceilings = [share(60), share(75), share(85), share(95), in_flight_max];
        Self {
            in_flight: Arc::default(),
            ceilings,
        }
    }

    /// Takes a place for a request of `priority`, or refuses it.
    pub fn enter(&self, priority: Priority) -> Result<Place, Problem> {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(&self.in_flight));
        if before < self.ceilings[priority.index()] {
            return Ok(place);
        }
        Err(Problem::overloaded(RETRY_AFTER))
    }

    /// Requests in flight right now.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
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
        let shedder = Shedder::new(100);
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
        let shedder = Shedder::new(0);
        let problem = shedder.enter(Priority::Pay).unwrap_err();
        assert_eq!(problem.status(), 503);
        assert_eq!(shedder.in_flight(), 0);
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
