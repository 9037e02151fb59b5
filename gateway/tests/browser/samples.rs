//! One view per thing a waiting room page can say: the material of the snapshots, of the gallery
//! the browser tests look at, and of the markup checks.

use gateway::room::page::{
    Chance, Draw, ErrorKind, ErrorView, ItemStock, Joining, PageState, PageView, QueueingMethod, WaitInterval,
};

/// 2026-11-27T09:00:00Z, the instant every sample is rendered at.
const NOW_MS: u64 = 1_795_770_000_000;

fn stock(available: u64, reserved: u64, sold: u64) -> Vec<ItemStock> {
    vec![ItemStock {
        sku: "AUR-42".to_owned(),
        title: "Aurora EU 42".to_owned(),
        available,
        reserved,
        sold,
    }]
}

fn of(state: PageState) -> PageView {
    PageView {
        number: Some(1_284),
        opens_at_ms: Some(NOW_MS - 240_000),
        ends_at_ms: Some(NOW_MS + 7_200_000),
        stock: stock(143, 21, 36),
        poll_after_ms: 3_000,
        return_to: "/drops/aurora".to_owned(),
        request_id: "0193f2c4-7a10-7c3e-9d55-2f6f0c1b9a77".to_owned(),
        ..PageView::new("aurora", "Aurora, first edition", state, NOW_MS)
    }
}

fn waiting() -> PageView {
    PageView {
        rank: Some(1_284),
        position: Some(42),
        wait: Some(WaitInterval {
            min_seconds: 180,
            max_seconds: 300,
        }),
        chance: Some(Chance::Likely),
        shuffle_at_event_start: true,
        draw: Some(draw()),
        ..of(PageState::Waiting)
    }
}

fn draw() -> Draw {
    Draw {
        commitment: "blake3:6f1c0d2b7a9be0c4f5a1d7783e1c2295ab0f64d3c1e7905882f3a6b4c9d0e112".to_owned(),
        seed: None,
    }
}

/// Every sample with its name; names are file names of the gallery and of the snapshots.
pub(crate) fn rooms() -> Vec<(&'static str, PageView)> {
    [
        before_the_start(),
        in_the_queue(),
        at_the_door(),
        outside(),
        vec![("hostile", hostile())],
    ]
    .concat()
}

fn before_the_start() -> Vec<(&'static str, PageView)> {
    let early = |state| PageView {
        prequeue_at_ms: Some(NOW_MS - 600_000),
        opens_at_ms: Some(NOW_MS + 754_000),
        shuffle_at_event_start: true,
        stock: stock(200, 0, 0),
        draw: Some(draw()),
        ..of(state)
    };
    let scheduled = PageView {
        number: None,
        prequeue_at_ms: Some(NOW_MS + 93_000),
        opens_at_ms: Some(NOW_MS + 8_130_000),
        ..early(PageState::Scheduled)
    };
    let in_order = PageView {
        shuffle_at_event_start: false,
        draw: None,
        ..early(PageState::Prequeue)
    };
    vec![
        ("scheduled", scheduled),
        (
            "joining",
            PageView {
                number: None,
                ..of(PageState::Joining)
            },
        ),
        ("prequeue", early(PageState::Prequeue)),
        ("prequeue_fifo", in_order),
    ]
}

fn in_the_queue() -> Vec<(&'static str, PageView)> {
    let at_checkout = PageView {
        stock: stock(0, 14, 186),
        chance: Some(Chance::Unlikely),
        ..waiting()
    };
    let stale = PageView {
        stale: true,
        wait: None,
        chance: None,
        stock: Vec::new(),
        ..waiting()
    };
    let paused = PageView {
        position: Some(42),
        chance: Some(Chance::Possible),
        ..of(PageState::Paused)
    };
    vec![
        ("waiting", waiting()),
        ("waiting_far", waiting_far()),
        ("waiting_checkout", at_checkout),
        ("waiting_stale", stale),
        ("paused", paused),
    ]
}

fn at_the_door() -> Vec<(&'static str, PageView)> {
    let called = PageView {
        claim_deadline_ms: Some(NOW_MS + 118_000),
        late_until_ms: Some(NOW_MS + 718_000),
        ..of(PageState::Called)
    };
    vec![
        ("called", called),
        (
            "room_full",
            PageView {
                retry_after_seconds: Some(5),
                ..of(PageState::RoomFull)
            },
        ),
        ("admitted", of(PageState::Admitted)),
        ("lapsed", of(PageState::Lapsed)),
    ]
}

