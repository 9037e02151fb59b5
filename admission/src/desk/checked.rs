//! Tickets and tokens whose bytes were checked. Whoever keeps one together with those bytes needs
//! no second look at authenticators and signatures when the same bytes are shown again; what
//! changes with time (expiry, epoch, revocation, the place itself) is asked at every use.

use std::sync::Arc;

use domain::{Clock, DropId, ShopperKey};

use super::{Admission, Door};
use crate::keys::Ring;
use crate::place::{Place, PlaceError};
use crate::ticket::Ticket;
use crate::token::{Admitted, TokenError, Verified};

/// A ticket that was found to be ours and its bearer's.
pub struct CheckedTicket {
    door: Arc<Door>,
    ticket: Ticket,
    ring: Arc<Ring>,
}

/// A token that was found to be ours and its bearer's. Says nothing about this moment: see
/// [`Admission::session_of`].
pub struct CheckedToken {
    door: Arc<Door>,
    verified: Arc<Verified>,
    shopper: ShopperKey,
    ring: Arc<Ring>,
}

impl CheckedToken {
    /// What the token says.
    pub fn admitted(&self) -> &Admitted {
        &self.verified.admitted
    }
}

impl Admission {
    /// Checks a ticket for this drop and the visitor whom `cookie` names. Touches no store.
    pub fn check_ticket(
        &self,
        drop: &DropId,
        ticket: &str,
        cookie: &str,
    ) -> Result<CheckedTicket, PlaceError> {
        // Taken before the checks: a rotation between them then voids the result at once.
        let ring = self.inner.keys.ring_now();
        let (visitor, _) = self.visitor(cookie).ok_or(PlaceError::BadTicket)?;
        let (door, _, ticket) = self.inner.held(drop, ticket, &visitor)?;
        Ok(CheckedTicket { door, ticket, ring })
    }

    /// How the place of a ticket stands that has just been checked.
    pub fn place_of(&self, checked: &CheckedTicket) -> Place {
        checked.door.place(&checked.ticket, self.inner.clock.now())
    }

    /// The same for one that was checked a while ago; none once the keys have been rotated since,
    /// and the ticket must be checked again.
    pub fn place_again(&self, checked: &CheckedTicket) -> Option<Place> {
        self.inner
            .keys
            .is_now(&checked.ring)
            .then(|| self.place_of(checked))
    }

    /// Checks an admission token for this drop and the visitor whom `cookie` names. Touches no store.
    pub fn check_token(&self, drop: &DropId, token: &str, cookie: &str) -> Result<CheckedToken, TokenError> {
        let ring = self.inner.keys.ring_now();
        let (visitor, _) = self.visitor(cookie).ok_or(TokenError::NotYours)?;
        let door = self.inner.door(drop).ok_or(TokenError::Foreign)?;
        Ok(CheckedToken {
            verified: self.inner.tokens.verified(token)?,
            shopper: self.inner.keys.shopper(drop, &visitor),
            door,
            ring,
        })
    }

    /// The session of a token that has just been checked, if it opens its drop at this moment.
    pub fn session_of<'t>(&self, checked: &'t CheckedToken) -> Result<&'t Admitted, TokenError> {
        let (snapshot, now) = (checked.door.glance(), self.inner.clock.now());
        self.inner
            .tokens
            .check_use(&checked.verified, checked.shopper, &snapshot, now)?;
        Ok(&checked.verified.admitted)
    }

    /// The same for one that was checked a while ago; none where it opens nothing, or where the
    /// keys have been rotated since and it must be checked again.
    pub fn session_again<'t>(&self, checked: &'t CheckedToken) -> Option<&'t Admitted> {
        let unchanged = self.inner.keys.is_now(&checked.ring);
        unchanged.then(|| self.session_of(checked).ok()).flatten()
    }
}
