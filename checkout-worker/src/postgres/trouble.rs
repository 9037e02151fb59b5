//! What can go wrong between us and Postgres, sorted by what it means for the transaction at hand.

use std::sync::Arc;

use domain::saga::IdempotencyKey;

use crate::ledger::LedgerError;
use crate::row::Corrupt;

/// What went wrong.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// Another transaction stood in the way (deadlock, serialization). Nothing was changed; the same again may go well.
    Clash(Arc<sqlx::Error>),
    /// A row was refused by a constraint. Nothing was changed; the command that brought the row must go alone.
    Refused(Arc<sqlx::Error>),
    /// The connection broke, or the server went away, before anything was committed. Nothing was changed.
    Lost(Arc<sqlx::Error>),
    /// The connection broke while committing: it is not known whether anything was changed.
    Unsure(Arc<sqlx::Error>),
    /// Time was up before the commit was sent. Nothing was changed.
    TooLate,
    /// Time was up while committing.
    UnsureTooLate,
    /// The server no longer keeps what it commits. Nothing was changed.
    NotDurable,
    /// Any other refusal. Nothing was changed.
    Failed(Arc<sqlx::Error>),
    /// A row cannot be ours.
    Corrupt(Corrupt),
    /// An attempt's key was used with other parameters.
    AttemptChanged(IdempotencyKey),
}

/// Stands in as a cause where no error of the store's is at hand.
#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("no answer in time")]
    Late,
    #[error("fsync or synchronous_commit was turned off: a commit would not be kept")]
    NotDurable,
}

impl From<sqlx::Error> for Trouble {
    fn from(cause: sqlx::Error) -> Self {
        let code = cause
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code);
        let Some(code) = code.as_deref().map(str::to_owned) else {
            return match cause {
                sqlx::Error::ColumnDecode { .. }
                | sqlx::Error::ColumnNotFound(_)
                | sqlx::Error::Decode(_)
                | sqlx::Error::Encode(_)
                | sqlx::Error::RowNotFound => Self::Failed(Arc::new(cause)),
                other => Self::Lost(Arc::new(other)),
            };
        };
        let cause = Arc::new(cause);
        // https://www.postgresql.org/docs/15/errcodes-appendix.html
        match code.get(..2) {
            _ if code == "40001" || code == "40P01" => Self::Clash(cause),
            Some("22" | "23") => Self::Refused(cause),
            _ if tells_of_absence(&code) => Self::Lost(cause),
            _ => Self::Failed(cause),
        }
    }
}

/// Shut down, crashed, starting up; connection exceptions; too many connections; out of memory or disk.
fn tells_of_absence(code: &str) -> bool {
    ["57P", "08", "53"].iter().any(|class| code.starts_with(class))
}

/// Whether the server cannot be spoken to just now. A line that is cut in the first exchange counts, which the client takes
/// for a breach of the protocol.
pub(super) fn is_away(cause: &sqlx::Error) -> bool {
    let code = cause
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    match code.as_deref() {
        Some(code) => tells_of_absence(code),
        None => matches!(
            cause,
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::PoolTimedOut
        ),
    }
}

impl From<Corrupt> for Trouble {
    fn from(row: Corrupt) -> Self {
        Self::Corrupt(row)
    }
}

impl Trouble {
    /// The same trouble, met by COMMIT: what broke then may have been committed.
    pub(super) fn at_commit(self) -> Self {
        match self {
            Self::Lost(cause) => Self::Unsure(cause),
            Self::TooLate => Self::UnsureTooLate,
            other => other,
        }
    }

    /// Whether the connection can be used again.
    pub(super) fn spares_connection(&self) -> bool {
        match self {
            Self::Clash(_)
            | Self::Refused(_)
            | Self::Failed(_)
            | Self::Corrupt(_)
            | Self::AttemptChanged(_) => true,
            Self::Lost(_) | Self::Unsure(_) | Self::TooLate | Self::UnsureTooLate | Self::NotDurable => false,
        }
    }

    /// Whether the same again may go well. A pool without a free connection is not asked again: it has waited already.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Clash(_) => true,
            Self::Lost(cause) => !matches!(**cause, sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed),
            Self::Refused(_)
            | Self::Unsure(_)
            | Self::TooLate
            | Self::UnsureTooLate
            | Self::NotDurable
            | Self::Failed(_)
            | Self::Corrupt(_)
            | Self::AttemptChanged(_) => false,
        }
    }

    /// Whether one command of several may be what is wrong.
    pub(super) fn blames_one(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Corrupt(_) | Self::AttemptChanged(_) => true,
            Self::Clash(_)
            | Self::Lost(_)
            | Self::Unsure(_)
            | Self::TooLate
            | Self::UnsureTooLate
            | Self::NotDurable
            | Self::Failed(_) => false,
        }
    }

    /// As the port says it.
    pub(super) fn into_ledger(self, doing: &'static str) -> LedgerError {
        match self {
            Self::Clash(cause) | Self::Refused(cause) | Self::Lost(cause) | Self::Failed(cause) => {
                LedgerError::Failed { doing, cause }
            }
            Self::Unsure(cause) => LedgerError::Unsure { doing, cause },
            Self::UnsureTooLate => LedgerError::Unsure {
                doing,
                cause: Arc::new(Cause::Late),
            },
            Self::TooLate => LedgerError::Failed {
                doing,
                cause: Arc::new(Cause::Late),
            },
            Self::NotDurable => LedgerError::Failed {
                doing,
                cause: Arc::new(Cause::NotDurable),
            },
            Self::Corrupt(Corrupt { order, what }) => LedgerError::Corrupt { order, what },
            Self::AttemptChanged(key) => LedgerError::AttemptChanged { key },
        }
    }
}
