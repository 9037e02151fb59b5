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
            .ok_or_else(|| format!("{} has not answered for {silence}", admin.ledger)),
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
    let trouble = |drop: &DropId| match front.desk.snapshot(drop) {
        Some(snapshot) if snapshot.stale => Some(snapshot.trouble.unwrap_or("not read yet")),
        Some(_) => None,
        None => Some("not opened yet"),
    };
    let told = |drop: &DropId| trouble(drop).map(|why| format!("{drop} is not refreshed: {why}"));
    let stale: Vec<String> = drops.keys().filter_map(told).collect();
    if stale.is_empty() {
        Ok(())
    } else {
        Err(stale.join("; "))
    }
}
