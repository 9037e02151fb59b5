//! The fault plan: which requests go wrong, how, and how often.
//!
//! Faults come from two sides. A [`FaultPlan`] misbehaves by chance or by count for any client; the
//! payment methods of our own (see [`super::card`]) misbehave for one purchase.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::route::Operation;
use crate::random::Random;

/// A way for one request to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The answer comes, after `slow_ms`; the key is in flight meanwhile.
    Slow,
    /// Takes effect and is saved, but the connection closes without an answer.
    LostAnswer,
    /// Never arrives: the connection hangs for `hang_ms`, then closes; nothing happened.
    LostRequest,
    /// Nothing happens, and the 500 is saved under the idempotency key.
    Saved500,
    /// It happens, yet the saved answer under the idempotency key is a 500.
    Saved500AfterEffect,
    /// Nothing happens, the 500 is not saved: the same key may be tried again.
    Unsaved500,
    /// 429 before anything starts.
    RateLimited,
}

/// A fault for some requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Only this operation; all when absent.
    #[serde(default)]
    pub operation: Option<Operation>,
    /// What goes wrong.
    pub fault: Fault,
    /// Probability per matching request, 0.0 to 1.0.
    #[serde(default = "always")]
    pub chance: f64,
    /// At most this many times; no bound when absent.
    #[serde(default)]
    pub times: Option<u32>,
}

impl FaultRule {
    /// The next `times` requests of `operation` meet `fault`.
    #[must_use]
    pub fn next(operation: Operation, fault: Fault, times: u32) -> Self {
        Self {
            operation: Some(operation),
            fault,
            chance: 1.0,
            times: Some(times),
        }
    }

    /// Any request meets `fault` with probability `chance`.
    #[must_use]
    pub fn chance(fault: Fault, chance: f64) -> Self {
        Self {
            operation: None,
            fault,
            chance,
            times: None,
        }
    }
}

fn always() -> f64 {
    1.0
}

/// The whole API being away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outage {
    /// Up.
    #[default]
    None,
    /// Connections close as soon as a request arrives.
    Refuse,
    /// Every request is answered with an unsaved 500.
    Error,
    /// Requests hang for `hang_ms`, then the connection closes.
    Hang,
}

/// Misbehaviour of event delivery.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookFaults {
    /// Probability that an event is delivered a second time.
    pub duplicate: f64,
    /// Probability that an event is held back until a later one went out.
    pub reorder: f64,
    /// Probability that an event is never sent.
    pub drop: f64,
}

/// Everything that can be made to go wrong. `Default`: nothing does, and each endpoint takes 25
/// requests per second like an ordinary Stripe account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultPlan {
    /// Seed of every draw made for this plan.
    pub seed: u64,
    /// Least milliseconds a request takes.
    pub latency_ms_min: u64,
    /// Most milliseconds a request takes; drawn evenly per request.
    pub latency_ms_max: u64,
    /// Requests per second and endpoint before 429; 0 is unlimited.
    pub requests_per_second: u32,
    /// The API being away altogether.
    pub outage: Outage,
    /// Duration of [`Fault::Slow`] in milliseconds.
    pub slow_ms: u64,
    /// Duration of hanging before the connection closes, in milliseconds.
    pub hang_ms: u64,
    /// Single-request faults; the first rule that applies wins.
    pub rules: Vec<FaultRule>,
    /// Faults of event delivery.
    pub webhooks: WebhookFaults,
}

impl Default for FaultPlan {
    fn default() -> Self {
        Self {
            seed: 1,
            latency_ms_min: 0,
            latency_ms_max: 0,
            requests_per_second: 25,
            outage: Outage::None,
            slow_ms: 1_500,
            hang_ms: 1_000,
            rules: Vec::new(),
            webhooks: WebhookFaults::default(),
        }
    }
}

/// Longest delay a plan may ask for: a typing mistake must not hang a test for an hour.
const DELAY_MS_MAX: u64 = 120_000;
/// Rules a plan may hold; they are searched one by one.
const RULES_MAX: usize = 100;

