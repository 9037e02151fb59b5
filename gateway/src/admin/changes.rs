//! What operators change of a drop while it runs: kept in the ledger, which every process reads each second, so that all
//! gateways enforce and show the same, and so that a restart forgets nothing.
//!
//! A change stands over what was configured when it was made. Whoever configures something else afterwards has the last word.

use std::sync::Arc;
use std::time::Duration;

use admission::{Admission, Command};
use arc_swap::ArcSwap;
use checkout_worker::Checkout;
use checkout_worker::driver::DRAIN_PER_SECOND;
use checkout_worker::ledger::{Change, LedgerError};
use domain::{Control, DropId, DropRules};
use serde_json::json;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::wire::DropChange;
use crate::config::DropConfig;
use crate::room::Room;

/// How often changes made at other gateways are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The settings that changes are kept under, by their names in the configuration.
const TOTAL_ACTIVE_USERS: &str = "total_active_users";
const NEW_USERS_PER_MINUTE: &str = "new_users_per_minute";
const NOTICE: &str = "notice";
/// Not changed by operators: what the configuration asked for when it was last obeyed.
const QUEUE_ALL: &str = "queue_all";
/// Who does what the configuration asks for.
const CONFIGURATION: &str = "configuration";

/// Takes changes, and does at this gateway what was changed at any.
pub struct Changes {
    drops: ArcSwap<Vec<DropConfig>>,
    desk: Admission,
    room: Arc<Room>,
    checkout: Checkout,
    /// One at a time, so that what was read last is what stands.
    following: Mutex<()>,
}

/// A change could not be kept, or not be carried out here.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The ledger did not keep it, or could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The queue did not take its rules.
    #[error(transparent)]
    Queue(#[from] admission::store::Unavailable),
    /// The queue did not take a command.
    #[error(transparent)]
    Command(#[from] admission::JoinError),
}

impl Changes {
    /// Changes of `drops` as they are configured.
    pub fn new(drops: &[DropConfig], desk: Admission, room: Arc<Room>, checkout: Checkout) -> Self {
        Self {
            drops: ArcSwap::from_pointee(drops.to_vec()),
            desk,
            room,
            checkout,
            following: Mutex::new(()),
        }
    }

    /// Keeps a change and carries it out here; other gateways and workers follow within a second.
    ///
    /// # Errors
    /// If it was not kept, or could not be carried out yet.
    pub async fn make(&self, drop: &DropId, change: &DropChange, by: &str) -> Result<(), ChangeError> {
        let drops = self.drops.load_full();
        let Some(config) = drops.iter().find(|config| config.id == *drop) else {
            return Ok(());
        };
        let subject = format!("{drop} {}", json!(change));
        self.checkout.change(rows(config, change), &subject, by).await?;
        self.follow().await
    }

    /// Takes over drops as they are configured now, under what operators have changed.
    ///
    /// # Errors
    /// If the ledger cannot be read or the queue does not take its rules; what was in force stays so, in part at least.
    pub async fn configure(&self, drops: &[DropConfig]) -> Result<(), ChangeError> {
        {
            let _alone = self.following.lock().await;
            let changes = self.checkout.changes().await?;
            let known = self.drops.load_full();
            let fresh = drops.iter().filter(|drop| !known.contains(drop));
            let fresh = fresh.map(|drop| rules(drop, &changes)).collect();
            self.desk.reconfigure(fresh).await?;
            self.room.configure(drops);
            self.drops.store(Arc::new(drops.to_vec()));
        }
        self.follow().await
    }

    /// Carries out what was changed at any gateway.
    ///
    /// # Errors
    /// If the ledger cannot be read or the queue does not take its rules; what was in force stays so.
    pub async fn follow(&self) -> Result<(), ChangeError> {
        let _alone = self.following.lock().await;
        let changes = self.checkout.changes().await?;
        for config in self.drops.load_full().iter() {
            let rules = rules(config, &changes);
            let now = self.desk.snapshot(&config.id);
            if now.is_some_and(|now| now.rules.limits != rules.limits) {
                self.desk.reconfigure(vec![rules]).await?;
            }
            let configured = config.notice.as_deref().unwrap_or_default();
            let notice = Change::in_force(&changes, &config.id, NOTICE, configured);
            self.room.set_notice(&config.id, &notice);
        }
        Ok(())
    }

    /// Follows changes until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Err(error) = self.follow().await {
                tracing::warn!(%error, "changes made at other gateways cannot be followed");
            }
        }
    }
}

