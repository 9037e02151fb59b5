//! A death before and after every commit and every call, each at a point that has a name. Then the next processes go on, or
//! everything is done again, or every message is lost; and stock and money must balance.

mod balance;
mod outside;
mod points;
mod recovery;
mod stories;

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use checkout_worker::broker::Broker;
use checkout_worker::broker::embedded::EmbeddedBroker;
use checkout_worker::ledger::Ledger;
use checkout_worker::provider::memory::MemoryProvider;
use checkout_worker::{Checkout, Ports};
use futures_util::FutureExt as _;
use sandbox::engine::postgres::Postgres;

use outside::{Memo, Shelf};
use points::{Doom, Fuse, Point, mortal, operations};
use recovery::ROUND;
use stories::{MENDING, OPERATORS, PLOTS, Plot, QUEUE, Queue, SHOPPERS, WORKERS};

use super::house::{House, postgres};
use super::support::{StandingClock, config, ports};

/// Longer than any life takes on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_mins(2);

/// A shop in which somebody's story is lived: one process and all that it meets.
struct Scene {
    checkout: Checkout,
    /// The process's own way to the ledger, with its points.
    ledger: Arc<dyn Ledger>,
    /// The broker as others see it, without points.
    broker: Arc<dyn Broker>,
    /// The same, where it outlives the process.
    shelf: Option<Shelf>,
    provider: MemoryProvider,
    merchant: Arc<Memo>,
    clock: Arc<StandingClock>,
    life: Life,
}

/// Whether a story is lived for the first time here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Life {
    First,
    Again,
}

/// What comes after a death.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// The next process dies while it recovers; then two recover at once.
    Restart,
    /// Clients ask for everything again, and the next process does everything twice.
    Repeat,
    /// Every message that was under way is lost, and nobody notices: jobs write others.
    Lose,
}

impl Fate {
    const ALL: [Self; 3] = [Self::Restart, Self::Repeat, Self::Lose];
}

/// What outlives a process.
struct Ground {
    house: House,
    provider: MemoryProvider,
    merchant: Arc<Memo>,
    shelf: Option<Shelf>,
}

impl Ground {
    fn on(house: House, queue: Queue) -> Self {
        let provider = MemoryProvider::new(house.clock.clone());
        Self {
            house,
            provider,
            merchant: Arc::default(),
            shelf: (queue == Queue::Durable).then(Shelf::default),
        }
    }

    /// A new process. Whatever it does at its ports burns the fuse.
    async fn process(&self, fuse: &Arc<Fuse>, life: Life) -> Scene {
        let clock = self.house.clock.clone();
        let ledger: Arc<dyn Ledger> = Arc::new(mortal(self.house.ledger.clone(), fuse));
        let broker: Arc<dyn Broker> = match &self.shelf {
            Some(shelf) => Arc::new(shelf.clone()),
            None => Arc::new(EmbeddedBroker::new(64)),
        };
        let provider = Arc::new(mortal(self.provider.clone(), fuse));
        let ports = Ports {
            broker: Arc::new(mortal(broker.clone(), fuse)),
            merchant: Some(Arc::new(mortal(self.merchant.clone(), fuse))),
            ..ports(ledger.clone(), provider, clock.clone())
        };
        Scene {
            checkout: Checkout::open(config(12), ports).await.unwrap(),
            ledger,
            broker,
            shelf: self.shelf.clone(),
            provider: self.provider.clone(),
            merchant: self.merchant.clone(),
            clock,
            life,
        }
    }

    /// A process that does not die, in a shop where nothing is shut any more.
    async fn survivor(&self) -> Scene {
        let scene = self.process(&Fuse::of(Doom::Never), Life::Again).await;
        scene.unlock().await;
        scene
    }

    /// Lets a new process live `story` until that ends, or until the process dies.
    async fn live(&self, fuse: &Arc<Fuse>, story: impl AsyncFn(&Scene)) {
        let life = Box::pin(async {
            let scene = self.process(fuse, Life::First).await;
            story(&scene).await;
        });
        let lived = async {
            tokio::select! {
                biased;
                () = fuse.death() => {}
                () = life => {}
            }
        };
        let ended = tokio::time::timeout(PATIENCE, lived).await;
        ended.expect("a life ends, or the process dies");
        fuse.bury();
    }

    /// What comes after a death at the point of that number.
    async fn go_on(&mut self, fate: Fate, number: u32, story: impl AsyncFn(&Scene)) {
        self.house.reopened().await;
        match fate {
            Fate::Restart => {
                // Anywhere in the first rounds of recovery, and elsewhere each time.
                let fuse = Fuse::of(Doom::At(number * 7 % 61 + 1));
                self.live(&fuse, Scene::mend).await;
                self.house.reopened().await;
                // Every job must be safe to run twice at once.
                let (one, other) = (self.survivor().await, self.survivor().await);
                tokio::join!(one.settle(1), other.settle(1));
            }
            Fate::Repeat => {
                // What the dead process has kept for itself is free by now.
                self.house.clock.advance(ROUND);
                let scene = self.survivor().await;
                let again = Box::pin(story(&scene));
                let ended = tokio::time::timeout(PATIENCE, again).await;
                ended.expect("a life that is lived again ends");
                scene.settle(2).await;
            }
            Fate::Lose => {
                let scene = self.survivor().await;
                scene.lose_messages().await;
                scene.settle(1).await;
            }
        }
    }
}

