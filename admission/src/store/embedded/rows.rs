//! Rows: what the journal writes and what it reads back, distrusted.

mod read;

use domain::calls::Call;
use domain::queue::{Member, MemberState, Tally};
use domain::sessions::Session;
use domain::{AdmissionId, Control, DropId, Number, Rank, ShopperKey, Timestamp};
use rusqlite::{Connection, params};

pub(super) use read::load;

/// The queue as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct QueueRow {
    pub(super) epoch: u32,
    pub(super) number_end: Number,
    pub(super) seed: [u8; 32],
    pub(super) started: bool,
    pub(super) cohort: Option<u64>,
    pub(super) control: Control,
    pub(super) held_since: Option<Timestamp>,
    pub(super) lapsed_below: Rank,
    pub(super) frontier: Rank,
    pub(super) alive_at: Timestamp,
    pub(super) tally: Tally,
}

/// One change to one table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Row {
    Queue(QueueRow),
    Call(Call),
    /// Calls below this rank are forgotten.
    CallsForgotten(Rank),
    Member(ShopperKey, Member),
    MemberGone(ShopperKey),
    Session(AdmissionId, Session),
    SessionOver(AdmissionId, Option<Timestamp>),
    /// Sessions that are over and no longer count for anything at this instant.
    SweepSessions(Timestamp),
}

/// What a state is called in the file.
const QUEUED: i64 = 0;
const INSIDE: i64 = 1;
const FINISHED: i64 = 2;
const LEFT: i64 = 3;

/// Integers in the file are signed; ours are far below the limit, and saturate if they are not.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn millis(at: Timestamp) -> i64 {
    signed(at.as_millis())
}

impl Row {
    /// Writes the change.
    pub(super) fn write(&self, drop: &DropId, connection: &Connection) -> rusqlite::Result<()> {
        let drop = drop.as_str();
        match self {
            Self::Queue(row) => write_queue(row, drop, connection),
            Self::Call(call) => write_call(call, drop, connection),
            Self::CallsForgotten(below) => connection
                .prepare_cached("DELETE FROM call WHERE drop_id = ?1 AND to_rank <= ?2")?
                .execute(params![drop, signed(below.0)])
                .map(drop_count),
            Self::Member(shopper, member) => write_member(shopper, member, drop, connection),
            Self::MemberGone(shopper) => connection
                .prepare_cached("DELETE FROM member WHERE drop_id = ?1 AND shopper = ?2")?
                .execute(params![drop, shopper.0])
                .map(drop_count),
            Self::Session(admission, session) => write_session(admission, session, drop, connection),
            Self::SessionOver(admission, revoked_until) => connection
                .prepare_cached(
                    "UPDATE session SET over = 1, revoked_until = ?3 WHERE drop_id = ?1 AND admission = ?2",
                )?
                .execute(params![drop, admission.0, revoked_until.map(millis)])
                .map(drop_count),
            Self::SweepSessions(now) => connection
                .prepare_cached(
                    "DELETE FROM session WHERE drop_id = ?1 AND over = 1 AND claimed_at + 60250 <= ?2
                     AND coalesce(revoked_until, 0) <= ?2",
                )?
                .execute(params![drop, millis(*now)])
                .map(drop_count),
        }
    }
}

/// How many rows a statement touched says nothing here: all of them may be repeated.
fn drop_count(_rows: usize) {}

fn write_queue(row: &QueueRow, drop: &str, connection: &Connection) -> rusqlite::Result<()> {
    let Control {
        paused,
        draining,
        ended,
        queue_all,
    } = row.control;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO queue (drop_id, epoch, number_end, seed, started, cohort, paused,
             draining, ended, queue_all, held_since, lapsed_below, frontier, alive_at, joined, admitted,
             no_shows, gave_up, room_full, active_max, claims_max)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)",
        )?
        .execute(params![
            drop,
            row.epoch,
            signed(row.number_end.0),
            row.seed,
            row.started,
            row.cohort.map(signed),
            paused,
            draining,
            ended,
            queue_all,
            row.held_since.map(millis),
            signed(row.lapsed_below.0),
            signed(row.frontier.0),
            millis(row.alive_at),
            signed(row.tally.joined),
            signed(row.tally.admitted),
            signed(row.tally.no_shows),
            signed(row.tally.left),
            signed(row.tally.room_full),
            signed(row.tally.active_max),
            signed(row.tally.claims_in_minute_max),
        ])
        .map(drop_count)
}

fn write_call(call: &Call, drop: &str, connection: &Connection) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO call (drop_id, from_rank, to_rank, opened_at, called_at, called, shown)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            drop,
            signed(call.from.0),
            signed(call.to.0),
            millis(call.opened_at),
            millis(call.called_at),
            signed(call.called),
            signed(call.shown),
        ])
        .map(drop_count)
}

fn write_member(
    shopper: &ShopperKey,
    member: &Member,
    drop: &str,
    connection: &Connection,
) -> rusqlite::Result<()> {
    let (state, admission) = match member.state {
        MemberState::Queued => (QUEUED, None),
        MemberState::Inside(admission) => (INSIDE, Some(admission.0)),
        MemberState::Finished => (FINISHED, None),
        MemberState::Left => (LEFT, None),
    };
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO member (drop_id, shopper, number, drawn, joined_at, state, admission)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            drop,
            shopper.0,
            signed(member.number.0),
            member.drawn.map(|rank| signed(rank.0)),
            millis(member.joined_at),
            state,
            admission,
        ])
        .map(drop_count)
}

fn write_session(
    admission: &AdmissionId,
    session: &Session,
    drop: &str,
    connection: &Connection,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO session (drop_id, admission, shopper, number, claimed_at, expires_at,
             has_ordered, over, revoked_until) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, NULL)",
        )?
        .execute(params![
            drop,
            admission.0,
            session.shopper.0,
            signed(session.number.0),
            millis(session.claimed_at),
            millis(session.expires_at),
            session.has_decided,
        ])
        .map(drop_count)
}
