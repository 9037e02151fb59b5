//! The part of the walk before the door: join, wait, claim.

use std::ops::ControlFlow;
use std::time::Duration;

use http::{Method, StatusCode};
use serde::Deserialize;

use super::behaviour::Behaviour;
use super::client::{Ask, json, problem_type, retry_after};
use super::observer::Measure;
use super::shopper::{Shopper, Step, WentHome};
use crate::clock::monotonic;
use crate::link::Answer;

/// A ticket as the gateway shows it; what is unknown is left out.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Ticket {
    number: Option<u64>,
    position: Option<u64>,
    state: String,
    poll_after_ms: Option<u64>,
}

/// What was promised so far, to be compared with what is said next.
#[derive(Debug, Default)]
struct Promised {
    number: Option<u64>,
    position: Option<u64>,
}

/// The gateway sets the pace of polling; these only bound mistakes.
const POLL_MS_MIN: u64 = 50;
const POLL_MS_MAX: u64 = 15_000;
const POLL_MS_DEFAULT: u64 = 1_000;
const ROOM_FULL_WAIT: Duration = Duration::from_secs(1);
const JOIN_RETRY: Duration = Duration::from_millis(300);
/// Joins refused in a row before the shopper gives up.
const JOIN_TRIES: u32 = 20;

/// How a claim ended.
enum Turn {
    NotYet,
    LetIn,
}

impl Shopper {
    /// From outside the door to inside, or home.
    pub(crate) async fn queue(&mut self) -> Step<()> {
        let mut promised = Promised::default();
        self.join(&mut promised).await?;
        let joined_at = monotonic();
        self.observer.progress.joined();
        let mut was_called = false;
        loop {
            self.wait_for_call(&mut promised).await?;
            if !was_called {
                was_called = true;
                self.observer.progress.called();
                self.when_called().await?;
            }
            if let Turn::LetIn = self.claim().await? {
                self.observer.took(Measure::Wait, joined_at.elapsed());
                return ControlFlow::Continue(());
            }
        }
    }

    async fn join(&mut self, promised: &mut Promised) -> Step<()> {
        let ask = self.at_drop(Method::POST, "ticket");
        for _ in 0..JOIN_TRIES {
            let answer = self.ask_in_my_way(&ask).await;
            match answer.status {
                StatusCode::OK | StatusCode::CREATED | StatusCode::ACCEPTED => {
                    self.observer.took(Measure::Join, self.client.took);
                    self.check(promised, &answer);
                    return ControlFlow::Continue(());
                }
                StatusCode::GONE | StatusCode::CONFLICT => return self.turned_away(&answer),
                // No cookie yet, or one that is not believed: the page hands out a new one.
                _ => {
                    self.observer.problem(&problem_type(&answer));
                    tokio::time::sleep(JOIN_RETRY).await;
                    self.look().await;
                }
            }
        }
        ControlFlow::Break(WentHome)
    }

    /// Polls until called, or until this shopper or the drop has had enough.
    async fn wait_for_call(&mut self, promised: &mut Promised) -> Step<()> {
        let ask = self.at_drop(Method::GET, "ticket");
        let mut patience = self.client.random.within(self.config.patience_polls.clone());
        let mut every = Duration::ZERO;
        loop {
            let answer = self.client.ask(&ask).await;
            if !answer.status.is_success() {
                self.violated(&format!("lost its place: {}", problem_type(&answer)));
                return ControlFlow::Break(WentHome);
            }
            self.observer.took(Measure::Poll(every), self.client.took);
            let ticket = self.check(promised, &answer);
            match ticket.state.as_str() {
                "called" | "admitted" => return ControlFlow::Continue(()),
                "lapsed" => return self.go_home(super::progress::Progress::lapsed),
                "sold_out" => return self.go_home(super::progress::Progress::sold_out),
                "left" | "ended" => return ControlFlow::Break(WentHome),
                _ => {}
            }
            match self.behaviour {
                Behaviour::Impatient if patience == 0 => return self.leave().await,
                Behaviour::Impatient => patience -= 1,
                Behaviour::Reloader => {
                    self.client.hang_up();
                    self.look().await;
                }
                _ => {}
            }
            let pace = ticket
                .poll_after_ms
                .unwrap_or(POLL_MS_DEFAULT)
                .clamp(POLL_MS_MIN, POLL_MS_MAX);
            let late = self.client.random.within(0..=pace / 10);
            every = Duration::from_millis(pace + late);
            tokio::time::sleep(every).await;
        }
    }

