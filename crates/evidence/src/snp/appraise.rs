//! What a profile states about SEV-SNP machines, and the judgement. Every knob is stated and every knob gives a check, a waived
//! one too; bits and families are named, and demands a family can never meet are errors before any machine is refused for them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::layout::{Facts, POLICY_DEBUG, Product, SigningKey, Tcb};
use crate::authentic::Check;
use crate::controls::holds;
use crate::profile::{Profile, Section, Stated, Taken};
use crate::time::Time;

/// POLICY bits by name (AMD 56860 table 9).
const POLICY_BITS: [(&str, u32); 9] = [
    ("smt", 16),
    ("migrate-ma", 18),
    ("debug", POLICY_DEBUG),
    ("single-socket", 20),
    ("cxl-allow", 21),
    ("mem-aes-256-xts", 22),
    ("rapl-dis", 23),
    ("ciphertext-hiding-dram", 24),
    ("page-swap-disable", 25),
];

/// PLATFORM_INFO bits by name (AMD 56860 table 24).
const PLATFORM_BITS: [(&str, u32); 8] = [
    ("smt-en", 0),
    ("tsme-en", 1),
    ("ecc-en", 2),
    ("rapl-dis", 3),
    ("ciphertext-hiding-dram-en", 4),
    ("alias-check-complete", 5),
    ("iommu-write-safe", 6),
    ("tio-en", 7),
];

/// What an SNP machine must be like.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Knobs {
    /// Kinds of signing key taken.
    pub signed_by: Vec<SigningKey>,
    /// Guests that can be debugged.
    pub debug: Taken,
    /// POLICY bits that must be one.
    pub policy_required: Stated<Vec<String>>,
    /// POLICY bits that must be zero.
    pub policy_forbidden: Stated<Vec<String>>,
    /// PLATFORM_INFO bits that must be one.
    pub platform_required: Stated<Vec<String>>,
    /// PLATFORM_INFO bits that must be zero.
    pub platform_forbidden: Stated<Vec<String>>,
    /// PLATFORM_INFO bits without a name here that are one.
    pub platform_unknown_bits: Taken,
    /// Lowest ABI version POLICY may ask of the firmware: major, minor.
    pub abi_minimum: Stated<[u8; 2]>,
    /// Lowest GUEST_SVN.
    pub guest_svn_minimum: Stated<u32>,
    /// Highest VMPL.
    pub vmpl_maximum: Stated<u32>,
    /// Firmware that can still be rolled back (CURRENT above COMMITTED).
    pub provisional_firmware: Taken,
    /// Bits of LAUNCH_MIT_VECTOR that must be one; reports below version 5 have none.
    pub launch_mitigations: Stated<Vec<u32>>,
    /// The same of CURRENT_MIT_VECTOR.
    pub current_mitigations: Stated<Vec<u32>>,
    /// ID_KEY_DIGEST values taken, hex.
    pub id_keys: Stated<Vec<String>>,
    /// AUTHOR_KEY_DIGEST values taken, hex.
    pub author_keys: Stated<Vec<String>>,
    /// CSP_ID values of VLEKs taken, whole.
    pub csp_ids: Stated<Vec<String>>,
    /// AMD's revocation list must have come along.
    pub revocation_list: Stated<Required>,
    /// Its greatest age in days.
    pub revocation_list_days_maximum: Stated<u32>,
    /// Families taken.
    pub family: BTreeMap<Product, Family>,
}

/// The word `required`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Required {
    /// It must be there.
    Required,
}

/// What one family must be like.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// Floor of all four TCB values, component by component.
    pub tcb: Stated<Tcb>,
}

impl Knobs {
    /// Those of a shipped profile.
    #[must_use]
    pub fn shipped(profile: &str) -> Option<&'static Self> {
        static ALL: LazyLock<Vec<(&'static str, Knobs)>> = LazyLock::new(Profile::shipped_sections);
        ALL.iter().find(|(name, _)| *name == profile).map(|(_, knobs)| knobs)
    }
}

