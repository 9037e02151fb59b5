//! A payment intent and its rules: which request is allowed in which state, and what it does to
//! the money. Pure: no clock, no locks, no HTTP.

use std::collections::BTreeMap;

use super::card::{Behaviour, Decline};
use super::event::EventKind;
use super::movement::Movement;

/// Where a payment intent stands; Stripe's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    RequiresPaymentMethod,
    RequiresConfirmation,
    RequiresAction,
    RequiresCapture,
    Succeeded,
    Canceled,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RequiresPaymentMethod => "requires_payment_method",
            Self::RequiresConfirmation => "requires_confirmation",
            Self::RequiresAction => "requires_action",
            Self::RequiresCapture => "requires_capture",
            Self::Succeeded => "succeeded",
            Self::Canceled => "canceled",
        }
    }
}

/// When money moves: with the authorisation, or later by a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CaptureMethod {
    Automatic,
    AutomaticAsync,
    Manual,
}

impl CaptureMethod {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::AutomaticAsync => "automatic_async",
            Self::Manual => "manual",
        }
    }
}

/// One try to charge a card, approved or not.
#[derive(Clone, Debug)]
pub(crate) struct Charge {
    pub(crate) id: String,
    pub(crate) created_s: u64,
    pub(crate) failure: Option<Decline>,
    pub(crate) captured: bool,
}

/// One purchase as the provider sees it. Amounts in minor units.
#[derive(Clone, Debug)]
pub(crate) struct Intent {
    pub(crate) id: String,
    pub(crate) client_secret: String,
    pub(crate) created_s: u64,
    pub(crate) amount: u64,
    pub(crate) currency: String,
    pub(crate) capture_method: CaptureMethod,
    pub(crate) status: Status,
    pub(crate) payment_method: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) return_url: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) receipt_email: Option<String>,
    pub(crate) automatic_payment_methods: Option<bool>,
    pub(crate) received: u64,
    pub(crate) refunded: u64,
    pub(crate) charge: Option<Charge>,
    pub(crate) last_error: Option<Decline>,
    pub(crate) canceled_at_s: Option<u64>,
    pub(crate) cancellation_reason: Option<String>,
    /// What a passed 3-D Secure leads to, while in `RequiresAction`.
    pub(crate) after_action: Option<Decline>,
}

/// What a transition did, besides changing the intent.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) movements: Vec<(Movement, u64)>,
    pub(crate) events: Vec<EventKind>,
}

/// How a confirmation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Confirmed {
    /// Authorised, captured, or waiting for the shopper's bank.
    Accepted,
    Declined(Decline),
}

/// A transition that the current state does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WrongState(pub(crate) Status);

/// The decline that Stripe reports when 3-D Secure fails.
pub(crate) const AUTHENTICATION_FAILED: Decline = Decline {
    code: "payment_intent_authentication_failure",
    reason: "authentication_not_handled",
    message: "We are unable to authenticate your payment method. Please choose a different payment \
              method and try again.",
};

/// The decline that Stripe reports when 3-D Secure is needed and the caller ruled it out.
pub(crate) const AUTHENTICATION_REQUIRED: Decline = Decline {
    code: "authentication_required",
    reason: "authentication_required",
    message: "Your card was declined. This transaction requires authentication.",
};

impl Intent {
    /// Tries to charge the card. `refuse_action` is Stripe's `error_on_requires_action`.
    pub(crate) fn confirm(
        &mut self,
        behaviour: Behaviour,
        refuse_action: bool,
        charge: Charge,
    ) -> Result<(Confirmed, Effects), WrongState> {
        match self.status {
            Status::RequiresPaymentMethod | Status::RequiresConfirmation | Status::RequiresAction => {}
            Status::RequiresCapture | Status::Succeeded | Status::Canceled => {
                return Err(WrongState(self.status));
            }
        }
        match behaviour {
            Behaviour::Approve => Ok((Confirmed::Accepted, self.approve(charge))),
            Behaviour::Decline(decline) => {
                Ok((Confirmed::Declined(decline), self.decline(decline, Some(charge))))
            }
            Behaviour::Authenticate(_) if refuse_action => {
                let effects = self.decline(AUTHENTICATION_REQUIRED, Some(charge));
                Ok((Confirmed::Declined(AUTHENTICATION_REQUIRED), effects))
            }
            Behaviour::Authenticate(then) => {
                self.status = Status::RequiresAction;
                self.after_action = then;
                let events = vec![EventKind::RequiresAction];
                Ok((
                    Confirmed::Accepted,
                    Effects {
                        movements: Vec::new(),
                        events,
                    },
                ))
            }
        }
    }

