//! One shopper's walk: arrive, queue, be let in, look around, buy, go home.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use super::behaviour::Behaviour;
use super::client::{Ask, Client};
use super::config::CrowdConfig;
use super::observer::Observer;

/// Why a walk is over; the counters and the report were told already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WentHome;

/// A step's result: go on with a value, or go home.
pub(crate) type Step<T> = ControlFlow<WentHome, T>;

/// A simulated shopper.
pub(crate) struct Shopper {
    pub(crate) index: u32,
    pub(crate) behaviour: Behaviour,
    pub(crate) config: Arc<CrowdConfig>,
    pub(crate) observer: Arc<Observer>,
    pub(crate) client: Client,
    /// Whether this shopper still counts as active inside.
    pub(crate) active: bool,
}

/// Pages that answer with a server error are asked for again this often before it is a problem.
const PAGE_TRIES: u32 = 30;
const PAGE_RETRY: Duration = Duration::from_millis(300);

impl Shopper {
    /// Walks to the end. Dropping the future is closing the browser.
    pub(crate) async fn walk(mut self) {
        let _went_home = self.steps().await;
        self.stop_being_active();
        self.observer.progress.finished();
    }

    async fn steps(&mut self) -> Step<()> {
        let sent_ms = self.observer.elapsed_ms();
        let saw_shop = self.look().await;
        self.observer.progress.arrived();
        if saw_shop {
            // The room was not full and nobody was waiting: the first request was let in at once.
            self.let_in(sent_ms);
        } else {
            self.queue().await?;
            if !self.look().await {
                self.violated("was let in and met the waiting room");
                return ControlFlow::Break(WentHome);
            }
        }
        self.think().await;
        self.buy().await
    }

    /// Opens the protected page and says whether it is the shop's.
    pub(crate) async fn look(&mut self) -> bool {
        let ask = Ask::page(&self.config.entry_path);
        for _ in 0..PAGE_TRIES {
            let answer = self.client.ask(&ask).await;
            // To somebody outside, 429 may be the waiting room's own status; inside it is a limit.
            let is_limit = self.active && answer.status == http::StatusCode::TOO_MANY_REQUESTS;
            if !answer.status.is_server_error() && !is_limit {
                let marker = self.config.shop_marker.as_bytes();
                return answer
                    .body
                    .windows(marker.len().max(1))
                    .any(|window| window == marker);
            }
            self.observer.problem(&format!("page-{}", answer.status.as_u16()));
            tokio::time::sleep(super::client::retry_after(&answer).unwrap_or(PAGE_RETRY)).await;
        }
        false
    }

    pub(crate) fn let_in(&mut self, sent_ms: u64) {
        self.active = true;
        self.observer.admitted(sent_ms);
    }

    pub(crate) fn stop_being_active(&mut self) {
        if std::mem::take(&mut self.active) {
            self.observer.done_being_active();
        }
    }

    pub(crate) async fn think(&mut self) {
        let ms = self.client.random.within(self.config.think_ms.clone());
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    pub(crate) fn violated(&self, what: &str) {
        self.observer.violation(format!("shopper {}: {what}", self.index));
    }
}
