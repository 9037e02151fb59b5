//! What single keys cannot show: values that contradict each other, within a drop, between
//! drops, and between sections. Wrong values are skipped; they were reported already.

mod drops;
mod sections;

use domain::Span;

use super::duration;
use super::fields::Fields;
use super::report::Report;
use super::value::Value;

/// Reports every contradiction.
pub(crate) fn check(root: &Fields, report: &mut Report) {
    sections::check(root, report);
    drops::check(root.tables("drop"), report);
}

/// How long units are held where nobody says.
const RESERVE_FOR: Span = Span::from_mins(5);

/// Fills in what follows from other keys where nobody wrote it.
pub(crate) fn derive(root: &mut Fields) {
    if let Some(Value::Table(server)) = root.value_mut("server") {
        derive_server(server);
    }
    let Some(Value::Tables(drops)) = root.value_mut("drop") else {
        return;
    };
    for drop in drops {
        derive_drop(drop);
    }
}

fn derive_server(server: &mut Fields) {
    let port = server
        .get::<std::net::SocketAddr>("listen")
        .map_or(8080, |listen| listen.port());
    if !server.has("public_url") {
        let scheme = if server.has("tls") { "https" } else { "http" };
        let url = format!("{scheme}://localhost:{port}")
            .parse()
            .expect("a host and a port make an address");
        server.derive("public_url", Value::Url(url));
    }
    let (all, each) = (
        server.get::<u64>("max_connections"),
        server.get::<u64>("max_connections_per_address"),
    );
    if let (Some(all), Some(each)) = (all, each)
        && each > all
        && !server.is_written("max_connections_per_address")
    {
        server.derive("max_connections_per_address", Value::Count(all));
    }
}

fn derive_drop(drop: &mut Fields) {
    if let (false, Some(id)) = (drop.has("title"), drop.get("id")) {
        drop.derive("title", Value::Text(id));
    }
    if !drop.has("checkout") && !drop.tables("item").is_empty() {
        let section = drop.section.key("checkout").expect("a drop has a checkout");
        drop.derive("checkout", super::check::empty_table(section));
    }
    let session = drop.get::<Span>("session_duration").unwrap_or(RESERVE_FOR);
    if let Some(Value::Table(checkout)) = drop.value_mut("checkout")
        && !checkout.has("reserve_for")
    {
        checkout.derive("reserve_for", Value::Duration(RESERVE_FOR.min(session)));
    }
    let Some(Value::Tables(items)) = drop.value_mut("item") else {
        return;
    };
    for item in items {
        if let (false, Some(sku)) = (item.has("title"), item.get("sku")) {
            item.derive("title", Value::Text(sku));
        }
    }
}

/// Writes a length of time for a message.
fn shown(span: Span) -> String {
    duration::format_duration(span)
}
