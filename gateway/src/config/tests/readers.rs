//! The readers of single values: durations, rates, instants, paths.

use domain::Span;
use proptest::prelude::*;

use super::{DROP, good, refused};
use crate::config::rate::{InvalidDuration, format_duration, parse_duration};
use crate::config::{Moment, PathPattern, Rate, Reach};

#[test]
fn a_length_of_time_is_read_in_all_its_forms() {
    for (text, millis) in [
        ("90s", 90_000),
        ("10m", 600_000),
        ("1h30m", 5_400_000),
        ("250ms", 250),
        ("1d", 86_400_000),
        ("0s", 0),
    ] {
        assert_eq!(parse_duration(text), Ok(Span::from_millis(millis)), "{text}");
    }
    for text in [
        "", "m", "1", "1x", "30m1h", "1m1m", "-1s", "1.5h", "1 h", "1h 5m", "５m",
    ] {
        assert!(parse_duration(text).is_err(), "{text}");
    }
    assert_eq!(
        parse_duration("600"),
        Err(InvalidDuration::NoUnit("600".to_owned()))
    );
    assert_eq!(parse_duration("300000000000d"), Err(InvalidDuration::TooLong));
}

proptest! {
    #[test]
    fn a_length_of_time_reads_back_as_written(millis in 0_u64..10_000_000_000) {
        let span = Span::from_millis(millis);
        prop_assert_eq!(parse_duration(&format_duration(span)), Ok(span));
    }
}

#[test]
fn a_rate_is_read_in_all_its_forms_and_bursts_to_twice() {
    let rate: Rate = "20/s".parse().expect("a rate");
    assert_eq!((rate.count, rate.per, rate.burst()), (20, Span::from_secs(1), 40));
    assert_eq!(rate.interval().as_millis(), 50);
    let minute: Rate = "30 / minute".parse().expect("a rate");
    assert_eq!(minute.to_string(), "30/min");
    assert_eq!("5/h".parse::<Rate>().expect("a rate").to_string(), "5/h");
    for text in ["", "20", "/s", "20/", "20/day", "-1/s", "1.5/s", "0/s"] {
        assert!(text.parse::<Rate>().is_err(), "{text}");
    }
}

#[test]
fn the_same_instant_is_read_from_zone_offset_and_native_form() {
    let zone: Moment = "2026-11-27T10:00:00[Europe/Berlin]".parse().expect("a zone");
    let offset: Moment = "2026-11-27T10:00:00+01:00".parse().expect("an offset");
    let both: Moment = "2026-11-27T10:00:00+01:00[Europe/Berlin]".parse().expect("both");
    let zulu: Moment = "2026-11-27T09:00:00Z".parse().expect("UTC");
    assert_eq!(zone.at().as_millis(), 1_795_770_000_000);
    for other in [&offset, &both, &zulu] {
        assert_eq!(zone.at(), other.at());
    }
    assert_eq!(zone.zoned().hour(), 10, "pages show the merchant's own time");
    let native = DROP.replace(
        "\"2026-11-27T10:00:00[Europe/Berlin]\"",
        "2026-11-27T10:00:00+01:00",
    );
    assert_eq!(good(&native).drops[0].event_start_time.at(), zone.at());
}

#[test]
fn an_instant_reads_back_as_written() {
    for text in [
        "2026-11-27T10:00:00[Europe/Berlin]",
        "2026-11-27T10:00:00.25-03:30",
        "2026-07-01T00:00:00Z",
    ] {
        let moment: Moment = text.parse().expect("an instant");
        let again: Moment = moment.to_string().parse().expect("reads back");
        assert_eq!(
            (moment.at(), moment.to_string()),
            (again.at(), again.to_string()),
            "{text}"
        );
        assert_eq!(moment.zoned().offset(), again.zoned().offset(), "{text}");
    }
}

#[test]
fn a_time_that_comes_twice_or_never_needs_its_offset() {
    assert!("2026-10-25T02:30:00[Europe/Berlin]".parse::<Moment>().is_err());
    let first: Moment = "2026-10-25T02:30:00+02:00[Europe/Berlin]"
        .parse()
        .expect("the first");
    let second: Moment = "2026-10-25T02:30:00+01:00[Europe/Berlin]"
        .parse()
        .expect("the second");
    assert_eq!(first.at().until(second.at()), Span::from_mins(60));
}

fn pattern(text: &str) -> PathPattern {
    text.parse().expect("a pattern")
}

#[test]
fn a_path_covers_itself_and_a_star_everything_below() {
    let exact = pattern("/drops/aurora");
    for path in ["/drops/aurora", "/drops/aurora/", "/DROPS/Aurora"] {
        assert!(exact.matches(path), "{path}");
    }
    for path in [
        "/drops/auror",
        "/drops/aurora2",
        "/drops/aurora/x",
        "/drops",
        "/",
        "",
    ] {
        assert!(!exact.matches(path), "{path}");
    }
    let below = pattern("/products/aurora/*");
    for path in [
        "/products/aurora",
        "/products/aurora/",
        "/products/aurora/42",
        "/products/AURORA/4/2",
    ] {
        assert!(below.matches(path), "{path}");
    }
    assert!(!below.matches("/products/aurora2"));
    assert!(pattern("/*").matches("/anything") && pattern("/*").matches("/"));
    assert!(pattern("/").matches("/") && !pattern("/").matches("/x"));
    assert!(
        !below.matches("/products/auror\u{e9}"),
        "no panic inside a character"
    );
}

#[test]
fn the_more_specific_of_two_paths_is_the_greater() {
    let ranked = ["/*", "/products/*", "/products/aurora/*", "/", "/products/aurora"].map(pattern);
    assert!(ranked.is_sorted_by_key(PathPattern::specificity));
    assert_eq!(ranked[0].reach(), Reach::Below);
}

#[test]
fn a_key_under_the_wrong_header_is_told_where_it_belongs() {
    let report = refused(&format!("{DROP}per_shopper = 2\n"));
    assert!(
        report.contains("unknown key `per_shopper` in [[drop.item]]; it belongs in [drop.checkout]"),
        "{report}"
    );
}

#[test]
fn text_that_is_not_utf8_is_a_mistake_with_a_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.toml");
    std::fs::write(&path, b"[server]\nlisten = \"\xff\"\n").expect("written");
    let error = crate::config::load(Some(&path), &[], &crate::config::Environment::default());
    let message = error.expect_err("not UTF-8").to_string();
    assert!(message.contains(":2:11: this is not UTF-8 text"), "{message}");
}
