//! Mistakes, the twelve that the protocol names and one of our own, each made in the surroundings of the saga: in the ledger, the driver, the
//! jobs or the provider of the model. The saga itself is always the real one.

use super::laws;

/// One mistake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mutation {
    /// Units are held without looking whether any are left.
    StockWithoutGuard,
    /// Every request goes out under a key of its own.
    NewKeyOnRetry,
    /// The capture that a step asks for is made before the step is stored.
    CaptureBeforeCommit,
    /// The provider takes the money when it authorises, and cancelling is all that is done about it.
    AutomaticCapture,
    /// Accepting writes no message, and nobody looks for orders that are due.
    AcceptWithoutOutboxAndRedrive,
    /// Nobody asks the provider about orders, and nobody lists its payments. Webhooks may all be lost.
    NoReconciler,
    /// A sold order whose authorisation is gone stays as it is.
    NoUncommit,
    /// A step that gives units back is stored whatever became of the order since it was read.
    ReleaseTwice,
    /// A declined order keeps its units.
    DeclineNotReleasing,
    /// The shopper's cancellation wins over a commit or a capture that was there before it.
    CancelWinsAfterCapture,
    /// The limit per shopper is looked at in one transaction and the order placed in the next.
    LimitOutsideTransaction,
    /// A webhook that was applied already is applied again: its step is stored whatever became of the order.
    WebhookAppliedTwice,
    /// Whoever cancels asks whether there is a payment, and takes "there is none" for proof while a request may be under way.
    ReleaseOnAbsence,
}

impl Mutation {
    /// The law that it breaks, and that has to notice it first.
    pub(crate) const fn breaks(self) -> &'static str {
        match self {
            Self::StockWithoutGuard => laws::NO_OVERSELL,
            Self::NewKeyOnRetry => laws::ONE_PAYMENT_PER_ATTEMPT,
            Self::CaptureBeforeCommit | Self::AutomaticCapture => laws::CHARGED_HAS_STOCK,
            Self::CancelWinsAfterCapture | Self::ReleaseOnAbsence => laws::RELEASED_IS_CLOSED,
            Self::AcceptWithoutOutboxAndRedrive | Self::NoReconciler | Self::NoUncommit => laws::GOOD_END,
            Self::ReleaseTwice => laws::GIVEN_BACK_ONCE,
            Self::DeclineNotReleasing => laws::ROWS_ARE_SUMS,
            Self::LimitOutsideTransaction => laws::SHOPPER_LIMIT,
            Self::WebhookAppliedTwice => laws::TOLD_ONCE,
        }
    }
}
