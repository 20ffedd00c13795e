//! The proxy's time is the authority's ([`platform::clock`]): an authority whose time differs from the wall clock by more
//! than two minutes before the first admission is not believed, and after it the wall clock is not asked.

use channel::signed_time::TimeClaim;
use evidence::Time;

/// Takes the authority's word.
pub(super) fn discipline(said: &TimeClaim) {
    platform::clock::discipline(said.time);
}

/// The time to judge credentials by.
pub(crate) fn clock() -> Time {
    platform::clock::now()
}