    /// What a shopper does on hearing the call for the first time.
    async fn when_called(&mut self) -> Step<()> {
        match self.behaviour {
            Behaviour::NoShow => self.go_home(super::progress::Progress::no_shows),
            Behaviour::LateReturner => {
                self.client.hang_up();
                tokio::time::sleep(self.config.returns_after).await;
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Continue(()),
        }
    }

    async fn claim(&mut self) -> Step<Turn> {
        let ask = self.at_drop(Method::POST, "admission");
        let mut sent_ms = self.observer.elapsed_ms();
        loop {
            let answer = self.ask_in_my_way(&ask).await;
            self.observer.took(Measure::Claim, self.client.took);
            if answer.status.is_success() {
                self.let_in(sent_ms);
                return ControlFlow::Continue(Turn::LetIn);
            }
            let kind = problem_type(&answer);
            match (answer.status, kind.as_str()) {
                (StatusCode::TOO_MANY_REQUESTS, "room-full") => {
                    tokio::time::sleep(retry_after(&answer).unwrap_or(ROOM_FULL_WAIT)).await;
                    // A refusal proves that nothing was granted before: the span starts anew.
                    sent_ms = self.observer.elapsed_ms();
                }
                (StatusCode::CONFLICT, "not-called") => {
                    self.observer.problem(&kind);
                    tokio::time::sleep(Duration::from_millis(POLL_MS_DEFAULT / 4)).await;
                    return ControlFlow::Continue(Turn::NotYet);
                }
                (StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND, _) => {
                    self.violated(&format!("was called and lost its place: {kind}"));
                    return ControlFlow::Break(WentHome);
                }
                _ => return self.turned_away(&answer).map_continue(|()| Turn::NotYet),
            }
        }
    }

    async fn leave(&mut self) -> Step<()> {
        if self.client.random.happens(0.5) {
            let ask = self.at_drop(Method::DELETE, "ticket");
            self.client.ask(&ask).await;
        }
        self.go_home(super::progress::Progress::left)
    }

    /// A definite no: sold out, too late, over.
    fn turned_away(&mut self, answer: &Answer) -> Step<()> {
        let kind = problem_type(answer);
        match kind.as_str() {
            "sold-out" => self.observer.progress.sold_out(),
            "lapsed" => self.observer.progress.lapsed(),
            _ => self.observer.problem(&kind),
        }
        ControlFlow::Break(WentHome)
    }

    fn go_home(&self, counted: fn(&super::progress::Progress)) -> Step<()> {
        counted(&self.observer.progress);
        ControlFlow::Break(WentHome)
    }

    /// Compares a ticket with what was promised before.
    fn check(&self, promised: &mut Promised, answer: &Answer) -> Ticket {
        let ticket: Ticket = serde_json::from_value(json(answer)).unwrap_or_default();
        if let (Some(before), Some(now)) = (promised.number, ticket.number)
            && before != now
        {
            self.violated(&format!("number {before} became {now}"));
        }
        if let Some(number) = ticket.number.filter(|_| promised.number.is_none())
            && let Some(other) = self.observer.number(number, self.index)
        {
            self.violated(&format!("number {number} belongs to shopper {other} too"));
        }
        promised.number = ticket.number.or(promised.number);
        // Before the draw a position is a guess, and nobody promises it.
        if ticket.state == "waiting" {
            if let (Some(before), Some(now)) = (promised.position, ticket.position)
                && now > before
            {
                self.violated(&format!("position went back from {before} to {now}"));
            }
            promised.position = ticket.position.or(promised.position);
        }
        ticket
    }

    /// Once, or twice at once for those who click twice. Of two answers the granted one counts; of two granted ones, which
    /// no order lies between, the one that promises less: two gateways may have given them.
    async fn ask_in_my_way(&mut self, ask: &Ask) -> Answer {
        if self.behaviour == Behaviour::DoubleClicker {
            let (first, second) = self.client.ask_twice(ask).await;
            let granted = [first, second]
                .into_iter()
                .flatten()
                .filter(|answer| answer.status.is_success());
            if let Some(answer) = granted.max_by_key(position_of) {
                return answer;
            }
        }
        self.client.ask(ask).await
    }

    fn at_drop(&self, method: Method, what: &str) -> Ask {
        Ask::api(method, format!("/.doorline/v1/drops/{}/{what}", self.config.drop))
    }
}

/// The position that an answer tells; 0 where it tells none.
fn position_of(answer: &Answer) -> u64 {
    serde_json::from_value::<Ticket>(json(answer))
        .ok()
        .and_then(|ticket| ticket.position)
        .unwrap_or(0)
}
