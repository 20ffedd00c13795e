//! From a policy's word on a kind of hardware to the profile that evidence is appraised under.

use evidence::appraise::{HardwareProfile, Knobs};
use evidence::profile::FORENSIC;
use evidence::{Kind, snp, tpm};

use crate::policy::Hardware;

/// The profile; none if the policy names one that was not shipped with this version.
#[must_use]
pub fn profile(hardware: &Hardware) -> Option<HardwareProfile> {
    let knobs = match hardware.kind {
        Kind::Software if hardware.profile.is_empty() => Knobs::Software,
        // The forensic profile says what evidence is and admits nothing.
        Kind::Snp if hardware.profile != FORENSIC => {
            Knobs::Snp(Box::new(snp::Knobs::shipped(&hardware.profile)?.clone()))
        }
        Kind::Tpm if hardware.profile != FORENSIC => {
            Knobs::Tpm(Box::new(tpm::Knobs::shipped(&hardware.profile)?.clone()))
        }
        _ => return None,
    };
    let id = if hardware.profile.is_empty() {
        hardware.kind.as_str().to_owned()
    } else {
        hardware.profile.clone()
    };
    Some(HardwareProfile {
        id,
        kind: hardware.kind,
        roots: hardware.roots.clone(),
        machines: hardware.machines.clone(),
        images: hardware.images.clone(),
        isolation: hardware.isolation.clone(),
        host: hardware.host.clone(),
        knobs,
    })
}
