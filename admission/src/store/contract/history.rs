//! Random histories, replayed through the port and against the model.

use domain::Entropy as _;
use proptest::prelude::*;

use super::*;
use crate::testing::Repeating;

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Join(Vec<u64>),
    Claim(u64),
    Leave(u64),
    Call(u64),
    Renew(u64),
    End(u64),
    Order(u64),
    Control(Command),
    Wait(u64),
    Limits(u32, u32),
    Stock(StockState),
}

/// A history of things that happen.
pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let command = prop_oneof![
        1 => Just(Command::Pause),
        1 => Just(Command::QueueAll),
        1 => Just(Command::Drain),
        5 => Just(Command::Resume),
    ];
    let stock = prop_oneof![
        1 => Just(StockState::SoldOut),
        3 => Just(StockState::Left),
    ];
    let step = prop_oneof![
        4 => proptest::collection::vec(1u64..20, 1..4).prop_map(Step::Join),
        6 => (1u64..20).prop_map(Step::Claim),
        1 => (1u64..20).prop_map(Step::Leave),
        3 => (0u64..5).prop_map(Step::Call),
        2 => (1u64..20).prop_map(Step::Renew),
        1 => (1u64..20).prop_map(Step::End),
        1 => (1u64..20).prop_map(Step::Order),
        1 => command.prop_map(Step::Control),
        3 => (0u64..30_000).prop_map(Step::Wait),
        1 => (1u32..5, 1u32..7).prop_map(|(active, minute)| Step::Limits(active, minute)),
        1 => stock.prop_map(Step::Stock),
    ];
    proptest::collection::vec(step, 1..80)
}

/// The rules that histories are played under: everything small, so that everything happens.
pub(crate) fn tight_rules(method: QueueingMethod) -> DropRules {
    DropRules {
        method,
        session_duration: Span::from_secs(30),
        claim_window: Span::from_secs(20),
        late_grace: Span::from_secs(20),
        queue_capacity: 12,
        ..rules(3, 5)
    }
}

/// Plays `steps` through the store and on the model; every answer must be the same.
pub(crate) async fn replay(store: Arc<dyn QueueStore>, method: QueueingMethod, steps: &[Step]) {
    replay_under(&tight_rules(method), store, steps).await;
}

/// The same under other rules. The store was given [`Repeating::from`]`(1)` to draw from, so the
/// model's seed is the store's.
pub(crate) async fn replay_under(rules: &DropRules, store: Arc<dyn QueueStore>, steps: &[Step]) {
    let mut subject = Subject::open(store, rules).await;
    let mut seed = Seed([0; 32]);
    Repeating::from(1).fill(&mut seed.0);
    let mut model = Queue::new(rules.clone(), seed);
    model.reconfigure(rules.clone(), seed, subject.at());
    for step in steps {
        play(&mut subject, &mut model, step).await;
        assert_eq!(subject.view().await, model.view(subject.at()), "after {step:?}");
    }
}

async fn play(subject: &mut Subject, model: &mut Queue, step: &Step) {
    let at = subject.at();
    let ticket = |model: &Queue, name: u64| {
        let member = model.member(&shopper(name));
        let (number, drawn) = member.map_or((Number(0), None), |member| (member.number, member.drawn));
        Claimant {
            drawn,
            ..claimant(name, number)
        }
    };
    let (store, drop) = (subject.store.clone(), subject.drop.clone());
    match step {
        Step::Wait(millis) => subject.now += millis,
        Step::Stock(stock) => subject.stock = *stock,
        Step::Limits(active, minute) => {
            let limits = rules(*active, *minute).limits;
            let rules = DropRules {
                limits,
                ..model.rules().clone()
            };
            store.open(&rules, at).await.unwrap();
            model.reconfigure(rules, Seed([9; 32]), at);
        }
        Step::Join(names) => {
            let expected: Vec<_> = names
                .iter()
                .map(|name| model.join(shopper(*name), lot(*name), at))
                .collect();
            assert_eq!(subject.join(names).await, expected);
        }
        Step::Call(calls) => {
            let view = model.view(at);
            let advance = Advance {
                version: view.version,
                calls: *calls,
                pace: view.pace,
            };
            let seen = store.advance(&drop, advance, at).await.unwrap();
            assert_eq!(seen, model.advance(advance, at));
        }
        Step::Control(command) => {
            let seen = store.control(&drop, *command, at).await.unwrap();
            assert_eq!(seen, model.control(*command, at));
        }
        Step::Claim(name) | Step::Leave(name) | Step::Renew(name) | Step::End(name) | Step::Order(name) => {
            let ticket = ticket(model, *name);
            if ticket.number == Number(0) {
                return;
            }
            play_ticket(&*store, &drop, model, step, ticket, at).await;
        }
    }
}

async fn play_ticket(
    store: &dyn QueueStore,
    drop: &DropId,
    model: &mut Queue,
    step: &Step,
    ticket: Claimant,
    at: Moment,
) {
    match step {
        Step::Claim(_) => {
            let seen = store.claim(drop, ticket, at).await.unwrap();
            assert_eq!(seen, model.claim(&ticket, at));
        }
        Step::Leave(_) => {
            store.leave(drop, ticket, at).await.unwrap();
            model.leave(&ticket, at);
        }
        Step::Renew(_) => {
            let seen = store.renew(drop, vec![ticket.admission], at.now).await.unwrap();
            assert_eq!(seen, [model.renew(ticket.admission, at.now)]);
        }
        Step::End(_) => {
            store
                .end_session(drop, ticket.admission, EndReason::Completed, at.now)
                .await
                .unwrap();
            model.end_session(ticket.admission, EndReason::Completed, at.now);
        }
        Step::Order(_) => {
            store.note_decided(drop, ticket.admission, at.now).await.unwrap();
            model.note_decided(ticket.admission, at.now);
        }
        Step::Join(_)
        | Step::Call(_)
        | Step::Control(_)
        | Step::Wait(_)
        | Step::Limits(..)
        | Step::Stock(_) => {}
    }
}
