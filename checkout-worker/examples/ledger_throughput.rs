//! Measures how many orders per second a ledger reserves and accepts in one step, durable when answered.
//!
//! `cargo run --release -p checkout-worker --example ledger_throughput -- [ORDERS] [AT_ONCE] [WHERE] [BUCKETS]`
//!
//! WHERE is a directory for SQLite (else a new one beside the program), an address (`postgres://…`) for a Postgres that is there, or `postgres` for one in a
//! temporary folder.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use checkout_worker::ledger::{ClientKey, DropPlan, Item, ItemPlan, Ledger, NewOrder, Reservation};
use checkout_worker::postgres::{PostgresConfig, PostgresLedger, migrate};
use checkout_worker::sqlite::SqliteLedger;
use domain::pool::Line;
use domain::saga::PaymentMethod;
use domain::{AdmissionId, Clock, Currency, DropId, Money, OrderId, ShopperKey, Sku, Span, Timestamp};
use sandbox::engine::postgres::Postgres;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::Instant;

struct RunningClock(Instant);

impl Clock for RunningClock {
    fn now(&self) -> Timestamp {
        let millis = u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX);
        Timestamp::from_millis(1_700_000_000_000) + Span::from_millis(millis)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let orders: u32 = arguments.next().map_or(Ok(20_000), |text| text.parse())?;
    let at_once: u32 = arguments.next().map_or(Ok(256), |text| text.parse())?;
    let place = arguments.next();
    let buckets: u32 = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let (ledger, _hold) = open(place).await?;
    let price = Money::new(12_900, Currency::new("eur")?);
    let item = ItemPlan {
        sku: Sku::new("AUR-42")?,
        price,
        stock: u32::MAX / 2,
        buckets,
    };
    ledger
        .open_drop(DropPlan {
            drop: DropId::new("aurora")?,
            items: vec![item],
        })
        .await?;
    let base = u128::from(std::process::id()) << 64;
    let start = Instant::now();
    let mut buyers = JoinSet::new();
    for buyer in 0..at_once {
        let ledger = Arc::clone(&ledger);
        buyers.spawn(async move {
            let mut placed = 0_u32;
            for at in (buyer..orders).step_by(usize::try_from(at_once).unwrap_or(1)) {
                let order = order(base + u128::from(at) + 1, price)?;
                let answer = ledger.reserve(order).await.map_err(|failed| failed.to_string())?;
                placed += u32::from(matches!(answer, Reservation::Placed(_)));
            }
            Ok::<u32, String>(placed)
        });
    }
    let mut placed = 0;
    while let Some(buyer) = buyers.join_next().await {
        placed += buyer??;
    }
    let seconds = start.elapsed().as_secs_f64();
    let rate = f64::from(placed) / seconds;
    writeln!(
        std::io::stdout(),
        "{placed} orders accepted in {seconds:.2} s: {rate:.0} orders/s, {at_once} at once"
    )?;
    Ok(())
}

/// What must live as long as the ledger.
#[expect(dead_code, reason = "held, and let go with everything in it")]
enum Hold {
    Nothing,
    Folder(TempDir),
    Server(Postgres),
}

/// The ledger, and what must live as long.
async fn open(place: Option<String>) -> Result<(Arc<dyn Ledger>, Hold), Box<dyn std::error::Error>> {
    let (url, hold) = match place {
        Some(place) if place == "postgres" => {
            let server = Postgres::start().await?;
            (server.url(), Hold::Server(server))
        }
        Some(place) if place.starts_with("postgres://") => (place, Hold::Nothing),
        Some(folder) => return Ok((sqlite(Path::new(&folder))?, Hold::Nothing)),
        None => {
            // Beside the program, and not where temporary files go: that may be memory, where a sync costs nothing.
            let program = std::env::current_exe()?;
            let beside = program.parent().ok_or("the program lies in a folder")?;
            let folder = tempfile::Builder::new()
                .prefix("throughput-")
                .tempdir_in(beside)?;
            return Ok((sqlite(folder.path())?, Hold::Folder(folder)));
        }
    };
    migrate(&url).await?;
    let ledger = PostgresLedger::open(PostgresConfig::new(&url)).await?;
    Ok((Arc::new(ledger), hold))
}

fn sqlite(folder: &Path) -> Result<Arc<dyn Ledger>, Box<dyn std::error::Error>> {
    let clock: Arc<dyn Clock> = Arc::new(RunningClock(Instant::now()));
    Ok(Arc::new(SqliteLedger::open(folder, &clock)?))
}

fn order(id: u128, price: Money) -> Result<NewOrder, String> {
    let words = |failed: &dyn std::fmt::Display| failed.to_string();
    let sku = Sku::new("AUR-42").map_err(|failed| words(&failed))?;
    Ok(NewOrder {
        id: OrderId(id),
        drop: DropId::new("aurora").map_err(|failed| words(&failed))?,
        shopper: ShopperKey(id.to_be_bytes()),
        admission: AdmissionId(id.to_be_bytes()),
        client_key: ClientKey::new("first").ok_or("a key")?,
        request_hash: [7; 32],
        items: vec![Item {
            line: Line { sku, quantity: 1 },
            price,
        }],
        total: price,
        method: Some(PaymentMethod::new("pm_card_visa").map_err(|failed| words(&failed))?),
        email: None,
        reserve_for: Span::from_mins(5),
        per_shopper: 2,
    })
}
