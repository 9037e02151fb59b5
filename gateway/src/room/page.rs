//! The waiting room page and the small error pages that share its look.
//!
//! A caller fills a [`PageView`] with plain values and gets HTML back; nothing here reads a
//! clock, a store or a request. The same view becomes the JSON that the page's own script
//! understands ([`Live`]), so that first paint and live updates cannot disagree.
//!
//! # What the page asks of the shopper API
//! All paths below `/.doorline/v1/drops/{drop}`; every request carries the shopper's cookies.
//!
//! | request | sent by | answer the page understands |
//! |---|---|---|
//! | `GET ticket` | script, polling | 200 with [`Live`] (fields may be missing), 404 when there is no ticket, 429 and 503 with `Retry-After` |
//! | `GET ticket/events` | script, `EventSource` | unnamed events or events named `ticket`, data as for `GET ticket` |
//! | `POST ticket`, JSON `{"rejoin": bool}` | script | as for `GET ticket`; `rejoin` asks for a new place at the end after `left` or `lapsed` |
//! | `POST ticket`, form `rejoin=1&return_to=…` | no script | 303 to `return_to` |
//! | `POST admission`, JSON `{"return_to": …}` | script | 200 `{return_to}`, 409, 410, 429 with `Retry-After` |
//! | `POST admission`, form `return_to=…` | no script | 303 to `return_to` |
//! | `DELETE ticket` | script | any 2xx |
//! | `POST leave`, form `return_to=…` | no script | 303 to `return_to`, which then shows the state `left` |
//!
//! A form that is refused is sent back to its page as well, which says how things stand, unless the page could not say
//! why: then there is an error page, as there is where the edge refuses before anybody looks. The address of a form, read as
//! a page (there the error page's "Try again" leads), is sent to the drop's page.
//!
//! Forms are told from JSON by their content type. `Referrer-Policy: no-referrer` makes browsers
//! send `Origin: null` with these forms: foreign ones are told by `Sec-Fetch-Site`, and by `Origin` only where that is
//! missing and names a host.

mod error;
mod headers;
mod live;
mod refusal;
mod room;
mod view;
mod words;

#[cfg(test)]
mod tests;

pub use error::{ErrorKind, ErrorView, error_policy, render_error};
pub use headers::{content_security_policy, page_headers, refresh_seconds};
pub use live::{Live, LiveStock, LiveWait};
pub use refusal::RefusalPages;
pub use room::render;
pub use view::{
    Chance, Draw, ItemStock, Joining, PageState, PageView, QueueingMethod, StockTotal, WaitInterval,
};
pub use words::{grouped, wait_phrase};

pub use words::rfc3339;
