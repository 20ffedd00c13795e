//! Knobs of a profile that only PSA tokens have, and their judgement. Every knob is stated; there is no default.

use super::layout::{Facts, LifecycleState, Profile, SwComponent};
use crate::authentic::Check;
use crate::wanted::{Wanted, judge};

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
    const LISTED: &str = "it is not on the list of the profile";
    let c = &facts.claims;
    let state = c.lifecycle.state();
    let reference = c.certification_reference.as_ref();
    let implementation = &c.device.implementation_id;
    let mut checks = vec![
        judge(
            "psa_lifecycle",
            knobs.lifecycles.contains(&state),
            format!("{:#06x}: {}", c.lifecycle.raw(), state.as_str()),
            "only a secured device keeps its secrets; provision it, or leave debugging",
        ),
        judge(
            "psa_profile",
            knobs.profiles.contains(&c.profile),
            c.profile.as_str(),
            "update the device's attestation service",
        ),
        judge(
            "psa_mac",
            knobs.macs || !facts.algorithm.is_mac(),
            facts.algorithm.as_str(),
            "whoever verifies a MAC could have made it; provision a key that signs",
        ),
        judge(
            "psa_unknown_claims",
            knobs.unknown_claims || c.unknown_claims.is_empty(),
            unknown(&c.unknown_claims),
            "use a casemate that knows them",
        ),
        knobs.implementations.judge(
            "psa_implementation",
            Some(implementation),
            &hex::encode(implementation),
            LISTED,
        ),
        knobs.certifications.judge(
            "psa_certification",
            reference,
            reference.map_or("none", String::as_str),
            LISTED,
        ),
        knobs.clients.judge("psa_client", Some(&c.client_id), &c.client_id.to_string(), LISTED),
    ];
    let names = ["psa_signer", "psa_measurement"];
    checks.extend(software(&c.components, &knobs.signers, &knobs.measurements, names));
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
    let check = |name: &'static str, wanted: &Wanted<Vec<u8>>, of: fn(&SwComponent) -> &Vec<u8>| {
        let stranger = components.iter().find(|c| !wanted.takes(of(c)));
        let none = components.is_empty() && *wanted != Wanted::Unconstrained;
        let detail = match stranger {
            Some(c) => {
                let role = c.measurement_type.as_deref().unwrap_or("a component");
                format!("{role} has {}", hex::encode(of(c)))
            }
            None if *wanted == Wanted::Unconstrained => {
                format!("{} components (unconstrained)", components.len())
            }
            None => format!("{} components", components.len()),
        };
        let advice = "only listed ones are taken: another build or signer than wanted";
        judge(name, stranger.is_none() && !none, detail, advice)
    };
    [
        check(signer, signers, |c| &c.signer_id),
        check(measurement, measurements, |c| &c.measurement_value),
    ]
}
