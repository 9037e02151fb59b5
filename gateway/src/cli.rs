//! The command line: what merchants and ops type.
