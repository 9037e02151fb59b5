//! Room among the orders that wait for their drop's turn.
//!
//! A broker hands over messages in the order they came in, and a bounded number of them: a slow drop's backlog could fill
//! that window, and hide what other drops have behind it. While the orders of one drop alone are due, they may. As soon as
//! another has some, the room is shared: who has few due has places for all of them, those who have many have equal shares of
//! the rest. Who is over the share gives up its message: re-driving writes another a second later, as many of each drop as
//! there is room for.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::DropId;
use tokio::sync::watch;

/// Orders of all drops that may wait for turns at once in this process, while those of more than one are due. Not more than
/// any broker hands over at once, so that there is always one on its way; and more than the drains of all drops together
/// take in a second, because who gave up comes back after that: ordinary accounts allow 25 requests.
pub(super) const ROOM: usize = 128;

/// Who waits, and how many of one drop may.
#[derive(Debug)]
pub(super) struct Crowd {
    waiting: Mutex<BTreeMap<DropId, usize>>,
    share: watch::Sender<usize>,
}

/// One order's place among those who wait, until it is dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    crowd: &'a Crowd,
    drop: DropId,
    is_left: bool,
}

impl Default for Crowd {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            share: watch::Sender::new(usize::MAX),
        }
    }
}

impl Crowd {
    /// Divides the room among drops that have so many orders due each. One alone has no bound but the broker's. Else the share
    /// is the greatest with which all find room: what the small ones do not need is for the large ones, which would stay below
    /// their rates for nothing.
    pub(super) fn divide(&self, due: &[u64]) {
        let taken = |share: usize| {
            let places = due
                .iter()
                .map(|count| usize::try_from(*count).unwrap_or(usize::MAX).min(share));
            places.fold(0, usize::saturating_add)
        };
        let share = if due.len() < 2 {
            usize::MAX
        } else {
            (1..=ROOM).rev().find(|share| taken(*share) <= ROOM).unwrap_or(1)
        };
        self.share
            .send_if_modified(|known| std::mem::replace(known, share) != share);
    }

    /// How many messages to write at once, of `usual` ones: where there is room for no more, more would only be given up again.
    pub(super) fn room_for(&self, usual: u32) -> u32 {
        if *self.share.borrow() == usize::MAX {
            return usual;
        }
        u32::try_from(ROOM).unwrap_or(usual).min(usual)
    }

    /// Takes a place for an order of `drop`, if there is one.
    pub(super) fn enter(&self, drop: &DropId) -> Option<Place<'_>> {
        let share = *self.share.borrow();
        let mut all = self.lock();
        let waiting = all.entry(drop.clone()).or_default();
        if *waiting >= share {
            return None;
        }
        *waiting += 1;
        Some(Place {
            crowd: self,
            drop: drop.clone(),
            is_left: false,
        })
    }

    /// Gives one place of `drop` up if more than so many are taken; says whether it did.
    fn leave_over(&self, drop: &DropId, kept: usize) -> bool {
        let mut all = self.lock();
        let Some(waiting) = all.get_mut(drop).filter(|waiting| **waiting > kept) else {
            return false;
        };
        *waiting -= 1;
        if *waiting == 0 {
            all.remove(drop);
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<DropId, usize>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Resolves when the drop's share has become too small for this place as well, which is then given up.
    pub(super) async fn crowded_out(&mut self) {
        let mut shares = self.crowd.share.subscribe();
        loop {
            let share = *shares.borrow_and_update();
            if self.crowd.leave_over(&self.drop, share) {
                self.is_left = true;
                return;
            }
            // The sender lives as long as the crowd, which this place borrows.
            let _ = shares.changed().await;
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.is_left {
            self.crowd.leave_over(&self.drop, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drops() -> (DropId, DropId) {
        (DropId::new("aurora").unwrap(), DropId::new("boreal").unwrap())
    }

    #[test]
    fn one_drop_alone_has_all_the_room_and_two_have_half_each() {
        let (crowd, (aurora, boreal)) = (Crowd::default(), drops());
        crowd.divide(&[999]);
        let alone: Vec<_> = (0..2 * ROOM).filter_map(|_| crowd.enter(&aurora)).collect();
        assert_eq!((alone.len(), crowd.room_for(256)), (2 * ROOM, 256));
        crowd.divide(&[999, 999]);
        assert!(crowd.enter(&aurora).is_none());
        assert_eq!((crowd.room_for(256), crowd.room_for(8)), (128, 8));
        let other: Vec<_> = (0..ROOM).filter_map(|_| crowd.enter(&boreal)).collect();
        assert_eq!(other.len(), ROOM / 2);
        drop(alone);
        assert!(crowd.enter(&aurora).is_some(), "places are given back");
        crowd.divide(&[9; 10 * ROOM]);
        let last: Vec<_> = (0..9).filter_map(|_| crowd.enter(&aurora)).collect();
        assert_eq!(last.len(), 1, "a share is one place at least");
    }

    #[test]
    fn what_small_drops_do_not_need_is_for_the_large_ones() {
        let (aurora, _) = drops();
        for (due, share) in [
            (&[400, 1, 1, 1, 1, 1, 1][..], ROOM - 6),
            (&[400, 300, 10][..], (ROOM - 10) / 2),
            (&[400, 64][..], ROOM / 2),
            (&[3, 5][..], ROOM),
            (&[u64::MAX, u64::MAX, u64::MAX][..], ROOM / 3),
        ] {
            let crowd = Crowd::default();
            crowd.divide(due);
            let places: Vec<_> = (0..2 * ROOM).filter_map(|_| crowd.enter(&aurora)).collect();
            assert_eq!(places.len(), share, "{due:?}");
        }
    }

    #[tokio::test]
    async fn when_others_come_those_who_are_over_the_share_leave_and_no_more() {
        let (crowd, (aurora, _)) = (Crowd::default(), drops());
        let mut places: Vec<_> = (0..ROOM).filter_map(|_| crowd.enter(&aurora)).collect();
        crowd.divide(&[999, 999]);
        let mut left = 0;
        for place in &mut places {
            tokio::select! {
                biased;
                () = place.crowded_out() => left += 1,
                () = std::future::ready(()) => {}
            }
        }
        assert_eq!(left, ROOM / 2);
        assert!(crowd.enter(&aurora).is_none(), "full, and not over");
        drop(places);
        assert!(crowd.enter(&aurora).is_some());
    }
}