impl FaultPlan {
    /// Says what is wrong with the plan, if anything.
    ///
    /// # Errors
    /// The first field out of range, in words.
    pub fn check(&self) -> Result<(), String> {
        let delays = [
            self.latency_ms_min,
            self.latency_ms_max,
            self.slow_ms,
            self.hang_ms,
        ];
        if delays.iter().any(|delay| *delay > DELAY_MS_MAX) {
            return Err(format!("a delay is longer than {DELAY_MS_MAX} ms"));
        }
        if self.latency_ms_min > self.latency_ms_max {
            return Err("latency_ms_min is above latency_ms_max".to_owned());
        }
        if self.rules.len() > RULES_MAX {
            return Err(format!("more than {RULES_MAX} rules"));
        }
        let WebhookFaults {
            duplicate,
            reorder,
            drop,
        } = self.webhooks;
        let mut chances = self
            .rules
            .iter()
            .map(|rule| rule.chance)
            .chain([duplicate, reorder, drop]);
        if chances.any(|chance| !(0.0..=1.0).contains(&chance)) {
            return Err("a chance is outside 0.0 to 1.0".to_owned());
        }
        Ok(())
    }
}

/// What the plan decided for one request.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) delay_ms: u64,
    pub(crate) hang_ms: u64,
    pub(crate) fault: Option<Fault>,
}

/// A plan being carried out: its draws and its counts.
#[derive(Debug)]
pub(crate) struct Faults {
    plan: FaultPlan,
    random: Random,
    /// Times each rule applied, by its index.
    used: Vec<u32>,
    /// How often a `pm_sandbox_…` fault struck, by purchase.
    struck: HashMap<String, u32>,
}

/// Purchases remembered for counted payment-method faults; past it the count starts afresh.
const STRUCK_MAX: usize = 10_000;

impl Faults {
    pub(crate) fn new(plan: FaultPlan) -> Self {
        let random = Random::new(plan.seed);
        let used = vec![0; plan.rules.len()];
        Self {
            plan,
            random,
            used,
            struck: HashMap::new(),
        }
    }

    pub(crate) fn plan(&self) -> &FaultPlan {
        &self.plan
    }

    /// Decides what one request meets. `own` is the fault its payment method asks for, with the
    /// purchase it belongs to and how many times it may strike.
    pub(crate) fn judge(&mut self, operation: Operation, own: Option<(Fault, u32, String)>) -> Verdict {
        let plan = &self.plan;
        let mut delay_ms = self.random.within(plan.latency_ms_min..=plan.latency_ms_max);
        let fault = own
            .and_then(|own| self.strike(own))
            .or_else(|| self.rule(operation));
        if fault == Some(Fault::Slow) {
            delay_ms = delay_ms.saturating_add(self.plan.slow_ms);
        }
        Verdict {
            delay_ms,
            hang_ms: self.plan.hang_ms,
            fault,
        }
    }

    /// Whether an event is dropped, held back, sent twice: one draw each, in that order.
    pub(crate) fn judge_event(&mut self) -> (bool, bool, bool) {
        let WebhookFaults {
            duplicate,
            reorder,
            drop,
        } = self.plan.webhooks;
        (
            self.random.happens(drop),
            self.random.happens(reorder),
            self.random.happens(duplicate),
        )
    }

    fn strike(&mut self, (fault, times, purchase): (Fault, u32, String)) -> Option<Fault> {
        if self.struck.len() >= STRUCK_MAX {
            self.struck.clear();
        }
        let count = self.struck.entry(purchase).or_default();
        *count = count.saturating_add(1);
        (*count <= times).then_some(fault)
    }

    fn rule(&mut self, operation: Operation) -> Option<Fault> {
        for (rule, used) in self.plan.rules.iter().zip(&mut self.used) {
            let matches = rule.operation.is_none_or(|only| only == operation);
            let left = rule.times.is_none_or(|times| *used < times);
            if matches && left && self.random.happens(rule.chance) {
                *used = used.saturating_add(1);
                return Some(rule.fault);
            }
        }
        None
    }
}
