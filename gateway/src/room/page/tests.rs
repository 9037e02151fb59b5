//! Wording against the table the script is held to as well, and the headers of pages.

use serde::Deserialize;

use super::view::StockTotal;
use super::words::{ahead_sentence, clock, face, span, stock_phrase, tab_title};
use super::*;

/// 2026-11-27T09:00:00Z.
const NOW: u64 = 1_795_770_000_000;

#[derive(Deserialize)]
struct Table {
    wait: Vec<(u64, u64, String)>,
    ahead: Vec<(u64, String)>,
    stock: Vec<(u64, u64, u64, String)>,
}

#[test]
fn wording_follows_the_table_shared_with_the_script() {
    let table: Table = serde_json::from_str(include_str!("../../../tests/browser/words.json")).unwrap();
    assert!(table.wait.len() > 10 && table.ahead.len() > 3 && table.stock.len() > 3);
    for (min_seconds, max_seconds, words) in table.wait {
        assert_eq!(
            wait_phrase(WaitInterval {
                min_seconds,
                max_seconds
            }),
            words
        );
    }
    for (position, words) in table.ahead {
        assert_eq!(ahead_sentence(position - 1), words);
    }
    for (available, reserved, sold, words) in table.stock {
        assert_eq!(
            stock_phrase(StockTotal {
                available,
                reserved,
                sold
            }),
            words
        );
    }
}

#[test]
fn counts_are_grouped_by_thousands() {
    for (count, text) in [
        (0, "0"),
        (999, "999"),
        (1_000, "1,000"),
        (12_480, "12,480"),
        (1_234_567, "1,234,567"),
    ] {
        assert_eq!(grouped(count), text);
    }
}

#[test]
fn clocks_and_spans_read_as_spoken() {
    for (seconds, text) in [(0, "0:00"), (65, "1:05"), (3_723, "1:02:03"), (172_800, "2 days")] {
        assert_eq!(clock(seconds), text);
    }
    for (seconds, text) in [
        (1, "1 second"),
        (60, "1 minute"),
        (120, "2 minutes"),
        (90, "90 seconds"),
    ] {
        assert_eq!(span(seconds), text);
    }
}

#[test]
fn tab_title_leads_with_what_matters() {
    let view = PageView {
        position: Some(1_042),
        ..PageView::new("aurora", "Aurora", PageState::Waiting, NOW)
    };
    assert_eq!(tab_title(&view), "#1,042 · Aurora");
    let called = PageView {
        state: PageState::Called,
        ..view
    };
    assert_eq!(tab_title(&called), "Your turn · Aurora");
}

#[test]
fn countdown_shows_the_start_and_never_goes_below_zero() {
    let view = PageView {
        opens_at_ms: Some(NOW + 754_000),
        ..PageView::new("aurora", "Aurora", PageState::Prequeue, NOW)
    };
    assert_eq!(face(&view).word, "12:34");
    assert_eq!(face(&view).sub, "Friday 27 November, 09:12 UTC");
    assert_eq!(
        face(&PageView {
            now_ms: NOW + 900_000,
            ..view
        })
        .word,
        "0:00"
    );
}

#[test]
fn every_state_has_a_face_and_only_numbers_leave_the_word_open() {
    for state in PageState::ALL {
        let open = matches!(
            state,
            PageState::Scheduled | PageState::Prequeue | PageState::Waiting
        );
        assert!(!state.label().is_empty());
        assert_eq!(state.word().is_empty(), open, "{state:?}");
    }
}

#[test]
fn policy_allows_the_nonce_and_nothing_else() {
    let headers = page_headers("abc", Some(7));
    let policy = headers["content-security-policy"].to_str().unwrap();
    for part in [
        "default-src 'none'",
        "style-src 'nonce-abc'",
        "script-src 'nonce-abc'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(
            policy.split("; ").any(|directive| directive == part),
            "{part} in {policy}"
        );
    }
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["referrer-policy"], "no-referrer");
    assert_eq!(headers["refresh"], "7");
    assert!(!page_headers("abc", None).contains_key("refresh"));
}

#[test]
fn a_nonce_that_is_no_header_value_closes_the_policy() {
    assert_eq!(
        page_headers("a\r\nb", None)["content-security-policy"],
        "default-src 'none'"
    );
}

#[test]
fn a_page_without_script_reloads_only_where_waiting_changes_something() {
    for state in PageState::ALL {
        let view = PageView::new("aurora", "Aurora", state, NOW);
        let still = matches!(
            state,
            PageState::Lapsed
                | PageState::Left
                | PageState::Finished
                | PageState::SoldOut
                | PageState::Ended
                | PageState::Reject
        );
        assert_eq!(refresh_seconds(&view).is_none(), still, "{state:?}");
    }
    let poll = |poll_after_ms| {
        refresh_seconds(&PageView {
            poll_after_ms,
            ..PageView::new("a", "A", PageState::Waiting, NOW)
        })
    };
    assert_eq!(
        (poll(100), poll(7_500), poll(600_000)),
        (Some(5), Some(8), Some(30))
    );
}

