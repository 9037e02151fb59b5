//! From a merchant's words to the checkout's terms.

use checkout_worker::DropTerms;
use checkout_worker::ledger::ItemPlan;
use checkout_worker::switch::{Stops, Switch, Switches};

use crate::config::{CheckoutConfig, Config, DropConfig, ItemConfig};

/// Buckets per SKU: one row is one lock, and a hot SKU must not be one hot row. SQLite has a
/// single writer, so few suffice there; units stay easy to find when little is left.
const BUCKETS: u32 = 4;

/// The checkout's terms for one drop; nothing for a drop that is only a waiting room.
pub(super) fn of(drop: &DropConfig) -> Option<DropTerms> {
    let checkout: &CheckoutConfig = drop.checkout.as_ref()?;
    Some(DropTerms {
        drop: drop.id.clone(),
        items: checkout.items.iter().map(item).collect(),
        reserve_for: checkout.reserve_for,
        per_shopper: checkout.per_shopper,
        drain_per_second: checkout.drain_per_second,
        action_time: checkout.action_window,
    })
}

/// What the configuration stops, in all drops and in single ones.
pub(super) fn stopped(config: &Config) -> Switches {
    let own = |drop: &DropConfig| Some((Some(drop.id.clone()), drop.checkout.as_ref()?.stops));
    let places = std::iter::once((None, config.stops)).chain(config.drops.iter().filter_map(own));
    let switches = places.flat_map(|(drop, stops)| {
        let switch = |stops| Switch {
            stops,
            drop: drop.clone(),
        };
        let payments = stops.payments.then(|| switch(Stops::Payments));
        payments
            .into_iter()
            .chain(stops.checkout.then(|| switch(Stops::Checkout)))
            .collect::<Vec<_>>()
    });
    switches.collect()
}

fn item(item: &ItemConfig) -> ItemPlan {
    ItemPlan {
        sku: item.sku.clone(),
        price: item.price,
        stock: item.stock,
        buckets: BUCKETS,
    }
}
