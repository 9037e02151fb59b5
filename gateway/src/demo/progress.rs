//! What the demo prints: bars while the sale runs, the report when it is over.
#![expect(
    clippy::print_stdout,
    reason = "the demo's output is for the person at the terminal"
)]

use std::sync::Arc;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use sandbox::crowd::{Crowd, CrowdReport, Progress};
use tokio::task::JoinHandle;

use super::report::Report;
use super::settings::{DROP, Plan};
use super::stage::Stage;
use crate::admin::wire::DropStatus;
use crate::cli::args::DemoOptions;

/// How often the bars are drawn.
const REDRAW: Duration = Duration::from_millis(200);

/// Says where to look before the crowd comes.
pub(super) fn announce(stage: &Stage, plan: &Plan) {
    println!(
        "The drop opens in {} seconds. Come along and buy a pair:",
        plan.prequeue.as_secs()
    );
    println!(
        "  shop     http://localhost:{}/drops/aurora",
        stage.address.port()
    );
    println!("  metrics  http://{}/metrics", stage.admin_address);
    println!(
        "{} simulated shoppers, {} units, at most {} inside at once, {} let in per minute.\n",
        plan.shoppers, plan.stock, plan.total_active_users, plan.new_users_per_minute
    );
}

/// The bars of a running sale.
pub(super) struct Bars {
    bars: Option<(MultiProgress, JoinHandle<()>)>,
}

struct Lines {
    joined: ProgressBar,
    admitted: ProgressBar,
    paid: ProgressBar,
    gone: ProgressBar,
}

impl Bars {
    pub(super) fn start(
        crowd: &Crowd,
        stage: &Stage,
        plan: &Plan,
        options: &DemoOptions,
    ) -> anyhow::Result<Self> {
        if options.quiet {
            return Ok(Self { bars: None });
        }
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let lines = Lines {
            joined: bar(&all, "joined", plan.shoppers),
            admitted: bar(&all, "let in", plan.shoppers),
            paid: bar(&all, "sold", plan.stock),
            gone: bar(&all, "gone home", plan.shoppers),
        };
        let (counts, admin) = (crowd.progress(), stage.admin()?);
        let path = format!("drops/{DROP}");
        let drawing = async move {
            let mut ticks = tokio::time::interval(REDRAW);
            loop {
                ticks.tick().await;
                draw(&lines, &counts);
                if let Ok(drop) = admin.get::<DropStatus>(&path).await {
                    lines
                        .admitted
                        .set_message(format!("{}, paced by {}", drop.phase, drop.outflow_bound));
                    lines.joined.set_message(format!("{} waiting", drop.waiting));
                }
            }
        };
        #[expect(clippy::disallowed_methods, reason = "aborted by finish; draws only")]
        let task = tokio::spawn(drawing);
        Ok(Self {
            bars: Some((all, task)),
        })
    }

    /// Stops drawing and leaves the last picture.
    pub(super) fn finish(self) {
        if let Some((_, task)) = self.bars {
            task.abort();
            println!();
        }
    }
}

fn bar(all: &MultiProgress, name: &'static str, length: u32) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:>10} {bar:40} {pos:>6}/{len} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = all.add(ProgressBar::new(u64::from(length)).with_style(style));
    bar.set_prefix(name);
    bar
}

fn draw(lines: &Lines, counts: &Arc<Progress>) {
    let counts = counts.counts();
    lines.joined.set_position(counts.joined);
    lines.admitted.set_position(counts.admitted);
    lines.paid.set_position(counts.paid);
    lines.gone.set_position(counts.finished);
}

/// Says that the show is over and the stage still lit.
pub(super) fn keep_serving(stage: &Stage) {
    println!(
        "\nStill serving at http://localhost:{}/drops/aurora; Ctrl-C ends it.",
        stage.address.port()
    );
}

/// Says who did how much of the work, where it was shared.
pub(super) fn print_shares(shares: &[String]) {
    for share in shares {
        println!("  {share}");
    }
}

/// Prints the report for programs.
pub(super) fn print_json(text: &str) {
    println!("{text}");
}

/// Prints the report for people.
pub(super) fn print_report(report: &Report, seen: &CrowdReport) {
    let Report {
        shoppers,
        joined,
        admitted,
        no_shows,
        reserved,
        orders_accepted,
        ..
    } = report;
    let Report {
        paid,
        declined,
        released,
        stock,
        sold,
        limits,
        wait_seconds: wait,
        ..
    } = report;
    println!(
        "The sale took {:.1} s (seed {}).",
        report.duration_seconds, report.seed
    );
    println!(
        "  shoppers   {shoppers}, {joined} joined, {admitted} let in, {no_shows} did not come when called"
    );
    println!(
        "  orders     {reserved} reserved, {orders_accepted} accepted: {paid} paid, {declined} declined, {released} released"
    );
    println!("  stock      {sold} of {stock} sold");
    println!(
        "  waits      p50 {:.1} s, p90 {:.1} s, p99 {:.1} s, longest {:.1} s",
        wait.p50, wait.p90, wait.p99, wait.max
    );
    println!(
        "  latency    join p99 {:.1} ms, poll p99 {:.1} ms",
        report.join_ms.p99, report.poll_ms.p99
    );
    println!(
        "  limits     {} of {} inside at once, {} of {} let in within 60 s",
        report.max_active_users,
        limits.total_active_users,
        report.max_admitted_in_60s,
        limits.new_users_per_minute
    );
    println!(
        "  must be 0  {} oversold, {} charged twice, {} charged without stock, {} accepted orders lost",
        report.oversold, report.double_charged, report.charged_without_stock, report.accepted_lost
    );
    for violation in &seen.violations {
        println!("  a shopper saw: {violation}");
    }
    println!(
        "{}",
        if report.is_clean() {
            "Everything adds up."
        } else {
            "SOMETHING DOES NOT ADD UP."
        }
    );
}
