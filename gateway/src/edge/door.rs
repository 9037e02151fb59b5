//! The seams at which the rest of the gateway plugs in: the door that decides about protected
//! paths, and the handler that answers our own paths.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use domain::DropId;
use http::request::Parts;
use http::{HeaderValue, Request, Response};

use super::body::{EdgeBody, RequestBody};
use super::headers::{Command, Proof};
use super::visit::Visit;

/// An answer in the making.
pub type AnswerFuture = Pin<Box<dyn Future<Output = Response<EdgeBody>> + Send>>;

/// Decides who passes on a protected path. Called for every such request: an admitted one costs no
/// store and no wait.
pub trait Door: Send + Sync {
    /// Decides about one request to a path that `drop` protects. Whatever cannot be decided is
    /// held: the door fails closed.
    fn decide(&self, drop: &DropId, request: &Parts, visit: &Visit) -> Decision;

    /// Carries out what the upstream asked in its answer to an admitted request.
    fn obey(&self, drop: &DropId, command: Command, admitted: &Admitted, visit: &Visit) -> Vec<HeaderValue>;
}

/// A decision in the making.
pub type DecisionFuture = Pin<Box<dyn Future<Output = Decision> + Send>>;

/// What the door says.
pub enum Decision {
    /// Let it pass to the upstream.
    Admit(Admitted),
    /// Answer in the upstream's place: the waiting room, or a refusal.
    Hold(Response<EdgeBody>),
    /// Receiving a stranger or renewing a session takes a moment; everybody else is decided at once.
    Later(DecisionFuture),
}

impl Decision {
    /// The decision itself, waited for where it takes a moment.
    pub(super) async fn settled(mut self) -> Settled {
        loop {
            match self {
                Self::Admit(admitted) => return Settled::Admit(admitted),
                Self::Hold(response) => return Settled::Hold(response),
                Self::Later(decision) => self = decision.await,
            }
        }
    }
}

/// A decision that was waited for.
pub(super) enum Settled {
    Admit(Admitted),
    Hold(Response<EdgeBody>),
}

/// An admitted request.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Names the admission to the door again, in [`Door::obey`].
    pub admission: [u8; 16],
    /// What the upstream is told.
    pub proof: Proof,
    /// `Set-Cookie` lines for the shopper, such as a renewed admission; usually none.
    pub set_cookies: Vec<HeaderValue>,
}

/// Answers requests to our own paths.
pub trait Handler: Send + Sync {
    /// Answers a request that needs neither its body nor a wait, as most polls do: without a
    /// future to make. `None` leaves it to [`Handler::answer`], which can answer all of them.
    fn at_once(&self, request: &Parts, visit: &Visit) -> Option<Response<EdgeBody>> {
        let _ = (request, visit);
        None
    }

    /// Answers one request. Its path is in normal form.
    fn answer(&self, request: Request<RequestBody>, visit: Visit) -> AnswerFuture;
}

impl<H: Handler + ?Sized> Handler for Arc<H> {
    fn at_once(&self, request: &Parts, visit: &Visit) -> Option<Response<EdgeBody>> {
        (**self).at_once(request, visit)
    }

    fn answer(&self, request: Request<RequestBody>, visit: Visit) -> AnswerFuture {
        (**self).answer(request, visit)
    }
}
