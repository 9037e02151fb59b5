//! Everything that can be typed after `doorline`: commands, options, their help and examples.

use std::path::PathBuf;

use checkout_worker::ledger::UNITS_MAX;
use clap::{Args, Parser, Subcommand, ValueEnum};
use domain::{DropId, Sku};

use crate::admin::operator::{NAME_BYTES_MAX, is_name};
use crate::config::Override;
use crate::config::duration::{InvalidDuration, parse_duration};

/// Version and commit.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("DOORLINE_COMMIT"), ")");

const EXAMPLES: &str = "\
Examples:
  doorline demo                            watch a whole flash sale on this machine
  doorline config example > config.toml    begin with a commented configuration
  doorline check                           find every mistake in it
  doorline serve                           hold the door of the shop at [upstream]
  doorline status --watch                  see what a running gateway does
  doorline pause aurora                    call nobody for now

Exit codes: 0 done, 1 ran and failed, 2 wrong usage or configuration.";

/// The command line.
#[derive(Parser, Clone, Debug)]
#[command(
    name = "doorline",
    version = VERSION,
    about = "A flash-sale gateway: holds the door, keeps places, sells exactly what there is",
    after_help = EXAMPLES,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: GlobalOptions,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Args, Clone, Debug, Default)]
pub struct GlobalOptions {
    /// Configuration file [default: ./config.toml if there is one]
    #[arg(long, global = true, value_name = "FILE", env = "DOORLINE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Override one key of the configuration, such as `server.listen=0.0.0.0:8080`; may be repeated
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = Override::from_flag)]
    pub overrides: Vec<Override>,
    /// Who acts, for the operators' log [default: the login name]
    #[arg(long, global = true, value_name = "NAME", env = "DOORLINE_OPERATOR", value_parser = operator_name)]
    pub operator: Option<String>,
    /// How results are written
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORM")]
    pub output: OutputForm,
}

/// How results are written.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum OutputForm {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

/// What to do.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Run a whole flash sale on this machine: shop, payment and a crowd of simulated shoppers
    #[command(
        after_help = "Example:\n  doorline demo --shoppers 2000 --stock 200 --exit --report report.json"
    )]
    Demo(DemoOptions),
    /// Run the gateway in front of the shop
    #[command(after_help = "Example:\n  doorline serve --config shop.toml --set log.format=json")]
    Serve(ServeOptions),
    /// Bring the tables of a shared Postgres up to this version; embedded mode migrates itself
    #[command(after_help = "Example:\n  doorline migrate --config shop.toml")]
    Migrate,
    /// After the ledger was restored from a backup: compare it with the payment provider, and mend
    #[command(
        after_help = "Stop every gateway and worker first. Example:\n  doorline restore --lost 6h --config shop.toml"
    )]
    Restore(RestoreOptions),
    /// Check the configuration and show all mistakes at once
    #[command(after_help = "Example:\n  doorline check --config shop.toml --output json")]
    Check,
    /// Show an example, the effective configuration, or its JSON Schema
    #[command(subcommand, after_help = "Example:\n  doorline config example > config.toml")]
    Config(ConfigCommand),
    /// Show the drops of a running gateway
    #[command(after_help = "Examples:\n  doorline status\n  doorline status aurora --watch")]
    Status(StatusOptions),
    /// Call nobody until `resume`; places are kept
    Pause(DropArgument),
    /// Go on calling
    Resume(DropArgument),
    /// Let nobody join and call nobody more; those who were called still come in
    Drain(DropArgument),
    /// End a drop for everybody
    End(DropArgument),
    /// Hold everybody in the queue
    QueueAll(DropArgument),
    /// Set how many shoppers are let in per minute
    #[command(after_help = "Example:\n  doorline rate aurora 300")]
    Rate(RateOptions),
    /// Add units to a running drop, or withdraw free ones
    #[command(
        after_help = "Examples:\n  doorline stock aurora add AUR-42 10\n  doorline stock aurora withdraw AUR-42 5"
    )]
    Stock(StockOptions),
    /// Stop or resume payments; orders are accepted meanwhile, and wait
    #[command(
        subcommand,
        after_help = "Examples:\n  doorline payments pause\n  doorline payments resume aurora"
    )]
    Payments(SwitchCommand),
    /// Stop or resume the taking of new orders; those that exist go on
    #[command(
        subcommand,
        after_help = "Examples:\n  doorline checkout pause aurora\n  doorline checkout resume aurora"
    )]
    Checkout(SwitchCommand),
    /// Look into orders and mend them
    #[command(
        subcommand,
        after_help = "Example:\n  doorline orders list --drop aurora --state paid"
    )]
    Orders(OrdersCommand),
    /// Look into orders that need a person
    #[command(
        subcommand,
        after_help = "Example:\n  doorline parked retry 01890a5d-ac96-774b-bcce-b302099a8057"
    )]
    Parked(ParkedCommand),
    /// Look into events that your own system has not taken, and send them once more
    #[command(
        subcommand,
        after_help = "Examples:\n  doorline webhooks list --state given-up\n  doorline webhooks replay --since 2h"
    )]
    Webhooks(WebhooksCommand),
    /// Show what a drop came to
    #[command(after_help = "Example:\n  doorline report aurora --output json")]
    Report(DropArgument),
    /// Count whether every unit and every charge adds up; exit 1 where not
    Audit,
    /// Show who did what, when, and how it was before and after
    #[command(after_help = "Example:\n  doorline log --since 2h")]
    Log(LogOptions),
    /// Compare all open orders with the payment provider, and mend; exit 1 where something is left
    Reconcile,
    /// Write completions for a shell
    #[command(after_help = "Example:\n  doorline completions bash > /etc/bash_completion.d/doorline")]
    Completions(CompletionsOptions),
}

