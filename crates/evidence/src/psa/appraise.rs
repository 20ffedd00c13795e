//! What a profile states about PSA devices, and the judgement. Every knob is stated; what is left open is reported as not
//! applicable.

use serde::Deserialize;

use super::layout::{Facts, LifecycleState, Profile, SwComponent};
use crate::authentic::Check;
use crate::knob::{is_hex, judge, listed, listed_hex, names, stated, words};
use crate::profile::{Section, Stated, Taken};

/// What a PSA device must be like.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Knobs {
    /// Lifecycle states taken.
    pub lifecycles: Vec<LifecycleState>,
    /// Spellings of the claims taken.
    pub profiles: Vec<Profile>,
    /// Tokens with a MAC: whoever verifies them could have made them.
    pub macs: Taken,
    /// Claims nobody knows.
    pub unknown_claims: Taken,
    /// Implementation ids, hex.
    pub implementations: Stated<Vec<String>>,
    /// Certification references.
    pub certifications: Stated<Vec<String>>,
    /// Callers inside the device whose tokens are taken.
    pub clients: Stated<Vec<i32>>,
    /// Who may have signed a component, hex.
    pub signers: Stated<Vec<String>>,
    /// Measurements a component may have, hex.
    pub measurements: Stated<Vec<String>>,
}

/// Lengths of digests.
pub(crate) const DIGESTS: [usize; 3] = [32, 48, 64];

impl Section for Knobs {
    const KIND: &'static str = "psa";

    fn possible(&self) -> Result<(), (String, &'static str)> {
        let at = |knob: &str, why| Err((knob.to_owned(), why));
        if self.lifecycles.is_empty() || self.profiles.is_empty() {
            return at("lifecycles, profiles", "takes none, so no token can ever pass");
        }
        if !is_hex(&self.implementations, &[32]) {
            return at("implementations", "an id is not 64 lower-case hex digits");
        }
        if !is_hex(&self.signers, &DIGESTS) || !is_hex(&self.measurements, &DIGESTS) {
            return at(
                "signers, measurements",
                "a digest is not 64, 96 or 128 lower-case hex digits",
            );
        }
        if self.clients.value().is_some_and(|c| c.contains(&0)) {
            return at("clients", "0 is no client id");
        }
        Ok(())
    }

    fn words(&self) -> Vec<String> {
        let states = self.lifecycles.iter().map(|s| s.as_str().to_owned());
        vec![
            format!("lifecycle: {}", names(states)),
            format!("profiles: {}", names(self.profiles.iter().map(|p| p.as_str().to_owned()))),
            format!("tokens with a MAC: {}", self.macs.as_str()),
            format!("unknown claims: {}", self.unknown_claims.as_str()),
            format!("implementation ids: {}", words(&self.implementations)),
            format!("certification references: {}", words(&self.certifications)),
            format!("client ids: {}", words(&self.clients)),
            format!("signers of components: {}", words(&self.signers)),
            format!("measurements of components: {}", words(&self.measurements)),
        ]
    }
}

/// Judges a PSA token; every knob gives a check.
#[must_use]
pub fn appraise(facts: &Facts, knobs: &Knobs) -> Vec<Check> {
    let c = &facts.claims;
    let state = c.lifecycle.state();
    let reference = c.certification_reference.as_ref();
    let shown = reference.map_or("none", String::as_str);
    let implementation = &c.device.implementation_id[..];
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
            knobs.macs == Taken::Taken || !facts.algorithm.is_mac(),
            facts.algorithm.as_str(),
            "whoever verifies a MAC could have made it; provision a key that signs",
        ),
        unknown("psa_unknown_claims", knobs.unknown_claims, &c.unknown_claims),
        listed_hex("psa_implementation", &knobs.implementations, Some(implementation)),
        listed("psa_certification", &knobs.certifications, reference, shown),
        listed("psa_client", &knobs.clients, Some(&c.client_id), &c.client_id.to_string()),
    ];
    let names = ["psa_signer", "psa_measurement"];
    checks.extend(software(&c.components, &knobs.signers, &knobs.measurements, names));
    checks
}

/// Claims nobody knows.
pub(crate) fn unknown(name: &'static str, taken: Taken, claims: &[String]) -> Check {
    let detail = if claims.is_empty() {
        "none".to_owned()
    } else {
        format!("not understood: {}", claims.join(", "))
    };
    let good = taken == Taken::Taken || claims.is_empty();
    judge(name, good, detail, "use a casemate that knows them")
}

/// Every component by its signer and by its measurement. Where a list is stated, no component at all satisfies nothing.
pub(crate) fn software(
    components: &[SwComponent],
    signers: &Stated<Vec<String>>,
    measurements: &Stated<Vec<String>>,
    [signer, measurement]: [&'static str; 2],
) -> [Check; 2] {
    let check = |name, knob: &Stated<Vec<String>>, of: fn(&SwComponent) -> &Vec<u8>| {
        let listed =
            |c: &&SwComponent| knob.value().is_none_or(|l| l.contains(&hex::encode(of(c))));
        let stranger = components.iter().find(|c| !listed(c));
        let detail = match stranger {
            Some(c) => {
                let role = c.measurement_type.as_deref().unwrap_or("a component");
                format!("{role} has {}", hex::encode(of(c)))
            }
            None => format!("{} components", components.len()),
        };
        let advice = "only listed ones are taken: another build or signer than wanted";
        stated(name, knob, detail, advice, |_| stranger.is_none() && !components.is_empty())
    };
    [
        check(signer, signers, |c| &c.signer_id),
        check(measurement, measurements, |c| &c.measurement_value),
    ]
}
