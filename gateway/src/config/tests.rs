//! What merchants may write, what they are told when it is wrong, and what comes out of it.

mod corpus;
mod mutations;
mod overrides;
mod readers;
mod round_trip;
mod secrets;

use super::{Config, Environment, Loaded, Report, parse};

/// A small drop with something to sell.
const DROP: &str = "
[[drop]]
id = \"aurora\"
paths = [\"/drops/aurora\", \"/products/aurora/*\"]
event_start_time = \"2026-11-27T10:00:00[Europe/Berlin]\"
total_active_users = 500
new_users_per_minute = 600

[[drop.item]]
sku = \"AUR-42\"
price = { amount = 12900, currency = \"eur\" }
stock = 200
";

fn read(text: &str) -> Result<Loaded, Report> {
    parse("config.toml", text, &[], &Environment::default())
}

fn good(text: &str) -> Config {
    match read(text) {
        Ok(loaded) => loaded.config,
        Err(report) => panic!("refused:\n{report}"),
    }
}

fn refused(text: &str) -> String {
    read(text).expect_err("a mistake").to_string()
}
