//! The commands that serve, or that speak to a gateway that does.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::args::{
    Cli, Command, LogOptions, OrdersCommand, OutputForm, ParkedCommand, StatusOptions, StockCommand,
    StockOptions, StockUnits, SwitchCommand, WebhookState, WebhooksCommand,
};
use super::{Exit, offline, show, signals};
use crate::admin::client::Client;
use crate::admin::operator::is_name;
use crate::admin::wire::log::LogLine;
use crate::admin::wire::report::Report;
use crate::admin::wire::stock::{StockRequest, StockStatus};
use crate::admin::wire::webhooks::{ReplayRequest, Replayed, WebhookStatus};
use crate::admin::wire::{Audit, DropChange, DropStatus, Mending, OrderStatus, RestoreStatus, SwitchStatus};
use crate::assembly::{self, Doorline, Following, Ground, Role, Source, Worker};
use crate::config::secret::admin::existing_admin_token;
use crate::config::{BackendMode, Environment, Loaded, LogFormat, SecretError};
use crate::system::{SystemClock, SystemEntropy};
use crate::{demo, telemetry};

/// How often `status --watch` looks again.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// Runs a command that needs a runtime, and says how it ended. Complaints go to standard error.
pub fn run(cli: &Cli, environment: Environment) -> Exit {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&anyhow::Error::from(error)),
    };
    runtime
        .block_on(dispatch(cli, environment))
        .unwrap_or_else(|error| complain(&error))
}

fn complain(error: &anyhow::Error) -> Exit {
    // Where standard error is closed there is nobody to complain to.
    let _ = writeln!(io::stderr(), "doorline: {error:#}");
    // A secret that is named and not there is a mistake in the configuration, wherever it is found.
    let misconfigured = error.chain().any(<dyn std::error::Error>::is::<SecretError>);
    if misconfigured { Exit::Usage } else { Exit::Failed }
}

