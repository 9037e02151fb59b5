//! `GET drops/{drop}/report`: what a drop came to, from the queue's figures and the ledger's books.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};

use super::routes::{Failure, Shared, drop_id, front, unknown};
use super::wire::report::{Report, Waits};
use super::wire::{Audit, Limits, Units};
use crate::room::page::rfc3339;

/// `GET drops/{drop}/report`.
pub(super) async fn show(State(admin): Shared, Path(name): Path<String>) -> Result<Json<Report>, Failure> {
    let drop = drop_id(&name)?;
    let desk = &front(&admin)?.desk;
    let config = admin.drops.load().get(&drop).cloned();
    let known = config.zip(desk.snapshot(&drop)).zip(desk.figures(&drop));
    let ((config, snapshot), figures) = known.ok_or_else(|| unknown("drop"))?;
    let (sales, stock) = (
        admin.checkout.sales(&drop).await?,
        admin.checkout.stock(&drop).await?,
    );
    let audit = Audit::from(&admin.checkout.audit().await?);
    let limits = snapshot.rules.limits;
    let report = Report {
        drop: drop.to_string(),
        title: config.title.clone(),
        at: rfc3339(admin.house.now().as_millis()),
        phase: snapshot.phase.as_str().to_owned(),
        joined: figures.joined,
        admitted: figures.admitted,
        no_shows: figures.no_shows,
        left: figures.left,
        max_active_users: figures.active_users_max,
        max_admitted_in_60s: figures.admitted_in_60s_max,
        limits: Limits {
            total_active_users: limits.total_active_users,
            new_users_per_minute: limits.new_users_per_minute,
        },
        wait_seconds: Waits::of(&figures),
        reserved: 0,
        orders: BTreeMap::new(),
        declined: BTreeMap::new(),
        released: BTreeMap::new(),
        stock: stock
            .into_iter()
            .map(|(sku, level)| (sku.to_string(), Units::from(level)))
            .collect(),
        revenue: BTreeMap::new(),
        first_sale_at: None,
        last_sale_at: None,
        clean: audit.clean,
        differences: audit.differences,
    };
    Ok(Json(report.with_sales(&sales)))
}
