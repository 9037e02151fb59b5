//! What happens in a shop, told so that every commit and every call of the checkout is part of some story. A story may be
//! lived once more where it was lived before, to its end or not: what is asked for again is done already, or is refused.

use std::fmt::Debug;
use std::time::Duration;

use checkout_worker::checkout::{AcceptError, CancelError, MendError};
use checkout_worker::ledger::{AuditEntry, Change, Replay, StockChange};
use checkout_worker::provider::memory::Fault;
use checkout_worker::provider::{Provider as _, ProviderCall};
use domain::redelivery::HORIZON;
use domain::saga::{
    Answer, Attempt, By, Call, IdempotencyKey, KeySpace, Operation, Payment, PaymentId, Restock, StateName,
};
use domain::{OrderId, Span, Timestamp};
use tokio_util::sync::CancellationToken;

use super::points::Point;
use super::{Life, Scene};
use crate::support::{
    DECLINED, PAYMENTS, SECURE, VISA, drive_pending, drop_id, euros, method, place, purchase, signed, sku,
};

/// Longer than any backoff of a first try.
const A_WHILE: Span = Span::from_secs(20);
/// How soon a story looks again at what workers do.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// The number of payments that no step asked for. The tries of orders count from 1.
const STRANGE: u32 = 0;

/// Which broker a story is lived with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Queue {
    /// The one that dies with its process.
    Embedded,
    /// One that outlives it.
    Durable,
}

/// What is known of a story.
pub(super) struct Plot {
    pub(super) name: &'static str,
    pub(super) queue: Queue,
    /// A story with fewer points has lost some of what it tells.
    pub(super) points_min: u32,
    /// Operations that it passes in every life.
    pub(super) passes: &'static [&'static str],
}

/// All of them.
pub(super) const PLOTS: [&Plot; 5] = [&SHOPPERS, &MENDING, &OPERATORS, &WORKERS, &QUEUE];

pub(super) const SHOPPERS: Plot = Plot {
    name: "shoppers",
    queue: Queue::Embedded,
    points_min: 90,
    passes: &[
        "ledger.open_drop",
        "ledger.reserve",
        "ledger.accept",
        "ledger.apply",
        "ledger.note",
        "ledger.expire",
        "ledger.redrive",
        "ledger.notices_due",
        "ledger.notices_told",
        "provider.authorise",
        "provider.capture",
        "provider.cancel",
        "provider.refund",
        "provider.retrieve",
        "merchant.tell",
    ],
};

pub(super) const MENDING: Plot = Plot {
    name: "mending",
    queue: Queue::Embedded,
    points_min: 100,
    passes: &[
        "ledger.apply",
        "ledger.record_event",
        "provider.authorise",
        "provider.capture",
        "provider.find",
        "provider.list",
        "provider.retrieve-by-name",
        "provider.cancel-stray",
        "provider.refund-stray",
    ],
};

pub(super) const OPERATORS: Plot = Plot {
    name: "operators",
    queue: Queue::Embedded,
    points_min: 80,
    passes: &[
        "ledger.set_switch",
        "ledger.change",
        "ledger.change_stock",
        "ledger.note",
        "ledger.replay_notices",
        "ledger.next_key_space",
        "provider.refund",
        "provider.list",
    ],
};

pub(super) const WORKERS: Plot = Plot {
    name: "workers",
    queue: Queue::Embedded,
    points_min: 80,
    passes: &[
        "ledger.apply",
        "ledger.delivered",
        "ledger.postponed",
        "ledger.redrive",
        "ledger.expire",
        "ledger.forget_notices",
        "ledger.notices_due",
        "ledger.notices_told",
        "provider.authorise",
        "provider.capture",
        "provider.list",
        "broker.publish",
        "broker.consume",
        "broker.ack",
        "merchant.tell",
    ],
};

pub(super) const QUEUE: Plot = Plot {
    name: "queue",
    queue: Queue::Durable,
    points_min: 40,
    passes: &[
        "ledger.apply",
        "ledger.published",
        "broker.publish",
        "broker.consume",
        "broker.ack",
    ],
};

impl Plot {
    /// The points that it must die at.
    pub(super) fn points(&self) -> impl Iterator<Item = Point> {
        self.passes.iter().flat_map(|operation| Point::around(operation))
    }
}

/// Whether no step asked for this payment.
pub(super) fn is_strange(payment: &Payment) -> bool {
    payment.n == STRANGE
}

/// A refusal, and no failure.
fn is_refused(failed: &MendError) -> bool {
    matches!(failed, MendError::Refused(_))
}

impl Scene {
    async fn buy(&self, shopper: u8, card: &str) -> OrderId {
        place(&self.checkout, purchase(shopper, Some(card))).await
    }

    async fn drive(&self, order: OrderId) {
        self.checkout.drive(order).await.unwrap();
    }

