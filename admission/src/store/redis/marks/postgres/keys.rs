//! The keys that all gateways share, in two tables beside the queues. Whoever may read them may
//! let anybody in: the role that owns them must be ours alone.

use sqlx::{Connection as _, Row as _};

use super::{ANSWER_WITHIN, PostgresMarks, read};
use crate::keys::shared::{Generation, SEASONED_AFTER, SharedKeys};
use crate::store::Answer;

/// Generations that are read: one that is new, one that signs, one that signed before.
const READ: i64 = 3;

impl SharedKeys for PostgresMarks {
    fn identity(&self, fresh: [u8; 32]) -> Answer<'_, [u8; 32]> {
        Box::pin(self.within(ANSWER_WITHIN, async move {
            let mut lent = self.lend().await?;
            sqlx::query("INSERT INTO admission_identity (secret) VALUES ($1) ON CONFLICT DO NOTHING")
                .bind(fresh.to_vec())
                .execute(&mut *lent)
                .await?;
            let secret = sqlx::query_scalar("SELECT secret FROM admission_identity")
                .fetch_one(&mut *lent)
                .await?;
            lent.give_back();
            read::key(secret)
        }))
    }

    fn generations(&self) -> Answer<'_, Vec<Generation>> {
        Box::pin(self.within(ANSWER_WITHIN, async {
            let mut lent = self.lend().await?;
            let rows = sqlx::query(
                "SELECT generation, seal, signer, made_at + $2 * interval '1 ms' <= now()
                 FROM admission_key ORDER BY generation DESC LIMIT $1",
            )
            .bind(READ)
            .bind(super::signed(SEASONED_AFTER.as_millis()))
            .fetch_all(&mut *lent)
            .await?;
            lent.give_back();
            let mut generations = Vec::new();
            for row in rows {
                generations.push(Generation {
                    number: read::epoch(row.try_get(0)?)?,
                    seal: read::key(row.try_get(1)?)?,
                    signer: read::key(row.try_get(2)?)?,
                    seasoned: row.try_get(3)?,
                });
            }
            Ok(generations)
        }))
    }

    fn add(&self, generation: Generation) -> Answer<'_, ()> {
        Box::pin(self.within(ANSWER_WITHIN, async move {
            let number = i64::from(generation.number);
            let mut lent = self.lend().await?;
            let mut transaction = lent.begin().await?;
            sqlx::query(
                "INSERT INTO admission_key (generation, seal, signer) VALUES ($1, $2, $3)
                 ON CONFLICT (generation) DO NOTHING",
            )
            .bind(number)
            .bind(generation.seal.to_vec())
            .bind(generation.signer.to_vec())
            .execute(&mut *transaction)
            .await?;
            sqlx::query("DELETE FROM admission_key WHERE generation <= $1")
                .bind(number - READ)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            lent.give_back();
            Ok(())
        }))
    }
}
