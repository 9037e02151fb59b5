//! The door itself: who passes on a protected path. Decided from the token, the snapshot and
//! the rules in `domain`; only a session to renew or a stranger to receive takes a moment longer.

use std::sync::Arc;

use admission::{Admitted as Session, CheckedToken};
use domain::decision::{Decision as Verdict, Intent, Question, Refusal as Turned, RouteClass, Standing};
use domain::{AdmissionId, DropId};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::Room;
use super::cookies::Cookie;
use super::recall;
use super::refused::closed;
use crate::edge::{Admitted, Command, Decision, Door, Form, Problem, Proof, Visit};

/// The door of the house, as the edge sees it.
pub struct HouseDoor(pub Arc<Room>);

/// Somebody with a session, and what the upstream is told of them.
struct Inside {
    token: CheckedToken,
    admitted: Admitted,
}

impl Door for HouseDoor {
    fn decide(&self, drop: &DropId, request: &Parts, visit: &Visit) -> Decision {
        let room = &self.0;
        let Some(snapshot) = room.desk.glance(drop) else {
            return room.hold(Problem::overloaded(domain::Span::from_secs(5)), request, visit);
        };
        let session = room.inside(drop, &request.headers, visit);
        let reads = request.method == Method::GET || request.method == Method::HEAD;
        let question = Question {
            route: RouteClass::Protected,
            intent: if reads { Intent::Read } else { Intent::Act },
            phase: snapshot.phase,
            method: snapshot.rules.method,
            hold_everybody: snapshot.control.queue_all,
            standing: if session.is_some() {
                Standing::Admitted
            } else {
                Standing::Outside
            },
        };
        match question.answer() {
            Verdict::Pass => self.pass(drop, session),
            Verdict::Wait => self.receive(drop, request, visit),
            Verdict::Refuse(Turned::Closed) if reads => self.receive(drop, request, visit),
            Verdict::Refuse(Turned::Closed) => room.hold(closed(), request, visit),
            Verdict::Refuse(Turned::AdmissionRequired) => room.hold(admission_required(), request, visit),
        }
    }

    fn obey(&self, drop: &DropId, command: Command, admitted: &Admitted, _: &Visit) -> Vec<HeaderValue> {
        let Command::Revoke = command;
        let (room, drop_id, admission) = (Arc::clone(&self.0), drop.clone(), AdmissionId(admitted.admission));
        // The answer is on its way already; the revocation follows within the snapshot's second.
        self.0.errands.spawn(async move {
            if let Err(error) = room.desk.revoke(&drop_id, admission).await {
                tracing::warn!(drop.id = %drop_id, %error, "a session could not be revoked for the upstream");
            }
        });
        vec![self.0.cookies.forget(Cookie::Admission(drop))]
    }
}

impl HouseDoor {
    fn pass(&self, drop: &DropId, inside: Option<Arc<Inside>>) -> Decision {
        let Some(inside) = inside else {
            // A drop that only counts lets everybody through without a session.
            let proof = Proof::new(drop, None);
            return Decision::Admit(Admitted {
                admission: [0; 16],
                proof,
                set_cookies: Vec::new(),
            });
        };
        let admitted = inside.admitted.clone();
        if !self.0.desk.wants_renewal(inside.token.admitted()) {
            return Decision::Admit(admitted);
        }
        let (room, drop) = (Arc::clone(&self.0), drop.clone());
        Decision::Later(Box::pin(async move {
            Decision::Admit(renewed(&room, &drop, inside.token.admitted(), admitted).await)
        }))
    }

    /// The waiting room instead of the shop.
    fn receive(&self, drop: &DropId, request: &Parts, visit: &Visit) -> Decision {
        let (room, drop, id) = (Arc::clone(&self.0), drop.clone(), *visit.id());
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.method = request.method.clone();
        parts.uri = request.uri.clone();
        parts.headers = request.headers.clone();
        let client = visit.client;
        Decision::Later(Box::pin(async move {
            Decision::Hold(room.arrive(&drop, &parts, &id, &client).await)
        }))
    }
}

/// A sign of life: past the middle of a session its holder gets a fresh token with the answer.
async fn renewed(room: &Room, drop: &DropId, session: &Session, mut admitted: Admitted) -> Admitted {
    match room.desk.renew(session).await {
        Ok(Some(grant)) => {
            admitted.proof.admission = HeaderValue::from_str(&grant.token).ok();
            admitted.set_cookies.push(room.admission_cookie(drop, &grant));
        }
        Ok(None) => {}
        // The old token is good for the rest of its time; the next request tries again.
        Err(error) => tracing::debug!(drop.id = %drop, %error, "a session could not be renewed"),
    }
    admitted
}

impl Room {
    /// The session of a request: a token of this drop, shown together with the visitor it was
    /// issued to. Either alone opens nothing.
    pub(super) fn session(&self, drop: &DropId, headers: &HeaderMap) -> Option<Session> {
        let token = self.token(drop, headers)?;
        let (visitor, _) = self.visitor(headers)?;
        self.desk.verify(drop, token, &visitor).ok()
    }

    /// Whether the request shows a session that counts now.
    pub(super) fn is_inside(&self, drop: &DropId, headers: &HeaderMap, visit: &Visit) -> bool {
        self.inside(drop, headers, visit).is_some()
    }

    /// The same for the door, which asks most: remembered for as long as the connection shows
    /// the same cookies, and judged by this moment all the same.
    fn inside(&self, drop: &DropId, headers: &HeaderMap, visit: &Visit) -> Option<Arc<Inside>> {
        let known = recall::recall::<Inside>(visit, drop, headers);
        if let Some(inside) = known.filter(|known| self.desk.session_again(&known.token).is_some()) {
            return Some(inside);
        }
        let text = self.token(drop, headers)?;
        let visitor = self.cookies.read(headers, Cookie::Visitor)?;
        let token = self.desk.check_token(drop, text, visitor).ok()?;
        let admission = self.desk.session_of(&token).ok()?.admission.0;
        let admitted = Admitted {
            admission,
            proof: Proof::new(drop, HeaderValue::from_str(text).ok()),
            set_cookies: Vec::new(),
        };
        let inside = Arc::new(Inside { token, admitted });
        // A token from `Authorization` is not in what is compared, so it may not be remembered by it.
        if self.cookies.read(headers, Cookie::Admission(drop)).is_some() {
            recall::remember(visit, drop, headers, &inside);
        }
        Some(inside)
    }

    /// The admission token: from its cookie, or from `Authorization: Bearer` for apps.
    pub(super) fn token<'h>(&self, drop: &DropId, headers: &'h HeaderMap) -> Option<&'h str> {
        self.cookies.read(headers, Cookie::Admission(drop)).or_else(|| {
            let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        })
    }

    fn hold(&self, problem: Problem, request: &Parts, visit: &Visit) -> Decision {
        let form = Form::wanted_by(&request.headers, &self.refusals);
        Decision::Hold(problem.into_response(visit.id(), form))
    }
}

/// 429: a request that would change something, from somebody who is not admitted. Its body was
/// not kept; it has to be sent again from inside.
fn admission_required() -> Problem {
    let title = "Wait for your turn first";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "admission-required", title)
        .detail("This part of the shop is behind a queue. Open its page, wait to be let in, then send this again.")
        .retry_after(domain::Span::from_secs(5))
}
