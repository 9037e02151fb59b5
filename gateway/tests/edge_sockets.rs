//! The edge over real sockets: raw clients, raw upstreams, short deadlines.
#![expect(
    clippy::unwrap_used,
    reason = "what fails in a test's own parts should stop the test"
)]

#[path = "edge_sockets/support.rs"]
mod support;

#[path = "edge_sockets/connections.rs"]
mod connections;
#[path = "edge_sockets/cores.rs"]
mod cores;
#[path = "edge_sockets/framing.rs"]
mod framing;
#[path = "edge_sockets/holding.rs"]
mod holding;
#[path = "edge_sockets/multiplexed.rs"]
mod multiplexed;
#[path = "edge_sockets/pooling.rs"]
mod pooling;
#[path = "edge_sockets/proxying.rs"]
mod proxying;
#[path = "edge_sockets/stages.rs"]
mod stages;
#[path = "edge_sockets/stalling.rs"]
mod stalling;
#[path = "edge_sockets/upgrading.rs"]
mod upgrading;
#[path = "edge_sockets/uploading.rs"]
mod uploading;
#[path = "edge_sockets/ways.rs"]
mod ways;
