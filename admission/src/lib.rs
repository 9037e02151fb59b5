#![doc = include_str!("../README.md")]

mod caller;
pub mod desk;
pub mod figures;
pub mod keys;
pub mod outside;
pub mod place;
mod shown;
pub mod snapshot;
mod steady;
pub mod store;
#[cfg(test)]
mod testing;
mod ticket;
pub mod token;
pub mod visitor;

pub use desk::{
    Admission, CheckedTicket, CheckedToken, Claimed, Command, Grant, JoinError, Joined, LeaveError,
    OpenError, Parts, Settings,
};
pub use figures::Figures;
pub use keys::{KeyError, Keys};
pub use outside::Outside;
pub use place::{Place, PlaceError, PlaceState, chances};
pub use shown::Shown;
pub use snapshot::{DrawView, Snapshot};
pub use store::embedded::EmbeddedStore;
pub use store::redis::marks::postgres::{MarksOpenError, PostgresMarks};
pub use store::redis::{RedisConfig, RedisOpenError, RedisStore};
pub use store::{Going, JoinRequest, QueueStore, StoreOpenError, Unavailable, Went};
pub use token::{Admitted, TokenError};
pub use visitor::{Seen, Visitor};
