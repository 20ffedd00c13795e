//! How long a channel may live: until the earlier lease ends, or either side is revoked.
//!
//! The time is the domain's, asked at every use; the alarm only wakes a channel nobody uses. It goes off at least every
//! minute, because a machine that slept did not count.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use evidence::Time;
use evidence::controls::holds;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Bound, ChannelEnd};
use crate::handshake::Party;
use crate::standing::Present;

const LOOK_EVERY: Duration = Duration::from_secs(60);

type Changed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The life of one channel.
pub(super) struct Life {
    clock: fn() -> Time,
    ends: Time,
    present: watch::Receiver<Present>,
    alarm: Pin<Box<Sleep>>,
    changed: Changed,
    /// Who is woken by the two.
    reader: Option<Waker>,
}

/// Resolves at the next change after what `present` has seen.
fn next_change(present: &watch::Receiver<Present>) -> Changed {
    let mut present = present.clone();
    Box::pin(async move {
        // A standing that is gone changes no more.
        if present.changed().await.is_err() {
            core::future::pending::<()>().await;
        }
    })
}

/// When to look: just after the last second, which is still good.
fn look_at(ends: Time, now: Time) -> Instant {
    let left = ends.unix().saturating_sub(now.unix()).saturating_add(1);
    let left = Duration::from_secs(u64::try_from(left).unwrap_or(0)).min(LOOK_EVERY);
    Instant::now().checked_add(left).unwrap_or_else(Instant::now)
}

impl Life {
    pub(super) fn new(party: &Party, ends: Time) -> Self {
        let mut present = party.standing.watch();
        // What happened during the handshake is looked at once more.
        present.mark_changed();
        let alarm = Box::pin(sleep_until(look_at(ends, (party.clock)())));
        let changed = next_change(&present);
        Self { clock: party.clock, ends, present, alarm, changed, reader: None }
    }

    /// The channel was re-bound.
    pub(super) fn prolong(&mut self, ends: Time) {
        self.ends = ends;
        self.alarm.as_mut().reset(look_at(ends, (self.clock)()));
    }

    /// Whether the channel may still be used; true if this side's standing has changed since it was asked last.
    pub(super) fn check(&mut self, bound: &Bound) -> Result<bool, ChannelEnd> {
        if !holds("lease_end", (self.clock)() <= self.ends) {
            return Err(ChannelEnd::Lease(self.ends));
        }
        if !self.present.has_changed().unwrap_or(false) {
            return Ok(false);
        }
        self.present.mark_unchanged();
        (self.changed, self.reader) = (next_change(&self.present), None);
        let present = self.present.borrow();
        if bound.peer.as_ref().is_some_and(|p| present.revoked(p.credential())) {
            return Err(ChannelEnd::Revoked("its peer"));
        }
        if bound.own.as_ref().is_some_and(|o| present.revoked(o.credential().credential())) {
            return Err(ChannelEnd::Revoked("this program"));
        }
        Ok(true)
    }

    /// True if it is time to look again; else the reading task is woken when it is.
    pub(super) fn poll_change(&mut self, cx: &mut Context<'_>) -> bool {
        let known = self.reader.as_ref().is_some_and(|r| r.will_wake(cx.waker()));
        // Both hold this very waker already: nothing to do but to see whether one has gone off.
        if known && !self.alarm.is_elapsed() && !self.present.has_changed().unwrap_or(false) {
            return false;
        }
        self.reader = Some(cx.waker().clone());
        let changed = self.changed.as_mut().poll(cx).is_ready();
        let alarmed = self.alarm.as_mut().poll(cx).is_ready();
        if changed {
            self.changed = next_change(&self.present);
        }
        if alarmed {
            self.alarm.as_mut().reset(look_at(self.ends, (self.clock)()));
        }
        if changed || alarmed {
            self.reader = None;
        }
        changed || alarmed
    }
}
