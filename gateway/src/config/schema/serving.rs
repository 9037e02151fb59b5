//! The sections about serving: `[server]`, `[admin]`, `[upstream]`.

use super::Kind::{
    Address, Count, Duration, File, Flag, Host, List, Network, SecretFile, SecretVariable, Table, Url,
};
use super::{Key, Section, Shown};

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;

pub(super) static SERVER: Section = Section {
    header: "[server]",
    doc: "The public side: what shoppers reach.",
    keys: &[
        Key::preset(
            "listen",
            Address,
            "\"127.0.0.1:8080\"",
            "Where to listen. \"0.0.0.0:8080\" for all interfaces.",
        )
        .in_force(),
        Key::optional(
            "public_url",
            Url,
            Shown::Set("\"http://localhost:8080\""),
            "What shoppers type into the browser. With https, cookies are marked Secure and bound to\n\
             this host. Left out, it is http://localhost with the port of `listen`.",
        ),
        Key::preset(
            "trusted_proxies",
            List(&Network),
            "[]",
            "Networks of your own proxies or CDN, such as \"10.0.0.0/8\". Only their word about the\n\
             shopper's address (X-Forwarded-For) is believed.",
        )
        .in_force(),
        Key::optional(
            "tls",
            Table(&TLS),
            Shown::Comment(
                "{ cert_file = \"/etc/doorline/cert.pem\", key_file = \"/etc/doorline/key.pem\" }",
            ),
            "Certificate and private key (PEM), where Doorline itself ends TLS.",
        ),
        Key::preset(
            "max_connections",
            Count(1, 1_000_000),
            "20000",
            "Open connections in all.",
        ),
        Key::preset(
            "max_connections_per_address",
            Count(1, 1_000_000),
            "256",
            "Open connections of one client address (for IPv6, of one /64). Many people may share one.",
        ),
        Key::preset(
            "first_byte_timeout",
            Duration(SECOND / 10, HOUR),
            "\"10s\"",
            "How long a new connection may stay silent.",
        ),
        Key::preset(
            "header_timeout",
            Duration(SECOND / 10, HOUR),
            "\"10s\"",
            "How long the header of a request may take.",
        ),
        Key::preset(
            "body_timeout",
            Duration(SECOND / 10, HOUR),
            "\"30s\"",
            "Longest pause while a body is sent.",
        ),
        Key::preset(
            "idle_timeout",
            Duration(SECOND / 10, HOUR),
            "\"75s\"",
            "How long a connection may stay open between two requests.",
        ),
        Key::preset(
            "max_body_bytes",
            Count(0, 10_737_418_240),
            "10485760",
            "Longest request body that is passed to the shop, in bytes.",
        ),
        Key::preset(
            "drain_timeout",
            Duration(0, HOUR),
            "\"30s\"",
            "When stopping: how long to wait for requests that are still open.",
        ),
        Key::preset(
            "return_hosts",
            List(&Host),
            "[]",
            "Other hosts a shopper may be sent back to after waiting, such as \"shop.example\".",
        ),
    ],
    identity: None,
};

static TLS: Section = Section {
    header: "server.tls",
    doc: "",
    keys: &[
        Key::required(
            "cert_file",
            File,
            "\"/etc/doorline/cert.pem\"",
            "The certificate chain, your own first (PEM).",
        ),
        Key::required(
            "key_file",
            File,
            "\"/etc/doorline/key.pem\"",
            "The private key (PEM).",
        ),
    ],
    identity: None,
};

pub(super) static ADMIN: Section = Section {
    header: "[admin]",
    doc: "The private side: health (/healthz, /readyz), /metrics and the admin API. Keep it off the internet.",
    keys: &[
        Key::preset("listen", Address, "\"127.0.0.1:9180\"", "Where to listen.").in_force(),
        Key::preset(
            "token_env",
            SecretVariable,
            "\"DOORLINE_ADMIN_TOKEN\"",
            "The environment variable that holds the admin token (16 characters or more). Where it is not\n\
             set, a random token is written to `admin-token` in `data_dir`, readable by you alone, and\n\
             `doorline status` on the same machine finds it there.",
        )
        .in_force(),
        Key::optional(
            "token_file",
            SecretFile,
            Shown::Comment("\"/run/secrets/doorline-admin-token\""),
            "Or the file that holds it.",
        ),
    ],
    identity: None,
};

pub(super) static UPSTREAM: Section = Section {
    header: "[upstream]",
    doc: "Your shop.",
    keys: &[
        Key::preset(
            "url",
            Url,
            "\"http://127.0.0.1:3000\"",
            "Where it is: http or https, host and port, no path.",
        )
        .in_force(),
        Key::preset(
            "connect_timeout",
            Duration(SECOND / 100, HOUR),
            "\"3s\"",
            "Longest time to reach it.",
        ),
        Key::preset(
            "response_timeout",
            Duration(SECOND / 100, HOUR),
            "\"30s\"",
            "Longest time until its answer begins.",
        ),
        Key::preset(
            "idle_timeout",
            Duration(SECOND / 100, HOUR),
            "\"4s\"",
            "How long an unused connection is kept. Stay below the shop's own keep-alive time\n\
             (Node.js: 5 s), or requests fail now and then.",
        ),
        Key::preset(
            "body_timeout",
            Duration(SECOND / 100, HOUR),
            "\"30s\"",
            "Longest pause while its answer is sent.",
        ),
        Key::preset(
            "max_connections",
            Count(1, 100_000),
            "256",
            "Connections to it at once; further requests wait for one of them. Uploads under way and\n\
             open WebSockets have half of them at most, so that they never keep out everybody else.",
        ),
        Key::preset(
            "allow_upgrade",
            Flag,
            "false",
            "Whether WebSockets are passed through.",
        ),
        Key::preset(
            "preserve_host",
            Flag,
            "true",
            "Whether the shop sees the host that the shopper typed; otherwise the one in `url`.",
        ),
    ],
    identity: None,
};
