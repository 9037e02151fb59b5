//! Who is asking: the client's address behind trusted proxies, and the key it is limited by.

use std::net::{IpAddr, Ipv6Addr};

use http::HeaderMap;
use ipnet::IpNet;

mod forwarded;

/// The proxies in front of us whose `X-Forwarded-For` is believed.
#[derive(Clone, Default, Debug)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
}

/// The client's address and how it was learnt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientAddress {
    /// The address nearest to us that no trusted proxy owns.
    pub ip: IpAddr,
    /// Whether the socket's peer is a trusted proxy, so that its forwarding headers are kept.
    pub peer: Peer,
}

/// Whether the peer of a connection is a proxy we trust.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    /// A proxy listed in `trusted_proxies`.
    Trusted,
    /// Anybody else.
    Stranger,
}

/// What limits count by: an IPv4 address, or the /64 of an IPv6 address, because one
/// household owns a whole /64 and could otherwise take a fresh address per request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AddressKey(u64);

impl TrustedProxies {
    /// Trusts every proxy within `networks`.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self { networks }
    }

    /// Whether `address` belongs to a trusted proxy.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Finds the client of a request that came from `peer`.
    ///
    /// Counts from the right over trusted hops: what stands left of the first untrusted hop was
    /// written by that hop and proves nothing. `X-Forwarded-For` is read; `Forwarded` (RFC 7239)
    /// only where there is none. A hop that is no address ends the walk at the hop before it.
    pub fn resolve(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddress {
        let peer = peer.to_canonical();
        if self.networks.is_empty() || !self.contains(peer) {
            return ClientAddress {
                ip: peer,
                peer: Peer::Stranger,
            };
        }
        let mut client = peer;
        for hop in forwarded::hops_from_the_right(headers) {
            let Some(address) = hop else { break };
            client = address;
            if !self.contains(address) {
                break;
            }
        }
        ClientAddress {
            ip: client,
            peer: Peer::Trusted,
        }
    }
}

impl AddressKey {
    /// The key of `address`.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            // 0000:ffff::/32 is not allocated to anybody, so no IPv6 network shares these keys.
            IpAddr::V4(v4) => Self(0x0000_ffff_0000_0000 | u64::from(v4.to_bits())),
            IpAddr::V6(v6) => Self((v6.to_bits() >> 64) as u64),
        }
    }

    /// The key as a number, for hashing and sharding.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl ClientAddress {
    /// What limits count this client by.
    pub fn key(&self) -> AddressKey {
        AddressKey::of(self.ip)
    }
}

impl From<Ipv6Addr> for AddressKey {
    fn from(address: Ipv6Addr) -> Self {
        Self::of(IpAddr::V6(address))
    }
}

#[cfg(test)]
mod tests;
