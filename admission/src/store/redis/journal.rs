//! Writing down what an answer waits for: what several ask for in the same moment goes to the
//! durable record in one transaction.

use std::sync::Arc;
use std::time::Duration;

use domain::DropId;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::marks::{Era, Marks, Row};
use super::unavailable;
use crate::store::Unavailable;

/// Most requests waiting: beyond it they are refused at once.
const WAITING_MAX: usize = 8_192;
/// Most requests in one transaction.
const TOGETHER_MAX: usize = 512;
/// Longest wait for a commit.
pub(super) const WRITTEN_WITHIN: Duration = Duration::from_secs(2);

struct Request {
    drop: DropId,
    era: Era,
    rows: Vec<Row>,
    done: oneshot::Sender<Result<(), Unavailable>>,
}

/// The way to the one task that writes.
pub(super) struct Journal {
    requests: mpsc::Sender<Request>,
    /// Ends with the journal.
    _task: JoinSet<()>,
}

impl Journal {
    /// Starts the task.
    pub(super) fn new(marks: Arc<dyn Marks>) -> Self {
        let (requests, inbox) = mpsc::channel(WAITING_MAX);
        let mut task = JoinSet::new();
        task.spawn(run(marks, inbox));
        Self {
            requests,
            _task: task,
        }
    }

    /// Writes rows and waits until they are durable.
    pub(super) async fn write(&self, drop: &DropId, era: Era, rows: Vec<Row>) -> Result<(), Unavailable> {
        let (done, written) = oneshot::channel();
        let request = Request {
            drop: drop.clone(),
            era,
            rows,
            done,
        };
        self.requests
            .try_send(request)
            .map_err(|_| unavailable("the durable record cannot keep up"))?;
        written
            .await
            .unwrap_or_else(|_| Err(unavailable("the journal has stopped")))
    }
}

async fn run(marks: Arc<dyn Marks>, mut inbox: mpsc::Receiver<Request>) {
    let mut waiting = Vec::with_capacity(TOGETHER_MAX);
    while inbox.recv_many(&mut waiting, TOGETHER_MAX).await > 0 {
        while let Some(first) = waiting.first() {
            let (drop, era) = (first.drop.clone(), first.era);
            let (together, rest): (Vec<Request>, Vec<Request>) = std::mem::take(&mut waiting)
                .into_iter()
                .partition(|request| request.drop == drop && request.era == era);
            waiting = rest;
            let (mut rows, mut asked) = (Vec::new(), Vec::new());
            for request in together {
                rows.extend(request.rows);
                asked.push(request.done);
            }
            let outcome = tokio::time::timeout(WRITTEN_WITHIN, marks.write(&drop, era, rows)).await;
            let outcome = outcome.unwrap_or_else(|_| Err(late()));
            for done in asked {
                // Who has gone away does not matter to the rest.
                let _ = done.send(outcome.clone());
            }
        }
    }
}

/// The record did not answer; what it was asked may have happened.
pub(super) fn late() -> Unavailable {
    unavailable("the durable record did not answer in time")
}
