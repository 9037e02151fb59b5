//! The demo shop: a real upstream on a port of its own, selling one shoe.
//!
//! Its pages need nothing from other hosts and run under a strict content security policy. The
//! drop's pages talk to the gateway's shopper API on their own origin; a shop visited without the
//! gateway in front shows them too, unless its origin guard is on.

mod page;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, Request, StatusCode, header};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::page::Pages;
use crate::running::Running;
use crate::serve::{HangUp, Reply, read_body, reply, serve};

/// Text that every page of the drop contains and no waiting room does.
pub const PAGE_MARKER: &str = "data-shop-page=";

/// Settings of a shop.
#[derive(Clone, Debug)]
pub struct ShopConfig {
    /// Id of the drop, used in paths: `/drops/{drop}` and `/products/{drop}/…`.
    pub drop: String,
    /// Name of the product.
    pub title: String,
    /// What can be bought.
    pub items: Vec<ShopItem>,
    /// Most pairs offered per order.
    pub quantity_max: u32,
    /// Base URL of the sandbox provider, where browsers confirm 3-D Secure.
    pub provider_url: Option<String>,
    /// Refuses the drop's pages to requests without a `Doorline-Admission` header, so that nobody
    /// gets around the gateway by knowing the shop's own address.
    pub origin_guard: bool,
}

/// One size.
#[derive(Clone, Debug)]
pub struct ShopItem {
    /// Stock keeping unit, as the drop's configuration names it.
    pub sku: String,
    /// Label of the size.
    pub title: String,
    /// Price in words, e.g. `€129.00`; what is charged comes from the gateway's configuration.
    pub price: String,
}

impl Default for ShopConfig {
    fn default() -> Self {
        let item = ShopItem {
            sku: "AUR-42".to_owned(),
            title: "EU 42".to_owned(),
            price: "€129.00".to_owned(),
        };
        Self {
            drop: "aurora".to_owned(),
            title: "Aurora, first edition".to_owned(),
            items: vec![item],
            quantity_max: 2,
            provider_url: None,
            origin_guard: false,
        }
    }
}

/// A shop. Clones share its counters.
#[derive(Clone, Debug)]
pub struct Shop {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: ShopConfig,
    pages: Pages,
    served: Mutex<BTreeMap<String, u64>>,
}

/// Distinct paths counted; others fall under `other`.
const PATHS_MAX: usize = 200;
const BODY_BYTES_MAX: usize = 64 * 1024;

impl Shop {
    /// A shop whose pages are rendered now, once.
    ///
    /// # Errors
    /// When a page cannot be rendered.
    pub fn new(config: ShopConfig) -> Result<Self, askama::Error> {
        let pages = Pages::render(&config)?;
        let inner = Inner {
            config,
            pages,
            served: Mutex::new(BTreeMap::new()),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Serves the listener until `cancel` fires; nothing runs any more when it returns.
    pub async fn run(&self, listener: TcpListener, cancel: CancellationToken) {
        let shop = self.clone();
        serve(listener, cancel, move |request| shop.clone().answer(request)).await;
    }

    /// Serves a free port of 127.0.0.1 in the background.
    ///
    /// # Errors
    /// When a page cannot be rendered or no port can be bound.
    pub async fn start(config: ShopConfig) -> io::Result<RunningShop> {
        let shop = Self::new(config).map_err(io::Error::other)?;
        Running::start(shop, |shop, listener, cancel| async move {
            shop.run(listener, cancel).await;
        })
        .await
    }

    /// Answers given so far, by path.
    #[must_use]
    pub fn served(&self) -> BTreeMap<String, u64> {
        self.inner
            .served
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Reply, HangUp> {
        let (parts, body) = request.into_parts();
        // Read to the end, so that the connection stays usable.
        read_body(body, BODY_BYTES_MAX).await.ok_or(HangUp)?;
        self.count(parts.uri.path());
        let is_read = parts.method == Method::GET || parts.method == Method::HEAD;
        if !is_read {
            let mut refused = reply(
                StatusCode::METHOD_NOT_ALLOWED,
                "text/plain; charset=utf-8",
                "GET or HEAD\n",
            );
            refused
                .headers_mut()
                .insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
            return Ok(refused);
        }
        let admitted = parts.headers.contains_key("doorline-admission");
        if self.inner.config.origin_guard && self.is_protected(parts.uri.path()) && !admitted {
            return Ok(self.inner.pages.guarded());
        }
        Ok(self.inner.pages.find(parts.uri.path()))
    }

    fn is_protected(&self, path: &str) -> bool {
        let drop = &self.inner.config.drop;
        path.strip_prefix("/drops/")
            .is_some_and(|rest| rest.trim_end_matches('/') == drop)
            || path.starts_with(&format!("/products/{drop}/"))
    }

    fn count(&self, path: &str) {
        let mut served = self.inner.served.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !served.contains_key(path);
        let name = if is_new && served.len() >= PATHS_MAX {
            "other"
        } else {
            path
        };
        *served.entry(name.to_owned()).or_default() += 1;
    }
}

/// A shop serving on an address of its own.
pub type RunningShop = Running<Shop>;
