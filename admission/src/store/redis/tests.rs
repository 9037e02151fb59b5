//! The contract of the port over real servers, one and a cluster of three, and what is this
//! store's own: several gateways at once, servers that forget, freeze and die.

mod contract_over;
mod crowd;
mod endings;
mod faults;
mod faulty;
mod hints;
mod late;
mod losses;
mod memory;
mod operations;
mod pieces;
mod record;
mod repeats;

use std::sync::Arc;

use domain::Entropy;
use sandbox::engine::redis::{Redis, RedisCluster, RedisConfig as ServerConfig};

use self::memory::MemoryMarks;
use super::*;
use crate::store::contract::{self, Subject};
use crate::testing::Repeating;

/// A gateway's store on `urls`, over a record that it may share with others.
async fn store_on(urls: Vec<String>, cluster: bool, marks: Arc<dyn Marks>) -> Arc<RedisStore> {
    let entropy: Arc<dyn Entropy> = Arc::new(Repeating::from(1));
    let config = RedisConfig { urls, cluster };
    Arc::new(RedisStore::open(config, marks, entropy).await.unwrap())
}

/// A store on one server with a record of its own.
async fn store(redis: &Redis) -> Arc<RedisStore> {
    store_on(vec![redis.url()], false, Arc::new(MemoryMarks::default())).await
}

/// Several gateways on one server, each with the drop open.
async fn gateways(redis: &Redis, marks: &Arc<dyn Marks>, count: usize, rules: &DropRules) -> Vec<Subject> {
    let mut gateways = Vec::new();
    for _ in 0..count {
        let store = store_on(vec![redis.url()], false, marks.clone()).await;
        gateways.push(Subject::open(store, rules).await);
    }
    gateways
}

fn admission(claim: &Claim) -> Option<AdmissionId> {
    match claim {
        Claim::Admitted { admission, .. } => Some(*admission),
        Claim::NotCalled { .. }
        | Claim::RoomFull { .. }
        | Claim::Lapsed
        | Claim::Left
        | Claim::Finished
        | Claim::Paused
        | Claim::NotOpen
        | Claim::SoldOut
        | Claim::Ended => None,
    }
}

/// Asks until the store answers again, as the caller's tick does.
async fn until_back(subject: &Subject) -> View {
    loop {
        match subject.store.view(&subject.drop, subject.at()).await {
            Ok(view) => return view,
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

/// The claim as the store answers it, refusals to answer included.
async fn try_claim(subject: &Subject, name: u64) -> Result<Claim, Unavailable> {
    let claimant = contract::claimant(name, Number(name));
    subject.store.claim(&subject.drop, claimant, subject.at()).await
}
