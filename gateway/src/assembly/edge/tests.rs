//! What the edge is told of the configuration.

use std::time::Duration;

use super::*;
use crate::config::{Environment, parse};

fn proxy(text: &str) -> ProxyConfig {
    let loaded = match parse("config.toml", text, &[], &Environment::default()) {
        Ok(loaded) => loaded,
        Err(report) => panic!("{report}"),
    };
    proxy_config(&loaded.config).unwrap()
}

#[test]
fn every_limit_of_the_upstream_reaches_the_proxy() {
    let told = proxy(
        "[upstream]\nconnect_timeout = \"1s\"\nresponse_timeout = \"2s\"\nidle_timeout = \"3s\"\n\
         body_timeout = \"4s\"\nmax_connections = 5",
    );
    assert_eq!(
        [told.connect, told.response_head, told.keep_alive, told.body_idle],
        [1, 2, 3, 4].map(Duration::from_secs)
    );
    assert_eq!(told.connections_max, 5);
    assert_eq!(proxy("").connections_max, 256, "as it is documented");
}
