//! saga tests
