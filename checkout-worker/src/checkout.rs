//! The checkout as the gateway uses it: reserve, accept, look, cancel; and what operators may do.
//!
//! Amounts, prices and items come from the configuration and the ledger; a client says only what it wants and how many.

mod admin;
mod events;
mod place;
mod restore;
mod view;

pub use admin::{Figures, MendError, StockChangeError};
pub use events::{WebhookDone, WebhookFailure};
pub use place::{AcceptError, CancelError, Placed, Purchase, ReserveError};
pub use restore::{RestoreError, Restored};
pub(crate) use view::reason;
pub use view::{LatePayment, OrderView, PublicState};

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use domain::saga::{ACTION_TIME, Event};
use domain::{Clock, DropId, Entropy, OrderId, Sku, Span};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broker::Broker;
use crate::driver::{Drain, DriveError, Driver, Fed, Keys, Valve};
use crate::hub::{Hub, HubFull, OrderWatch};
use crate::jobs::{Jobs, Timing};
use crate::ledger::{DropPlan, ItemPlan, Ledger, LedgerError, Opened};
use crate::merchant::Merchant;
use crate::observe::Observer;
use crate::provider::Provider;
use crate::switch::Switches;
use crate::turns::Turns;
use crate::webhook::Signing;

/// What the checkout stands on; assembly chooses.
#[derive(Clone)]
pub struct Ports {
    /// Where orders live.
    pub ledger: Arc<dyn Ledger>,
    /// Where money lives.
    pub provider: Arc<dyn Provider>,
    /// How work reaches workers.
    pub broker: Arc<dyn Broker>,
    /// Whose turn it is at the drain rate, over all who share it.
    pub turns: Arc<dyn Turns>,
    /// Who is told what became of orders, if anybody: by processes that take orders to payment.
    pub merchant: Option<Arc<dyn Merchant>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// For ids and jitter.
    pub entropy: Arc<dyn Entropy>,
    /// Who is told.
    pub observer: Arc<dyn Observer>,
}

/// How the checkout behaves.
#[derive(Clone, Debug)]
pub struct CheckoutConfig {
    /// The drops that sell something.
    pub drops: Vec<DropTerms>,
    /// Whose webhooks are believed.
    pub signing: Signing,
    /// How often each job runs.
    pub timing: Timing,
    /// Orders in a worker's hands at once.
    pub concurrency: usize,
    /// Which part of the work this process does.
    pub part: Part,
    /// What the configuration stops; operators' switches come on top.
    pub stopped: Switches,
}

/// Which part of the checkout's work a process does. Taking and showing orders is part of all: it needs no task.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Part {
    /// Everything.
    #[default]
    Whole,
    /// What stands next to the queue: telling the house what became of orders, so that sessions end. A gateway.
    Counter,
    /// Taking orders to payment, and the recovery jobs. A worker.
    Payment,
}

/// What a drop sells, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DropTerms {
    /// The drop.
    pub drop: DropId,
    /// What it sells; at least one item, each SKU once, all in one currency.
    pub items: Vec<ItemPlan>,
    /// How long units are held for an order that is not accepted.
    pub reserve_for: Span,
    /// Units per shopper over all orders of the drop that are alive.
    pub per_shopper: u32,
    /// Orders per second taken to payment.
    pub drain_per_second: u32,
    /// How long a shopper may take to confirm with their bank.
    pub action_time: Span,
}

/// The checkout could not be opened or reconfigured as asked.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The ledger failed.
    #[error("opening the checkout met a failing ledger")]
    Ledger(#[from] LedgerError),
    /// The configured stock is less than what is held or sold already.
    #[error(
        "drop {drop} has {taken} units of {sku} held or sold, which is more than the {configured} configured"
    )]
    TooFew {
        /// The drop.
        drop: DropId,
        /// The SKU.
        sku: Sku,
        /// Units configured.
        configured: u32,
        /// Units held or sold.
        taken: u32,
    },
    /// A drop with orders cannot change its currency.
    #[error("drop {drop} has orders in another currency than {sku} is configured in now")]
    OtherCurrency {
        /// The drop.
        drop: DropId,
        /// The SKU.
        sku: Sku,
    },
    /// The drop sells nothing, names a SKU twice, or mixes currencies.
    #[error("drop {drop} must sell at least one item, each SKU once, all in one currency")]
    Malformed {
        /// The drop.
        drop: DropId,
    },
}

/// The checkout. Cheap to clone; all clones are the same one.
#[derive(Clone)]
pub struct Checkout {
    inner: Arc<Inner>,
}

struct Inner {
    driver: Arc<Driver>,
    jobs: Arc<Jobs>,
    drops: RwLock<BTreeMap<DropId, Arc<DropTerms>>>,
    signing: Signing,
    tasks: TaskTracker,
    webhooks: Semaphore,
}

impl CheckoutConfig {
    /// The usual behaviour for `drops`.
    pub fn new(drops: Vec<DropTerms>, signing: Signing) -> Self {
        Self {
            drops,
            signing,
            timing: Timing::default(),
            concurrency: 16,
            part: Part::Whole,
            stopped: Switches::default(),
        }
    }
}