/// Holds everybody, or lets them go on, where the configuration asks for something else than the last time. An operator's own
/// command stands otherwise, over a restart as well.
///
/// # Errors
/// If the ledger or the queue cannot be asked. The same again does what is left to do.
pub async fn hold_or_release(
    desk: &Admission,
    checkout: &Checkout,
    drops: &[DropConfig],
) -> Result<(), ChangeError> {
    let changes = checkout.changes().await?;
    for drop in drops {
        // Kept over nothing, so that it stands whatever is configured.
        let obeyed = Change::in_force(&changes, &drop.id, QUEUE_ALL, "");
        if (obeyed == true.to_string()) == drop.queue_all {
            continue;
        }
        let now = desk.snapshot(&drop.id).map(|snapshot| snapshot.control);
        if let Some(command) = wanted(drop, now.unwrap_or_default()) {
            desk.control(&drop.id, command).await?;
        }
        let row = Change {
            drop: drop.id.clone(),
            setting: QUEUE_ALL.to_owned(),
            over: String::new(),
            value: drop.queue_all.to_string(),
        };
        let subject = format!("{} {}", drop.id, json!({ QUEUE_ALL: drop.queue_all }));
        checkout.change(vec![row], &subject, CONFIGURATION).await?;
    }
    Ok(())
}

/// What brings the switches of a drop to what is configured; nothing where they stand so, or where that is not for the
/// configuration to do: `Resume` takes back a pause and a drain as well, and those are an operator's own.
fn wanted(drop: &DropConfig, now: Control) -> Option<Command> {
    if drop.queue_all {
        return Some(Command::QueueAll);
    }
    let is_an_operators = now.paused || now.draining;
    if now.queue_all && is_an_operators {
        tracing::warn!(
            drop.id = %drop.id,
            "everybody stays held although it is not configured any more, because an operator paused or drained the drop: \
             resume it to lift both"
        );
    }
    (now.queue_all && !is_an_operators).then_some(Command::Resume)
}

/// The rules of a drop as configured, under what operators have changed since.
pub fn rules(config: &DropConfig, changes: &[Change]) -> DropRules {
    let mut rules = config.rules();
    let in_force = |setting, configured: u32| {
        let value = Change::in_force(changes, &config.id, setting, &configured.to_string());
        value
            .parse()
            .ok()
            .filter(|value| *value > 0)
            .unwrap_or(configured)
    };
    let limits = &mut rules.limits;
    limits.total_active_users = in_force(TOTAL_ACTIVE_USERS, limits.total_active_users);
    limits.new_users_per_minute = in_force(NEW_USERS_PER_MINUTE, limits.new_users_per_minute);
    rules
}

/// The settings that a change names, each with what it is changed over.
fn rows(config: &DropConfig, change: &DropChange) -> Vec<Change> {
    let row = |setting: &str, value: String, over: String| Change {
        drop: config.id.clone(),
        setting: setting.to_owned(),
        value,
        over,
    };
    let number = |setting, value: Option<u32>, over: u32| {
        value.map(|value| row(setting, value.to_string(), over.to_string()))
    };
    let limits = config.limits;
    let drain = config.checkout.as_ref().map(|checkout| checkout.drain_per_second);
    let notice = change.notice.clone().map(|notice| {
        let configured = config.notice.clone().unwrap_or_default();
        row(NOTICE, notice, configured)
    });
    [
        number(
            TOTAL_ACTIVE_USERS,
            change.total_active_users,
            limits.total_active_users,
        ),
        number(
            NEW_USERS_PER_MINUTE,
            change.new_users_per_minute,
            limits.new_users_per_minute,
        ),
        drain.and_then(|over| number(DRAIN_PER_SECOND, change.drain_per_second, over)),
        notice,
    ]
    .into_iter()
    .flatten()
    .collect()
}
