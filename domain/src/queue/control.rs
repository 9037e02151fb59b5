//! Sessions after the claim, and the operator's hand.

use super::{Moment, Queue};
use crate::draw::Seed;
use crate::sessions::Session;
use crate::{AdmissionId, AfterOrder, Control, DropRules, Rank, Renewal, Span, Timestamp};

/// Tokens are accepted this long after their expiry by verifiers whose clock is behind, so a
/// revocation is remembered as long.
pub const TOKEN_LEEWAY: Span = Span::from_secs(10);

/// What an operator may ask.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Command {
    /// Holds calling and claiming.
    Pause,
    /// Goes on, whatever was held or draining. Does not bring an ended drop back.
    Resume,
    /// Lets the called come in and nobody else.
    Drain,
    /// Ends the drop, for good.
    End,
    /// Holds everybody, admitted shoppers included; their sessions stand still.
    QueueAll,
}

/// Why a session ends before its time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EndReason {
    /// The shopper left.
    Left,
    /// The shopper's order is complete. Ends the session only where the rules say so.
    Completed,
    /// The upstream or an operator ended it.
    Revoked,
}

impl Queue {
    /// A sign of life: the new expiry, or none where the session is over, held, or not renewed.
    pub fn renew(&mut self, admission: AdmissionId, now: Timestamp) -> Option<Timestamp> {
        self.settle(now);
        let session = *self.sessions.get(&admission)?;
        // While everybody is held the session stands still, and gets its time back at the end; renewed in between, it
        // would get it twice.
        if self.rules.renewal == Renewal::Fixed || self.control.queue_all {
            return None;
        }
        let expires_at = session.expires_at.max(now + self.rules.session_duration);
        self.sessions.put(
            admission,
            Session {
                expires_at,
                ..session
            },
        );
        self.changes.sessions.insert(admission);
        self.assert_sound();
        Some(expires_at)
    }

    /// Ends a session, or notes that it has ordered. Ending twice is ending.
    pub fn end_session(&mut self, admission: AdmissionId, reason: EndReason, now: Timestamp) {
        self.settle(now);
        let Some(session) = self.sessions.get(&admission).copied() else {
            return;
        };
        if reason == EndReason::Completed && self.rules.after_order == AfterOrder::KeepSession {
            self.sessions.put(
                admission,
                Session {
                    has_decided: true,
                    ..session
                },
            );
            self.changes.sessions.insert(admission);
            return;
        }
        self.sessions.remove(&admission);
        self.note_session_over(admission, &session.shopper);
        self.turnover.note_ended(self.rules.limits.total_active_users);
        // The token does not know: until it dies by itself, it has to be on the list.
        self.revoked
            .insert((session.expires_at + TOKEN_LEEWAY, admission));
        self.assert_sound();
    }

    /// Notes that a session has ordered, or was told that nothing is left, without ending it.
    pub fn note_decided(&mut self, admission: AdmissionId, now: Timestamp) {
        self.settle(now);
        if let Some(session) = self.sessions.get(&admission).copied() {
            self.sessions.put(
                admission,
                Session {
                    has_decided: true,
                    ..session
                },
            );
            self.changes.sessions.insert(admission);
        }
        self.assert_sound();
    }

    /// Carries out `command`; gives the switches as they stand then.
    pub fn control(&mut self, command: Command, at: Moment) -> Control {
        self.settle(at.now);
        match command {
            Command::Pause => self.control.paused = true,
            Command::QueueAll => self.hold_sessions(at.now),
            Command::Drain => self.control.draining = true,
            Command::End => self.control.ended = true,
            Command::Resume => self.release(at.now),
        }
        if self.control.paused || self.control.queue_all {
            self.held_since = self.held_since.or(Some(at.now));
        }
        self.version = self.version.saturating_add(1);
        self.changes.queue = true;
        self.settle(at.now);
        self.control
    }

    /// Sessions stand still from here on, claim windows perhaps from an earlier pause on: that pause is given back
    /// first, because one instant says since when both are held.
    fn hold_sessions(&mut self, now: Timestamp) {
        if self.control.queue_all {
            return;
        }
        self.control.queue_all = true;
        if let Some(since) = self.held_since.replace(now) {
            self.shift_calls(now.since(since));
        }
    }

    /// Gives back the time nobody could use: claim windows go on where they stood.
    fn release(&mut self, now: Timestamp) {
        if let Some(since) = self.held_since.take() {
            self.shift_calls(now.since(since));
            if self.control.queue_all {
                self.shift_sessions(now.since(since));
            }
        }
        self.control = Control {
            ended: self.control.ended,
            ..Control::default()
        };
    }

    pub(super) fn shift_calls(&mut self, lost: Span) {
        self.calls.shift(lost);
        self.changes.calls.extend(self.calls.iter().map(|call| call.from));
    }

    pub(super) fn shift_sessions(&mut self, lost: Span) {
        let all: alloc::vec::Vec<(AdmissionId, Session)> = self
            .sessions
            .iter()
            .map(|(id, session)| (*id, *session))
            .collect();
        for (id, session) in all {
            self.sessions.put(
                id,
                Session {
                    expires_at: session.expires_at + lost,
                    ..session
                },
            );
            self.changes.sessions.insert(id);
        }
    }

    /// Takes new rules. Where the start is moved ahead again, sessions from before it are void,
    /// and if nobody was called yet the draw is held anew with `fresh_seed`: the old one is known.
    pub fn reconfigure(&mut self, rules: DropRules, fresh_seed: Seed, at: Moment) {
        assert_eq!(rules.drop, self.rules.drop, "a queue keeps its drop");
        self.settle(at.now);
        let ahead_again = self.started && at.now < rules.schedule.event_start;
        self.rules = rules;
        if ahead_again {
            self.begin_epoch();
            if self.frontier() == Rank(1) {
                self.started = false;
                self.draw = None;
                self.seed = fresh_seed;
                self.line = self
                    .members
                    .iter()
                    .map(|(shopper, m)| (self.rank_of(m.number, m.drawn), *shopper))
                    .collect();
            }
        }
        self.version = self.version.saturating_add(1);
        self.changes.queue = true;
        self.settle(at.now);
    }
}
