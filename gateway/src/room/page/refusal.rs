//! The error pages as the edge asks for them: which page a refusal gets, and whether the page or
//! the refusal finds the better words.

use domain::Span;
use http::{HeaderValue, StatusCode};

use super::error::{ErrorKind, ErrorView, error_policy, render_error};
use crate::edge::{Pages, Problem, RequestId};

/// Soonest reload of an error page: one that blinks more often cannot be read.
const RELOAD_MIN: Span = Span::from_secs(2);
/// The same where the refusal does not say when to come again.
const RELOAD_USUAL: Span = Span::from_secs(5);
/// Reloads are spread over so many seconds.
const RELOAD_SPREAD_SECONDS: u64 = 4;

/// Draws refusals in the look of the waiting room, under the shop's name.
#[derive(Debug, Clone)]
pub struct RefusalPages {
    shop: String,
}

/// Whose words stand on the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Words {
    /// The page's: the refusal's own are meant for programs.
    Page,
    /// The refusal's: it knows more than its status says.
    Refusal,
}

impl RefusalPages {
    /// Pages of `shop`: a name that shoppers know it by, such as its host.
    pub fn new(shop: impl Into<String>) -> Self {
        Self { shop: shop.into() }
    }
}

impl Pages for RefusalPages {
    fn draw(&self, problem: &Problem, id: &RequestId) -> String {
        let (kind, words) = choose(problem);
        let own = |text: &str| (words == Words::Refusal && !text.is_empty()).then(|| text.to_owned());
        render_error(&ErrorView {
            status: problem.status(),
            headline: own(problem.title()).map(sentence),
            explanation: own(problem.reason()),
            title: self.shop.clone(),
            retry_after_seconds: problem.wait().map(domain::Span::as_secs_ceil),
            request_id: id.as_str().to_owned(),
            ..ErrorView::new(kind)
        })
    }

    fn reload_after(&self, problem: &Problem, id: &RequestId) -> Option<Span> {
        let retryable = matches!(
            problem.status(),
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        // Later by the request's name: those who were refused in one moment do not come back in one.
        let later =
            id.as_str().bytes().fold(0_u64, |sum, byte| sum + u64::from(byte)) % RELOAD_SPREAD_SECONDS;
        let wait = problem.wait().unwrap_or(RELOAD_USUAL).max(RELOAD_MIN);
        retryable.then(|| wait + Span::from_secs(later + 1))
    }

    fn policy(&self) -> HeaderValue {
        // Written by us from ASCII; were it not, nothing at all might run or show.
        HeaderValue::from_str(error_policy())
            .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
    }
}

fn choose(problem: &Problem) -> (ErrorKind, Words) {
    match problem.slug() {
        "admission-required" => (ErrorKind::AdmissionRequired, Words::Page),
        "rate-limited"
        | "not-found"
        | "overloaded"
        | "upstream-saturated"
        | "upstream-unreachable"
        | "upstream-timeout" => (ErrorKind::of_status(problem.status()), Words::Page),
        _ => (ErrorKind::of_status(problem.status()), Words::Refusal),
    }
}

/// Titles of problems have no full stop; headlines have one.
fn sentence(mut title: String) -> String {
    if title.ends_with(char::is_alphanumeric) {
        title.push('.');
    }
    title
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(problem: &Problem) -> String {
        let id = RequestId::new("request-0001").unwrap();
        RefusalPages::new("shop.example").draw(problem, &id)
    }

    #[test]
    fn a_shop_that_is_down_gets_the_pages_words_its_name_and_the_reference() {
        let page = drawn(&Problem::upstream_unreachable("connection refused by 10.0.0.7"));
        for part in [
            "shop.example",
            "can’t be reached",
            ">502<",
            "request-0001",
            "href=\"\"",
        ] {
            assert!(page.contains(part), "{part} is missing");
        }
        assert!(!page.contains("10.0.0.7"), "what is behind the door stays there");
    }

    #[test]
    fn a_refusal_that_knows_more_than_its_status_says_so_under_that_status() {
        let page = drawn(&Problem::body_too_large(1_024));
        for part in [
            ">413<",
            "The request body is too large.",
            "At most 1024 bytes",
            "href=\"/\"",
        ] {
            assert!(page.contains(part), "{part} is missing");
        }
    }

    #[test]
    fn when_to_try_again_stands_on_the_page() {
        assert!(drawn(&Problem::rate_limited(Span::from_secs(20))).contains("Please wait 20 seconds"));
        assert!(!drawn(&Problem::not_found()).contains("Please wait"));
    }

    #[test]
    fn a_page_that_time_mends_loads_itself_again_never_earlier_than_told() {
        let pages = RefusalPages::new("shop.example");
        let after = |problem: &Problem, id: &str| pages.reload_after(problem, &RequestId::new(id).unwrap());
        for number in 0..100 {
            let id = format!("request-{number:04}");
            let wait = after(&Problem::rate_limited(Span::from_secs(20)), &id).unwrap();
            assert!(
                wait > Span::from_secs(20) && wait <= Span::from_secs(24),
                "{wait:?}"
            );
            let soon = after(&Problem::overloaded(Span::from_millis(1)), &id).unwrap();
            assert!(soon > RELOAD_MIN, "{soon:?}");
            assert!(after(&Problem::upstream_unreachable("gone"), &id).is_some());
            assert_eq!(after(&Problem::not_found(), &id), None);
        }
    }

    #[test]
    fn what_a_request_says_stays_text() {
        let page = drawn(&Problem::bad_path("<script>alert(1)</script>"));
        assert!(page.contains("&#60;script&#62;") && !page.contains("<script"));
    }

    #[test]
    fn the_policy_lets_nothing_run() {
        let policy = RefusalPages::new("shop.example").policy();
        let policy = policy.to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("script-src"));
        assert!(policy.contains("frame-ancestors 'none'"));
    }
}
