//! One drop as the desk knows it: its rules, its snapshot, and what was seen since.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use domain::queue::{Moment, View};
use domain::{Bound, DropId, DropRules, Number, Readings, Timestamp};
use tokio::sync::{Mutex, watch};

use super::sightings::Sightings;
use crate::figures::FigureBook;
use crate::place::{Place, Sighting};
use crate::snapshot::{Showing, Snapshot};
use crate::ticket::Ticket;

/// One drop at the desk.
pub(crate) struct Door {
    pub(crate) drop: DropId,
    pub(crate) figures: FigureBook,
    /// Held while the frontier is being considered, so that one process does it once at a time.
    pub(crate) calling: Mutex<()>,
    rules: ArcSwap<DropRules>,
    snapshot: ArcSwap<Snapshot>,
    changed: watch::Sender<u64>,
    sightings: Sightings,
}

impl Door {
    /// A drop of which nothing is known yet.
    pub(crate) fn new(rules: Arc<DropRules>, showing: Showing, now: Timestamp) -> Self {
        Self {
            drop: rules.drop.clone(),
            figures: FigureBook::default(),
            calling: Mutex::new(()),
            snapshot: ArcSwap::from_pointee(Snapshot {
                showing,
                ..Snapshot::empty(rules.clone(), now)
            }),
            rules: ArcSwap::new(rules),
            changed: watch::Sender::new(0),
            sightings: Sightings::default(),
        }
    }

    /// The moment an operation happens at, under these readings.
    pub(crate) fn moment(readings: &Readings, now: Timestamp) -> Moment {
        Moment {
            now,
            stock: readings.stock_state(),
        }
    }

    /// The rules in force.
    pub(crate) fn rules(&self) -> Arc<DropRules> {
        self.rules.load_full()
    }

    /// Takes new rules.
    pub(crate) fn set_rules(&self, rules: Arc<DropRules>) {
        self.rules.store(rules);
    }

    /// The latest snapshot.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// The latest snapshot for a moment's look, without counting a reference to it: the count is one
    /// word that all cores would write to on every request.
    pub(crate) fn glance(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// Wakes at each new snapshot.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Shows a new view to everybody.
    pub(crate) fn publish(&self, view: View, bound: Bound, readings: Readings) {
        self.figures.note_view(&view);
        let snapshot = Snapshot::of(view, self.rules(), bound, readings);
        self.snapshot.store(Arc::new(Snapshot {
            showing: self.snapshot.load().showing,
            ..snapshot
        }));
        self.changed.send_modify(|count| *count += 1);
    }

    /// Says that the snapshot could not be renewed. It stays the best there is.
    pub(crate) fn mark_stale(&self) {
        let snapshot = self.snapshot.load();
        if !snapshot.stale {
            self.snapshot.store(Arc::new(Snapshot {
                stale: true,
                ..Snapshot::clone(&snapshot)
            }));
            self.changed.send_modify(|count| *count += 1);
        }
    }

    /// How the place of `ticket` stands.
    pub(crate) fn place(&self, ticket: &Ticket, now: Timestamp) -> Place {
        Place::of(
            ticket,
            self.sightings.get(ticket.number),
            &self.snapshot.load(),
            now,
        )
    }

    /// Remembers what was seen of a place.
    pub(crate) fn note(&self, number: Number, seen: Sighting) {
        self.sightings.note(number, seen);
    }
}
