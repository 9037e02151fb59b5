//! Rows into tables: each kind in one statement, all in one transaction. Kinds and keys always
//! come in the same order, so that two gateways that write at once never wait for each other.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use domain::calls::Call;
use domain::queue::{Member, MemberState};
use domain::sessions::Session;
use domain::{AdmissionId, DropId, Number, Rank, ShopperKey, Timestamp};
use sqlx::PgConnection;

use super::super::{Row, Switches};
use super::signed;

/// What a state is called in the table. Later states are greater: of two rows the greater counts.
pub(super) const QUEUED: i16 = 0;
pub(super) const INSIDE: i16 = 1;
pub(super) const FINISHED: i16 = 2;
pub(super) const LEFT: i16 = 3;

/// Rows by kind, of each key the one that counts.
#[derive(Default)]
struct Sorted {
    members: BTreeMap<ShopperKey, Member>,
    gone: BTreeMap<ShopperKey, Number>,
    sessions: BTreeMap<AdmissionId, Session>,
    extended: BTreeMap<AdmissionId, Timestamp>,
    stamped: BTreeMap<AdmissionId, Timestamp>,
    ordered: Vec<AdmissionId>,
    over: BTreeMap<AdmissionId, Option<Timestamp>>,
    calls: BTreeMap<Rank, Call>,
    switches: Option<Switches>,
    alive: Option<(Timestamp, Rank)>,
}

/// Writes them all.
pub(super) async fn all(connection: &mut PgConnection, drop: &DropId, rows: Vec<Row>) -> sqlx::Result<()> {
    let sorted = Sorted::of(rows);
    let drop = drop.as_str();
    let changes = changes(&sorted);
    members(connection, drop, sorted.members).await?;
    gone(connection, drop, sorted.gone).await?;
    sessions(connection, drop, sorted.sessions).await?;
    change_sessions(connection, drop, changes).await?;
    calls(connection, drop, sorted.calls).await?;
    if let Some(switches) = sorted.switches {
        write_switches(connection, drop, switches).await?;
    }
    if let Some((at, lapsed_below)) = sorted.alive {
        alive(connection, drop, at, lapsed_below).await?;
    }
    Ok(())
}

impl Sorted {
    fn of(rows: Vec<Row>) -> Self {
        let mut sorted = Self::default();
        for row in rows {
            sorted.take(row);
        }
        sorted
    }

    fn take(&mut self, row: Row) {
        match row {
            Row::Switches(switches) => {
                let known = self.switches.filter(|known| known.version > switches.version);
                self.switches = Some(known.unwrap_or(switches));
            }
            Row::Alive(at, below) => {
                let (known_at, known_below) = self.alive.unwrap_or((at, below));
                self.alive = Some((known_at.max(at), known_below.max(below)));
            }
            Row::Call(call) => drop(self.calls.insert(call.from, call)),
            Row::Member(shopper, member) => {
                let known = self.members.entry(shopper).or_insert(member);
                if order_of(known) < order_of(&member) {
                    *known = member;
                }
            }
            Row::MemberGone(shopper, number) => {
                let known = self.gone.entry(shopper).or_insert(number);
                *known = number.max(*known);
            }
            Row::Session(admission, session) => {
                self.sessions.entry(admission).or_insert(session);
            }
            Row::Extended(admission, at) => {
                let known = self.extended.entry(admission).or_insert(at);
                *known = at.max(*known);
            }
            Row::Stamped(admission, at) => {
                let known = self.stamped.entry(admission).or_insert(at);
                *known = at.max(*known);
            }
            Row::Ordered(admission) => self.ordered.push(admission),
            Row::Over(admission, until) => {
                let known = self.over.entry(admission).or_insert(until);
                *known = until.max(*known);
            }
        }
    }
}

fn order_of(member: &Member) -> (Number, i16) {
    (member.number, state_of(&member.state).0)
}

fn state_of(state: &MemberState) -> (i16, Option<Vec<u8>>) {
    match state {
        MemberState::Queued => (QUEUED, None),
        MemberState::Inside(admission) => (INSIDE, Some(admission.0.to_vec())),
        MemberState::Finished => (FINISHED, None),
        MemberState::Left => (LEFT, None),
    }
}

fn millis(at: Timestamp) -> i64 {
    signed(at.as_millis())
}

