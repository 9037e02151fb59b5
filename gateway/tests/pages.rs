//! Whole pages: snapshots of the markup per state, what hostile text becomes, and the weight.

use gateway::room::page::{Draw, ItemStock, PageState, PageView, render, render_error};

#[path = "browser/samples.rs"]
mod samples;

const NONCE: &str = "dGVzdC1ub25jZQ";

/// Bytes of a first load, everything included; there is no second request for the page to work.
const FIRST_LOAD_BYTES_MAX: usize = 50_000;

/// Style and script are the same on every page and have their own files: snapshots leave them out.
fn markup(page: &str) -> String {
    let cut = |page: &str, tag: &str| {
        let opens = page.find(&format!("<{tag}")).expect("the block begins");
        let closes = page.find(&format!("</{tag}>")).expect("the block ends");
        format!("{}<{tag}…>{}", &page[..opens], &page[closes + tag.len() + 3..])
    };
    let page = cut(page, "style");
    if page.contains(NONCE) {
        cut(&page, "script")
    } else {
        page
    }
}

#[test]
fn every_state_looks_as_recorded() {
    for (name, view) in samples::rooms() {
        insta::assert_snapshot!(format!("room_{name}"), markup(&render(&view, NONCE)));
    }
    for (name, view) in samples::errors() {
        insta::assert_snapshot!(name, markup(&render_error(&view)));
    }
}

#[test]
fn samples_cover_every_state() {
    let rooms = samples::rooms();
    for state in PageState::ALL {
        assert!(rooms.iter().any(|(_, view)| view.state == state), "{state:?}");
    }
}

#[test]
fn first_load_stays_below_its_weight() {
    // The hostile sample is longer than any title or notice may be.
    for (name, view) in samples::rooms()
        .into_iter()
        .filter(|(name, _)| *name != "hostile")
    {
        let bytes = render(&view, NONCE).len();
        assert!(bytes < FIRST_LOAD_BYTES_MAX, "{name} weighs {bytes}");
    }
}

#[test]
fn exactly_one_section_is_shown_without_script() {
    for (name, view) in samples::rooms() {
        let page = markup(&render(&view, NONCE));
        let shown: Vec<&str> = page
            .split("<section class=\"view\" ")
            .skip(1)
            .filter_map(|section| section.split_once('>'))
            .filter(|(tag, _)| !tag.ends_with(" hidden"))
            .map(|(tag, _)| tag)
            .collect();
        assert_eq!(shown.len(), 1, "{name}");
        assert!(
            shown[0].contains(&format!("data-view=\"{}\"", view.state.name())),
            "{name}"
        );
    }
}

/// Counts what only a tag of ours may write: markup that came out of a value shows as a surplus.
fn tags(page: &str) -> Vec<(&'static str, usize)> {
    [
        "<", ">", "\"", "<script", "<style", "<img", "<iframe", "<svg", "</title", "<!--",
    ]
    .map(|tag| (tag, page.matches(tag).count()))
    .to_vec()
}

#[test]
fn hostile_text_adds_no_markup_anywhere() {
    let hostile = samples::hostile();
    let tame = |text: &str| text.chars().map(|_| 'x').collect::<String>();
    let plain = PageView {
        drop: tame(&hostile.drop),
        title: tame(&hostile.title),
        lang: "en".to_owned(),
        notice: hostile.notice.as_deref().map(tame),
        return_to: "/".to_owned(),
        request_id: tame(&hostile.request_id),
        draw: hostile.draw.as_ref().map(|draw| Draw {
            commitment: tame(&draw.commitment),
            seed: draw.seed.as_deref().map(tame),
        }),
        stock: hostile
            .stock
            .iter()
            .map(|item| ItemStock {
                sku: tame(&item.sku),
                title: tame(&item.title),
                ..item.clone()
            })
            .collect(),
        ..hostile.clone()
    };
    assert_eq!(tags(&render(&hostile, NONCE)), tags(&render(&plain, NONCE)));
}

#[test]
fn hostile_text_is_still_readable_as_text() {
    let page = render(&samples::hostile(), NONCE);
    assert!(page.contains("&#60;script&#62;window.pwned=1&#60;/script&#62;"));
}

#[test]
fn nothing_is_loaded_from_outside() {
    for (name, view) in samples::rooms()
        .into_iter()
        .filter(|(name, _)| *name != "hostile")
    {
        // The name of the SVG namespace looks like an address and is never fetched.
        let page = render(&view, NONCE).replace("http://www.w3.org/2000/svg", "");
        for outside in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!page.contains(outside), "{name} has {outside}");
        }
    }
}

#[test]
fn no_markup_needs_a_style_attribute_which_the_policy_forbids() {
    for (name, view) in samples::rooms() {
        assert!(!markup(&render(&view, NONCE)).contains(" style=\""), "{name}");
    }
}
