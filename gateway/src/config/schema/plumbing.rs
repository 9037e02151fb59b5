//! The sections about what lies beneath: `[backend]`, `[rate_limit]`, `[payment]`, `[webhooks]`,
//! `[log]`.

use super::Kind::{
    Count, Duration, Endpoint, File, Flag, List, Network, OneOf, Rate, SecretFile, SecretVariable, Url,
};
use super::{Key, Section, Shown};

pub(super) static BACKEND: Section = Section {
    header: "[backend]",
    doc: "Where places, orders and stock are kept.",
    keys: &[
        Key::preset(
            "mode",
            OneOf(&["embedded", "distributed"]),
            "\"embedded\"",
            "\"embedded\": one process, everything in `data_dir`. \"distributed\": many processes on Redis,\n\
             RabbitMQ and Postgres.",
        )
        .in_force(),
        Key::preset(
            "data_dir",
            File,
            "\"./doorline-data\"",
            "The folder of the ledger, the queue's checkpoint and generated keys. Back it up; never share\n\
             it between two running processes.",
        )
        .in_force(),
        Key::preset(
            "redis_url_env",
            SecretVariable,
            "\"DOORLINE_REDIS_URL\"",
            "Distributed only: the environment variables that hold the addresses of the servers.",
        ),
        Key::optional(
            "redis_url_file",
            SecretFile,
            Shown::Comment("\"/run/secrets/redis-url\""),
            "",
        ),
        Key::preset(
            "rabbitmq_url_env",
            SecretVariable,
            "\"DOORLINE_RABBITMQ_URL\"",
            "",
        ),
        Key::optional(
            "rabbitmq_url_file",
            SecretFile,
            Shown::Comment("\"/run/secrets/rabbitmq-url\""),
            "",
        ),
        Key::preset(
            "postgres_url_env",
            SecretVariable,
            "\"DOORLINE_POSTGRES_URL\"",
            "",
        ),
        Key::optional(
            "postgres_url_file",
            SecretFile,
            Shown::Comment("\"/run/secrets/postgres-url\""),
            "",
        ),
    ],
    identity: None,
};

pub(super) static RATE_LIMIT: Section = Section {
    header: "[rate_limit]",
    doc: "Limits per client address (for IPv6, per /64). Twice the number may come at once.",
    keys: &[
        Key::preset(
            "per_address",
            Rate,
            "\"20/s\"",
            "Requests of any kind: so many per s, min or h.",
        )
        .in_force(),
        Key::preset("joins_per_address", Rate, "\"30/min\"", "New places in a queue.").in_force(),
        Key::preset(
            "exempt",
            List(&Network),
            "[]",
            "Networks without limits, such as your own monitoring: \"192.0.2.0/24\".",
        ),
        Key::preset(
            "max_addresses",
            Count(1_000, 100_000_000),
            "1000000",
            "Addresses remembered at once; beyond it the least active are forgotten. About 40 bytes each.",
        ),
    ],
    identity: None,
};

pub(super) static PAYMENT: Section = Section {
    header: "[payment]",
    doc: "Who takes the money.",
    keys: &[
        Key::preset(
            "provider",
            OneOf(&["sandbox", "stripe"]),
            "\"sandbox\"",
            "\"sandbox\": a built-in stand-in that moves no money, for trying things out. \"stripe\": Stripe.",
        )
        .in_force(),
        Key::preset(
            "secret_key_env",
            SecretVariable,
            "\"STRIPE_SECRET_KEY\"",
            "The environment variable that holds Stripe's secret key (not the key itself).",
        )
        .in_force(),
        Key::optional(
            "secret_key_file",
            SecretFile,
            Shown::Comment("\"/run/secrets/stripe-secret-key\""),
            "Or the file that holds it.",
        ),
        Key::preset(
            "webhook_secret_env",
            SecretVariable,
            "\"STRIPE_WEBHOOK_SECRET\"",
            "The same for the signing secret of the webhook endpoint /.doorline/v1/webhooks/stripe.",
        )
        .in_force(),
        Key::optional("webhook_secret_file", SecretFile, Shown::Comment("\"/run/secrets/stripe-webhook-secret\""), ""),
        Key::preset(
            "max_requests_per_second",
            Count(1, 10_000),
            "20",
            "Requests per second to one endpoint, over all drops. Ordinary Stripe accounts allow 25.",
        )
        .in_force(),
        Key::preset("request_timeout", Duration(100, 300_000), "\"20s\"", "Longest wait for one answer."),
        Key::optional(
            "api_url",
            Url,
            Shown::Comment("\"http://127.0.0.1:12111\""),
            "Where the provider's API is, if not at its usual address.",
        ),
    ],
    identity: None,
};

pub(super) static WEBHOOKS: Section = Section {
    header: "[webhooks]",
    doc: "Who is told what became of orders: your own system, by signed requests (Standard Webhooks). At least once\n\
          each, in order for each order, again for three days where they are not taken.",
    keys: &[
        Key::optional(
            "url",
            Endpoint,
            Shown::Comment("\"https://shop.example/doorline-events\""),
            "Where they are sent. Left out, none are. The address itself is no secret: it is shown.",
        ),
        Key::preset(
            "secret_env",
            SecretVariable,
            "\"DOORLINE_WEBHOOK_SECRET\"",
            "The environment variable that holds what they are signed with: whsec_ and 24 to 64 random bytes in\n\
             base64. While you change over, two secrets with a blank between them.",
        ),
        Key::optional(
            "secret_file",
            SecretFile,
            Shown::Comment("\"/run/secrets/doorline-webhook-secret\""),
            "Or the file that holds it.",
        ),
        Key::preset(
            "events",
            List(&OneOf(&[
                "order.paid",
                "order.declined",
                "order.released",
                "order.refunded",
            ])),
            "[\"order.paid\", \"order.declined\", \"order.released\", \"order.refunded\"]",
            "Which of them are sent.",
        ),
    ],
    identity: None,
};

pub(super) static CHECKOUT: Section = Section {
    header: "[checkout]",
    doc: "What is stopped in all drops. `doorline checkout pause` and `doorline payments pause` do the same\n\
          while it runs; what is stopped here is not resumed by a command.",
    keys: &[
        Key::preset(
            "paused",
            Flag,
            "false",
            "No new orders are taken. Those that exist go on.",
        ),
        Key::preset(
            "payments_paused",
            Flag,
            "false",
            "No order is taken to payment. Orders are still accepted, and wait.",
        ),
    ],
    identity: None,
};

pub(super) static LOG: Section = Section {
    header: "[log]",
    doc: "What is written to stderr.",
    keys: &[
        Key::preset(
            "level",
            OneOf(&["error", "warn", "info", "debug", "trace"]),
            "\"info\"",
            "From which severity on: error, warn, info, debug or trace.",
        ),
        Key::preset(
            "format",
            OneOf(&["text", "json"]),
            "\"text\"",
            "\"text\" for people, \"json\" for machines.",
        ),
    ],
    identity: None,
};
