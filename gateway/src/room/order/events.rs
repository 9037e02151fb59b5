//! `GET /orders/{id}/events`: the order as server-sent events, woken by each change.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use checkout_worker::hub::OrderWatch;
use domain::{OrderId, Span};
use futures_util::stream::{self, StreamExt};
use http::{HeaderMap, Response};
use http_body::Frame;
use http_body_util::StreamBody;

use super::json;
use crate::edge::{EdgeBody, Problem};
use crate::room::Room;
use crate::room::answer::Refusal;
use crate::room::events::sse;

/// A silent stream says something this often. It also looks at the order again, in case that the
/// look for news of other processes failed just then.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Looks after which a stream ends and the browser opens another: a quarter of an hour of silence.
const LOOKS_MAX: u32 = 180;

struct Watching {
    room: Arc<Room>,
    order: OrderId,
    watch: OrderWatch,
    /// The version and the reason that the shopper was told last.
    said: Option<(u64, Option<String>)>,
    looks: u32,
    over: bool,
}

impl Room {
    /// Opens a stream of one order.
    pub(in crate::room) async fn order_events(
        self: &Arc<Self>,
        order: OrderId,
        headers: &HeaderMap,
    ) -> Result<Response<EdgeBody>, Refusal> {
        self.own_order(order, headers).await?;
        let watch = self
            .checkout
            .watch(order)
            .map_err(|_| Problem::overloaded(Span::from_secs(5)))?;
        let room = Arc::clone(self);
        let start = Watching {
            room,
            order,
            watch,
            said: None,
            looks: 0,
            over: false,
        };
        let frames = stream::unfold(start, next).map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)));
        Ok(sse(axum::body::Body::new(StreamBody::new(frames))))
    }
}

/// Waits until there is something to say, and says it.
async fn next(mut watching: Watching) -> Option<(Bytes, Watching)> {
    if watching.over {
        return None;
    }
    if watching.said.is_some() {
        // Woken or not: the order is read again either way.
        let _ = tokio::time::timeout(HEARTBEAT, watching.watch.changed()).await;
    }
    watching.looks += 1;
    let view = watching.room.checkout.view(watching.order).await.ok().flatten()?;
    watching.over = view.state.is_final() || watching.looks >= LOOKS_MAX;
    let news = Some((view.version, view.reason.clone()));
    if watching.said == news {
        return Some((Bytes::from_static(b": still here\n\n"), watching));
    }
    watching.said = news;
    Some((Bytes::from(format!("data: {}\n\n", json(&view))), watching))
}
