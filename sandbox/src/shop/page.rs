//! The shop's pages and assets: rendered when the shop opens, then handed out as they are.

use std::collections::BTreeMap;

use askama::Template;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

use super::{ShopConfig, ShopItem};
use crate::serve::{Reply, reply};

/// What every page knows about the shop.
struct View<'a> {
    drop: &'a str,
    drop_path: &'a str,
    title: &'a str,
    items: &'a [ShopItem],
    quantity_max: u32,
    provider_url: &'a str,
}

/// A payment method offered on the page.
struct TestCard {
    id: &'static str,
    name: &'static str,
    effect: &'static str,
}

const CARDS: [TestCard; 6] = [
    TestCard {
        id: "pm_card_visa",
        name: "Visa ···· 4242",
        effect: "pays",
    },
    TestCard {
        id: "pm_card_mastercard",
        name: "Mastercard ···· 4444",
        effect: "pays",
    },
    TestCard {
        id: "pm_card_threeDSecure2Required",
        name: "Visa ···· 3220",
        effect: "asks your bank first",
    },
    TestCard {
        id: "pm_card_chargeDeclined",
        name: "Visa ···· 0002",
        effect: "is declined",
    },
    TestCard {
        id: "pm_card_visa_chargeDeclinedInsufficientFunds",
        name: "Visa ···· 9995",
        effect: "has no money on it",
    },
    TestCard {
        id: "pm_sandbox_lostAnswer",
        name: "Visa ···· 0408",
        effect: "pays, over a broken line",
    },
];

#[derive(Template)]
#[template(path = "shop/home.html")]
struct Home<'a> {
    shop: &'a View<'a>,
}

#[derive(Template)]
#[template(path = "shop/about.html")]
struct About<'a> {
    shop: &'a View<'a>,
}

#[derive(Template)]
#[template(path = "shop/product.html")]
struct Product<'a> {
    shop: &'a View<'a>,
    cards: &'a [TestCard],
}

#[derive(Template)]
#[template(path = "shop/detail.html")]
struct Detail<'a> {
    shop: &'a View<'a>,
    heading: &'a str,
    text: &'a str,
}

#[derive(Template)]
#[template(path = "shop/message.html")]
struct Message<'a> {
    shop: &'a View<'a>,
    heading: &'a str,
    text: &'a str,
}

#[derive(Debug)]
struct Asset {
    content_type: &'static str,
    body: Bytes,
}

/// Everything the shop can answer with.
#[derive(Debug)]
pub(super) struct Pages {
    by_path: BTreeMap<String, Asset>,
    missing: Bytes,
    guarded: Bytes,
    policy: HeaderValue,
}

const HTML: &str = "text/html; charset=utf-8";

impl Pages {
    pub(super) fn render(config: &ShopConfig) -> Result<Self, askama::Error> {
        let drop_path = format!("/drops/{}", config.drop);
        let provider_url = config.provider_url.as_deref().unwrap_or_default();
        let view = View {
            drop: &config.drop,
            drop_path: &drop_path,
            title: &config.title,
            items: &config.items,
            quantity_max: config.quantity_max.max(1),
            provider_url,
        };
        let missing = Message {
            shop: &view,
            heading: "There is nothing here",
            text: "The page may have moved, or the address has a slip in it.",
        };
        let guarded = Message {
            shop: &view,
            heading: "Please come through the front door",
            text: "These pages are served to people the gateway has let in. Open the shop by its public address.",
        };
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
             connect-src 'self' {provider_url}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        );
        Ok(Self {
            by_path: by_path(&view, config)?,
            missing: missing.render()?.into(),
            guarded: guarded.render()?.into(),
            policy: HeaderValue::from_str(&policy).map_err(|error| askama::Error::Custom(error.into()))?,
        })
    }

    /// The page or asset of a path, or a 404.
    pub(super) fn find(&self, path: &str) -> Reply {
        let trimmed = if path.len() > 1 {
            path.trim_end_matches('/')
        } else {
            path
        };
        match self.by_path.get(trimmed) {
            Some(asset) => self.answer(StatusCode::OK, asset.content_type, asset.body.clone()),
            None => self.answer(StatusCode::NOT_FOUND, HTML, self.missing.clone()),
        }
    }

    /// The answer to somebody who came around the gateway.
    pub(super) fn guarded(&self) -> Reply {
        self.answer(StatusCode::FORBIDDEN, HTML, self.guarded.clone())
    }

    fn answer(&self, status: StatusCode, content_type: &'static str, body: Bytes) -> Reply {
        let is_page = content_type == HTML;
        let mut answer = reply(status, content_type, body);
        let headers = answer.headers_mut();
        let caching = if is_page {
            "no-store"
        } else {
            "public, max-age=300"
        };
        for (name, value) in [
            ("cache-control", caching),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        if is_page {
            headers.insert(http::header::CONTENT_SECURITY_POLICY, self.policy.clone());
        }
        answer
    }
}

fn by_path(view: &View<'_>, config: &ShopConfig) -> Result<BTreeMap<String, Asset>, askama::Error> {
    let html = |text: String| Asset {
        content_type: HTML,
        body: text.into(),
    };
    let file = |content_type, text: &'static str| Asset {
        content_type,
        body: Bytes::from_static(text.as_bytes()),
    };
    let detail = |heading, text| {
        Detail {
            shop: view,
            heading,
            text,
        }
        .render()
    };
    let products = format!("/products/{}", config.drop);
    let mut pages = BTreeMap::from([
        ("/".to_owned(), html(Home { shop: view }.render()?)),
        ("/about".to_owned(), html(About { shop: view }.render()?)),
        (
            view.drop_path.to_owned(),
            html(
                Product {
                    shop: view,
                    cards: &CARDS,
                }
                .render()?,
            ),
        ),
        (
            "/assets/shop.css".to_owned(),
            file("text/css; charset=utf-8", include_str!("../../assets/shop.css")),
        ),
        (
            "/assets/shop.js".to_owned(),
            file(
                "text/javascript; charset=utf-8",
                include_str!("../../assets/shop.js"),
            ),
        ),
        (
            "/assets/icon.svg".to_owned(),
            file("image/svg+xml", include_str!("../../assets/icon.svg")),
        ),
        (
            format!("{products}/materials"),
            html(detail(
                "What it is made of",
                "Undyed knit, castor foam, a rubber outsole, and one wave of colour.",
            )?),
        ),
    ]);
    for item in &config.items {
        let text = format!("{} at {}.", item.title, item.price);
        let page = Detail {
            shop: view,
            heading: &item.title,
            text: &text,
        }
        .render()?;
        pages.insert(format!("{products}/{}", item.sku), html(page));
    }
    Ok(pages)
}
