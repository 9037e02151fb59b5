//! Whatever is asked in whatever order: money is conserved.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::provider::book::Book;
use crate::provider::event::Cause;
use crate::provider::movement::{Movement, Tally};
use crate::provider::operations::{Call, perform};
use crate::provider::params::Params;
use crate::provider::route::Operation;

#[derive(Clone, Debug)]
enum Step {
    Create {
        amount: u64,
        card: &'static str,
        manual: bool,
        confirm: bool,
    },
    Confirm {
        intent: usize,
        card: &'static str,
    },
    Authenticate {
        intent: usize,
        pass: bool,
    },
    Capture {
        intent: usize,
        amount: Option<u64>,
    },
    Cancel {
        intent: usize,
    },
    Refund {
        intent: usize,
        amount: Option<u64>,
    },
    Wait {
        hours: u64,
    },
}

fn card() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "pm_card_visa",
        "pm_card_chargeDeclined",
        "pm_card_threeDSecure2Required",
        "pm_card_threeDSecureRequiredChargeDeclined",
    ])
}

fn step() -> impl Strategy<Value = Step> {
    let intent = 0_usize..6;
    let amount = prop::option::of(0_u64..30_000);
    prop_oneof![
        4 => (0_u64..20_000, card(), any::<bool>(), any::<bool>())
            .prop_map(|(amount, card, manual, confirm)| Step::Create { amount, card, manual, confirm }),
        3 => (intent.clone(), card()).prop_map(|(intent, card)| Step::Confirm { intent, card }),
        2 => (intent.clone(), any::<bool>()).prop_map(|(intent, pass)| Step::Authenticate { intent, pass }),
        4 => (intent.clone(), amount.clone()).prop_map(|(intent, amount)| Step::Capture { intent, amount }),
        2 => intent.clone().prop_map(|intent| Step::Cancel { intent }),
        3 => (intent, amount).prop_map(|(intent, amount)| Step::Refund { intent, amount }),
        1 => (1_u64..200).prop_map(|hours| Step::Wait { hours }),
    ]
}

/// Carries one step out; refusals are as good as successes here.
fn take(book: &mut Book, step: &Step, now_ms: &mut u64) {
    let ids: Vec<String> = book.intents.iter().map(|intent| intent.id.clone()).collect();
    let named = |index: &usize| ids.get(*index).cloned().unwrap_or_else(|| "pi_none".to_owned());
    let optional =
        |name: &str, amount: &Option<u64>| amount.map(|a| format!("{name}={a}")).unwrap_or_default();
    let (operation, id, form) = match step {
        Step::Create {
            amount,
            card,
            manual,
            confirm,
        } => {
            let method = if *manual { "manual" } else { "automatic" };
            let form = format!(
                "amount={amount}&currency=eur&payment_method={card}&capture_method={method}&confirm={confirm}\
                 &payment_method_types[]=card&metadata[order]=o{}",
                ids.len() % 3
            );
            (Operation::CreateIntent, None, form)
        }
        Step::Confirm { intent, card } => (
            Operation::ConfirmIntent,
            Some(named(intent)),
            format!("payment_method={card}"),
        ),
        Step::Capture { intent, amount } => (
            Operation::CaptureIntent,
            Some(named(intent)),
            optional("amount_to_capture", amount),
        ),
        Step::Cancel { intent } => (Operation::CancelIntent, Some(named(intent)), String::new()),
        Step::Refund { intent, amount } => {
            let form = format!("payment_intent={}&{}", named(intent), optional("amount", amount));
            (Operation::CreateRefund, None, form)
        }
        Step::Authenticate { intent, pass } => {
            let charge = book.new_charge(*now_ms / 1_000);
            let done = book
                .intents
                .get_mut(*intent)
                .map(|found| found.authenticate(*pass, charge));
            if let Some(Ok(effects)) = done {
                book.apply(*intent, effects, *now_ms, &Cause::default());
            }
            return;
        }
        Step::Wait { hours } => {
            *now_ms += hours * 3_600_000;
            return book.expire(*now_ms);
        }
    };
    let params = Params::parse(form.trim_end_matches('&').as_bytes()).unwrap();
    let _refusals_are_fine = perform(
        book,
        &Call {
            operation,
            id,
            params,
            cause: Cause::default(),
        },
        *now_ms,
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn captured_never_exceeds_authorised_nor_refunded_captured(steps in prop::collection::vec(step(), 1..60)) {
        let mut book = Book::new(1, "order".to_owned(), 7 * 24 * 3_600_000, 1_000);
        let mut now_ms = 1_000_000;
        for step in &steps {
            take(&mut book, step, &mut now_ms);
            // From the log alone, per intent: what is held, taken and given back.
            let mut held: BTreeMap<&str, i128> = BTreeMap::new();
            let mut taken: BTreeMap<&str, i128> = BTreeMap::new();
            let mut captures: BTreeMap<&str, u32> = BTreeMap::new();
            for (index, entry) in book.log().iter().enumerate() {
                prop_assert_eq!(usize::try_from(entry.sequence).unwrap(), index + 1);
                let (id, amount) = (entry.payment_intent.as_str(), i128::from(entry.amount));
                let (hold, take) = match entry.movement {
                    Movement::Authorised => (amount, 0),
                    Movement::Captured => (-amount, amount),
                    Movement::Released => (-amount, 0),
                    Movement::Refunded => (0, -amount),
                    Movement::Declined => (0, 0),
                };
                *held.entry(id).or_default() += hold;
                *taken.entry(id).or_default() += take;
                *captures.entry(id).or_default() += u32::from(entry.movement == Movement::Captured);
                prop_assert!(held[id] >= 0 && taken[id] >= 0, "after {:?}: {:?}", step, entry);
                prop_assert!(captures[id] <= 1, "{} was captured twice", id);
            }
            for intent in &book.intents {
                let id = intent.id.as_str();
                let shown = i128::from(intent.capturable());
                prop_assert_eq!(held.get(id).copied().unwrap_or(0), shown, "what is held is capturable");
                let left = i128::from(intent.refundable());
                prop_assert_eq!(taken.get(id).copied().unwrap_or(0), left, "what is taken is refundable");
            }
        }
        let tally = Tally::of(book.log());
        let refundable: u64 = book.intents.iter().map(super::super::intent::Intent::refundable).sum();
        prop_assert_eq!(tally.net_captured(), refundable, "the tally agrees with the intents");
    }
}
