//! The edge: connections, hygiene, limits and the reverse proxy.
//!
//! A connection is accepted by a [`listener::Listener`] and its requests pass the stages of
//! [`stack::Stack`], top to bottom. What decides about admission and what answers our own paths
//! plugs in through [`door::Door`] and [`door::Handler`]; what counts, through
//! [`observe::Observer`]. Nothing here knows a queue, a store or a page.

pub mod address;
pub mod body;
pub mod checks;
pub mod connection;
pub mod door;
mod gather;
pub mod headers;
pub mod ids;
pub mod limits;
pub mod listener;
pub mod observe;
pub mod path;
pub mod per_core;
pub mod problem;
pub mod proxy;
pub mod shed;
pub mod stack;
pub mod visit;

pub use address::ClientAddress;
pub use body::{BodyError, BoxError, EdgeBody, RequestBody};
pub use door::{Admitted, AnswerFuture, Decision, Door, Handler};
pub use headers::{Command, Proof};
pub use ids::RequestId;
pub use limits::AddressLimit;
pub use problem::{Form, Pages, Problem};
pub use visit::Visit;
