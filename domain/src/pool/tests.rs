//! pool tests
