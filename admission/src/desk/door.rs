//! One drop as the desk knows it: its rules, its snapshot, and what was seen since.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use domain::queue::{Moment, View};
use domain::{Bound, DropId, DropRules, Number, Readings, Span, Timestamp};
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
        let before = self.snapshot.load();
        // Before the snapshot says that nobody is held: else who is inside would for a moment seem to have been there too
        // long, and pages believe that for good.
        self.sightings.give_back(stood_still(&before, &view));
        let snapshot = Snapshot::of(view, self.rules(), bound, readings);
        self.snapshot.store(Arc::new(Snapshot {
            showing: before.showing,
            ..snapshot
        }));
        self.changed.send_modify(|count| *count += 1);
    }

    /// Says that the snapshot could not be renewed, and why. It stays the best there is.
    pub(crate) fn mark_stale(&self, trouble: &'static str) {
        let snapshot = self.snapshot.load();
        if !snapshot.stale || snapshot.trouble != Some(trouble) {
            self.snapshot.store(Arc::new(Snapshot {
                stale: true,
                trouble: Some(trouble),
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

/// For how long sessions had stood still when they went on between `before` and `view`; no time where they did not go on.
/// When that was exactly only the store knows: not later than this look, nor than the next hold that it shows.
fn stood_still(before: &Snapshot, view: &View) -> Span {
    let is_still = view.control.queue_all && view.held_since == before.held_since;
    match before.held_since {
        Some(since) if before.control.queue_all && !is_still => {
            view.held_since.unwrap_or(view.now).since(since)
        }
        Some(_) | None => Span::ZERO,
    }
}
