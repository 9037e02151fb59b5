//! `POST {payments|checkout}/{pause|resume}`: the kill switches, for all drops or for one.

use axum::Json;
use axum::extract::{Path, State};
use checkout_worker::switch::{Stops, Switch};
use domain::DropId;

use super::Admin;
use super::operator::Operator;
use super::routes::{Failure, Shared, checkout_word, known_drop, payments_word, unknown};
use super::wire::SwitchStatus;

/// What a turned switch is answered with.
type Switched = Result<Json<SwitchStatus>, Failure>;

/// `POST payments/{pause|resume}`.
pub(super) async fn payments(State(admin): Shared, Path(verb): Path<String>, operator: Operator) -> Switched {
    turn(&admin, Switch::everywhere(Stops::Payments), &verb, &operator).await
}

/// `POST checkout/{pause|resume}`.
pub(super) async fn checkout(State(admin): Shared, Path(verb): Path<String>, operator: Operator) -> Switched {
    turn(&admin, Switch::everywhere(Stops::Checkout), &verb, &operator).await
}

/// `POST drops/{drop}/payments/{pause|resume}`.
pub(super) async fn payments_of_drop(
    State(admin): Shared,
    Path((name, verb)): Path<(String, String)>,
    operator: Operator,
) -> Switched {
    turn_in(&admin, Stops::Payments, &name, &verb, &operator).await
}

/// `POST drops/{drop}/checkout/{pause|resume}`.
pub(super) async fn checkout_of_drop(
    State(admin): Shared,
    Path((name, verb)): Path<(String, String)>,
    operator: Operator,
) -> Switched {
    turn_in(&admin, Stops::Checkout, &name, &verb, &operator).await
}

/// Turns a switch of one drop.
async fn turn_in(admin: &Admin, stops: Stops, name: &str, verb: &str, operator: &Operator) -> Switched {
    let drop = Some(known_drop(admin, name)?);
    turn(admin, Switch { stops, drop }, verb, operator).await
}

async fn turn(admin: &Admin, switch: Switch, verb: &str, Operator(by): &Operator) -> Switched {
    match verb {
        "pause" => admin.checkout.stop(switch.clone(), by).await?,
        "resume" => admin.checkout.resume(switch.clone(), by).await?,
        _ => return Err(unknown("command")),
    }
    tracing::info!(
        switch = switch.name(),
        command = verb,
        "an operator turned a switch"
    );
    let drops: Vec<DropId> = match &switch.drop {
        Some(drop) => vec![drop.clone()],
        None => admin.drops.load().keys().cloned().collect(),
    };
    let standing = |drop: &DropId| {
        let word = match switch.stops {
            Stops::Payments => payments_word(admin, drop),
            Stops::Checkout => checkout_word(admin, drop),
        };
        (drop.to_string(), word.to_owned())
    };
    let drops = drops.iter().map(standing).collect();
    let word = Some(if verb == "pause" { "paused" } else { "running" }.to_owned());
    let (payments, checkout) = match switch.stops {
        Stops::Payments => (word, None),
        Stops::Checkout => (None, word),
    };
    Ok(Json(SwitchStatus {
        payments,
        checkout,
        drops,
    }))
}
