//! The durable record in Postgres: tables of admission's own, read and written by nobody else.
//!
//! Writers share a lock on the drop's row while they write, and compare the era under it; who
//! begins an era takes the row alone. So a write is either part of what is read back, or refused.
//! The keys that all gateways share are kept here too.

mod connect;
mod keys;
mod lock;
mod read;
mod schema;
#[cfg(test)]
pub(crate) mod tests;
mod write;

use std::sync::Arc;
use std::time::Duration;

use domain::draw::Seed;
use domain::queue::Saved;
use domain::{AdmissionId, DropId, Number, Rank, Timestamp};
use sqlx::{Connection as _, PgConnection, PgPool, Row as _};

use self::connect::Lent;
use self::lock::Locked;
use super::{Begun, Era, Guard, Marks, Row, Standing};
use crate::store::redis::outage::Outage;
use crate::store::redis::{superseded, unavailable};
use crate::store::{Answer, Unavailable};

/// Longest wait for one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Longest wait while a whole queue is read back: two million places are read in under half of it.
const READ_WITHIN: Duration = Duration::from_mins(1);

/// The record could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum MarksOpenError {
    /// The server could not be reached or refused us.
    #[error("cannot reach Postgres")]
    Connect(#[from] sqlx::Error),
    /// The tables could not be brought to their present form.
    #[error("cannot migrate admission's tables")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The tables are older than this version.
    #[error("the queue's tables are not up to date: run `doorline migrate`")]
    Behind,
    /// The tables are newer than this version, or were changed by somebody else.
    #[error("the queue's tables are not those that this version of Doorline makes")]
    Foreign,
    /// The server may lose what it said it keeps.
    #[error("Postgres has {setting} off: what it confirms would not be durable")]
    NotDurable {
        /// Which setting.
        setting: &'static str,
    },
    /// It took too long.
    #[error("Postgres did not answer in time")]
    Late,
}

/// The durable record in Postgres.
#[derive(Clone)]
pub struct PostgresMarks {
    pool: PgPool,
    outage: Arc<Outage>,
}

impl PostgresMarks {
    /// Brings the tables to their present form, as the role that owns them.
    ///
    /// # Errors
    /// If the server cannot be reached or refuses.
    pub async fn migrate(url: &str) -> Result<(), MarksOpenError> {
        connect::migrate(url).await
    }

    /// Connects, and makes sure that the tables are as this version knows them and that commits are kept.
    ///
    /// # Errors
    /// If the server cannot be reached or does not keep what it commits, or if the tables are not those of this version.
    pub async fn open(url: &str) -> Result<Self, MarksOpenError> {
        let pool = connect::pool(url).await?;
        for setting in ["fsync", "synchronous_commit"] {
            let value: String = sqlx::query_scalar("SELECT current_setting($1)")
                .bind(setting)
                .fetch_one(&pool)
                .await?;
            if value == "off" {
                return Err(MarksOpenError::NotDurable { setting });
            }
        }
        schema::check(&mut *pool.acquire().await?).await?;
        let outage = Arc::new(Outage::of("postgres"));
        Ok(Self { pool, outage })
    }

    /// Waits for an answer, but not longer than `limit`; whatever is wrong becomes a refusal.
    async fn within<T>(
        &self,
        limit: Duration,
        answer: impl Future<Output = sqlx::Result<T>>,
    ) -> Result<T, Unavailable> {
        match tokio::time::timeout(limit, answer).await {
            Ok(Ok(value)) => {
                self.outage.over();
                Ok(value)
            }
            Ok(Err(error)) => {
                self.outage.note("a statement", &error);
                Err(unavailable("Postgres cannot be reached"))
            }
            Err(late) => {
                self.outage.note("a statement", &late);
                Err(unavailable("Postgres did not answer in time"))
            }
        }
    }

    /// A connection to work with.
    async fn lend(&self) -> sqlx::Result<Lent> {
        Lent::from(&self.pool).await
    }

    /// Runs one statement in an era; refused if it is over.
    async fn in_era(
        &self,
        drop: &DropId,
        era: Era,
        statement: &'static str,
        value: i64,
    ) -> Result<(), Unavailable> {
        self.within(ANSWER_WITHIN, async {
            let mut lent = self.lend().await?;
            let done = sqlx::query(statement)
                .bind(drop.as_str())
                .bind(signed(era.0))
                .bind(value)
                .execute(&mut *lent)
                .await?;
            lent.give_back();
            Ok(done.rows_affected() == 1)
        })
        .await
        .and_then(|taken| if taken { Ok(()) } else { Err(superseded()) })
    }
}