async fn members(
    connection: &mut PgConnection,
    drop: &str,
    rows: BTreeMap<ShopperKey, Member>,
) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let (states, admissions): (Vec<i16>, Vec<Option<Vec<u8>>>) =
        rows.values().map(|member| state_of(&member.state)).unzip();
    let drawn: Vec<Option<i64>> = rows
        .values()
        .map(|m| m.drawn.map(|rank| signed(rank.0)))
        .collect();
    sqlx::query(
        "INSERT INTO admission_member AS kept (drop_id, shopper, number, drawn, joined_at, state, admission)
         SELECT $1, * FROM unnest($2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::smallint[], $7::bytea[])
         ON CONFLICT (drop_id, shopper) DO UPDATE SET number = excluded.number, drawn = excluded.drawn,
         joined_at = excluded.joined_at, state = excluded.state, admission = excluded.admission
         WHERE (excluded.number, excluded.state) > (kept.number, kept.state)",
    )
    .bind(drop)
    .bind(rows.keys().map(|shopper| shopper.0.to_vec()).collect::<Vec<_>>())
    .bind(rows.values().map(|m| signed(m.number.0)).collect::<Vec<_>>())
    .bind(drawn)
    .bind(rows.values().map(|m| millis(m.joined_at)).collect::<Vec<_>>())
    .bind(states)
    .bind(admissions)
    .execute(connection)
    .await
    .map(|_| ())
}

async fn gone(
    connection: &mut PgConnection,
    drop: &str,
    rows: BTreeMap<ShopperKey, Number>,
) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "DELETE FROM admission_member AS kept USING unnest($2::bytea[], $3::bigint[]) AS gone (shopper, number)
         WHERE kept.drop_id = $1 AND kept.shopper = gone.shopper AND kept.number <= gone.number",
    )
    .bind(drop)
    .bind(rows.keys().map(|shopper| shopper.0.to_vec()).collect::<Vec<_>>())
    .bind(rows.values().map(|number| signed(number.0)).collect::<Vec<_>>())
    .execute(connection)
    .await
    .map(|_| ())
}

async fn sessions(
    connection: &mut PgConnection,
    drop: &str,
    rows: BTreeMap<AdmissionId, Session>,
) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let each = |value: fn(&Session) -> i64| rows.values().map(value).collect::<Vec<_>>();
    sqlx::query(
        "INSERT INTO admission_session (drop_id, admission, shopper, number, claimed_at, expires_at)
         SELECT $1, * FROM unnest($2::bytea[], $3::bytea[], $4::bigint[], $5::bigint[], $6::bigint[])
         ON CONFLICT (drop_id, admission) DO NOTHING",
    )
    .bind(drop)
    .bind(
        rows.keys()
            .map(|admission| admission.0.to_vec())
            .collect::<Vec<_>>(),
    )
    .bind(
        rows.values()
            .map(|session| session.shopper.0.to_vec())
            .collect::<Vec<_>>(),
    )
    .bind(each(|session| signed(session.number.0)))
    .bind(each(|session| millis(session.claimed_at)))
    .bind(each(|session| millis(session.expires_at)))
    .execute(connection)
    .await
    .map(|_| ())
}

/// What happened to one session.
#[derive(Default)]
struct Change {
    expires_at: i64,
    claimed_at: i64,
    ordered: bool,
    over: bool,
    revoked_until: Option<i64>,
}

/// One row per session, whatever happened to it, in the order of their names.
fn changes(sorted: &Sorted) -> BTreeMap<AdmissionId, Change> {
    let mut changes: BTreeMap<AdmissionId, Change> = BTreeMap::new();
    for (admission, at) in &sorted.extended {
        changes.entry(*admission).or_default().expires_at = millis(*at);
    }
    for (admission, at) in &sorted.stamped {
        changes.entry(*admission).or_default().claimed_at = millis(*at);
    }
    for admission in &sorted.ordered {
        changes.entry(*admission).or_default().ordered = true;
    }
    for (admission, until) in &sorted.over {
        let change = changes.entry(*admission).or_default();
        (change.over, change.revoked_until) = (true, until.map(millis));
    }
    changes
}

