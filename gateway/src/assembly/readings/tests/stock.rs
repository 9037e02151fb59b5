//! Whose reading of the stock counts, and whom it turns away.

use admission::EmbeddedStore;
use admission::store::QueueStore;
use domain::pool::Line;
use domain::queue::Moment;
use domain::{DropRules, Entropy, StockState};

use super::*;

struct Zeros;

impl Entropy for Zeros {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

fn sku(name: &str) -> Sku {
    Sku::new(name).unwrap()
}

fn line(name: &str, quantity: u32) -> Line {
    Line {
        sku: sku(name),
        quantity,
    }
}

/// A gateway that shares its readings, and what it shares them through.
struct Gateway {
    clock: Arc<Still>,
    house: House,
    queues: Arc<EmbeddedStore>,
    _folder: tempfile::TempDir,
}

impl Gateway {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let queues = Arc::new(EmbeddedStore::open(folder.path(), Arc::new(Zeros)).unwrap());
        let at = Moment {
            now: Timestamp::from_millis(60_000),
            stock: StockState::Left,
        };
        queues.open(&DropRules::new(aurora()), at).await.unwrap();
        let clock = Arc::new(Still(AtomicU64::new(60_000)));
        let shared = Shared {
            keeper: Keeper(1),
            queues: Arc::clone(&queues) as Arc<dyn QueueStore>,
        };
        let house = House::new(Arc::clone(&clock) as Arc<dyn Clock>, vec![aurora()], Some(shared));
        Self {
            clock,
            house,
            queues,
            _folder: folder,
        }
    }

    fn wait(&self, millis: u64) {
        self.clock.0.fetch_add(millis, Ordering::Relaxed);
    }

    /// This gateway reads the ledger.
    async fn reads(&self, held: u32) {
        let levels = vec![(sku("B"), level(9, 0, 0)), (sku("A"), level(5, held, 0))];
        self.house.share(&aurora(), levels, self.house.now()).await;
    }

    /// Another one does.
    async fn another_reads(&self, held: u32) {
        let reading = StockHint {
            keeper: Keeper(2),
            read_at: self.house.now(),
            levels: vec![(sku("A"), level(5, held, 0))],
        };
        let (drop, now) = (aurora(), self.house.now());
        let offered = self.queues.offer_stock(&drop, reading, now);
        offered.await.unwrap();
    }

    fn held(&self) -> u32 {
        self.house.stock(&aurora())[&sku("A")].held
    }

    fn turned_away(&self) -> bool {
        self.house.sold_out(&aurora(), &[line("A", 1)]).is_some()
    }
}

#[tokio::test]
async fn what_is_read_here_is_offered_to_all() {
    let gateway = Gateway::open().await;
    gateway.reads(2).await;
    let hint = gateway.queues.stock_hint(&aurora()).unwrap();
    assert_eq!(hint.keeper, Keeper(1));
    let named: Vec<_> = hint.levels.iter().map(|(sku, _)| sku.as_str()).collect();
    assert_eq!(named, ["A", "B"]);
    assert_eq!(gateway.house.levels().len(), 2);
}

#[tokio::test]
async fn another_gateways_reading_counts_while_it_is_fresh_and_the_last_known_after_that() {
    let gateway = Gateway::open().await;
    gateway.reads(1).await;
    gateway.wait(1_001);
    gateway.another_reads(3).await;
    assert_eq!(gateway.held(), 3, "newer than ours, and nobody else's office");
    let theirs = gateway.house.hint_of_another(&aurora(), gateway.house.now());
    gateway.house.note(&aurora(), &theirs.unwrap());
    gateway.wait(1_001);
    assert!(
        gateway
            .house
            .hint_of_another(&aurora(), gateway.house.now())
            .is_none(),
        "it is our turn to read"
    );
    assert_eq!(gateway.held(), 3, "the last that is known");
}

#[tokio::test]
async fn our_own_reading_counts_where_it_is_the_newer_one() {
    let gateway = Gateway::open().await;
    gateway.another_reads(3).await;
    gateway.wait(100);
    gateway.reads(4).await;
    assert_eq!(gateway.held(), 4);
    assert_eq!(gateway.queues.stock_hint(&aurora()).unwrap().keeper, Keeper(2));
}

#[tokio::test]
async fn who_asks_for_what_is_gone_is_turned_away_while_the_reading_is_fresh() {
    let gateway = Gateway::open().await;
    assert!(!gateway.turned_away(), "nothing is known");
    gateway.reads(5).await;
    assert_eq!(
        gateway.house.sold_out(&aurora(), &[line("A", 2), line("B", 1)]),
        Some(vec![line("A", 0), line("B", 9)])
    );
    assert_eq!(gateway.house.sold_out(&aurora(), &[line("B", 10)]), None);
    assert_eq!(
        gateway.house.sold_out(&aurora(), &[line("A", 0)]),
        None,
        "malformed: not for us to say"
    );
    gateway.wait(1_001);
    assert!(!gateway.turned_away());
}

#[tokio::test]
async fn units_that_come_back_here_void_every_reading_of_before() {
    let gateway = Gateway::open().await;
    gateway.reads(5).await;
    gateway.house.units_returned();
    assert!(!gateway.turned_away());
    gateway.reads(5).await;
    assert!(!gateway.turned_away(), "read in the same millisecond: who knows");
    gateway.wait(1);
    gateway.reads(5).await;
    assert!(gateway.turned_away());
}
