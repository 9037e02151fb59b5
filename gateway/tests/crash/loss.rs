//! What is lost besides the process: the queue's file, or room on the disk.

use std::time::Duration;

use reqwest::StatusCode;

use crate::books::settle;
use crate::house::House;
use crate::random::{conclude, seed};
use crate::shopper::{Shopper, Told};
use crate::terms::Terms;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tickets_outlive_the_queue_and_orders_the_queue_they_were_made_in() {
    let seed = seed();
    conclude(seed, queue_lost(seed).await);
}

async fn queue_lost(seed: u64) -> anyhow::Result<()> {
    let terms = Terms {
        total_active_users: 3,
        ..Terms::default()
    };
    let mut house = House::open(terms, seed).await?;
    let mut shoppers: Vec<Shopper> = (0..8).map(|_| Shopper::new(&house)).collect();
    let mut numbers = Vec::new();
    for shopper in &mut shoppers {
        numbers.push(shopper.join().await?.number("number")?);
    }
    let bought = expect(StatusCode::OK, shoppers[0].claim().await?)?;
    anyhow::ensure!(bought.text("admission_token").is_ok(), "{bought:?}");
    let order = expect(StatusCode::ACCEPTED, shoppers[0].order("before-the-loss").await?)?;
    house.kill()?;
    for file in ["queue.db", "queue.db-wal", "queue.db-shm"] {
        match std::fs::remove_file(house.data_dir().join(file)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    house.start()?;
    house.serves().await?;
    for (shopper, number) in shoppers.iter_mut().zip(&numbers).rev() {
        let looked = expect(StatusCode::OK, shopper.look().await?)?;
        anyhow::ensure!(looked.number("number")? == *number, "was {number}, is {looked:?}");
        let joined = shopper.join().await?;
        anyhow::ensure!(joined.number("number")? == *number, "was {number}, is {joined:?}");
    }
    let stranger = Shopper::new(&house).join().await?.number("number")?;
    anyhow::ensure!(
        numbers.iter().all(|number| stranger > *number),
        "{stranger} was given again, after {numbers:?}"
    );
    // A ticket is still worth a turn, and the order made before is still there.
    let again = expect(StatusCode::OK, shoppers[1].claim().await?)?;
    anyhow::ensure!(again.text("admission_token").is_ok(), "{again:?}");
    expect(StatusCode::ACCEPTED, shoppers[1].order("after-the-loss").await?)?;
    settle(&house).await?;
    let path = format!("orders/{}", order.text("order")?);
    let paid = shoppers[0].ask(reqwest::Method::GET, &path, None).await?;
    anyhow::ensure!(paid.text("state")? == "paid", "{paid:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_and_forgets_nothing_it_has_said() {
    let seed = seed();
    conclude(seed, disk_full(seed).await);
}

/// Files may grow to three megabytes: enough to open everything and sell a little, also on a busy
/// machine, where each order comes with more commits of the jobs beside it. Well below the eight
/// at which the queue's log is written back and begins anew.
const BLOCKS: u32 = 6_144;
/// Shoppers who come until the disk is full.
const SHOPPERS_MAX: usize = 2_000;

async fn disk_full(seed: u64) -> anyhow::Result<()> {
    let terms = Terms {
        stock: 2_000,
        total_active_users: 2_000,
        new_users_per_minute: 60_000,
        file_blocks_max: Some(BLOCKS),
        ..Terms::default()
    };
    let mut house = House::open(terms, seed).await?;
    let (mut told, mut refused) = (Vec::new(), None);
    for index in 0..SHOPPERS_MAX {
        let mut shopper = Shopper::new(&house);
        let answer = buys(&mut shopper, &format!("key-{index}")).await?;
        if answer.status.is_server_error() {
            refused = Some((shopper, answer));
            break;
        }
        told.push((shopper, expect(StatusCode::ACCEPTED, answer)?));
    }
    let Some((_, refusal)) = refused else {
        anyhow::bail!("{SHOPPERS_MAX} shoppers did not fill the disk");
    };
    anyhow::ensure!(
        refusal.status == StatusCode::SERVICE_UNAVAILABLE,
        "refused with {refusal:?}"
    );
    anyhow::ensure!(told.len() > 10, "the disk was full after {} orders", told.len());
    house.kill()?;
    house.start()?;
    house.serves().await?;
    for (shopper, order) in &mut told {
        let path = format!("orders/{}", order.text("order")?);
        let seen = expect(
            StatusCode::OK,
            shopper.ask(reqwest::Method::GET, &path, None).await?,
        )?;
        anyhow::ensure!(seen.text("state")? != "released", "given up: {seen:?}");
    }
    Ok(())
}

/// From the street to an accepted order, or to the first refusal.
async fn buys(shopper: &mut Shopper, key: &str) -> anyhow::Result<Told> {
    let joined = shopper.join().await?;
    if !joined.status.is_success() {
        return Ok(joined);
    }
    for _ in 0..200 {
        let claimed = shopper
            .ask(reqwest::Method::POST, "drops/aurora/admission", None)
            .await?;
        match claimed.status {
            StatusCode::OK => return shopper.order(key).await,
            StatusCode::CONFLICT => tokio::time::sleep(Duration::from_millis(50)).await,
            _ => return Ok(claimed),
        }
    }
    anyhow::bail!("never called: {:?}", shopper.look().await)
}

fn expect(status: StatusCode, told: Told) -> anyhow::Result<Told> {
    anyhow::ensure!(told.status == status, "expected {status}: {told:?}");
    Ok(told)
}
