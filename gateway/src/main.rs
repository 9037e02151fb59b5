//! The `doorline` binary: reads the command line and hands over.

use std::io;
use std::process::ExitCode;

use clap::Parser as _;
use gateway::cli::args::Cli;
use gateway::cli::{Exit, live, offline};
use gateway::config::Environment;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let environment = Environment::of_process();
    let (mut out, mut err) = (io::stdout().lock(), io::stderr());
    let exit = if let Some(written) = offline::run(&cli, &environment, &mut out, &mut err) {
        Exit::after_writing(written)
    } else {
        drop(out);
        live::run(&cli, environment)
    };
    exit.into()
}
