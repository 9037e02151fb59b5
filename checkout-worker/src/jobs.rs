//! The workers and the recovery jobs. Each is idempotent and safe to run twice at once: they all end in a
//! compare-and-set on the order, and in calls under derived keys.

mod crowd;
mod disown;
mod news;
mod reconcile;
mod recover;
mod relay;
mod tell;
mod work;

pub use reconcile::{CLOCK_MARGIN, Reconciled};

use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::Timestamp;
use domain::saga::Stall;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::broker::Broker;
use crate::broker::embedded::EmbeddedBroker;
use crate::checkout::Part;
use crate::driver::{DriveError, Driver};
use crate::ledger::LedgerError;
use crate::merchant::Merchant;

/// How often each job runs. The defaults are those of the protocol, except that due orders are looked for every second:
/// the query is one index look-up, and a one-second backoff should not last five.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// Outbox relay: the poll that covers for a lost wake-up.
    pub relay: Duration,
    /// Due orders → outbox.
    pub redrive: Duration,
    /// How long an order that waits in a durable broker for its turn is left to wait before its message is taken for
    /// lost. A broker that is found empty is known to have lost everything, and is not waited for.
    pub patience: Duration,
    /// Reservations past their time → released.
    pub sweep: Duration,
    /// Orders to be given up at the provider.
    pub cancel: Duration,
    /// Shoppers at their bank whose time to be read about has come. Each has a time of their own, far longer than this.
    pub confirmations: Duration,
    /// Orders that stand still → ask the provider.
    pub reconcile_orders: Duration,
    /// How long an order may stand still before it is asked about.
    pub stale_after: Duration,
    /// The provider's payments → compare with the ledger.
    pub reconcile_provider: Duration,
    /// How far back the first look at the provider's payments reaches.
    pub reconcile_window: Duration,
    /// All books.
    pub audit: Duration,
    /// The durable switches, which another process may have set.
    pub switches: Duration,
    /// Watched orders, which another process may have changed.
    pub news: Duration,
    /// Events for the merchant's system: the poll that finds those written by other processes, and those to be told again.
    pub tell: Duration,
    /// Notices too old to be told → let go.
    pub forget: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            relay: Duration::from_millis(50),
            redrive: Duration::from_secs(1),
            patience: Duration::from_mins(10),
            sweep: Duration::from_secs(1),
            cancel: Duration::from_secs(1),
            confirmations: Duration::from_secs(1),
            reconcile_orders: Duration::from_secs(30),
            stale_after: Duration::from_mins(1),
            reconcile_provider: Duration::from_mins(5),
            reconcile_window: Duration::from_hours(24),
            audit: Duration::from_mins(1),
            switches: Duration::from_secs(1),
            news: Duration::from_millis(250),
            tell: Duration::from_secs(1),
            forget: Duration::from_mins(1),
        }
    }
}

/// A recovery job.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Job {
    /// Orders that are due, without a live lease → outbox.
    Redrive,
    /// Reservations past their time → released.
    Sweep,
    /// CANCELLING → given up at the provider → released.
    Cancel,
    /// Shoppers at their bank whose time has come → read about at the provider.
    Confirmations,
    /// Orders that stand still, and parked ones → ask the provider.
    ReconcileOrders,
    /// The provider's payments → compare with the ledger.
    ReconcileProvider,
    /// All books.
    Audit,
    /// What operators switched, at whatever process.
    Switches,
    /// What became of watched orders, at whatever process.
    News,
    /// Notices too old to be told → let go.
    Forget,
}

impl Job {
    /// Every job there is.
    pub const ALL: [Self; 10] = [
        Self::Redrive,
        Self::Sweep,
        Self::Cancel,
        Self::Confirmations,
        Self::ReconcileOrders,
        Self::ReconcileProvider,
        Self::Audit,
        Self::Switches,
        Self::News,
        Self::Forget,
    ];
}

