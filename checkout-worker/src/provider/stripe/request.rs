//! Requests as the API wants them: form-encoded, every parameter from ledger rows.

use domain::saga::{Attempt, Call, KeySpace, PaymentId};
use reqwest::{Client, ClientBuilder, RequestBuilder};

use crate::provider::{ProviderCall, Window};

use super::StripeConfig;

/// Payments per page of a list; the API's own greatest.
const PAGE: &str = "100";

/// An HTTP client with every setting that matters said out loud.
pub(super) fn builder(config: &StripeConfig) -> ClientBuilder {
    let builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(config.timeout.min(std::time::Duration::from_secs(5)))
        .pool_idle_timeout(std::time::Duration::from_mins(1))
        .pool_max_idle_per_host(32)
        .tcp_nodelay(true)
        .no_proxy()
        // Retries are the saga's business: a client that repeats by itself repeats without a committed attempt.
        .retry(reqwest::retry::never())
        .user_agent(concat!("doorline/", env!("CARGO_PKG_VERSION")));
    if config.url.starts_with("http://") {
        // No TLS, no roots: a machine without certificates can still talk to a provider on loopback.
        return builder.tls_certs_only(Vec::new());
    }
    builder.https_only(true)
}

/// The request of one call. [`Call::Find`] is a walk over lists and has none of its own.
pub(super) fn of(client: &Client, url: &str, call: &ProviderCall) -> RequestBuilder {
    match &call.call {
        Call::Authorise {
            attempt,
            method,
            amount,
        } => {
            let mut form = vec![
                ("amount", amount.amount.to_string()),
                ("currency", amount.currency.to_string()),
                ("payment_method", method.as_str().to_owned()),
                ("payment_method_types[]", "card".to_owned()),
                ("capture_method", "manual".to_owned()),
                ("confirm", "true".to_owned()),
            ];
            form.extend(
                call.email
                    .as_ref()
                    .map(|email| ("receipt_email", email.as_str().to_owned())),
            );
            form.extend(metadata(call, *attempt));
            post(client, &format!("{url}/v1/payment_intents"), call, &form)
        }
        Call::Capture { payment, amount, .. } => {
            let form = [("amount_to_capture", amount.amount.to_string())];
            post(
                client,
                &format!("{url}/v1/payment_intents/{payment}/capture"),
                call,
                &form,
            )
        }
        Call::Cancel { payment, .. } => cancel(client, url, call, payment, "requested_by_customer"),
        Call::CancelStray { payment, .. } => cancel(client, url, call, payment, "abandoned"),
        Call::Refund {
            attempt,
            payment,
            amount,
        }
        | Call::RefundStray {
            attempt,
            payment,
            amount,
        } => {
            let mut form = vec![
                ("payment_intent", payment.to_string()),
                ("amount", amount.amount.to_string()),
            ];
            form.extend(metadata(call, *attempt));
            post(client, &format!("{url}/v1/refunds"), call, &form)
        }
        Call::Retrieve { payment } => retrieve(client, url, payment),
        Call::Find { since, .. } => {
            let until = domain::Timestamp::NEVER;
            list(
                client,
                url,
                &Window {
                    since: *since,
                    until,
                    after: None,
                },
            )
        }
    }
}

/// Reads one payment.
pub(super) fn retrieve(client: &Client, url: &str, payment: &PaymentId) -> RequestBuilder {
    client
        .get(format!("{url}/v1/payment_intents/{payment}"))
        .query(&[("expand[]", "latest_charge")])
}

/// Reads the refunds of one payment.
pub(super) fn refunds(client: &Client, url: &str, payment: &PaymentId) -> RequestBuilder {
    client
        .get(format!("{url}/v1/refunds"))
        .query(&[("payment_intent", payment.as_str()), ("limit", PAGE)])
}

/// Reads one page of a window, newest first.
pub(super) fn list(client: &Client, url: &str, window: &Window) -> RequestBuilder {
    let mut query = vec![
        ("limit", PAGE.to_owned()),
        ("created[gte]", window.since.as_secs().to_string()),
        ("expand[]", "data.latest_charge".to_owned()),
    ];
    if window.until != domain::Timestamp::NEVER {
        query.push(("created[lte]", window.until.as_secs().to_string()));
    }
    query.extend(
        window
            .after
            .as_ref()
            .map(|after| ("starting_after", after.to_string())),
    );
    client.get(format!("{url}/v1/payment_intents")).query(&query)
}

fn cancel(client: &Client, url: &str, call: &ProviderCall, payment: &PaymentId, why: &str) -> RequestBuilder {
    let form = [("cancellation_reason", why.to_owned())];
    post(
        client,
        &format!("{url}/v1/payment_intents/{payment}/cancel"),
        call,
        &form,
    )
}

/// What ties an object at the provider to the ledger, whatever is lost on our side. The space is the attempt's own, and the
/// first goes without saying. An attempt from before spaces were kept counts as of the first, whichever space its key was
/// drawn from: what was sent under that key said nothing of spaces, and is repeated with the same parameters.
fn metadata(call: &ProviderCall, attempt: Attempt) -> impl Iterator<Item = (&'static str, String)> {
    let space = (attempt.space != KeySpace::FIRST).then(|| ("metadata[space]", attempt.space.to_string()));
    [
        ("metadata[drop]", call.drop.to_string()),
        ("metadata[order]", call.order.to_string()),
        ("metadata[n]", attempt.n.to_string()),
    ]
    .into_iter()
    .chain(space)
}

fn post(client: &Client, url: &str, call: &ProviderCall, form: &[(&str, String)]) -> RequestBuilder {
    let request = client.post(url).form(form);
    match &call.key {
        Some(key) => request.header("idempotency-key", key.as_str()),
        None => request,
    }
}

#[cfg(test)]
mod tests {
    use domain::saga::PaymentMethod;
    use domain::{Currency, DropId, Money, OrderId, Timestamp};

    use super::*;

    const URL: &str = "http://127.0.0.1:9";
    const SECOND: KeySpace = KeySpace::FIRST.next();

    /// What is sent of a purchase's attempt of `space` by a ledger that has moved on to the second one.
    fn sent(space: KeySpace) -> String {
        let config = StripeConfig {
            url: URL.to_owned(),
            ..StripeConfig::new("sk_test")
        };
        let call = ProviderCall {
            drop: DropId::new("aurora").unwrap(),
            order: OrderId(7),
            space: SECOND,
            key: None,
            email: None,
            call: Call::Authorise {
                attempt: Attempt::first(Timestamp::EPOCH).of(space),
                method: PaymentMethod::new("pm_card_visa").unwrap(),
                amount: Money::new(12_900, Currency::new("eur").unwrap()),
            },
        };
        let client = builder(&config).build().unwrap();
        let request = of(&client, URL, &call).build().unwrap();
        let body = request.body().and_then(reqwest::Body::as_bytes).unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[test]
    fn an_attempt_says_the_space_that_it_was_begun_in_and_the_first_is_not_said() {
        let second = sent(SECOND);
        assert!(
            second.ends_with("&metadata%5Bn%5D=1&metadata%5Bspace%5D=dl2"),
            "{second}"
        );
        let first = sent(KeySpace::FIRST);
        assert!(first.ends_with("&metadata%5Bn%5D=1"), "{first}");
    }
}