    /// The shopper came back from the bank.
    pub(crate) fn authenticate(&mut self, passed: bool, charge: Charge) -> Result<Effects, WrongState> {
        if self.status != Status::RequiresAction {
            return Err(WrongState(self.status));
        }
        Ok(match (passed, self.after_action.take()) {
            (true, None) => self.approve(charge),
            (true, Some(decline)) => self.decline(decline, Some(charge)),
            (false, _) => self.decline(AUTHENTICATION_FAILED, None),
        })
    }

    /// Takes `amount` of what was authorised; the rest is released for good. The caller has checked
    /// that `amount` is not above the authorised one.
    pub(crate) fn capture(&mut self, amount: u64) -> Result<Effects, WrongState> {
        if self.status != Status::RequiresCapture {
            return Err(WrongState(self.status));
        }
        let mut movements = vec![(Movement::Captured, amount)];
        let rest = self.amount.saturating_sub(amount);
        if rest > 0 {
            movements.push((Movement::Released, rest));
        }
        self.settle(amount);
        Ok(Effects {
            movements,
            events: vec![EventKind::Succeeded],
        })
    }

    /// Gives the purchase up; an authorisation is released.
    pub(crate) fn cancel(&mut self, now_s: u64, reason: Option<String>) -> Result<Effects, WrongState> {
        let mut movements = Vec::new();
        match self.status {
            Status::RequiresPaymentMethod | Status::RequiresConfirmation | Status::RequiresAction => {}
            Status::RequiresCapture => movements.push((Movement::Released, self.amount)),
            Status::Succeeded | Status::Canceled => return Err(WrongState(self.status)),
        }
        self.status = Status::Canceled;
        self.canceled_at_s = Some(now_s);
        self.cancellation_reason = reason;
        self.after_action = None;
        Ok(Effects {
            movements,
            events: vec![EventKind::Canceled],
        })
    }

    /// What can still be refunded.
    pub(crate) fn refundable(&self) -> u64 {
        self.received.saturating_sub(self.refunded)
    }

    /// Gives money back. The caller has checked `amount` against [`Self::refundable`].
    pub(crate) fn refund(&mut self, amount: u64) -> Effects {
        self.refunded = self.refunded.saturating_add(amount);
        Effects {
            movements: vec![(Movement::Refunded, amount)],
            events: vec![EventKind::ChargeRefunded],
        }
    }

    /// What can be captured at this moment.
    pub(crate) fn capturable(&self) -> u64 {
        if self.status == Status::RequiresCapture {
            self.amount
        } else {
            0
        }
    }

    fn approve(&mut self, charge: Charge) -> Effects {
        self.charge = Some(charge);
        self.last_error = None;
        let mut effects = Effects {
            movements: vec![(Movement::Authorised, self.amount)],
            events: Vec::new(),
        };
        match self.capture_method {
            CaptureMethod::Manual => {
                self.status = Status::RequiresCapture;
                effects.events.push(EventKind::AmountCapturableUpdated);
            }
            CaptureMethod::Automatic | CaptureMethod::AutomaticAsync => {
                effects.movements.push((Movement::Captured, self.amount));
                effects.events.push(EventKind::Succeeded);
                self.settle(self.amount);
            }
        }
        effects
    }

    fn settle(&mut self, amount: u64) {
        self.status = Status::Succeeded;
        self.received = amount;
        if let Some(charge) = &mut self.charge {
            charge.captured = true;
        }
    }

    fn decline(&mut self, decline: Decline, charge: Option<Charge>) -> Effects {
        self.status = Status::RequiresPaymentMethod;
        self.last_error = Some(decline);
        // Stripe detaches the refused payment method; a later confirm must name one again.
        self.payment_method = None;
        if let Some(charge) = charge {
            self.charge = Some(Charge {
                failure: Some(decline),
                ..charge
            });
        }
        Effects {
            movements: vec![(Movement::Declined, self.amount)],
            events: vec![EventKind::PaymentFailed],
        }
    }
}
