//! What shoppers do: reserve, accept, cancel.

use domain::money::Unchargeable;
use domain::pool::{Line, check_lines};
use domain::saga::{By, Event, PaymentMethod, Refusal, StateName, Why};
use domain::{AdmissionId, DropId, Money, OrderId, ShopperKey, Sku};
use sha2::{Digest, Sha256};

use crate::driver::{DriveError, Fed};
use crate::ledger::{Acceptance, ClientKey, Email, Item, LedgerError, NewOrder, OrderRecord, Reservation};

use super::{Checkout, DropTerms, OrderView};

/// What a shopper asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Purchase {
    /// The drop.
    pub drop: DropId,
    /// Who asks, from the verified admission token.
    pub shopper: ShopperKey,
    /// The admission, from the same token.
    pub admission: AdmissionId,
    /// The request's `Idempotency-Key`.
    pub client_key: ClientKey,
    /// What, and how many.
    pub lines: Vec<Line>,
    /// Where present, the order is accepted in the same step.
    pub method: Option<PaymentMethod>,
    /// Where a receipt may go.
    pub email: Option<Email>,
}

/// A purchase that has its order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Placed {
    /// Placed just now.
    New(OrderView),
    /// Placed by an earlier request under the same key; as it stands now.
    Repeated(OrderView),
}

/// Why nothing was reserved. Nothing was changed, except where the ledger failed and may have been just in time.
#[derive(Debug, thiserror::Error)]
pub enum ReserveError {
    /// No such drop sells anything.
    #[error("drop {0} sells nothing here")]
    UnknownDrop(DropId),
    /// An operator, or the configuration, lets nobody order just now.
    #[error("drop {0} takes no new orders just now")]
    Stopped(DropId),
    /// The drop does not sell this.
    #[error("the drop has no SKU {0}")]
    UnknownSku(Sku),
    /// No lines, a SKU twice, 0 units, or an amount that no currency has.
    #[error("an order names each SKU once, with at least one unit")]
    Malformed,
    /// More than the provider charges at once; the configuration warns of prices that lead here.
    #[error("the order comes to more than is charged at once")]
    TooLarge,
    /// Too little is left.
    #[error("too little is left")]
    SoldOut {
        /// Units left of each SKU asked for.
        left: Vec<Line>,
    },
    /// More than one shopper may have.
    #[error("one shopper may have {limit} units of this drop, and has {has}")]
    LimitExceeded {
        /// Units one shopper may have.
        limit: u32,
        /// Units this shopper has.
        has: u32,
    },
    /// The admission holds another order that is not dead.
    #[error("this admission holds order {order} already")]
    AdmissionSpent {
        /// That order.
        order: OrderId,
    },
    /// The key was used for another request.
    #[error("the key was used for another request, which made order {order}")]
    KeyMismatch {
        /// The order of that request.
        order: OrderId,
    },
    /// The ledger failed; repeating the request under its key is safe.
    #[error("reserving met a failing ledger")]
    Ledger(#[from] LedgerError),
}

/// Why an order was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// There is no such order.
    #[error("there is no order {0}")]
    Unknown(OrderId),
    /// Its reservation has run out.
    #[error("the reservation of order {0} has run out")]
    Expired(OrderId),
    /// It has gone on, with another payment method or to its end.
    #[error("order {} cannot be accepted: {}", .0.order, .1)]
    NotNow(Box<OrderView>, Refusal),
    /// The ledger failed; repeating the request is safe.
    #[error("accepting met a failing ledger")]
    Ledger(#[from] LedgerError),
}

/// Why an order was not cancelled.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// There is no such order.
    #[error("there is no order {0}")]
    Unknown(OrderId),
    /// It is too late, or it waits for somebody to look at it.
    #[error("the order cannot be cancelled: {0}")]
    NotNow(Refusal),
    /// The ledger failed; repeating the request is safe.
    #[error("cancelling did not come to its end")]
    Drive(#[from] DriveError),
}

impl Checkout {
    /// Holds units for a purchase, and accepts it where it carries a payment method. Finishes even if the caller goes.
    pub async fn reserve(&self, purchase: Purchase) -> Result<Placed, ReserveError> {
        let terms = self
            .terms(&purchase.drop)
            .ok_or_else(|| ReserveError::UnknownDrop(purchase.drop.clone()))?;
        if self.is_stopped(&purchase.drop) {
            return Err(ReserveError::Stopped(purchase.drop));
        }
        let order = self.priced(purchase, &terms)?;
        let checkout = self.clone();
        self.detached(async move { checkout.place(order).await }, "reserving")
            .await
    }

    /// Accepts a reserved order. Repeating it with the same method is harmless. Finishes even if the caller goes.
    pub async fn accept(&self, order: OrderId, method: PaymentMethod) -> Result<OrderView, AcceptError> {
        let checkout = self.clone();
        self.detached(
            async move { checkout.accept_now(order, method).await },
            "accepting",
        )
        .await
    }

    /// Gives an order up, where that is still possible. What the provider may know of is given up there first: the view
    /// then still says `paying`.
    pub async fn cancel(&self, order: OrderId, by: By) -> Result<OrderView, CancelError> {
        let fed = self.driver().feed(order, Event::Cancel(by)).await?;
        self.jobs().wake();
        match fed {
            Fed::Unknown => Err(CancelError::Unknown(order)),
            Fed::Refused(refusal) if refusal.why != Why::Unchanged => Err(CancelError::NotNow(refusal)),
            Fed::Refused(_) | Fed::Rested(_) | Fed::Deferred(_) => {
                let view = self
                    .view(order)
                    .await
                    .map_err(|cause| DriveError::Ledger { order, cause })?;
                view.ok_or(CancelError::Unknown(order))
            }
        }
    }

