//! Flags over environment over file over defaults, and mistakes under the name they came by.

use domain::QueueingMethod;

use super::DROP;
use crate::config::{Environment, Override, parse};

fn flag(text: &str) -> Override {
    Override::from_flag(text).expect("a well-formed flag")
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let file = "[server]\nlisten = \"127.0.0.1:1\"\n";
    let none = Environment::default();
    let variable = Environment::from_iter([("DOORLINE__SERVER__LISTEN", "127.0.0.1:2")]);
    let flags = [flag("server.listen=127.0.0.1:3")];
    let port = |text, flags: &[Override], environment| {
        parse("config.toml", text, flags, environment)
            .expect("good")
            .config
            .server
            .listen
            .port()
    };
    assert_eq!(port("", &[], &none), 8080);
    assert_eq!(port(file, &[], &none), 1);
    assert_eq!(port(file, &[], &variable), 2);
    assert_eq!(port("", &[], &variable), 2);
    assert_eq!(port(file, &flags, &variable), 3);
}

#[test]
fn a_drop_and_its_items_are_found_by_name_or_place() {
    let environment = Environment::from_iter([
        ("DOORLINE__DROP__AURORA__TOTAL_ACTIVE_USERS", "7"),
        ("DOORLINE__DROP__AURORA__CHECKOUT__RESERVE_FOR", "90s"),
        ("DOORLINE__DROP__0__QUEUEING_METHOD", "random"),
        ("DOORLINE__DROP__AURORA__ITEM__AUR_42__STOCK", "3"),
        ("DOORLINE__DROP__AURORA__PATHS", "/a, /b/*"),
        ("DOORLINE__SERVER__TRUSTED_PROXIES", "[\"10.0.0.0/8\"]"),
        ("DOORLINE_ADMIN_TOKEN", "no override: one underscore"),
    ]);
    let loaded = parse(
        "config.toml",
        DROP,
        &[flag("drop.aurora.title=Now")],
        &environment,
    )
    .expect("good");
    let drop = &loaded.config.drops[0];
    assert_eq!(drop.limits.total_active_users, 7);
    assert_eq!(
        drop.checkout
            .as_ref()
            .expect("items are sold")
            .reserve_for
            .as_millis(),
        90_000
    );
    assert_eq!(drop.queueing_method, QueueingMethod::Random);
    assert_eq!(drop.items()[0].stock, 3);
    assert_eq!(
        drop.paths.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["/a", "/b/*"]
    );
    assert_eq!(drop.title, "Now");
    assert_eq!(loaded.config.server.trusted_proxies.len(), 1);
}

#[test]
fn mistakes_in_overrides_are_reported_under_their_names() {
    let environment = Environment::from_iter([
        ("DOORLINE__ADMIN__TOKEN", "hunter2"),
        ("DOORLINE__DROP__AURORE__TITLE", "x"),
        ("DOORLINE__DROP__AURORA__SESSION_DURATION", "600"),
        ("DOORLINE__DROP__AURORA__TOTAL_ACTIVE_USERS", "many"),
        ("DOORLINE__SERVER", "x"),
        ("DOORLINE__SERVER__LISTEN__PORT", "1"),
        ("DOORLINE__SERVER__LISEN", "x"),
        ("DOORLINE__UPSTREAM__URL", "http://user:hunter2@shop"),
        ("DOORLINE__", "x"),
    ]);
    let flags = [
        flag("payment.provider=strip"),
        flag("server.public_url=https://x/y"),
    ];
    let report = parse("config.toml", DROP, &flags, &environment).expect_err("mistakes");
    assert!(!report.to_string().contains("hunter2"));
    insta::assert_snapshot!("overrides", report);
}

#[test]
fn a_flag_without_key_or_value_is_wrong_usage() {
    for text in ["server.listen", "=x", "server..listen=x", ""] {
        assert!(Override::from_flag(text).is_err(), "{text}");
    }
    assert!(
        Override::from_flag("drop.aurora.notice=a = b").is_ok(),
        "a value may hold ="
    );
}

#[test]
fn an_override_of_a_broken_section_is_not_blamed_for_it() {
    let environment = Environment::from_iter([("DOORLINE__SERVER__LISTEN", "127.0.0.1:1")]);
    let report = parse("config.toml", "server = 1\n", &[], &environment).expect_err("server is a table");
    assert_eq!(report.mistakes(), 1);
    assert!(
        report
            .to_string()
            .starts_with("config.toml:1:10: `server` is a part of its own"),
        "{report}"
    );
}
