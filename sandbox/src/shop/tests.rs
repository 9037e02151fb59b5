//! The shop as a browser or a gateway would ask it.

use std::time::Duration;

use bytes::Bytes;
use http::Request;

use super::{PAGE_MARKER, RunningShop, Shop, ShopConfig, ShopItem};
use crate::link::{Answer, Link};

const DEADLINE: Duration = Duration::from_secs(10);

async fn ask(shop: &RunningShop, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let authority = shop.address().to_string();
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", &authority);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut link = Link::open(&authority, DEADLINE).await.unwrap();
    link.exchange(request.body(Bytes::new()).unwrap(), 1 << 20, DEADLINE)
        .await
        .unwrap()
}

async fn get(shop: &RunningShop, path: &str) -> Answer {
    ask(shop, "GET", path, &[]).await
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.to_vec()).unwrap()
}

#[tokio::test]
async fn pages_render_under_a_strict_policy() {
    let provider = "http://127.0.0.1:4242".to_owned();
    let shop = Shop::start(ShopConfig {
        provider_url: Some(provider),
        ..ShopConfig::default()
    })
    .await
    .unwrap();
    for path in [
        "/",
        "/about",
        "/drops/aurora",
        "/products/aurora/AUR-42",
        "/products/aurora/materials",
    ] {
        let answer = get(&shop, path).await;
        assert_eq!(answer.status, 200, "{path}");
        let html = text(&answer);
        assert!(
            html.starts_with("<!doctype html>") && html.trim_end().ends_with("</html>"),
            "{path}"
        );
        for inline in ["style=", "onclick=", "<style", "javascript:"] {
            assert!(
                !html.contains(inline),
                "{path} has {inline}, which its own policy forbids"
            );
        }
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert!(
            policy.contains("connect-src 'self' http://127.0.0.1:4242"),
            "{policy}"
        );
    }
    shop.shutdown().await;
}

#[tokio::test]
async fn only_the_drops_own_pages_carry_the_marker() {
    let shop = Shop::start(ShopConfig::default()).await.unwrap();
    for (path, marked) in [
        ("/", false),
        ("/about", false),
        ("/drops/aurora", true),
        ("/products/aurora/AUR-42", true),
    ] {
        assert_eq!(
            text(&get(&shop, path).await).contains(PAGE_MARKER),
            marked,
            "{path}"
        );
    }
}

#[tokio::test]
async fn everything_a_page_refers_to_exists() {
    let shop = Shop::start(ShopConfig::default()).await.unwrap();
    let html = text(&get(&shop, "/drops/aurora").await);
    let mut found = 0;
    for attribute in ["href=\"/", "src=\"/"] {
        for rest in html.split(attribute).skip(1) {
            let path = format!("/{}", rest.split('"').next().unwrap());
            assert_eq!(get(&shop, &path).await.status, 200, "{path}");
            found += 1;
        }
    }
    assert!(found >= 5, "{found}");
    assert!(html.contains("data-drop=\"aurora\"") && html.contains("value=\"AUR-42\""));
    let script = text(&get(&shop, "/assets/shop.js").await);
    for selector in script
        .split("find('[data-")
        .skip(1)
        .map(|rest| rest.split(']').next().unwrap())
    {
        assert!(
            html.contains(&format!("data-{selector}")),
            "the script looks for data-{selector}"
        );
    }
}

#[tokio::test]
async fn names_from_the_configuration_are_escaped() {
    let hostile = "<script>alert(1)</script>\"'";
    let item = ShopItem {
        sku: hostile.to_owned(),
        title: hostile.to_owned(),
        price: hostile.to_owned(),
    };
    let config = ShopConfig {
        title: hostile.to_owned(),
        items: vec![item],
        ..ShopConfig::default()
    };
    let shop = Shop::start(config).await.unwrap();
    for path in ["/", "/about", "/drops/aurora"] {
        assert!(!text(&get(&shop, path).await).contains("<script>alert"), "{path}");
    }
}

#[tokio::test]
async fn the_origin_guard_lets_the_gateway_in_and_nobody_else() {
    let shop = Shop::start(ShopConfig {
        origin_guard: true,
        ..ShopConfig::default()
    })
    .await
    .unwrap();
    for path in ["/drops/aurora", "/drops/aurora/", "/products/aurora/AUR-42"] {
        let refused = get(&shop, path).await;
        assert_eq!(refused.status, 403, "{path}");
        assert!(!text(&refused).contains(PAGE_MARKER), "{path}");
        let admitted = ask(&shop, "GET", path, &[("doorline-admission", "token")]).await;
        assert_eq!(admitted.status, 200, "{path}");
    }
    for path in ["/", "/about", "/assets/shop.css"] {
        assert_eq!(get(&shop, path).await.status, 200, "{path} is open to everybody");
    }
}

#[tokio::test]
async fn what_is_served_is_counted_within_bounds() {
    let shop = Shop::start(ShopConfig::default()).await.unwrap();
    for _ in 0..3 {
        get(&shop, "/drops/aurora").await;
    }
    for index in 0..super::PATHS_MAX {
        get(&shop, &format!("/nothing/{index}")).await;
    }
    let served = shop.served();
    assert_eq!(served["/drops/aurora"], 3);
    assert_eq!(served.len(), super::PATHS_MAX + 1);
    assert_eq!(served["other"], 1);
}

#[tokio::test]
async fn other_methods_and_paths_are_refused() {
    let shop = Shop::start(ShopConfig::default()).await.unwrap();
    let refused = ask(&shop, "POST", "/drops/aurora", &[]).await;
    assert_eq!(
        (
            refused.status.as_u16(),
            refused.headers["allow"].to_str().unwrap()
        ),
        (405, "GET, HEAD")
    );
    let missing = get(&shop, "/drops/borealis").await;
    assert_eq!(missing.status, 404);
    assert!(text(&missing).contains("nothing here"));
}

