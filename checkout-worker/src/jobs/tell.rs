//! Telling the merchant's system what became of orders: takes what is due from the ledger, tells it, and notes how that
//! ended. An endpoint that is slow or away holds up nothing but its own events, and one order's events only each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::backoff::Jitter;
use domain::redelivery::{HORIZON, wait};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::ledger::{DueNotice, LEASE, LedgerError, Next, Told};
use crate::merchant::{Heard, Merchant, MerchantEvent, TIMEOUT};

use super::{Causes, Jobs};

/// Events on their way at once. An endpoint that answers in 50 ms takes some 600 a second so; one that lets each time out
/// keeps this many sockets waiting and no more.
const AT_ONCE: usize = 32;
/// More are taken when so many may go: one query for several.
const TAKE_MIN: usize = AT_ONCE / 4;
/// One that was taken so long ago is not sent any more: its lease could end before its answer.
const FRESH: Duration = Duration::from_secs(LEASE.as_millis() / 1_000 - 2 * TIMEOUT.as_secs());
/// How long what is on its way is waited for when stopping. What is cut off is told again.
const GRACE: Duration = Duration::from_secs(5);
/// Old notices let go in one query, and queries in one round.
const FORGOTTEN_AT_ONCE: u32 = 1_000;
const FORGETTING_ROUNDS: u32 = 100;

/// Events on their way, and how their tries end. Nothing where one was not sent at all.
type OnTheirWay = JoinSet<Option<Told>>;

/// Whether the merchant's system took nothing lately: worth a line in the log when that changes, not for every event.
#[derive(Debug, Default)]
pub(super) struct Away(AtomicBool);

impl Jobs {
    /// Tells the merchant's system until `stop`. What is under way then is told again after the next start.
    pub(super) async fn tell(&self, merchant: Arc<dyn Merchant>, stop: CancellationToken) {
        let mut under_way = OnTheirWay::new();
        while !stop.is_cancelled() {
            if let Err(failed) = self.take_due(&merchant, &mut under_way).await {
                tracing::warn!(cause = %Causes(&failed), "telling the merchant met a failing ledger");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.untold.notified() => {}
                () = tokio::time::sleep(self.timing.tell) => {}
                Some(ended) = under_way.join_next() => self.note_told(&mut under_way, ended).await,
            }
        }
        let rest = async {
            while let Some(ended) = under_way.join_next().await {
                self.note_told(&mut under_way, ended).await;
            }
        };
        if tokio::time::timeout(GRACE, rest).await.is_err() {
            tracing::info!("some events were on their way to the merchant; they are told again");
        }
    }

    /// Tells the merchant's system what is due now, waits for the answers, and says how many events that were.
    pub async fn tell_now(&self) -> Result<usize, LedgerError> {
        let Some(merchant) = &self.merchant else {
            return Ok(0);
        };
        let mut under_way = OnTheirWay::new();
        let count = self.take_due(merchant, &mut under_way).await?;
        while let Some(ended) = under_way.join_next().await {
            self.note_told(&mut under_way, ended).await;
        }
        Ok(count)
    }

    /// Lets notices go that nobody was there to be told of in time, so that an endpoint which is configured one day does
    /// not hear of last year. Says how many.
    pub async fn forget(&self) -> Result<u32, LedgerError> {
        let mut gone = 0;
        for _ in 0..FORGETTING_ROUNDS {
            let some = self
                .driver
                .ledger
                .forget_notices(HORIZON, FORGOTTEN_AT_ONCE)
                .await?;
            gone += some;
            if some < FORGOTTEN_AT_ONCE {
                break;
            }
        }
        if gone > 0 && self.merchant.is_some() {
            tracing::warn!(count = gone, "events were too old to be told to the merchant");
        }
        Ok(gone)
    }

    async fn take_due(
        &self,
        merchant: &Arc<dyn Merchant>,
        under_way: &mut OnTheirWay,
    ) -> Result<usize, LedgerError> {
        let room = AT_ONCE.saturating_sub(under_way.len());
        if room < TAKE_MIN {
            return Ok(0);
        }
        let taken = Instant::now();
        let limit = u32::try_from(room).unwrap_or(u32::MAX);
        let due = self.driver.ledger.notices_due(limit, HORIZON).await?;
        let count = due.len();
        for notice in due {
            let (merchant, jitter) = (Arc::clone(merchant), self.driver.jitter());
            under_way.spawn(async move { told(&*merchant, &notice, taken, jitter).await });
        }
        Ok(count)
    }

    /// Notes how tries ended, as many as have by now in one go: however many are on their way, the ledger is asked by
    /// one at a time.
    async fn note_told(&self, under_way: &mut OnTheirWay, first: Result<Option<Told>, JoinError>) {
        let (mut all, mut next) = (Vec::new(), Some(first));
        while let Some(ended) = next {
            match ended {
                Ok(told) => all.extend(told),
                Err(died) => tracing::error!(cause = %died, "telling the merchant died"),
            }
            next = under_way.try_join_next();
        }
        for told in &all {
            self.observe_told(told);
        }
        // What cannot be noted is told again when its lease ends, under the same name.
        if !all.is_empty()
            && let Err(failed) = self.driver.ledger.notices_told(all).await
        {
            tracing::warn!(cause = %Causes(&failed), "what the merchant was told could not be noted");
        }
    }

    fn observe_told(&self, told: &Told) {
        self.driver.observer.merchant_told(told.word);
        match told.next {
            Next::Taken => self.away.heard(),
            Next::Again(_) => self.away.unheard(&told.outcome),
            Next::GivenUp => {
                self.driver.observer.merchant_told("given_up");
                tracing::warn!(
                    message.id = told.id,
                    outcome = told.outcome,
                    "an event was given up on"
                );
            }
            Next::Skipped => {}
        }
    }
}

impl Away {
    fn heard(&self) {
        if self.0.swap(false, Ordering::Relaxed) {
            tracing::info!("the merchant's system takes events again");
        }
    }

    fn unheard(&self, outcome: &str) {
        if !self.0.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                outcome,
                "the merchant's system does not take an event; it is told again"
            );
        }
    }
}

/// Tells one event, once.
async fn told(merchant: &dyn Merchant, due: &DueNotice, taken: Instant, jitter: Jitter) -> Option<Told> {
    let told = |word, outcome, next| Told {
        id: due.id,
        tries: due.tries,
        word,
        outcome,
        next,
    };
    if !merchant.wants(due.notice) {
        return Some(told("skipped", "not asked for".to_owned(), Next::Skipped));
    }
    if taken.elapsed() > FRESH {
        return None;
    }
    let heard = merchant.tell(&MerchantEvent::of(due)).await;
    let again = |asked| wait(due.tries.saturating_add(1), asked, jitter).map_or(Next::GivenUp, Next::Again);
    let next = match heard {
        Heard::Taken => Next::Taken,
        Heard::Gone => Next::GivenUp,
        Heard::Refused { retry_after, .. } => again(retry_after),
        Heard::TimedOut | Heard::Unreachable => again(None),
    };
    Some(told(heard.as_str(), heard.to_string(), next))
}
