//! What a shopper asks of the store through the desk: a place, the way in, a longer stay, the
//! way out.

use std::sync::Arc;

use domain::queue::{Claim, Claimant, JoinRefusal, RETURN_SLACK};
use domain::{AdmissionId, Clock, DropId, Renewal, ShopperKey, Span, Timestamp};

use super::clerk::{self, Errand};
use super::{Admission, Claimed, Door, Grant, Inner, JoinError, Joined, LeaveError};
use crate::caller;
use crate::place::Sighting;
use crate::store::{JoinRequest, Unavailable};
use crate::ticket::Ticket;
use crate::token::Admitted;
use crate::visitor::Visitor;

impl Admission {
    /// Takes a place in `drop`'s queue, or finds the one this shopper has. `held` is the ticket
    /// cookie if there is one: a place lost by the store is taken up again from it.
    pub async fn join(
        &self,
        drop: &DropId,
        visitor: &Visitor,
        held: Option<&str>,
    ) -> Result<Joined, JoinError> {
        let inner = &self.inner;
        let door = inner.door(drop).ok_or(JoinError::UnknownDrop)?;
        let shopper = inner.keys.shopper(drop, visitor);
        let held = held.and_then(|text| Ticket::check(text, shopper, &inner.keys));
        let request = JoinRequest {
            shopper,
            random: inner.random(),
            held: held.map(|ticket| inner.claimant(&door, shopper, &ticket)),
        };
        let answer = clerk::ask(inner, |answer| Errand::Join(drop.clone(), request, answer)).await?;
        let joined = answer.map_err(JoinError::from)?;
        // At an open door with nobody waiting, the next tick is now.
        if !joined.repeated && door.snapshot().waiting == 0 {
            caller::turn_if_free(inner, &door).await;
        }
        let told = held
            .filter(|ticket| ticket.number == joined.number)
            .and_then(|ticket| ticket.told);
        let epoch = door.snapshot().epoch;
        let ticket = Ticket {
            epoch,
            number: joined.number,
            drawn: joined.drawn,
            joined_at: joined.since,
            told,
        };
        let place = door.place(&ticket, inner.clock.now());
        let ticket = Ticket {
            told: told.or(place.wait),
            ..ticket
        };
        Ok(Joined {
            ticket: ticket.seal(shopper, &inner.keys),
            place,
            repeated: joined.repeated,
        })
    }

    /// Turns up: the called shopper gets an admission token, everybody else the reason why not.
    pub async fn claim(&self, drop: &DropId, ticket: &str, visitor: &Visitor) -> Result<Claimed, LeaveError> {
        let inner = &self.inner;
        let (door, shopper, ticket) = inner.held(drop, ticket, visitor)?;
        let claimant = inner.claimant(&door, shopper, &ticket);
        let at = Door::moment(&inner.outside.readings(drop), inner.clock.now());
        let claim = inner.store.claim(drop, claimant, at).await?;
        note_claim(&door, &ticket, &claim, at.now);
        match claim {
            Claim::Admitted {
                admission,
                expires_at,
                repeated,
            } => inner
                .grant(&door, shopper, admission, expires_at, repeated)
                .map(Claimed::Admitted),
            Claim::NotCalled { .. } => Ok(Claimed::NotCalled(door.place(&ticket, at.now))),
            Claim::RoomFull { retry_after } => Ok(Claimed::RoomFull { retry_after }),
            Claim::Lapsed => Ok(Claimed::Lapsed),
            Claim::Left => Ok(Claimed::Left),
            Claim::Finished => Ok(Claimed::Finished),
            Claim::Paused => Ok(Claimed::Paused),
            Claim::NotOpen => Ok(Claimed::NotOpen),
            Claim::SoldOut => Ok(Claimed::SoldOut),
            Claim::Ended => Ok(Claimed::Ended),
        }
    }

    /// Whether [`Self::renew`] would ask the store: past the middle of a session that slides.
    pub fn wants_renewal(&self, admitted: &Admitted) -> bool {
        let inner = &self.inner;
        let life = admitted.expires_at.since(admitted.issued_at).as_millis();
        let halfway = admitted.issued_at + Span::from_millis(life / 2);
        inner.clock.now() >= halfway
            && inner
                .door(&admitted.drop)
                .is_some_and(|door| door.rules().renewal == Renewal::Sliding)
    }