    /// Time passes, and workers do what is due.
    async fn later(&self, span: Span) {
        self.clock.advance(span);
        drive_pending(&self.checkout).await;
    }

    /// What was asked for was done; or it was refused, because this is not the first time.
    fn granted<T, E: Debug>(&self, answer: Result<T, E>, is_refusal: impl FnOnce(&E) -> bool) {
        if let Err(failed) = answer {
            let may_be = self.life == Life::Again && is_refusal(&failed);
            assert!(may_be, "{failed:?}");
        }
    }

    /// The order's payment, which it has the first time.
    async fn payment(&self, order: OrderId) -> Option<PaymentId> {
        let view = self.checkout.view(order).await.unwrap().unwrap();
        assert!(
            view.payment.is_some() || self.life == Life::Again,
            "{order} is {}",
            view.ledger_state
        );
        view.payment
    }

    /// The provider makes a payment that no step asked for, and holds it.
    async fn strange_payment(&self, order: OrderId) -> Payment {
        let call = Call::Authorise {
            attempt: Attempt::numbered(STRANGE, Timestamp::EPOCH),
            method: method(VISA),
            amount: euros(12_900),
        };
        let space = KeySpace::FIRST;
        let key = IdempotencyKey::derive(space, &drop_id(), order, Operation::Authorise, STRANGE);
        match self.behind_our_back(order, Some(key), call).await {
            Answer::Payment(payment) => payment,
            other => panic!("{other:?}"),
        }
    }

    /// The provider takes the money of such a payment.
    async fn take(&self, payment: &Payment) {
        let call = Call::Capture {
            attempt: Attempt::first(Timestamp::EPOCH),
            payment: payment.id.clone(),
            amount: payment.amount,
        };
        // Refused, where it was taken and given back before.
        let _taken = self.behind_our_back(payment.order, None, call).await;
    }

    async fn behind_our_back(&self, order: OrderId, key: Option<IdempotencyKey>, call: Call) -> Answer {
        let call = ProviderCall {
            drop: drop_id(),
            space: KeySpace::FIRST,
            order,
            key,
            email: None,
            call,
        };
        // What was to go wrong was not meant for this.
        self.provider.plan([]);
        self.provider.perform(&call).await
    }

    /// Relay, workers and jobs run while `life` goes on.
    async fn while_working(&self, life: impl Future<Output = ()>) {
        let stop = CancellationToken::new();
        let living = async {
            life.await;
            stop.cancel();
        };
        tokio::join!(self.checkout.run(stop.clone()), living);
    }

