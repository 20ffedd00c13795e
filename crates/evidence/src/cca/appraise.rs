//! What a profile states about CCA platforms and realms, and the judgement. Every knob is stated; what is left open is
//! reported as not applicable.

use serde::Deserialize;

use super::layout::{Facts, HashAlgorithm, PlatformProfile, RealmClaims, RealmProfile};
use crate::authentic::Check;
use crate::knob::{is_hex, judge, listed_hex, names, stated, words};
use crate::profile::{Section, Stated, Taken};
use crate::psa::appraise::{DIGESTS, software, unknown};
use crate::psa::layout::LifecycleState;

/// The lengths RIM and REM must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DigestLengths {
    /// That of the hash the realm token names.
    OfTheNamedHash,
}

/// What a CCA platform and its realm must be like.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Knobs {
    /// Lifecycle states taken.
    pub lifecycles: Vec<LifecycleState>,
    /// Spellings of the platform's claims taken.
    pub platform_profiles: Vec<PlatformProfile>,
    /// Spellings of the realm's claims taken.
    pub realm_profiles: Vec<RealmProfile>,
    /// Claims nobody knows.
    pub unknown_claims: Taken,
    /// Hashes of measurements taken.
    pub hashes: Vec<HashAlgorithm>,
    /// Lengths of measurements.
    pub digest_lengths: Stated<DigestLengths>,
    /// Implementation ids, hex.
    pub implementations: Stated<Vec<String>>,
    /// Platform configurations, hex.
    pub configs: Stated<Vec<String>>,
    /// Who may have signed firmware, hex.
    pub signers: Stated<Vec<String>>,
    /// Measurements firmware may have, hex.
    pub measurements: Stated<Vec<String>>,
    /// Personalization values, hex: where a monitor runs, its domain root.
    pub personalizations: Stated<Vec<String>>,
}

impl Section for Knobs {
    const KIND: &'static str = "cca";

    fn possible(&self) -> Result<(), (String, &'static str)> {
        let at = |knob: &str, why| Err((knob.to_owned(), why));
        let none = self.platform_profiles.is_empty() || self.realm_profiles.is_empty();
        if self.lifecycles.is_empty() || none || self.hashes.is_empty() {
            return at("lifecycles, profiles, hashes", "takes none, so no token can ever pass");
        }
        if !is_hex(&self.implementations, &[32]) {
            return at("implementations", "an id is not 64 lower-case hex digits");
        }
        if !is_hex(&self.personalizations, &[64]) {
            return at("personalizations", "a value is not 128 lower-case hex digits");
        }
        if !is_hex(&self.signers, &DIGESTS) || !is_hex(&self.measurements, &DIGESTS) {
            return at(
                "signers, measurements",
                "a digest is not 64, 96 or 128 lower-case hex digits",
            );
        }
        Ok(())
    }

    fn words(&self) -> Vec<String> {
        fn list<T: Copy>(values: &[T], name: fn(T) -> &'static str) -> String {
            names(values.iter().map(|v| name(*v).to_owned()))
        }
        let lengths = self
            .digest_lengths
            .words(|DigestLengths::OfTheNamedHash| "of the named hash".to_owned());
        vec![
            format!("lifecycle: {}", list(&self.lifecycles, LifecycleState::as_cca_str)),
            format!(
                "platform profiles: {}",
                list(&self.platform_profiles, PlatformProfile::as_str)
            ),
            format!("realm profiles: {}", list(&self.realm_profiles, RealmProfile::name)),
            format!("unknown claims: {}", self.unknown_claims.as_str()),
            format!("hashes of measurements: {}", list(&self.hashes, HashAlgorithm::as_str)),
            format!("lengths of measurements: {lengths}"),
            format!("implementation ids: {}", words(&self.implementations)),
            format!("platform configurations: {}", words(&self.configs)),
            format!("signers of firmware: {}", words(&self.signers)),
            format!("measurements of firmware: {}", words(&self.measurements)),
            format!("personalization values: {}", words(&self.personalizations)),
        ]
    }
}

/// Judges a CCA token; every knob gives a check.
#[must_use]
pub fn appraise(facts: &Facts, knobs: &Knobs) -> Vec<Check> {
    let (platform, realm) = (&facts.platform, &facts.realm);
    let state = platform.lifecycle.state();
    let unknown_claims = [&platform.unknown_claims[..], &realm.unknown_claims].concat();
    let implementation = &platform.device.implementation_id[..];
    let mut checks = vec![
        judge(
            "cca_lifecycle",
            knobs.lifecycles.contains(&state),
            format!("{:#06x}: {}", platform.lifecycle.raw(), state.as_cca_str()),
            "only a secured platform keeps its secrets; provision it, or leave debugging",
        ),
        judge(
            "cca_platform_profile",
            knobs.platform_profiles.contains(&platform.profile),
            platform.profile.as_str(),
            "update the platform's firmware",
        ),
        judge(
            "cca_realm_profile",
            knobs.realm_profiles.contains(&realm.profile),
            realm.profile.name(),
            "update the realm manager (RMM)",
        ),
        unknown("cca_unknown_claims", knobs.unknown_claims, &unknown_claims),
        judge(
            "cca_hash",
            knobs.hashes.contains(&realm.hash_algorithm),
            realm.hash_algorithm.as_str(),
            "start the realm with a hash the profile takes",
        ),
        digest_lengths(realm, &knobs.digest_lengths),
        listed_hex("cca_implementation", &knobs.implementations, Some(implementation)),
        listed_hex("cca_config", &knobs.configs, Some(&platform.config)),
        listed_hex(
            "cca_personalization",
            &knobs.personalizations,
            Some(&realm.personalization_value),
        ),
    ];
    let names = ["cca_signer", "cca_measurement"];
    checks.extend(software(&platform.components, &knobs.signers, &knobs.measurements, names));
    checks
}

fn digest_lengths(realm: &RealmClaims, wanted: &Stated<DigestLengths>) -> Check {
    let hash = realm.hash_algorithm;
    let all = [&realm.initial_measurement].into_iter().chain(&realm.extensible_measurements);
    let lengths = all.map(Vec::len).collect::<Vec<_>>();
    let detail =
        format!("RIM and REM of {lengths:?} bytes, {} has {}", hash.as_str(), hash.digest_len());
    let advice = "the realm manager (RMM) names another hash than it used; update it";
    stated("cca_digest_lengths", wanted, detail, advice, |DigestLengths::OfTheNamedHash| {
        lengths.iter().all(|len| *len == hash.digest_len())
    })
}
