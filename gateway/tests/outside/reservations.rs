//! More shoppers at once than there are units, over two gateways: the units are all taken, each once, and
//! everybody else gets a clear answer.

use std::collections::BTreeMap;

use domain::DropId;
use serde_json::json;

use crate::client::{DROP, until};
use crate::house::{SKU, Terms};
use crate::shared::SharedHouse;
use crate::stampede;

const SHOPPERS: usize = 5_000;
const STOCK: u32 = 1_000;
/// Each takes two of the process's file handles, of which some systems give 1,024.
const CONNECTIONS: usize = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_five_thousand_who_reserve_a_thousand_units_a_thousand_get_one() {
    let house = SharedHouse::open(
        2,
        Terms {
            stock: STOCK,
            total_active_users: 10_000,
            drop: "queueing_method = \"passthrough\"",
            ..Terms::default()
        },
    )
    .await;
    let drop = DropId::new("aurora").expect("a name");
    let admitted = stampede::admit(&house.gateways[0].desk, &drop, SKU, SHOPPERS).await;
    let gateways: Vec<_> = house.gateways.iter().map(|gateway| gateway.address).collect();
    let open = stampede::open(&gateways, &drop, CONNECTIONS)
        .await
        .expect("all get through");
    let answers = stampede::send(open, admitted.expect("all are let in")).await;
    let units = usize::try_from(STOCK).expect("a small number");
    assert_eq!(
        answers.expect("every order is answered").by_status,
        BTreeMap::from([(201, units), (409, SHOPPERS - units)])
    );
    let audit = house.gateways[1].checkout.audit().await.expect("an audit");
    assert!(audit.differences.is_empty(), "{audit:?}");
    for gateway in 0..2 {
        until("all are shown as taken", async || {
            let state = house.browser(gateway).get(DROP).await.json();
            (state["stock"][SKU] == json!({"available": 0, "reserved": STOCK, "sold": 0})).then_some(())
        })
        .await;
    }
    house.close().await;
}
