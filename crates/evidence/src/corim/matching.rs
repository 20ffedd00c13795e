//! When a condition of a manifest holds of a claim (draft-ietf-rats-corim, comparison of environments and measurements).
//!
//! Everything a condition states must be claimed, and alike. What cannot be compared does not match: values of kinds that
//! are not read, digests without a common algorithm, claims that state a minimum where a number is needed.

use super::claims::{Digest, Key, Measurement, Raw, Svn, Values};
use super::comid::{Conditional, Environment, Triple};
use crate::controls::holds;

/// What authentic evidence says of one thing, and by whose word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Of what.
    pub environment: Environment,
    /// What; those who say so in `authorized_by`.
    pub measurement: Measurement,
}

impl Triple {
    /// True if each measurement is that of some claim about one and the same environment that is this one.
    ///
    /// A condition that leaves the instance open must not be met by parts of two devices.
    #[must_use]
    pub fn holds_of(&self, claims: &[Claim]) -> bool {
        let about = |c: &&Claim| self.environment.covers(&c.environment);
        let whole = |first: &Claim| {
            let same = |c: &Claim| {
                holds("corim_one_environment", c.environment == first.environment)
                    && self.environment.covers(&c.environment)
            };
            let of = |m: &Measurement| claims.iter().any(|c| same(c) && m.covers(&c.measurement));
            self.measurements.iter().all(of)
        };
        !self.measurements.is_empty() && claims.iter().filter(about).any(whole)
    }
}

impl Conditional {
    /// What it endorses, if all its conditions hold.
    #[must_use]
    pub fn endorses(&self, claims: &[Claim]) -> &[Triple] {
        let met = !self.conditions.is_empty() && self.conditions.iter().all(|c| c.holds_of(claims));
        if holds("corim_condition", met) { &self.endorsements } else { &[] }
    }
}

/// True if `want` states nothing, or what `got` is.
fn stated<T: PartialEq>(want: Option<&T>, got: Option<&T>) -> bool {
    want.is_none() || want == got
}

impl Environment {
    /// True if everything stated here is so there.
    #[must_use]
    pub fn covers(&self, claim: &Self) -> bool {
        let class = self.class.as_ref().is_none_or(|want| {
            claim.class.as_ref().is_some_and(|got| {
                stated(want.id.as_ref(), got.id.as_ref())
                    && stated(want.vendor.as_ref(), got.vendor.as_ref())
                    && stated(want.model.as_ref(), got.model.as_ref())
                    && stated(want.layer.as_ref(), got.layer.as_ref())
                    && stated(want.index.as_ref(), got.index.as_ref())
            })
        });
        let same = class
            && self.unread.is_empty()
            && stated(self.instance.as_ref(), claim.instance.as_ref())
            && stated(self.group.as_ref(), claim.group.as_ref());
        holds("corim_environment", same)
    }
}

impl Measurement {
    /// True if the claim is about the same part, says everything stated here, and is the word of all named here.
    #[must_use]
    pub fn covers(&self, claim: &Self) -> bool {
        let known = |key: &Key| !matches!(key, Key::Unread(_)) && claim.authorized_by.contains(key);
        holds("corim_measurement_key", self.key == claim.key)
            && holds("corim_authority", self.authorized_by.iter().all(known))
            && self.values.cover(&claim.values)
    }
}

impl Values {
    /// True if version, serial number, identifiers and name are those claimed, where they are stated.
    fn names(&self, claim: &Self) -> bool {
        stated(self.version.as_ref(), claim.version.as_ref())
            && stated(self.serial.as_ref(), claim.serial.as_ref())
            && stated(self.ueid.as_ref(), claim.ueid.as_ref())
            && stated(self.uuid.as_ref(), claim.uuid.as_ref())
            && stated(self.name.as_ref(), claim.name.as_ref())
    }

    fn cover(&self, claim: &Self) -> bool {
        let flag = |f: &(u8, bool)| claim.flags.contains(f);
        let register = |(name, want): &(super::Label, Vec<Digest>)| {
            claim.registers.iter().any(|(n, got)| n == name && digests(want, got))
        };
        holds("corim_unread_value", self.unread.is_empty())
            && holds("corim_named", self.names(claim))
            && holds("corim_svn", self.svn.is_none_or(|want| svn(want, claim.svn)))
            && holds(
                "corim_digests",
                self.digests.is_empty() || digests(&self.digests, &claim.digests),
            )
            && holds("corim_flags", self.flags.iter().all(flag))
            && holds("corim_raw", self.raw.as_ref().is_none_or(|w| raw(w, claim.raw.as_ref())))
            && holds("corim_registers", self.registers.iter().all(register))
    }
}

fn svn(want: Svn, got: Option<Svn>) -> bool {
    match (want, got) {
        (Svn::Exact(want), Some(Svn::Exact(got))) => want == got,
        (Svn::AtLeast(want), Some(Svn::Exact(got))) => got >= want,
        (_, Some(Svn::AtLeast(_)) | None) => false,
    }
}

/// At least one algorithm in common, each of them once, and none that differs.
fn digests(want: &[Digest], got: &[Digest]) -> bool {
    let mut common = false;
    for w in want {
        let mut same = got.iter().filter(|g| g.algorithm == w.algorithm);
        match (same.next(), same.next()) {
            (None, _) => {}
            (Some(g), None) if g.value == w.value => common = true,
            _ => return false,
        }
    }
    common
}

fn raw(want: &Raw, got: Option<&Raw>) -> bool {
    let Some(Raw { value, mask: None }) = got else { return false };
    if value.len() != want.value.len() {
        return false;
    }
    match &want.mask {
        None => *value == want.value,
        Some(mask) => {
            let bits = value.iter().zip(&want.value).zip(mask);
            mask.len() == value.len() && bits.into_iter().all(|((a, b), m)| a & m == b & m)
        }
    }
}