    async fn until(&self, order: OrderId, is_there: impl Fn(StateName) -> bool) {
        while !is_there(self.checkout.view(order).await.unwrap().unwrap().ledger_state) {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn until_paid(&self, order: OrderId) {
        self.until(order, |state| state == StateName::Paid).await;
    }

    /// Every message is delivered, and the merchant has been told everything.
    async fn until_quiet(&self) {
        loop {
            let gauges = self.ledger.gauges().await.unwrap();
            if gauges.outbox_pending == 0 && gauges.untold == 0 {
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// Six shoppers do what shoppers do: pay, are declined, confirm, walk away, cancel, want their money back.
pub(super) async fn of_shoppers(scene: &Scene) {
    let Scene {
        checkout,
        provider,
        clock,
        ..
    } = scene;
    let paid = scene.buy(1, VISA).await;
    let declined = scene.buy(2, DECLINED).await;
    let secure = scene.buy(3, SECURE).await;
    let reserved = place(checkout, purchase(4, None)).await;
    let cancelled = scene.buy(5, SECURE).await;
    place(checkout, purchase(6, None)).await;
    let accepted = checkout.accept(reserved, method(VISA)).await;
    scene.granted(accepted, |failed| {
        matches!(failed, AcceptError::Expired(_) | AcceptError::NotNow(..))
    });
    for order in [paid, declined, secure, reserved, cancelled] {
        scene.drive(order).await;
    }
    let given_up = checkout.cancel(cancelled, By::Shopper).await;
    scene.granted(given_up, |failed| matches!(failed, CancelError::NotNow(_)));
    if let Some(payment) = scene.payment(secure).await {
        provider.confirm(&payment, true);
    }
    scene.later(A_WHILE).await;
    checkout.jobs().cancel().await.unwrap();
    let refunded = checkout.refund(paid, Restock::Return, "test").await;
    scene.granted(refunded, is_refused);
    clock.advance(Span::from_mins(6));
    checkout.jobs().sweep().await.unwrap();
    checkout.jobs().redrive().await.unwrap();
    while checkout.jobs().tell_now().await.unwrap() > 0 {}
}

/// The provider fails in its ways, and recovery jobs and webhooks bring orders home.
pub(super) async fn of_mending(scene: &Scene) {
    let Scene {
        checkout,
        provider,
        clock,
        ..
    } = scene;
    // A saved error uses the first key up.
    provider.plan([Fault::SavedError]);
    let second_key = scene.buy(1, VISA).await;
    scene.drive(second_key).await;
    scene.later(A_WHILE).await;
    // The capture is lost, and then the authorisation runs out.
    provider.plan([Fault::None, Fault::RequestLost]);
    let unwound = scene.buy(2, VISA).await;
    scene.drive(unwound).await;
    if let Some(payment) = scene.payment(unwound).await {
        provider.expire(&payment);
    }
    scene.later(A_WHILE).await;
    // Told by a webhook, once and again.
    let secure = scene.buy(3, SECURE).await;
    scene.drive(secure).await;
    if let Some(payment) = scene.payment(secure).await {
        provider.confirm(&payment, true);
        let kind = "payment_intent.amount_capturable_updated";
        let (body, header) = signed(clock, "evt_1", kind, &payment);
        for _ in 0..2 {
            checkout.webhook(body.as_bytes(), &header).await.unwrap();
        }
    }
    // Nobody confirms, and the time for it runs out.
    let forgotten = scene.buy(4, SECURE).await;
    scene.drive(forgotten).await;
    scene.later(Span::from_mins(11)).await;
    checkout.jobs().cancel().await.unwrap();
    // Payments that no order wants: of a dead order, its money taken, and of one that is unknown.
    let dead = scene.buy(5, DECLINED).await;
    scene.drive(dead).await;
    let taken = scene.strange_payment(dead).await;
    scene.take(&taken).await;
    scene.strange_payment(OrderId(999)).await;
    provider.plan([Fault::None, Fault::AnswerLost]);
    checkout.jobs().reconcile_with_provider().await.unwrap();
    clock.advance(Span::from_mins(2));
    checkout.jobs().reconcile_orders().await.unwrap();
    checkout.jobs().reconcile_with_provider().await.unwrap();
}

/// Operators stop and resume, change and mend, tell again and restore.
pub(super) async fn of_operators(scene: &Scene) {
    let Scene {
        checkout, provider, ..
    } = scene;
    checkout.stop(PAYMENTS, "test").await.unwrap();
    let order = scene.buy(1, VISA).await;
    checkout.resume(PAYMENTS, "test").await.unwrap();
    let change = Change {
        drop: drop_id(),
        setting: "drain_per_second".to_owned(),
        value: "500".to_owned(),
        over: "1000".to_owned(),
    };
    checkout.change(vec![change], "aurora", "test").await.unwrap();
    checkout
        .change_stock(&drop_id(), &sku("AUR-43"), StockChange::Add(2), "test")
        .await
        .unwrap();
    scene.drive(order).await;
    let refunded = checkout.refund(order, Restock::Keep, "test").await;
    scene.granted(refunded, is_refused);
    // No answer three times: set aside, and taken up again by a person.
    let parked = scene.buy(2, VISA).await;
    for _ in 0..4 {
        provider.plan([Fault::RequestLost]);
        scene.later(Span::from_mins(2)).await;
    }
    let flag = checkout.view(parked).await.unwrap().unwrap().flag;
    assert!(
        flag.is_some() || scene.life == Life::Again,
        "the order was not set aside"
    );
    provider.plan([]);
    let retried = checkout.retry(parked, "test").await;
    scene.granted(retried, is_refused);
    scene.drive(parked).await;
    let unwanted = scene.buy(3, SECURE).await;
    scene.drive(unwanted).await;
    let given_up = checkout.cancel_by_operator(unwanted, "test").await;
    scene.granted(given_up, is_refused);
    let noted = AuditEntry::new("drop.command", "aurora pause", "test");
    checkout.note(noted).await.unwrap();
    let everything = Replay::Everything(HORIZON);
    checkout.replay(everything, "all", "test").await.unwrap();
    scene.restore().await;
}

/// Nobody drives by hand: relay, broker and workers do it. One order is not answered, and its message comes once more
/// before its time.
pub(super) async fn of_workers(scene: &Scene) {
    let shopping = async {
        let paid = [scene.buy(1, VISA).await, scene.buy(2, VISA).await];
        for order in paid {
            scene.until_paid(order).await;
        }
        scene.provider.plan([Fault::RequestLost]);
        let waiting = scene.buy(3, VISA).await;
        scene.until(waiting, |state| state != StateName::Accepted).await;
        // The broker's own doing: it is at none of our points. The answer is for a relay.
        let _worked = scene.broker.publish(waiting).await;
        scene.until_quiet().await;
    };
    scene.while_working(shopping).await;
}

/// The same with a broker that holds messages by itself, so that the outbox need not.
pub(super) async fn of_a_queue(scene: &Scene) {
    let shopping = async {
        let paid = scene.buy(1, VISA).await;
        scene.until_paid(paid).await;
        scene.until_quiet().await;
    };
    scene.while_working(shopping).await;
}
