//! Tables into a queue: everything that has to survive a stop, distrusted.

use domain::calls::Call;
use domain::draw::Seed;
use domain::queue::{Head, Member, MemberState, Saved, Tally};
use domain::sessions::Session;
use domain::window::HELD;
use domain::{AdmissionId, Control, DropId, Number, Rank, ShopperKey, Timestamp};
use sqlx::postgres::PgRow;
use sqlx::{Connection as _, PgConnection, Row as _};

use super::connect::take_time;
use super::write::{FINISHED, INSIDE, LEFT, QUEUED};
use super::{signed, unsigned};

/// Reads a drop's queue as it was at one instant.
pub(super) async fn saved(
    connection: &mut PgConnection,
    drop: &DropId,
    now: Timestamp,
) -> sqlx::Result<Saved> {
    let mut transaction = connection
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await?;
    take_time(&mut transaction).await?;
    let (head, alive_at) = head(&mut transaction, drop).await?;
    let drop = drop.as_str();
    let saved = Saved {
        head,
        calls: calls(&mut transaction, drop).await?,
        members: members(&mut transaction, drop).await?,
        sessions: sessions(&mut transaction, drop).await?,
        revoked: revoked(&mut transaction, drop).await?,
        claimed_at: claims(&mut transaction, drop, alive_at.min(now) - HELD).await?,
        alive_at,
    };
    transaction.commit().await?;
    Ok(saved)
}

/// A key or seed of its fixed length.
pub(super) fn key<const N: usize>(bytes: Vec<u8>) -> sqlx::Result<[u8; N]> {
    let length = bytes.len();
    bytes
        .try_into()
        .map_err(|_| sqlx::Error::Decode(format!("a key of {length} bytes instead of {N}").into()))
}

/// An epoch.
pub(super) fn epoch(value: i64) -> sqlx::Result<u32> {
    u32::try_from(value).map_err(|cause| sqlx::Error::Decode(cause.into()))
}

fn time(row: &PgRow, column: &str) -> sqlx::Result<Timestamp> {
    row.try_get(column).map(unsigned).map(Timestamp::from_millis)
}

fn rank(row: &PgRow, column: &str) -> sqlx::Result<Rank> {
    row.try_get(column).map(unsigned).map(Rank)
}

fn count(row: &PgRow, column: &str) -> sqlx::Result<u64> {
    row.try_get(column).map(unsigned)
}

fn maybe(row: &PgRow, column: &str) -> sqlx::Result<Option<u64>> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(unsigned))
}

async fn head(connection: &mut PgConnection, drop: &DropId) -> sqlx::Result<(Head, Timestamp)> {
    let row = sqlx::query("SELECT * FROM admission_queue WHERE drop_id = $1")
        .bind(drop.as_str())
        .fetch_one(connection)
        .await?;
    let head = Head {
        epoch: epoch(row.try_get("epoch")?)?,
        issued: Number(count(&row, "number_end")?),
        seed: Seed(key(row.try_get("seed")?)?),
        started: row.try_get("started")?,
        cohort: maybe(&row, "cohort")?,
        control: Control {
            paused: row.try_get("paused")?,
            draining: row.try_get("draining")?,
            ended: row.try_get("ended")?,
            queue_all: row.try_get("queue_all")?,
        },
        held_since: maybe(&row, "held_since")?.map(Timestamp::from_millis),
        lapsed_below: rank(&row, "lapsed_below")?,
        frontier: rank(&row, "frontier")?,
        // Counted in Redis alone: it may be forgotten with it.
        tally: Tally::default(),
    };
    Ok((head, time(&row, "alive_at")?))
}

async fn calls(connection: &mut PgConnection, drop: &str) -> sqlx::Result<Vec<Call>> {
    let rows = sqlx::query("SELECT * FROM admission_call WHERE drop_id = $1 ORDER BY from_rank")
        .bind(drop)
        .fetch_all(connection)
        .await?;
    let call = |row: PgRow| {
        Ok(Call {
            from: rank(&row, "from_rank")?,
            to: rank(&row, "to_rank")?,
            opened_at: time(&row, "opened_at")?,
            called_at: time(&row, "called_at")?,
            called: count(&row, "called")?,
            shown: count(&row, "shown")?,
        })
    };
    rows.into_iter().map(call).collect()
}

async fn members(connection: &mut PgConnection, drop: &str) -> sqlx::Result<Vec<(ShopperKey, Member)>> {
    let rows = sqlx::query("SELECT * FROM admission_member WHERE drop_id = $1")
        .bind(drop)
        .fetch_all(connection)
        .await?;
    rows.into_iter().map(|row| member(&row)).collect()
}

fn member(row: &PgRow) -> sqlx::Result<(ShopperKey, Member)> {
    let admission: Option<Vec<u8>> = row.try_get("admission")?;
    let state = match (row.try_get::<i16, _>("state")?, admission) {
        (QUEUED, _) => MemberState::Queued,
        (INSIDE, Some(admission)) => MemberState::Inside(AdmissionId(key(admission)?)),
        (FINISHED, _) => MemberState::Finished,
        (LEFT, _) => MemberState::Left,
        (state, _) => return Err(sqlx::Error::Decode(format!("a place in state {state}").into())),
    };
    let member = Member {
        number: Number(count(row, "number")?),
        drawn: maybe(row, "drawn")?.map(Rank),
        joined_at: time(row, "joined_at")?,
        state,
    };
    Ok((ShopperKey(key(row.try_get("shopper")?)?), member))
}

async fn sessions(connection: &mut PgConnection, drop: &str) -> sqlx::Result<Vec<(AdmissionId, Session)>> {
    let rows = sqlx::query("SELECT * FROM admission_session WHERE drop_id = $1 AND NOT over")
        .bind(drop)
        .fetch_all(connection)
        .await?;
    let session = |row: PgRow| {
        let session = Session {
            shopper: ShopperKey(key(row.try_get("shopper")?)?),
            number: Number(count(&row, "number")?),
            claimed_at: time(&row, "claimed_at")?,
            expires_at: time(&row, "expires_at")?,
            has_decided: row.try_get("has_ordered")?,
        };
        Ok((AdmissionId(key(row.try_get("admission")?)?), session))
    };
    rows.into_iter().map(session).collect()
}

async fn revoked(connection: &mut PgConnection, drop: &str) -> sqlx::Result<Vec<(Timestamp, AdmissionId)>> {
    let rows = sqlx::query(
        "SELECT revoked_until, admission FROM admission_session WHERE drop_id = $1 AND revoked_until IS NOT NULL",
    )
    .bind(drop)
    .fetch_all(connection)
    .await?;
    let one = |row: PgRow| {
        Ok((
            time(&row, "revoked_until")?,
            AdmissionId(key(row.try_get("admission")?)?),
        ))
    };
    rows.into_iter().map(one).collect()
}

async fn claims(connection: &mut PgConnection, drop: &str, since: Timestamp) -> sqlx::Result<Vec<Timestamp>> {
    let stamps: Vec<i64> =
        sqlx::query_scalar("SELECT claimed_at FROM admission_session WHERE drop_id = $1 AND claimed_at > $2")
            .bind(drop)
            .bind(signed(since.as_millis()))
            .fetch_all(connection)
            .await?;
    Ok(stamps
        .into_iter()
        .map(|at| Timestamp::from_millis(unsigned(at)))
        .collect())
}
