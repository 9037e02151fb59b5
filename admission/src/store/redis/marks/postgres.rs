//! The durable record in Postgres.
