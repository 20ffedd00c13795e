//! What a profile states about AWS attestation documents, and the judgement. Enclaves and NitroTPM have knobs of their own,
//! because their registers mean other things. Every knob is stated; what is left open is reported as not applicable.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::layout::Facts;
use crate::authentic::Check;
use crate::knob::{is_hex, judge, listed, listed_hex, stated, words};
use crate::profile::{Section, Stated, Taken};

/// Values of a register, hex.
type Values = Stated<Vec<String>>;
/// Values of registers by their index.
type Others = Stated<BTreeMap<String, Vec<String>>>;

/// What an enclave must be like.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Knobs {
    /// Enclaves in debug mode.
    pub debug: Taken,
    /// The image.
    pub pcr0: Values,
    /// Its kernel and boot file system.
    pub pcr1: Values,
    /// Its application.
    pub pcr2: Values,
    /// The role of the instance.
    pub pcr3: Values,
    /// The instance.
    pub pcr4: Values,
    /// Who signed the image.
    pub pcr8: Values,
    /// Any other register.
    pub other_pcrs: Others,
    /// Shortest nonce.
    pub nonce_bytes_minimum: Stated<u32>,
    /// Oldest document.
    pub age_seconds_maximum: Stated<u32>,
    /// Regions.
    pub regions: Stated<Vec<String>>,
}

/// What an instance with a NitroTPM must be like. PCR 0 and 1 are AWS's firmware, the same for everybody: 4 with 12, or 7, say
/// what was booted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TpmKnobs {
    /// What was booted.
    pub pcr4: Values,
    /// Under which secure boot keys.
    pub pcr7: Values,
    /// With which command line.
    pub pcr12: Values,
    /// Any other register.
    pub other_pcrs: Others,
    /// Shortest nonce.
    pub nonce_bytes_minimum: Stated<u32>,
    /// Oldest document.
    pub age_seconds_maximum: Stated<u32>,
    /// Regions.
    pub regions: Stated<Vec<String>>,
}

/// The registers a profile speaks of, the others, and what both kinds share.
struct Common<'a> {
    named: Vec<(u8, &'a Values)>,
    others: &'a Others,
    nonce_bytes_minimum: &'a Stated<u32>,
    age_seconds_maximum: &'a Stated<u32>,
    regions: &'a Stated<Vec<String>>,
}

impl Knobs {
    fn common(&self) -> Common<'_> {
        Common {
            named: vec![
                (0, &self.pcr0),
                (1, &self.pcr1),
                (2, &self.pcr2),
                (3, &self.pcr3),
                (4, &self.pcr4),
                (8, &self.pcr8),
            ],
            others: &self.other_pcrs,
            nonce_bytes_minimum: &self.nonce_bytes_minimum,
            age_seconds_maximum: &self.age_seconds_maximum,
            regions: &self.regions,
        }
    }
}

impl TpmKnobs {
    fn common(&self) -> Common<'_> {
        Common {
            named: vec![(4, &self.pcr4), (7, &self.pcr7), (12, &self.pcr12)],
            others: &self.other_pcrs,
            nonce_bytes_minimum: &self.nonce_bytes_minimum,
            age_seconds_maximum: &self.age_seconds_maximum,
            regions: &self.regions,
        }
    }
}

impl Section for Knobs {
    const KIND: &'static str = "nitro";

    fn possible(&self) -> Result<(), (String, &'static str)> {
        self.common().possible()
    }

    fn words(&self) -> Vec<String> {
        let mut words = vec![format!("debugging: {}", self.debug.as_str())];
        words.extend(self.common().words());
        words
    }
}

impl Section for TpmKnobs {
    const KIND: &'static str = "nitrotpm";

    fn possible(&self) -> Result<(), (String, &'static str)> {
        self.common().possible()
    }

    fn words(&self) -> Vec<String> {
        self.common().words()
    }
}

