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

#[test]
fn the_cores_share_the_connections_and_each_has_one() {
    for (connections, cores) in [(256, 1), (256, 2), (257, 2), (10, 4), (4, 4), (3, 4), (1, 16)] {
        let mut whole = proxy("");
        whole.connections_max = connections;
        let shares: Vec<_> = (0..cores)
            .map(|core| share_of(core, cores, &whole).connections_max)
            .collect();
        assert_eq!(
            shares.iter().sum::<usize>(),
            connections.max(cores),
            "{connections} over {cores}: {shares:?}"
        );
        let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
        assert!(
            *least > 0 && most - least < 2,
            "{connections} over {cores}: {shares:?}"
        );
    }
}
