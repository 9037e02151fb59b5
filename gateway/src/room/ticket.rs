//! Join, look, claim, leave: a shopper's four verbs.

use std::sync::Arc;

use admission::{Claimed, Grant, Joined, Place, PlaceError, PlaceState, Seen, Shown, TokenError, Visitor};
use domain::{DropId, Span};
use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::Room;
use super::answer::{self, Refusal};
use super::api::may_be_a_foreign_form;
use super::board::{Board, Posted};
use super::cookies::Cookie;
use super::recall;
use super::refused::{
    claim_problem, join_problem, leave_problem, no_ticket, not_called, not_known_yet, page_explains,
    place_problem,
};
use super::return_path::ReturnPath;
use super::standing::poll_json;
use crate::edge::{EdgeBody, Problem, Visit};

/// What a shopper sends along with a verb, as JSON or as a form; everything may be left out.
#[derive(Clone, Default, Deserialize, Debug)]
pub(super) struct Wish {
    /// Asks for a new place at the end after leaving or lapsing.
    #[serde(default)]
    pub(super) rejoin: bool,
    /// Where to go afterwards.
    #[serde(default)]
    pub(super) return_to: Option<String>,
    /// Whether this came from a form of the page without script, which wants to be sent back to it.
    #[serde(skip)]
    pub(super) from_form: bool,
}

#[derive(Serialize)]
struct GrantJson<'a> {
    admission_token: &'a str,
    expires_at: String,
    return_to: &'a str,
}

impl Room {
    /// The visitor whom the cookie names, with a fresh cookie where its key is about to retire.
    pub(super) fn visitor(&self, headers: &HeaderMap) -> Option<(Visitor, Option<HeaderValue>)> {
        let cookie = self.cookies.read(headers, Cookie::Visitor)?;
        let (visitor, renewed) = self.desk.visitor(cookie)?;
        Some((
            visitor,
            renewed.map(|value| self.cookies.keep(Cookie::Visitor, &value, Span::ZERO)),
        ))
    }

    /// Whether the cookie may name somebody whom this gateway is about to know: no other cookie may take its place.
    pub(super) fn is_not_known_yet(&self, headers: &HeaderMap) -> bool {
        let cookie = self.cookies.read(headers, Cookie::Visitor);
        cookie.is_some_and(|cookie| self.desk.seen(cookie) == Seen::NotYet)
    }

    /// What to say to a cookie that names nobody here.
    fn no_visitor(&self, headers: &HeaderMap) -> Problem {
        if self.is_not_known_yet(headers) {
            not_known_yet()
        } else {
            no_ticket()
        }
    }

