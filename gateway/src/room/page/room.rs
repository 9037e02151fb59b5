//! Renders the waiting room page: computes every phrase, hands plain strings to the template.

use askama::Template;

use super::live::Live;
use super::view::{Chance, Joining, PageState, PageView, QueueingMethod, StockTotal};
use super::words::{self, Face};

pub(super) const STYLE: &str = concat!(
    include_str!("../../../assets/room/base.css"),
    include_str!("../../../assets/room/door.css"),
    include_str!("../../../assets/room/story.css"),
);

/// One function scope around all parts, so that the page puts no name into the global scope.
const SCRIPT: &str = concat!(
    "(()=>{\"use strict\";\n",
    include_str!("../../../assets/room/words.js"),
    include_str!("../../../assets/room/digits.js"),
    include_str!("../../../assets/room/paint.js"),
    include_str!("../../../assets/room/link.js"),
    "})();\n",
);

/// Length of the units bar in its own coordinates.
const BAR: u64 = 1_000;

#[derive(Template)]
#[template(path = "room.html")]
struct RoomPage<'a> {
    view: &'a PageView,
    nonce: &'a str,
    style: &'static str,
    script: &'static str,
    return_to: &'a str,
    live: String,
    tab_title: String,
    face: Face,
    face_length: usize,
    number: Option<String>,
    ahead: String,
    wait: String,
    stock: Option<Stock>,
    opens: Option<Moment>,
    prequeue: Option<Moment>,
    claim_by: Option<Moment>,
    late_until: Option<Moment>,
    claim_window: String,
}

/// The units row: a phrase and a bar of three parts.
struct Stock {
    phrase: String,
    available: u64,
    reserved: u64,
    at_checkout: String,
    all_at_checkout: bool,
    items: Vec<(String, String)>,
}

/// An instant for a `<time>` element.
struct Moment {
    machine: String,
    human: String,
}

impl RoomPage<'_> {
    fn api(&self) -> String {
        format!("/.doorline/v1/drops/{}", self.view.drop)
    }

    fn all_at_checkout(&self) -> bool {
        self.view.state.holds_a_place() && self.stock.as_ref().is_some_and(|stock| stock.all_at_checkout)
    }

    fn at_checkout(&self) -> &str {
        self.stock.as_ref().map_or("", |stock| &stock.at_checkout)
    }

    fn chance_name(&self) -> &'static str {
        self.view.chance.map_or("", Chance::as_str)
    }

    fn chance_word(&self) -> &'static str {
        self.view.chance.map_or("", words::chance_word)
    }
}

/// Renders a whole document. `nonce` is the one that
/// [`page_headers`](super::page_headers) puts into the policy.
pub fn render(view: &PageView, nonce: &str) -> String {
    let face = words::face(view);
    let moment = |at: Option<u64>| {
        at.map(|at| Moment {
            machine: words::rfc3339(at),
            human: words::utc(at),
        })
    };
    let page = RoomPage {
        view,
        nonce,
        style: STYLE,
        script: SCRIPT,
        return_to: harmless(&view.return_to),
        live: serde_json::to_string(&Live::of_page(view)).expect("a struct of strings and numbers"),
        tab_title: words::tab_title(view),
        face_length: face.word.chars().count().min(12),
        face,
        number: view.number.map(words::grouped),
        ahead: view.ahead().map(words::ahead_sentence).unwrap_or_default(),
        wait: wait_words(view),
        stock: view.stock_total().map(|total| stock(view, total)),
        opens: moment(view.opens_at_ms),
        prequeue: moment(view.prequeue_at_ms),
        claim_by: moment(view.claim_deadline_ms),
        late_until: moment(view.late_until_ms),
        claim_window: words::span(view.claim_window_seconds),
    };
    page.render().expect("writing to a string cannot fail")
}

/// The second lock: [`ReturnPath`](crate::room::return_path::ReturnPath) decides where a shopper
/// may go, this keeps anything that is not even an address for a browser out of the markup.
pub(super) fn harmless(path: &str) -> &str {
    let address = ["/", "https://", "http://"]
        .iter()
        .any(|start| path.starts_with(start));
    if address { path } else { "/" }
}

fn wait_words(view: &PageView) -> String {
    match (view.state, view.wait) {
        (PageState::Paused, _) => "Unknown while paused".to_owned(),
        (_, Some(wait)) => words::wait_phrase(wait),
        (_, None) => "Not known yet".to_owned(),
    }
}

fn stock(view: &PageView, total: StockTotal) -> Stock {
    let share = |part: u64| part.saturating_mul(BAR).checked_div(total.all()).unwrap_or(0);
    let several = view.stock.len() > 1;
    let items = view.stock.iter().filter(|_| several).map(|item| {
        let units = StockTotal {
            available: item.available,
            reserved: item.reserved,
            sold: item.sold,
        };
        let name = if item.title.is_empty() {
            &item.sku
        } else {
            &item.title
        };
        (name.clone(), words::stock_phrase(units))
    });
    Stock {
        phrase: words::stock_phrase(total),
        available: share(total.available),
        reserved: share(total.reserved),
        at_checkout: words::grouped(total.reserved),
        all_at_checkout: total.available == 0 && total.reserved > 0,
        items: items.collect(),
    }
}