#[test]
fn ticket_json_has_the_fields_of_the_contract_and_calls_a_full_room_called() {
    let view = PageView {
        number: Some(7),
        rank: Some(9),
        position: Some(3),
        wait: Some(WaitInterval {
            min_seconds: 1,
            max_seconds: 2,
        }),
        ..PageView::new("aurora", "Aurora", PageState::RoomFull, NOW)
    };
    let json = serde_json::to_value(Live::of_ticket(&view)).unwrap();
    assert_eq!(json["state"], "called");
    assert_eq!(
        json["wait"],
        serde_json::json!({"min_seconds": 1, "max_seconds": 2})
    );
    assert_eq!(
        (&json["number"], &json["rank"], &json["position"]),
        (&7.into(), &9.into(), &3.into())
    );
    assert!(json["chance"].is_null() && json["poll_after_ms"].is_u64());
    assert_eq!(json["now"], "2026-11-27T09:00:00Z");
    assert_eq!(Live::of_page(&view).state, "room_full");
    let finished = PageView::new("aurora", "Aurora", PageState::Finished, NOW);
    assert_eq!(Live::of_ticket(&finished).state, "left");
}

/// The one section that `view` shows.
fn section(view: &PageView) -> String {
    let page = render(view, "abc");
    let (_, rest) = page
        .split_once(&format!("data-view=\"{}\"", view.state.name()))
        .unwrap();
    rest.split_once("</section>").unwrap().0.to_owned()
}

#[test]
fn no_word_about_a_lost_place_is_wrong_for_somebody_who_has_been_inside() {
    for state in [PageState::Lapsed, PageState::Left, PageState::Finished] {
        let said = section(&PageView::new("aurora", "Aurora", state, NOW));
        assert!(said.contains("rders that you placed are not affected"), "{said}");
        for wrong in ["You left", "so the next in the queue went in"] {
            assert!(!said.contains(wrong), "{wrong} in {said}");
        }
    }
}

#[test]
fn joining_again_is_offered_only_where_it_can_succeed() {
    for state in [PageState::Lapsed, PageState::Left, PageState::Finished] {
        let offer = |joining| {
            section(&PageView {
                joining,
                ..PageView::new("aurora", "Aurora", state, NOW)
            })
        };
        assert!(offer(Joining::Open).contains("Join again</button>"));
        let (sold, closed) = (offer(Joining::SoldOut), offer(Joining::Closed));
        assert!(
            !sold.contains("<form") && sold.contains("paid for by now"),
            "{sold}"
        );
        assert!(
            !closed.contains("<form") && closed.contains("Joining is closed"),
            "{closed}"
        );
    }
}

#[test]
fn what_is_no_address_never_becomes_a_link() {
    let page = |return_to: &str| {
        let view = PageView::new("aurora", "Aurora", PageState::Admitted, NOW);
        render(
            &PageView {
                return_to: return_to.to_owned(),
                ..view
            },
            "abc",
        )
    };
    assert!(page("/drops/aurora").contains("data-go href=\"/drops/aurora\""));
    assert!(page("javascript:alert(1)").contains("data-go href=\"/\""));
}

#[test]
fn every_error_page_is_found_by_its_status() {
    for kind in ErrorKind::ALL {
        // Two pages share 429: the ordinary one is the one that a bare status stands for.
        let found = ErrorKind::of_status(kind.status());
        assert_eq!(found.status(), kind.status());
        assert!(found == kind || kind == ErrorKind::AdmissionRequired);
    }
    assert_eq!(
        ErrorKind::of_status(http::StatusCode::LENGTH_REQUIRED),
        ErrorKind::BadRequest
    );
    assert_eq!(
        ErrorKind::of_status(http::StatusCode::HTTP_VERSION_NOT_SUPPORTED),
        ErrorKind::Internal
    );
}

#[test]
fn an_error_page_runs_nothing_and_its_policy_names_its_very_style() {
    use base64::Engine as _;
    use sha2::Digest as _;

    let page = render_error(&ErrorView::new(ErrorKind::BadGateway));
    let (_, rest) = page.split_once("<style>").unwrap();
    let (style, _) = rest.split_once("</style>").unwrap();
    let hash = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(style));
    assert!(error_policy().contains(&format!("style-src 'sha256-{hash}'")));
    assert!(error_policy().starts_with("default-src 'none'") && !page.contains("<script"));
}

#[test]
fn a_refusal_may_say_it_in_its_own_words_as_text() {
    let view = ErrorView {
        headline: Some("Too <b>long</b>".to_owned()),
        ..ErrorView::new(ErrorKind::BadRequest)
    };
    let page = render_error(&view);
    assert!(page.contains("<h1>Too &#60;b&#62;long&#60;/b&#62;</h1>"));
    assert!(
        page.contains("Going back one page"),
        "what it does not say stays as it is"
    );
}
