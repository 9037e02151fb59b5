//! What a gateway remembers of one drop between two scripts: which keys it works on, and with
//! which order of ranks.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use domain::calls::Call;
use domain::draw::Draw;
use domain::queue::{Claimant, Member, MemberState};
use domain::window::HELD;
use domain::{AdmissionId, DropId, DropRules, Number, Rank, ShopperKey, StockHint, Timestamp};

use super::keys::Keys;
use super::marks::{Era, Row, Switches};
use super::superseded;
use crate::store::Unavailable;

/// Rows that follow later, beyond which nobody joins until they are written: a minute of joins at
/// five thousand a second.
const BEHIND_MAX: usize = 300_000;

/// One drop.
pub(super) struct Shelf {
    pub(super) drop: DropId,
    pub(super) keys: Keys,
    /// The rules that this gateway was told last.
    pub(super) rules: ArcSwap<DropRules>,
    /// The stock hint as it was last seen.
    pub(super) hint: ArcSwapOption<StockHint>,
    /// Held by the one task of this process that rebuilds or ranks.
    pub(super) chores: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
    /// Rows that follow within half a second.
    behind: Mutex<Vec<Row>>,
    written: Mutex<Written>,
}

/// What the scripts are sent along.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Known {
    /// The era worked in; none before the first and after a loss.
    pub(super) era: Option<Era>,
    /// The highest beat answered in this era: an older state of the keys has a lower one.
    pub(super) beat: u64,
    /// The order of ranks.
    pub(super) order: u64,
    /// The draw of that order.
    pub(super) draw: Option<Draw>,
    /// Numbers up to this one may be given.
    pub(super) bound: u64,
    /// The era that was lost last, and its beat: if the same keys come back, then not older ones.
    lost: Option<(Era, u64)>,
}

/// Rows that are being written. Those that are still here at the end are put back.
pub(super) struct Taken<'a> {
    shelf: &'a Shelf,
    pub(super) rows: Vec<Row>,
}

/// What was written down last of what follows, so that only changes are written.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Written {
    pub(super) switches: Option<Switches>,
    pub(super) calls: Vec<Call>,
    pub(super) revoked: BTreeSet<(AdmissionId, Timestamp)>,
}

impl Shelf {
    pub(super) fn new(rules: DropRules) -> Self {
        Self {
            drop: rules.drop.clone(),
            keys: Keys::of(&rules.drop),
            rules: ArcSwap::from_pointee(rules),
            hint: ArcSwapOption::empty(),
            chores: tokio::sync::Mutex::new(()),
            known: Mutex::default(),
            behind: Mutex::default(),
            written: Mutex::default(),
        }
    }

    pub(super) fn rules(&self) -> Arc<DropRules> {
        self.rules.load_full()
    }

    pub(super) fn known(&self) -> Known {
        *self.lock()
    }

    /// Works in `era` from here on. What was known of another is forgotten.
    pub(super) fn adopt(&self, era: Era) {
        let mut known = self.lock();
        if known.era != Some(era) {
            let beat = known
                .lost
                .filter(|(lost, _)| *lost == era)
                .map_or(0, |(_, beat)| beat);
            if known.latest() != Some(era) {
                // To these keys time does so again, and perhaps later: a rebuild gives time back.
                self.behind().retain(|row| !is_done_by_time(row));
            }
            *known = Known {
                era: Some(era),
                beat,
                ..Known::default()
            };
            *self.written() = Written::default();
        }
    }

    /// The keys of `era` are lost, as far as this gateway can tell.
    pub(super) fn lose(&self, era: Option<Era>) {
        let mut known = self.lock();
        if known.era == era {
            *known = Known {
                lost: era.map(|era| (era, known.beat)).or(known.lost),
                ..Known::default()
            };
        }
    }

    /// Hears what the record says to a write of `era`. One that is over is forgotten, so that the next tick looks
    /// which one came after it.
    pub(super) fn heed<T>(&self, era: Era, said: Result<T, Unavailable>) -> Result<T, Unavailable> {
        if said.as_ref().is_err_and(|refusal| *refusal == superseded()) {
            self.lose(Some(era));
        }
        said
    }

    /// Notes a beat of `era`.
    pub(super) fn note_beat(&self, era: Option<Era>, beat: u64) {
        let mut known = self.lock();
        if known.era == era {
            known.beat = known.beat.max(beat);
        }
    }

    /// Notes the order of ranks in `era`.
    pub(super) fn note_order(&self, era: Option<Era>, order: u64, draw: Option<Draw>) {
        let mut known = self.lock();
        if known.era == era {
            (known.order, known.draw) = (order, draw);
        }
    }

