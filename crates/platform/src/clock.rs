//! Time for whoever must not ask the host (I12): after an authority's first word the wall clock is not asked again. Time
//! is that word advanced by CLOCK_BOOTTIME, which goes on while a machine sleeps: a paused program finds its
//! credentials expired. Before the first word there is only the wall clock. It refuses to go back.

use std::sync::atomic::{AtomicI64, Ordering};

use evidence::Time;
use rustix::time::{ClockId, clock_gettime};

/// The authority's time minus boot time, in seconds; [`UNSET`] before it said anything.
static OFFSET: AtomicI64 = AtomicI64::new(UNSET);
const UNSET: i64 = i64::MIN;

fn boot_secs() -> i64 {
    clock_gettime(ClockId::Boottime).tv_sec
}

/// Takes the authority's word on what time it is. Time never goes back by it: an older word than what is known already
/// changes nothing.
pub fn discipline(said: Time) {
    OFFSET.fetch_max(said.unix().saturating_sub(boot_secs()), Ordering::Relaxed);
}

/// The time to judge credentials by.
#[expect(clippy::disallowed_methods, reason = "the edge where the clock is read")]
#[must_use]
pub fn now() -> Time {
    let offset = OFFSET.load(Ordering::Relaxed);
    if offset != UNSET {
        return Time::from_unix(boot_secs().saturating_add(offset));
    }
    let since =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Time::from_unix(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_authority_spoke_the_hosts_clock_is_not_asked() {
        let far = 4_000_000_000;
        discipline(Time::from_unix(far));
        assert!((far..far + 5).contains(&now().unix()), "{}", now());
        // Neither an older word nor anything else sets it back.
        discipline(Time::from_unix(far - 1000));
        assert!((far..far + 5).contains(&now().unix()), "{}", now());
    }
}