fn outside() -> Vec<(&'static str, PageView)> {
    let reject = PageView {
        number: None,
        queueing_method: QueueingMethod::Reject,
        ..of(PageState::Reject)
    };
    vec![
        ("left", of(PageState::Left)),
        ("finished", of(PageState::Finished)),
        (
            "finished_sold",
            PageView {
                stock: stock(0, 0, 200),
                joining: Joining::SoldOut,
                ..of(PageState::Finished)
            },
        ),
        (
            "sold_out",
            PageView {
                stock: stock(0, 0, 200),
                ..of(PageState::SoldOut)
            },
        ),
        ("ended", of(PageState::Ended)),
        ("reject", reject),
    ]
}

/// Large numbers, several items, a notice, a random queue, a revealed seed: the widest page.
fn waiting_far() -> PageView {
    let second = ItemStock {
        sku: "AUR-43".to_owned(),
        title: "Aurora EU 43".to_owned(),
        available: 0,
        reserved: 3,
        sold: 1_197,
    };
    let mut items = stock(1_143, 210, 2_360);
    items.push(second);
    PageView {
        title: "Aurora, first edition, with a much longer name than anybody would like".to_owned(),
        number: Some(1_048_576),
        rank: Some(1_048_576),
        position: Some(128_480),
        wait: Some(WaitInterval {
            min_seconds: 5_400,
            max_seconds: 12_000,
        }),
        chance: Some(Chance::Gone),
        queueing_method: QueueingMethod::Random,
        shuffle_at_event_start: false,
        notice: Some(
            "Size 43 is nearly gone; 42 and 44 are plenty.\nThank you for your patience!".to_owned(),
        ),
        stock: items,
        draw: Some(Draw {
            seed: Some("a3f1c9e07b5d4826".repeat(4)),
            ..draw()
        }),
        ..waiting()
    }
}

/// Strings that try to leave every context they are put into.
const HOSTILE: [&str; 12] = [
    "<script>window.pwned=1</script>",
    "\"><img src=x onerror=window.pwned=2>",
    "'><svg onload=window.pwned=3>",
    "</title><script>window.pwned=4</script>",
    "</style><script>window.pwned=5</script>",
    "</script><script>window.pwned=6</script>",
    "javascript:window.pwned=7",
    "{{ 7*7 }}${7*7}`${window.pwned=8}`",
    "&lt;script&gt;window.pwned=9&lt;/script&gt;",
    "\u{2028}\u{2029}<iframe srcdoc='<script>parent.pwned=10</script>'>",
    "--><script>window.pwned=11</script><!--",
    "\u{202e}<a href=javascript:window.pwned=12 autofocus onfocus=window.pwned=13>x</a>",
];

/// Every field that any outsider can influence holds the whole corpus.
pub(crate) fn hostile() -> PageView {
    let all = HOSTILE.concat();
    PageView {
        drop: all.clone(),
        title: all.clone(),
        lang: "en\" onload=\"window.pwned=14".to_owned(),
        notice: Some(all.clone()),
        draw: Some(Draw {
            commitment: all.clone(),
            seed: Some(all.clone()),
        }),
        stock: vec![
            ItemStock {
                sku: all.clone(),
                title: all.clone(),
                available: 1,
                reserved: 0,
                sold: 0,
            },
            ItemStock {
                sku: "b".to_owned(),
                title: all.clone(),
                available: 1,
                reserved: 0,
                sold: 0,
            },
        ],
        return_to: format!("javascript:window.pwned=15;//{all}"),
        request_id: all,
        ..waiting()
    }
}

/// Every error page, and one in a refusal's own words.
pub(crate) fn errors() -> Vec<(String, ErrorView)> {
    let of = |kind: ErrorKind| ErrorView {
        title: "Aurora, first edition".to_owned(),
        retry_after_seconds: matches!(kind, ErrorKind::TooManyRequests | ErrorKind::Unavailable)
            .then_some(10),
        request_id: "0193f2c4-7a10-7c3e-9d55-2f6f0c1b9a77".to_owned(),
        ..ErrorView::new(kind)
    };
    let named = |kind: ErrorKind| (format!("error_{kind:?}").to_lowercase(), of(kind));
    let own_words = ErrorView {
        status: http::StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        headline: Some("The header block is too long.".to_owned()),
        explanation: Some(format!("At most 32 KiB are taken. {}", HOSTILE[0])),
        ..ErrorView::new(ErrorKind::BadRequest)
    };
    let mut all: Vec<_> = ErrorKind::ALL.into_iter().map(named).collect();
    all.push(("error_own_words".to_owned(), own_words));
    all
}
