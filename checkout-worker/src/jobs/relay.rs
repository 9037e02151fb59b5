//! The outbox relay: carries messages to the broker and news to the house, and marks what is safe.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use domain::OrderId;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::broker::{Broker, PublishError, Published};
use crate::ledger::{Channel, LedgerError, Message};

use super::{Causes, Jobs};

/// Messages published and not yet confirmed. A window, so that a slow confirmation does not stop the others.
const WINDOW: usize = 256;
/// News carried per round.
const NEWS_MAX: u32 = 256;
/// A ledger or broker that fails is not asked again at once.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(500);

type Publishing = JoinSet<Result<Published, PublishError>>;

/// What the relay has in its hands.
#[derive(Default)]
struct UnderWay {
    publishing: Publishing,
    messages: HashMap<Id, i64>,
    ids: HashSet<i64>,
}

/// Publishes one message, and waits no longer than this broker's confirmations are worth waiting for. A confirmation
/// that comes after that finds its message still in the outbox: it is published once more, which changes nothing.
async fn confirmed(broker: &dyn Broker, order: OrderId) -> Result<Published, PublishError> {
    let Some(patience) = broker.patience() else {
        return broker.publish(order).await;
    };
    let late = |_| PublishError {
        why: format!("no confirmation within {patience:?}"),
    };
    tokio::time::timeout(patience, broker.publish(order))
        .await
        .map_err(late)?
}

impl Jobs {
    /// Carries messages until `stop`. Whatever is under way then keeps its row and is carried again at the next start.
    pub(super) async fn relay(&self, stop: CancellationToken) {
        let mut under_way = UnderWay::default();
        while !stop.is_cancelled() {
            if let Err(failed) = self.relay_round(&mut under_way).await {
                tracing::warn!(cause = %Causes(&failed), "the outbox relay met a failing ledger");
                tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.news.notified() => {}
                () = tokio::time::sleep(self.timing.relay) => {}
                Some(first) = under_way.publishing.join_next_with_id() => {
                    if let Err(failed) = self.confirm(&mut under_way, first).await {
                        tracing::warn!(cause = %Causes(&failed), "a confirmed message keeps its row for now");
                    }
                }
            }
        }
    }

    async fn relay_round(&self, under_way: &mut UnderWay) -> Result<(), LedgerError> {
        if self.part.tells() {
            self.carry_news().await?;
        }
        if !self.part.pays() {
            return Ok(());
        }
        let room = WINDOW.saturating_sub(under_way.ids.len());
        // Reading on while the window is nearly full would read the same rows again and again.
        if room < WINDOW / 2 {
            return Ok(());
        }
        let limit = u32::try_from(WINDOW).unwrap_or(u32::MAX);
        let pending = self.driver.ledger.pending(Channel::Workers, limit).await?;
        for message in pending
            .into_iter()
            .filter(|message| !under_way.ids.contains(&message.id))
            .take(room)
            .collect::<Vec<_>>()
        {
            self.publish(under_way, message.id, message.order);
        }
        Ok(())
    }

    fn publish(&self, under_way: &mut UnderWay, message: i64, order: OrderId) {
        let broker: Arc<dyn Broker> = if self.broker.standing().takes_messages {
            Arc::clone(&self.broker)
        } else {
            Arc::clone(&self.detour) as _
        };
        let task = under_way
            .publishing
            .spawn(async move { confirmed(&*broker, order).await });
        under_way.messages.insert(task.id(), message);
        under_way.ids.insert(message);
    }

    /// Marks confirmed messages, as many as there are by now in one go.
    async fn confirm(
        &self,
        under_way: &mut UnderWay,
        first: Result<(Id, Result<Published, PublishError>), JoinError>,
    ) -> Result<(), LedgerError> {
        let (mut worked, mut held) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(ended) = next {
            let (task, published) = match ended {
                Ok((task, Ok(published))) => (task, Some(published)),
                Ok((task, Err(refused))) => {
                    tracing::warn!(cause = %refused, "a message stays in the outbox");
                    (task, None)
                }
                Err(died) => (died.id(), None),
            };
            if let Some(message) = under_way.messages.remove(&task) {
                under_way.ids.remove(&message);
                match published {
                    Some(Published::Worked) => worked.push(message),
                    Some(Published::Held) => held.push(message),
                    None => {}
                }
            }
            next = under_way.publishing.try_join_next_with_id();
        }
        if worked.is_empty() && held.is_empty() {
            tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
        }
        if !worked.is_empty() {
            self.driver.ledger.delivered(worked).await?;
        }
        if !held.is_empty() {
            self.driver.ledger.published(held).await?;
        }
        Ok(())
    }

    /// Tells the house what happened, in the order in which it happened, and marks it told.
    async fn carry_news(&self) -> Result<(), LedgerError> {
        loop {
            let pending = self.driver.ledger.pending(Channel::Notices, NEWS_MAX).await?;
            let more = pending.len() >= usize::try_from(NEWS_MAX).unwrap_or(usize::MAX);
            for message in &pending {
                if let Message::Notice(notice) = &message.message {
                    self.driver.observer.notice(notice);
                }
            }
            let told: Vec<i64> = pending.into_iter().map(|message| message.id).collect();
            if !told.is_empty() {
                self.driver.ledger.delivered(told).await?;
            }
            if !more {
                return Ok(());
            }
        }
    }
}
