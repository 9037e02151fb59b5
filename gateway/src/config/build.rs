//! Turns a checked table without mistakes into the effective configuration.

use domain::saga::Notice;
use domain::{AfterOrder, Currency, DropId, Limits, Money, Renewal, Shuffle, Sku};
use http::{StatusCode, Uri};

use super::drop::{CheckoutConfig, DropConfig, ItemConfig, QUEUEING_METHODS};
use super::effective::{
    AdminConfig, BackendConfig, BackendMode, Config, LogConfig, LogFormat, LogLevel, PaymentConfig,
    PaymentProvider, RateLimitConfig, ServerConfig, StopsConfig, TlsConfig, UpstreamConfig, WebhooksConfig,
};
use super::fields::Fields;
use super::secret::SecretSource;

/// Builds it. Expects that checking and cross-checking found no mistake.
pub(crate) fn build(root: &Fields) -> Config {
    let section = |name| root.table(name).expect("every section has its defaults");
    Config {
        server: server(section("server")),
        admin: admin(section("admin")),
        upstream: upstream(section("upstream")),
        backend: backend(section("backend")),
        rate_limit: rate_limit(section("rate_limit")),
        payment: payment(section("payment")),
        stops: stops(section("checkout")),
        webhooks: webhooks(section("webhooks")),
        log: log(section("log")),
        drops: root.tables("drop").iter().map(drop).collect(),
    }
}

fn secret(fields: &Fields, base: &str) -> SecretSource {
    let file = fields.get::<String>(&format!("{base}_file"));
    match (file, fields.get::<String>(&format!("{base}_env"))) {
        (Some(path), _) => SecretSource::File(path.into()),
        (None, Some(name)) => SecretSource::Env(name),
        (None, None) => SecretSource::Unset,
    }
}

/// Finds what a word stands for. The words are those of the schema, which let no other pass.
fn one_of<T: Copy>(fields: &Fields, name: &str, meanings: &[(&str, T)]) -> T {
    let word: String = fields.need(name);
    let meaning = meanings.iter().find(|(known, _)| *known == word);
    meaning.map_or_else(
        || unreachable!("`{name}`: \"{word}\" is in the schema but means nothing"),
        |(_, m)| *m,
    )
}

fn server(fields: &Fields) -> ServerConfig {
    let path = |tls: &Fields, name: &str| tls.need::<String>(name).into();
    ServerConfig {
        listen: fields.need("listen"),
        public_url: fields.need("public_url"),
        trusted_proxies: fields.need("trusted_proxies"),
        tls: fields.table("tls").map(|tls| TlsConfig {
            cert_file: path(tls, "cert_file"),
            key_file: path(tls, "key_file"),
        }),
        max_connections: fields.need("max_connections"),
        max_connections_per_address: fields.need("max_connections_per_address"),
        first_byte_timeout: fields.need("first_byte_timeout"),
        header_timeout: fields.need("header_timeout"),
        body_timeout: fields.need("body_timeout"),
        idle_timeout: fields.need("idle_timeout"),
        max_body_bytes: fields.need("max_body_bytes"),
        drain_timeout: fields.need("drain_timeout"),
        return_hosts: fields.need("return_hosts"),
    }
}

fn admin(fields: &Fields) -> AdminConfig {
    AdminConfig {
        listen: fields.need("listen"),
        token: secret(fields, "token"),
    }
}

fn upstream(fields: &Fields) -> UpstreamConfig {
    UpstreamConfig {
        url: fields.need("url"),
        connect_timeout: fields.need("connect_timeout"),
        response_timeout: fields.need("response_timeout"),
        idle_timeout: fields.need("idle_timeout"),
        body_timeout: fields.need("body_timeout"),
        max_connections: fields.need("max_connections"),
        allow_upgrade: fields.need("allow_upgrade"),
        preserve_host: fields.need("preserve_host"),
    }
}

fn backend(fields: &Fields) -> BackendConfig {
    BackendConfig {
        mode: one_of(
            fields,
            "mode",
            &[
                ("embedded", BackendMode::Embedded),
                ("distributed", BackendMode::Distributed),
            ],
        ),
        data_dir: fields.need::<String>("data_dir").into(),
        redis_url: secret(fields, "redis_url"),
        rabbitmq_url: secret(fields, "rabbitmq_url"),
        postgres_url: secret(fields, "postgres_url"),
    }
}

