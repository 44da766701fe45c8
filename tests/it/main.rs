//! One binary for all integration tests.

mod cli_help;
