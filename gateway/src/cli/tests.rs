//! What can be typed, and what the offline commands answer.

use clap::{CommandFactory as _, Parser as _};

use super::Exit;
use super::args::{Cli, Command, OutputForm, Role};
use super::offline;
use crate::config::Environment;

struct Ran {
    exit: Exit,
    out: String,
    err: String,
}

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split(' '))
}

fn run(line: &str, environment: &[(&str, &str)]) -> Ran {
    let cli = parse(line).expect("well-formed");
    let environment: Environment = environment.iter().copied().collect();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = offline::run(&cli, &environment, &mut out, &mut err)
        .expect("an offline command")
        .expect("written");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Ran {
        exit,
        out: text(out),
        err: text(err),
    }
}

fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("shop.toml");
    std::fs::write(&path, text).expect("written");
    let name = path.display().to_string();
    (folder, name)
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_of_the_contract_is_known() {
    for line in [
        "demo --shoppers 2000 --stock 200 --seed 7 --exit --report r.json --quiet",
        "demo --distributed --opens-in 60",
        "serve --role all",
        "check --config shop.toml",
        "config example",
        "config print --output json",
        "config schema",
        "status",
        "status aurora --watch",
        "pause aurora",
        "webhooks list",
        "webhooks list --state given-up --limit 5 --output json",
        "webhooks replay 01890a5d-ac96-774b-bcce-b302099a8057",
        "webhooks replay --since 2h",
        "webhooks replay --since 7d --all",
        "resume aurora",
        "drain aurora",
        "end aurora",
        "queue-all aurora",
        "rate aurora 300",
        "orders list --drop aurora --state paid --limit 5",
        "orders show 01890a5d-ac96-774b-bcce-b302099a8057",
        "orders cancel 01890a5dac96774bbcceb302099a8057",
        "parked list",
        "parked show 01890a5d-ac96-774b-bcce-b302099a8057",
        "parked retry 01890a5d-ac96-774b-bcce-b302099a8057",
        "audit",
        "reconcile",
        "completions bash",
        "--output json --set server.listen=127.0.0.1:1 audit",
    ] {
        if let Err(error) = parse(&format!("doorline {line}")) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn every_example_in_the_help_can_be_typed() {
    let mut root = Cli::command();
    let mut pages = vec![root.render_long_help().to_string()];
    pages.extend(
        root.get_subcommands_mut()
            .map(|command| command.render_long_help().to_string()),
    );
    let typed = |line: &str| {
        line.trim()
            .strip_prefix("doorline ")
            .map(|rest| format!("doorline {rest}"))
    };
    let examples: Vec<String> = pages
        .iter()
        .flat_map(|page| page.lines())
        .filter_map(typed)
        .collect();
    assert!(examples.len() >= 12, "{examples:?}");
    for example in examples {
        // What follows two blanks is an explanation, what follows > belongs to the shell.
        let line = example
            .split("  ")
            .next()
            .unwrap_or_default()
            .split(" >")
            .next()
            .unwrap_or_default()
            .trim();
        assert!(parse(line).is_ok(), "{example}");
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    for line in [
        "doorline",
        "doorline dance",
        "doorline pause",
        "doorline pause Aurora!",
        "doorline rate aurora 0",
        "doorline serve --role king",
        "doorline orders show 12",
        "doorline check --set x",
        "doorline webhooks replay",
        "doorline stock aurora",
        "doorline stock aurora add AUR-42",
        "doorline stock aurora add AUR-42 0",
        "doorline stock aurora take AUR-42 1",
        "doorline log --since soon",
        "doorline report",
        "doorline log --operator J\u{fc}rgen",
        "doorline webhooks replay 01890a5d-ac96-774b-bcce-b302099a8057 --since 2h",
        "doorline webhooks replay --since soon",
        "doorline webhooks replay --all",
        "doorline demo --stock 0",
    ] {
        assert_eq!(parse(line).expect_err(line).exit_code(), 2, "{line}");
    }
    assert_eq!(
        parse("doorline --version")
            .expect_err("shows the version")
            .exit_code(),
        0
    );
}

#[test]
fn the_version_names_the_commit() {
    let version = parse("doorline --version")
        .expect_err("shows the version")
        .to_string();
    let inner = version
        .trim()
        .strip_prefix("doorline ")
        .and_then(|v| v.split_once(" ("))
        .expect("name and commit");
    assert_eq!(inner.0, env!("CARGO_PKG_VERSION"));
    assert!(inner.1.len() > "x)".len(), "{version}");
}

#[test]
fn options_have_the_defaults_of_the_contract() {
    let cli = parse("doorline serve").expect("well-formed");
    assert_eq!(
        (cli.global.output, cli.global.overrides.len()),
        (OutputForm::Table, 0)
    );
    assert!(matches!(cli.command, Command::Serve(options) if options.role == Role::All));
}

#[test]
fn check_says_what_it_read() {
    let (_folder, name) = file("[upstream]\nurl = \"http://127.0.0.1:4000\"\n");
    let ran = run(&format!("doorline check --config {name}"), &[]);
    assert_eq!(ran.exit, Exit::Done);
    assert_eq!(
        ran.out,
        format!("{name}: no mistakes; no drops; 127.0.0.1:8080 -> http://127.0.0.1:4000\n")
    );
}

#[test]
fn check_shows_all_mistakes_and_exits_with_2() {
    let (_folder, name) = file("[server]\nlisen = 1\n[admin]\nlisten = 2\n");
    let ran = run(&format!("doorline check --config {name}"), &[]);
    assert_eq!(ran.exit, Exit::Usage);
    assert!(
        ran.out.contains(&format!("{name}:2:1: unknown key `lisen`")),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains(&format!("{name}:4:10: `listen`: ")),
        "{}",
        ran.out
    );
    assert!(ran.out.ends_with("\n2 mistakes\n"), "{}", ran.out);
    assert_eq!(ran.err, "");
}

#[test]
fn check_answers_programs_in_json() {
    let (_folder, name) = file("[server]\nlisen = 1\ntrusted_proxies = [\"0.0.0.0/0\"]\n");
    let ran = run(&format!("doorline check --output json --config {name}"), &[]);
    let answer: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!((ran.exit, &answer["ok"]), (Exit::Usage, &false.into()));
    assert_eq!(answer["mistakes"][0]["line"], 2);
    assert_eq!(answer["mistakes"][0]["column"], 1);
    assert_eq!(answer["mistakes"][0]["source"], name);
    assert_eq!(answer["warnings"][0]["line"], 3);
    let gone = run("doorline check --output json --config /nowhere/shop.toml", &[]);
    let answer: serde_json::Value = serde_json::from_str(&gone.out).expect("JSON");
    assert_eq!(
        (gone.exit, answer["mistakes"].as_array().map(Vec::len)),
        (Exit::Usage, Some(1))
    );
}

#[test]
fn a_named_file_must_exist() {
    let ran = run("doorline config print --config /nowhere/shop.toml", &[]);
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Usage, ""));
    assert!(
        ran.err.starts_with("cannot read /nowhere/shop.toml: "),
        "{}",
        ran.err
    );
}

#[test]
fn config_print_shows_what_is_in_force() {
    let (_folder, name) = file("[server]\nlisten = \"127.0.0.1:1\"\n");
    let environment = [
        ("DOORLINE__ADMIN__LISTEN", "127.0.0.1:2"),
        ("STRIPE_SECRET_KEY", "hunter2"),
    ];
    let line = format!("doorline config print --config {name} --set log.level=debug");
    let ran = run(&line, &environment);
    for part in [
        "listen = \"127.0.0.1:1\"",
        "listen = \"127.0.0.1:2\"",
        "level = \"debug\"",
        "# set; not shown",
    ] {
        assert!(ran.out.contains(part), "{part} in {}", ran.out);
    }
    assert!(!ran.out.contains("hunter2"));
    let json = run(&format!("{line} --output json"), &environment);
    let answer: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(answer["log"]["level"], "debug");
}

#[test]
fn config_example_schema_and_completions_are_written_whole() {
    assert_eq!(run("doorline config example", &[]).out, crate::config::example());
    let schema: serde_json::Value =
        serde_json::from_str(&run("doorline config schema", &[]).out).expect("JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let bash = run("doorline completions bash", &[]).out;
    assert!(bash.contains("queue-all") && bash.contains("--shoppers"));
}

#[test]
fn live_commands_are_left_to_the_caller() {
    let cli = parse("doorline audit").expect("well-formed");
    assert!(offline::run(&cli, &Environment::default(), &mut Vec::new(), &mut Vec::new()).is_none());
}

/// Takes nothing.
struct Closed(std::io::ErrorKind);

impl std::io::Write for Closed {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_closed_pipe_is_no_failure_and_a_full_disk_is() {
    for line in [
        "doorline config example",
        "doorline config schema",
        "doorline completions zsh",
    ] {
        let cli = parse(line).expect("well-formed");
        let exit = |kind| {
            let written = offline::run(&cli, &Environment::default(), &mut Closed(kind), &mut Vec::new());
            Exit::after_writing(written.expect("an offline command"))
        };
        assert_eq!(exit(std::io::ErrorKind::BrokenPipe), Exit::Done, "{line}");
        assert_eq!(exit(std::io::ErrorKind::StorageFull), Exit::Failed, "{line}");
    }
}
