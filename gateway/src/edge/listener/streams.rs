//! The streams of HTTP/2 connections. Each is a task of its own, whose panic is counted, and which
//! ends when its client no longer takes the answer.
//!
//! On HTTP/1.1 the socket tells of such a client. On HTTP/2 the socket may flow while the client
//! gives one stream no room: then hyper asks for nothing more and nobody is woken. So the stream
//! keeps a deadline itself, beside hyper; its timer is made only where an answer has to wait.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::rt::Executor;
use tokio::time::{Instant, Sleep};
use tokio_util::task::TaskTracker;

use super::super::body::{EdgeBody, Taking};
use super::super::observe::Observer;

tokio::task_local! {
    /// The mark of the stream whose task this is: hyper makes that task and its answer apart.
    static TAKING: Arc<Taking>;
}

/// Runs the streams of a connection.
#[derive(Clone)]
pub(super) struct Streams {
    tasks: TaskTracker,
    observer: Arc<dyn Observer>,
    write: Duration,
}

/// How a stream ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ended {
    Served,
    Stalled,
}

struct PanicGuard(Arc<dyn Observer>);

/// Until when a client must have made room for a piece.
struct Deadline {
    piece: u32,
    timer: Pin<Box<Sleep>>,
}

impl Streams {
    /// Runs streams on `tasks` and gives their clients `write` for each piece of an answer.
    pub(super) fn new(tasks: TaskTracker, observer: Arc<dyn Observer>, write: Duration) -> Self {
        Self {
            tasks,
            observer,
            write,
        }
    }
}

/// Puts an answer under the deadline of the stream whose task this is.
pub(super) fn put_under_deadline(body: &mut EdgeBody) {
    if let Ok(taking) = TAKING.try_with(Arc::clone) {
        body.set_pieces(taking);
    }
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let guard = PanicGuard(Arc::clone(&self.observer));
        let (taking, write) = (Arc::<Taking>::default(), self.write);
        self.tasks.spawn(async move {
            let served = served(stream, &taking, write);
            if TAKING.scope(Arc::clone(&taking), served).await == Ended::Stalled {
                tracing::debug!("a stream was reset: its client did not take the answer");
            }
            drop(guard);
        });
    }
}

/// Runs `stream` to its end, or until its client has given no room for too long. What is dropped
/// then resets the stream and closes its connection to the upstream.
async fn served(stream: impl Future, taking: &Taking, write: Duration) -> Ended {
    let mut stream = pin!(stream);
    let mut deadline: Option<Deadline> = None;
    poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ended::Served);
        }
        // Holding nothing, hyper waits for us or for the upstream.
        let Some(piece) = taking.held() else {
            return Poll::Pending;
        };
        let deadline = deadline.get_or_insert_with(|| Deadline {
            piece,
            timer: Box::pin(tokio::time::sleep(write)),
        });
        if deadline.piece != piece {
            deadline.piece = piece;
            deadline.timer.as_mut().reset(Instant::now() + write);
        }
        deadline.timer.as_mut().poll(cx).map(|()| Ended::Stalled)
    })
    .await
}

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.panicked();
        }
    }
}
