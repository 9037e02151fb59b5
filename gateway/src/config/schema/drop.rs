//! The sections about a drop: `[[drop]]`, `[drop.checkout]`, `[[drop.item]]`.

use domain::money::AMOUNT_MAX;

use super::Kind::{
    Count, Currency, DropId, Duration, Flag, List, Moment, OneNumberOf, OneOf, PathPattern, Sku, Table,
    Tables, Text,
};
use super::{Key, Section, Shown};

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;

const STOCK_MAX: u64 = 10_000_000;

pub(super) static DROP: Section = Section {
    header: "[[drop]]",
    doc: "A drop: one flash sale. Repeat this part for every drop.",
    keys: &[
        Key::required(
            "id",
            DropId,
            "\"aurora\"",
            "Its name in addresses, cookies and records: a-z, 0-9 and -. Never change it afterwards.",
        ),
        Key::optional(
            "title",
            Text(120),
            Shown::Set("\"Aurora, first edition\""),
            "What shoppers read. Left out, it is the id.",
        ),
        Key::optional(
            "notice",
            Text(500),
            Shown::Comment("\"Shipping starts on Monday.\""),
            "A message for the waiting room.",
        ),
        Key::required(
            "paths",
            List(&PathPattern),
            "[\"/drops/aurora\", \"/products/aurora/*\"]",
            "The pages of your shop that only admitted shoppers reach: each with everything below it, so\n\
             \"/x\" and \"/x/*\" mean the same. The same page under another ending is covered as well\n\
             (\"/x.json\"; also .jsonld, .js, .xml, .html, .htm, .xhtml, .php, .asp, .aspx, .atom, .rss, .txt\n\
             and .oembed); pictures and styles beside it, and all other pages, stay open to everybody.",
        ),
        Key::optional(
            "prequeue_start_time",
            Moment,
            Shown::Set("\"2026-01-15T09:30:00[Europe/Berlin]\""),
            "From when shoppers may come and wait. They see a countdown. Left out, the queue opens with\n\
             the start.",
        ),
        Key::required(
            "event_start_time",
            Moment,
            "\"2026-01-15T10:00:00[Europe/Berlin]\"",
            "From when shoppers are let in: a date, a time, and a zone in brackets or an offset such as\n\
             +01:00 or Z. This example began in the past so that you can try it at once: put in your own.",
        ),
        Key::optional(
            "event_end_time",
            Moment,
            Shown::Comment("\"2026-01-15T12:00:00[Europe/Berlin]\""),
            "From when nobody is let in any more. Left out, it ends when everything is sold or you end it.",
        ),
        Key::preset(
            "queueing_method",
            OneOf(&["fifo", "random", "passthrough", "reject"]),
            "\"fifo\"",
            "\"fifo\": first come, first served. \"random\": a random waiting shopper each time.\n\
             \"passthrough\": let everybody pass and only count; without a session the\n\
             shop is sent no `Doorline-Admission`. \"reject\": closed.",
        )
        .in_force(),
        Key::preset(
            "shuffle_at_event_start",
            Flag,
            "false",
            "Whether those who came before the start are put into a random order at the start, so that a\n\
             fast finger at 09:30 wins nothing. Later shoppers line up behind them.",
        )
        .shown_as("true"),
        Key::preset(
            "queue_all",
            Flag,
            "false",
            "Whether everybody waits and nobody is let in, for now.",
        ),
        Key::required(
            "total_active_users",
            Count(1, 10_000_000),
            "500",
            "How many shoppers may be in the shop at once. Never exceeded.",
        ),
        Key::required(
            "new_users_per_minute",
            Count(1, 10_000_000),
            "600",
            "How many shoppers are let in during any 60 seconds. Never exceeded.",
        ),
        Key::preset(
            "session_duration",
            Duration(SECOND, DAY),
            "\"10m\"",
            "How long a shopper counts as being in the shop after the last click.",
        )
        .in_force(),
        Key::preset(
            "disable_session_renewal",
            Flag,
            "false",
            "Whether that time runs from being let in, whatever the shopper clicks.",
        ),
        Key::preset(
            "session_ends_on_completed_order",
            Flag,
            "true",
            "Whether a paid order makes room for the next shopper at once.",
        ),
        Key::preset(
            "claim_window",
            Duration(SECOND, DAY),
            "\"2m\"",
            "How long a shopper whose turn it is has to turn up.",
        )
        .in_force(),
        Key::preset(
            "late_grace",
            Duration(0, DAY),
            "\"10m\"",
            "Who comes later than that, but within this time, may still go in, once. \"0s\" for never.",
        ),
        Key::preset(
            "queue_capacity",
            Count(1, 20_000_000),
            "2000000",
            "Most shoppers the queue remembers; beyond it nobody can join for the moment.",
        ),
        Key::preset(
            "queueing_status_code",
            OneNumberOf(&[200, 202, 429]),
            "200",
            "The HTTP status of the waiting room page: 200, 202 or 429.",
        ),
        Key::optional("checkout", Table(&CHECKOUT), Shown::Default, ""),
        Key::optional("item", Tables(&ITEM), Shown::Default, ""),
    ],
    identity: Some("id"),
};

