//! The ledger's contract on orders whose money is on its way: who takes them up, what counts as given back, and what a
//! restore changes.

use checkout_worker::ledger::{Revenue, VERSIONS_SKIPPED};
use domain::saga::{Answer, Asked, KeySpace, Operation, Payment, PaymentId, PaymentStatus, Restock};

use super::*;

const PRICE: u64 = 12_900;

/// The one payment of an order, as the provider has it.
fn payment(order: OrderId, status: PaymentStatus) -> Payment {
    let (capturable, captured) = match status {
        PaymentStatus::RequiresCapture => (PRICE, 0),
        PaymentStatus::Succeeded => (0, PRICE),
        _ => (0, 0),
    };
    Payment {
        id: PaymentId::new("pi_1").unwrap(),
        drop: drop_id(),
        order,
        space: KeySpace::FIRST,
        n: 1,
        status,
        amount: euros(PRICE),
        capturable,
        captured,
        refunded: 0,
        client_secret: None,
        decline: None,
    }
}

/// An accepted order in the hands of a worker that has just asked for its authorisation.
async fn authorising(house: &House) -> OrderId {
    let ledger = &*house.ledger;
    let order = NewOrder {
        method: Some(method(VISA)),
        ..new_order(1, 1, vec![line("AUR-42", 1)])
    };
    let order = placed(ledger, order).await;
    let pending = ledger.pending(Channel::Workers, 10).await.unwrap();
    let messages = pending.into_iter().map(|message| message.id).collect();
    ledger.delivered(messages).await.unwrap();
    stepped(ledger, order, Event::Drive, &*house.clock).await;
    order
}

/// The provider answers with the payment, or with what it gave back.
async fn answered(house: &House, order: OrderId, asked: Asked, answer: Answer) {
    let event = Event::Answered(asked, answer);
    assert_eq!(
        stepped(&*house.ledger, order, event, &*house.clock).await,
        Applied::Done
    );
}

async fn paid(house: &House) -> OrderId {
    let order = authorising(house).await;
    for (operation, status) in [
        (Operation::Authorise, PaymentStatus::RequiresCapture),
        (Operation::Capture, PaymentStatus::Succeeded),
    ] {
        let answer = Answer::Payment(payment(order, status));
        answered(house, order, Asked::Change(operation, 1), answer).await;
    }
    order
}

pub(super) async fn an_order_at_its_shoppers_bank_is_not_for_workers(house: House) {
    let (ledger, _clock) = opened(&house, 5).await;
    let order = authorising(&house).await;
    let answer = Answer::Payment(payment(order, PaymentStatus::RequiresAction));
    answered(&house, order, Asked::Change(Operation::Authorise, 1), answer).await;
    house.clock.advance(Span::from_mins(1));
    let states = vec![StateName::ActionRequired];
    let due = OrderFilter {
        states,
        due_by: Some(house.clock.now()),
        limit: 10,
        ..OrderFilter::default()
    };
    assert_eq!(ledger.list(due).await.unwrap().len(), 1, "it is due all the same");
    assert_eq!(ledger.due_drops().await.unwrap(), []);
    let redriven = ledger.redrive(10, Span::ZERO, Vec::new()).await.unwrap();
    assert_eq!(redriven, 0);
}

pub(super) async fn a_refund_that_came_back_is_not_counted_as_given_back(house: House) {
    let (ledger, clock) = opened(&house, 5).await;
    let order = paid(&house).await;
    let revenue = async || ledger.sales(drop_id()).await.unwrap().revenue;
    let told = |refunded| {
        vec![Revenue {
            currency: "eur".to_owned(),
            captured: PRICE,
            refunded,
        }]
    };
    assert_eq!(revenue().await, told(0));
    stepped(&*ledger, order, Event::Refund(Restock::Keep), &*clock).await;
    let refunded = || Answer::Refunded(PRICE);
    answered(&house, order, Asked::Change(Operation::Refund, 1), refunded()).await;
    assert_eq!(revenue().await, told(PRICE));

    // Days later the bank sends it back, and somebody gives it back once more.
    let kept = || payment(order, PaymentStatus::Succeeded);
    stepped(&*ledger, order, Event::Seen(kept()), &*clock).await;
    answered(&house, order, Asked::Retrieve, Answer::Payment(kept())).await;
    assert_eq!(revenue().await, told(0));
    stepped(&*ledger, order, Event::Retry, &*clock).await;
    answered(&house, order, Asked::Retrieve, Answer::Payment(kept())).await;
    answered(
        &house,
        order,
        Asked::Change(Operation::RefundStray, 1),
        refunded(),
    )
    .await;
    assert_eq!(revenue().await, told(PRICE));
}

pub(super) async fn the_next_key_space_leaves_versions_out(house: House) {
    let (ledger, clock) = opened(&house, 5).await;
    let order = paid(&house).await;
    let before = ledger.load(order).await.unwrap().unwrap();
    let entry = || AuditEntry::new("keys.next_space", "restore", "test");
    for space in [2, 3] {
        let moved = ledger.next_key_space(entry()).await.unwrap();
        assert_eq!(
            (moved, ledger.key_space().await.unwrap()),
            (KeySpace(space), moved)
        );
    }
    let after = ledger.load(order).await.unwrap().unwrap();
    let version = before.order.version + 2 * VERSIONS_SKIPPED;
    assert_eq!(after.order.version, version);
    // Nothing else has changed, and the order goes on from there.
    let mut same = after.clone();
    same.order.version = before.order.version;
    assert_eq!(same, before);
    let late = Event::Refund(Restock::Keep);
    assert_eq!(stepped(&*ledger, order, late, &*clock).await, Applied::Done);
    assert_eq!(
        ledger.load(order).await.unwrap().unwrap().order.version,
        version + 1
    );
}
