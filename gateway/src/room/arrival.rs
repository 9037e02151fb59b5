//! Somebody stands at a protected path without an admission: the waiting room page, or the same
//! as JSON. A visit is also a sign of life, so it joins, and claims when the time has come;
//! that is what makes the page work without script.

use admission::{Claimed, JoinError, Joined, Place, PlaceState, Visitor};
use domain::{DropId, Span};
use http::header::{LOCATION, SET_COOKIE, VARY};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::board::{Posted, json};
use super::cloudflare::WaitingRoomAnswer;
use super::cookies::Cookie;
use super::page::{PageState, PageView, page_headers, refresh_seconds, render};
use super::refused::{not_known_yet, unknown_drop};
use super::return_path::ReturnPath;
use super::{Room, answer, standing};
use crate::edge::observe::Limit;
use crate::edge::{ClientAddress, EdgeBody, Form, RequestId};

/// What came of a visit: what to show, and the cookies to keep.
struct Visited {
    view: PageView,
    cookies: Vec<HeaderValue>,
    /// The visit ended inside: the browser only has to load the page again.
    inside: bool,
}

impl Room {
    /// Answers a `GET` or `HEAD` of a protected path by somebody who is not admitted.
    pub(super) async fn arrive(
        &self,
        drop: &DropId,
        parts: &Parts,
        id: &RequestId,
        client: &ClientAddress,
    ) -> Response<EdgeBody> {
        let form = Form::wanted_by(&parts.headers, &self.refusals);
        let Some(posted) = self.posted(drop) else {
            return unknown_drop().into_response(id, form);
        };
        if self.is_not_known_yet(&parts.headers) {
            return not_known_yet().into_response(id, form);
        }
        // Browsers send an apostrophe as it is; in the markup of some shops it would end an attribute.
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let back = ReturnPath::parse_or_home(&target.replace('\'', "%27"), &self.return_hosts);
        let mut visited = self.visit(drop, &parts.headers, &posted, client).await;
        back.as_str().clone_into(&mut visited.view.return_to);
        id.as_str().clone_into(&mut visited.view.request_id);
        let status = self.status_of(drop);
        let mut response = match form {
            Form::Page(_) if visited.inside => redirect(&back),
            Form::Page(_) => self.page(&visited.view, status),
            Form::Json => answer::json(status, json(&WaitingRoomAnswer::of(&visited.view))),
        };
        response
            .headers_mut()
            .insert(VARY, HeaderValue::from_static("Accept, Cookie"));
        for cookie in visited.cookies {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        response
    }

    async fn visit(
        &self,
        drop: &DropId,
        headers: &HeaderMap,
        posted: &Posted,
        client: &ClientAddress,
    ) -> Visited {
        let outside = |cookies| Visited {
            view: posted.view.clone(),
            cookies,
            inside: false,
        };
        let Some((visitor, renewed)) = self.visitor(headers) else {
            return outside(vec![self.new_visitor()]);
        };
        let mut cookies: Vec<HeaderValue> = renewed.into_iter().collect();
        let held = self.cookies.read(headers, Cookie::Ticket(drop));
        if let Some(ticket) = held
            && let Ok(place) = self.desk.place(drop, ticket, &visitor)
        {
            let (place, shown) = self.carried(drop, headers, place);
            cookies.extend(shown);
            return self.turn_up(drop, ticket, &visitor, place, posted, cookies).await;
        }
        if posted.view.state != PageState::Joining {
            return outside(cookies);
        }
        if let Err(wait) = self.joins.load().admit(client) {
            self.observer.rate_limited(Limit::JoinsPerAddress);
            let mut full = outside(cookies);
            full.view.retry_after_seconds = Some(wait.as_secs_ceil());
            return full;
        }
        match self.desk.join(drop, &visitor, held).await {
            Ok(Joined { ticket, place, .. }) => {
                cookies.push(self.cookies.keep(Cookie::Ticket(drop), &ticket, Span::ZERO));
                let (place, shown) = self.carried(drop, headers, place);
                cookies.extend(shown);
                self.turn_up(drop, &ticket, &visitor, place, posted, cookies)
                    .await
            }
            // The page loads itself again and tries anew; meanwhile it says that it is joining.
            Err(error) => {
                tracing::debug!(drop.id = %drop, %error, "a visit could not join");
                let mut outside = outside(cookies);
                if let JoinError::Full { retry_after } = error {
                    outside.view.queue_is_full = true;
                    outside.view.retry_after_seconds = Some(retry_after.as_secs_ceil());
                }
                outside
            }
        }
    }

    /// Shows the place; claims where it has been called, or gives a lost admission cookie again. How a place that is gone
    /// came to its end is asked of the store too, because only there it is kept; such pages do not load themselves again.
    async fn turn_up(
        &self,
        drop: &DropId,
        ticket: &str,
        visitor: &Visitor,
        place: Place,
        posted: &Posted,
        mut cookies: Vec<HeaderValue>,
    ) -> Visited {
        let mut view = standing::view(posted, &place, self.clock.now());
        let asks = matches!(
            place.state,
            PlaceState::Called | PlaceState::Admitted | PlaceState::Lapsed | PlaceState::Left
        );
        if !asks {
            return Visited {
                view,
                cookies,
                inside: false,
            };
        }
        let (held, mut inside) = (posted.view.queue_all, false);
        match self.desk.claim(drop, ticket, visitor).await {
            Ok(Claimed::Admitted(grant)) => {
                // Sent on with a token that opens nothing, a browser is here again at once, until it gives up with an error.
                // The door holds whoever is inside with everybody else; and a token ends with the last whole second of its
                // session.
                inside = !held && self.clock.now().as_secs() < grant.expires_at.as_secs();
                view.state = if held {
                    PageState::Paused
                } else {
                    PageState::Admitted
                };
                if inside {
                    cookies.push(self.admission_cookie(drop, &grant));
                }
            }
            Ok(refused) => {
                if let Claimed::RoomFull { retry_after } = refused {
                    view.retry_after_seconds = Some(retry_after.as_secs_ceil());
                }
                view.state = after(&refused, view.state);
            }
            Err(error) => tracing::debug!(drop.id = %drop, %error, "a visit could not claim"),
        }
        Visited {
            view,
            cookies,
            inside,
        }
    }

    fn status_of(&self, drop: &DropId) -> StatusCode {
        self.board(drop)
            .map_or(StatusCode::OK, |board| board.config.queueing_status_code)
    }

    fn page(&self, view: &PageView, status: StatusCode) -> Response<EdgeBody> {
        let nonce = self.nonce();
        let mut response = Response::new(EdgeBody::from(render(view, &nonce)));
        *response.status_mut() = status;
        *response.headers_mut() = page_headers(&nonce, refresh_seconds(view));
        response
    }
}

/// What the page says after a claim that did not succeed. Where the place was gone already, the claim only tells how that
/// came: a queue that is paused now, say, keeps no place for who has none.
const fn after(refused: &Claimed, before: PageState) -> PageState {
    match (refused, before) {
        (Claimed::Finished, _) => PageState::Finished,
        (_, PageState::Left) => PageState::Left,
        (Claimed::RoomFull { .. }, _) => PageState::RoomFull,
        (_, PageState::Lapsed) | (Claimed::Lapsed, _) => PageState::Lapsed,
        (Claimed::Left, _) => PageState::Left,
        (Claimed::Paused, _) => PageState::Paused,
        (Claimed::SoldOut, _) => PageState::SoldOut,
        (Claimed::Ended, _) => PageState::Ended,
        (Claimed::NotCalled(_) | Claimed::NotOpen, _) => PageState::Waiting,
        (Claimed::Admitted(_), _) => PageState::Admitted,
    }
}

/// To the same address again, now with the admission cookie.
fn redirect(back: &ReturnPath) -> Response<EdgeBody> {
    let mut response = answer::empty();
    *response.status_mut() = StatusCode::SEE_OTHER;
    let location = HeaderValue::try_from(back.as_str()).unwrap_or_else(|_| HeaderValue::from_static("/"));
    response.headers_mut().insert(LOCATION, location);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_was_used_up_is_told_from_one_that_was_given_up() {
        for before in [PageState::Called, PageState::Lapsed, PageState::Left] {
            assert_eq!(
                after(&Claimed::Finished, before),
                PageState::Finished,
                "{before:?}"
            );
        }
        assert_eq!(after(&Claimed::Left, PageState::Called), PageState::Left);
        assert_eq!(after(&Claimed::Lapsed, PageState::Called), PageState::Lapsed);
    }

    #[test]
    fn a_place_that_is_gone_does_not_come_back_with_the_drops_state() {
        for refused in [
            Claimed::Paused,
            Claimed::SoldOut,
            Claimed::NotOpen,
            Claimed::Lapsed,
        ] {
            assert_eq!(after(&refused, PageState::Left), PageState::Left, "{refused:?}");
        }
        for refused in [Claimed::Paused, Claimed::SoldOut, Claimed::Left] {
            assert_eq!(
                after(&refused, PageState::Lapsed),
                PageState::Lapsed,
                "{refused:?}"
            );
        }
        assert_eq!(after(&Claimed::Paused, PageState::Called), PageState::Paused);
    }
}
