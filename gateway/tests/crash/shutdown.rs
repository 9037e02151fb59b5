//! SIGTERM: what was begun is finished, and nothing else is begun. A second one does not wait.

use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use sandbox::crowd::Crowd;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::books::{Books, settle};
use crate::house::House;
use crate::random::{Random, conclude, seed};
use crate::terms::Terms;

/// The status of a process that left at the second signal: 128 + 15.
const LEFT_AT_ONCE: i32 = 143;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orderly_restarts_in_the_middle_of_a_drop_cost_nobody_anything() {
    let seed = seed();
    conclude(seed, restarted_in_order(seed).await);
}

async fn restarted_in_order(seed: u64) -> anyhow::Result<()> {
    let terms = Terms {
        stock: 20,
        prequeue: Duration::from_secs(2),
        ..Terms::default()
    };
    let (mut house, mut random) = (House::open(terms, seed).await?, Random::new(seed));
    let crowd = Crowd::new(house.crowd(80, seed));
    let mut walking = JoinSet::new();
    walking.spawn(crowd.run(CancellationToken::new()));
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(random.within(500..=2_500))).await;
        house.terminate()?;
        let status = house.ended().await?;
        anyhow::ensure!(
            status.code() == Some(0),
            "ended with {status}:\n{}",
            house.log_tail()
        );
        house.start()?;
        house.serves().await?;
    }
    let seen = walking.join_next().await.context("the crowd went home")??;
    settle(&house).await?;
    let books = Books::compare(&house, &seen).await?;
    anyhow::ensure!(books.wrong.is_empty(), "{}\n{seen:#?}", books.wrong.join("\n"));
    anyhow::ensure!(
        seen.unfinished == 0,
        "some shoppers never got an answer: {seen:#?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_lets_an_open_request_end_and_takes_no_new_one() {
    let seed = seed();
    conclude(seed, drained(seed).await);
}

async fn drained(seed: u64) -> anyhow::Result<()> {
    let (mut house, shop, mut asking) = with_an_open_request(seed).await?;
    anyhow::ensure!(readiness(&house).await? == 200, "not ready before the signal");
    house.terminate()?;
    refuses(house.address).await?;
    anyhow::ensure!(house.is_running()?, "left while a request was open");
    anyhow::ensure!(readiness(&house).await? == 503, "still ready while it stops");
    shop.let_go();
    let answer = asking.join_next().await.context("an answer")???;
    anyhow::ensure!(answer == (200, "late\n".to_owned()), "answered {answer:?}");
    let status = house.ended().await?;
    anyhow::ensure!(
        status.code() == Some(0),
        "ended with {status}:\n{}",
        house.log_tail()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_sigterm_leaves_at_once() {
    let seed = seed();
    conclude(seed, left_at_once(seed).await);
}

async fn left_at_once(seed: u64) -> anyhow::Result<()> {
    let (mut house, _shop, mut asking) = with_an_open_request(seed).await?;
    house.terminate()?;
    refuses(house.address).await?;
    house.terminate()?;
    // The drain would last a minute, longer than this waits.
    let status = house.ended().await?;
    anyhow::ensure!(
        is_left_at_once(status),
        "ended with {status}:\n{}",
        house.log_tail()
    );
    let answer = asking.join_next().await.context("an answer")??;
    anyhow::ensure!(answer.is_err(), "nobody was there to answer: {answer:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_the_same_data_is_refused() {
    let seed = seed();
    conclude(seed, refused_beside(seed).await);
}

async fn refused_beside(seed: u64) -> anyhow::Result<()> {
    let mut house = House::open(Terms::default(), seed).await?;
    let other = house.run_another().await?;
    let words = String::from_utf8_lossy(&other.stderr);
    anyhow::ensure!(
        other.status.code() == Some(1),
        "ended with {}: {words}",
        other.status
    );
    anyhow::ensure!(
        words.contains("in use by another running doorline"),
        "said {words}"
    );
    // A crash leaves nothing behind that would keep the next one out.
    house.kill()?;
    house.start()?;
    house.serves().await
}

fn is_left_at_once(status: ExitStatus) -> bool {
    status.code() == Some(LEFT_AT_ONCE) && status.signal().is_none()
}

type Asking = JoinSet<reqwest::Result<(u16, String)>>;

/// A house whose shop has been asked for an open page and has not answered yet.
async fn with_an_open_request(seed: u64) -> anyhow::Result<(House, SlowShop, Asking)> {
    let mut shop = SlowShop::open().await?;
    let terms = Terms {
        upstream: Some(shop.address),
        ..Terms::default()
    };
    let house = House::open(terms, seed).await?;
    let (http, url) = (house.http.clone(), format!("http://{}/open-page", house.address));
    let mut asking = JoinSet::new();
    asking.spawn(async move {
        let answer = http.get(url).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    });
    shop.asked().await?;
    Ok((house, shop, asking))
}

async fn readiness(house: &House) -> anyhow::Result<u16> {
    let url = format!("http://{}/readyz", house.admin);
    Ok(house.http.get(url).send().await?.status().as_u16())
}

/// Waits until nobody listens any more.
async fn refuses(address: SocketAddr) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(address).await.is_ok() {
        anyhow::ensure!(Instant::now() < until, "new connections are still taken");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// An upstream that answers when told to.
struct SlowShop {
    address: SocketAddr,
    asked: Arc<Semaphore>,
    go: Arc<Semaphore>,
    serving: JoinSet<std::io::Result<()>>,
}

impl SlowShop {
    async fn open() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (asked, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let mut serving = JoinSet::new();
        serving.spawn(serve_one(listener, Arc::clone(&asked), Arc::clone(&go)));
        Ok(Self {
            address,
            asked,
            go,
            serving,
        })
    }

    /// Waits until a whole request has come.
    async fn asked(&mut self) -> anyhow::Result<()> {
        tokio::select! {
            asked = self.asked.acquire() => asked?.forget(),
            ended = self.serving.join_next() => anyhow::bail!("the upstream ended: {ended:?}"),
        }
        Ok(())
    }

    /// Lets the answer go.
    fn let_go(&self) {
        self.go.add_permits(1);
    }
}

async fn serve_one(listener: TcpListener, asked: Arc<Semaphore>, go: Arc<Semaphore>) -> std::io::Result<()> {
    let (mut stream, _) = listener.accept().await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    asked.add_permits(1);
    if let Ok(permit) = go.acquire().await {
        permit.forget();
    }
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nlate\n")
        .await?;
    stream.shutdown().await
}
