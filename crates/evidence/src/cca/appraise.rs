//! Knobs of a profile that only CCA has, and their judgement. Every knob is stated; there is no default.

use super::layout::{Facts, HashAlgorithm, PlatformProfile, RealmClaims, RealmProfile};
use crate::authentic::Check;
use crate::psa::appraise::{software, unknown};
use crate::psa::layout::LifecycleState;
use crate::wanted::{Wanted, judge};

/// What the lengths of RIM and REM must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestLengths {
    /// Those of the hash the realm token names.
    OfTheNamedHash,
    /// Any of 32, 48 and 64 bytes.
    Unconstrained,
}

/// What a CCA platform and its realm must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knobs {
    /// Lifecycle states taken.
    pub lifecycles: Vec<LifecycleState>,
    /// Spellings of the platform's claims taken.
    pub platform_profiles: Vec<PlatformProfile>,
    /// Spellings of the realm's claims taken.
    pub realm_profiles: Vec<RealmProfile>,
    /// Claims nobody knows taken.
    pub unknown_claims: bool,
    /// Hashes of measurements taken.
    pub hashes: Vec<HashAlgorithm>,
    /// Lengths of measurements.
    pub digest_lengths: DigestLengths,
    /// Implementation ids taken.
    pub implementations: Wanted<[u8; 32]>,
    /// Platform configurations taken.
    pub configs: Wanted<Vec<u8>>,
    /// Who may have signed firmware.
    pub signers: Wanted<Vec<u8>>,
    /// Measurements firmware may have.
    pub measurements: Wanted<Vec<u8>>,
    /// Personalization values taken: where a monitor runs, its domain root.
    pub personalizations: Wanted<[u8; 64]>,
}

impl Knobs {
    /// The profile `forensic-2026-11`: what evidence says, with debugging refused; it admits nothing.
    #[must_use]
    pub fn forensic() -> Self {
        Self {
            lifecycles: vec![LifecycleState::Secured],
            platform_profiles: PlatformProfile::ALL.to_vec(),
            realm_profiles: vec![RealmProfile::V1, RealmProfile::Legacy],
            unknown_claims: true,
            hashes: vec![HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512],
            digest_lengths: DigestLengths::Unconstrained,
            implementations: Wanted::Unconstrained,
            configs: Wanted::Unconstrained,
            signers: Wanted::Unconstrained,
            measurements: Wanted::Unconstrained,
            personalizations: Wanted::Unconstrained,
        }
    }

    /// The profile `cca-2026-11`: secured platforms, profiles 1.0.0 of both halves (the legacy realm token does not say what
    /// it is), no claim unknown, measurements as long as their hash. Makes, configurations, firmware and personalization are
    /// a domain's own to state.
    #[must_use]
    pub fn production_2026_11() -> Self {
        Self {
            platform_profiles: vec![PlatformProfile::V1],
            realm_profiles: vec![RealmProfile::V1],
            unknown_claims: false,
            digest_lengths: DigestLengths::OfTheNamedHash,
            ..Self::forensic()
        }
    }

    /// Every knob in words, a line each: what a profile's digest covers and what people are shown.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        fn list<T: Copy>(values: &[T], name: fn(T) -> &'static str) -> String {
            values.iter().map(|v| name(*v)).collect::<Vec<_>>().join(" or ")
        }
        let lengths = match self.digest_lengths {
            DigestLengths::OfTheNamedHash => "of the named hash",
            DigestLengths::Unconstrained => "unconstrained",
        };
        vec![
            format!("lifecycle: {}", list(&self.lifecycles, LifecycleState::as_cca_str)),
            format!(
                "platform profiles: {}",
                list(&self.platform_profiles, PlatformProfile::as_str)
            ),
            format!("realm profiles: {}", list(&self.realm_profiles, RealmProfile::name)),
            format!("unknown claims: {}", if self.unknown_claims { "taken" } else { "refused" }),
            format!("hashes of measurements: {}", list(&self.hashes, HashAlgorithm::as_str)),
            format!("lengths of measurements: {lengths}"),
            format!("implementation ids: {}", self.implementations.hex_words()),
            format!("platform configurations: {}", self.configs.hex_words()),
            format!("signers of firmware: {}", self.signers.hex_words()),
            format!("measurements of firmware: {}", self.measurements.hex_words()),
            format!("personalization values: {}", self.personalizations.hex_words()),
        ]
    }
}

/// Judges what only CCA has; every knob gives a check.
#[must_use]
pub fn appraise(facts: &Facts, knobs: &Knobs) -> Vec<Check> {
    const LISTED: &str = "it is not on the list of the profile";
    let (platform, realm) = (&facts.platform, &facts.realm);
    let state = platform.lifecycle.state();
    let unknown_claims = [&platform.unknown_claims[..], &realm.unknown_claims].concat();
    let implementation = &platform.device.implementation_id;
    let personalization = &realm.personalization_value;
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
        judge(
            "cca_unknown_claims",
            knobs.unknown_claims || unknown_claims.is_empty(),
            unknown(&unknown_claims),
            "use a casemate that knows them",
        ),
        judge(
            "cca_hash",
            knobs.hashes.contains(&realm.hash_algorithm),
            realm.hash_algorithm.as_str(),
            "start the realm with a hash the profile takes",
        ),
        digest_lengths(realm, knobs.digest_lengths),
        knobs.implementations.judge(
            "cca_implementation",
            Some(implementation),
            &hex::encode(implementation),
            LISTED,
        ),
        knobs.configs.judge(
            "cca_config",
            Some(&platform.config),
            &hex::encode(&platform.config),
            LISTED,
        ),
        knobs.personalizations.judge(
            "cca_personalization",
            Some(personalization),
            &hex::encode(personalization),
            LISTED,
        ),
    ];
    let names = ["cca_signer", "cca_measurement"];
    checks.extend(software(&platform.components, &knobs.signers, &knobs.measurements, names));
    checks
}

fn digest_lengths(realm: &RealmClaims, wanted: DigestLengths) -> Check {
    let hash = realm.hash_algorithm;
    let all = [&realm.initial_measurement].into_iter().chain(&realm.extensible_measurements);
    let lengths = all.map(Vec::len).collect::<Vec<_>>();
    let fit = lengths.iter().all(|len| *len == hash.digest_len());
    judge(
        "cca_digest_lengths",
        fit || wanted == DigestLengths::Unconstrained,
        format!("RIM and REM of {lengths:?} bytes, {} has {}", hash.as_str(), hash.digest_len()),
        "the realm manager (RMM) names another hash than it used; update it",
    )
}
