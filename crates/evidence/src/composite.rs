//! Composite evidence (I7): a machine and the devices it uses, one chain whose parts name each other.
//!
//! The lead, evidence of the CPU, is bound to a binder. Every device answers a nonce that is derived from that binder and
//! from its place in the list, so a device's report was made after the binder existed, for this list and this place only.
//! `docs/formats/composite.md` is the page. One member swapped, missing, too many or shown twice refuses the whole.
//!
//! It does not prove that a device is plugged into the machine: whoever knows the binder can ask a device elsewhere for
//! its answer. What is sent to a device must be encrypted to it by the driver inside the machine, and that the driver
//! does so is a matter of the machine's measurement.

use thiserror::Error;

use crate::authentic::{Authentic, Check};
use crate::binder::fill64;
use crate::bytes::{BinderDigest, Nonce, ReportData, sha256};
use crate::controls::holds;
use crate::hardware::HardwareFacts;
use crate::nvidia;

/// First bytes of what a member's nonce is the digest of.
pub const LABEL: &[u8] = b"casemate/composite-member/v1";
/// Members of one machine; eight GPUs and four switches are usual.
pub const MEMBERS_MAX: usize = 64;

/// The nonce a member must answer: SHA-256 over the label, the lead's binder digest and its place, from zero, in four
/// big-endian bytes.
#[must_use]
pub fn member_nonce(lead: &BinderDigest, place: u32) -> Nonce {
    let bytes = [LABEL, lead.as_bytes(), &place.to_be_bytes()].concat();
    Nonce::new(sha256(&bytes))
}

/// A machine with its devices.
#[derive(Clone, Debug)]
pub struct Composite {
    /// The CPU's word.
    pub lead: HardwareFacts,
    /// The devices, in their places.
    pub members: Vec<nvidia::Facts>,
}

/// Why parts do not make a whole.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CompositeRefusal {
    /// The lead is bound to something else.
    #[error(
        "the lead's REPORT_DATA is {got}, expected {expected}: it was made for another binder; ask the machine for fresh evidence"
    )]
    Lead {
        /// What the binder gives.
        expected: ReportData,
        /// What the lead says.
        got: ReportData,
    },
    /// A member is missing, or one came that was not asked for.
    #[error(
        "{got} members, expected {expected} (at most {MEMBERS_MAX}); ask the machine for evidence of exactly its devices"
    )]
    Count {
        /// As the relying party knows it.
        expected: usize,
        /// As came.
        got: usize,
    },
    /// A member answers another nonce: it is of another machine, time, or place.
    #[error(
        "member {place} answers nonce {got}, expected {expected}{}; ask for a fresh report with the nonce of this place",
        belongs.map_or(String::new(), |p| format!(" (it belongs in place {p})"))
    )]
    Nonce {
        /// Its place.
        place: u32,
        /// The nonce of that place.
        expected: Nonce,
        /// The one answered.
        got: Nonce,
        /// The place whose nonce it answers, if any.
        belongs: Option<u32>,
    },
    /// One device stands for two.
    #[error("members {first} and {second} are one device; ask each device once")]
    Twice {
        /// Place of the one.
        first: usize,
        /// Place of the other.
        second: usize,
    },
    /// The parts were judged for different times.
    #[error("member {0} was verified for another time than the lead; verify all for one time")]
    Times(usize),
}

/// One whole, if the lead is bound to `binder` and exactly `expected` different devices answer its nonces, each in its place.
///
/// 1. the lead's binder, 2. how many, 3. one time, 4. each nonce, 5. no device twice.
///
/// # Errors
/// [`CompositeRefusal`], the first that applies.
pub fn verify_composite(
    lead: &Authentic<HardwareFacts>,
    binder: &BinderDigest,
    expected: usize,
    members: &[Authentic<nvidia::Facts>],
) -> Result<Authentic<Composite>, CompositeRefusal> {
    // 1
    let (bound, got) = (fill64(binder), lead.facts().report_data);
    if !holds("composite_lead", bound == got) {
        return Err(CompositeRefusal::Lead { expected: bound, got });
    }
    // 2
    let count = members.len();
    if !holds("composite_count", count == expected && count <= MEMBERS_MAX) {
        return Err(CompositeRefusal::Count { expected, got: count });
    }
    let mut holds_until = lead.holds_until();
    for ((number, member), place) in members.iter().enumerate().zip(0_u32..) {
        // 3
        if !holds("composite_time", member.verified_at() == lead.verified_at()) {
            return Err(CompositeRefusal::Times(number));
        }
        // 4
        let (wanted, got) = (member_nonce(binder, place), member.facts().report.nonce);
        if !holds("composite_nonce", wanted == got) {
            let mut places = (0_u32..).zip(members).map(|(p, _)| p);
            let belongs = places.find(|p| member_nonce(binder, *p) == got);
            return Err(CompositeRefusal::Nonce { place, expected: wanted, got, belongs });
        }
        // 5
        let same = |m: &Authentic<nvidia::Facts>| m.facts().identity == member.facts().identity;
        let first = members.iter().take(number).position(same);
        if let Some(first) = first
            && !holds("composite_twice", false)
        {
            return Err(CompositeRefusal::Twice { first, second: number });
        }
        holds_until = holds_until.min(member.holds_until());
    }
    let mut checks = lead.checks().to_vec();
    checks.push(Check::passed(
        "composite",
        format!("{count} devices answer nonces of the lead's binder, each in its place"),
    ));
    let facts = Composite {
        lead: lead.facts().clone(),
        members: members.iter().map(|m| m.facts().clone()).collect(),
    };
    Ok(Authentic::new(facts, lead.verified_at(), holds_until, checks))
}
