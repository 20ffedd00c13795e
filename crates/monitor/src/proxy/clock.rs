//! The proxy's time (I12): the host owns the wall clock, so after the first admission it is not asked again. Time is
//! what the authority last said over our nonce, advanced by CLOCK_BOOTTIME, which goes on while a machine sleeps: a
//! paused program finds its credentials expired. Before the first admission there is only the wall clock, and an
//! authority whose time differs from it by more than two minutes is not believed.

use std::sync::atomic::{AtomicI64, Ordering};

use channel::signed_time::TimeClaim;
use evidence::Time;
use rustix::time::{ClockId, clock_gettime};

/// The authority's time minus boot time, in seconds; [`UNSET`] before it said anything.
static OFFSET: AtomicI64 = AtomicI64::new(UNSET);
const UNSET: i64 = i64::MIN;

fn boot_secs() -> i64 {
    clock_gettime(ClockId::Boottime).tv_sec
}

/// Takes the authority's word. Time never goes back by it: an older word than what is known already changes nothing.
pub(super) fn discipline(said: &TimeClaim) {
    OFFSET.fetch_max(said.time.unix().saturating_sub(boot_secs()), Ordering::Relaxed);
}

/// The time to judge credentials by.
#[expect(clippy::disallowed_methods, reason = "the edge where a proxy reads the clock")]
pub(crate) fn clock() -> Time {
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
    use evidence::{DomainRoot, Nonce};

    #[test]
    fn after_the_authority_spoke_the_hosts_clock_is_not_asked() {
        let claim = |secs| TimeClaim {
            domain: DomainRoot::new([0; 32]),
            nonce: Nonce::new([0; 32]),
            time: Time::from_unix(secs),
            policy: 1,
            revocation: 0,
        };
        let far = 4_000_000_000;
        discipline(&claim(far));
        assert!((far..far + 5).contains(&clock().unix()), "{}", clock());
        // Neither an older word nor anything else sets it back.
        discipline(&claim(far - 1000));
        assert!((far..far + 5).contains(&clock().unix()), "{}", clock());
    }
}
