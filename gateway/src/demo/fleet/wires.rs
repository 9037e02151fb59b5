//! The wires between the processes of a fleet and what they call, each of which can be made bad. Every process has
//! wires of its own to the engines, so that one can be cut off from an engine while the others still reach it.

use std::net::SocketAddr;

use sandbox::relay::Relay;

use super::{Engines, FleetPlan};

/// Where a process keeps and finds what it shares with others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    /// The queues.
    Redis,
    /// The orders on their way to workers.
    RabbitMq,
    /// The ledger, and the record of the queues.
    Postgres,
}

/// The engines that a gateway calls.
const OF_A_GATEWAY: [Engine; 2] = [Engine::Redis, Engine::Postgres];
/// The engines that a worker calls.
const OF_A_WORKER: [Engine; 2] = [Engine::RabbitMq, Engine::Postgres];

/// One process's own wires to the engines that it calls.
pub struct MemberWires(Vec<(Engine, Relay)>);

/// All wires of a fleet.
pub struct Wires {
    /// The gateways' own, in the gateways' order.
    pub gateways: Vec<MemberWires>,
    /// The workers' own, in the workers' order.
    pub workers: Vec<MemberWires>,
    /// Everybody's to the payment provider.
    pub provider: Relay,
    /// Everybody's to the shop.
    pub shop: Relay,
}

impl Engine {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Redis, Self::RabbitMq, Self::Postgres];

    /// The variable by which our processes are told its address.
    #[must_use]
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Redis => "DOORLINE_REDIS_URL",
            Self::RabbitMq => "DOORLINE_RABBITMQ_URL",
            Self::Postgres => "DOORLINE_POSTGRES_URL",
        }
    }
}

impl MemberWires {
    /// Wires to engines that listen on these ports.
    async fn start(ports: impl IntoIterator<Item = (Engine, u16)>) -> std::io::Result<Self> {
        let mut wires = Vec::new();
        for (engine, port) in ports {
            let there = SocketAddr::from(([127, 0, 0, 1], port));
            wires.push((engine, Relay::start(vec![there]).await?));
        }
        Ok(Self(wires))
    }

    /// The wire to `engine`; none where its process does not call that one.
    #[must_use]
    pub fn to(&self, engine: Engine) -> Option<&Relay> {
        let mut wires = self.0.iter();
        wires.find(|(other, _)| *other == engine).map(|(_, wire)| wire)
    }
}

impl Wires {
    /// Wires for every process of `plan`, to the engines that it calls, and for all of them to the provider and the
    /// shop; all of them good.
    ///
    /// # Errors
    /// If there are no ports for them.
    pub async fn of(
        plan: &FleetPlan,
        engines: &Engines,
        provider: SocketAddr,
        shop: SocketAddr,
    ) -> std::io::Result<Self> {
        let ports = |called: [Engine; 2]| called.map(|engine| (engine, engines.port(engine)));
        let (mut gateways, mut workers) = (Vec::new(), Vec::new());
        for _ in 0..plan.gateways {
            gateways.push(MemberWires::start(ports(OF_A_GATEWAY)).await?);
        }
        for _ in 0..plan.workers {
            workers.push(MemberWires::start(ports(OF_A_WORKER)).await?);
        }
        Ok(Self {
            gateways,
            workers,
            provider: Relay::start(vec![provider]).await?,
            shop: Relay::start(vec![shop]).await?,
        })
    }

    /// The wires to `engine` of everybody who calls it.
    #[must_use]
    pub fn all_to(&self, engine: Engine) -> Vec<&Relay> {
        let members = self.gateways.iter().chain(&self.workers);
        members.filter_map(|member| member.to(engine)).collect()
    }
}

/// An address on loopback with another port.
pub(super) fn at_port(url: &str, from: u16, to: u16) -> String {
    url.replacen(&format!(":{from}"), &format!(":{to}"), 1)
}

#[cfg(test)]
mod tests {
    use sandbox::relay::Weather;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn an_address_over_a_wire_differs_in_its_port_alone() {
        for (url, over) in [
            ("redis://127.0.0.1:12700", "redis://127.0.0.1:40001"),
            (
                "amqp://guest:guest@127.0.0.1:12700/%2f",
                "amqp://guest:guest@127.0.0.1:40001/%2f",
            ),
            (
                "postgres://doorline@127.0.0.1:12700/doorline",
                "postgres://doorline@127.0.0.1:40001/doorline",
            ),
        ] {
            assert_eq!(at_port(url, 12_700, 40_001), over);
        }
    }

    #[tokio::test]
    async fn one_member_is_cut_off_while_the_other_still_reaches_the_engine() {
        let engine = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = engine.local_addr().unwrap().port();
        let (one, other) = (
            MemberWires::start([(Engine::Redis, port)]).await.unwrap(),
            MemberWires::start([(Engine::Redis, port)]).await.unwrap(),
        );
        assert!(one.to(Engine::Postgres).is_none());
        one.to(Engine::Redis).unwrap().set(Weather::Cut);
        let address = |member: &MemberWires| member.to(Engine::Redis).unwrap().address();
        let mut cut = TcpStream::connect(address(&one)).await.unwrap();
        assert_eq!(cut.read(&mut [0]).await.unwrap_or(0), 0);
        let _whole = TcpStream::connect(address(&other)).await.unwrap();
        engine.accept().await.unwrap();
    }
}