/// The tags of a page, in order.
fn tags(html: &str) -> Vec<&str> {
    html.split('<')
        .skip(1)
        .filter_map(|rest| rest.split('>').next())
        .collect()
}

#[tokio::test]
async fn pages_can_be_read_aloud_and_walked_by_keyboard() {
    let shop = Shop::start(ShopConfig::default()).await.unwrap();
    for path in [
        "/",
        "/about",
        "/drops/aurora",
        "/products/aurora/AUR-42",
        "/nothing",
    ] {
        let html = text(&get(&shop, path).await);
        let tags = tags(&html);
        let count = |start: &str| tags.iter().filter(|tag| tag.starts_with(start)).count();
        assert!(html.contains("<html lang=\"en\">"), "{path}");
        assert_eq!(
            (count("h1"), count("main"), count("title")),
            (1, 1, usize::from(html.contains("<svg")) + 1),
            "{path}"
        );
        assert!(
            html.contains("class=\"skip\" href=\"#main\""),
            "{path} can skip the navigation"
        );
        for svg in tags.iter().filter(|tag| tag.starts_with("svg")) {
            assert!(
                svg.contains("role=\"img\"") && svg.contains("aria-labelledby"),
                "{path}: {svg}"
            );
        }
        for input in tags.iter().filter(|tag| tag.starts_with("input")) {
            let labelled = html.split("<label").any(|label| label.contains(input));
            assert!(labelled, "{path}: {input}");
        }
    }
}

#[tokio::test]
async fn every_tag_that_opens_closes() {
    const VOID: [&str; 10] = [
        "meta", "link", "input", "br", "img", "stop", "path", "circle", "ellipse", "rect",
    ];
    let shop = Shop::start(ShopConfig::default()).await.unwrap();
    for path in [
        "/",
        "/about",
        "/drops/aurora",
        "/products/aurora/materials",
        "/nothing",
    ] {
        let html = text(&get(&shop, path).await);
        let mut open: Vec<&str> = Vec::new();
        for tag in tags(&html) {
            let name = tag.split([' ', '\n', '/']).next().unwrap_or_default();
            if let Some(closed) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(closed), "{path}");
            } else if !tag.starts_with('!') && !tag.ends_with('/') && !VOID.contains(&name) {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "{path}: {open:?} never close");
    }
}

#[tokio::test]
async fn the_first_load_is_small() {
    let shop = Shop::start(ShopConfig::default()).await.unwrap();
    let mut bytes = 0;
    for path in [
        "/drops/aurora",
        "/assets/shop.css",
        "/assets/shop.js",
        "/assets/icon.svg",
    ] {
        bytes += get(&shop, path).await.body.len();
    }
    assert!(bytes < 50_000, "{bytes} bytes");
}

#[tokio::test]
async fn colours_are_named_once_per_scheme_and_used_by_name() {
    let shop = Shop::start(ShopConfig::default()).await.unwrap();
    let css = text(&get(&shop, "/assets/shop.css").await);
    let names: std::collections::BTreeSet<&str> = css
        .split("var(--")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap())
        .collect();
    let (_, dark) = css
        .split_once("prefers-color-scheme: dark")
        .expect("a dark scheme");
    let dark = dark.split("}\n}").next().unwrap();
    for name in names {
        assert!(css.contains(&format!("--{name}:")), "--{name} is defined");
        let is_font = ["serif", "sans"].contains(&name);
        assert!(
            is_font || dark.contains(&format!("--{name}:")),
            "--{name} has a dark value"
        );
    }
    for outside in ["http://", "https://", "@import", "url("] {
        assert!(
            !css.contains(outside),
            "the style needs nothing from elsewhere: {outside}"
        );
    }
}

#[tokio::test]
async fn every_card_and_size_is_offered_with_what_it_does() {
    let sizes = ["40", "41", "42"].map(|size| ShopItem {
        sku: format!("AUR-{size}"),
        title: format!("EU {size}"),
        price: "€129.00".to_owned(),
    });
    let config = ShopConfig {
        items: sizes.to_vec(),
        quantity_max: 3,
        ..ShopConfig::default()
    };
    let shop = Shop::start(config).await.unwrap();
    let html = text(&get(&shop, "/drops/aurora").await);
    for size in ["40", "41", "42"] {
        assert!(html.contains(&format!("value=\"AUR-{size}\"")) && html.contains(&format!("EU {size}")));
        assert_eq!(
            get(&shop, &format!("/products/aurora/AUR-{size}")).await.status,
            200
        );
    }
    assert_eq!(html.matches("<option>").count(), 3);
    let cards: Vec<&str> = html
        .split("value=\"pm_")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert_eq!(cards.len(), 6, "{cards:?}");
    for needed in [
        "card_visa",
        "card_chargeDeclined",
        "card_threeDSecure2Required",
        "sandbox_lostAnswer",
    ] {
        assert!(cards.contains(&needed), "{needed}");
    }
    assert_eq!(
        html.matches(" checked").count(),
        2,
        "one size and one card are chosen to begin with"
    );
}

#[tokio::test]
async fn head_is_get_without_the_body_and_queries_change_nothing() {
    let shop = Shop::start(ShopConfig::default()).await.unwrap();
    let head = ask(&shop, "HEAD", "/drops/aurora", &[]).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    let plain = get(&shop, "/drops/aurora").await;
    let asked = get(&shop, "/drops/aurora?utm=1").await;
    assert_eq!(plain.body, asked.body);
    assert_eq!(plain.headers["cache-control"], "no-store");
    assert_eq!(
        get(&shop, "/assets/shop.css").await.headers["cache-control"],
        "public, max-age=300"
    );
}