    /// A sign of life of an admitted shopper. Gives a new token once half of the session is over
    /// and the drop renews sessions; else nothing, at the cost of a comparison.
    pub async fn renew(&self, admitted: &Admitted) -> Result<Option<Grant>, Unavailable> {
        let inner = &self.inner;
        let Some(door) = inner.door(&admitted.drop) else {
            return Ok(None);
        };
        if !self.wants_renewal(admitted) {
            return Ok(None);
        }
        let (drop, admission) = (admitted.drop.clone(), admitted.admission);
        let renewed = clerk::ask(inner, |answer| Errand::Renew(drop, admission, answer)).await?;
        let Some(expires_at) = renewed else {
            return Ok(None);
        };
        let grant = inner.grant(&door, admitted.shopper, admission, expires_at, true);
        grant.map(Some).map_err(|_| Unavailable {
            retry_after: Span::from_secs(1),
            reason: "signing failed",
        })
    }

    /// Gives a place up, for good.
    pub async fn leave(&self, drop: &DropId, ticket: &str, visitor: &Visitor) -> Result<(), LeaveError> {
        let inner = &self.inner;
        let (door, shopper, ticket) = inner.held(drop, ticket, visitor)?;
        let claimant = inner.claimant(&door, shopper, &ticket);
        let at = Door::moment(&inner.outside.readings(drop), inner.clock.now());
        inner.store.leave(drop, claimant, at).await?;
        door.note(ticket.number, Sighting::Gone);
        // A token that was given back must stop working at once, not with the next tick.
        caller::look(inner, &door).await?;
        Ok(())
    }
}

impl Inner {
    fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        self.entropy.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn claimant(&self, door: &Door, shopper: ShopperKey, ticket: &Ticket) -> Claimant {
        let Ticket {
            number,
            drawn,
            joined_at,
            ..
        } = *ticket;
        let admission = self
            .keys
            .admission(&door.drop, shopper, number, door.snapshot().epoch);
        Claimant {
            shopper,
            number,
            drawn,
            joined_at,
            admission,
        }
    }

    fn grant(
        &self,
        door: &Arc<Door>,
        shopper: ShopperKey,
        admission: AdmissionId,
        expires_at: Timestamp,
        repeated: bool,
    ) -> Result<Grant, LeaveError> {
        let issued_at = self.clock.now();
        let admitted = Admitted {
            drop: door.drop.clone(),
            admission,
            shopper,
            issued_at,
            expires_at,
        };
        let token = self
            .tokens
            .issue(&admitted, door.snapshot().epoch)
            .map_err(|error| {
                tracing::error!(drop.id = %door.drop, %error, "an admission token could not be signed");
                Unavailable {
                    retry_after: Span::from_secs(1),
                    reason: "signing failed",
                }
            })?;
        Ok(Grant {
            token,
            admission,
            expires_at,
            repeated,
        })
    }
}

/// Remembers what a claim showed, for polls that come before the next snapshot.
fn note_claim(door: &Door, ticket: &Ticket, claim: &Claim, now: Timestamp) {
    match *claim {
        Claim::Admitted {
            expires_at, repeated, ..
        } => {
            door.note(ticket.number, Sighting::Admitted(expires_at));
            if !repeated {
                let since = ticket.joined_at.max(door.rules().schedule.event_start);
                door.figures.note_wait(ticket, now.since(since));
            }
        }
        Claim::RoomFull { retry_after } => {
            // Shown as called for as long as the turn is kept.
            let until = now + retry_after + RETURN_SLACK;
            door.note(ticket.number, Sighting::RoomFull(until));
        }
        Claim::Left | Claim::Finished => door.note(ticket.number, Sighting::Gone),
        Claim::NotCalled { .. }
        | Claim::Lapsed
        | Claim::Paused
        | Claim::NotOpen
        | Claim::SoldOut
        | Claim::Ended => {}
    }
}

impl From<JoinRefusal> for JoinError {
    fn from(refusal: JoinRefusal) -> Self {
        match refusal {
            JoinRefusal::NotOpen(phase) => Self::NotOpen(phase),
            JoinRefusal::Closed => Self::Closed,
            JoinRefusal::Full => Self::Full {
                retry_after: Span::from_secs(10),
            },
        }
    }
}
