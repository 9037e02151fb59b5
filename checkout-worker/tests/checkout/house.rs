//! A ledger of either kind with a clock that stands until it is moved, so that one suite serves both.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use checkout_worker::ledger::Ledger;
use checkout_worker::postgres::{PostgresConfig, PostgresLedger, migrate};
use checkout_worker::sqlite::FILE_NAME;
use sandbox::engine::postgres::Postgres;
use tempfile::{NamedTempFile, TempDir};

use super::support::{StandingClock, open_ledger};

/// A ledger with what it stands on.
pub(crate) struct House {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) clock: Arc<StandingClock>,
    ground: Ground,
}

enum Ground {
    Folder(TempDir),
    Database {
        server: Arc<Postgres>,
        name: String,
        url: String,
    },
}

/// A server for one test.
pub(crate) async fn postgres() -> Arc<Postgres> {
    Arc::new(Postgres::start().await.unwrap())
}

/// Opens one more ledger on a database, as another process would.
pub(crate) async fn open_postgres(url: &str) -> Arc<PostgresLedger> {
    Arc::new(PostgresLedger::open(PostgresConfig::new(url)).await.unwrap())
}

impl House {
    /// In a folder of its own.
    pub(crate) fn sqlite() -> Self {
        let (dir, clock) = (tempfile::tempdir().unwrap(), StandingClock::new());
        Self {
            ledger: open_ledger(dir.path(), &clock),
            clock,
            ground: Ground::Folder(dir),
        }
    }

    /// In a database of its own, whose clock stands as well: it reads the same file.
    pub(crate) async fn postgres(server: &Arc<Postgres>, name: &str) -> Self {
        let url = server.fresh_database(name).unwrap();
        migrate(&url).await.unwrap();
        let file = NamedTempFile::new().unwrap();
        // The server runs under a name of its own.
        std::fs::set_permissions(file.path(), Permissions::from_mode(0o644)).unwrap();
        let path = file.path().to_owned();
        let clock = StandingClock::shown_in(file);
        read_clock(server, name, &path);
        Self {
            ledger: open_postgres(&url).await,
            clock,
            ground: Ground::Database {
                server: server.clone(),
                name: name.to_owned(),
                url,
            },
        }
    }

    /// A copy of the ledger as it is now, as a backup would be restored elsewhere. Its clock is this one's.
    pub(crate) async fn copied(&self) -> Self {
        let clock = self.clock.clone();
        match &self.ground {
            Ground::Folder(dir) => {
                let copy = tempfile::tempdir().unwrap();
                let file = copy.path().join(FILE_NAME).display().to_string();
                let original = rusqlite::Connection::open(dir.path().join(FILE_NAME)).unwrap();
                original.execute("VACUUM INTO ?1", [file]).unwrap();
                Self {
                    ledger: open_ledger(copy.path(), &clock),
                    clock,
                    ground: Ground::Folder(copy),
                }
            }
            Ground::Database { server, name, url } => {
                let copy = format!("{name}_copy");
                // A template may have no connections; ours come back by themselves.
                for sql in [
                    format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"),
                    format!(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
                    ),
                    format!("CREATE DATABASE {copy} TEMPLATE {name}"),
                    format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"),
                    format!("ALTER DATABASE {copy} ALLOW_CONNECTIONS true"),
                ] {
                    server.sql("postgres", &sql).unwrap();
                }
                let (server, url) = (server.clone(), url.replace(name, &copy));
                Self {
                    ledger: open_postgres(&url).await,
                    clock,
                    ground: Ground::Database {
                        server,
                        name: copy,
                        url,
                    },
                }
            }
        }
    }

    /// The same ledger after a restart of its process.
    pub(crate) async fn reopened(&mut self) -> Arc<dyn Ledger> {
        match &self.ground {
            Ground::Folder(dir) => {
                // One process has the file open for writing at a time.
                let elsewhere = tempfile::tempdir().unwrap();
                self.ledger = open_ledger(elsewhere.path(), &self.clock);
                self.ledger = open_ledger(dir.path(), &self.clock);
            }
            Ground::Database { url, .. } => self.ledger = open_postgres(url).await,
        }
        self.ledger.clone()
    }
}

/// Makes the database read its clock in a file, as the owner of the server, who alone may read one.
fn read_clock(server: &Postgres, database: &str, file: &Path) {
    let sql = format!(
        "CREATE OR REPLACE FUNCTION checkout.ledger_now() RETURNS bigint LANGUAGE sql VOLATILE SECURITY DEFINER \
         AS $$ SELECT pg_read_file('{}')::bigint $$",
        file.display()
    );
    server.sql(database, &sql).unwrap();
}

/// Makes the database's clock stand at an instant: only the owner of the tables can do that.
pub(crate) fn set_clock(server: &Postgres, database: &str, millis: u64) {
    let sql = format!(
        "CREATE OR REPLACE FUNCTION checkout.ledger_now() RETURNS bigint LANGUAGE sql VOLATILE \
         AS $$ SELECT {millis}::bigint $$"
    );
    server.sql(database, &sql).unwrap();
}
