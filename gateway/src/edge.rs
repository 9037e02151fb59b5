//! The edge: connections, hygiene, limits and the reverse proxy.
