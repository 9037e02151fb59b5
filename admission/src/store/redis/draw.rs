//! Putting places under their drawn rank: the draw is arithmetic, but the keys are sorted by what
//! it gives. Done in small steps after the start, while joins and polls go on; nobody is called
//! before the last step. Any gateway may do it, several at once do no harm.

use domain::queue::Moment;
use domain::{Number, Rank};

use super::keys::Key;
use super::reply::parse;
use super::shelf::{Known, Shelf};
use super::{Attempt, RedisStore, Words};
use crate::store::Unavailable;

impl RedisStore {
    /// Ranks every place anew, unless this process is at it already. Whether it was done.
    pub(super) async fn rank_places(&self, shelf: &Shelf, at: Moment) -> Result<bool, Unavailable> {
        let Ok(_chore) = shelf.chores.try_lock() else {
            return Ok(false);
        };
        let order = shelf.known().order;
        for key in [Key::Queued, Key::Over] {
            let mut cursor = 0;
            loop {
                let (next, shoppers) = self.link.scan(&shelf.keys, key, cursor).await?;
                if !self.rank_some(shelf, order, &shoppers, at).await? {
                    return Ok(false);
                }
                cursor = next;
                if cursor == 0 {
                    break;
                }
            }
        }
        self.send_ranks(shelf, order, at, "last", &[]).await
    }

    async fn rank_some(
        &self,
        shelf: &Shelf,
        order: u64,
        shoppers: &[Vec<u8>],
        at: Moment,
    ) -> Result<bool, Unavailable> {
        let records = self.link.members(&shelf.keys, shoppers).await?;
        let mut places = Vec::with_capacity(shoppers.len());
        for (shopper, record) in shoppers.iter().zip(records) {
            // Who has no record has just been forgotten.
            if let Some(record) = record {
                let (number, drawn) = place_of(&record)?;
                places.push((shopper.as_slice(), number, drawn));
            }
        }
        self.send_ranks(shelf, order, at, "some", &places).await
    }

    /// Whether the ranks were taken. Not if the order has changed: they would be of the old one.
    async fn send_ranks(
        &self,
        shelf: &Shelf,
        order: u64,
        at: Moment,
        step: &str,
        places: &[(&[u8], Number, Option<Rank>)],
    ) -> Result<bool, Unavailable> {
        if shelf.known().order != order {
            return Ok(false);
        }
        let words = |known: &Known| {
            places
                .iter()
                .fold(Words::default().text(step), |words, (shopper, number, drawn)| {
                    words.bytes(shopper).number(known.rank(*number, *drawn).0)
                })
        };
        let attempt = self.attempt(shelf, &self.scripts.rank, at, &words).await?;
        Ok(match attempt {
            Attempt::Done(done) => done.known.order == order,
            Attempt::Reordered | Attempt::NotStarted(..) => false,
        })
    }
}

/// Number and drawn rank of a member's record: see `scripts/shared/head.lua`.
fn place_of(record: &[u8]) -> Result<(Number, Option<Rank>), Unavailable> {
    let text = String::from_utf8_lossy(record);
    let mut parts = text.split(':').skip(1);
    let number = parse(parts.next().unwrap_or_default())?;
    let drawn = parts.next().unwrap_or_default();
    let drawn = if drawn.is_empty() {
        None
    } else {
        Some(Rank(parse(drawn)?))
    };
    Ok((Number(number), drawn))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_members_record_is_read_and_distrusted() {
        assert_eq!(place_of(b"Q:17::5:").unwrap(), (Number(17), None));
        assert_eq!(
            place_of(b"I:17:9:5:\xff:\xfe").unwrap(),
            (Number(17), Some(Rank(9)))
        );
        assert!(place_of(b"Q:x::5:").is_err());
        assert!(place_of(b"").is_err());
    }
}
