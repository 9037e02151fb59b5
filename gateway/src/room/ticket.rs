//! Join, look, claim, leave: a shopper's four verbs.

use std::sync::Arc;

use admission::{
    Claimed, Grant, JoinError, Joined, LeaveError, Place, PlaceError, PlaceState, Shown, Visitor,
};
use domain::{DropId, Span};
use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::Room;
use super::answer::{self, Refusal};
use super::board::{Board, Posted};
use super::cookies::Cookie;
use super::recall;
use super::return_path::ReturnPath;
use super::standing::poll_json;
use crate::edge::{EdgeBody, Form, Problem, Visit};

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

    /// The visitor and ticket that a request shows, or the problem that says which is missing.
    pub(super) fn holder<'h>(
        &self,
        drop: &DropId,
        headers: &'h HeaderMap,
    ) -> Result<(Visitor, &'h str), Problem> {
        let (visitor, _) = self.visitor(headers).ok_or_else(no_ticket)?;
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
            return self.ask_for_cookie(wish);
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
    fn ask_for_cookie(&self, wish: &Wish) -> Result<Response<EdgeBody>, Refusal> {
        let cookie = self.new_visitor();
        if wish.from_form {
            let mut response = self.send_back(wish);
            response.headers_mut().append(SET_COOKIE, cookie);
            return Ok(response);
        }
        let title = "Send this again with the cookie";
        let problem = Problem::new(
            StatusCode::PRECONDITION_REQUIRED,
            "visitor-cookie-required",
            title,
        )
        .detail("A place is given to a client that keeps the cookie set by this answer.")
        .retry_after(Span::ZERO);
        Err(Refusal::with_cookie(problem, cookie))
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

    /// `GET …/ticket`: touches no store. Who wants to read a page is sent to the drop's: that is somebody whose form was
    /// refused and who tries again from the error page, which stands at this address.
    pub(super) fn look(
        &self,
        drop: &DropId,
        board: Option<&Board>,
        headers: &HeaderMap,
        visit: &Visit,
    ) -> Result<Response<EdgeBody>, Refusal> {
        if let (Form::Page(_), Some(board)) = (Form::wanted_by(headers, &self.refusals), board) {
            return Ok(self.send_back(&Wish {
                return_to: Some(front_path(board)),
                ..Wish::default()
            }));
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
            (false, PlaceState::Admitted) => Place {
                state: PlaceState::Left,
                ..place
            },
            (false, _) => place,
        }
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
            .map_err(place_problem)?;
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
    fn send_back(&self, wish: &Wish) -> Response<EdgeBody> {
        let mut response = answer::empty();
        *response.status_mut() = StatusCode::SEE_OTHER;
        let path = self.return_path(wish);
        let location = HeaderValue::try_from(path.as_str()).unwrap_or_else(|_| HeaderValue::from_static("/"));
        response.headers_mut().insert(LOCATION, location);
        response
    }
}

/// The drop's page: the first of its paths that a merchant wrote down.
fn front_path(board: &Board) -> String {
    let first = board.config.paths.first().map(ToString::to_string);
    first.map_or_else(|| "/".to_owned(), |path| path.trim_end_matches('*').to_owned())
}

/// Whether the page that a form comes from says itself why joining was refused. A queue that is full or cannot be reached
/// is not among it: the page would show the lost place as before, as if nothing had been tried.
const fn page_explains(error: &JoinError) -> bool {
    match error {
        JoinError::NotOpen(_) | JoinError::Closed => true,
        JoinError::Full { .. } | JoinError::Unavailable(_) | JoinError::UnknownDrop => false,
    }
}

fn no_ticket() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no-ticket",
        "You have no place in this queue",
    )
    .detail("Join first: POST to this address with the visitor cookie.")
}

pub(super) fn place_problem(error: PlaceError) -> Problem {
    match error {
        PlaceError::UnknownDrop => unknown_drop(),
        PlaceError::BadTicket => no_ticket(),
    }
}

pub(super) fn unknown_drop() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown-drop", "There is no such drop")
}

fn unavailable(retry_after: Span) -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "queue-unavailable",
        "The queue cannot be reached",
    )
    .detail("Your place is safe: it is in your ticket.")
    .retry_after(retry_after)
}

pub(super) fn join_problem(error: JoinError) -> Problem {
    match error {
        JoinError::UnknownDrop => unknown_drop(),
        JoinError::NotOpen(phase) => {
            Problem::new(StatusCode::CONFLICT, "not-open", "Joining is not possible now")
                .detail("See the drop's public state for when it opens.")
                .with("phase", phase.as_str())
        }
        JoinError::Closed => Problem::new(StatusCode::FORBIDDEN, "drop-closed", "This drop admits nobody"),
        JoinError::Full { retry_after } => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "queue-full",
            "The queue is full for the moment",
        )
        .retry_after(retry_after)
        .meant(),
        JoinError::Unavailable(error) => unavailable(error.retry_after),
    }
}

pub(super) fn leave_problem(error: LeaveError) -> Problem {
    match error {
        LeaveError::Place(error) => place_problem(error),
        LeaveError::Unavailable(error) => unavailable(error.retry_after),
    }
}

/// Why a claim was refused, and when another could succeed.
fn claim_problem(refused: &Claimed) -> Problem {
    let gone = |slug, title| Problem::new(StatusCode::GONE, slug, title);
    let not_yet = |slug, title| Problem::new(StatusCode::CONFLICT, slug, title);
    match refused {
        Claimed::NotCalled(place) => not_called(place),
        Claimed::RoomFull { retry_after } => {
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "room-full", "You are next")
                .detail("Everybody allowed in is inside; you go before anybody called later.")
                .retry_after(*retry_after)
        }
        Claimed::Paused => not_yet("paused", "The queue is paused").detail("Your place is kept."),
        Claimed::NotOpen => not_yet("not-called", "The drop has not started"),
        Claimed::Lapsed => gone("lapsed", "Your turn has passed").detail("Join again to go to the end."),
        Claimed::Left => gone("left", "This place was given up").detail("Join again to go to the end."),
        Claimed::Finished => gone("admission-used", "This place has been used"),
        Claimed::SoldOut => gone("sold-out", "Everything is sold"),
        Claimed::Ended => gone("ended", "The drop is over"),
        Claimed::Admitted(_) => Problem::not_found(),
    }
}

fn not_called(place: &Place) -> Problem {
    let problem = Problem::new(StatusCode::CONFLICT, "not-called", "It is not your turn yet")
        .retry_after(place.poll_after);
    match place.position {
        Some(position) => problem.with("position", position),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::super::board::tests::board;
    use super::*;

    #[test]
    fn a_refusal_that_the_page_cannot_explain_is_not_hidden_by_it() {
        assert!(page_explains(&JoinError::NotOpen(domain::Phase::SoldOut)));
        assert!(page_explains(&JoinError::Closed));
        let retry_after = Span::from_secs(5);
        assert!(!page_explains(&JoinError::Full { retry_after }));
        assert!(!page_explains(&JoinError::UnknownDrop));
    }

    #[test]
    fn the_way_back_is_the_drops_own_path() {
        assert_eq!(front_path(&board("")), "/x");
    }
}
