//! Whole purchases against a provider in memory that declines, stalls, fails and forgets.

use checkout_worker::checkout::{AcceptError, CancelError, MendError, ReserveError};
use checkout_worker::driver::{Fed, Shut};
use checkout_worker::ledger::OrderFilter;
use checkout_worker::provider::memory::Fault;
use checkout_worker::{DropTerms, Placed, PublicState, Purchase};
use domain::pool::Level;
use domain::saga::{By, PaymentStatus, Restock, StateName};
use domain::{Currency, DropId, Money, Span};

use super::support::{
    DECLINED, PAYMENTS, SECURE, Shop, VISA, drop_id, euros, line, method, purchase, sku, terms,
};

impl Shop {
    async fn level(&self) -> Level {
        self.checkout
            .stock(&drop_id())
            .await
            .unwrap()
            .into_iter()
            .find(|(name, _)| *name == sku("AUR-42"))
            .unwrap()
            .1
    }

    async fn assert_clean(&self) {
        let report = self.checkout.audit().await.unwrap();
        assert!(report.is_clean(), "{:?}", report.differences);
        let books = self.provider.books();
        assert!(
            books.captures.values().all(|captures| *captures == 1),
            "charged twice: {:?}",
            books.captures
        );
        let kept: u64 = books.payments.iter().map(|payment| payment.captured).sum();
        assert_eq!(
            kept, report.sums.captured_total,
            "the provider's log and the ledger differ"
        );
    }
}

#[tokio::test]
async fn a_purchase_is_reserved_accepted_and_paid() {
    let shop = Shop::open(3).await;
    let Placed::New(view) = shop.checkout.reserve(purchase(1, None)).await.unwrap() else {
        panic!("a repetition")
    };
    assert_eq!((view.state, view.total), (PublicState::Reserved, euros(12_900)));
    assert!(view.reserved_until.is_some());
    let view = shop.checkout.accept(view.order, method(VISA)).await.unwrap();
    assert_eq!((view.state, view.reserved_until), (PublicState::Accepted, None));
    let mut watch = shop.checkout.watch(view.order).unwrap();
    assert_eq!(
        shop.checkout.drive(view.order).await.unwrap(),
        Fed::Rested(StateName::Paid)
    );
    watch.changed().await;
    assert_eq!(
        shop.checkout.view(view.order).await.unwrap().unwrap().state,
        PublicState::Paid
    );
    assert_eq!(
        shop.level().await,
        Level {
            total: 3,
            held: 0,
            sold: 1
        }
    );
    shop.assert_clean().await;
}

#[tokio::test]
async fn the_price_is_the_configurations() {
    let shop = Shop::open(9).await;
    let lines = vec![line("AUR-42", 1), line("AUR-43", 1)];
    let order = shop
        .checkout
        .reserve(Purchase {
            lines,
            ..purchase(1, None)
        })
        .await
        .unwrap();
    let Placed::New(view) = order else {
        panic!("a repetition")
    };
    assert_eq!(view.total, euros(25_800));
}

#[tokio::test]
async fn repeating_a_request_is_harmless_and_changing_it_is_refused() {
    let shop = Shop::open(3).await;
    let first = super::support::place(&shop.checkout, purchase(1, Some(VISA))).await;
    let again = shop.checkout.reserve(purchase(1, Some(VISA))).await.unwrap();
    assert!(matches!(again, Placed::Repeated(view) if view.order == first));
    let other = shop
        .checkout
        .reserve(Purchase {
            lines: vec![line("AUR-43", 1)],
            ..purchase(1, Some(VISA))
        })
        .await;
    assert!(matches!(other, Err(ReserveError::KeyMismatch { order }) if order == first));
    let accepted = shop.checkout.accept(first, method(VISA)).await.unwrap();
    assert_eq!(accepted.state, PublicState::Accepted);
    let other = shop.checkout.accept(first, method(SECURE)).await;
    assert!(matches!(other, Err(AcceptError::NotNow(view, _)) if view.order == first));
}