/// Where the deaths happen.
enum Land {
    Sqlite,
    Postgres(Arc<Postgres>),
}

impl Land {
    async fn postgres() -> Self {
        Self::Postgres(postgres().await)
    }

    /// A house that nobody has lived in. Of several of one name only the last stands.
    async fn house(&self, name: &str) -> House {
        match self {
            Self::Sqlite => House::sqlite(),
            Self::Postgres(server) => House::postgres(server, name).await,
        }
    }

    /// What comes after a death at the point of that number: everything, each in a house of its own. Databases take long
    /// to build; there it is one after the other, over points of which each operation has several.
    fn fates(&self, number: u32) -> &'static [Fate] {
        match (self, number % 3) {
            (Self::Sqlite, _) => &Fate::ALL,
            (Self::Postgres(_), 0) => &[Fate::Restart],
            (Self::Postgres(_), 1) => &[Fate::Repeat],
            (Self::Postgres(_), _) => &[Fate::Lose],
        }
    }

    /// Dies at every point of a story, as often as there are fates, until a life has no such point any more.
    async fn die_everywhere(&self, plot: &Plot, story: impl AsyncFn(&Scene)) {
        let mut died: BTreeSet<Point> = BTreeSet::new();
        let mut number = 0;
        let mut is_over = false;
        while !is_over {
            number += 1;
            is_over = true;
            for fate in self.fates(number) {
                let point = self.die(plot, Doom::At(number), *fate, &story).await;
                is_over &= point.is_none();
                died.extend(point);
            }
        }
        assert!(
            number > plot.points_min,
            "the story of {} has {} points; it must pass every commit and every call",
            plot.name,
            number - 1
        );
        // Where much goes on at once, one number is not the same point in each life: what was missed by numbers is died at
        // by its name.
        for point in plot.points() {
            if !died.contains(&point) {
                let doom = Doom::First(point);
                died.extend(self.die(plot, doom, Fate::Restart, &story).await);
            }
        }
        let names = |points: Vec<Point>| points.iter().map(Point::to_string).collect::<Vec<_>>();
        let missed = names(plot.points().filter(|point| !died.contains(point)).collect());
        assert!(
            missed.is_empty(),
            "the story of {} does not pass {missed:?}",
            plot.name
        );
        let unlisted = names(died.into_iter().filter(|point| !point.is_listed()).collect());
        assert!(unlisted.is_empty(), "nobody promises {unlisted:?}");
    }

    /// Lives a story in a new house until the process dies, and goes on from there. Says where it died, if it did.
    async fn die(&self, plot: &Plot, doom: Doom, fate: Fate, story: impl AsyncFn(&Scene)) -> Option<Point> {
        let fuse = Fuse::of(doom);
        let living = Box::pin(async {
            let mut ground = Ground::on(self.house(plot.name).await, plot.queue);
            ground.live(&fuse, &story).await;
            ground.go_on(fate, fuse.passed(), &story).await;
        });
        let lived = AssertUnwindSafe(living).catch_unwind().await;
        assert!(
            lived.is_ok(),
            "the story of {}, {fuse}, then {fate:?}: what went wrong is said above",
            plot.name
        );
        fuse.died_at()
    }
}

#[test]
fn every_commit_and_every_call_is_part_of_some_story() {
    let promised: BTreeSet<&str> = PLOTS
        .iter()
        .flat_map(|plot| plot.passes.iter().copied())
        .collect();
    let all: BTreeSet<&str> = operations().collect();
    assert_eq!(promised, all);
}

#[tokio::test]
async fn a_death_at_any_commit_or_call_leaves_stock_and_money_balanced() {
    Land::Sqlite.die_everywhere(&SHOPPERS, stories::of_shoppers).await;
}

#[tokio::test]
async fn a_death_while_things_are_mended_leaves_stock_and_money_balanced() {
    Land::Sqlite.die_everywhere(&MENDING, stories::of_mending).await;
}

#[tokio::test]
async fn a_death_while_operators_work_leaves_stock_and_money_balanced() {
    Land::Sqlite
        .die_everywhere(&OPERATORS, stories::of_operators)
        .await;
}

#[tokio::test]
async fn a_death_between_outbox_broker_worker_and_merchant_loses_no_order() {
    Land::Sqlite.die_everywhere(&WORKERS, stories::of_workers).await;
}

#[tokio::test]
async fn a_death_beside_a_broker_that_holds_messages_loses_no_order() {
    Land::Sqlite.die_everywhere(&QUEUE, stories::of_a_queue).await;
}

#[tokio::test]
async fn on_postgres_a_death_at_any_commit_or_call_leaves_stock_and_money_balanced() {
    let land = Land::postgres().await;
    land.die_everywhere(&SHOPPERS, stories::of_shoppers).await;
}

#[tokio::test]
async fn on_postgres_a_death_while_things_are_mended_or_operated_leaves_stock_and_money_balanced() {
    let land = Land::postgres().await;
    land.die_everywhere(&MENDING, stories::of_mending).await;
    land.die_everywhere(&OPERATORS, stories::of_operators).await;
}

#[tokio::test]
async fn on_postgres_a_death_between_outbox_broker_worker_and_merchant_loses_no_order() {
    let land = Land::postgres().await;
    land.die_everywhere(&WORKERS, stories::of_workers).await;
    land.die_everywhere(&QUEUE, stories::of_a_queue).await;
}
