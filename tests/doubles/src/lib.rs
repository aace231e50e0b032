//! Servers that stand in for the clouds in tests. Each runs in the test's own process on a free loopback port, keeps
//! what it was asked, and can be told to delay, refuse, truncate or drop an answer, or to let the test act just before it.
//!
//! A double answers as the vendor documents, not as another emulator does, and it may judge only what the vendor's own
//! client accepts: `tests/conformance/` drives each double with that client.

pub mod aws;
pub mod azure;
pub mod double;
pub mod gcp;
pub mod github;
pub mod http;
pub mod issuer;
pub mod tls;
pub mod tunnel;

pub use double::{Double, Fault, Handle, Service, When};