#[tokio::test]
async fn repeating_a_payment_is_answered_with_the_order_whatever_became_of_it() {
    let shop = Shop::open(5).await;
    let mut ends = Vec::new();
    for (shopper, card) in [(1, VISA), (2, DECLINED), (3, SECURE), (4, VISA)] {
        let Placed::New(view) = shop.checkout.reserve(purchase(shopper, None)).await.unwrap() else {
            panic!("a repetition")
        };
        shop.checkout.accept(view.order, method(card)).await.unwrap();
        shop.checkout.drive(view.order).await.unwrap();
        if shopper == 4 {
            let refund = shop.checkout.refund(view.order, Restock::Return, "test");
            refund.await.unwrap();
        }
        let again = shop.checkout.accept(view.order, method(card)).await.unwrap();
        ends.push(again.state);
        let other = shop.checkout.accept(view.order, method("pm_card_amex")).await;
        assert!(matches!(other, Err(AcceptError::NotNow(as_it_is, _)) if *as_it_is == again));
    }
    assert_eq!(
        ends,
        [
            PublicState::Paid,
            PublicState::Declined,
            PublicState::ActionRequired,
            PublicState::Refunded
        ]
    );
}

#[tokio::test]
async fn what_cannot_be_is_refused_in_words() {
    let shop = Shop::open(1).await;
    let drop = DropId::new("nowhere").unwrap();
    let unknown = shop
        .checkout
        .reserve(Purchase {
            drop,
            ..purchase(1, None)
        })
        .await;
    assert!(matches!(unknown, Err(ReserveError::UnknownDrop(_))));
    let twice = vec![line("AUR-42", 1), line("AUR-42", 1)];
    for lines in [vec![], vec![line("AUR-42", 0)], twice] {
        let refused = shop
            .checkout
            .reserve(Purchase {
                lines,
                ..purchase(1, None)
            })
            .await;
        assert!(matches!(refused, Err(ReserveError::Malformed)));
    }
    let greedy = shop
        .checkout
        .reserve(Purchase {
            lines: vec![line("AUR-42", 3)],
            ..purchase(1, None)
        })
        .await;
    assert!(matches!(
        greedy,
        Err(ReserveError::LimitExceeded { limit: 2, has: 0 })
    ));
}

#[tokio::test]
async fn a_decline_frees_the_unit_for_the_next_and_the_shopper_for_another_card() {
    let shop = Shop::open(1).await;
    let order = shop.buy(1, DECLINED).await;
    assert!(matches!(
        shop.checkout.reserve(purchase(2, Some(VISA))).await,
        Err(ReserveError::SoldOut { .. })
    ));
    assert_eq!(
        shop.checkout.drive(order).await.unwrap(),
        Fed::Rested(StateName::Declined)
    );
    let view = shop.checkout.view(order).await.unwrap().unwrap();
    assert_eq!(
        (view.state, view.reason.as_deref()),
        (PublicState::Declined, Some("card_declined"))
    );
    let key = checkout_worker::ledger::ClientKey::new("another").unwrap();
    let another = Purchase {
        client_key: key,
        ..purchase(1, Some(VISA))
    };
    let order = super::support::place(&shop.checkout, another).await;
    assert_eq!(
        shop.checkout.drive(order).await.unwrap(),
        Fed::Rested(StateName::Paid)
    );
    shop.assert_clean().await;
}

