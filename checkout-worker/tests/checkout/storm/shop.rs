//! Two processes on one ledger, with everything running, and the door through which the provider reports.

use std::sync::Arc;
use std::time::Duration;

use checkout_worker::checkout::{WebhookDone, WebhookFailure};
use checkout_worker::provider::stripe::{Stripe, StripeConfig};
use checkout_worker::sqlite::SqliteLedger;
use checkout_worker::{Checkout, CheckoutConfig, DropTerms, OrderView};
use domain::{Clock, OrderId, Timestamp};
use sandbox::provider::{FaultPlan, Provider, ProviderConfig, RunningProvider, WebhookTarget};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::{CountingEntropy, config, ports, terms, turns};
use crate::wire::{header, read_request};

const SECRET: &str = "whsec_test";
/// Steps of a minute in which somebody who waits for time must come to an end.
const MINUTES_MAX: u32 = 60;

/// The provider's clock is everybody's, so that one step moves all.
struct ProvidersTime(sandbox::clock::Clock);

impl Clock for ProvidersTime {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.now_ms())
    }
}

pub(super) struct StormShop {
    pub(super) provider: RunningProvider,
    pub(super) processes: [Checkout; 2],
    running: JoinSet<()>,
    stop: CancellationToken,
    _dir: TempDir,
}

impl StormShop {
    /// A shop that has a unit for everybody.
    pub(super) async fn open(stock: u32, drain_per_second: u32, faults: FaultPlan) -> Self {
        let provider = Provider::start(ProviderConfig {
            faults,
            ..ProviderConfig::default()
        })
        .await
        .unwrap();
        let clock: Arc<dyn Clock> = Arc::new(ProvidersTime(provider.clock().clone()));
        let dir = tempfile::tempdir().unwrap();
        let ledger = Arc::new(SqliteLedger::open(dir.path(), &clock).unwrap());
        let (shared, entropy) = (turns(), Arc::new(CountingEntropy::default()));
        let open = async || {
            let client = StripeConfig {
                url: provider.url(),
                requests_per_second: 500,
                timeout: Duration::from_secs(2),
                ..StripeConfig::new("sk_test_sandbox")
            };
            let client = Arc::new(Stripe::new(&client, &shared).unwrap());
            let behaviour = CheckoutConfig {
                drops: vec![DropTerms {
                    drain_per_second,
                    ..terms(stock)
                }],
                ..config(stock)
            };
            let ports = checkout_worker::Ports {
                turns: Arc::clone(&shared),
                entropy: entropy.clone(),
                ..ports(ledger.clone(), client, Arc::clone(&clock))
            };
            Checkout::open(behaviour, ports).await.unwrap()
        };
        let processes = [open().await, open().await];
        let (stop, mut running) = (CancellationToken::new(), JoinSet::new());
        for process in processes.clone() {
            let stop = stop.clone();
            running.spawn(async move { process.run(stop).await });
        }
        let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/webhooks/stripe", door.local_addr().unwrap());
        provider.set_webhook(Some(WebhookTarget {
            url,
            secret: SECRET.to_owned(),
        }));
        running.spawn(hold_door(door, processes.clone(), stop.clone()));
        Self {
            provider,
            processes,
            running,
            stop,
            _dir: dir,
        }
    }

    pub(super) fn one(&self) -> &Checkout {
        &self.processes[0]
    }

    pub(super) async fn views(&self, orders: &[OrderId]) -> Vec<OrderView> {
        let mut views = Vec::with_capacity(orders.len());
        for order in orders {
            views.push(self.one().view(*order).await.unwrap().unwrap());
        }
        views
    }

    /// Ends the faults, and lets minutes pass, with an operator at hand, until every order has come to its end and no money is held any more.
    pub(super) async fn calm_down(&self, orders: &[OrderId]) {
        let calm = FaultPlan {
            requests_per_second: 0,
            ..FaultPlan::default()
        };
        self.provider.set_faults(calm).unwrap();
        let (mut idle, mut before) = (0, usize::MAX);
        while idle < MINUTES_MAX {
            // The breaker keeps real time: half a minute at most, before it asks again.
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.provider.clock().advance(Duration::from_mins(1));
            let jobs = self.one().jobs();
            jobs.sweep().await.unwrap();
            jobs.redrive().await.unwrap();
            jobs.cancel().await.unwrap();
            jobs.reconcile_orders().await.unwrap();
            jobs.reconcile_with_provider().await.unwrap();
            // Three faults in a row set an order aside: that is for a person to take up.
            for parked in self.one().parked(1_000).await.unwrap() {
                drop(self.one().retry(parked.order, "storm").await);
            }
            let views = self.views(orders).await;
            let open = views.iter().filter(|view| !view.state.is_final()).count();
            if open == 0 && self.provider.tally().orders.values().all(|log| log.held() == 0) {
                return;
            }
            idle = if open < before { 0 } else { idle + 1 };
            before = open;
        }
    }

    pub(super) async fn close(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.running.join_next().await {
            ended.unwrap();
        }
    }
}

/// Takes signed events, and hands them to both processes in turn.
async fn hold_door(door: TcpListener, processes: [Checkout; 2], stop: CancellationToken) {
    let mut visits = JoinSet::new();
    let mut turn = processes.iter().cycle();
    while let Some(Ok((socket, _))) = stop.run_until_cancelled(door.accept()).await {
        let checkout = turn.next().unwrap().clone();
        visits.spawn(async move { drop(take(socket, &checkout).await) });
    }
    visits.shutdown().await;
}

async fn take(mut socket: TcpStream, checkout: &Checkout) -> std::io::Result<()> {
    let request = read_request(&mut socket).await;
    let (head, body) = request.split_once("\r\n\r\n").unwrap_or_default();
    let signature = header(head, "stripe-signature").unwrap_or_default();
    let status = match checkout.webhook(body.as_bytes(), signature).await {
        Ok(WebhookDone::Applied | WebhookDone::Repeated | WebhookDone::Ignored) => "200 OK",
        Err(WebhookFailure::Refused(refused)) => panic!("the sandbox signs as Stripe does: {refused}"),
        Err(_) => "503 Service Unavailable",
    };
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    socket.write_all(answer.as_bytes()).await
}
