//! The readers of single values: durations, instants.

use domain::Span;
use proptest::prelude::*;

use super::{DROP, good, refused};
use crate::config::Moment;
use crate::config::duration::{InvalidDuration, format_duration, parse_duration};

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