#[tokio::test]
async fn three_d_secure_waits_for_the_shopper_and_then_pays() {
    let shop = Shop::open(1).await;
    let order = shop.buy(1, SECURE).await;
    shop.checkout.drive(order).await.unwrap();
    let view = shop.checkout.view(order).await.unwrap().unwrap();
    assert_eq!(view.state, PublicState::ActionRequired);
    assert!(view.action.is_some());
    assert!(shop.provider.confirm(&view.payment.unwrap(), true));
    shop.clock.advance(Span::from_secs(15));
    assert_eq!(
        shop.checkout.drive(order).await.unwrap(),
        Fed::Rested(StateName::Paid)
    );
    assert_eq!(shop.checkout.view(order).await.unwrap().unwrap().action, None);
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_shopper_who_never_confirms_loses_the_unit_and_is_not_charged() {
    let shop = Shop::open(1).await;
    let order = shop.buy(1, SECURE).await;
    shop.checkout.drive(order).await.unwrap();
    shop.clock.advance(Span::from_mins(11));
    shop.recover().await;
    assert_eq!(shop.state(order).await, StateName::Released);
    assert_eq!(shop.provider.books().payments[0].status, PaymentStatus::Cancelled);
    assert_eq!(shop.level().await.held, 0);
    shop.assert_clean().await;
}

#[tokio::test]
async fn every_single_fault_at_every_request_ends_paid_or_given_up_and_balanced() {
    let faults = [
        Fault::RequestLost,
        Fault::AnswerLost,
        Fault::SavedError,
        Fault::SavedErrorAfterEffect,
        Fault::RateLimited,
    ];
    for fault in faults {
        for position in 0..4 {
            for times in 1..=4 {
                let shop = Shop::open(1).await;
                let order = shop.buy(1, VISA).await;
                let mut plan = vec![Fault::None; position];
                plan.extend(vec![fault; times]);
                shop.provider.plan(plan);
                shop.recover().await;
                let state = shop.state(order).await;
                assert_eq!(
                    state,
                    StateName::Paid,
                    "{fault:?} {times} times at request {position}"
                );
                shop.assert_clean().await;
            }
        }
    }
}

#[tokio::test]
async fn silence_parks_the_order_and_the_reconciler_brings_it_home() {
    let shop = Shop::open(1).await;
    let order = shop.buy(1, VISA).await;
    shop.provider.plan(vec![Fault::RequestLost; 3]);
    for _ in 0..3 {
        shop.checkout.drive(order).await.unwrap();
        shop.clock.advance(Span::from_secs(61));
    }
    let parked = shop.checkout.parked(10).await.unwrap();
    assert_eq!(
        parked
            .iter()
            .map(|view| (view.order, view.flag))
            .collect::<Vec<_>>(),
        [(order, Some("no_answer"))]
    );
    shop.recover().await;
    assert_eq!(shop.state(order).await, StateName::Paid);
    shop.assert_clean().await;
}

#[tokio::test]
async fn an_outage_opens_the_breaker_and_calls_stop() {
    let shop = Shop::open(20).await;
    let mut orders = Vec::new();
    for shopper in 1..=20 {
        orders.push(shop.buy(shopper, VISA).await);
    }
    shop.provider.plan(vec![Fault::RequestLost; 1_000]);
    let mut deferred = 0;
    for order in &orders {
        deferred += u32::from(matches!(
            shop.checkout.drive(*order).await.unwrap(),
            Fed::Deferred(_)
        ));
    }
    assert_eq!(
        deferred, 15,
        "five failures in a row open the breaker for the rest"
    );
    assert!(shop.checkout.figures().await.unwrap().breaker_open);
}

#[tokio::test]
async fn refused_credentials_stop_payments_until_an_operator_resumes_them() {
    let shop = Shop::open(2).await;
    let order = shop.buy(1, VISA).await;
    shop.provider.plan([Fault::Forbidden]);
    shop.checkout.drive(order).await.unwrap();
    assert_eq!(
        shop.checkout.payments_shut(&super::support::drop_id()),
        Some(Shut::Halted)
    );
    let other = shop.buy(2, VISA).await;
    assert_eq!(
        shop.checkout.drive(other).await.unwrap(),
        Fed::Deferred(StateName::Authorising)
    );
    shop.checkout.resume(PAYMENTS, "test").await.unwrap();
    shop.recover().await;
    assert_eq!(
        (shop.state(order).await, shop.state(other).await),
        (StateName::Paid, StateName::Paid)
    );
    shop.assert_clean().await;
}

#[tokio::test]
async fn paused_payments_stay_paused_over_a_restart_and_orders_are_still_taken() {
    let shop = Shop::open(2).await;
    shop.checkout.stop(PAYMENTS, "test").await.unwrap();
    let order = shop.buy(1, VISA).await;
    let ports = super::support::ports(
        shop.ledger.clone(),
        std::sync::Arc::new(shop.provider.clone()),
        shop.clock.clone(),
    );
    let again = checkout_worker::Checkout::open(super::support::config(2), ports)
        .await
        .unwrap();
    assert_eq!(
        again.payments_shut(&super::support::drop_id()),
        Some(Shut::Paused)
    );
    assert_eq!(
        again.drive(order).await.unwrap(),
        Fed::Deferred(StateName::Authorising)
    );
    assert_eq!(shop.provider.books().requests, 0);
}

#[tokio::test]
async fn a_cancel_wins_before_money_is_committed_and_never_after() {
    let shop = Shop::open(3).await;
    let reserved = super::support::place(&shop.checkout, purchase(1, None)).await;
    assert_eq!(
        shop.checkout.cancel(reserved, By::Shopper).await.unwrap().state,
        PublicState::Released
    );
    let waiting = shop.buy(2, SECURE).await;
    shop.checkout.drive(waiting).await.unwrap();
    assert_eq!(
        shop.checkout.cancel(waiting, By::Shopper).await.unwrap().state,
        PublicState::Paying
    );
    shop.recover().await;
    assert_eq!(shop.state(waiting).await, StateName::Released);
    let paid = shop.buy(3, VISA).await;
    shop.checkout.drive(paid).await.unwrap();
    assert!(matches!(
        shop.checkout.cancel(paid, By::Shopper).await,
        Err(CancelError::NotNow(_))
    ));
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_lost_authorisation_gives_the_unit_back_uncharged() {
    let shop = Shop::open(1).await;
    let order = shop.buy(1, VISA).await;
    // The capture's answers are lost before it arrives, until the bank has forgotten the authorisation.
    shop.provider.plan([Fault::None, Fault::RequestLost]);
    shop.checkout.drive(order).await.unwrap();
    assert_eq!(shop.state(order).await, StateName::Committed);
    let payment = shop.checkout.view(order).await.unwrap().unwrap().payment.unwrap();
    assert!(shop.provider.expire(&payment));
    shop.recover().await;
    assert_eq!(shop.state(order).await, StateName::Unwound);
    assert_eq!(
        shop.level().await,
        Level {
            total: 1,
            held: 0,
            sold: 0
        }
    );
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_refund_goes_back_once_and_restocks_as_told() {
    let shop = Shop::open(2).await;
    let order = shop.buy(1, VISA).await;
    shop.checkout.drive(order).await.unwrap();
    shop.provider.plan([Fault::AnswerLost]);
    shop.checkout
        .refund(order, Restock::Return, "test")
        .await
        .unwrap();
    let twice = shop.checkout.refund(order, Restock::Return, "test").await;
    assert!(matches!(twice, Err(MendError::Refused(_))));
    shop.recover().await;
    assert_eq!(shop.state(order).await, StateName::Refunded);
    assert_eq!(shop.provider.books().payments[0].refunded, 12_900);
    assert_eq!(
        shop.level().await,
        Level {
            total: 2,
            held: 0,
            sold: 0
        }
    );
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_refund_after_a_partial_one_elsewhere_gives_back_the_rest() {
    let shop = Shop::open(3).await;
    let order = shop.buy(1, VISA).await;
    shop.checkout.drive(order).await.unwrap();
    let payment = shop.checkout.view(order).await.unwrap().unwrap().payment.unwrap();
    assert!(shop.provider.refund(&payment, 2_900));
    shop.checkout
        .refund(order, Restock::Return, "test")
        .await
        .unwrap();
    shop.recover().await;
    assert_eq!(shop.state(order).await, StateName::Refunded);
    assert_eq!(shop.provider.books().payments[0].refunded, 12_900);
    shop.assert_clean().await;
}

#[tokio::test]
async fn terms_that_cannot_be_are_refused_while_running() {
    let shop = Shop::open(2).await;
    let order = shop.buy(1, VISA).await;
    shop.checkout.drive(order).await.unwrap();
    assert!(shop.checkout.reconfigure(vec![terms(0)]).await.is_err());
    let mut dollars: DropTerms = terms(5);
    for item in &mut dollars.items {
        item.price = Money::new(1, Currency::new("usd").unwrap());
    }
    assert!(shop.checkout.reconfigure(vec![dollars]).await.is_err());
    shop.checkout.reconfigure(vec![terms(5)]).await.unwrap();
    assert_eq!(shop.level().await.total, 5);
    let orders = shop
        .checkout
        .orders(OrderFilter {
            limit: 5,
            ..OrderFilter::default()
        })
        .await
        .unwrap();
    assert_eq!(orders.len(), 1);
}
