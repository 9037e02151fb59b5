//! What a new configuration may change of one that is in force.

use super::*;
use crate::config::{Environment, parse};

fn config(text: &str) -> Config {
    match parse("config.toml", text, &[], &Environment::default()) {
        Ok(loaded) => loaded.config,
        Err(report) => panic!("{report}"),
    }
}

fn drop(id: &str, paths: &str, rest: &str) -> String {
    format!(
        "[[drop]]\nid = \"{id}\"\npaths = [{paths}]\nevent_start_time = \"2020-01-01T00:00:00Z\"\n\
         total_active_users = 5\nnew_users_per_minute = 60\n{rest}\n"
    )
}

const ITEM: &str = "[drop.checkout]\nper_shopper = 2\n[[drop.item]]\nsku = \"X\"\n\
                    price = { amount = 100, currency = \"eur\" }\nstock = 3";

#[test]
fn what_cannot_change_is_as_it_was_and_the_rest_is_new() {
    let running =
        config("[server]\nlisten = \"127.0.0.1:1\"\nmax_body_bytes = 1000\n[log]\nlevel = \"info\"");
    let next = config(
        "[server]\nlisten = \"127.0.0.1:2\"\nmax_body_bytes = 2000\ntrusted_proxies = [\"192.0.2.0/24\"]\n\
         [log]\nlevel = \"debug\"\nformat = \"json\"\n[rate_limit]\nper_address = \"7/s\"\n\
         [upstream]\nurl = \"http://127.0.0.1:3\"\nallow_upgrade = false",
    );
    let merged = merged(&running, &next);
    assert_eq!(merged.server.listen, running.server.listen);
    assert_eq!(merged.upstream.url, running.upstream.url);
    assert_eq!(merged.log.format, running.log.format);
    assert_eq!(merged.log.level, next.log.level);
    assert_eq!(merged.server.max_body_bytes, 2_000);
    assert_eq!(merged.server.trusted_proxies, next.server.trusted_proxies);
    assert_eq!(merged.rate_limit, next.rate_limit);
    assert_eq!(merged.upstream.allow_upgrade, next.upstream.allow_upgrade);
    assert_eq!(
        (&merged.backend, &merged.payment),
        (&running.backend, &running.payment)
    );
}

#[test]
fn a_drop_that_is_gone_runs_on_without_the_paths_that_another_has_taken() {
    let running = config(&drop("a", "\"/a\", \"/shared\"", ""));
    let next = config(&drop("b", "\"/shared\"", ""));
    let merged = merged(&running, &next);
    let ids: Vec<&str> = merged.drops.iter().map(|drop| drop.id.as_str()).collect();
    assert_eq!(ids, ["b", "a"]);
    assert_eq!(merged.drops[1].paths, running.drops[0].paths[..1]);
    let again = super::merged(&merged, &next);
    assert_eq!(again, merged, "the same again changes nothing");
}

#[test]
fn a_drop_that_sells_goes_on_selling_and_one_that_does_not_may_begin() {
    let (sells, waits) = (
        config(&drop("a", "\"/a\"", ITEM)),
        config(&drop("a", "\"/a\"", "")),
    );
    assert_eq!(merged(&sells, &waits).drops[0].checkout, sells.drops[0].checkout);
    assert_eq!(merged(&waits, &sells).drops[0].checkout, sells.drops[0].checkout);
}