/// Whether a transaction is in this era; then it stays so until its end.
async fn is_in(transaction: &mut PgConnection, drop: &DropId, era: Era) -> sqlx::Result<bool> {
    let known: Option<i64> =
        sqlx::query_scalar("SELECT era FROM admission_queue WHERE drop_id = $1 FOR KEY SHARE")
            .bind(drop.as_str())
            .fetch_optional(transaction)
            .await?;
    Ok(known == Some(signed(era.0)))
}

impl Marks for PostgresMarks {
    fn standing<'a>(&'a self, drop: &'a DropId) -> Answer<'a, Option<Standing>> {
        Box::pin(self.within(ANSWER_WITHIN, async {
            let mut lent = self.lend().await?;
            let row = sqlx::query("SELECT era, alive_at FROM admission_queue WHERE drop_id = $1")
                .bind(drop.as_str())
                .fetch_optional(&mut *lent)
                .await?;
            lent.give_back();
            row.map(|row| {
                Ok(Standing {
                    era: Era(unsigned(row.try_get(0)?)),
                    alive_at: Timestamp::from_millis(unsigned(row.try_get(1)?)),
                })
            })
            .transpose()
        }))
    }

    fn create<'a>(&'a self, drop: &'a DropId, seed: Seed, now: Timestamp) -> Answer<'a, ()> {
        Box::pin(self.within(ANSWER_WITHIN, async move {
            let mut lent = self.lend().await?;
            sqlx::query(
                "INSERT INTO admission_queue (drop_id, seed, alive_at) VALUES ($1, $2, $3)
                 ON CONFLICT (drop_id) DO NOTHING",
            )
            .bind(drop.as_str())
            .bind(seed.0.to_vec())
            .bind(signed(now.as_millis()))
            .execute(&mut *lent)
            .await?;
            lent.give_back();
            Ok(())
        }))
    }

    fn lock<'a>(&'a self, drop: &'a DropId) -> Answer<'a, Option<Box<dyn Guard>>> {
        Box::pin(self.within(ANSWER_WITHIN, async move {
            let taken = lock::take(self.lend().await?, drop).await?;
            Ok(taken.map(|lent| Box::new(Locked::new(lent)) as Box<dyn Guard>))
        }))
    }

    fn begin_era<'a>(&'a self, drop: &'a DropId, now: Timestamp) -> Answer<'a, (Era, Saved)> {
        Box::pin(self.within(READ_WITHIN, async move {
            // Raising it takes the row alone: it waits for writes that are under way, and none of
            // the old era comes after it.
            let mut lent = self.lend().await?;
            let mut transaction = lent.begin().await?;
            sqlx::query("SELECT 1 FROM admission_queue WHERE drop_id = $1 FOR UPDATE")
                .bind(drop.as_str())
                .execute(&mut *transaction)
                .await?;
            let era: i64 = sqlx::query_scalar(
                "UPDATE admission_queue SET era = era + 1 WHERE drop_id = $1 RETURNING era",
            )
            .bind(drop.as_str())
            .fetch_one(&mut *transaction)
            .await?;
            transaction.commit().await?;
            let saved = read::saved(&mut lent, drop, now).await?;
            lent.give_back();
            Ok((Era(unsigned(era)), saved))
        }))
    }

    fn raise_numbers<'a>(&'a self, drop: &'a DropId, era: Era, end: Number) -> Answer<'a, ()> {
        let statement = "UPDATE admission_queue SET number_end = greatest(number_end, $3) WHERE drop_id = $1 AND era = $2";
        Box::pin(self.in_era(drop, era, statement, signed(end.0)))
    }

    fn raise_frontier<'a>(&'a self, drop: &'a DropId, era: Era, to: Rank) -> Answer<'a, ()> {
        let statement =
            "UPDATE admission_queue SET frontier = greatest(frontier, $3) WHERE drop_id = $1 AND era = $2";
        Box::pin(self.in_era(drop, era, statement, signed(to.0)))
    }

