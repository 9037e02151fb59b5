//! The scripts: one file per atomic operation, its contract on top.

use redis::Script;

/// A script that works on a drop's keys: the head that checks the era, the shared steps, and the
/// operation's own file.
macro_rules! on_drop {
    ($file:literal) => {
        concat!(
            include_str!("scripts/shared/head.lua"),
            include_str!("scripts/shared/queue.lua"),
            include_str!(concat!("scripts/", $file)),
        )
    };
}

/// Every script, with the hash that the server knows it by.
pub(super) struct Scripts {
    pub(super) join: Named,
    pub(super) relearn: Named,
    pub(super) claim: Named,
    pub(super) restamp: Named,
    pub(super) leave: Named,
    pub(super) renew: Named,
    pub(super) end_session: Named,
    pub(super) advance: Named,
    pub(super) control: Named,
    pub(super) held: Named,
    pub(super) view: Named,
    pub(super) offer_stock: Named,
    pub(super) go_to_order: Named,
    pub(super) configure: Named,
    pub(super) start: Named,
    pub(super) rank: Named,
    pub(super) begin: Named,
    pub(super) fill: Named,
    pub(super) publish: Named,
}

/// One script.
pub(super) struct Named {
    pub(super) name: &'static str,
    pub(super) source: &'static str,
    pub(super) hash: String,
}

impl Named {
    fn new(name: &'static str, source: &'static str) -> Self {
        let hash = Script::new(source).get_hash().to_owned();
        Self { name, source, hash }
    }
}

impl Scripts {
    /// All of them, hashed.
    pub(super) fn new() -> Self {
        Self {
            join: Named::new("join", on_drop!("join.lua")),
            relearn: Named::new("relearn", on_drop!("relearn.lua")),
            claim: Named::new("claim", on_drop!("claim.lua")),
            restamp: Named::new("restamp", on_drop!("restamp.lua")),
            leave: Named::new("leave", on_drop!("leave.lua")),
            renew: Named::new("renew", on_drop!("renew.lua")),
            end_session: Named::new("end_session", on_drop!("end_session.lua")),
            advance: Named::new("advance", on_drop!("advance.lua")),
            control: Named::new("control", on_drop!("control.lua")),
            held: Named::new("held", on_drop!("held.lua")),
            view: Named::new("view", on_drop!("view.lua")),
            offer_stock: Named::new("offer_stock", on_drop!("offer_stock.lua")),
            go_to_order: Named::new("go_to_order", on_drop!("go_to_order.lua")),
            configure: Named::new("configure", on_drop!("configure.lua")),
            start: Named::new("start", on_drop!("start.lua")),
            rank: Named::new("rank", on_drop!("rank.lua")),
            begin: Named::new("begin", include_str!("scripts/begin.lua")),
            fill: Named::new("fill", include_str!("scripts/fill.lua")),
            publish: Named::new("publish", include_str!("scripts/publish.lua")),
        }
    }
}