static CHECKOUT: Section = Section {
    header: "[drop.checkout]",
    doc: "How the drop's items are sold. Leave out this part and the items for a waiting room alone.",
    keys: &[
        Key::optional(
            "reserve_for",
            Duration(SECOND, DAY),
            Shown::Set("\"5m\""),
            "How long units are held for a shopper who has not paid yet. Left out, it is 5 minutes, or\n\
             `session_duration` where that is shorter.",
        ),
        Key::preset("per_shopper", Count(1, 10_000), "2", "Units per shopper, over all orders of the drop.").in_force(),
        Key::preset(
            "drain_per_second",
            Count(1, 100_000),
            "20",
            "Orders per second that are taken to payment. More than the provider allows only makes it refuse.",
        )
        .in_force(),
        Key::preset(
            "overbooking_percent",
            Count(100, 10_000),
            "100",
            "Shoppers called per hundred units left. More than 100 calls more than can buy: faster where many\n\
             only look, but some come for nothing.",
        ),
        Key::preset(
            "action_window",
            Duration(SECOND, DAY),
            "\"10m\"",
            "How long a shopper has to confirm with the bank (3-D Secure).",
        ),
        Key::preset("paused", Flag, "false", "As in [checkout], for this drop alone."),
        Key::preset("payments_paused", Flag, "false", ""),
    ],
    identity: None,
};

static ITEM: Section = Section {
    header: "[[drop.item]]",
    doc: "Something for sale in the drop above. Repeat this part for every size, colour and so on.",
    keys: &[
        Key::required("sku", Sku, "\"AUR-42\"", "Your stock keeping unit."),
        Key::optional(
            "title",
            Text(120),
            Shown::Set("\"Aurora EU 42\""),
            "What shoppers read. Left out, it is the SKU.",
        ),
        Key::required(
            "price",
            Table(&PRICE),
            "{ amount = 12900, currency = \"eur\" }",
            "For one unit, in the smallest unit of the currency: 12900 is 129.00 EUR.",
        ),
        Key::required(
            "stock",
            Count(0, STOCK_MAX),
            "200",
            "Units for this drop. Exactly so many are sold, never more.",
        ),
    ],
    identity: Some("sku"),
};

static PRICE: Section = Section {
    header: "price",
    doc: "",
    keys: &[
        Key::required(
            "amount",
            Count(1, AMOUNT_MAX),
            "12900",
            "In the smallest unit of the currency.",
        ),
        Key::required(
            "currency",
            Currency,
            "\"eur\"",
            "Three letters, such as \"eur\"; the same for the whole drop.",
        ),
    ],
    identity: None,
};
