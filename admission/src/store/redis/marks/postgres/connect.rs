//! Connections: every option set, deadlines on the server as well as here, and no connection back in the
//! pool in the middle of something.

use std::ops::{Deref, DerefMut};
use std::str::FromStr;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool, Postgres};

use super::{ANSWER_WITHIN, MarksOpenError, READ_WITHIN, schema};

/// Connections of one gateway: one that writes for everybody, the caller's, some for claims that
/// are repeated, and two for a rebuild.
const CONNECTIONS_MAX: u32 = 8;
/// A connection is replaced after so long, so that settings of the server and its address take effect in the end.
const LIFETIME_MAX: Duration = Duration::from_mins(30);
/// A connection that nobody used for so long is closed.
const IDLE_MAX: Duration = Duration::from_mins(5);

/// Connects.
pub(super) async fn pool(url: &str) -> sqlx::Result<PgPool> {
    PgPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .min_connections(0)
        .acquire_timeout(ANSWER_WITHIN)
        .max_lifetime(LIFETIME_MAX)
        .idle_timeout(IDLE_MAX)
        .test_before_acquire(true)
        .connect_with(options(url, ANSWER_WITHIN)?)
        .await
}

/// Brings the tables to their present form, on a connection that may take its time: for the tables, and for
/// another one that is at it.
pub(super) async fn migrate(url: &str) -> Result<(), MarksOpenError> {
    let options = options(url, READ_WITHIN)?;
    let migrated = tokio::time::timeout(READ_WITHIN, async {
        let mut connection = PgConnection::connect_with(&options).await?;
        schema::migrate(&mut connection).await?;
        Ok(connection.close().await?)
    });
    migrated.await.map_err(|_| MarksOpenError::Late)?
}

/// Our deadlines end our waiting, not what the server does. A gateway that freezes within a transaction would keep
/// its locks for as long as it is frozen, and all others would queue behind them on the server.
fn options(url: &str, within: Duration) -> sqlx::Result<PgConnectOptions> {
    let millis = |span: Duration| span.as_millis().to_string();
    let options = PgConnectOptions::from_str(url)?.application_name("doorline-admission");
    Ok(options.options([
        // Our tables are found, and nobody else's.
        ("search_path", schema::SCHEMA.to_owned()),
        ("statement_timeout", millis(within)),
        // Half of it, so that a lock that does not come free is told from a statement that is slow.
        ("lock_timeout", millis(within / 2)),
        ("idle_in_transaction_session_timeout", millis(within)),
    ]))
}

/// Gives a transaction the time that reading a whole queue back takes: the server waits while a great many rows
/// are looked at here.
pub(super) async fn take_time(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query(
        "SELECT set_config('statement_timeout', $1, true),
         set_config('idle_in_transaction_session_timeout', $1, true)",
    )
    .bind(READ_WITHIN.as_millis().to_string())
    .execute(connection)
    .await
    .map(|_| ())
}

/// A connection of the pool, at work. It goes back when the work was seen to its end; else it is closed, because
/// the pool would wait without a deadline for whatever still hangs on it.
pub(super) struct Lent {
    connection: PoolConnection<Postgres>,
    done: bool,
}

impl Lent {
    /// Takes one.
    pub(super) async fn from(pool: &PgPool) -> sqlx::Result<Self> {
        let connection = pool.acquire().await?;
        Ok(Self {
            connection,
            done: false,
        })
    }

    /// The work is done.
    pub(super) fn give_back(mut self) {
        self.done = true;
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.done {
            self.connection.close_on_drop();
        }
    }
}

impl Deref for Lent {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
