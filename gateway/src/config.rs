//! `config.toml`: read whole, checked whole, every mistake at once.
//!
//! One description, the schema, drives everything: what is accepted, what is suggested, the
//! defaults, the commented example and the JSON Schema. What comes out is a [`Config`] of plain,
//! consistent values.
//!
//! ```
//! use gateway::config::{Environment, parse};
//! let loaded = parse("config.toml", "", &[], &Environment::default()).expect("the defaults are good");
//! assert_eq!(loaded.config.server.listen.port(), 8080);
//! let report = parse("config.toml", "[server]\nlisen = 1\n", &[], &Environment::default()).expect_err("a typo");
//! assert!(report.to_string().starts_with("config.toml:2:1: unknown key `lisen` in [server]"));
//! ```

mod build;
mod check;
mod cross;
pub mod drop;
pub mod duration;
pub mod effective;
mod example;
mod fields;
mod json_schema;
pub mod keys;
mod load;
pub mod moment;
mod nearest;
mod overlay;
mod print;
pub mod report;
mod scalar;
mod schema;
pub mod secret;
mod tree;
mod value;

pub use drop::{CheckoutConfig, DropConfig, ItemConfig, QUEUEING_METHODS};
pub use effective::{
    AdminConfig, BackendConfig, BackendMode, Config, LogConfig, LogFormat, LogLevel, PaymentConfig,
    PaymentProvider, RateLimitConfig, ServerConfig, StopsConfig, TlsConfig, UpstreamConfig, WebhooksConfig,
};
pub use example::example;
pub use json_schema::json_schema;
pub use load::{DEFAULT_FILE, FILE_BYTES_MAX, LoadError, Loaded, load, parse};
pub use moment::Moment;
pub use overlay::{InvalidOverride, Override, VARIABLE_PREFIX};
pub use report::{Finding, Report, Severity};
pub use secret::{Environment, Secret, SecretError, SecretSource};

#[cfg(test)]
mod tests;
