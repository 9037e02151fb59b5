//! Connections: every option set, a deadline on every call, and no server that forgets.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, PgConnection, PgPool, Postgres, Row as _, Transaction};
use tokio::time::timeout;

use super::trouble::Trouble;
use super::{PostgresConfig, PostgresOpenError, schema};

/// A connection is replaced after so long, so that settings of the server and its address take effect in the end.
const LIFETIME_MAX: Duration = Duration::from_mins(30);
/// A connection that nobody used for so long is closed.
const IDLE_MAX: Duration = Duration::from_mins(5);

/// Ways to run a statement that read whole tables: right for audits, wrong for everything else.
const WHOLE_TABLES: [&str; 3] = ["enable_seqscan", "enable_hashjoin", "enable_mergejoin"];

/// What one call does to a connection.
pub(super) type Work<'c, T> = Pin<Box<dyn Future<Output = Result<T, Trouble>> + Send + 'c>>;

/// Whether a call that breaks may have changed something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Read,
    Write,
}

/// Opens the pool. Nothing is connected yet.
pub(super) fn pool(config: &PostgresConfig) -> Result<PgPool, PostgresOpenError> {
    let millis = |span: Duration| span.as_millis().to_string();
    let options = schema::options(&config.url)?.options([
        ("statement_timeout", millis(config.call_within)),
        // Half of it, so that a lock that does not come free is told from a statement that is slow.
        ("lock_timeout", millis(config.call_within / 2)),
        // A process that freezes within a transaction must not keep stock from all the others.
        ("idle_in_transaction_session_timeout", millis(config.call_within)),
        // Short statements over a few rows: compiling them costs more than running them.
        ("jit", "off".to_owned()),
    ]);
    // Plans are kept, and the first ones are made while the tables are empty, when reading all of a table looks cheapest. It
    // would stay so for as long as the connection lives, while the drop fills the tables.
    let options = options.options(WHOLE_TABLES.map(|setting| (setting, "off")));
    Ok(PgPoolOptions::new()
        .max_connections(config.connections.max(2))
        .min_connections(0)
        .acquire_timeout(config.call_within)
        .max_lifetime(LIFETIME_MAX)
        .idle_timeout(IDLE_MAX)
        .test_before_acquire(true)
        .connect_lazy_with(options))
}

/// Refuses a server that answers before it has stored.
pub(super) async fn check_durable(connection: &mut PgConnection) -> Result<(), PostgresOpenError> {
    let row = sqlx::query("SELECT current_setting('fsync'), current_setting('synchronous_commit')")
        .fetch_one(connection)
        .await
        .map_err(|cause| PostgresOpenError::Connect { cause })?;
    for (column, setting) in ["fsync", "synchronous_commit"].into_iter().enumerate() {
        let value: String = row
            .try_get(column)
            .map_err(|cause| PostgresOpenError::Connect { cause })?;
        if value == "off" {
            return Err(PostgresOpenError::NotDurable { setting });
        }
    }
    Ok(())
}

/// Begins a transaction. Every statement must see what was committed before it began, whatever the role's default is: what
/// is read after a lock was waited for is only then what the one before us left.
pub(super) async fn begin(connection: &mut PgConnection) -> Result<Transaction<'_, Postgres>, Trouble> {
    Ok(connection
        .begin_with("BEGIN ISOLATION LEVEL READ COMMITTED")
        .await?)
}

/// Runs `work` on a connection of the pool and waits no longer than `within` for all of it.
pub(super) async fn call<T>(
    pool: &PgPool,
    kind: Kind,
    within: Duration,
    work: impl for<'c> FnOnce(&'c mut PgConnection) -> Work<'c, T> + Send,
) -> Result<T, Trouble> {
    let mut connection = match timeout(within, pool.acquire()).await {
        Ok(acquired) => acquired?,
        Err(_) => return Err(Trouble::TooLate),
    };
    let done = match timeout(within, work(&mut connection)).await {
        Ok(done) => done,
        Err(_) => Err(Trouble::TooLate),
    };
    done.map_err(|trouble| {
        if !trouble.spares_connection() {
            // The server ends what was under way when the socket closes.
            drop(connection.detach());
        }
        match kind {
            Kind::Read => trouble,
            Kind::Write => trouble.at_commit(),
        }
    })
}

/// How a connection is set for what comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pace {
    /// Short statements that find their rows by index.
    Call,
    /// Statements that read whole tables and take their time.
    Report,
}

/// Sets the connection for calls or for reports, with a limit in milliseconds for each statement.
pub(super) async fn set(c: &mut PgConnection, pace: Pace, millis: u128) -> Result<(), Trouble> {
    let whole = match pace {
        Pace::Call => "off",
        Pace::Report => "on",
    };
    sqlx::query(
        "SELECT set_config('statement_timeout', $1, FALSE), set_config('enable_seqscan', $2, FALSE), \
         set_config('enable_hashjoin', $2, FALSE), set_config('enable_mergejoin', $2, FALSE)",
    )
    .bind(millis.to_string())
    .bind(whole)
    .execute(c)
    .await?;
    Ok(())
}
