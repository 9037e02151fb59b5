//! What the `Cookie` of a connection's last request was found to mean. A browser sends the same
//! bytes again and again; comparing them costs far less than checking what stands in them.
//!
//! The whole field is compared, byte by byte, so that another shopper's cookie on the same
//! connection is always judged anew. Only what the bytes prove is kept here: whether it still
//! counts is asked of the desk each time.

use std::sync::Arc;

use domain::DropId;
use http::HeaderMap;
use http::header::COOKIE;

use crate::edge::Visit;
use crate::edge::address::Peer;

/// Longest field remembered: it is held for as long as its connection, and our three cookies with
/// a shop's own stay well below.
const COOKIE_BYTES_MAX: usize = 4 * 1_024;

/// A field, the drop it was read for, and what it means there.
struct Shown<T> {
    drop: DropId,
    cookie: Box<[u8]>,
    meaning: Arc<T>,
}

/// What the request's `Cookie` means for `drop`, where the request before it showed the same one.
pub(super) fn recall<T: Send + Sync + 'static>(
    visit: &Visit,
    drop: &DropId,
    headers: &HeaderMap,
) -> Option<Arc<T>> {
    let shown = visit.connection.memo().get::<Shown<T>>()?;
    let same = shown.drop == *drop && line(headers) == Some(&*shown.cookie);
    same.then(|| Arc::clone(&shown.meaning))
}

/// Keeps what the request's `Cookie` means for `drop`, for the next request of the connection.
pub(super) fn remember<T: Send + Sync + 'static>(
    visit: &Visit,
    drop: &DropId,
    headers: &HeaderMap,
    meaning: &Arc<T>,
) {
    // A proxy's connection carries many shoppers in turn: remembering one helps nobody.
    if visit.client.peer == Peer::Trusted {
        return;
    }
    let Some(cookie) = line(headers).filter(|cookie| cookie.len() <= COOKIE_BYTES_MAX) else {
        return;
    };
    visit.connection.memo().set(Arc::new(Shown {
        drop: drop.clone(),
        cookie: cookie.into(),
        meaning: Arc::clone(meaning),
    }));
}

/// The one `Cookie` field. HTTP/2 may split it; such requests are judged anew each time.
fn line(headers: &HeaderMap) -> Option<&[u8]> {
    let mut lines = headers.get_all(COOKIE).iter();
    let first = lines.next()?;
    lines.next().is_none().then(|| first.as_bytes())
}
