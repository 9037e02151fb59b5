//! The clerk: takes joins, signs of life and orders as they come, and asks the store once for all that
//! came in the same moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::queue::{JoinRefusal, Joined};
use domain::{AdmissionId, Clock, DropId, Span, Timestamp};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{Door, Inner};
use crate::store::{Going, JoinRequest, Unavailable, Went};

/// Most errands waiting. At ten thousand joins a second, under a second of them.
pub(super) const ERRANDS_MAX: usize = 8_192;

/// Most errands in one round trip: enough to amortise it, few enough to answer soon.
const BATCH_MAX: usize = 1_024;

/// An errand not answered in this time is given up; whatever it did, asking again does it once.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

type JoinAnswer = Result<Result<Joined, JoinRefusal>, Unavailable>;
type RenewAnswer = Result<Option<Timestamp>, Unavailable>;
type OrderAnswer = Result<Went, Unavailable>;

/// Something the clerk does for somebody who waits for it.
pub(super) enum Errand {
    Join(DropId, JoinRequest, oneshot::Sender<JoinAnswer>),
    Renew(DropId, AdmissionId, oneshot::Sender<RenewAnswer>),
    Order(DropId, (AdmissionId, Going), oneshot::Sender<OrderAnswer>),
}

/// What one drop is asked in one round.
#[derive(Default)]
struct Round {
    joins: Vec<(JoinRequest, oneshot::Sender<JoinAnswer>)>,
    renewals: Vec<(AdmissionId, oneshot::Sender<RenewAnswer>)>,
    orders: Vec<((AdmissionId, Going), oneshot::Sender<OrderAnswer>)>,
}

/// Does errands until `stop`, and those that have come by then.
pub(super) async fn run(inner: &Arc<Inner>, mut inbox: mpsc::Receiver<Errand>, stop: &CancellationToken) {
    let mut errands = Vec::with_capacity(BATCH_MAX);
    loop {
        let came = tokio::select! {
            biased;
            came = inbox.recv_many(&mut errands, BATCH_MAX) => came,
            () = stop.cancelled() => break,
        };
        if came == 0 {
            break;
        }
        for (drop, round) in by_drop(errands.drain(..)) {
            if let Some(door) = inner.door(&drop) {
                round.run(inner, &door).await;
            }
        }
    }
}

/// Hands an errand over and waits for its answer.
pub(super) async fn ask<T>(
    inner: &Inner,
    errand: impl FnOnce(oneshot::Sender<Result<T, Unavailable>>) -> Errand,
) -> Result<T, Unavailable> {
    let (answer, answered) = oneshot::channel();
    inner
        .errands
        .try_send(errand(answer))
        .map_err(|error| match error {
            TrySendError::Full(_) => unavailable("too many shoppers join at once"),
            TrySendError::Closed(_) => unavailable("the desk is closing"),
        })?;
    match tokio::time::timeout(ANSWER_WITHIN, answered).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(unavailable("the desk is closing")),
        Err(_) => Err(unavailable("no answer came in time")),
    }
}

fn unavailable(reason: &'static str) -> Unavailable {
    Unavailable {
        retry_after: Span::from_secs(2),
        reason,
    }
}

fn by_drop(errands: impl Iterator<Item = Errand>) -> BTreeMap<DropId, Round> {
    let mut rounds: BTreeMap<DropId, Round> = BTreeMap::new();
    for errand in errands {
        match errand {
            Errand::Join(drop, request, answer) => {
                rounds.entry(drop).or_default().joins.push((request, answer));
            }
            Errand::Renew(drop, admission, answer) => {
                rounds.entry(drop).or_default().renewals.push((admission, answer));
            }
            Errand::Order(drop, going, answer) => {
                rounds.entry(drop).or_default().orders.push((going, answer));
            }
        }
    }
    rounds
}

impl Round {
    /// Orders first: their shoppers hold a session, and nobody gains by letting them wait.
    async fn run(self, inner: &Inner, door: &Door) {
        if !self.orders.is_empty() {
            self::order(inner, door, self.orders).await;
        }
        if !self.joins.is_empty() {
            self::join(inner, door, self.joins).await;
        }
        if !self.renewals.is_empty() {
            self::renew(inner, door, self.renewals).await;
        }
    }
}

async fn join(inner: &Inner, door: &Door, joins: Vec<(JoinRequest, oneshot::Sender<JoinAnswer>)>) {
    let (requests, waiting): (Vec<_>, Vec<_>) = joins.into_iter().unzip();
    let at = Door::moment(&inner.outside.readings(&door.drop), inner.clock.now());
    deal(inner.store.join(&door.drop, requests, at).await, waiting);
}

async fn renew(inner: &Inner, door: &Door, renewals: Vec<(AdmissionId, oneshot::Sender<RenewAnswer>)>) {
    let (admissions, waiting): (Vec<_>, Vec<_>) = renewals.into_iter().unzip();
    deal(
        inner.store.renew(&door.drop, admissions, inner.clock.now()).await,
        waiting,
    );
}

async fn order(
    inner: &Inner,
    door: &Door,
    orders: Vec<((AdmissionId, Going), oneshot::Sender<OrderAnswer>)>,
) {
    let (admissions, waiting): (Vec<_>, Vec<_>) = orders.into_iter().unzip();
    let asked = inner.store.go_to_order(&door.drop, admissions, inner.clock.now());
    deal(asked.await, waiting);
}

/// Gives everybody their part of the answer. Who has gone away does not matter to the rest.
fn deal<T>(answers: Result<Vec<T>, Unavailable>, waiting: Vec<oneshot::Sender<Result<T, Unavailable>>>) {
    match answers {
        Ok(answers) => {
            for (answer, to) in answers.into_iter().zip(waiting) {
                let _ = to.send(Ok(answer));
            }
        }
        Err(error) => {
            for to in waiting {
                let _ = to.send(Err(error.clone()));
            }
        }
    }
}
