//! `config.toml`: read whole, checked whole, every mistake at once.
