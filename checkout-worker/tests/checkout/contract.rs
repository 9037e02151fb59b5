//! What every ledger must do: one function per clause, each run once for every adapter. SQLite has a test per clause. A
//! Postgres takes seconds to start, so its clauses run one after the other on one server, each in a database of its own; the
//! clause under way is printed.

mod buying;
mod paying;
mod telling;
mod upkeep;

use std::sync::Arc;

use checkout_worker::ledger::{
    Acceptance, Applied, AuditEntry, Change, Channel, ClientKey, DropPlan, Item, Ledger, Message, NewOrder,
    Opened, OrderFilter, Reservation, Sales, StockChange, StockChanged, Transition, UNITS_MAX,
};
use domain::pool::{Level, Line};
use domain::saga::{By, Event, Moment, Notice, StateName, Why};
use domain::{AdmissionId, Clock, DropId, OrderId, ShopperKey, Span};

use super::house::{House, postgres};
use super::support::{DECLINED, StandingClock, VISA, drop_id, euros, item, line, method, sku};

/// A new order of one unit each of `lines`.
fn new_order(id: u128, shopper: u8, lines: Vec<Line>) -> NewOrder {
    let items: Vec<Item> = lines
        .into_iter()
        .map(|line| Item {
            line,
            price: euros(12_900),
        })
        .collect();
    let units: u32 = items.iter().map(|item| item.line.quantity).sum();
    NewOrder {
        id: OrderId(id),
        drop: drop_id(),
        shopper: ShopperKey([shopper; 16]),
        admission: AdmissionId([shopper; 16]),
        client_key: ClientKey::new(&format!("key-{id}")).unwrap(),
        request_hash: [7; 32],
        items,
        total: euros(12_900 * u64::from(units)),
        method: None,
        email: None,
        reserve_for: Span::from_mins(5),
        per_shopper: 3,
    }
}

/// Two SKUs with so many units each.
async fn opened(house: &House, stock: u32) -> (Arc<dyn Ledger>, Arc<StandingClock>) {
    let items = vec![item("AUR-42", stock), item("AUR-43", stock)];
    let plan = DropPlan {
        drop: drop_id(),
        items,
    };
    assert_eq!(house.ledger.open_drop(plan).await.unwrap(), Opened::Done);
    (house.ledger.clone(), house.clock.clone())
}

async fn level(ledger: &dyn Ledger) -> Level {
    ledger
        .stock(drop_id())
        .await
        .unwrap()
        .into_iter()
        .find(|(name, _)| *name == sku("AUR-42"))
        .unwrap()
        .1
}

async fn placed(ledger: &dyn Ledger, order: NewOrder) -> OrderId {
    match ledger.reserve(order).await.unwrap() {
        Reservation::Placed(record) => record.order.id,
        other => panic!("{other:?}"),
    }
}

/// Steps an order by `event` as a driver would, and says how storing it ended.
async fn stepped(ledger: &dyn Ledger, order: OrderId, event: Event, clock: &dyn Clock) -> Applied {
    let record = ledger.load(order).await.unwrap().unwrap();
    let step = record.order.step(event, Moment::at(clock.now())).unwrap();
    ledger
        .apply(Transition {
            step,
            attempt: None,
            outcome: None,
        })
        .await
        .unwrap()
}

macro_rules! every_ledger_keeps {
    ($($group:ident :: $clause:ident),* $(,)?) => {
        mod sqlite {
            use super::House;

            $(
                #[tokio::test]
                async fn $clause() {
                    super::$group::$clause(House::sqlite()).await;
                }
            )*
        }

        #[tokio::test]
        async fn postgres_keeps_every_clause() {
            let server = postgres().await;
            $(
                println!("clause {}", stringify!($clause));
                $group::$clause(House::postgres(&server, stringify!($clause)).await).await;
            )*
        }
    };
}

every_ledger_keeps!(
    buying::a_reservation_holds_units_and_comes_back_whole,
    buying::a_repeated_request_is_answered_with_its_order_and_another_body_is_refused,
    buying::two_shoppers_may_choose_the_same_key,
    buying::one_short_sku_refuses_the_whole_order_and_says_what_is_left,
    buying::a_shoppers_limit_counts_all_their_living_orders,
    buying::an_admission_holds_one_order_that_is_not_dead,
    buying::a_thousand_replays_of_one_admission_make_one_order,
    buying::the_last_unit_goes_to_one_of_many,
    buying::acceptance_is_judged_by_the_ledgers_clock,
    buying::a_repeated_acceptance_is_known_to_the_end_and_splits_no_reason,
    buying::acceptance_and_its_message_are_one,
    buying::a_postponed_order_is_driven_again_once_its_drop_is_not_paused,
    buying::each_drop_has_its_turn_when_messages_are_written_anew,
    buying::expired_reservations_return_their_units_and_tell_the_house,
    buying::a_step_decided_on_an_old_version_is_not_stored,
    paying::an_order_at_its_shoppers_bank_is_not_for_workers,
    paying::a_refund_that_came_back_is_not_counted_as_given_back,
    paying::the_next_key_space_leaves_versions_out,
    upkeep::stock_follows_configuration_but_never_below_what_is_taken,
    upkeep::operators_add_and_withdraw_free_units_only,
    upkeep::what_operators_changed_of_the_stock_stands_until_another_is_configured,
    upkeep::the_operators_log_tells_before_and_after_the_newest_first,
    upkeep::an_event_is_recorded_once_and_a_switch_holds,
    upkeep::sales_are_counted_by_drop_with_reasons,
    upkeep::lists_filter_and_page,
    upkeep::changed_settings_are_kept_over_a_restart_each_on_its_own,
    upkeep::news_are_orders_above_the_version_that_is_known,
    telling::a_notice_is_in_one_pair_of_hands_until_its_lease_ends,
    telling::an_orders_later_notice_waits_for_the_earlier_one,
    telling::one_orders_notices_do_not_hold_up_anothers,
    telling::a_try_that_ends_late_counts_only_if_it_was_heard,
    telling::what_is_given_up_is_shown_and_lets_the_next_one_go,
    telling::a_notice_that_waits_behind_an_earlier_one_does_not_grow_old,
    telling::old_news_that_was_never_tried_is_let_go_and_tried_news_is_not,
    telling::a_replay_tells_again_what_it_names_from_the_first_try_on,
    telling::what_is_owed_is_owed_after_a_restart,
);
