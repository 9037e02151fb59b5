//! Contradictions within a drop and between drops.

use std::collections::{HashMap, HashSet};

use domain::money::AMOUNT_MAX;
use domain::{Currency, Money, Span};

use super::shown;
use crate::config::fields::Fields;
use crate::config::moment::Moment;
use crate::config::report::Report;
use crate::config::value::FromValue as _;
use crate::edge::path::Pattern;

pub(super) fn check(drops: &[Fields], report: &mut Report) {
    unique_ids(drops, report);
    unique_paths(drops, report);
    for drop in drops {
        times(drop, report);
        limits(drop, report);
        checkout(drop, report);
        items(drop.tables("item"), report);
    }
}

fn unique_ids(drops: &[Fields], report: &mut Report) {
    let mut seen = HashSet::new();
    for drop in drops {
        let Some(id) = drop.get::<String>("id") else {
            continue;
        };
        if !seen.insert(id.clone()) {
            report.mistake(
                &drop.place_of("id"),
                format!("`id`: there is already a drop \"{id}\""),
            );
        }
    }
}

/// Which drop a path belongs to must be plain: the most specific wins, so none may come twice,
/// in whatever spelling.
fn unique_paths(drops: &[Fields], report: &mut Report) {
    let mut owners: HashMap<String, (usize, String)> = HashMap::new();
    for (index, drop) in drops.iter().enumerate() {
        let id = drop
            .get::<String>("id")
            .unwrap_or_else(|| format!("number {}", index + 1));
        for (place, value) in drop.list("paths") {
            let Some(pattern) = Pattern::from_value(value) else {
                continue;
            };
            match owners.get(pattern.key()) {
                Some((owner, _)) if *owner == index => {
                    report.mistake(place, format!("`paths`: \"{pattern}\" is there twice"));
                }
                Some((_, owner)) => {
                    report.mistake(
                        place,
                        format!("`paths`: \"{pattern}\" belongs to drop \"{owner}\" already"),
                    );
                }
                None => {
                    owners.insert(pattern.key().to_owned(), (index, id.clone()));
                }
            }
        }
        if drop.value("paths").is_some() && drop.list("paths").is_empty() {
            report.mistake(
                &drop.place_of("paths"),
                "`paths`: a drop protects at least one path",
            );
        }
    }
}

fn times(drop: &Fields, report: &mut Report) {
    let at = |name| drop.get::<Moment>(name);
    let (prequeue, start, end) = (
        at("prequeue_start_time"),
        at("event_start_time"),
        at("event_end_time"),
    );
    if let (Some(prequeue), Some(start)) = (&prequeue, &start)
        && prequeue.at() >= start.at()
    {
        report.mistake(
            &drop.place_of("prequeue_start_time"),
            format!("`prequeue_start_time` must be before `event_start_time` ({start})"),
        );
    }
    if let (Some(start), Some(end)) = (&start, &end)
        && end.at() <= start.at()
    {
        report.mistake(
            &drop.place_of("event_end_time"),
            format!("`event_end_time` must be after `event_start_time` ({start})"),
        );
    }
    if drop.get("shuffle_at_event_start") == Some(true) {
        let fifo = drop
            .get::<String>("queueing_method")
            .is_none_or(|method| method == "fifo");
        if !drop.has("prequeue_start_time") {
            report.warning(
                &drop.place_of("shuffle_at_event_start"),
                "without `prequeue_start_time` nobody can wait before the start: there is nothing to shuffle",
            );
        } else if !fifo {
            report.warning(
                &drop.place_of("shuffle_at_event_start"),
                "only a \"fifo\" queue is shuffled; with another `queueing_method` this does nothing",
            );
        }
    }
}

fn limits(drop: &Fields, report: &mut Report) {
    let (window, session) = (
        drop.get::<Span>("claim_window"),
        drop.get::<Span>("session_duration"),
    );
    if let (Some(window), Some(session)) = (window, session)
        && window > session
        && drop.is_written("claim_window")
    {
        report.warning(
            &drop.place_of("claim_window"),
            format!(
                "`claim_window` is longer than a whole session ({})",
                shown(session)
            ),
        );
    }
}

fn checkout(drop: &Fields, report: &mut Report) {
    let Some(checkout) = drop.table("checkout") else {
        return;
    };
    if drop.value("item").is_none_or(|_| drop.tables("item").is_empty()) {
        report.missing(
            &checkout.place,
            "[drop.checkout] has nothing to sell: add a [[drop.item]], or leave it out",
        );
    }
    let (reserve, session) = (
        checkout.get::<Span>("reserve_for"),
        drop.get::<Span>("session_duration"),
    );
    if let (Some(reserve), Some(session)) = (reserve, session)
        && reserve > session
    {
        report.warning(
            &checkout.place_of("reserve_for"),
            format!(
                "`reserve_for` outlasts a session ({}): units are held for shoppers who are gone",
                shown(session)
            ),
        );
    }
    let per_shopper = checkout.get::<u64>("per_shopper").unwrap_or(1);
    for price in drop.tables("item").iter().filter_map(|item| item.table("price")) {
        let amount = price.get::<u64>("amount").unwrap_or(0);
        if amount.saturating_mul(per_shopper) > AMOUNT_MAX {
            report.warning(
                &price.place_of("amount"),
                format!(
                    "{per_shopper} units at {amount} come to more than is charged at once ({AMOUNT_MAX})"
                ),
            );
        }
    }
}

fn items(items: &[Fields], report: &mut Report) {
    let mut seen = HashSet::new();
    let mut currency: Option<String> = None;
    for item in items {
        if let Some(sku) = item.get::<String>("sku")
            && !seen.insert(sku.clone())
        {
            report.mistake(
                &item.place_of("sku"),
                format!("`sku`: there is already an item \"{sku}\" in this drop"),
            );
        }
        let Some(price) = item.table("price") else {
            continue;
        };
        let Some(own) = price.get::<String>("currency") else {
            continue;
        };
        if let (Some(amount), Ok(known)) = (price.get("amount"), Currency::new(&own))
            && let Err(unchargeable) = Money::new(amount, known).check_chargeable()
        {
            report.mistake(&price.place_of("amount"), format!("`amount`: {unchargeable}"));
        }
        match &currency {
            Some(first) if *first != own => report.mistake(
                &price.place_of("currency"),
                format!("`currency`: this drop sells in \"{first}\"; one drop, one currency"),
            ),
            Some(_) => {}
            None => currency = Some(own),
        }
    }
}
