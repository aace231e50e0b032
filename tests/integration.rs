//! The real binary, started the way a GitHub runner, a GitLab runner or a shell starts it, and judged by what they make
//! of its output: see `integration/runner.rs` (the simulator) and `integration/harness.rs` (the builder).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::use_debug,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test fails by a panic, shows made-up values, reads and writes files itself, and is no library"
)]

mod integration {
    pub mod harness;
    pub mod runner;

    mod actions_core;
    mod aws;
    mod azure;
    mod cleanup;
    mod dialects;
    mod files;
    mod gcp;
    mod github;
    mod gitlab;
    mod hostile;
    mod identity;
    mod inputs;
    mod kills;
    mod logins;
    mod modes;
    mod patterns;
    mod picture;
    mod sync;
    mod warm;
}
