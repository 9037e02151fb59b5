//! Measures how many orders per second the SQLite ledger reserves and accepts in one step, durable when answered.
//!
//! `cargo run --release -p checkout-worker --example ledger_throughput -- [ORDERS] [AT_ONCE] [DIRECTORY]`

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use checkout_worker::ledger::{ClientKey, DropPlan, Item, ItemPlan, Ledger, NewOrder, Reservation};
use checkout_worker::sqlite::SqliteLedger;
use domain::pool::Line;
use domain::saga::PaymentMethod;
use domain::{AdmissionId, Clock, Currency, DropId, Money, OrderId, ShopperKey, Sku, Span, Timestamp};
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
    let dir = arguments
        .next()
        .map_or_else(|| std::env::temp_dir().join("doorline-throughput"), PathBuf::from);
    let clock: Arc<dyn Clock> = Arc::new(RunningClock(Instant::now()));
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::open(&dir, &clock)?);
    let price = Money::new(12_900, Currency::new("eur")?);
    let item = ItemPlan {
        sku: Sku::new("AUR-42")?,
        price,
        stock: u32::MAX / 2,
        buckets: 1,
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
