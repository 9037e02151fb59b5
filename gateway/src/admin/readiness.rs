//! Whether each part that we stand on can do its work: what `/readyz` answers from and what the
//! metrics repeat.

use domain::{DropId, Span};

use super::{Admin, Front};

/// Every process asks the ledger for its figures once a second; silent for this long, it is not working.
const LEDGER_SILENCE_MAX: Span = Span::from_secs(5);

/// Every part by its name: fine, or what is wrong in a few words. Looked up in memory.
pub(super) fn signs(admin: &Admin) -> Vec<(&'static str, Result<(), String>)> {
    let silence = admin.house.ledger_silence();
    let ledger = silence <= LEDGER_SILENCE_MAX;
    let mut signs = vec![(
        "ledger",
        ledger
            .then_some(())
            .ok_or_else(|| format!("has not answered for {silence}")),
    )];
    if let Some(front) = &admin.front {
        signs.push(("queue", refreshed(admin, front)));
    }
    signs.extend(admin.signs.iter().map(|sign| (sign.name, (sign.look)())));
    signs
}

/// Whether every drop's snapshot is fresh.
fn refreshed(admin: &Admin, front: &Front) -> Result<(), String> {
    let drops = admin.drops.load();
    let stale: Vec<&str> = drops
        .keys()
        .filter(|drop| front.desk.snapshot(drop).is_none_or(|snapshot| snapshot.stale))
        .map(DropId::as_str)
        .collect();
    if stale.is_empty() {
        Ok(())
    } else {
        Err(format!("not refreshed: {}", stale.join(", ")))
    }
}
