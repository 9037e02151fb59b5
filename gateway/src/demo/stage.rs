//! What stands before the crowd comes: the shop, the provider, and the house in one of its two forms.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use checkout_worker::Checkout;
use sandbox::crowd::CrowdConfig;
use sandbox::provider::{Provider, ProviderConfig, RunningProvider, WebhookTarget};
use sandbox::shop::{RunningShop, Shop, ShopConfig};

use super::fleet::{self, Engines, Fleet, FleetPlan, Wires};
use super::settings::{self, DROP, Plan};
use crate::admin::client::Client;
use crate::admin::wire::DropStatus;
use crate::assembly::{self, Doorline, Ground, Role};
use crate::config::Secret;

/// What the provider of the demo signs its webhooks with.
const WEBHOOK_SECRET: &str = "whsec_of_the_demo";
/// The admin API of a demo listens on loopback only and ends with it.
const ADMIN_TOKEN: &str = "the-admin-token-of-the-demo";

/// In which form the house stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Form {
    /// One process: this one.
    Embedded,
    /// Many processes of `program`.
    Distributed {
        /// The `doorline` to run.
        program: PathBuf,
        /// How they reach what they call.
        wires: Wiring,
    },
}

/// How the processes of a fleet reach the engines, the provider and the shop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wiring {
    /// Directly.
    Direct,
    /// Over wires that can be made bad.
    Breakable,
}

/// The whole show, ready for a crowd.
pub struct Stage {
    house: House,
    /// Where shoppers connect.
    pub address: SocketAddr,
    /// Where ops connect.
    pub admin_address: SocketAddr,
    admin: Client,
    /// The orders, to be counted.
    pub checkout: Checkout,
    provider: RunningProvider,
    shop: RunningShop,
    data_dir: PathBuf,
}

/// The house in one of its two forms.
enum House {
    /// One process: this one.
    Whole(Box<Doorline>),
    /// Many, on engines.
    Fleet(Box<Fleet>),
}

impl Stage {
    /// Starts everything. `data_dir` is removed by [`Stage::strike`].
    pub async fn set(plan: &Plan, form: &Form, data_dir: PathBuf, ground: &Ground) -> anyhow::Result<Self> {
        let provider = Provider::start(ProviderConfig::default())
            .await
            .context("the sandbox provider")?;
        let shop = Shop::start(ShopConfig {
            provider_url: Some(provider.url()),
            origin_guard: true,
            ..ShopConfig::default()
        })
        .await
        .context("the demo shop")?;
        let (house, address, admin_address, checkout) = if let Form::Distributed { program, wires } = form {
            let outside = Outside {
                provider: provider.address(),
                shop: shop.address(),
            };
            let (fleet, checkout) = launch(plan, program, *wires, outside, &data_dir, ground).await?;
            let first = fleet.gateways.first().context("a fleet has gateways")?;
            let (address, admin) = (fleet.front.address(), first.admin);
            (House::Fleet(Box::new(fleet)), address, admin, checkout)
        } else {
            let text = plan.text(&shop.url(), &provider.url(), &data_dir, "embedded");
            let ground = Ground {
                environment: variables().into_iter().collect(),
                ..ground.clone()
            };
            let house = Doorline::open(&settings::load(&text)?, Role::All, &ground).await?;
            let (address, admin, checkout) = (house.address, house.admin_address, house.checkout.clone());
            (House::Whole(Box::new(house)), address, admin, checkout)
        };
        provider.provider().set_webhook(Some(WebhookTarget {
            url: format!("http://{address}/.doorline/v1/webhooks/stripe"),
            secret: WEBHOOK_SECRET.to_owned(),
        }));
        Ok(Self {
            house,
            address,
            admin_address,
            admin: Client::new(admin_address, Secret::new(ADMIN_TOKEN.to_owned()), None)?,
            checkout,
            provider,
            shop,
            data_dir,
        })
    }

    /// A crowd for this stage.
    pub fn crowd(&self, plan: &Plan, seed: u64) -> CrowdConfig {
        CrowdConfig {
            provider_url: Some(self.provider.url()),
            quantity_max: 1,
            starts_in: plan.prequeue,
            share_before_start: 0.6,
            ramp: plan.ramp,
            deadline: plan.deadline,
            ..CrowdConfig::new(self.address, plan.shoppers, seed)
        }
    }

    /// A client of the admin API, for whoever draws.
    pub fn admin(&self) -> anyhow::Result<Client> {
        Client::new(self.admin_address, Secret::new(ADMIN_TOKEN.to_owned()), None)
    }

    /// The drop as ops see it now.
    pub async fn status(&self) -> anyhow::Result<DropStatus> {
        self.admin.get(&format!("drops/{DROP}")).await
    }

    /// The provider, whose log is the second count.
    pub fn provider(&self) -> &Provider {
        self.provider.provider()
    }

    /// How the work was shared, one line per part; nothing where one process did it all.
    pub async fn shares(&self) -> anyhow::Result<Vec<String>> {
        match &self.house {
            House::Whole(_) => Ok(Vec::new()),
            House::Fleet(fleet) => fleet.shares().await,
        }
    }

    /// The processes, where there are many.
    pub fn fleet(&self) -> Option<&Fleet> {
        match &self.house {
            House::Whole(_) => None,
            House::Fleet(fleet) => Some(fleet),
        }
    }

    /// Ends everything in order and removes the folder.
    pub async fn strike(self) {
        match self.house {
            House::Whole(house) => house.close().await,
            House::Fleet(fleet) => fleet.end().await,
        }
        self.shop.shutdown().await;
        self.provider.shutdown().await;
        if let Err(error) = std::fs::remove_dir_all(&self.data_dir) {
            tracing::warn!(%error, path = %self.data_dir.display(), "the demo's folder cannot be removed");
        }
    }
}

fn variables() -> Vec<(String, String)> {
    [
        ("DOORLINE_DEMO_WEBHOOK_SECRET", WEBHOOK_SECRET),
        ("DOORLINE_ADMIN_TOKEN", ADMIN_TOKEN),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// What the processes call that is not an engine.
struct Outside {
    provider: SocketAddr,
    shop: SocketAddr,
}

/// Two gateways and two workers on engines of their own, and a view of their orders.
async fn launch(
    plan: &Plan,
    program: &Path,
    wiring: Wiring,
    outside: Outside,
    folder: &Path,
    ground: &Ground,
) -> anyhow::Result<(Fleet, Checkout)> {
    let engines = Engines::start().await?;
    let fleet_plan = FleetPlan {
        program: program.to_path_buf(),
        config: folder.join("config.toml"),
        folder: folder.to_path_buf(),
        gateways: 2,
        workers: 2,
        variables: variables(),
    };
    let Outside {
        mut provider,
        mut shop,
    } = outside;
    let wires = match wiring {
        Wiring::Direct => None,
        Wiring::Breakable => {
            let wires = Wires::of(&fleet_plan, &engines, provider, shop).await?;
            (provider, shop) = (wires.provider.address(), wires.shop.address());
            Some(wires)
        }
    };
    let url = |address| format!("http://{address}");
    let text = plan.text(&url(shop), &url(provider), folder, "distributed");
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let config = &fleet_plan.config;
    std::fs::write(config, &text).with_context(|| format!("cannot write {}", config.display()))?;
    let mut known = engines.variables(None);
    known.extend(variables());
    let fleet = Fleet::launch(&fleet_plan, engines, wires).await?;
    let ground = Ground {
        environment: fleet::environment(&known),
        ..ground.clone()
    };
    let checkout = assembly::look_into(&settings::load(&text)?, &ground).await?;
    Ok((fleet, checkout))
}