impl Common<'_> {
    fn possible(&self) -> Result<(), (String, &'static str)> {
        let digits = "a register's value is not 96 lower-case hex digits";
        for (index, values) in &self.named {
            if !is_hex(values, &[48]) {
                return Err((format!("pcr{index}"), digits));
            }
        }
        for (index, values) in self.others.value().into_iter().flatten() {
            let number = index.parse::<u8>().ok().filter(|n| *n < 32 && n.to_string() == *index);
            if number.is_none_or(|n| self.named.iter().any(|(named, _)| *named == n)) {
                return Err((
                    format!("other-pcrs.{index}"),
                    "is no index from 0 to 31, or has a knob of its own",
                ));
            }
            if !is_hex(&Stated::Value(values.clone()), &[48]) {
                return Err((format!("other-pcrs.{index}"), digits));
            }
        }
        if self.nonce_bytes_minimum.value().is_some_and(|n| *n > 512) {
            return Err((
                "nonce-bytes-minimum".to_owned(),
                "no document holds more than 512 bytes",
            ));
        }
        Ok(())
    }

    fn words(&self) -> Vec<String> {
        let mut all =
            self.named.iter().map(|(n, v)| format!("PCR {n}: {}", words(v))).collect::<Vec<_>>();
        let one = |(n, v): (&String, &Vec<String>)| format!("{n} {}", v.join(" or "));
        let others = |o: &BTreeMap<_, _>| o.iter().map(one).collect::<Vec<_>>().join(", ");
        let number = |n: &Stated<u32>| n.words(u32::to_string);
        all.extend([
            format!("every other PCR: {}", self.others.words(others)),
            format!("nonce, bytes at least: {}", number(self.nonce_bytes_minimum)),
            format!("age, seconds at most: {}", number(self.age_seconds_maximum)),
            format!("regions: {}", words(self.regions)),
        ]);
        all
    }

    fn appraise(&self, facts: &Facts) -> Vec<Check> {
        const PCR: &str = "nitro_pcr";
        let mut checks = Vec::new();
        for (index, values) in &self.named {
            if values.value().is_some() {
                checks.push(listed_hex(PCR, values, facts.pcr(*index)));
            }
        }
        for (index, values) in self.others.value().into_iter().flatten() {
            let seen = index.parse::<u8>().ok().and_then(|n| facts.pcr(n));
            checks.push(listed_hex(PCR, &Stated::Value(values.clone()), seen));
        }
        if checks.is_empty() {
            checks.push(Check::not_applicable(PCR, "the profile leaves every register open"));
        }
        let len = facts.nonce.as_ref().map_or(0, Vec::len);
        let age = facts.age_secs;
        let region = Some(&facts.region).filter(|r| !r.is_empty());
        checks.extend([
            stated(
                "nitro_challenge",
                self.nonce_bytes_minimum,
                format!("nonce of {len} bytes"),
                "ask for a document over a longer random nonce",
                |least| u32::try_from(len).unwrap_or(u32::MAX) >= *least,
            ),
            stated(
                "nitro_age",
                self.age_seconds_maximum,
                format!("made {age} seconds before"),
                "ask for a fresh document",
                |most| (0..=i64::from(*most)).contains(&age),
            ),
            listed("nitro_region", self.regions, region, &facts.region),
        ]);
        checks
    }
}

/// Judges an enclave's document; every knob gives a check.
#[must_use]
pub fn appraise(facts: &Facts, knobs: &Knobs) -> Vec<Check> {
    let debug = facts.debug();
    let detail = if debug {
        "PCR 0, 1 or 2 is zero, which only debug mode leaves so"
    } else {
        "PCR 0, 1 and 2 are not zero"
    };
    let advice = "start the enclave without --debug-mode";
    let mut checks =
        vec![judge("nitro_debug", knobs.debug == Taken::Taken || !debug, detail, advice)];
    checks.extend(knobs.common().appraise(facts));
    checks
}

/// Judges a NitroTPM's document; every knob gives a check.
#[must_use]
pub fn appraise_tpm(facts: &Facts, knobs: &TpmKnobs) -> Vec<Check> {
    let mut checks = vec![Check::not_applicable("nitro_debug", "a NitroTPM has no debug mode")];
    checks.extend(knobs.common().appraise(facts));
    checks
}
