//! Lanes in Postgres, one row each, changed by compare-and-set: no lock is held while anybody thinks, so that a process that
//! freezes holds nobody up.

use domain::turns::{Ask, Lane, Micros};
use sqlx::{PgConnection, Row as _};

use crate::ledger::LedgerReply;
use crate::turns::{Leased, Turns, Wish};

use super::PostgresLedger;
use super::connect::Kind;
use super::trouble::Trouble;

/// Compare-and-sets that may be lost in a row. Each loss means that somebody else was given turns.
const CONFLICTS_MAX: u32 = 64;

impl Turns for PostgresLedger {
    fn lease(&self, lane: &str, ask: Ask) -> LedgerReply<'_, Leased> {
        self.wish("leasing turns", lane, Wish::Lease(ask))
    }

    fn slow_down(&self, lane: &str, per_second: u32, hold: Micros) -> LedgerReply<'_, u32> {
        let wish = Wish::SlowDown { per_second, hold };
        let leased = self.wish("slowing down", lane, wish);
        Box::pin(async move { Ok(leased.await?.in_force) })
    }
}

impl PostgresLedger {
    fn wish(&self, doing: &'static str, lane: &str, wish: Wish) -> LedgerReply<'_, Leased> {
        let lane = lane.to_owned();
        // Turns that may or may not have been given are not taken: that changes nothing.
        self.call(Kind::Read, doing, move |c| {
            Box::pin(async move { grant(c, &lane, wish).await })
        })
    }
}

async fn grant(c: &mut PgConnection, name: &str, wish: Wish) -> Result<Leased, Trouble> {
    for _ in 0..CONFLICTS_MAX {
        let (now, kept) = read(c, name).await?;
        let (lane, leased) = wish.granted(kept.unwrap_or_default(), now);
        let stored = match kept {
            Some(kept) if kept == lane => true,
            Some(kept) => replace(c, name, kept, lane).await?,
            None => create(c, name, lane).await?,
        };
        if stored {
            return Ok(leased);
        }
    }
    Err(Trouble::TooLate)
}

/// The lane, if anybody has used it, and the instant it was read at: the database's own, whoever asks.
async fn read(c: &mut PgConnection, name: &str) -> Result<(Micros, Option<Lane>), Trouble> {
    let row = sqlx::query(
        "SELECT pace_now(), last, in_force, changed, not_before \
         FROM (SELECT $1::text AS name) AS asked LEFT JOIN pace USING (name)",
    )
    .bind(name)
    .fetch_one(c)
    .await?;
    let micros = |value: i64| Micros(u64::try_from(value).unwrap_or(0));
    let now = micros(row.try_get(0)?);
    let Some(last) = row.try_get::<Option<i64>, _>(1)? else {
        return Ok((now, None));
    };
    let lane = Lane {
        last: micros(last),
        in_force: u32::try_from(row.try_get::<i64, _>(2)?).unwrap_or(Lane::FULL),
        changed: micros(row.try_get(3)?),
        not_before: micros(row.try_get(4)?),
    };
    Ok((now, Some(lane)))
}

/// Stores the lane where it still is what was read. Says whether it was.
async fn replace(c: &mut PgConnection, name: &str, kept: Lane, lane: Lane) -> Result<bool, Trouble> {
    let stored = sqlx::query(
        "UPDATE pace SET last = $2, in_force = $3, changed = $4, not_before = $5 \
         WHERE name = $1 AND last = $6 AND in_force = $7 AND changed = $8 AND not_before = $9",
    )
    .bind(name)
    .bind(column(lane.last))
    .bind(i64::from(lane.in_force))
    .bind(column(lane.changed))
    .bind(column(lane.not_before))
    .bind(column(kept.last))
    .bind(i64::from(kept.in_force))
    .bind(column(kept.changed))
    .bind(column(kept.not_before))
    .execute(c)
    .await?;
    Ok(stored.rows_affected() == 1)
}

/// Stores a lane that nobody has used. Says whether nobody was quicker.
async fn create(c: &mut PgConnection, name: &str, lane: Lane) -> Result<bool, Trouble> {
    let stored = sqlx::query(
        "INSERT INTO pace (name, last, in_force, changed, not_before) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT DO NOTHING",
    )
    .bind(name)
    .bind(column(lane.last))
    .bind(i64::from(lane.in_force))
    .bind(column(lane.changed))
    .bind(column(lane.not_before))
    .execute(c)
    .await?;
    Ok(stored.rows_affected() == 1)
}

fn column(micros: Micros) -> i64 {
    i64::try_from(micros.0).unwrap_or(i64::MAX)
}
