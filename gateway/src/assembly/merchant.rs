//! Who is told what became of orders: the merchant's own system, where one is configured.

use std::sync::Arc;

use checkout_worker::merchant::webhook::{StandardWebhook, WebhookConfig};
use checkout_worker::merchant::{Merchant, SigningKey, TIMEOUT};

use super::{Ground, Role};
use crate::config::{Config, SecretError};

/// Secrets at once: the one in use, and those that a receiver changes from or to.
const SECRETS_MAX: usize = 4;

/// Opens the endpoint that `config` names, for the roles that tell. A gateway needs no secret: it writes down what there is
/// to tell, and a worker tells it.
pub(super) fn open(
    config: &Config,
    role: Role,
    ground: &Ground,
) -> anyhow::Result<Option<Arc<dyn Merchant>>> {
    let Some(url) = config.webhooks.url.as_ref().filter(|_| role.tells_merchant()) else {
        return Ok(None);
    };
    let secret = config
        .webhooks
        .secret
        .require("the secret of the webhooks", &ground.environment)?;
    let keys = secret.expose().split_whitespace().map(SigningKey::parse);
    let keys = keys
        .collect::<Result<Vec<_>, _>>()
        .map_err(|why| SecretError::Unusable {
            what: "the secret of the webhooks",
            why: why.into(),
        })?;
    anyhow::ensure!(
        keys.len() <= SECRETS_MAX,
        "the webhooks have {} secrets; {SECRETS_MAX} are the most",
        keys.len()
    );
    let settings = WebhookConfig {
        url: url.to_string(),
        keys,
        notices: config.webhooks.events.clone(),
        timeout: TIMEOUT,
    };
    let merchant = StandardWebhook::new(settings, Arc::clone(&ground.clock))?;
    // The host only: a path may hold what its owner takes for private.
    tracing::info!(
        host = url.host(),
        "what becomes of orders is told to the merchant's system"
    );
    Ok(Some(Arc::new(merchant)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, parse};
    use crate::system::{SystemClock, SystemEntropy};

    const GOOD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn opened(role: Role, text: &str, secret: Option<&str>) -> anyhow::Result<bool> {
        let environment: Environment = secret
            .map(|secret| ("DOORLINE_WEBHOOK_SECRET", secret))
            .into_iter()
            .collect();
        let loaded = parse("config.toml", text, &[], &environment).expect("a good configuration");
        let ground = Ground {
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            environment,
        };
        open(&loaded.config, role, &ground).map(|merchant| merchant.is_some())
    }

    #[test]
    fn who_tells_needs_a_secret_and_who_does_not_needs_none() {
        let text = "webhooks.url = \"http://127.0.0.1:9/events\"";
        for role in [Role::All, Role::Worker] {
            assert!(opened(role, text, Some(GOOD)).unwrap());
            let missing = opened(role, text, None).unwrap_err().to_string();
            assert!(missing.contains("DOORLINE_WEBHOOK_SECRET"), "{missing}");
            assert!(!opened(role, "", None).unwrap(), "nobody is to be told");
        }
        assert!(!opened(Role::Gateway, text, None).unwrap());
    }

    #[test]
    fn a_secret_that_is_no_key_is_refused_without_being_shown() {
        let text = "webhooks.url = \"http://127.0.0.1:9/events\"";
        let two = format!("{GOOD} {GOOD}");
        assert!(
            opened(Role::All, text, Some(&two)).unwrap(),
            "while changing over"
        );
        let many = [GOOD; 5].join(" ");
        let short = "whsec_aHVudGVyMg==";
        for secret in ["hunter2", short, &many, &format!("{GOOD} hunter2")] {
            let refused = format!("{:#}", opened(Role::All, text, Some(secret)).unwrap_err());
            assert!(refused.contains("webhook"), "{refused}");
            assert!(
                !refused.contains("hunter2") && !refused.contains("aHVudGVyMg"),
                "{refused}"
            );
        }
    }
}
