//! Knobs of a profile that only PSA tokens have, and their judgement. Every knob is stated; there is no default.

use super::layout::{Facts, LifecycleState, Profile, SwComponent};
use crate::authentic::Check;
use crate::controls::holds;
use crate::wanted::Wanted;

/// What a PSA device must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knobs {
    /// Lifecycle states taken.
    pub lifecycles: Vec<LifecycleState>,
    /// Spellings of the claims taken.
    pub profiles: Vec<Profile>,
    /// Tokens with a MAC taken: whoever verifies them could have made them.
    pub macs: bool,
    /// Claims nobody knows taken.
    pub unknown_claims: bool,
    /// Implementation ids taken.
    pub implementations: Wanted<[u8; 32]>,
    /// Certification references taken.
    pub certifications: Wanted<String>,
    /// Callers inside the device whose tokens are taken.
    pub clients: Wanted<i32>,
    /// Who may have signed a component.
    pub signers: Wanted<Vec<u8>>,
    /// Measurements a component may have.
    pub measurements: Wanted<Vec<u8>>,
}

impl Knobs {
    /// The profile `forensic-2026-11`: what evidence says, with debugging refused; it admits nothing.
    #[must_use]
    pub fn forensic() -> Self {
        Self {
            lifecycles: vec![LifecycleState::Secured],
            profiles: Profile::ALL.to_vec(),
            macs: true,
            unknown_claims: true,
            implementations: Wanted::Unconstrained,
            certifications: Wanted::Unconstrained,
            clients: Wanted::Unconstrained,
            signers: Wanted::Unconstrained,
            measurements: Wanted::Unconstrained,
        }
    }

    /// The profile `psa-2026-11`: secured devices, claims as RFC 9783 or its drafts spell them (the legacy spelling lets a
    /// device leave out what runs on it), signatures only, no claim unknown. Makes, certifications, callers and software are
    /// a domain's own to state.
    #[must_use]
    pub fn production_2026_11() -> Self {
        Self {
            profiles: vec![Profile::Tfm, Profile::V2],
            macs: false,
            unknown_claims: false,
            ..Self::forensic()
        }
    }

    /// Every knob in words, a line each: what a profile's digest covers and what people are shown.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let taken = |yes: bool| if yes { "taken" } else { "refused" };
        let list = |names: Vec<&str>| names.join(" or ");
        vec![
            format!("lifecycle: {}", list(self.lifecycles.iter().map(|s| s.as_str()).collect())),
            format!("profiles: {}", list(self.profiles.iter().map(|p| p.as_str()).collect())),
            format!("tokens with a MAC: {}", taken(self.macs)),
            format!("unknown claims: {}", taken(self.unknown_claims)),
            format!("implementation ids: {}", self.implementations.hex_words()),
            format!("certification references: {}", self.certifications.words(String::clone)),
            format!("client ids: {}", self.clients.words(i32::to_string)),
            format!("signers of components: {}", self.signers.hex_words()),
            format!("measurements of components: {}", self.measurements.hex_words()),
        ]
    }
}

/// Judges what only PSA tokens have; every knob gives a check.
#[must_use]
pub fn appraise(facts: &Facts, knobs: &Knobs) -> Vec<Check> {
    let check = |name: &'static str, good: bool, detail: String| {
        if holds(name, good) { Check::passed(name, detail) } else { Check::failed(name, detail) }
    };
    let c = &facts.claims;
    let state = c.lifecycle.state();
    let reference = c.certification_reference.as_deref().unwrap_or("none");
    let mut checks = vec![
        check(
            "psa_lifecycle",
            knobs.lifecycles.contains(&state),
            format!("{:#06x}: {}", c.lifecycle.raw(), state.as_str()),
        ),
        check("psa_profile", knobs.profiles.contains(&c.profile), c.profile.as_str().to_owned()),
        check(
            "psa_mac",
            knobs.macs || !facts.algorithm.is_mac(),
            facts.algorithm.as_str().to_owned(),
        ),
        check(
            "psa_unknown_claims",
            knobs.unknown_claims || c.unknown_claims.is_empty(),
            unknown(&c.unknown_claims),
        ),
        check(
            "psa_implementation",
            knobs.implementations.takes(&c.device.implementation_id),
            hex::encode(c.device.implementation_id),
        ),
        check(
            "psa_certification",
            knobs.certifications.takes_opt(c.certification_reference.as_ref()),
            reference.to_owned(),
        ),
        check("psa_client", knobs.clients.takes(&c.client_id), c.client_id.to_string()),
    ];
    checks.extend(software(
        &c.components,
        &knobs.signers,
        &knobs.measurements,
        ["psa_signer", "psa_measurement"],
    ));
    checks
}

/// Claims nobody knows, in words.
pub(crate) fn unknown(claims: &[String]) -> String {
    if claims.is_empty() {
        "none".to_owned()
    } else {
        format!("not understood: {}", claims.join(", "))
    }
}

/// Every component by its signer and by its measurement. Where a list is stated, no component at all satisfies nothing.
pub(crate) fn software(
    components: &[SwComponent],
    signers: &Wanted<Vec<u8>>,
    measurements: &Wanted<Vec<u8>>,
    [signer, measurement]: [&'static str; 2],
) -> [Check; 2] {
    let judge = |name: &'static str, wanted: &Wanted<Vec<u8>>, of: fn(&SwComponent) -> &Vec<u8>| {
        let stranger = components.iter().find(|c| !wanted.takes(of(c)));
        let none = components.is_empty() && *wanted != Wanted::Unconstrained;
        let detail = match (stranger, none) {
            (Some(c), _) => {
                let role = c.measurement_type.as_deref().unwrap_or("component");
                format!("{role} has {}, which is not on the list", hex::encode(of(c)))
            }
            (None, true) => "the token names no component".to_owned(),
            (None, false) if *wanted == Wanted::Unconstrained => {
                format!("{} components, unconstrained", components.len())
            }
            (None, false) => format!("all {} components are on the list", components.len()),
        };
        if holds(name, stranger.is_none() && !none) {
            Check::passed(name, detail)
        } else {
            Check::failed(name, detail)
        }
    };
    [
        judge(signer, signers, |c| &c.signer_id),
        judge(measurement, measurements, |c| &c.measurement_value),
    ]
}
