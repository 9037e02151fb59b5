//! How a command ended, as the shell sees it.

use std::io;
use std::process::ExitCode;

/// The three exit codes of every command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Done.
    Done,
    /// It ran, and failed or found something wrong.
    Failed,
    /// Wrong usage or configuration: nothing was done.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
        })
    }
}

impl Exit {
    /// What it means that writing the results went as it did. A closed pipe, as behind `| head`,
    /// is no failure: the reader had enough.
    pub fn after_writing(written: io::Result<Self>) -> Self {
        match written {
            Ok(exit) => exit,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Self::Done,
            Err(_) => Self::Failed,
        }
    }
}
