//! The port to the durable record behind Redis: what a queue is rebuilt from when Redis lost it.
//!
//! Redis is a copy for speed; this record is the truth. What limits and promises depend on is
//! written here before it is answered: claims, renewals and endings, the end of a block of numbers
//! before its first number is given, the frontier before it is moved, the draw before it is shown.
//! Who joined follows within half a second; the shopper's ticket covers the gap.
//!
//! An **era** is the life of one set of keys in Redis, from one rebuild to the next (protocol.md
//! calls it the epoch of the keys; `epoch` here is the one that voids sessions). Every write names
//! the era it belongs to and is refused when a later one has begun, so that nothing that was
//! decided on lost keys is ever answered.
//!
//! Wrong answers that are harmless: a write that was refused or not answered although it happened
//! (all of them may be repeated), a frontier or a number end that is too high, an era that was
//! begun and not used. Not harmless: a write taken in an era that is over, a row forgotten.

pub mod postgres;

use domain::calls::Call;
use domain::draw::Seed;
use domain::queue::{Member, Saved};
use domain::sessions::Session;
use domain::{AdmissionId, Control, DropId, Number, Rank, ShopperKey, Timestamp};

use crate::store::Answer;

/// The life of one set of keys in Redis. Grows; the first is 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Era(pub u64);

/// How a drop's record stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// The era its keys belong to.
    pub era: Era,
    /// When somebody last worked on the queue.
    pub alive_at: Timestamp,
}

/// What of the queue as a whole follows after it has happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Switches {
    /// Orders what several gateways write: the highest counts.
    pub version: u64,
    /// What the operator has asked for.
    pub control: Control,
    /// Since when the queue is held, if it is.
    pub held_since: Option<Timestamp>,
}

/// What began, as it was decided and written down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Begun {
    /// Sessions of other epochs are void.
    pub epoch: u32,
    /// The secret of the draw.
    pub seed: Seed,
    /// The numbers that are drawn, where a draw is held.
    pub cohort: Option<u64>,
}

/// One change. Each may be written again, and in any order with those of other gateways.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Row {
    /// The switches, unless later ones are there.
    Switches(Switches),
    /// That somebody works on the queue, and up to where places have lapsed.
    Alive(Timestamp, Rank),
    /// A stretch of the call history.
    Call(Call),
    /// A place: of two rows the higher number counts, then the later state.
    Member(ShopperKey, Member),
    /// Places of a shopper up to this number are forgotten.
    MemberGone(ShopperKey, Number),
    /// A session, unless it is there already.
    Session(AdmissionId, Session),
    /// A session ends later; never earlier.
    Extended(AdmissionId, Timestamp),
    /// A claim counts against the rolling minute from then; never from earlier.
    Stamped(AdmissionId, Timestamp),
    /// A session has ordered.
    Ordered(AdmissionId),
    /// A session is over; until when its token has to be refused.
    Over(AdmissionId, Option<Timestamp>),
}

/// Held while a drop is rebuilt; given back when dropped, and when its holder dies or is not heard of any more.
pub trait Guard: Send {}

/// Keeps the durable record of all drops.
pub trait Marks: Send + Sync {
    /// How a drop's record stands; none where there is none.
    fn standing<'a>(&'a self, drop: &'a DropId) -> Answer<'a, Option<Standing>>;

    /// Makes a record for a drop, unless there is one.
    fn create<'a>(&'a self, drop: &'a DropId, seed: Seed, now: Timestamp) -> Answer<'a, ()>;

    /// The right to rebuild a drop's keys; none while somebody else has it.
    fn lock<'a>(&'a self, drop: &'a DropId) -> Answer<'a, Option<Box<dyn Guard>>>;

    /// Begins a new era and reads everything back, with the claims of the minute before `now`, and of the one before
    /// the record was last worked on if that lies further back: a clock that was ahead must not make the rolling
    /// minute shorter. From here on writes of older eras are refused.
    fn begin_era<'a>(&'a self, drop: &'a DropId, now: Timestamp) -> Answer<'a, (Era, Saved)>;

    /// Raises the end of the numbers that may be given.
    fn raise_numbers<'a>(&'a self, drop: &'a DropId, era: Era, end: Number) -> Answer<'a, ()>;

    /// Raises the frontier that may be shown.
    fn raise_frontier<'a>(&'a self, drop: &'a DropId, era: Era, to: Rank) -> Answer<'a, ()>;

    /// Writes down that the drop has started. Who comes first decides; gives what was decided.
    fn start<'a>(&'a self, drop: &'a DropId, era: Era, cohort: Option<u64>) -> Answer<'a, Begun>;

    /// Writes down that `epoch` begins and sessions are void; with a seed, that the start lies
    /// ahead again. Who comes first decides; gives what was decided.
    fn begin_epoch<'a>(
        &'a self,
        drop: &'a DropId,
        era: Era,
        epoch: u32,
        seed: Option<Seed>,
    ) -> Answer<'a, Begun>;

    /// Writes rows, all or none.
    fn write<'a>(&'a self, drop: &'a DropId, era: Era, rows: Vec<Row>) -> Answer<'a, ()>;

    /// Whether a session was written down.
    fn knows<'a>(&'a self, drop: &'a DropId, admission: AdmissionId) -> Answer<'a, bool>;
}
