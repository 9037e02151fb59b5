//! The document that describes the admin API, for tools and for readers. It holds no secret: it is given without the token.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

/// Written by hand, and held to the routes and to what they answer by tests.
const DOCUMENT: &str = include_str!("../../assets/admin-openapi.json");

/// `GET /admin/v1/openapi.json`.
pub(super) async fn show() -> Response {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::admin::{BASE, driven, open};

    #[test]
    fn every_route_is_in_the_document_and_the_other_way_round() {
        let document: serde_json::Value = serde_json::from_str(DOCUMENT).unwrap();
        let documented: BTreeSet<&str> = document["paths"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let (driven, open) = (driven(), open());
        let routed: Vec<String> = driven.iter().map(|(path, _)| format!("{BASE}{path}")).collect();
        let routed = routed.iter().map(String::as_str);
        let routed: BTreeSet<&str> = routed.chain(open.iter().map(|(path, _)| *path)).collect();
        assert_eq!(documented, routed);
    }

    #[test]
    fn what_needs_no_token_says_so_and_nothing_else_does() {
        let document: serde_json::Value = serde_json::from_str(DOCUMENT).unwrap();
        let open: BTreeSet<&str> = open().iter().map(|(path, _)| *path).collect();
        for (path, methods) in document["paths"].as_object().unwrap() {
            let methods = methods.as_object().unwrap().iter();
            for (method, operation) in methods.filter(|(name, _)| *name != "parameters") {
                let needs_none = operation["security"] == serde_json::json!([]);
                assert_eq!(needs_none, open.contains(path.as_str()), "{method} {path}");
            }
        }
    }
}