fn bit(names: &[(&str, u32)], name: &str) -> Option<u32> {
    names.iter().find(|(n, _)| *n == name).map(|(_, b)| *b)
}

impl Section for Knobs {
    const KIND: &'static str = "snp";

    fn possible(&self) -> Result<(), (String, &'static str)> {
        let at = |knob: &str, why| Err((knob.to_owned(), why));
        for (knob, list, names) in [
            ("policy-required", &self.policy_required, &POLICY_BITS[..]),
            ("policy-forbidden", &self.policy_forbidden, &POLICY_BITS),
            ("platform-required", &self.platform_required, &PLATFORM_BITS),
            ("platform-forbidden", &self.platform_forbidden, &PLATFORM_BITS),
        ] {
            if list.value().into_iter().flatten().any(|n| bit(names, n).is_none()) {
                return at(
                    knob,
                    "names a bit that has no such name; docs/formats/profile.md lists them",
                );
            }
        }
        let lists = |list: &Stated<Vec<String>>, name: &str| {
            list.value().is_some_and(|l| l.iter().any(|n| n == name))
        };
        for (required, forbidden, knob) in [
            (&self.policy_required, &self.policy_forbidden, "policy-required"),
            (&self.platform_required, &self.platform_forbidden, "platform-required"),
        ] {
            if required.value().into_iter().flatten().any(|n| lists(forbidden, n)) {
                return at(knob, "demands a bit that the profile also forbids");
            }
        }
        if lists(&self.policy_required, "debug") && self.debug == Taken::Refused {
            return at("policy-required", "demands debugging, which the profile refuses");
        }
        if self.signed_by.is_empty() || self.family.is_empty() {
            return at("family", "takes no family or no kind of key, so no machine can ever pass");
        }
        if self.csp_ids.value().is_some() && !self.signed_by.contains(&SigningKey::Vlek) {
            return at("csp-ids", "names providers, and only VLEKs carry one");
        }
        for digest in
            [&self.id_keys, &self.author_keys].into_iter().filter_map(Stated::value).flatten()
        {
            if digest.len() != 96
                || !digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            {
                return at("id-keys, author-keys", "a digest is not 96 lower-case hex digits");
            }
        }
        for (product, family) in &self.family {
            let turin = *product == Product::Turin;
            if family.tcb.value().is_some_and(|t| t.fmc.is_some() != turin) {
                return at(
                    "family",
                    "a floor with FMC is for Turin, and Turin's has one; this one is another family's",
                );
            }
            // Milan's firmware knows neither (AMD 56860, feature table): no Milan machine could ever pass.
            let never =
                ["ciphertext-hiding-dram", "ciphertext-hiding-dram-en", "page-swap-disable"];
            if *product == Product::Milan
                && never
                    .iter()
                    .any(|n| lists(&self.policy_required, n) || lists(&self.platform_required, n))
            {
                return at(
                    "family.milan",
                    "takes a family that can never have a bit the profile requires",
                );
            }
        }
        Ok(())
    }