    /// Notes numbers of `era` that may be given.
    pub(super) fn note_bound(&self, era: Option<Era>, bound: Number) {
        let mut known = self.lock();
        if known.era == era {
            known.bound = known.bound.max(bound.0);
        }
    }

    /// Has rows written later.
    pub(super) fn write_later(&self, rows: impl IntoIterator<Item = Row>) {
        self.behind().extend(rows);
    }

    /// Has what time did in `era` written later, unless other keys are worked on by now.
    pub(super) fn note_passing(&self, era: Option<Era>, rows: Vec<Row>) {
        let known = self.lock();
        if known.latest() == era {
            self.behind().extend(rows);
        }
    }

    /// Whether what follows later has piled up beyond measure.
    pub(super) fn is_far_behind(&self) -> bool {
        self.behind().len() > BEHIND_MAX
    }

    /// Takes what is to be written now. What cannot be written has to be put back.
    pub(super) fn take_behind(&self) -> Vec<Row> {
        std::mem::take(&mut *self.behind())
    }

    /// Takes what is to be written now, for whoever may be given up in the middle of it.
    pub(super) fn take_for_now(&self) -> Taken<'_> {
        Taken {
            shelf: self,
            rows: self.take_behind(),
        }
    }

    /// Puts rows back, before those that came since.
    pub(super) fn put_back(&self, mut rows: Vec<Row>) {
        let mut behind = self.behind();
        rows.append(&mut behind);
        *behind = rows;
    }

    /// Places in line that are to be written later, as their tickets say them.
    pub(super) fn places_behind(&self) -> Vec<Claimant> {
        let behind = self.behind();
        let places = behind.iter().filter_map(|row| match row {
            Row::Member(shopper, member) if member.state == MemberState::Queued => Some(Claimant {
                shopper: *shopper,
                number: member.number,
                drawn: member.drawn,
                joined_at: member.joined_at,
                admission: AdmissionId([0; 16]),
            }),
            Row::Member(..)
            | Row::Switches(_)
            | Row::Alive(..)
            | Row::Call(_)
            | Row::MemberGone(..)
            | Row::Session(..)
            | Row::Extended(..)
            | Row::Stamped(..)
            | Row::Ordered(_)
            | Row::Over(..) => None,
        });
        places.collect()
    }

    /// Admissions that were answered later than they were asked for, as far as that counts at `now` and is to be
    /// written later.
    pub(super) fn answers_behind(&self, now: Timestamp) -> Vec<(AdmissionId, Timestamp)> {
        let behind = self.behind();
        let answers = behind.iter().filter_map(|row| match row {
            Row::Stamped(admission, answered_at) => Some((*admission, *answered_at)),
            Row::Member(..)
            | Row::Switches(_)
            | Row::Alive(..)
            | Row::Call(_)
            | Row::MemberGone(..)
            | Row::Session(..)
            | Row::Extended(..)
            | Row::Ordered(_)
            | Row::Over(..) => None,
        });
        answers
            .filter(|(_, answered_at)| *answered_at + HELD > now)
            .collect()
    }

    pub(super) fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn behind(&self) -> MutexGuard<'_, Vec<Row>> {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.shelf.put_back(std::mem::take(&mut self.rows));
    }
}

impl Known {
    /// The era worked in, or the one that was lost last.
    fn latest(&self) -> Option<Era> {
        self.era.or(self.lost.map(|(era, _)| era))
    }

    /// The rank of a place: drawn with it, drawn at the start, or its number.
    pub(super) fn rank(&self, number: Number, drawn: Option<Rank>) -> Rank {
        match (drawn, self.draw) {
            (Some(rank), _) => rank,
            (None, Some(draw)) => draw.rank(number),
            (None, None) => Rank(number.0),
        }
    }
}

/// Whether it follows from nothing but the time.
fn is_done_by_time(row: &Row) -> bool {
    match row {
        Row::MemberGone(..) | Row::Over(_, None) => true,
        Row::Member(..)
        | Row::Switches(_)
        | Row::Alive(..)
        | Row::Call(_)
        | Row::Session(..)
        | Row::Extended(..)
        | Row::Stamped(..)
        | Row::Ordered(_)
        | Row::Over(_, Some(_)) => false,
    }
}

/// The place on a claimant's ticket.
pub(super) fn member_of(claimant: &Claimant, state: MemberState) -> (ShopperKey, Member) {
    let member = Member {
        number: claimant.number,
        drawn: claimant.drawn,
        joined_at: claimant.joined_at,
        state,
    };
    (claimant.shopper, member)
}
