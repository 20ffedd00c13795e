//! The one place where the command line reads the clock.

use evidence::Time;

/// Now, by this machine.
#[expect(clippy::disallowed_methods, reason = "the edge where the command line reads the clock")]
pub fn now() -> Time {
    let since =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Time::from_unix(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