impl DropTerms {
    /// Usual terms for a drop that sells `items`: five minutes to pay, two units each, 20 orders per second.
    pub fn new(drop: DropId, items: Vec<ItemPlan>) -> Self {
        let reserve_for = Span::from_mins(5);
        Self {
            drop,
            items,
            reserve_for,
            per_shopper: 2,
            drain_per_second: 20,
            action_time: ACTION_TIME,
        }
    }

    fn is_sound(&self) -> bool {
        let twice =
            |(at, item): (usize, &ItemPlan)| self.items.iter().skip(at + 1).any(|i| i.sku == item.sku);
        let currency = self.items.first().map(|item| item.price.currency);
        !self.items.is_empty()
            && !self.items.iter().enumerate().any(twice)
            && self
                .items
                .iter()
                .all(|item| Some(item.price.currency) == currency)
    }
}

impl Checkout {
    /// Opens the checkout: stock rows as configured, durable switches as they were left. Nothing runs before [`Self::run`].
    pub async fn open(config: CheckoutConfig, ports: Ports) -> Result<Self, OpenError> {
        let Ports {
            ledger,
            provider,
            broker,
            turns,
            merchant,
            clock,
            entropy,
            observer,
        } = ports;
        let (hub, drain, valve) = (Hub::default(), Drain::new(turns), Valve::default());
        valve.configure(config.stopped);
        // The switches before the keys: whoever reads that no restore is under way then reads the space that the last one
        // moved to.
        valve.follow(valve.reading(), Switches::of_names(ledger.switches().await?));
        let breaker = crate::breaker::Breaker::default();
        let keys = Keys::of(ledger.key_space().await?);
        let driver = Driver {
            ledger,
            provider,
            clock,
            entropy,
            observer,
            hub,
            drain,
            valve,
            breaker,
            keys,
        };
        let driver = Arc::new(driver);
        let jobs = Arc::new(Jobs::new(
            Arc::clone(&driver),
            broker,
            merchant,
            config.timing,
            config.concurrency,
            config.part,
        ));
        let (drops, signing, tasks) = (RwLock::default(), config.signing, TaskTracker::new());
        let webhooks = Semaphore::new(events::WEBHOOKS_MAX);
        let checkout = Self {
            inner: Arc::new(Inner {
                driver,
                jobs,
                drops,
                signing,
                tasks,
                webhooks,
            }),
        };
        checkout.reconfigure(config.drops).await?;
        Ok(checkout)
    }

    /// Takes over new terms while running. Each drop is taken whole or refused; those before it stay taken. What operators
    /// have changed stands as before.
    pub async fn reconfigure(&self, drops: Vec<DropTerms>) -> Result<(), OpenError> {
        for terms in drops {
            let drop = terms.drop.clone();
            if !terms.is_sound() {
                return Err(OpenError::Malformed { drop });
            }
            let plan = DropPlan {
                drop: drop.clone(),
                items: terms.items.clone(),
            };
            match self.driver().ledger.open_drop(plan).await? {
                Opened::Done => {}
                Opened::TooFew {
                    sku,
                    configured,
                    taken,
                } => {
                    return Err(OpenError::TooFew {
                        drop,
                        sku,
                        configured,
                        taken,
                    });
                }
                Opened::OtherCurrency { sku } => return Err(OpenError::OtherCurrency { drop, sku }),
            }
            self.driver()
                .drain
                .configure(&drop, terms.drain_per_second, terms.action_time);
            let mut drops = self.inner.drops.write().unwrap_or_else(PoisonError::into_inner);
            drops.insert(drop, Arc::new(terms));
        }
        Ok(self.follow_changes().await?)
    }

    /// Takes over what the configuration stops, while running.
    pub fn configure_stops(&self, stopped: Switches) {
        self.driver().valve.configure(stopped);
        // Whoever waits for an order is told that it waits, or that it goes on.
        self.driver().hub.wake_all();
    }

    /// Runs workers and recovery jobs until `stop` is cancelled, then lets what is under way come to rest.
    pub async fn run(&self, stop: CancellationToken) {
        self.inner.jobs.run(stop).await;
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        self.inner.tasks.reopen();
    }

    /// The recovery jobs, each to be run once on its own: for operators and tests.
    pub fn jobs(&self) -> &Jobs {
        &self.inner.jobs
    }

    /// Drives one order as a worker would, without waiting for its turn: for the simulator and for tests.
    pub async fn drive(&self, order: OrderId) -> Result<Fed, DriveError> {
        self.driver().feed(order, Event::Drive).await
    }

    /// Wakes whenever the order may have changed; read it again with [`Self::view`].
    pub fn watch(&self, order: OrderId) -> Result<OrderWatch, HubFull> {
        self.driver().hub.watch(order)
    }

    pub(crate) fn driver(&self) -> &Arc<Driver> {
        &self.inner.driver
    }

    fn terms(&self, drop: &DropId) -> Option<Arc<DropTerms>> {
        self.inner
            .drops
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(drop)
            .cloned()
    }

    fn all_terms(&self) -> Vec<Arc<DropTerms>> {
        self.inner
            .drops
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }
}

impl std::fmt::Debug for Checkout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkout")
            .field("driver", &self.inner.driver)
            .finish_non_exhaustive()
    }
}
