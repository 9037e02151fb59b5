//! Lists: newest first, pages by `limit` and `starting_after`, a window by `created[…]`.

use serde_json::Value;

use crate::provider::book::Book;
use crate::provider::error::ApiError;
use crate::provider::params::Params;
use crate::provider::wire;

pub(super) fn intents(book: &Book, params: &Params) -> Result<Value, ApiError> {
    params.only(&[
        "created",
        "limit",
        "starting_after",
        "ending_before",
        "expand",
        "customer",
    ])?;
    refuse_backwards(params)?;
    let window = Window::of(params)?;
    let limit = limit(params)?;
    let end = match params.get("starting_after") {
        Some(id) => book.find(id)?,
        None => book.intents.len(),
    };
    let mut found = (0..end)
        .rev()
        .filter(|index| window.holds(book.intents[*index].created_s));
    let data: Vec<Value> = found.by_ref().take(limit).map(|index| book.show(index)).collect();
    Ok(wire::list("/v1/payment_intents", &data, found.next().is_some()))
}

pub(super) fn refunds(book: &Book, params: &Params) -> Result<Value, ApiError> {
    params.only(&[
        "payment_intent",
        "created",
        "limit",
        "starting_after",
        "ending_before",
        "expand",
    ])?;
    refuse_backwards(params)?;
    let window = Window::of(params)?;
    let limit = limit(params)?;
    let of_intent = params.get("payment_intent").map(|id| book.find(id)).transpose()?;
    let end = match params.get("starting_after") {
        Some(id) => {
            let position = book.refunds.iter().position(|refund| refund.id == id);
            position.ok_or_else(|| ApiError::missing("refund", id, "starting_after"))?
        }
        None => book.refunds.len(),
    };
    let mut found = book.refunds[..end]
        .iter()
        .rev()
        .filter(|refund| of_intent.is_none_or(|index| refund.intent == index))
        .filter(|refund| window.holds(refund.created_s));
    let shown = found
        .by_ref()
        .take(limit)
        .map(|refund| wire::refund(refund, &book.intents[refund.intent]));
    let data: Vec<Value> = shown.collect();
    Ok(wire::list("/v1/refunds", &data, found.next().is_some()))
}

/// Bounds on `created`, in seconds.
struct Window {
    at_least: u64,
    below: u64,
}

impl Window {
    fn of(params: &Params) -> Result<Self, ApiError> {
        let gte = params.integer("created[gte]")?.unwrap_or(0);
        let gt = params
            .integer("created[gt]")?
            .map_or(0, |at| at.saturating_add(1));
        let lt = params.integer("created[lt]")?.unwrap_or(u64::MAX);
        let lte = params
            .integer("created[lte]")?
            .map_or(u64::MAX, |at| at.saturating_add(1));
        let exact = params.integer("created")?;
        Ok(match exact {
            Some(at) => Self {
                at_least: at,
                below: at.saturating_add(1),
            },
            None => Self {
                at_least: gte.max(gt),
                below: lt.min(lte),
            },
        })
    }

    fn holds(&self, created_s: u64) -> bool {
        (self.at_least..self.below).contains(&created_s)
    }
}

fn limit(params: &Params) -> Result<usize, ApiError> {
    let limit = params.integer("limit")?.unwrap_or(10);
    if !(1..=100).contains(&limit) {
        let message = "Invalid limit: it must be between 1 and 100.";
        return Err(ApiError::invalid(message, Some("limit")));
    }
    Ok(usize::try_from(limit).unwrap_or(100))
}

/// Paging backwards is not needed by anybody here; silence about it would be a wrong answer.
fn refuse_backwards(params: &Params) -> Result<(), ApiError> {
    if params.mentions("ending_before") {
        let message = "The sandbox pages forwards only: use starting_after.";
        return Err(ApiError::invalid(message, Some("ending_before")));
    }
    Ok(())
}
