//! Reading a queue back. A row that makes no sense is an error, not a guess.

use domain::calls::Call;
use domain::draw::Seed;
use domain::queue::{Head, Member, MemberState, Saved, Tally};
use domain::sessions::Session;
use domain::window::HELD;
use domain::{AdmissionId, Control, DropId, Number, Rank, ShopperKey, Timestamp};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row};

use super::{FINISHED, INSIDE, LEFT, QUEUED};

/// The queue of `drop` as the file has it; none if the file does not know the drop.
pub(in super::super) fn load(connection: &Connection, drop: &DropId) -> rusqlite::Result<Option<Saved>> {
    let queue = connection
        .prepare("SELECT * FROM queue WHERE drop_id = ?1")?
        .query_row([drop.as_str()], read_queue)
        .optional()?;
    let Some(mut saved) = queue else { return Ok(None) };
    saved.calls = all(
        connection,
        "SELECT * FROM call WHERE drop_id = ?1 ORDER BY from_rank",
        drop,
        read_call,
    )?;
    saved.members = all(
        connection,
        "SELECT * FROM member WHERE drop_id = ?1",
        drop,
        read_member,
    )?;
    for row in all(
        connection,
        "SELECT * FROM session WHERE drop_id = ?1",
        drop,
        read_session,
    )? {
        let SessionRow {
            admission,
            session,
            over,
            revoked_until,
        } = row;
        if session.claimed_at + HELD > saved.alive_at {
            saved.claimed_at.push(session.claimed_at);
        }
        saved
            .revoked
            .extend(revoked_until.map(|until| (until, admission)));
        if !over {
            saved.sessions.push((admission, session));
        }
    }
    Ok(Some(saved))
}

struct SessionRow {
    admission: AdmissionId,
    session: Session,
    over: bool,
    revoked_until: Option<Timestamp>,
}

fn all<T>(
    connection: &Connection,
    sql: &str,
    drop: &DropId,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection
        .prepare(sql)?
        .query_map([drop.as_str()], read)?
        .collect()
}

fn unsigned(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    optional(row, column)?.ok_or_else(|| nonsense(column))
}

fn optional(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<u64>> {
    let value: Option<i64> = row.get(column)?;
    value
        .map(|value| u64::try_from(value).map_err(|_| nonsense(column)))
        .transpose()
}

fn instant(row: &Row<'_>, column: &str) -> rusqlite::Result<Timestamp> {
    unsigned(row, column).map(Timestamp::from_millis)
}

fn name(row: &Row<'_>, column: &str) -> rusqlite::Result<[u8; 16]> {
    row.get(column)
}

fn nonsense(column: &str) -> rusqlite::Error {
    let reason = format!("the value of {column} makes no sense");
    rusqlite::Error::FromSqlConversionFailure(0, Type::Integer, reason.into())
}

fn read_queue(row: &Row<'_>) -> rusqlite::Result<Saved> {
    let control = Control {
        paused: row.get("paused")?,
        draining: row.get("draining")?,
        ended: row.get("ended")?,
        queue_all: row.get("queue_all")?,
    };
    let head = Head {
        epoch: row.get("epoch")?,
        issued: Number(unsigned(row, "number_end")?),
        seed: Seed(row.get("seed")?),
        started: row.get("started")?,
        cohort: optional(row, "cohort")?,
        control,
        held_since: optional(row, "held_since")?.map(Timestamp::from_millis),
        lapsed_below: Rank(unsigned(row, "lapsed_below")?),
        frontier: Rank(unsigned(row, "frontier")?),
        tally: read_tally(row)?,
    };
    Ok(Saved {
        head,
        calls: Vec::new(),
        members: Vec::new(),
        sessions: Vec::new(),
        revoked: Vec::new(),
        claimed_at: Vec::new(),
        alive_at: instant(row, "alive_at")?,
    })
}

fn read_tally(row: &Row<'_>) -> rusqlite::Result<Tally> {
    Ok(Tally {
        joined: unsigned(row, "joined")?,
        admitted: unsigned(row, "admitted")?,
        no_shows: unsigned(row, "no_shows")?,
        left: unsigned(row, "gave_up")?,
        room_full: unsigned(row, "room_full")?,
        active_max: unsigned(row, "active_max")?,
        claims_in_minute_max: unsigned(row, "claims_max")?,
    })
}

fn read_call(row: &Row<'_>) -> rusqlite::Result<Call> {
    let call = Call {
        from: Rank(unsigned(row, "from_rank")?),
        to: Rank(unsigned(row, "to_rank")?),
        opened_at: instant(row, "opened_at")?,
        called_at: instant(row, "called_at")?,
        called: unsigned(row, "called")?,
        shown: unsigned(row, "shown")?,
    };
    if call.from < call.to {
        Ok(call)
    } else {
        Err(nonsense("to_rank"))
    }
}

fn read_member(row: &Row<'_>) -> rusqlite::Result<(ShopperKey, Member)> {
    let admission: Option<[u8; 16]> = row.get("admission")?;
    let state = match (row.get::<_, i64>("state")?, admission) {
        (QUEUED, None) => MemberState::Queued,
        (INSIDE, Some(admission)) => MemberState::Inside(AdmissionId(admission)),
        (FINISHED, None) => MemberState::Finished,
        (LEFT, None) => MemberState::Left,
        _ => return Err(nonsense("state")),
    };
    let member = Member {
        number: Number(unsigned(row, "number")?),
        drawn: optional(row, "drawn")?.map(Rank),
        joined_at: instant(row, "joined_at")?,
        state,
    };
    Ok((ShopperKey(name(row, "shopper")?), member))
}

fn read_session(row: &Row<'_>) -> rusqlite::Result<SessionRow> {
    Ok(SessionRow {
        admission: AdmissionId(name(row, "admission")?),
        session: Session {
            shopper: ShopperKey(name(row, "shopper")?),
            number: Number(unsigned(row, "number")?),
            claimed_at: instant(row, "claimed_at")?,
            expires_at: instant(row, "expires_at")?,
            has_decided: row.get("has_ordered")?,
        },
        over: row.get("over")?,
        revoked_until: optional(row, "revoked_until")?.map(Timestamp::from_millis),
    })
}
