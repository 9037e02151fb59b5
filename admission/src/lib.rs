//! Who may enter: the queue store, tickets and admission tokens, and the caller that moves the
//! frontier. Decides nothing itself: every rule is `domain`'s.

pub mod desk;
pub mod figures;
pub mod keys;
pub mod outside;
pub mod place;
pub mod snapshot;
pub mod store;
pub mod token;
pub mod visitor;

pub use desk::{
    Admission, Claimed, Command, Grant, JoinError, Joined, LeaveError, OpenError, Parts, Settings,
    Unavailable,
};
pub use figures::Figures;
pub use keys::{KeyError, Keys};
pub use outside::Outside;
pub use place::{Place, PlaceError, PlaceState};
pub use snapshot::{DrawView, Snapshot};
pub use store::embedded::EmbeddedStore;
pub use store::{QueueStore, StoreOpenError};
pub use token::{Admitted, TokenError};
pub use visitor::Visitor;
