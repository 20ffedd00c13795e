//! Channels over real TLS on loopback, and what attackers try on them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod attacks;
mod carry;
mod credentials;
mod epochs;
mod negotiated;
mod raw;
mod rebind;
mod svid;
mod world;
