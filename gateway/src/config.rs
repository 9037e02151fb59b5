//! `config.toml`: read whole, checked whole, every mistake at once.
//!
//! One description drives everything: what is accepted, what is suggested, the
//! defaults, the commented example and the JSON Schema. What comes out is a [`Config`] of plain,
//! consistent values.

pub mod drop;
pub mod effective;
pub mod moment;
mod nearest;
pub mod pattern;
pub mod rate;
pub mod secret;

pub use drop::{CheckoutConfig, DropConfig, ItemConfig, QueueingMethod, SessionRenewal};
pub use effective::{
    AdminConfig, BackendConfig, BackendMode, Config, LogConfig, LogFormat, LogLevel, PaymentConfig,
    PaymentProvider, RateLimitConfig, ServerConfig, TlsConfig, UpstreamConfig,
};
pub use moment::Moment;
pub use pattern::{PathPattern, Reach};
pub use rate::Rate;
pub use secret::{Environment, Secret, SecretError, SecretSource};
