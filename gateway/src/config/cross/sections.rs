//! Contradictions between and within the sections that are not drops.

use std::net::{IpAddr, SocketAddr};

use http::Uri;
use ipnet::IpNet;

use crate::config::fields::Fields;
use crate::config::report::Report;
use crate::config::value::FromValue as _;

pub(super) fn check(root: &Fields, report: &mut Report) {
    let section = |name| root.table(name);
    if let (Some(server), Some(admin)) = (section("server"), section("admin")) {
        listeners(server, admin, report);
    }
    if let Some(server) = section("server") {
        public_side(server, report);
    }
    if let (Some(server), Some(upstream)) = (section("server"), section("upstream")) {
        no_loop(server, upstream, report);
    }
    if let (Some(backend), Some(payment)) = (section("backend"), section("payment")) {
        one_provider_for_all(backend, payment, report);
    }
    let crosses = [
        ("payment", "api_url", "the secret key"),
        ("webhooks", "url", "orders and addresses of shoppers"),
    ];
    for (name, key, what) in crosses {
        if let Some(fields) = section(name) {
            encrypted_beyond_here(fields, key, what, report);
        }
    }
    for name in ["admin", "backend", "payment", "webhooks"] {
        if let Some(fields) = section(name) {
            one_source_per_secret(fields, report);
        }
    }
}

/// Two sockets clash on the same port of the same address, or of all addresses. Port 0 takes any.
fn listeners(server: &Fields, admin: &Fields, report: &mut Report) {
    let (Some(public), Some(private)) = (
        server.get::<SocketAddr>("listen"),
        admin.get::<SocketAddr>("listen"),
    ) else {
        return;
    };
    let same_address =
        public.ip() == private.ip() || public.ip().is_unspecified() || private.ip().is_unspecified();
    let clash = public.port() == private.port() && public.port() != 0 && same_address;
    let written = if admin.is_written("listen") { admin } else { server };
    if clash {
        report.mistake(
            &written.place_of("listen"),
            format!("`listen` of [server] ({public}) and of [admin] ({private}) are the same port"),
        );
    } else if !private.ip().is_loopback() {
        report.warning(
            &admin.place_of("listen"),
            "the admin side listens beyond this machine: be sure that only your own network reaches it",
        );
    }
}

fn public_side(server: &Fields, report: &mut Report) {
    let https = server
        .get::<Uri>("public_url")
        .map(|url| url.scheme_str() == Some("https"));
    if server.table("tls").is_some() && https == Some(false) {
        report.mistake(
            &server.place_of("public_url"),
            "`tls` is on, but `public_url` begins with http: shoppers would be sent to the wrong place",
        );
    }
    let (all, each) = (
        server.get::<u64>("max_connections"),
        server.get::<u64>("max_connections_per_address"),
    );
    if let (Some(all), Some(each)) = (all, each)
        && each > all
    {
        report.mistake(
            &server.place_of("max_connections_per_address"),
            format!("`max_connections_per_address` ({each}) is more than `max_connections` ({all})"),
        );
    }
    for (place, value) in server.list("trusted_proxies") {
        if IpNet::from_value(value).is_some_and(|network| network.prefix_len() == 0) {
            report.warning(
                place,
                "this trusts everybody: any client can claim any address and dodge every limit",
            );
        }
    }
}

/// The gateway must not be its own upstream: every request would go round until something breaks.
fn no_loop(server: &Fields, upstream: &Fields, report: &mut Report) {
    let (Some(listen), Some(url)) = (server.get::<SocketAddr>("listen"), upstream.get::<Uri>("url")) else {
        return;
    };
    let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("https") {
        443
    } else {
        80
    });
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let address: Option<IpAddr> = if host == "localhost" {
        Some(IpAddr::from([127, 0, 0, 1]))
    } else {
        host.parse().ok()
    };
    let here =
        address.is_some_and(|ip| ip == listen.ip() || (listen.ip().is_unspecified() && ip.is_loopback()));
    if here && port == listen.port() {
        let written = if upstream.is_written("url") {
            upstream.place_of("url")
        } else {
            server.place_of("listen")
        };
        report.mistake(
            &written,
            format!("`url` of [upstream] leads back to Doorline itself ({listen})"),
        );
    }
}

/// The built-in sandbox lives in one process: many processes would each have a provider of their own, and what one
/// authorised the others would not find.
fn one_provider_for_all(backend: &Fields, payment: &Fields, report: &mut Report) {
    let is = |fields: &Fields, name: &str, word: &str| fields.get::<String>(name).as_deref() == Some(word);
    let built_in = is(payment, "provider", "sandbox") && payment.get::<Uri>("api_url").is_none();
    if is(backend, "mode", "distributed") && built_in {
        report.mistake(
            &backend.place_of("mode"),
            "`mode`: \"distributed\" needs a payment provider that all processes share: \"stripe\", or the `api_url` of one",
        );
    }
}

/// What is secret or private may cross a network only under TLS.
fn encrypted_beyond_here(fields: &Fields, key: &str, what: &str, report: &mut Report) {
    let Some(url) = fields.get::<Uri>(key) else {
        return;
    };
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if url.scheme_str() == Some("http") && !local {
        report.mistake(
            &fields.place_of(key),
            format!("`{key}`: {what} would cross the network in the clear; use https"),
        );
    }
}

fn one_source_per_secret(fields: &Fields, report: &mut Report) {
    for key in fields.section.keys {
        let Some(base) = key.name.strip_suffix("_env") else {
            continue;
        };
        let file = format!("{base}_file");
        if fields.is_written(key.name) && fields.is_written(&file) {
            report.mistake(
                &fields.place_of(&file),
                format!(
                    "`{}` and `{file}` both say where the secret is: keep one",
                    key.name
                ),
            );
        }
    }
}
