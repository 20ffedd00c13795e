//! Knobs of a profile that only AWS attestation documents have, and their judgement. Every knob is stated; there is no default.

use std::collections::BTreeMap;

use super::layout::{DocumentKind, Facts};
use crate::authentic::Check;
use crate::wanted::{Wanted, judge};

/// What an enclave, or an instance with a NitroTPM, must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knobs {
    /// Debugging allowed.
    pub debug: bool,
    /// Values of registers taken. Of an enclave: 0 image, 1 kernel and boot, 2 application, 3 IAM role, 4 instance, 8 signer.
    /// Of a NitroTPM 0 and 1 are AWS's firmware, the same for everybody: 4 (with 12) or 7 say what was booted.
    pub pcrs: BTreeMap<u8, Wanted<Vec<u8>>>,
    /// Shortest nonce taken; none leaves it open, in words.
    pub nonce_len_min: Option<usize>,
    /// Oldest document taken; none leaves it open, in words.
    pub age_secs_max: Option<u32>,
    /// Regions taken.
    pub regions: Wanted<String>,
}

impl Knobs {
    /// The profile `forensic-2026-11`: what evidence says, with debugging refused; it admits nothing.
    #[must_use]
    pub fn forensic() -> Self {
        let named = [0, 1, 2, 3, 4, 7, 8, 12];
        Self {
            debug: false,
            pcrs: named.into_iter().map(|n| (n, Wanted::Unconstrained)).collect(),
            nonce_len_min: None,
            age_secs_max: None,
            regions: Wanted::Unconstrained,
        }
    }

    /// The profile `nitro-2026-11`: no debugging, a nonce of at least 32 bytes, made at most five minutes ago. Which image
    /// (PCR 0 of an enclave, 4 and 12 or 7 of a NitroTPM) and which region are a domain's own to state.
    #[must_use]
    pub fn production_2026_11() -> Self {
        Self { nonce_len_min: Some(32), age_secs_max: Some(300), ..Self::forensic() }
    }

    /// Every knob in words, a line each: what a profile's digest covers and what people are shown.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let open = || "unconstrained".to_owned();
        let mut words =
            vec![format!("debugging: {}", if self.debug { "taken" } else { "refused" })];
        words.extend(self.pcrs.iter().map(|(n, w)| format!("PCR {n}: {}", w.hex_words())));
        let nonce = self.nonce_len_min.map_or_else(open, |n| format!("at least {n} bytes"));
        let age = self.age_secs_max.map_or_else(open, |n| format!("at most {n} seconds"));
        words.push("every other PCR: unconstrained".to_owned());
        words.push(format!("nonce: {nonce}"));
        words.push(format!("age: {age}"));
        words.push(format!("regions: {}", self.regions.words(String::clone)));
        words
    }
}

/// Judges what only these documents have; every knob gives a check.
#[must_use]
pub fn appraise(facts: &Facts, knobs: &Knobs) -> Vec<Check> {
    let mut checks = vec![debug(facts, knobs)];
    for (index, wanted) in &knobs.pcrs {
        if let Wanted::OneOf(_) = wanted {
            let value = facts.pcrs.get(index);
            let shown = value.map_or_else(|| "absent".to_owned(), hex::encode);
            let advice =
                "it is not on the list: another image, role, instance or signer than wanted";
            checks.push(wanted.judge(
                "nitro_pcr",
                value,
                &format!("PCR {index} is {shown}"),
                advice,
            ));
        }
    }
    if let Some(least) = knobs.nonce_len_min {
        let len = facts.nonce.as_ref().map_or(0, Vec::len);
        let advice = "ask for a document over a random nonce of that length";
        checks.push(judge(
            "nitro_nonce",
            len >= least,
            format!("{len} bytes, at least {least}"),
            advice,
        ));
    }
    if let Some(most) = knobs.age_secs_max {
        let age = facts.age_secs;
        let fresh = (0..=i64::from(most)).contains(&age);
        let detail = format!("made {age} seconds before, 0 to {most} taken");
        checks.push(judge("nitro_age", fresh, detail, "ask for a fresh document"));
    }
    let known = Some(&facts.region).filter(|r| !r.is_empty());
    let advice = "it is not on the list: run it where the profile says";
    checks.push(knobs.regions.judge("nitro_region", known, &facts.region, advice));
    checks
}

fn debug(facts: &Facts, knobs: &Knobs) -> Check {
    const NAME: &str = "nitro_debug";
    if facts.kind == DocumentKind::Tpm {
        return Check::not_applicable(NAME, "a NitroTPM has no debug mode");
    }
    if !facts.debug() {
        return Check::passed(NAME, "PCR 0, 1 and 2 are not zero");
    }
    let detail = "PCR 0, 1 or 2 is zero, which only debug mode leaves so";
    judge(NAME, knobs.debug, detail, "start the enclave without --debug-mode")
}