fn rate_limit(fields: &Fields) -> RateLimitConfig {
    RateLimitConfig {
        per_address: fields.need("per_address"),
        joins_per_address: fields.need("joins_per_address"),
        exempt: fields.need("exempt"),
        max_addresses: fields.need("max_addresses"),
    }
}

fn payment(fields: &Fields) -> PaymentConfig {
    PaymentConfig {
        provider: one_of(
            fields,
            "provider",
            &[
                ("sandbox", PaymentProvider::Sandbox),
                ("stripe", PaymentProvider::Stripe),
            ],
        ),
        api_url: fields.get::<Uri>("api_url"),
        secret_key: secret(fields, "secret_key"),
        webhook_secret: secret(fields, "webhook_secret"),
        max_requests_per_second: fields.need("max_requests_per_second"),
        request_timeout: fields.need("request_timeout"),
    }
}

fn stops(fields: &Fields) -> StopsConfig {
    StopsConfig {
        checkout: fields.need("paused"),
        payments: fields.need("payments_paused"),
    }
}

fn webhooks(fields: &Fields) -> WebhooksConfig {
    let events: Vec<String> = fields.need("events");
    let notice =
        |name: &String| Notice::named(name).expect("the events of the schema are those of the domain");
    WebhooksConfig {
        url: fields.get::<Uri>("url"),
        secret: secret(fields, "secret"),
        events: events.iter().map(notice).collect(),
    }
}

fn log(fields: &Fields) -> LogConfig {
    LogConfig {
        level: one_of(
            fields,
            "level",
            &LogLevel::ALL.map(|level| (level.as_str(), level)),
        ),
        format: one_of(
            fields,
            "format",
            &[("text", LogFormat::Text), ("json", LogFormat::Json)],
        ),
    }
}

fn drop(fields: &Fields) -> DropConfig {
    let status = fields.need::<u16>("queueing_status_code");
    DropConfig {
        id: DropId::new(&fields.need::<String>("id")).expect("the id was checked"),
        title: fields.need("title"),
        notice: fields.get("notice"),
        paths: fields.need("paths"),
        prequeue_start_time: fields.get("prequeue_start_time"),
        event_start_time: fields.need("event_start_time"),
        event_end_time: fields.get("event_end_time"),
        queueing_method: one_of(fields, "queueing_method", &QUEUEING_METHODS),
        shuffle: if fields.need("shuffle_at_event_start") {
            Shuffle::AtEventStart
        } else {
            Shuffle::Never
        },
        queue_all: fields.need("queue_all"),
        limits: Limits {
            total_active_users: fields.need("total_active_users"),
            new_users_per_minute: fields.need("new_users_per_minute"),
        },
        queue_capacity: fields.need("queue_capacity"),
        session_duration: fields.need("session_duration"),
        renewal: if fields.need("disable_session_renewal") {
            Renewal::Fixed
        } else {
            Renewal::Sliding
        },
        after_order: if fields.need("session_ends_on_completed_order") {
            AfterOrder::EndSession
        } else {
            AfterOrder::KeepSession
        },
        claim_window: fields.need("claim_window"),
        late_grace: fields.need("late_grace"),
        queueing_status_code: StatusCode::from_u16(status).expect("the status was checked"),
        checkout: fields
            .table("checkout")
            .and_then(|own| checkout(own, fields.tables("item"))),
    }
}

fn checkout(fields: &Fields, tables: &[Fields]) -> Option<CheckoutConfig> {
    let items: Vec<ItemConfig> = tables.iter().map(item).collect();
    let currency = items.first()?.price.currency;
    Some(CheckoutConfig {
        reserve_for: fields.need("reserve_for"),
        per_shopper: fields.need("per_shopper"),
        drain_per_second: fields.need("drain_per_second"),
        overbooking_percent: fields.need("overbooking_percent"),
        action_window: fields.need("action_window"),
        stops: stops(fields),
        currency,
        items,
    })
}

fn item(fields: &Fields) -> ItemConfig {
    let price = fields.table("price").expect("the price was checked to be there");
    let currency = Currency::new(&price.need::<String>("currency")).expect("the currency was checked");
    ItemConfig {
        sku: Sku::new(&fields.need::<String>("sku")).expect("the SKU was checked"),
        title: fields.need("title"),
        price: Money::new(price.need("amount"), currency),
        stock: fields.need("stock"),
    }
}