/// `doorline demo`.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub struct DemoOptions {
    /// Simulated shoppers
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(0..=200_000))]
    pub shoppers: u32,
    /// Units for sale
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub stock: u32,
    /// Repeat the same crowd [default: another each time]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Until then the drop is in its prequeue
    #[arg(long, value_name = "SECONDS", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub opens_in: u64,
    /// Two gateways and two workers, on a Redis, a RabbitMQ and a Postgres of their own
    #[arg(long)]
    pub distributed: bool,
    /// Leave when the drop is over; otherwise keep serving
    #[arg(long)]
    pub exit: bool,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE.json")]
    pub report: Option<PathBuf>,
    /// No progress bars
    #[arg(long)]
    pub quiet: bool,
}

/// `doorline serve`.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub struct ServeOptions {
    /// Which part to run; embedded backends need `all`
    #[arg(long, value_enum, default_value_t)]
    pub role: Role,
}

/// Which part of the program runs in this process.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Role {
    /// Gateway and workers
    #[default]
    All,
    /// What shoppers reach
    Gateway,
    /// What takes orders to payment
    Worker,
}

impl From<Role> for crate::assembly::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::All => Self::All,
            Role::Gateway => Self::Gateway,
            Role::Worker => Self::Worker,
        }
    }
}

/// `doorline restore`.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub struct RestoreOptions {
    /// How far back the copy may lie: payments since then are compared
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub lost: domain::Span,
}

/// `doorline config …`.
#[derive(Subcommand, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigCommand {
    /// Every key, with its meaning
    Example,
    /// What is in force: defaults, file, environment and flags; secrets are not shown
    Print,
    /// JSON Schema, for editors
    Schema,
}

/// `doorline status`.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub struct StatusOptions {
    /// Only this drop
    #[arg(value_parser = DropId::new)]
    pub drop: Option<DropId>,
    /// Keep showing it
    #[arg(long)]
    pub watch: bool,
}

/// Names a drop.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub struct DropArgument {
    /// The drop's id
    #[arg(value_parser = DropId::new)]
    pub drop: DropId,
}

/// `doorline rate`.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub struct RateOptions {
    /// The drop's id
    #[arg(value_parser = DropId::new)]
    pub drop: DropId,
    /// Shoppers per minute
    #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub new_users_per_minute: u32,
}

/// `doorline stock`.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub struct StockOptions {
    /// The drop's id
    #[arg(value_parser = DropId::new)]
    pub drop: DropId,
    /// What to do
    #[command(subcommand)]
    pub change: StockCommand,
}

/// `doorline stock DROP …`.
#[derive(Subcommand, Clone, PartialEq, Eq, Debug)]
pub enum StockCommand {
    /// So many units more
    Add(StockUnits),
    /// Take so many free units out
    Withdraw(StockUnits),
}

