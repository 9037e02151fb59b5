//! The commands that need no running gateway: `check`, `config …`, `completions`.

use std::io::{self, Write};

use clap::CommandFactory as _;
use serde_json::{Value, json};

use super::args::{Cli, Command, ConfigCommand, GlobalOptions, OutputForm};
use super::exit::Exit;
use crate::config::{self, Environment, LoadError, Loaded, Report, Severity};

/// Runs `cli` if it is an offline command; nothing where it needs a running gateway.
/// Results go to `out`, complaints to `err`.
pub fn run(
    cli: &Cli,
    environment: &Environment,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Option<io::Result<Exit>> {
    let global = &cli.global;
    Some(match &cli.command {
        Command::Check => check(global, environment, out),
        Command::Config(ConfigCommand::Example) => done(out, &config::example()),
        Command::Config(ConfigCommand::Schema) => pretty(out, &config::json_schema()),
        Command::Config(ConfigCommand::Print) => print(global, environment, out, err),
        Command::Completions(options) => {
            // Written to memory first: the generator panics where its writer fails, as a closed pipe does.
            let mut script = Vec::new();
            clap_complete::generate(options.shell, &mut Cli::command(), "doorline", &mut script);
            out.write_all(&script).map(|()| Exit::Done)
        }
        Command::Demo(_)
        | Command::Serve(_)
        | Command::Migrate
        | Command::Restore(_)
        | Command::Status(_)
        | Command::Pause(_)
        | Command::Resume(_)
        | Command::Drain(_)
        | Command::End(_)
        | Command::QueueAll(_)
        | Command::Rate(_)
        | Command::Stock(_)
        | Command::Log(_)
        | Command::Report(_)
        | Command::Payments(_)
        | Command::Checkout(_)
        | Command::Orders(_)
        | Command::Parked(_)
        | Command::Webhooks(_)
        | Command::Audit
        | Command::Reconcile => return None,
    })
}

/// Loads the configuration for a command that needs one. Mistakes and warnings go to `err`.
pub fn load_config(
    global: &GlobalOptions,
    environment: &Environment,
    err: &mut dyn Write,
) -> io::Result<Result<Loaded, Exit>> {
    match config::load(global.config.as_deref(), &global.overrides, environment) {
        Ok(loaded) => {
            write!(err, "{}", loaded.warnings)?;
            Ok(Ok(loaded))
        }
        Err(error) => {
            write_load_error(&error, err)?;
            Ok(Err(Exit::Usage))
        }
    }
}

fn check(global: &GlobalOptions, environment: &Environment, out: &mut dyn Write) -> io::Result<Exit> {
    let loaded = config::load(global.config.as_deref(), &global.overrides, environment);
    let exit = if loaded.is_ok() { Exit::Done } else { Exit::Usage };
    match (global.output, &loaded) {
        (OutputForm::Json, loaded) => {
            pretty(out, &check_as_json(loaded))?;
        }
        (OutputForm::Table, Ok(loaded)) => {
            write!(out, "{}", loaded.warnings)?;
            writeln!(out, "{}", summary(loaded))?;
        }
        (OutputForm::Table, Err(error)) => write_load_error(error, out)?,
    }
    Ok(exit)
}

/// One line that shows the reader that the right file was read.
fn summary(loaded: &Loaded) -> String {
    let config = &loaded.config;
    let file = loaded
        .file
        .as_ref()
        .map_or_else(|| "built-in defaults".to_owned(), |f| f.display().to_string());
    let drops: Vec<&str> = config.drops.iter().map(|drop| drop.id.as_str()).collect();
    let drops = if drops.is_empty() {
        "no drops".to_owned()
    } else {
        format!("drops: {}", drops.join(", "))
    };
    let upstream = config.upstream.url.to_string();
    format!(
        "{file}: no mistakes; {drops}; {} -> {}",
        config.server.listen,
        upstream.trim_end_matches('/')
    )
}

fn write_load_error(error: &LoadError, out: &mut dyn Write) -> io::Result<()> {
    match error {
        LoadError::Invalid(report) => {
            let mistakes = report.mistakes();
            let noun = if mistakes == 1 { "mistake" } else { "mistakes" };
            writeln!(out, "{report}\n{mistakes} {noun}")
        }
        LoadError::Unreadable { source, .. } => writeln!(out, "{error}: {source}"),
        LoadError::TooLarge { .. } => writeln!(out, "{error}"),
    }
}

fn check_as_json(loaded: &Result<Loaded, LoadError>) -> Value {
    let listed = |report: &Report, severity: Severity| -> Vec<Value> {
        let findings = report
            .findings()
            .iter()
            .filter(|finding| finding.severity() == severity);
        findings
            .map(|finding| {
                let at = report.position(finding);
                json!({
                    "source": at.source, "line": at.line, "column": at.column, "message": finding.message(),
                })
            })
            .collect()
    };
    let answer = |mistakes: Vec<Value>, warnings: Vec<Value>| json!({ "ok": mistakes.is_empty(), "mistakes": mistakes, "warnings": warnings });
    match loaded {
        Ok(loaded) => answer(Vec::new(), listed(&loaded.warnings, Severity::Warning)),
        Err(LoadError::Invalid(report)) => answer(
            listed(report, Severity::Mistake),
            listed(report, Severity::Warning),
        ),
        Err(error) => {
            let mut message = Vec::new();
            write_load_error(error, &mut message).expect("memory takes whatever is written to it");
            let message = String::from_utf8_lossy(&message).trim().to_owned();
            answer(
                vec![json!({ "source": null, "line": null, "column": null, "message": message })],
                Vec::new(),
            )
        }
    }
}

fn print(
    global: &GlobalOptions,
    environment: &Environment,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Exit> {
    let loaded = match load_config(global, environment, err)? {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    let text = loaded.to_toml(environment);
    match global.output {
        OutputForm::Table => done(out, &text),
        OutputForm::Json => {
            let value: toml::Table = toml::from_str(&text).expect("what is printed can be read");
            pretty(out, &serde_json::to_value(value).map_err(io::Error::other)?)
        }
    }
}

fn pretty(out: &mut dyn Write, value: &Value) -> io::Result<Exit> {
    done(out, &format!("{value:#}\n"))
}

fn done(out: &mut dyn Write, text: &str) -> io::Result<Exit> {
    out.write_all(text.as_bytes())?;
    Ok(Exit::Done)
}
