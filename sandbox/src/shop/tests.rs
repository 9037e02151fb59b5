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