    /// The visitor and ticket that a request shows, or the problem that says which is missing.
    pub(super) fn holder<'h>(
        &self,
        drop: &DropId,
        headers: &'h HeaderMap,
    ) -> Result<(Visitor, &'h str), Problem> {
        let (visitor, _) = self.visitor(headers).ok_or_else(|| self.no_visitor(headers))?;
        let ticket = self
            .cookies
            .read(headers, Cookie::Ticket(drop))
            .ok_or_else(no_ticket)?;
        Ok((visitor, ticket))
    }

    /// `POST …/ticket`.
    pub(super) async fn join(
        &self,
        drop: &DropId,
        headers: &HeaderMap,
        wish: &Wish,
    ) -> Result<Response<EdgeBody>, Refusal> {
        let Some((visitor, renewed)) = self.visitor(headers) else {
            if self.is_not_known_yet(headers) {
                return Err(not_known_yet().into());
            }
            return self.ask_for_cookie(headers, wish);
        };
        let held = self
            .cookies
            .read(headers, Cookie::Ticket(drop))
            .filter(|_| !wish.rejoin);
        let joined = match self.desk.join(drop, &visitor, held).await {
            Ok(joined) => joined,
            Err(error) if page_explains(&error) => return self.or_back(wish, join_problem(error)),
            Err(error) => return Err(join_problem(error).into()),
        };
        let (place, shown) = self.carried(drop, headers, joined.place);
        let mut response = if wish.from_form {
            self.send_back(wish)
        } else {
            let status = if joined.repeated {
                StatusCode::OK
            } else {
                StatusCode::CREATED
            };
            let posted = self.posted(drop).ok_or_else(Problem::not_found)?;
            answer::json(
                status,
                poll_json(&posted, &place, Some(&joined.ticket), &*self.clock),
            )
        };
        self.keep_ticket(drop, &joined, renewed, response.headers_mut());
        answer::keep(&mut response, shown);
        Ok(response)
    }

    /// First contact: the cookie now, the number with the next request. A client that keeps no
    /// cookies never gets past this, so it cannot stretch the queue.
    ///
    /// A form gets none: ours stand on pages that set it, and are sent back to them; the form of another site comes without
    /// the cookie that the browser has, and a new one would take the shopper's place away.
    fn ask_for_cookie(&self, headers: &HeaderMap, wish: &Wish) -> Result<Response<EdgeBody>, Refusal> {
        if wish.from_form {
            return Ok(self.send_back(wish));
        }
        let title = "Send this again with the cookie";
        let problem = Problem::new(
            StatusCode::PRECONDITION_REQUIRED,
            "visitor-cookie-required",
            title,
        )
        .detail("A place is given to a client that keeps the cookie set by this answer.")
        .retry_after(Span::ZERO);
        if may_be_a_foreign_form(headers) {
            return Err(problem.into());
        }
        Err(Refusal::with_cookie(problem, self.new_visitor()))
    }

    /// The cookie that names a new visitor.
    pub(super) fn new_visitor(&self) -> HeaderValue {
        let (_, value) = self.desk.greet();
        self.cookies.keep(Cookie::Visitor, &value, Span::ZERO)
    }

    /// Puts the cookies of a place on an answer.
    pub(super) fn keep_ticket(
        &self,
        drop: &DropId,
        joined: &Joined,
        renewed: Option<HeaderValue>,
        headers: &mut HeaderMap,
    ) {
        let ticket = self
            .cookies
            .keep(Cookie::Ticket(drop), &joined.ticket, Span::ZERO);
        headers.append(SET_COOKIE, ticket);
        if let Some(visitor) = renewed {
            headers.append(SET_COOKIE, visitor);
        }
    }

    /// `GET …/ticket`: touches no store.
    pub(super) fn look(
        &self,
        drop: &DropId,
        board: Option<&Board>,
        headers: &HeaderMap,
        visit: &Visit,
    ) -> Result<Response<EdgeBody>, Refusal> {
        if let Some(front) = self.to_front(board, headers) {
            return Ok(front);
        }
        let known = recall::recall(visit, drop, headers).and_then(|ticket| self.desk.place_again(&ticket));
        let place = match known {
            Some(place) => place,
            None => self.look_closely(drop, headers, visit)?,
        };
        let place = self.with_session(place, drop, headers, visit);
        let (place, shown) = self.carried(drop, headers, place);
        let write = |posted: &Posted| poll_json(posted, &place, None, &*self.clock);
        let text = board.and_then(|board| self.read_board(drop, board, write));
        let mut response = answer::json(StatusCode::OK, text.ok_or_else(Problem::not_found)?);
        answer::keep(&mut response, shown);
        Ok(response)
    }

    /// What the browser's own token says is better known than what was noted when it was called: a session may have been
    /// renewed since, or ended, or begun at another gateway.
    fn with_session(&self, place: Place, drop: &DropId, headers: &HeaderMap, visit: &Visit) -> Place {
        let may_be_inside = matches!(
            place.state,
            PlaceState::Called | PlaceState::Lapsed | PlaceState::Left | PlaceState::Admitted
        );
        if !may_be_inside || self.cookies.read(headers, Cookie::Admission(drop)).is_none() {
            return place;
        }
        let held = self.desk.glance(drop).is_some_and(|now| now.control.queue_all);
        match (self.is_inside(drop, headers, visit), place.state) {
            (true, _) if held => Place {
                state: PlaceState::Paused,
                claim_within: None,
                ..place
            },
            (true, _) => Place {
                state: PlaceState::Admitted,
                claim_within: None,
                ..place
            },
            // Its session may have stood still, and then goes on without it: the next visit brings another.
            (false, PlaceState::Admitted) if self.has_run_out(drop, headers) => place,
            (false, PlaceState::Admitted) => Place {
                state: PlaceState::Left,
                ..place
            },
            (false, _) => place,
        }
    }

    /// Whether the token that is shown was good, and its time is over.
    fn has_run_out(&self, drop: &DropId, headers: &HeaderMap) -> bool {
        let (Some(token), Some((visitor, _))) = (self.token(drop, headers), self.visitor(headers)) else {
            return false;
        };
        self.desk.verify(drop, token, &visitor) == Err(TokenError::Expired)
    }

    /// The place as this browser may be told, and the cookie to keep where it moved on: whichever gateway is asked next,
    /// the position does not go back. Costs nothing where this gateway is the only one.
    pub(super) fn carried(
        &self,
        drop: &DropId,
        headers: &HeaderMap,
        place: Place,
    ) -> (Place, Option<HeaderValue>) {
        if place.shown.is_none() {
            return (place, None);
        }
        let before = self.shown(drop, headers);
        let place = place.not_behind(before);
        let news = place.shown.filter(|shown| before != Some(*shown));
        let cookie = news.map(|shown| {
            self.cookies
                .keep(Cookie::Shown(drop), &shown.to_string(), Span::ZERO)
        });
        (place, cookie)
    }

    /// What a browser carries of the positions it was shown.
    pub(super) fn shown(&self, drop: &DropId, headers: &HeaderMap) -> Option<Shown> {
        let text = self.cookies.read(headers, Cookie::Shown(drop))?;
        Shown::parse(text)
    }

    /// The place of a ticket that was not shown by the request before.
    fn look_closely(&self, drop: &DropId, headers: &HeaderMap, visit: &Visit) -> Result<Place, Problem> {
        let read = |cookie| self.cookies.read(headers, cookie).ok_or_else(no_ticket);
        let (visitor, ticket) = (read(Cookie::Visitor)?, read(Cookie::Ticket(drop))?);
        let checked = self
            .desk
            .check_ticket(drop, ticket, visitor)
            .map_err(|error| match error {
                PlaceError::BadTicket if self.is_not_known_yet(headers) => not_known_yet(),
                PlaceError::BadTicket | PlaceError::UnknownDrop => place_problem(error),
            })?;
        let checked = Arc::new(checked);
        recall::remember(visit, drop, headers, &checked);
        Ok(self.desk.place_of(&checked))
    }

    /// `POST …/admission`.
    pub(super) async fn claim(
        &self,
        drop: &DropId,
        headers: &HeaderMap,
        wish: &Wish,
    ) -> Result<Response<EdgeBody>, Refusal> {
        let (visitor, ticket) = match self.holder(drop, headers) {
            Ok(held) => held,
            Err(problem) => return self.or_back(wish, problem),
        };
        let claimed = match self.desk.claim(drop, ticket, &visitor).await {
            Ok(claimed) => claimed,
            Err(error) => return self.or_back(wish, leave_problem(error)),
        };
        let grant = match claimed {
            Claimed::Admitted(grant) => grant,
            // The page itself explains to a browser without script why it was not let in.
            _ if wish.from_form => return Ok(self.send_back(wish)),
            Claimed::NotCalled(place) => {
                let (place, _) = self.carried(drop, headers, place);
                return Err(not_called(&place).into());
            }
            refused => return Err(claim_problem(&refused).into()),
        };
        let back = self.return_path(wish);
        let mut response = if wish.from_form {
            self.send_back(wish)
        } else {
            let body = GrantJson {
                admission_token: &grant.token,
                expires_at: super::page::rfc3339(grant.expires_at.as_millis()),
                return_to: back.as_str(),
            };
            answer::json(StatusCode::OK, super::board::json(&body))
        };
        response
            .headers_mut()
            .append(SET_COOKIE, self.admission_cookie(drop, &grant));
        Ok(response)
    }

    /// The cookie of a granted admission; it lives exactly as long as the session.
    pub(super) fn admission_cookie(&self, drop: &DropId, grant: &Grant) -> HeaderValue {
        let life = self.clock.now().until(grant.expires_at);
        self.cookies.keep(Cookie::Admission(drop), &grant.token, life)
    }

    /// `DELETE …/ticket`, and the form `POST …/leave`. The ticket cookie stays: the page can then
    /// say that the place was given up instead of taking a new one.
    pub(super) async fn leave(
        &self,
        drop: &DropId,
        headers: &HeaderMap,
        wish: &Wish,
    ) -> Result<Response<EdgeBody>, Refusal> {
        let (visitor, ticket) = match self.holder(drop, headers) {
            Ok(held) => held,
            Err(problem) => return self.or_back(wish, problem),
        };
        if let Err(error) = self.desk.leave(drop, ticket, &visitor).await {
            return self.or_back(wish, leave_problem(error));
        }
        let mut response = if wish.from_form {
            self.send_back(wish)
        } else {
            answer::empty()
        };
        response
            .headers_mut()
            .append(SET_COOKIE, self.cookies.forget(Cookie::Admission(drop)));
        Ok(response)
    }

    /// Refuses; but a form is sent back to its page, which says how things stand: a refusal's words are for programs.
    fn or_back(&self, wish: &Wish, problem: Problem) -> Result<Response<EdgeBody>, Refusal> {
        if wish.from_form {
            Ok(self.send_back(wish))
        } else {
            Err(problem.into())
        }
    }

    fn return_path(&self, wish: &Wish) -> ReturnPath {
        ReturnPath::parse_or_home(wish.return_to.as_deref().unwrap_or("/"), &self.return_hosts)
    }

    /// Back to the page a form came from: 303, so that a reload does not send the form again.
    pub(super) fn send_back(&self, wish: &Wish) -> Response<EdgeBody> {
        let mut response = answer::empty();
        *response.status_mut() = StatusCode::SEE_OTHER;
        let path = self.return_path(wish);
        let location = HeaderValue::try_from(path.as_str()).unwrap_or_else(|_| HeaderValue::from_static("/"));
        response.headers_mut().insert(LOCATION, location);
        response
    }
}
