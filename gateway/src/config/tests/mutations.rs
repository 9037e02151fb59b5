//! Nothing that can be typed makes the checker panic, and every finding points into the file.

use proptest::prelude::*;

use super::read;
use crate::config::report::Severity;
use crate::config::{Report, example};

/// Values of every kind, to be put where another kind belongs.
const VALUES: [&str; 14] = [
    "",
    "0",
    "-1",
    "99999999999999999999999999",
    "1.5",
    "true",
    "\"\"",
    "\"x\"",
    "\"10m\"",
    "[]",
    "[[1]]",
    "{}",
    "2026-11-27T10:00:00",
    "{ a = 1, b.c = [{}] }",
];

fn assert_points_into(report: &Report, text: &str) {
    let shown = report.to_string();
    assert!(!shown.is_empty(), "a report says something");
    let lines = text.split('\n').count();
    for finding in report.findings() {
        let position = report.position(finding);
        assert!(position.line.unwrap_or(1) <= lines, "{shown}");
        assert!(!finding.message().contains('\n'), "one sentence: {shown}");
    }
}

fn check(text: &str) {
    match read(text) {
        Ok(loaded) => assert_eq!(loaded.warnings.mistakes(), 0),
        Err(report) => {
            assert!(
                report
                    .findings()
                    .iter()
                    .any(|finding| finding.severity() == Severity::Mistake)
            );
            assert_points_into(&report, text);
        }
    }
}

/// The example with every commented key in force.
fn everything() -> String {
    let uncommented = |line: &str| match line.strip_prefix("# ") {
        Some(key) if key.split_once(" = ").is_some_and(|(name, _)| !name.contains(' ')) => key.to_owned(),
        _ => line.to_owned(),
    };
    let lines: Vec<String> = example().lines().map(uncommented).collect();
    lines.join("\n")
}

#[test]
fn any_key_may_be_missing_and_any_value_may_be_wrong() {
    let whole = everything();
    let lines: Vec<&str> = whole.lines().collect();
    let keys = lines.iter().filter(|line| line.contains(" = ")).count();
    assert!(keys > 60, "the example lost its keys");
    for (index, line) in lines.iter().enumerate() {
        let mut changed = lines.clone();
        changed.remove(index);
        check(&changed.join("\n"));
        let Some((key, _)) = line.split_once(" = ") else {
            continue;
        };
        for value in VALUES {
            let line = format!("{key} = {value}");
            let mut changed = lines.clone();
            changed[index] = &line;
            check(&changed.join("\n"));
        }
    }
}

#[test]
fn a_file_of_another_format_is_refused_quickly_and_briefly() {
    let garbage = "<key>value</key>\n".repeat(20_000);
    let report = read(&garbage).expect_err("this is no TOML");
    assert!(report.findings().len() <= 500);
    assert_points_into(&report, &garbage);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_splice_of_the_example_is_survived(at in 0_usize..8_000, cut in 0_usize..40, put in "\\PC{0,12}") {
        let text = everything();
        let start = text.floor_char_boundary(at.min(text.len()));
        let end = text.floor_char_boundary((start + cut).min(text.len()));
        check(&format!("{}{put}{}", &text[..start], &text[end..]));
    }

    #[test]
    fn any_text_is_survived(text in "[\\[\\]a-z=\"'{}#.,\n\t 0-9é-]{0,120}") {
        check(&text);
    }
}
