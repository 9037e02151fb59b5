//! Reads addresses of every sort: sockets, hosts, http addresses, networks.

use std::net::{IpAddr, SocketAddr};

use http::Uri;
use ipnet::IpNet;

use crate::config::value::Value;

pub(super) fn listener(text: &str) -> Result<Value, String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(Value::Address(address));
    }
    Err(match text.rsplit_once(':') {
        Some(("", port)) if port.parse::<u16>().is_ok() => {
            format!("the address is missing: write \"0.0.0.0:{port}\" for all interfaces")
        }
        Some(("localhost", port)) if port.parse::<u16>().is_ok() => {
            format!("a number is needed, not a name: write \"127.0.0.1:{port}\"")
        }
        _ if text.parse::<IpAddr>().is_ok() => {
            "the port is missing, as in \"127.0.0.1:8080\" or \"[::1]:8080\"".to_owned()
        }
        _ => "an address and port is expected here, as in \"127.0.0.1:8080\" or \"[::1]:8080\"".to_owned(),
    })
}

pub(super) fn url(text: &str) -> Result<Value, String> {
    let uri = web_address(text, "http://127.0.0.1:3000")?;
    if uri.path() != "/" || uri.query().is_some() || text.contains('#') {
        return Err("an address without path is expected here: scheme, host and port only".to_owned());
    }
    Ok(Value::Url(uri))
}

pub(super) fn endpoint(text: &str) -> Result<Value, String> {
    let uri = web_address(text, "https://shop.example/events")?;
    if text.contains('#') {
        return Err("what follows # is never sent: leave it out".to_owned());
    }
    Ok(Value::Url(uri))
}

fn web_address(text: &str, example: &str) -> Result<Uri, String> {
    let form = || format!("an http or https address is expected here, as in \"{example}\"");
    let uri: Uri = text.parse().map_err(|_| form())?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(form());
    };
    if scheme != "http" && scheme != "https" {
        return Err(format!("only http and https are known here, not {scheme}"));
    }
    if authority.as_str().contains('@') {
        return Err("a user name or password does not belong in an address".to_owned());
    }
    if authority.host().is_empty() || (authority.as_str().ends_with(':')) {
        return Err(form());
    }
    Ok(uri)
}

pub(super) fn network(text: &str) -> Result<Value, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Value::Network(IpNet::from(address)));
    }
    let network: IpNet = text.parse().map_err(
        |_| "a network in CIDR notation is expected here, as in \"10.0.0.0/8\" or \"2001:db8::/32\"",
    )?;
    if network.trunc() == network {
        Ok(Value::Network(network))
    } else {
        Err(format!(
            "the address has bits beyond the prefix; did you mean \"{}\"?",
            network.trunc()
        ))
    }
}

pub(super) fn host(name: &str) -> Result<Value, String> {
    let plain = |a: &http::uri::Authority| !a.as_str().contains('@') && !a.host().is_empty();
    match name.parse::<http::uri::Authority>() {
        Ok(authority) if plain(&authority) => Ok(Value::Text(name.to_ascii_lowercase())),
        _ => Err("a host name, perhaps with a port, is expected here: \"shop.example\"".to_owned()),
    }
}
