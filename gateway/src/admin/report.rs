//! `GET drops/{drop}/report`: what a drop came to, from the queue's figures and the ledger's books.

use axum::Json;
use axum::extract::{Path, State};
use domain::saga::StateName;

use super::routes::{Failure, Shared, drop_id, front, unknown};
use super::wire::report::{self, Report};
use super::wire::{Audit, Limits, WaitSeconds, units};
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
    let orders = report::orders(&sales);
    Ok(Json(Report {
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
        limits: Limits::from(snapshot.rules.limits),
        wait_seconds: desk.waits(&drop).map(WaitSeconds::from),
        reserved: orders.values().sum(),
        orders,
        declined: report::reasons(&sales, &[StateName::Declined]),
        released: report::reasons(&sales, &[StateName::Released, StateName::Unwound]),
        stock: units(stock),
        revenue: report::revenue(&sales),
        first_sale_at: sales.sold_between.map(|(first, _)| rfc3339(first.as_millis())),
        last_sale_at: sales.sold_between.map(|(_, last)| rfc3339(last.as_millis())),
        clean: audit.clean,
        differences: audit.differences,
    }))
}
