//! Who takes the money: Stripe, or the built-in sandbox that speaks Stripe's API on loopback.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use checkout_worker::provider::Provider;
use checkout_worker::provider::stripe::{API_URL, Stripe, StripeConfig};
use checkout_worker::turns::Turns;
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
    /// The built-in sandbox, where it is the provider.
    pub(super) sandbox: Option<Sandbox>,
}

/// The built-in sandbox, which has yet to learn where its events go.
#[derive(Clone)]
pub(super) struct Sandbox {
    provider: sandbox::provider::Provider,
    secret: String,
}

/// How to speak to a provider, and how it signs.
struct Access {
    base: String,
    key: String,
    webhook_secret: String,
    sandbox: Option<Sandbox>,
}

/// Opens the provider that `config` names.
pub(super) async fn open(
    config: &Config,
    ground: &Ground,
    turns: &Arc<dyn Turns>,
    supervisor: &Supervisor,
) -> anyhow::Result<Payment> {
    let payment = &config.payment;
    let environment = &ground.environment;
    let access = match (payment.provider, &payment.api_url) {
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
            Access::elsewhere(base, key.expose(), secret.expose())
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
            Access::elsewhere(address.to_string(), &key, &secret)
        }
        (PaymentProvider::Sandbox, None) => built_in(ground.entropy.as_ref(), supervisor).await?,
    };
    let stripe = StripeConfig {
        url: access.base.trim_end_matches('/').to_owned(),
        requests_per_second: payment.max_requests_per_second,
        timeout: payment.request_timeout.as_duration(),
        ..StripeConfig::new(&access.key)
    };
    let provider = Stripe::new(&stripe, turns).context("the payment provider's client cannot be built")?;
    Ok(Payment {
        provider: Arc::new(provider),
        signing: Signing::new(access.webhook_secret.split_whitespace(), is_live(&access.key)),
        sandbox: access.sandbox,
    })
}

/// Which mode a key works in, as its prefix says; events of the other mode are none of ours. Nothing for a key that does not
/// say. Source: <https://docs.stripe.com/keys>.
fn is_live(key: &str) -> Option<bool> {
    let (_, rest) = key.split_once('_')?;
    match rest.split_once('_')?.0 {
        "live" => Some(true),
        "test" => Some(false),
        _ => None,
    }
}

impl Access {
    fn elsewhere(base: String, key: &str, webhook_secret: &str) -> Self {
        Self {
            base,
            key: key.to_owned(),
            webhook_secret: webhook_secret.to_owned(),
            sandbox: None,
        }
    }
}

/// Starts the sandbox on a free port of the loopback address. It keeps its books in memory: an
/// order that was under way when the process died is taken up anew after the restart.
async fn built_in(entropy: &dyn Entropy, supervisor: &Supervisor) -> anyhow::Result<Access> {
    let secret = random_secret(entropy);
    let mut seed = [0_u8; 8];
    entropy.fill(&mut seed);
    let settings = ProviderConfig {
        seed: u64::from_le_bytes(seed),
        ..ProviderConfig::default()
    };
    let key = settings.secret_key.clone();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .context("no free port for the sandbox")?;
    let base = format!("http://{}", listener.local_addr()?);
    let provider = sandbox::provider::Provider::new(settings);
    let running = provider.clone();
    supervisor.once("sandbox provider", move |stop| async move {
        running.run(listener, stop).await;
    });
    tracing::warn!(
        address = base,
        "payments go to the built-in sandbox: no money moves"
    );
    Ok(Access {
        base,
        key,
        webhook_secret: secret.clone(),
        sandbox: Some(Sandbox { provider, secret }),
    })
}

impl Sandbox {
    /// Sends events to the gateway that listens on `address`, which is known only once it does.
    /// The sandbox trusts no certificate: behind TLS it sends nothing, and the reconciler finds
    /// out what the events would have said.
    pub(super) fn report_to(&self, address: SocketAddr, tls: bool) {
        let url = format!("http://{}/.doorline/v1/webhooks/stripe", reachable(address));
        let secret = self.secret.clone();
        self.provider
            .set_webhook((!tls).then_some(WebhookTarget { url, secret }));
    }
}

/// All addresses of the machine can be listened on, but not spoken to: the loopback one can.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn random_secret(entropy: &dyn Entropy) -> String {
    let mut bytes = [0_u8; 24];
    entropy.fill(&mut bytes);
    format!("whsec_{}", URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_go_to_an_address_that_can_be_spoken_to() {
        for (listening, reached) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("192.0.2.7:80", "192.0.2.7:80"),
        ] {
            assert_eq!(reachable(listening.parse().unwrap()), reached.parse().unwrap());
        }
    }

    #[test]
    fn webhook_secrets_are_long_and_drawn_anew() {
        let draw = || random_secret(&crate::system::SystemEntropy);
        assert!(draw().starts_with("whsec_") && draw().len() == 38);
        assert_ne!(draw(), draw());
    }
}
