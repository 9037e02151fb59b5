//! Webhooks: verified, taken once, and believed for nothing but the name of a payment worth reading.

use domain::saga::{Answer, Event, Payment, StateName};
use domain::{OrderId, Timestamp};
use tokio::time::Instant;

use crate::driver::{DriveError, Fed, outcome_word};
use crate::ledger::LedgerError;
use crate::trail;
use crate::webhook::{WebhookError, WebhookEvent};

use super::Checkout;

/// Webhooks handled at once; more are told to come again. Each may wait for its turn at the provider.
pub(super) const WEBHOOKS_MAX: usize = 32;

/// What came of a believed webhook. Answer 200 to each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WebhookDone {
    /// Its payment was read and fed to the order.
    Applied,
    /// It was handled before.
    Repeated,
    /// It says nothing that the ledger does not know, or is not about an order of ours.
    Ignored,
}

impl WebhookDone {
    /// The word in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Repeated => "repeated",
            Self::Ignored => "ignored",
        }
    }
}

/// Why a webhook was not handled.
#[derive(Debug, thiserror::Error)]
pub enum WebhookFailure {
    /// Not believed: answer 400.
    #[error("the webhook is not believed")]
    Refused(#[from] WebhookError),
    /// Believed, but it cannot be handled just now: answer 503, the provider sends it again.
    #[error("the webhook cannot be handled just now")]
    NotNow,
    /// Believed, but the ledger failed: answer 503.
    #[error("handling a webhook met a failing ledger")]
    Ledger(#[from] LedgerError),
    /// Believed, but the order did not come to rest: answer 503.
    #[error("a webhook's order did not come to rest")]
    Drive(#[from] DriveError),
}

impl Checkout {
    /// Handles one webhook: `body` is the raw bytes as received, `header` the `Stripe-Signature`.
    pub async fn webhook(&self, body: &[u8], header: &str) -> Result<WebhookDone, WebhookFailure> {
        let now = self.driver().clock.now();
        let done = match self.inner.signing.verify(body, header, now) {
            Ok(event) => self.handle(event, now).await,
            Err(refused) => Err(refused.into()),
        };
        self.driver().observer.webhook(match &done {
            Ok(done) => done.as_str(),
            Err(WebhookFailure::Refused(refused)) => refused.as_str(),
            Err(WebhookFailure::NotNow) => "not_now",
            Err(WebhookFailure::Ledger(_) | WebhookFailure::Drive(_)) => "failed",
        });
        done
    }

    /// Counts a webhook that is larger than any event and was not read: answer 400.
    pub fn oversized_webhook(&self) -> WebhookFailure {
        let refused = WebhookError::TooLarge;
        self.driver().observer.webhook(refused.as_str());
        refused.into()
    }

    async fn handle(&self, event: WebhookEvent, now: Timestamp) -> Result<WebhookDone, WebhookFailure> {
        let ledger = &self.driver().ledger;
        if ledger.event_known(event.id.clone()).await? {
            return Ok(WebhookDone::Repeated);
        }
        let _room = self
            .inner
            .webhooks
            .try_acquire()
            .map_err(|_| WebhookFailure::NotNow)?;
        let done = self.learn(&event, now).await?;
        if let Some(order) = event.order {
            trail::told(order, &event.id, &event.kind, done.as_str());
        }
        // Recorded after it was handled: an event lost between the two comes again, and says nothing new.
        ledger.record_event(event.id, event.kind).await?;
        Ok(done)
    }

    async fn learn(&self, event: &WebhookEvent, now: Timestamp) -> Result<WebhookDone, WebhookFailure> {
        let Some(payment) = &event.payment else {
            return Ok(WebhookDone::Ignored);
        };
        if let Some(order) = event.order
            && self.knows_already(order, event, now).await?
        {
            return Ok(WebhookDone::Ignored);
        }
        let driver = self.driver();
        if !driver.breaker.admits() {
            return Err(WebhookFailure::NotNow);
        }
        let start = Instant::now();
        let answer = driver.provider.retrieve(payment).await;
        let took = start.elapsed();
        trail::read(event.order, payment, outcome_word(&answer), took);
        driver.took_note("retrieve", &answer, took);
        match answer {
            Answer::Payment(payment) => self.show(&payment).await,
            Answer::Stalled(_) => Err(WebhookFailure::NotNow),
            Answer::Refunded(_)
            | Answer::Absent
            | Answer::Declined(_)
            | Answer::Rejected(_)
            | Answer::KeyMismatch => Ok(WebhookDone::Ignored),
        }
    }

    /// Shows an order what was read of its payment.
    async fn show(&self, payment: &Payment) -> Result<WebhookDone, WebhookFailure> {
        let fed = self
            .driver()
            .feed(payment.order, Event::Seen(payment.clone()))
            .await?;
        let state = match fed {
            Fed::Refused(_) | Fed::Unknown => return Ok(WebhookDone::Ignored),
            // Nothing is due of an order at its end: nobody would ever make the call that was put off.
            Fed::Deferred(state) if state.is_end() => return Err(WebhookFailure::NotNow),
            Fed::Rested(state) | Fed::Deferred(state) => state,
        };
        if state == StateName::Refunded && self.knows_otherwise(payment).await? {
            return Err(WebhookFailure::NotNow);
        }
        Ok(WebhookDone::Applied)
    }

    /// Whether a refunded order does not say of its own payment what was just read of it. It reads once more before it
    /// believes that its money came back, or has gone after all; if that brought no answer, nobody but the provider, who
    /// sends the event again, would bring it up once more.
    async fn knows_otherwise(&self, payment: &Payment) -> Result<bool, LedgerError> {
        let record = self.driver().ledger.load(payment.order).await?;
        Ok(record.is_some_and(|record| {
            let order = record.order;
            let is_own = order.state.payment() == Some(&payment.id);
            is_own && payment.is_kept() != order.flag.is_some()
        }))
    }

    /// Whether reading would teach nothing: the order has ended as the event says, or a worker waits for the very same
    /// answer. Most webhooks of a busy sale are such, and reads share the provider's rate limit.
    async fn knows_already(
        &self,
        order: OrderId,
        event: &WebhookEvent,
        now: Timestamp,
    ) -> Result<bool, LedgerError> {
        let Some(record) = self.driver().ledger.load(order).await? else {
            return Ok(false);
        };
        let in_hand = record.order.pace.leased_until > now;
        Ok(match record.order.state.name() {
            // Refunds are told by other events, and so is one that fails days later.
            StateName::Paid | StateName::Refunded => event.kind.starts_with("payment_intent."),
            StateName::Authorising | StateName::Committed => in_hand,
            StateName::Declined => event.kind == "payment_intent.payment_failed",
            StateName::Released | StateName::Unwound => event.kind == "payment_intent.canceled",
            StateName::Reserved | StateName::Accepted | StateName::ActionRequired | StateName::Cancelling => {
                event.kind == "payment_intent.created"
            }
        })
    }
}
