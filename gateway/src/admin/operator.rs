//! Who acts. The API has one token, so whoever holds it says who they are; the operators' log takes their word.

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;

use super::routes::Failure;

/// The header that names the operator.
pub const HEADER: &str = "doorline-operator";
/// Longest name that is written down.
pub const NAME_BYTES_MAX: usize = 64;
/// Who acted where nobody says so.
const NOBODY_IN_PARTICULAR: &str = "admin";

/// The name under which an action is written down.
pub(super) struct Operator(pub(super) String);

/// Whether a name may be written down: printable ASCII, so that a log shows what it is.
pub fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && text.trim() == text
}

impl<S: Sync> FromRequestParts<S> for Operator {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let mut given = parts.headers.get_all(HEADER).iter();
        let name = match (given.next(), given.next()) {
            (None, _) => return Ok(Self(NOBODY_IN_PARTICULAR.to_owned())),
            (Some(name), None) => name.to_str().ok().filter(|name| is_name(name)),
            (Some(_), Some(_)) => None,
        };
        name.map(|name| Self(name.to_owned())).ok_or_else(|| {
            let hint =
                format!("Doorline-Operator is one name of 1 to {NAME_BYTES_MAX} printable ASCII characters");
            Failure(StatusCode::BAD_REQUEST, hint)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_printable_and_not_padded() {
        for good in ["ann", "Ann O'Hara <ann@shop.example>", &"x".repeat(64)] {
            assert!(is_name(good), "{good}");
        }
        for bad in [
            "",
            " ",
            " ann",
            "ann ",
            "ann\nben",
            "J\u{fc}rgen",
            &"x".repeat(65),
        ] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