    fn start<'a>(&'a self, drop: &'a DropId, era: Era, cohort: Option<u64>) -> Answer<'a, Begun> {
        Box::pin(async move {
            let decided = self.within(ANSWER_WITHIN, async {
                let mut lent = self.lend().await?;
                let mut transaction = lent.begin().await?;
                if !is_in(&mut transaction, drop, era).await? {
                    transaction.rollback().await?;
                    lent.give_back();
                    return Ok(None);
                }
                sqlx::query(
                    "UPDATE admission_queue SET started = true, epoch = epoch + 1, cohort = $2
                     WHERE drop_id = $1 AND NOT started",
                )
                .bind(drop.as_str())
                .bind(cohort.map(signed))
                .execute(&mut *transaction)
                .await?;
                let epoch = epoch_of(&mut transaction, drop).await?;
                transaction.commit().await?;
                lent.give_back();
                Ok(Some(epoch))
            });
            decided.await?.ok_or_else(superseded)
        })
    }

    fn begin_epoch<'a>(
        &'a self,
        drop: &'a DropId,
        era: Era,
        epoch: u32,
        seed: Option<Seed>,
    ) -> Answer<'a, Begun> {
        Box::pin(async move {
            let decided = self.within(ANSWER_WITHIN, async {
                let mut lent = self.lend().await?;
                let mut transaction = lent.begin().await?;
                if !is_in(&mut transaction, drop, era).await? {
                    transaction.rollback().await?;
                    lent.give_back();
                    return Ok(None);
                }
                let begun = sqlx::query(
                    "UPDATE admission_queue SET epoch = $2, started = started AND $3::bytea IS NULL,
                     cohort = CASE WHEN $3::bytea IS NULL THEN cohort END, seed = coalesce($3, seed)
                     WHERE drop_id = $1 AND epoch < $2",
                )
                .bind(drop.as_str())
                .bind(i64::from(epoch))
                .bind(seed.map(|seed| seed.0.to_vec()))
                .execute(&mut *transaction)
                .await?;
                if begun.rows_affected() == 1 {
                    sqlx::query("UPDATE admission_session SET over = true WHERE drop_id = $1 AND NOT over")
                        .bind(drop.as_str())
                        .execute(&mut *transaction)
                        .await?;
                }
                let epoch = epoch_of(&mut transaction, drop).await?;
                transaction.commit().await?;
                lent.give_back();
                Ok(Some(epoch))
            });
            decided.await?.ok_or_else(superseded)
        })
    }

    fn write<'a>(&'a self, drop: &'a DropId, era: Era, rows: Vec<Row>) -> Answer<'a, ()> {
        Box::pin(async move {
            let taken = self.within(ANSWER_WITHIN, async {
                let mut lent = self.lend().await?;
                let mut transaction = lent.begin().await?;
                if !is_in(&mut transaction, drop, era).await? {
                    transaction.rollback().await?;
                    lent.give_back();
                    return Ok(false);
                }
                write::all(&mut transaction, drop, rows).await?;
                transaction.commit().await?;
                lent.give_back();
                Ok(true)
            });
            if taken.await? { Ok(()) } else { Err(superseded()) }
        })
    }

    fn knows<'a>(&'a self, drop: &'a DropId, admission: AdmissionId) -> Answer<'a, bool> {
        Box::pin(self.within(ANSWER_WITHIN, async move {
            let mut lent = self.lend().await?;
            let known = sqlx::query_scalar(
                "SELECT EXISTS (SELECT 1 FROM admission_session WHERE drop_id = $1 AND admission = $2)",
            )
            .bind(drop.as_str())
            .bind(admission.0.to_vec())
            .fetch_one(&mut *lent)
            .await?;
            lent.give_back();
            Ok(known)
        }))
    }
}

async fn epoch_of(connection: &mut PgConnection, drop: &DropId) -> sqlx::Result<Begun> {
    let row = sqlx::query("SELECT epoch, seed, cohort FROM admission_queue WHERE drop_id = $1")
        .bind(drop.as_str())
        .fetch_one(connection)
        .await?;
    Ok(Begun {
        epoch: read::epoch(row.try_get(0)?)?,
        seed: Seed(read::key(row.try_get(1)?)?),
        cohort: row.try_get::<Option<i64>, _>(2)?.map(unsigned),
    })
}

/// Integers in the tables are signed; ours are far below the limit, and saturate if they are not.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// What is negative in the tables was not written by us, and counts as nothing.
fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
