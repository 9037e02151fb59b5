//! What a sandbox provider is started with.

use std::fmt;
use std::time::Duration;

use super::fault::FaultPlan;

/// Settings of one provider. `Default` is an honest, fast provider without webhooks.
#[derive(Clone)]
pub struct ProviderConfig {
    /// The secret API key that clients must present, as Bearer token or as Basic user name.
    pub secret_key: String,
    /// Where signed events go; `None` sends none until one is set.
    pub webhook: Option<WebhookTarget>,
    /// Seed of object ids and client secrets. The fault plan has a seed of its own.
    pub seed: u64,
    /// Misbehaviour from the first request on.
    pub faults: FaultPlan,
    /// Name of the metadata entry by which movements are counted per order.
    pub order_key: String,
    /// How long an authorisation holds before the network gives it up (Stripe: 7 days online).
    pub authorisation_lifetime: Duration,
    /// Upper bound on payment intents, on refunds, on saved idempotency keys and on log entries
    /// (four per intent); requests beyond it are refused with a 500 that changes nothing.
    pub capacity: usize,
}

impl Default for ProviderConfig {
    fn default() -> Self {
        Self {
            secret_key: "sk_test_sandbox".to_owned(),
            webhook: None,
            seed: 1,
            faults: FaultPlan::default(),
            order_key: "order".to_owned(),
            authorisation_lifetime: Duration::from_hours(7 * 24),
            capacity: 200_000,
        }
    }
}

impl fmt::Debug for ProviderConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderConfig")
            .field("webhook", &self.webhook)
            .field("seed", &self.seed)
            .field("faults", &self.faults)
            .field("order_key", &self.order_key)
            .field("authorisation_lifetime", &self.authorisation_lifetime)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

/// An endpoint for events and the secret they are signed with (`whsec_…`).
#[derive(Clone)]
pub struct WebhookTarget {
    /// Plain `http://host:port/path`.
    pub url: String,
    /// The whole string is the HMAC key, prefix included, as with Stripe.
    pub secret: String,
}

impl fmt::Debug for WebhookTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookTarget")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}
