//! What operators, upstream and checkout ask of the store through the desk.

use domain::queue::{Command, EndReason};
use domain::{AdmissionId, Clock, Control, DropId, DropRules, QueueingMethod};

use super::clerk::{self, Errand};
use super::{Admission, Door, JoinError};
use crate::caller;
use crate::store::{Going, Unavailable, Went};

impl Admission {
    /// Ends a session from outside (upstream or operator). Its token opens nothing from now on.
    pub async fn revoke(&self, drop: &DropId, admission: AdmissionId) -> Result<(), Unavailable> {
        self.end(drop, admission, EndReason::Revoked).await
    }

    /// Notes that the session's order is complete; ends it where the rules say so.
    pub async fn complete(&self, drop: &DropId, admission: AdmissionId) -> Result<(), Unavailable> {
        self.end(drop, admission, EndReason::Completed).await
    }

    /// Whether an admission went to order before, through any gateway; and that it does so now. Batched
    /// with everybody else of the moment.
    pub async fn go_to_order(
        &self,
        drop: &DropId,
        admission: AdmissionId,
        going: Going,
    ) -> Result<Went, Unavailable> {
        let drop = drop.clone();
        clerk::ask(&self.inner, |answer| {
            Errand::Order(drop, (admission, going), answer)
        })
        .await
    }

    /// Notes that the session holds an order, without ending it: its shopper no longer counts as
    /// somebody who may still take a unit.
    pub async fn note_order(&self, drop: &DropId, admission: AdmissionId) -> Result<(), Unavailable> {
        let inner = &self.inner;
        if inner.door(drop).is_none() {
            return Ok(());
        }
        inner.store.note_decided(drop, admission, inner.clock.now()).await
    }

    /// Notes that the session was told that nothing is left, as [`Self::note_order`] does. Where nobody
    /// waits nothing is noted: a crowd may be turned away there, and no call depends on it.
    pub async fn note_turned_away(&self, drop: &DropId, admission: AdmissionId) -> Result<(), Unavailable> {
        let method = self.glance(drop).map(|snapshot| snapshot.rules.method);
        match method {
            None | Some(QueueingMethod::Passthrough) => Ok(()),
            Some(QueueingMethod::Fifo | QueueingMethod::Random | QueueingMethod::Reject) => {
                self.note_order(drop, admission).await
            }
        }
    }

    /// Carries out an operator's command; gives the switches as they stand then.
    pub async fn control(&self, drop: &DropId, command: Command) -> Result<Control, JoinError> {
        let inner = &self.inner;
        let door = inner.door(drop).ok_or(JoinError::UnknownDrop)?;
        let at = Door::moment(&inner.outside.readings(drop), inner.clock.now());
        let control = inner.store.control(drop, command, at).await?;
        tracing::info!(drop.id = %drop, ?command, "the operator's command is in force");
        caller::look(inner, &door).await?;
        Ok(control)
    }

    /// Takes new rules for drops, live: changed limits, pace, times. Drops not named stay as they
    /// are; new ones are opened.
    pub async fn reconfigure(&self, drops: Vec<DropRules>) -> Result<(), Unavailable> {
        for rules in drops {
            self.inner.open_door(rules).await?;
        }
        Ok(())
    }

    /// Rotates the keys: new cookies, tickets and tokens are made with new ones, and everything
    /// made until now stays good until the next rotation.
    pub async fn rotate_keys(&self) -> Result<(), crate::keys::KeyError> {
        self.inner.keys.rotate(&*self.inner.entropy).await
    }

    async fn end(&self, drop: &DropId, admission: AdmissionId, reason: EndReason) -> Result<(), Unavailable> {
        let inner = &self.inner;
        let Some(door) = inner.door(drop) else {
            return Ok(());
        };
        inner
            .store
            .end_session(drop, admission, reason, inner.clock.now())
            .await?;
        // The token must stop working at once, not with the next tick.
        caller::look(inner, &door).await
    }
}
