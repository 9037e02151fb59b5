//! Who takes the money: Stripe, or the built-in sandbox that speaks Stripe's API on loopback.

use std::sync::Arc;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use checkout_worker::provider::Provider;
use checkout_worker::provider::stripe::{API_URL, Stripe, StripeConfig};
use checkout_worker::webhook::Signing;
use domain::Entropy;
use sandbox::provider::{ProviderConfig, WebhookTarget};

use super::Ground;
use crate::config::{Config, PaymentProvider};
use crate::supervisor::Supervisor;

/// The provider with what its webhooks are signed with.
pub(super) struct Payment {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) signing: Signing,
}

/// Opens the provider that `config` names.
pub(super) async fn open(
    config: &Config,
    ground: &Ground,
    supervisor: &Supervisor,
) -> anyhow::Result<Payment> {
    let payment = &config.payment;
    let environment = &ground.environment;
    let (base, key, webhook_secret) = match (payment.provider, &payment.api_url) {
        (PaymentProvider::Stripe, address) => {
            let key = payment
                .secret_key
                .require("the payment provider's secret key", environment)?;
            let secret = payment
                .webhook_secret
                .require("the payment provider's webhook secret", environment)?;
            let base = address
                .as_ref()
                .map_or_else(|| API_URL.to_owned(), ToString::to_string);
            (base, key.expose().to_owned(), secret.expose().to_owned())
        }
        (PaymentProvider::Sandbox, Some(address)) => {
            let key = payment.secret_key.read(environment)?;
            let secret = payment.webhook_secret.read(environment)?;
            let key = key.map_or_else(
                || ProviderConfig::default().secret_key,
                |key| key.expose().to_owned(),
            );
            let secret = secret.map_or_else(
                || random_secret(ground.entropy.as_ref()),
                |s| s.expose().to_owned(),
            );
            (address.to_string(), key, secret)
        }
        (PaymentProvider::Sandbox, None) => built_in(config, ground.entropy.as_ref(), supervisor).await?,
    };
    let stripe = StripeConfig {
        url: base.trim_end_matches('/').to_owned(),
        requests_per_second: payment.max_requests_per_second,
        timeout: payment.request_timeout.as_duration(),
        ..StripeConfig::new(&key)
    };
    let provider = Stripe::new(&stripe).context("the payment provider's client cannot be built")?;
    Ok(Payment {
        provider: Arc::new(provider),
        signing: Signing::new([webhook_secret.as_str()], None),
    })
}

/// Starts the sandbox on a free port of the loopback address. It keeps its books in memory: an
/// order that was under way when the process died is taken up anew after the restart.
async fn built_in(
    config: &Config,
    entropy: &dyn Entropy,
    supervisor: &Supervisor,
) -> anyhow::Result<(String, String, String)> {
    let secret = random_secret(entropy);
    let mut seed = [0_u8; 8];
    entropy.fill(&mut seed);
    let settings = ProviderConfig {
        webhook: Some(WebhookTarget {
            url: format!("http://{}/.doorline/v1/webhooks/stripe", config.server.listen),
            secret: secret.clone(),
        }),
        seed: u64::from_le_bytes(seed),
        ..ProviderConfig::default()
    };
    let key = settings.secret_key.clone();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .context("no free port for the sandbox")?;
    let base = format!("http://{}", listener.local_addr()?);
    let provider = sandbox::provider::Provider::new(settings);
    supervisor.once("sandbox provider", move |stop| async move {
        provider.run(listener, stop).await;
    });
    tracing::warn!(
        address = base,
        "payments go to the built-in sandbox: no money moves"
    );
    Ok((base, key, secret))
}

fn random_secret(entropy: &dyn Entropy) -> String {
    let mut bytes = [0_u8; 24];
    entropy.fill(&mut bytes);
    format!("whsec_{}", URL_SAFE_NO_PAD.encode(bytes))
}
