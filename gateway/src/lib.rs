//! The gateway: HTTP, pages, configuration, and the assembly of everything into one binary.

pub mod cli;
pub mod config;
pub mod edge;
pub mod room;
pub mod supervisor;
pub mod system;
pub mod telemetry;
