//! The caller: a few times a second it reads each queue, lets `domain` decide how many to call,
//! and moves the frontier if nothing changed meanwhile. Nobody leads: where several processes
//! call, one of them wins each turn and the others have nothing to do.

use std::sync::Arc;
use std::time::Duration;

use domain::queue::Moment;
use domain::{Bound, Clock, Outflow, Readings};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::desk::{Door, Inner};
use crate::keys::shared::REFRESH_EVERY;
use crate::store::Unavailable;

/// What may lag behind is written this often: a crash forgets no more than this.
const FLUSH_EVERY: Duration = Duration::from_millis(500);

/// Calls for every drop until `stop`.
pub(crate) async fn run(inner: &Arc<Inner>, stop: &CancellationToken) {
    let mut ticks = tokio::time::interval(inner.tick);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut flushes = tokio::time::interval(FLUSH_EVERY);
    flushes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut refreshes = tokio::time::interval(REFRESH_EVERY);
    refreshes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => {
                for door in inner.all_doors() {
                    turn_logged(inner, &door).await;
                }
            }
            _ = refreshes.tick() => {
                if let Err(error) = inner.refresh_keys().await {
                    tracing::warn!(%error, "the keys could not be read again; those known are used");
                }
            }
            _ = flushes.tick() => {
                if let Err(error) = inner.store.flush(inner.clock.now()).await {
                    tracing::warn!(%error, "the queues could not be written down; it is tried again");
                }
            }
        }
    }
}

/// One turn for one drop, unless somebody is at it: then theirs will do.
pub(crate) async fn turn_if_free(inner: &Inner, door: &Door) {
    if let Ok(_guard) = door.calling.try_lock() {
        note(door, turn(inner, door).await);
    }
}

/// Publishes the queue as it is now, without calling anybody.
pub(crate) async fn look(inner: &Inner, door: &Door) -> Result<(), Unavailable> {
    let _guard = door.calling.lock().await;
    let (readings, at) = now(inner, door);
    let view = inner.store.view(&door.drop, at).await?;
    let bound = view.next(&door.rules(), &readings).1.bound;
    door.publish(view, bound, readings);
    Ok(())
}

async fn turn_logged(inner: &Inner, door: &Door) {
    let _guard = door.calling.lock().await;
    note(door, turn(inner, door).await);
}

fn note(door: &Door, outcome: Result<(), Unavailable>) {
    if let Err(error) = outcome {
        tracing::warn!(drop.id = %door.drop, %error, "the queue could not be read; the last snapshot stays");
        door.mark_stale(error.reason);
    }
}

/// Reads, decides, calls, and publishes what is then.
async fn turn(inner: &Inner, door: &Door) -> Result<(), Unavailable> {
    let (readings, at) = now(inner, door);
    let view = inner.store.view(&door.drop, at).await?;
    let (advance, Outflow { calls, bound }) = view.next(&door.rules(), &readings);
    if calls == 0 {
        door.publish(view, bound, readings);
        return Ok(());
    }
    // A refusal by version means that somebody else has just called: the next view shows it.
    let _ = inner.store.advance(&door.drop, advance, at).await?;
    publish_after(inner, door, bound, at, readings).await
}

async fn publish_after(
    inner: &Inner,
    door: &Door,
    bound: Bound,
    at: Moment,
    readings: Readings,
) -> Result<(), Unavailable> {
    let view = inner.store.view(&door.drop, at).await?;
    door.publish(view, bound, readings);
    Ok(())
}

fn now(inner: &Inner, door: &Door) -> (Readings, Moment) {
    let readings = inner.outside.readings(&door.drop);
    (readings, Door::moment(&readings, inner.clock.now()))
}
