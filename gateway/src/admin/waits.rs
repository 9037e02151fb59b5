//! The histogram of waits, written in the text format straight from the desk's figures. They are
//! kept in buckets already, and an observation cannot be made of a bucket without inventing it.

use std::fmt::Write as _;

use admission::Figures;
use admission::figures::WAIT_BUCKETS_SECS;
use domain::Span;

use super::Admin;

const HEAD: &str = "# HELP doorline_wait_seconds From join to admission, in seconds.\n\
                    # TYPE doorline_wait_seconds histogram\n";

/// Appends the family to `text`; nothing where there is no drop.
pub(super) fn write(admin: &Admin, text: &mut Vec<u8>) {
    let Some(front) = &admin.front else { return };
    let mut series = String::new();
    for drop in admin.drops.load().keys() {
        if let Some(figures) = front.desk.figures(drop) {
            write_drop(drop.as_str(), &figures, &mut series);
        }
    }
    if !series.is_empty() {
        text.extend_from_slice(HEAD.as_bytes());
        text.extend_from_slice(series.as_bytes());
    }
}

/// Writing to a string cannot fail, and a drop's id needs no escaping.
fn write_drop(drop: &str, figures: &Figures, text: &mut String) {
    let bounds = WAIT_BUCKETS_SECS.iter().map(u64::to_string);
    let bounds = bounds.chain(std::iter::once("+Inf".to_owned()));
    let mut count = 0;
    for (bound, within) in bounds.zip(figures.wait_buckets) {
        count += within;
        let _ = writeln!(
            text,
            "doorline_wait_seconds_bucket{{drop=\"{drop}\",le=\"{bound}\"}} {count}"
        );
    }
    let sum = Span::from_millis(figures.wait_millis_sum)
        .as_duration()
        .as_secs_f64();
    let _ = writeln!(text, "doorline_wait_seconds_sum{{drop=\"{drop}\"}} {sum}");
    let _ = writeln!(text, "doorline_wait_seconds_count{{drop=\"{drop}\"}} {count}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_end_with_all() {
        let mut figures = Figures::default();
        figures.wait_buckets[0] = 2;
        figures.wait_buckets[3] = 1;
        figures.wait_buckets[WAIT_BUCKETS_SECS.len()] = 4;
        figures.wait_millis_sum = 12_500;
        let mut text = String::new();
        write_drop("aurora", &figures, &mut text);
        for line in [
            "doorline_wait_seconds_bucket{drop=\"aurora\",le=\"1\"} 2\n",
            "doorline_wait_seconds_bucket{drop=\"aurora\",le=\"5\"} 2\n",
            "doorline_wait_seconds_bucket{drop=\"aurora\",le=\"10\"} 3\n",
            "doorline_wait_seconds_bucket{drop=\"aurora\",le=\"3600\"} 3\n",
            "doorline_wait_seconds_bucket{drop=\"aurora\",le=\"+Inf\"} 7\n",
            "doorline_wait_seconds_sum{drop=\"aurora\"} 12.5\n",
            "doorline_wait_seconds_count{drop=\"aurora\"} 7\n",
        ] {
            assert!(text.contains(line), "{line} is missing in {text}");
        }
    }
}