/// A job could not do its round. The next round tries again.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The ledger failed.
    #[error("a job met a failing ledger")]
    Ledger(#[from] LedgerError),
    /// An order did not come to rest.
    #[error("a job could not bring an order to rest")]
    Drive(#[from] DriveError),
    /// The provider did not list its payments.
    #[error("the provider did not list its payments: {0:?}")]
    Provider(Stall),
    /// The provider made more payments within a few minutes than are looked at in one go.
    #[error("the provider's list of a few minutes did not end within {0} pages")]
    Endless(u32),
}

/// Messages in the hands of this process's own workers while the broker is away. More would only wait here instead of in
/// the outbox.
const DETOUR_ROOM: usize = crowd::ROOM;

/// Workers and recovery jobs over one driver.
pub struct Jobs {
    driver: Arc<Driver>,
    broker: Arc<dyn Broker>,
    merchant: Option<Arc<dyn Merchant>>,
    /// While the broker takes no messages, they go from the outbox straight to this process's own workers. Several
    /// processes that do so meet in the ledger: the order's lease lets one of them through.
    detour: Arc<EmbeddedBroker>,
    timing: Timing,
    /// Orders that workers have at the provider at once. Jobs have few at a time, beside these.
    hands: Semaphore,
    /// Who waits for the turns of which drop.
    crowd: crowd::Crowd,
    part: Part,
    /// Tells the relay that there may be something to carry.
    news: Notify,
    /// The same for whoever tells the merchant.
    untold: Notify,
    away: tell::Away,
    /// Until when the provider's payments were compared.
    compared_until: Mutex<Option<Timestamp>>,
    /// Payments to be looked at again.
    unsettled: disown::Unsettled,
    /// Where watched orders were last known to stand.
    known: news::Known,
}

impl Jobs {
    /// Jobs that use `driver` and `broker`, with at most `concurrency` orders in workers' hands at once.
    pub(crate) fn new(
        driver: Arc<Driver>,
        broker: Arc<dyn Broker>,
        merchant: Option<Arc<dyn Merchant>>,
        timing: Timing,
        concurrency: usize,
        part: Part,
    ) -> Self {
        Self {
            driver,
            broker,
            merchant,
            detour: Arc::new(EmbeddedBroker::new(DETOUR_ROOM)),
            timing,
            hands: Semaphore::new(concurrency.max(1)),
            crowd: crowd::Crowd::default(),
            part,
            news: Notify::new(),
            untold: Notify::new(),
            away: tell::Away::default(),
            compared_until: Mutex::new(None),
            unsettled: disown::Unsettled::default(),
            known: news::Known::default(),
        }
    }

    /// Tells the relay that the outbox may have something to carry, and something to tell.
    pub fn wake(&self) {
        self.news.notify_one();
        self.untold.notify_one();
    }

    /// Runs its part until `stop`, then waits for what is under way.
    pub(crate) async fn run(self: &Arc<Self>, stop: CancellationToken) {
        let mut running = JoinSet::new();
        for job in self.part.jobs() {
            running.spawn(Arc::clone(self).rounds(*job, stop.clone()));
        }
        let this = Arc::clone(self);
        let until = stop.clone();
        running.spawn(async move { this.relay(until).await });
        if self.part.pays() {
            if let Some(merchant) = self.merchant.clone() {
                let (this, until) = (Arc::clone(self), stop.clone());
                running.spawn(async move { this.tell(merchant, until).await });
            }
            let this = Arc::clone(self);
            running.spawn(async move { this.work(stop).await });
        }
        while let Some(ended) = running.join_next().await {
            if let Err(died) = ended {
                tracing::error!(cause = %died, "a checkout job died and stays dead until the next start");
            }
        }
    }

    /// Does one round of `job` now.
    pub async fn round(&self, job: Job) -> Result<(), JobError> {
        match job {
            Job::Redrive => drop(self.redrive().await?),
            Job::Sweep => drop(self.sweep().await?),
            Job::Cancel => drop(self.cancel().await?),
            Job::Confirmations => drop(self.look_for_confirmations().await?),
            Job::ReconcileOrders => drop(self.reconcile_orders().await?),
            Job::ReconcileProvider => drop(self.reconcile_with_provider().await?),
            Job::Audit => drop(self.audit().await?),
            Job::Switches => self.follow_switches().await?,
            Job::News => drop(self.look_for_news().await?),
            Job::Forget => drop(self.forget().await?),
        }
        Ok(())
    }

    /// Round after round. One that fails or panics is reported, and the next one comes all the same.
    async fn rounds(self: Arc<Self>, job: Job, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.timing.of(job));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let this = Arc::clone(&self);
            let mut round = JoinSet::new();
            round.spawn(async move { this.round(job).await });
            match round.join_next().await {
                Some(Ok(Ok(()))) | None => {}
                Some(Ok(Err(failed))) => {
                    tracing::warn!(job = ?job, cause = %Causes(&failed), "a round failed");
                }
                Some(Err(died)) => tracing::error!(job = ?job, cause = %died, "a round died"),
            }
        }
    }
}

impl Part {
    /// Whether this part takes orders to payment.
    pub(crate) const fn pays(self) -> bool {
        matches!(self, Self::Whole | Self::Payment)
    }

    /// Whether this part tells the house what became of orders. One that has no queue next to it would tell nobody,
    /// and the news would be marked as told.
    pub(crate) const fn tells(self) -> bool {
        matches!(self, Self::Whole | Self::Counter)
    }

    const fn jobs(self) -> &'static [Job] {
        match self {
            Self::Whole | Self::Payment => &Job::ALL,
            Self::Counter => &[Job::Switches, Job::News],
        }
    }
}

impl Timing {
    const fn of(&self, job: Job) -> Duration {
        match job {
            Job::Redrive => self.redrive,
            Job::Sweep => self.sweep,
            Job::Cancel => self.cancel,
            Job::Confirmations => self.confirmations,
            Job::ReconcileOrders => self.reconcile_orders,
            Job::ReconcileProvider => self.reconcile_provider,
            Job::Audit => self.audit,
            Job::Switches => self.switches,
            Job::News => self.news,
            Job::Forget => self.forget,
        }
    }
}

/// An error with all its causes, for one log line.
pub(crate) struct Causes<'a>(pub(crate) &'a dyn std::error::Error);

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl std::fmt::Debug for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jobs")
            .field("timing", &self.timing)
            .finish_non_exhaustive()
    }
}
