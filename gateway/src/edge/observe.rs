//! What the edge tells the metrics: every name is an enum, so that an observer can count in
//! plain arrays of atomics and no label is looked up while a request waits.

use std::time::Duration;

use http::StatusCode;

/// Declares an enum whose variants have a stable label and a dense index.
macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $label:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// Every variant, in the order of [`index`](Self::index).
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The label as it stands in metrics.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            /// A dense index from 0, for arrays of counters.
            pub const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

labels! {
    /// Where a request went: the label `route`.
    Route {
        /// Ours: `/.doorline/…` and the few exact paths beside it.
        Api = "api",
        /// A path that a drop protects.
        Protected = "protected",
        /// A path that no drop protects.
        Open = "open",
        /// Turned away before a route was known.
        Unrouted = "unrouted",
    }
}

labels! {
    /// How a request ended: the label `outcome`.
    Outcome {
        /// Answered with a status below 400.
        Ok = "ok",
        /// Kept in the waiting room by the door, or told on purpose to come back later.
        Held = "held",
        /// Answered with a status from 400 to 499.
        ClientError = "client_error",
        /// Answered with a status from 500, by the upstream or by us.
        ServerError = "server_error",
        /// Refused because it could be read in two ways.
        Malformed = "malformed",
        /// Refused by a rate limit.
        RateLimited = "rate_limited",
        /// Refused to keep capacity for more important requests.
        Shed = "shed",
        /// The upstream gave no usable answer.
        UpstreamFailed = "upstream_failed",
        /// The client left before the answer was ready.
        Abandoned = "abandoned",
    }
}

labels! {
    /// Which rate limit refused: the label `limit`.
    Limit {
        /// Requests per client address.
        PerAddress = "per_address",
        /// Joins per client address.
        JoinsPerAddress = "joins_per_address",
    }
}

labels! {
    /// How important a request is when capacity runs short, least important first: the label `priority`.
    Priority {
        /// Paths that no drop protects.
        Open = "open",
        /// Joining a queue.
        Join = "join",
        /// Looking at a place, a page or an order; passing on a protected path.
        Poll = "poll",
        /// Claiming admission and reserving units.
        Reserve = "reserve",
        /// Paying, and what the provider tells us.
        Pay = "pay",
    }
}

labels! {
    /// Why a connection was turned away or cut: the label `reason`.
    ConnectionEnd {
        /// All connections allowed at once were open.
        Capacity = "capacity",
        /// All connections allowed at once from one address were open.
        PerAddress = "per_address",
        /// No first byte, or no finished TLS handshake, in time.
        FirstByte = "first_byte",
        /// A request head was not complete in time.
        Header = "header",
        /// Nothing was asked for too long.
        Idle = "idle",
        /// The client stopped reading its answer.
        WriteStalled = "write_stalled",
        /// The drain deadline of a shutdown passed.
        Drained = "drained",
        /// The peer broke the protocol or went away.
        Broken = "broken",
    }
}

labels! {
    /// How one exchange with the upstream ended: the label `outcome`.
    UpstreamOutcome {
        /// A status below 500.
        Answered = "answered",
        /// A status from 500.
        ServerError = "server_error",
        /// No connection could be opened.
        ConnectFailed = "connect_failed",
        /// No connection, no response head or no body byte in time.
        TimedOut = "timed_out",
        /// The connection broke, or what came was not HTTP.
        Broken = "broken",
        /// Our own cap on connections was reached, and none of them became free in time: the upstream
        /// is slow, or the cap is low.
        Saturated = "saturated",
        /// The client's own body failed, the client left, or too many other clients let connections
        /// wait for their bodies: says nothing about the upstream.
        ClientFailed = "client_failed",
    }
}

/// Receives what happens at the edge. Every method is called on the request path: count and return.
pub trait Observer: Send + Sync {
    /// A request ended; `took` runs from its head being complete to its answer's head being ready.
    fn request(&self, route: Route, outcome: Outcome, took: Duration) {
        let _ = (route, outcome, took);
    }
    /// A rate limit refused a request.
    fn rate_limited(&self, limit: Limit) {
        let _ = limit;
    }
    /// A request was refused to keep capacity free.
    fn shed(&self, priority: Priority) {
        let _ = priority;
    }
    /// A connection was accepted and counts against the caps.
    fn connection_opened(&self) {}
    /// An accepted connection is gone.
    fn connection_closed(&self) {}
    /// A connection was turned away or cut.
    fn connection_ended(&self, why: ConnectionEnd) {
        let _ = why;
    }
    /// The task of a connection or request panicked; the process lives on.
    fn panicked(&self) {}
    /// One exchange with the upstream ended; `took` runs from the last byte of the request, or from the
    /// wait for a connection where there is no body, to the response head or the failure. What clients
    /// take for their bodies is no part of it.
    fn upstream(&self, outcome: UpstreamOutcome, took: Duration) {
        let _ = (outcome, took);
    }
    /// A request was sent again because a pooled connection died before any answer.
    fn upstream_retried(&self) {}
}

/// Counts nothing: for tests and tools.
#[derive(Clone, Copy, Default, Debug)]
pub struct Unobserved;

impl Observer for Unobserved {}

impl Outcome {
    /// The outcome that a plain answer with `status` counts as.
    pub fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            0..=399 => Self::Ok,
            400..=499 => Self::ClientError,
            500.. => Self::ServerError,
        }
    }
}
