//! Where a request goes, found once by its normal path.

use domain::DropId;
use http::request::Parts;

use super::super::observe::{Priority, Route};
use super::super::path::{Found, NormalPath, PathTable};
use super::super::shed::api_priority;

/// Everything under this path is ours; no spelling of it reaches the upstream.
const API_PREFIX: &str = "/.doorline";
/// Paths of ours that stand where the world looks for them.
const API_PATHS: &[&str] = &["/.well-known/jwks.json"];

/// Where a request goes.
#[derive(Clone, Copy)]
pub(super) enum Target {
    /// To ourselves.
    Api,
    /// To the upstream, past the door of the drop found there.
    Protected(Found),
    /// To the upstream.
    Open,
}

impl Target {
    /// The target of `path` where `drops` are protected.
    pub(super) fn of(path: &NormalPath, drops: &PathTable<DropId>) -> Self {
        let ours = path
            .key()
            .strip_prefix(API_PREFIX)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if ours || API_PATHS.contains(&path.key()) {
            return Self::Api;
        }
        drops.find(path).map_or(Self::Open, Self::Protected)
    }

    pub(super) const fn route(self) -> Route {
        match self {
            Self::Api => Route::Api,
            Self::Protected(_) => Route::Protected,
            Self::Open => Route::Open,
        }
    }

    pub(super) fn priority(self, parts: &Parts, path: &NormalPath) -> Priority {
        match self {
            Self::Api => api_priority(&parts.method, path.path()),
            Self::Protected(_) => Priority::Poll,
            Self::Open => Priority::Open,
        }
    }
}
