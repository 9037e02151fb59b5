//! checkout-worker
