//! Ways to build the shop wrongly, and the laws that must notice. A law that no mutation can break proves nothing.

/// A deliberate mistake in the simulator's own fakes and driver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mutation {
    StockWithoutGuard,
    NewKeyOnRetry,
    CaptureBeforeCommit,
    AutomaticCapture,
    CallBeforeCommit,
    AcceptWithoutOutboxAndRedrive,
    NoReconciler,
    NoUncommit,
    ReleaseTwice,
    DeclineNotReleasing,
    CancelWinsAfterCapture,
    LimitOutsideTransaction,
    WebhookAppliedTwice,
    BlockBoundNotDurable,
    ClaimNotDurable,
    FrontierNotDurable,
    DrawNotDurable,
    DowntimeCounts,
    CallerAsleep,
    TriesForgotten,
}

/// What must hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Law {
    /// A number belongs to one shopper, for ever.
    OneShopperPerNumber,
    /// A rank never changes once the order is drawn.
    RanksStand,
    /// The frontier never shrinks.
    FrontierGrows,
    /// A position told never goes backwards.
    PositionsShrink,
    /// Active sessions within `total_active_users`.
    Sessions,
    /// Claims in any 60 seconds within `new_users_per_minute`.
    Claims,
    /// Nobody lapses before their time, and none of our downtime or pauses counts.
    OwnTimeOnly,
    /// `held + sold <= total` in every bucket, as in the domain's own pool.
    Stock,
    /// Stock rows are the sum of their entries and of the live orders.
    Entries,
    /// Units per shopper and live orders per admission stay within their limits.
    ShopperLimits,
    /// One payment object per order and attempt, and none without its attempt on record.
    OneObject,
    /// An order is captured once and whole, or not at all.
    ChargedOnce,
    /// Captured means sold.
    CapturedIsSold,
    /// PAID and REFUNDED are so at the provider, to the cent.
    BooksAgree,
    /// The merchant is told once that an order is paid.
    ToldOnce,
    /// No order is ever frozen: that would be a bug of ours.
    NotFrozen,
    /// No order is parked while the provider answers.
    NotParked,
    /// No order is asked about for ever: it ends, waits for its shopper, or is parked where somebody sees it.
    NobodyCircles,
    /// Every accepted order comes to an end.
    NothingLost,
    /// No authorisation is left behind.
    NoStrays,
    /// While stock and demand last, the queue moves.
    Liveness,
    /// The domain's own assertions.
    Assertions,
}

/// A broken law.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Violation {
    pub(crate) law: Law,
    pub(crate) what: String,
}

/// A check's result.
pub(crate) type Checked = Result<(), Violation>;

/// Fails with `what` unless `holds`.
pub(crate) fn require(law: Law, holds: bool, what: impl FnOnce() -> String) -> Checked {
    if holds {
        Ok(())
    } else {
        Err(Violation { law, what: what() })
    }
}

impl Mutation {
    /// The laws that may catch it. Caught by another law, it is not understood.
    pub(crate) const fn breaks(self) -> &'static [Law] {
        match self {
            Self::StockWithoutGuard => &[Law::Stock],
            Self::NewKeyOnRetry | Self::CallBeforeCommit => &[Law::OneObject],
            Self::CaptureBeforeCommit | Self::AutomaticCapture | Self::CancelWinsAfterCapture => {
                &[Law::CapturedIsSold]
            }
            Self::AcceptWithoutOutboxAndRedrive | Self::NoReconciler | Self::NoUncommit => {
                &[Law::NothingLost, Law::Liveness]
            }
            Self::ReleaseTwice => &[Law::Stock, Law::Entries, Law::CapturedIsSold, Law::NothingLost],
            Self::DeclineNotReleasing => &[Law::Entries],
            Self::LimitOutsideTransaction => &[Law::ShopperLimits],
            Self::WebhookAppliedTwice => &[Law::Entries, Law::ToldOnce, Law::Stock],
            Self::BlockBoundNotDurable => &[Law::OneShopperPerNumber],
            Self::ClaimNotDurable => &[Law::Sessions, Law::Claims],
            Self::FrontierNotDurable => &[Law::FrontierGrows, Law::PositionsShrink],
            Self::DrawNotDurable => &[Law::RanksStand],
            Self::DowntimeCounts => &[Law::OwnTimeOnly],
            Self::CallerAsleep => &[Law::Liveness],
            Self::TriesForgotten => &[Law::NobodyCircles],
        }
    }
}