    /// Runs in a task of its own, so that a client that hangs up does not drop it half-way.
    async fn detached<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
        doing: &'static str,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<LedgerError> + Send + 'static,
    {
        match self.inner.tasks.spawn(work).await {
            Ok(done) => done,
            Err(_) => Err(LedgerError::Unavailable { doing }.into()),
        }
    }

    async fn place(&self, order: NewOrder) -> Result<Placed, ReserveError> {
        match self.driver().ledger.reserve(order).await? {
            Reservation::Placed(record) => {
                self.arrived(None, &record);
                Ok(Placed::New(record.into()))
            }
            Reservation::Repeated(record) => Ok(Placed::Repeated(record.into())),
            Reservation::KeyMismatch { order } => Err(ReserveError::KeyMismatch { order }),
            Reservation::SoldOut { left } => Err(ReserveError::SoldOut { left }),
            Reservation::LimitExceeded { limit, has } => Err(ReserveError::LimitExceeded { limit, has }),
            Reservation::AdmissionSpent { order } => Err(ReserveError::AdmissionSpent { order }),
            Reservation::UnknownSku(sku) => Err(ReserveError::UnknownSku(sku)),
        }
    }

    async fn accept_now(&self, order: OrderId, method: PaymentMethod) -> Result<OrderView, AcceptError> {
        match self.driver().ledger.accept(order, method).await? {
            Acceptance::Accepted(record) => {
                self.arrived(Some(StateName::Reserved), &record);
                Ok(OrderView::from(*record))
            }
            Acceptance::Unknown => Err(AcceptError::Unknown(order)),
            Acceptance::Refused(refusal) => {
                let view = self.view(order).await?.ok_or(AcceptError::Unknown(order))?;
                match refusal.why {
                    Why::Unchanged => Ok(view),
                    Why::TooLate => Err(AcceptError::Expired(order)),
                    Why::NotHere | Why::NotYet | Why::Leased | Why::Flagged | Why::Stale => {
                        Err(AcceptError::NotNow(Box::new(view), refusal))
                    }
                }
            }
        }
    }

    /// Tells everybody about an order that was just reserved or accepted.
    fn arrived(&self, from: Option<StateName>, record: &OrderRecord) {
        let driver = self.driver();
        driver
            .observer
            .transition(&record.order.drop, from, record.order.state.name());
        driver.hub.wake(record.order.id);
        self.jobs().wake();
    }

    /// Prices a purchase by the configuration.
    fn priced(&self, purchase: Purchase, terms: &DropTerms) -> Result<NewOrder, ReserveError> {
        check_lines(&purchase.lines).map_err(|_| ReserveError::Malformed)?;
        let request_hash = request_hash(&purchase);
        let mut items = Vec::with_capacity(purchase.lines.len());
        for line in purchase.lines {
            let plan = terms.items.iter().find(|item| item.sku == line.sku);
            let price = plan
                .ok_or_else(|| ReserveError::UnknownSku(line.sku.clone()))?
                .price;
            items.push(Item { line, price });
        }
        let total = total(&items).ok_or(ReserveError::TooLarge)?;
        total.check_chargeable().map_err(|why| match why {
            Unchargeable::TooLarge => ReserveError::TooLarge,
            Unchargeable::Nothing | Unchargeable::Uneven { .. } => ReserveError::Malformed,
        })?;
        Ok(NewOrder {
            id: self.order_id(),
            drop: purchase.drop,
            shopper: purchase.shopper,
            admission: purchase.admission,
            client_key: purchase.client_key,
            request_hash,
            items,
            total,
            method: purchase.method,
            email: purchase.email,
            reserve_for: terms.reserve_for,
            per_shopper: terms.per_shopper,
        })
    }

    /// A UUID version 7 of the injected clock and randomness.
    fn order_id(&self) -> OrderId {
        let mut random = [0; 10];
        self.driver().entropy.fill(&mut random);
        let millis = self.driver().clock.now().as_millis();
        OrderId(
            uuid::Builder::from_unix_timestamp_millis(millis, &random)
                .into_uuid()
                .as_u128(),
        )
    }
}

fn total(items: &[Item]) -> Option<Money> {
    let mut prices = items.iter().map(|item| item.price.times(item.line.quantity));
    let first = prices.next()??;
    prices.try_fold(first, |sum, price| sum.plus(price?))
}

/// What was asked, whatever the order of its lines: to tell a repetition from another request under the same key.
fn request_hash(purchase: &Purchase) -> [u8; 32] {
    let mut lines: Vec<&Line> = purchase.lines.iter().collect();
    lines.sort();
    let mut hash = Sha256::new();
    let mut field = |text: &str| {
        hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(text.as_bytes());
    };
    for line in lines {
        field(line.sku.as_str());
        field(&line.quantity.to_string());
    }
    field(purchase.method.as_ref().map_or("", PaymentMethod::as_str));
    field(purchase.email.as_ref().map_or("", Email::as_str));
    hash.finalize().into()
}
