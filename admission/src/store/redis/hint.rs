//! The stock hint, and who went to order: both may be lost with the keys at any moment.
//!
//! A hint that is lost is read anew by whoever misses it. Who went to order may not be forgotten, or a
//! repeated request might be told "sold out" though it has its order; so after a loss everybody with a
//! session counts as gone (see `rebuild.rs`).

use std::sync::Arc;

use domain::hint::FRESH_FOR;
use domain::pool::Level;
use domain::{AdmissionId, DropId, Keeper, Sku, StockHint, Timestamp};

use super::reply::{Reply, nonsense, parse};
use super::shelf::Known;
use super::{RedisStore, Words, moment};
use crate::store::{Going, Unavailable, Went};

/// What stands before the name of a SKU among the hint's fields.
const SKU: &str = "sku:";

impl RedisStore {
    pub(super) async fn offer(
        &self,
        drop: &DropId,
        reading: StockHint,
        now: Timestamp,
    ) -> Result<(), Unavailable> {
        let shelf = self.shelf(drop)?;
        let words = |_: &Known| words_of(&reading);
        let mut done = self
            .run(&shelf, &self.scripts.offer_stock, moment(now), words)
            .await?;
        shelf.hint.store(hint_of(&mut done.reply.list()?)?.map(Arc::new));
        Ok(())
    }

    pub(super) async fn go(
        &self,
        drop: &DropId,
        admissions: Vec<(AdmissionId, Going)>,
        now: Timestamp,
    ) -> Result<Vec<Went>, Unavailable> {
        let shelf = self.shelf(drop)?;
        let words = |_: &Known| {
            admissions
                .iter()
                .fold(Words::default(), |words, (admission, going)| {
                    let going = match going {
                        Going::Now => "now",
                        Going::Perhaps => "perhaps",
                    };
                    words.text(going).bytes(&admission.0)
                })
        };
        let mut done = self
            .run(&shelf, &self.scripts.go_to_order, moment(now), words)
            .await?;
        let mut answers = done.reply.list()?;
        let went = |_| match answers.number()? {
            0 => Ok(Went::Never),
            1 => Ok(Went::Perhaps),
            _ => Err(nonsense()),
        };
        admissions.iter().map(went).collect()
    }
}

fn words_of(reading: &StockHint) -> Words {
    let words = Words::default()
        .number(reading.keeper.0)
        .number(reading.read_at.as_millis())
        .number(FRESH_FOR.as_millis());
    reading.levels.iter().fold(words, |words, (sku, level)| {
        words
            .text(&format!("{SKU}{sku}"))
            .text(&format!("{}:{}:{}", level.total, level.held, level.sold))
    })
}

/// The hint from its names and values; none where there are none.
pub(super) fn hint_of(list: &mut Reply) -> Result<Option<StockHint>, Unavailable> {
    let (mut keeper, mut read_at, mut levels) = (None, None, Vec::new());
    while list.len() > 0 {
        match list.text()?.as_str() {
            "keeper" => keeper = Some(Keeper(list.number()?)),
            "read_at" => read_at = Some(list.time()?),
            name => {
                let sku = name.strip_prefix(SKU).and_then(|name| Sku::new(name).ok());
                levels.push((sku.ok_or_else(nonsense)?, level_of(&list.text()?)?));
            }
        }
    }
    levels.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
    match (keeper, read_at) {
        (Some(keeper), Some(read_at)) => Ok(Some(StockHint {
            keeper,
            read_at,
            levels,
        })),
        (None, None) if levels.is_empty() => Ok(None),
        _ => Err(nonsense()),
    }
}

fn level_of(text: &str) -> Result<Level, Unavailable> {
    let units = |text: &str| u32::try_from(parse(text)?).map_err(|_| nonsense());
    let parts: Vec<u32> = text.split(':').map(units).collect::<Result<_, _>>()?;
    match parts[..] {
        // A level that cannot be is no reading of ours.
        [total, held, sold] if held.checked_add(sold).is_some_and(|taken| taken <= total) => {
            Ok(Level { total, held, sold })
        }
        _ => Err(nonsense()),
    }
}

#[cfg(test)]
mod tests;
