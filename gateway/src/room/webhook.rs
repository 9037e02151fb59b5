//! `POST /webhooks/stripe`: what the provider tells us. Believed only when signed, and even
//! then only taken as a hint to read the payment from the API.

use checkout_worker::checkout::{WebhookDone, WebhookFailure};
use checkout_worker::webhook::EVENT_BYTES_MAX;
use domain::Span;
use http::{HeaderMap, Response, StatusCode};

use super::Room;
use super::answer::{self, Refusal};
use super::api::{body_problem, whole};
use crate::edge::{BodyError, EdgeBody, Problem, RequestBody};

impl Room {
    /// Handles one event. 200 when it needs no second delivery, 400 when it is not believed,
    /// 503 when the provider should send it again.
    pub(super) async fn webhook(
        &self,
        headers: &HeaderMap,
        body: RequestBody,
    ) -> Result<Response<EdgeBody>, Refusal> {
        let signature = headers
            .get("stripe-signature")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let done = match whole(body, EVENT_BYTES_MAX as u64).await {
            Ok(event) => self.checkout.webhook(&event, signature).await,
            Err(BodyError::TooLarge { .. }) => Err(self.checkout.oversized_webhook()),
            Err(error @ (BodyError::TimedOut | BodyError::Broken(_))) => {
                return Err(body_problem(&error).into());
            }
        };
        match done {
            Ok(WebhookDone::Applied | WebhookDone::Repeated | WebhookDone::Ignored) => {
                Ok(answer::json(StatusCode::OK, "{\"received\":true}".to_owned()))
            }
            Err(WebhookFailure::Refused(reason)) => {
                let title = "This event is not believed";
                Err(Problem::new(StatusCode::BAD_REQUEST, "webhook-refused", title)
                    .detail(reason.to_string())
                    .into())
            }
            Err(WebhookFailure::NotNow | WebhookFailure::Ledger(_) | WebhookFailure::Drive(_)) => {
                let title = "Send this event again";
                let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "webhook-not-now", title);
                Err(problem.retry_after(Span::from_secs(5)).into())
            }
        }
    }
}