    fn words(&self) -> Vec<String> {
        let bits = |l: &Stated<Vec<String>>| l.words(|l| list(l));
        let numbers = |l: &Stated<Vec<u32>>| {
            l.words(|l| list(&l.iter().map(u32::to_string).collect::<Vec<_>>()))
        };
        let keys = self.signed_by.iter().map(|k| k.as_str()).collect::<Vec<_>>().join(" or ");
        let mut words =
            vec![format!("signed by: {keys}"), format!("debugging: {}", self.debug.as_str())];
        words.extend(self.family.iter().map(|(product, family)| {
            let floor = family.tcb.words(ToString::to_string);
            format!("{}: all four TCB values at least: {floor}", product.as_str())
        }));
        words.push("any other family: refused".to_owned());
        words.extend([
            format!("POLICY bits that must be one: {}", bits(&self.policy_required)),
            format!("POLICY bits that must be zero: {}", bits(&self.policy_forbidden)),
            format!("PLATFORM_INFO bits that must be one: {}", bits(&self.platform_required)),
            format!("PLATFORM_INFO bits that must be zero: {}", bits(&self.platform_forbidden)),
            format!("PLATFORM_INFO bits without a name: {}", self.platform_unknown_bits.as_str()),
            format!(
                "firmware ABI asked by POLICY, at least: {}",
                self.abi_minimum.words(|[a, b]| format!("{a}.{b}"))
            ),
            format!("GUEST_SVN at least: {}", self.guest_svn_minimum.words(u32::to_string)),
            format!("VMPL at most: {}", self.vmpl_maximum.words(u32::to_string)),
            format!("firmware not committed yet: {}", self.provisional_firmware.as_str()),
            format!(
                "LAUNCH_MIT_VECTOR bits that must be one: {}",
                numbers(&self.launch_mitigations)
            ),
            format!(
                "CURRENT_MIT_VECTOR bits that must be one: {}",
                numbers(&self.current_mitigations)
            ),
            format!("ID_KEY_DIGEST: {}", bits(&self.id_keys)),
            format!("AUTHOR_KEY_DIGEST: {}", bits(&self.author_keys)),
            format!("CSP_ID of a VLEK: {}", bits(&self.csp_ids)),
            format!(
                "AMD's revocation list: {}",
                self.revocation_list.words(|Required::Required| "required".to_owned())
            ),
            format!(
                "its age in days, at most: {}",
                self.revocation_list_days_maximum.words(u32::to_string)
            ),
        ]);
        words
    }
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "none named".to_owned() } else { items.join(", ") }
}

/// Judges what only SNP has, as of `at`; every knob gives a check.
#[must_use]
pub fn appraise(facts: &Facts, knobs: &Knobs, at: Time) -> Vec<Check> {
    let r = &facts.report;
    let debug = facts.policy_bit(POLICY_DEBUG);
    let mut checks = vec![
        check(
            "snp_debug",
            knobs.debug == Taken::Taken || !debug,
            format!("POLICY.DEBUG is {}", u8::from(debug)),
        ),
        check(
            "snp_key",
            knobs.signed_by.contains(&facts.signing_key),
            format!("signed by a {}", facts.signing_key.as_str()),
        ),
    ];
    let family = knobs.family.get(&facts.product);
    checks.push(check("snp_family", family.is_some(), facts.product.as_str().to_owned()));
    for (name, tcb) in [
        ("snp_reported_tcb", &facts.reported_tcb),
        ("snp_committed_tcb", &facts.committed_tcb),
        ("snp_current_tcb", &facts.current_tcb),
        ("snp_launch_tcb", &facts.launch_tcb),
    ] {
        if let Some(family) = family {
            checks.push(stated(name, &family.tcb, |floor| {
                (tcb.at_least(floor), format!("{tcb}; at least {floor}"))
            }));
        }
    }
    for (name, names, word, value, want) in [
        ("snp_policy_required", &knobs.policy_required, &POLICY_BITS[..], r.policy, true),
        ("snp_policy_forbidden", &knobs.policy_forbidden, &POLICY_BITS, r.policy, false),
        ("snp_platform_required", &knobs.platform_required, &PLATFORM_BITS, r.platform_info, true),
        (
            "snp_platform_forbidden",
            &knobs.platform_forbidden,
            &PLATFORM_BITS,
            r.platform_info,
            false,
        ),
    ] {
        checks.push(stated(name, names, |names| {
            let wrong = names
                .iter()
                .filter(|n| bit(word, n).is_none_or(|b| (value.wrapping_shr(b) & 1 == 1) != want));
            let wrong = wrong.cloned().collect::<Vec<_>>();
            let must = if want { "one" } else { "zero" };
            (
                wrong.is_empty(),
                format!("{value:#x}; must be {must}: {}; are not: {}", list(names), list(&wrong)),
            )
        }));
    }
    let unknown = r.platform_info.wrapping_shr(8);
    checks.push(check(
        "snp_platform_unknown",
        knobs.platform_unknown_bits == Taken::Taken || unknown == 0,
        format!("PLATFORM_INFO {:#x}; bits above 7 have no name here", r.platform_info),
    ));
    let [minor, major, ..] = r.policy.to_le_bytes();
    let committed =
        facts.committed_tcb == facts.current_tcb && r.committed_version == r.current_version;
    checks.extend([
        stated("snp_abi", &knobs.abi_minimum, |[a, b]| {
            ((major, minor) >= (*a, *b), format!("ABI {major}.{minor}, at least {a}.{b}"))
        }),
        stated("snp_guest_svn", &knobs.guest_svn_minimum, |n| {
            (r.guest_svn >= *n, format!("GUEST_SVN {}, at least {n}", r.guest_svn))
        }),
        stated("snp_vmpl", &knobs.vmpl_maximum, |n| {
            (r.vmpl <= *n, format!("VMPL {}, at most {n}", r.vmpl))
        }),
        check(
            "snp_provisional",
            knobs.provisional_firmware == Taken::Taken || committed,
            format!("CURRENT is {}COMMITTED", if committed { "" } else { "not " }),
        ),
        mitigations("snp_launch_mitigations", &knobs.launch_mitigations, r.launch_mit_vector),
        mitigations("snp_current_mitigations", &knobs.current_mitigations, r.current_mit_vector),
        one_of("snp_id_key", &knobs.id_keys, &hex::encode(r.id_key_digest)),
        one_of("snp_author_key", &knobs.author_keys, &hex::encode(r.author_key_digest)),
        one_of("snp_csp_id", &knobs.csp_ids, facts.csp_id.as_deref().unwrap_or("none")),
    ]);
    checks.extend(revocation_list(facts, knobs, at));
    checks
}

