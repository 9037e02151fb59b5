//! The waiting room: its pages, the shopper API and the door itself.

mod answer;
mod api;
mod arrival;
mod board;
pub mod cloudflare;
mod cookies;
pub mod door;
mod events;
mod order;
pub mod page;
mod recall;
mod refused;
pub mod return_path;
mod standing;
mod ticket;
mod webhook;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use admission::Admission;
use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use checkout_worker::Checkout;
use domain::{Clock, DropId, Entropy};
use http::request::Parts;

use tokio_util::task::TaskTracker;

use crate::assembly::readings::House;
use crate::config::{Config, DropConfig};
use crate::edge::observe::Observer;
use crate::edge::{AddressLimit, AnswerFuture, EdgeBody, Handler, RequestBody, Visit};
use board::{Board, Posted};
use cookies::CookieStyle;
use order::Twins;
use page::{ItemStock, RefusalPages};

/// Everything a shopper talks to, apart from the shop itself.
pub struct Room {
    desk: Admission,
    checkout: Checkout,
    boards: ArcSwap<BTreeMap<DropId, Arc<Board>>>,
    cookies: CookieStyle,
    return_hosts: Vec<String>,
    /// Host and port of the shop, as browsers know it.
    public_authority: String,
    refusals: RefusalPages,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    house: Arc<House>,
    joins: ArcSwap<AddressLimit>,
    observer: Arc<dyn Observer>,
    streams: Arc<AtomicUsize>,
    twins: Twins,
    errands: TaskTracker,
}

/// How many places one address may take, and who counts those that it did not get.
pub struct Joins {
    /// The limit in force.
    pub limit: Arc<AddressLimit>,
    /// Hears of refusals.
    pub observer: Arc<dyn Observer>,
}

/// The shopper API as the edge sees it.
pub struct ShopperApi(pub Arc<Room>);

impl Handler for ShopperApi {
    fn at_once(&self, request: &Parts, visit: &Visit) -> Option<http::Response<EdgeBody>> {
        self.0.at_once(request, visit)
    }

    fn answer(&self, request: http::Request<RequestBody>, visit: Visit) -> AnswerFuture {
        let room = Arc::clone(&self.0);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            room.api(&parts, body, &visit).await
        })
    }
}

impl Room {
    /// Opens the room for the drops of `config`.
    pub fn new(
        config: &Config,
        desk: Admission,
        checkout: Checkout,
        house: Arc<House>,
        joins: Joins,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let boards = config
            .drops
            .iter()
            .map(|drop| (drop.id.clone(), new_board(drop)))
            .collect();
        Self {
            desk,
            checkout,
            boards: ArcSwap::from_pointee(boards),
            cookies: if config.server.is_https() {
                CookieStyle::Secure
            } else {
                CookieStyle::Plain
            },
            return_hosts: config.server.return_hosts.clone(),
            public_authority: config
                .server
                .public_url
                .authority()
                .map_or_else(String::new, ToString::to_string),
            refusals: RefusalPages::new(config.server.public_host()),
            clock,
            entropy,
            house,
            joins: ArcSwap::from(joins.limit),
            observer: joins.observer,
            streams: Arc::default(),
            twins: Twins::default(),
            errands: TaskTracker::new(),
        }
    }

    /// Event streams open now.
    pub fn open_streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    fn board(&self, drop: &DropId) -> Option<Arc<Board>> {
        self.boards.load().get(drop).cloned()
    }

    /// What the drop's board shows for its latest snapshot.
    fn posted(&self, drop: &DropId) -> Option<Arc<Posted>> {
        let boards = self.boards.load();
        let board = boards.get(drop)?;
        let snapshot = self.desk.snapshot(drop)?;
        Some(board.show(snapshot, || self.stock(&board.config)))
    }

    /// A moment's look at what the drop's board shows for its latest snapshot.
    fn read_posted<R>(&self, drop: &DropId, read: impl FnOnce(&Posted) -> R) -> Option<R> {
        let boards = self.boards.load();
        self.read_board(drop, boards.get(drop)?, read)
    }

    /// The same where the drop's board is at hand.
    fn read_board<R>(&self, drop: &DropId, board: &Board, read: impl FnOnce(&Posted) -> R) -> Option<R> {
        let snapshot = self.desk.glance(drop)?;
        Some(board.read(&snapshot, || self.stock(&board.config), read))
    }

    fn stock(&self, config: &DropConfig) -> Vec<ItemStock> {
        let levels = self.house.stock(&config.id);
        let shown = config.items().iter().filter_map(|item| {
            let level = levels.get(&item.sku)?;
            Some(ItemStock {
                sku: item.sku.to_string(),
                title: item.title.clone(),
                available: u64::from(level.available()),
                reserved: u64::from(level.held),
                sold: u64::from(level.sold),
            })
        });
        shown.collect()
    }

    /// Takes over drops as they are configured now; boards of drops that are as they were stay, with the message that is on
    /// them.
    pub fn configure(&self, drops: &[DropConfig]) {
        let known = self.boards.load_full();
        let board = |drop: &DropConfig| {
            let stays = known.get(&drop.id).filter(|board| {
                let as_it_was = DropConfig {
                    notice: board.config.notice.clone(),
                    ..drop.clone()
                };
                as_it_was == *board.config
            });
            (drop.id.clone(), stays.cloned().unwrap_or_else(|| new_board(drop)))
        };
        self.boards.store(Arc::new(drops.iter().map(board).collect()));
    }

    /// Limits joins so from now on.
    pub fn limit_joins(&self, joins: Arc<AddressLimit>) {
        self.joins.store(joins);
    }

    /// Puts a message on the drop's pages; an empty one takes it down.
    pub fn set_notice(&self, drop: &DropId, notice: &str) {
        let Some(board) = self.board(drop) else { return };
        if board.config.notice.as_deref().unwrap_or_default() == notice {
            return;
        }
        let mut config = (*board.config).clone();
        config.notice = Some(notice.to_owned()).filter(|notice| !notice.is_empty());
        let fresh = new_board(&config);
        self.boards.rcu(|boards| {
            let mut boards = (**boards).clone();
            boards.insert(drop.clone(), Arc::clone(&fresh));
            boards
        });
    }

    /// A value that lets one page run its own script and nothing else: 128 bits, never repeated.
    fn nonce(&self) -> String {
        let mut bytes = [0_u8; 16];
        self.entropy.fill(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

fn new_board(drop: &DropConfig) -> Arc<Board> {
    Arc::new(Board::new(Arc::new(drop.clone())))
}
