//! What hyper polls for the answer to one request.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;

use super::super::body::EdgeBody;
use super::super::connection::InFlight;
use super::super::door::AnswerFuture;
use super::Answer;

/// The future that hyper wants. Small, because hyper moves it about: an answer that is ready, or a
/// pointer to what makes it.
pub(super) enum Answering {
    Ready(Option<Response<EdgeBody>>),
    Later(AnswerFuture, Option<InFlight>),
}

impl Answering {
    /// Marks the connection as busy until the answer's last byte is handed over.
    pub(super) fn of(answer: Answer, in_flight: InFlight) -> Self {
        match answer {
            Answer::Ready(mut response) => {
                response.body_mut().set_in_flight(in_flight);
                Self::Ready(Some(response))
            }
            Answer::Later(answer) => Self::Later(answer, Some(in_flight)),
        }
    }
}

impl Future for Answering {
    type Output = Result<Response<EdgeBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Ready(response) => Poll::Ready(Ok(response.take().expect("polled once it is ready"))),
            Self::Later(answer, in_flight) => {
                let mut response = ready!(answer.as_mut().poll(cx));
                if let Some(in_flight) = in_flight.take() {
                    response.body_mut().set_in_flight(in_flight);
                }
                Poll::Ready(Ok(response))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::Entropy;
    use futures_util::FutureExt;

    use super::*;
    use crate::edge::connection::{Connection, Phase, Scheme};

    struct Fixed;
    impl Entropy for Fixed {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(7);
        }
    }

    fn phase_of(connection: &Connection) -> Phase {
        connection.watch.sight().phase
    }

    #[test]
    fn a_connection_is_busy_until_its_answer_is_gone_however_it_was_made() {
        let later = || Answer::Later(Box::pin(async { Response::new(EdgeBody::from("later")) }));
        let ready = || Answer::Ready(Response::new(EdgeBody::from("ready")));
        let peer = "192.0.2.1:1".parse().expect("an address");
        for answer in [later(), ready()] {
            let connection = Arc::new(Connection::new(peer, Scheme::Http, &Fixed));
            let answering = Answering::of(answer, connection.begin_request());
            assert_eq!(phase_of(&connection), Phase::Busy);
            let response = answering.now_or_never().expect("nothing is waited for");
            assert_eq!(phase_of(&connection), Phase::Busy);
            drop(response);
            assert_eq!(phase_of(&connection), Phase::Idle);
        }
    }

    #[test]
    fn a_connection_is_free_again_when_its_client_leaves() {
        let peer = "192.0.2.1:1".parse().expect("an address");
        let connection = Arc::new(Connection::new(peer, Scheme::Http, &Fixed));
        let never = Answer::Later(Box::pin(std::future::pending()));
        let mut answering = Answering::of(never, connection.begin_request());
        assert!((&mut answering).now_or_never().is_none());
        assert_eq!(phase_of(&connection), Phase::Busy);
        drop(answering);
        assert_eq!(phase_of(&connection), Phase::Idle);
    }
}
