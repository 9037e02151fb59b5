//! The gateway: HTTP, pages, configuration, and the assembly of everything into one binary.

pub mod admin;
pub mod assembly;
pub mod cli;
pub mod config;
pub mod demo;
pub mod edge;
pub mod room;
pub mod supervisor;
pub mod system;
pub mod telemetry;