/// Units of one SKU.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub struct StockUnits {
    /// The stock keeping unit
    #[arg(value_parser = Sku::new)]
    pub sku: Sku,
    /// Units
    #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(UNITS_MAX)))]
    pub units: u32,
}

/// `doorline log`.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub struct LogOptions {
    /// Only what was done within this time, such as `2h`
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub since: Option<String>,
    /// At most so many lines, the newest ones
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub limit: u32,
}

/// `doorline payments …` and `doorline checkout …`.
#[derive(Subcommand, Clone, PartialEq, Eq, Debug)]
pub enum SwitchCommand {
    /// Stop, until `resume`; holds over restarts
    Pause(SwitchTarget),
    /// Go on
    Resume(SwitchTarget),
}

/// Where a switch is turned.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub struct SwitchTarget {
    /// Only this drop [default: all drops]
    #[arg(value_parser = DropId::new)]
    pub drop: Option<DropId>,
}

/// `doorline orders …`.
#[derive(Subcommand, Clone, PartialEq, Eq, Debug)]
pub enum OrdersCommand {
    /// List orders, the newest first
    List(OrderFilter),
    /// Show one order with all that is known of it
    Show(OrderArgument),
    /// Cancel an order, where still possible
    Cancel(OrderArgument),
    /// Pay a paid order back; its units stay sold, unless they are put back on sale
    Refund(RefundArgument),
}

/// Which orders to list.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub struct OrderFilter {
    /// Only of this drop
    #[arg(long, value_parser = DropId::new)]
    pub drop: Option<DropId>,
    /// Only in this state, such as `paid`
    #[arg(long)]
    pub state: Option<String>,
    /// Only those made before this order: the last one shown, for the next page
    #[arg(long, value_name = "ORDER")]
    pub after: Option<uuid::Uuid>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub limit: u32,
}

/// Which order to pay back, and what becomes of its units.
#[derive(Args, Clone, Copy, PartialEq, Eq, Debug)]
pub struct RefundArgument {
    /// The order's id
    pub order: uuid::Uuid,
    /// Put the units back on sale: they go to whoever waits
    #[arg(long)]
    pub restock: bool,
}

/// Names an order.
#[derive(Args, Clone, Copy, PartialEq, Eq, Debug)]
pub struct OrderArgument {
    /// The order's id
    pub order: uuid::Uuid,
}

/// `doorline parked …`.
#[derive(Subcommand, Clone, PartialEq, Eq, Debug)]
pub enum ParkedCommand {
    /// List them with their reasons
    List,
    /// Show one
    Show(OrderArgument),
    /// Try again, with the same keys
    Retry(OrderArgument),
}

/// `doorline webhooks …`.
#[derive(Subcommand, Clone, PartialEq, Eq, Debug)]
pub enum WebhooksCommand {
    /// List what was not taken, with the last outcome
    List(WebhookFilter),
    /// Send events once more, in order for each order
    Replay(ReplayOptions),
}

/// Which events to list.
#[derive(Args, Clone, Copy, PartialEq, Eq, Debug)]
pub struct WebhookFilter {
    /// Only in this state
    #[arg(long, value_enum)]
    pub state: Option<WebhookState>,
    /// At most so many of each state
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub limit: u32,
}

/// Where the sending of an event stands.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum WebhookState {
    /// To be tried, or tried again
    Pending,
    /// Not tried any more
    GivenUp,
}

/// What to send once more.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub struct ReplayOptions {
    /// Everything about this order, also what was taken
    #[arg(required_unless_present = "since", conflicts_with = "since")]
    pub order: Option<uuid::Uuid>,
    /// What happened within this time and was not taken, such as `2h`
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub since: Option<String>,
    /// With --since: also what was taken
    #[arg(long, requires = "since")]
    pub all: bool,
}

/// A name for the operators' log.
fn operator_name(text: &str) -> Result<String, String> {
    let hint = || format!("a name has 1 to {NAME_BYTES_MAX} printable ASCII characters");
    is_name(text).then(|| text.to_owned()).ok_or_else(hint)
}

/// A length of time as the configuration writes it.
fn duration(text: &str) -> Result<String, InvalidDuration> {
    parse_duration(text).map(|_| text.to_owned())
}

/// `doorline completions`.
#[derive(Args, Clone, Copy, PartialEq, Eq, Debug)]
pub struct CompletionsOptions {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}