async fn dispatch(cli: &Cli, environment: Environment) -> anyhow::Result<Exit> {
    if let Command::Demo(options) = &cli.command {
        telemetry::start_logging("error", LogFormat::Text);
        let ground = ground(environment);
        let stop = signals::listen(|| {})?;
        let clean = demo::run(options, cli.global.output, &ground, stop).await?;
        return Ok(if clean { Exit::Done } else { Exit::Failed });
    }
    let loaded = match offline::load_config(&cli.global, &environment, &mut io::stderr())? {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    match &cli.command {
        Command::Serve(options) => return serve(loaded, cli, options.role.into(), environment).await,
        Command::Migrate => {
            assembly::migrate(&loaded.config, &ground(environment)).await?;
            return Ok(Exit::Done);
        }
        Command::Restore(options) => {
            telemetry::start_logging(loaded.config.log.level.as_str(), loaded.config.log.format);
            let restored = assembly::restore(&loaded.config, &ground(environment), options.lost).await?;
            let restored = RestoreStatus::from(&restored);
            show::restored(&restored, cli.global.output, &mut io::stdout())?;
            return Ok(if restored.done { Exit::Done } else { Exit::Failed });
        }
        _ => {}
    }
    let token = existing_admin_token(&loaded.config, &environment)?;
    let token =
        token.context("no admin token is configured, and no gateway has left one in backend.data_dir")?;
    let operator = cli.global.operator.clone().or_else(|| login_name(&environment));
    let client = Client::new(loaded.config.admin.listen, token, operator)?;
    ask(cli, &client).await
}

/// Whose terminal it is, as the shell says; nothing where that is no name to write down.
fn login_name(environment: &Environment) -> Option<String> {
    let names = ["LOGNAME", "USER"].into_iter();
    let name = names
        .filter_map(|name| environment.get(name))
        .find(|name| is_name(name));
    name.map(str::to_owned)
}

fn ground(environment: Environment) -> Ground {
    Ground {
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        environment,
    }
}

/// `doorline serve`: until a signal, then drains.
async fn serve(loaded: Loaded, cli: &Cli, role: Role, environment: Environment) -> anyhow::Result<Exit> {
    let ground = ground(environment);
    let config = &loaded.config;
    let log = telemetry::start_logging(config.log.level.as_str(), config.log.format);
    // From here on a hang-up asks for the configuration to be read again, and no longer ends the process.
    let hangups = signals::hangups()?;
    let role = match config.backend.mode {
        BackendMode::Embedded if role != Role::All => {
            tracing::warn!(
                "backend.mode = \"embedded\" is one process that does everything: it takes every role"
            );
            Role::All
        }
        BackendMode::Embedded | BackendMode::Distributed => role,
    };
    let source = Source {
        file: cli.global.config.clone(),
        overrides: cli.global.overrides.clone(),
        environment: ground.environment.clone(),
    };
    let following = Following::new(source, &loaded, log, hangups);
    let listen = || signals::listen(|| tracing::info!("stopping: what is open is brought to its end"));
    if role == Role::Worker {
        let worker = Worker::open(config, &ground).await?;
        worker.follow(following);
        listen()?.cancelled().await;
        worker.close().await;
    } else {
        let house = Doorline::open(config, role, &ground).await?;
        house.follow(following);
        listen()?.cancelled().await;
        house.close().await;
    }
    Ok(Exit::Done)
}

/// A command to a running gateway.
async fn ask(cli: &Cli, client: &Client) -> anyhow::Result<Exit> {
    let form = cli.global.output;
    let mut out = io::stdout();
    match &cli.command {
        Command::Status(options) => status(options, client, form, &mut out).await?,
        Command::Pause(target) => command(client, target.drop.as_str(), "pause", form, &mut out).await?,
        Command::Resume(target) => command(client, target.drop.as_str(), "resume", form, &mut out).await?,
        Command::Drain(target) => command(client, target.drop.as_str(), "drain", form, &mut out).await?,
        Command::End(target) => command(client, target.drop.as_str(), "end", form, &mut out).await?,
        Command::QueueAll(target) => {
            command(client, target.drop.as_str(), "queue-all", form, &mut out).await?;
        }
        Command::Rate(options) => {
            let change = DropChange {
                new_users_per_minute: Some(options.new_users_per_minute),
                ..DropChange::default()
            };
            let status: DropStatus = client.patch(&format!("drops/{}", options.drop), &change).await?;
            show::drops(&[status], form, &mut out)?;
        }
        Command::Stock(options) => stock(options, client, form, &mut out).await?,
        Command::Log(options) => log(options, client, form, &mut out).await?,
        Command::Report(target) => {
            let report: Report = client.get(&format!("drops/{}/report", target.drop)).await?;
            show::report(&report, form, &mut out)?;
        }
        Command::Payments(turned) => switch(client, "payments", turned, form, &mut out).await?,
        Command::Checkout(turned) => switch(client, "checkout", turned, form, &mut out).await?,
        Command::Orders(orders) => self::orders(orders, client, form, &mut out).await?,
        Command::Parked(parked) => self::parked(parked, client, form, &mut out).await?,
        Command::Webhooks(webhooks) => self::webhooks(webhooks, client, form, &mut out).await?,
        Command::Audit => return audited(&client.get("audit").await?, form, &mut out),
        Command::Reconcile => return audited(&client.post("reconcile").await?, form, &mut out),
        Command::Demo(_)
        | Command::Serve(_)
        | Command::Migrate
        | Command::Restore(_)
        | Command::Check
        | Command::Config(_)
        | Command::Completions(_) => {}
    }
    Ok(Exit::Done)
}

async fn status(
    options: &StatusOptions,
    client: &Client,
    form: OutputForm,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    loop {
        let drops: Vec<DropStatus> = match &options.drop {
            Some(drop) => vec![client.get(&format!("drops/{drop}")).await?],
            None => client.get("drops").await?,
        };
        show::drops(&drops, form, out)?;
        if !options.watch {
            return Ok(());
        }
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

async fn command(
    client: &Client,
    drop: &str,
    verb: &str,
    form: OutputForm,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let status: DropStatus = client.post(&format!("drops/{drop}/{verb}")).await?;
    show::drops(&[status], form, out)
}

async fn stock(
    options: &StockOptions,
    client: &Client,
    form: OutputForm,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let request = |units: &StockUnits| StockRequest {
        sku: units.sku.to_string(),
        ..StockRequest::default()
    };
    let request = match &options.change {
        StockCommand::Add(units) => StockRequest {
            add: Some(units.units),
            ..request(units)
        },
        StockCommand::Withdraw(units) => StockRequest {
            withdraw: Some(units.units),
            ..request(units)
        },
    };
    let path = format!("drops/{}/stock", options.drop);
    let status: StockStatus = client.post_with(&path, &request).await?;
    show::stock(&status, form, out)
}

async fn log(
    options: &LogOptions,
    client: &Client,
    form: OutputForm,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let since = options.since.as_ref().map(|since| format!("&since={since}"));
    let path = format!("audit-log?limit={}{}", options.limit, since.unwrap_or_default());
    let lines: Vec<LogLine> = client.get(&path).await?;
    show::log(&lines, form, out)
}

async fn switch(
    client: &Client,
    what: &str,
    turned: &SwitchCommand,
    form: OutputForm,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let (target, verb) = match turned {
        SwitchCommand::Pause(target) => (target, "pause"),
        SwitchCommand::Resume(target) => (target, "resume"),
    };
    let place = target.drop.as_ref().map(|drop| format!("drops/{drop}/"));
    let path = format!("{}{what}/{verb}", place.unwrap_or_default());
    let switched: SwitchStatus = client.post(&path).await?;
    show::switched(what, &switched, form, out)
}

async fn orders(
    command: &OrdersCommand,
    client: &Client,
    form: OutputForm,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let orders: Vec<OrderStatus> = match command {
        OrdersCommand::List(filter) => {
            let drop = filter
                .drop
                .as_ref()
                .map(|drop| format!("&drop={drop}"))
                .unwrap_or_default();
            let state = filter
                .state
                .as_ref()
                .map(|state| format!("&state={state}"))
                .unwrap_or_default();
            let after = filter
                .after
                .as_ref()
                .map(|order| format!("&after={order}"))
                .unwrap_or_default();
            client
                .get(&format!("orders?limit={}{drop}{state}{after}", filter.limit))
                .await?
        }
        OrdersCommand::Show(target) => vec![client.get(&format!("orders/{}", target.order)).await?],
        OrdersCommand::Cancel(target) => vec![client.post(&format!("orders/{}/cancel", target.order)).await?],
        OrdersCommand::Refund(target) => {
            let how = Mending {
                restock: target.restock,
            };
            vec![
                client
                    .post_with(&format!("orders/{}/refund", target.order), &how)
                    .await?,
            ]
        }
    };
    show::orders(&orders, form, out)
}

async fn parked(
    command: &ParkedCommand,
    client: &Client,
    form: OutputForm,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let orders: Vec<OrderStatus> = match command {
        ParkedCommand::List => client.get("parked").await?,
        ParkedCommand::Show(target) => vec![client.get(&format!("orders/{}", target.order)).await?],
        ParkedCommand::Retry(target) => vec![client.post(&format!("orders/{}/retry", target.order)).await?],
    };
    show::orders(&orders, form, out)
}

async fn webhooks(
    command: &WebhooksCommand,
    client: &Client,
    form: OutputForm,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    match command {
        WebhooksCommand::List(filter) => {
            let state = match filter.state {
                None => "",
                Some(WebhookState::Pending) => "&state=pending",
                Some(WebhookState::GivenUp) => "&state=given_up",
            };
            let listed: Vec<WebhookStatus> = client
                .get(&format!("webhooks?limit={}{state}", filter.limit))
                .await?;
            show::webhooks(&listed, form, out)
        }
        WebhooksCommand::Replay(options) => {
            let request = ReplayRequest {
                order: options.order.map(|order| order.to_string()),
                since: options.since.clone(),
                all: options.all,
            };
            let replayed: Replayed = client.post_with("webhooks/replay", &request).await?;
            show::replayed(replayed, form, out)
        }
    }
}

/// Shows an audit; exit 1 where something does not add up.
fn audited(audit: &Audit, form: OutputForm, out: &mut dyn Write) -> anyhow::Result<Exit> {
    show::audit(audit, form, out)?;
    Ok(if audit.clean { Exit::Done } else { Exit::Failed })
}
