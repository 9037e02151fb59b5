//! The contract of the port over real servers, one and a cluster of three, and what is this
//! store's own: several gateways at once, servers that forget, freeze and die.

mod contract_over;
mod faults;

use std::sync::Arc;

use domain::{DropRules, Entropy};
use sandbox::engine::redis::{Redis, RedisCluster, RedisConfig as ServerConfig};

use super::marks::Marks;
use super::marks::memory::MemoryMarks;
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
