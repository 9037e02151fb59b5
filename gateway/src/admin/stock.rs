//! `POST drops/{drop}/stock`: units that come in late, or are needed elsewhere.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use checkout_worker::checkout::StockChangeError;
use checkout_worker::ledger::{StockChange, UNITS_MAX};
use domain::Sku;

use super::operator::Operator;
use super::routes::{Failure, Shared, known_drop};
use super::wire::stock::{StockRequest, StockStatus};
use super::wire::{Object, units};

impl From<StockChangeError> for Failure {
    fn from(error: StockChangeError) -> Self {
        let status = match &error {
            StockChangeError::UnknownSku { .. } => StatusCode::NOT_FOUND,
            StockChangeError::NotFree { .. } | StockChangeError::TooMany => StatusCode::CONFLICT,
            StockChangeError::Ledger(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, error.to_string())
    }
}

/// `POST drops/{drop}/stock`.
pub(super) async fn change(
    State(admin): Shared,
    Path(name): Path<String>,
    operator: Operator,
    Json(Object(request)): Json<Object<StockRequest>>,
) -> Result<Json<StockStatus>, Failure> {
    let drop = known_drop(&admin, &name)?;
    let (sku, change) = wish(&request)?;
    admin
        .checkout
        .change_stock(&drop, &sku, change, &operator.0)
        .await?;
    tracing::info!(drop.id = %drop, %sku, ?change, "an operator changed the stock");
    // Units that came in may be sold at once: no reading of before may turn anybody away.
    admin.house.units_returned();
    let stock = admin.checkout.stock(&drop).await?;
    Ok(Json(StockStatus {
        drop: drop.to_string(),
        stock: units(stock),
    }))
}

fn wish(request: &StockRequest) -> Result<(Sku, StockChange), Failure> {
    let unprocessable = |why: String| Failure(StatusCode::UNPROCESSABLE_ENTITY, why);
    let sku = Sku::new(&request.sku).map_err(|error| unprocessable(error.to_string()))?;
    let change = match (request.add, request.withdraw) {
        (Some(units), None) => StockChange::Add(units),
        (None, Some(units)) => StockChange::Withdraw(units),
        (Some(_), Some(_)) | (None, None) => {
            return Err(unprocessable(
                "say how many to `add`, or how many to `withdraw`".to_owned(),
            ));
        }
    };
    let (StockChange::Add(units) | StockChange::Withdraw(units)) = change;
    if !(1..=UNITS_MAX).contains(&units) {
        return Err(unprocessable(format!("units are 1 to {UNITS_MAX}")));
    }
    Ok((sku, change))
}