fn check(name: &'static str, good: bool, detail: String) -> Check {
    if holds(name, good) { Check::passed(name, detail) } else { Check::failed(name, detail) }
}

/// A knob that may be open: then nothing was demanded, and the result says so.
fn stated<T>(
    name: &'static str,
    knob: &Stated<T>,
    judge: impl FnOnce(&T) -> (bool, String),
) -> Check {
    match knob.value() {
        Some(wanted) => {
            let (good, detail) = judge(wanted);
            check(name, good, detail)
        }
        None => Check::not_applicable(name, "the profile leaves it unconstrained"),
    }
}

fn one_of(name: &'static str, knob: &Stated<Vec<String>>, seen: &str) -> Check {
    stated(name, knob, |taken| {
        (taken.iter().any(|t| t == seen), format!("{seen}; taken: {}", list(taken)))
    })
}

/// All required bits set. A report that carries no vector cannot show one.
fn mitigations(name: &'static str, knob: &Stated<Vec<u32>>, vector: Option<u64>) -> Check {
    stated(name, knob, |bits| match vector {
        Some(v) => (
            bits.iter().all(|b| *b < 64 && v.wrapping_shr(*b) & 1 == 1),
            format!("{v:#x}; bits that must be one: {bits:?}"),
        ),
        None => (
            false,
            "this report's version carries no mitigation vector; newer firmware reports one"
                .to_owned(),
        ),
    })
}

fn revocation_list(facts: &Facts, knobs: &Knobs, at: Time) -> [Check; 2] {
    let issued = facts.revocation_list.map(|w| w.not_before);
    let seen = issued.map_or_else(
        || "none came along; fetch it from the vendor and pass it with --endorsement, or keep it with `casemate collateral import`".to_owned(),
        |t| format!("issued {t}, names none of the chain"),
    );
    let present = stated("snp_revocation_list", &knobs.revocation_list, |Required::Required| {
        (issued.is_some(), seen.clone())
    });
    let age = stated("snp_revocation_list_age", &knobs.revocation_list_days_maximum, |days| {
        let oldest = at.plus_secs(i64::from(*days).saturating_mul(-86_400));
        (issued.is_some_and(|t| t >= oldest), format!("{seen}; at most {days} days old"))
    });
    [present, age]
}