/// Changes sessions. What says nothing new writes nothing: what ended is written down by every gateway.
async fn change_sessions(
    connection: &mut PgConnection,
    drop: &str,
    changes: BTreeMap<AdmissionId, Change>,
) -> sqlx::Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let each = |value: fn(&Change) -> i64| changes.values().map(value).collect::<Vec<_>>();
    let flags = |value: fn(&Change) -> bool| changes.values().map(value).collect::<Vec<_>>();
    let names = changes.keys().map(|admission| admission.0.to_vec());
    let revoked = changes.values().map(|change| change.revoked_until);
    sqlx::query(
        "UPDATE admission_session AS kept SET expires_at = greatest(kept.expires_at, new.expires_at),
         claimed_at = greatest(kept.claimed_at, new.claimed_at),
         has_ordered = kept.has_ordered OR new.ordered, over = kept.over OR new.over,
         revoked_until = greatest(kept.revoked_until, new.revoked_until)
         FROM unnest($2::bytea[], $3::bigint[], $4::bigint[], $5::boolean[], $6::boolean[], $7::bigint[])
         AS new (admission, expires_at, claimed_at, ordered, over, revoked_until)
         WHERE kept.drop_id = $1 AND kept.admission = new.admission
         AND (new.expires_at > kept.expires_at OR new.claimed_at > kept.claimed_at
         OR (new.ordered AND NOT kept.has_ordered) OR (new.over AND NOT kept.over)
         OR new.revoked_until > coalesce(kept.revoked_until, 0))",
    )
    .bind(drop)
    .bind(names.collect::<Vec<_>>())
    .bind(each(|change| change.expires_at))
    .bind(each(|change| change.claimed_at))
    .bind(flags(|change| change.ordered))
    .bind(flags(|change| change.over))
    .bind(revoked.collect::<Vec<_>>())
    .execute(connection)
    .await
    .map(|_| ())
}

async fn calls(connection: &mut PgConnection, drop: &str, rows: BTreeMap<Rank, Call>) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let each = |value: fn(&Call) -> i64| rows.values().map(value).collect::<Vec<_>>();
    sqlx::query(
        "INSERT INTO admission_call AS kept (drop_id, from_rank, to_rank, opened_at, called_at, called, shown)
         SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
         ON CONFLICT (drop_id, from_rank) DO UPDATE SET to_rank = greatest(kept.to_rank, excluded.to_rank),
         opened_at = greatest(kept.opened_at, excluded.opened_at),
         called_at = greatest(kept.called_at, excluded.called_at),
         called = greatest(kept.called, excluded.called), shown = greatest(kept.shown, excluded.shown)",
    )
    .bind(drop)
    .bind(each(|call| signed(call.from.0)))
    .bind(each(|call| signed(call.to.0)))
    .bind(each(|call| millis(call.opened_at)))
    .bind(each(|call| millis(call.called_at)))
    .bind(each(|call| signed(call.called)))
    .bind(each(|call| signed(call.shown)))
    .execute(connection)
    .await
    .map(|_| ())
}

async fn write_switches(connection: &mut PgConnection, drop: &str, switches: Switches) -> sqlx::Result<()> {
    let control = switches.control;
    sqlx::query(
        "UPDATE admission_queue SET version = $2, paused = $3, draining = $4, ended = $5, queue_all = $6,
         held_since = $7 WHERE drop_id = $1 AND version <= $2",
    )
    .bind(drop)
    .bind(signed(switches.version))
    .bind(control.paused)
    .bind(control.draining)
    .bind(control.ended)
    .bind(control.queue_all)
    .bind(switches.held_since.map(millis))
    .execute(connection)
    .await
    .map(|_| ())
}

/// Notes that somebody works here, and sweeps out what counts for nothing any more. That is judged by the server's clock
/// as well: one gateway whose clock is ahead must not make the rolling minute shorter for all.
async fn alive(connection: &mut PgConnection, drop: &str, at: Timestamp, below: Rank) -> sqlx::Result<()> {
    sqlx::query(
        "DELETE FROM admission_session USING
         (SELECT least($2, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)) AS present (instant)
         WHERE drop_id = $1 AND over AND claimed_at + $3 <= instant AND coalesce(revoked_until, 0) <= instant",
    )
    .bind(drop)
    .bind(millis(at))
    .bind(signed(domain::window::HELD.as_millis()))
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM admission_call WHERE drop_id = $1 AND to_rank <= $2")
        .bind(drop)
        .bind(signed(below.0))
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "UPDATE admission_queue SET alive_at = greatest(alive_at, $2), lapsed_below = greatest(lapsed_below, $3)
         WHERE drop_id = $1",
    )
    .bind(drop)
    .bind(millis(at))
    .bind(signed(below.0))
    .execute(connection)
    .await
    .map(|_| ())
}
