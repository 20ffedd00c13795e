//! Knobs of a profile that only SEV-SNP has, and their judgement. Every knob is stated; there is no default.

use super::layout::{Facts, POLICY_DEBUG, Product, SigningKey, Tcb};
use crate::authentic::Check;
use crate::controls::holds;

/// What an SNP machine must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knobs {
    /// Product families taken, each with its floor for all four TCB values.
    pub families: Vec<(Product, Option<Tcb>)>,
    /// Kinds of signing key taken.
    pub keys: Vec<SigningKey>,
    /// Debugging allowed.
    pub debug: bool,
    /// POLICY bits that must be zero.
    pub policy_forbidden: Vec<u32>,
    /// PLATFORM_INFO bits that must be one.
    pub platform_required: Vec<u32>,
    /// Highest VMPL taken; none leaves it open, in words.
    pub vmpl_max: Option<u32>,
}

impl Knobs {
    /// The profile `forensic-2026-11`: what evidence says, with debugging refused; it admits nothing.
    #[must_use]
    pub fn forensic() -> Self {
        let families = [Product::Milan, Product::Genoa, Product::Turin].map(|p| (p, None)).to_vec();
        let keys = vec![SigningKey::Vcek, SigningKey::Vlek];
        Self {
            families,
            keys,
            debug: false,
            policy_forbidden: Vec::new(),
            platform_required: Vec::new(),
            vmpl_max: None,
        }
    }

    /// The profile `snp-2026-11`. Floors: Genoa as seen on patched machines in January 2026 (bootloader 10, SNP 23,
    /// microcode 84); Turin as seen in February 2026 (FMC 1, bootloader 1, TEE 1, SNP 4, microcode 81). Milan is not
    /// taken: the root seed of that family leaks by software (arXiv 2605.12990), so no floor helps. Migration (bit 18)
    /// and debugging are forbidden, the alias check (PLATFORM_INFO bit 5, BadRAM) is required.
    #[must_use]
    pub fn production_2026_11() -> Self {
        let genoa = Tcb { fmc: None, bootloader: 10, tee: 0, snp: 23, microcode: 84 };
        let turin = Tcb { fmc: Some(1), bootloader: 1, tee: 1, snp: 4, microcode: 81 };
        Self {
            families: vec![(Product::Genoa, Some(genoa)), (Product::Turin, Some(turin))],
            keys: vec![SigningKey::Vcek, SigningKey::Vlek],
            debug: false,
            policy_forbidden: vec![18],
            platform_required: vec![5],
            vmpl_max: Some(0),
        }
    }
}

impl Knobs {
    /// Every knob in words, a line each: what a profile's digest covers and what people are shown.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let tcb = |t: &Tcb| {
            let fmc = t.fmc.map(|n| format!("FMC {n}, ")).unwrap_or_default();
            let Tcb { bootloader, tee, snp, microcode, .. } = t;
            format!("{fmc}bootloader {bootloader}, TEE {tee}, SNP {snp}, microcode {microcode}")
        };
        let bits = |list: &[u32]| {
            let text = list.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
            if text.is_empty() { "unconstrained".to_owned() } else { text }
        };
        let mut words = Vec::new();
        for (family, floor) in &self.families {
            let floor = floor.as_ref().map_or_else(|| "unconstrained".to_owned(), tcb);
            words.push(format!("{}: all four TCB values at least: {floor}", family.as_str()));
        }
        let keys = self.keys.iter().map(|k| format!("{k:?}").to_uppercase()).collect::<Vec<_>>();
        words.push(format!("signed by: {}", keys.join(" or ")));
        words.push(format!("debugging: {}", if self.debug { "taken" } else { "refused" }));
        words.push(format!("POLICY bits that must be zero: {}", bits(&self.policy_forbidden)));
        words.push(format!(
            "PLATFORM_INFO bits that must be one: {}",
            bits(&self.platform_required)
        ));
        let vmpl = self.vmpl_max.map_or_else(|| "unconstrained".to_owned(), |n| n.to_string());
        words.push(format!("highest VMPL: {vmpl}"));
        words
    }
}

/// Judges what only SNP has; every knob gives a check.
#[must_use]
pub fn appraise(facts: &Facts, knobs: &Knobs) -> Vec<Check> {
    let check = |name: &'static str, good: bool, detail: String| {
        if holds(name, good) { Check::passed(name, detail) } else { Check::failed(name, detail) }
    };
    let debug = facts.policy_bit(POLICY_DEBUG);
    let mut checks = vec![
        check("snp_debug", knobs.debug || !debug, format!("POLICY.DEBUG is {}", u8::from(debug))),
        check(
            "snp_key",
            knobs.keys.contains(&facts.signing_key),
            format!("signed by a {:?}", facts.signing_key),
        ),
    ];
    let family = knobs.families.iter().find(|(p, _)| *p == facts.product);
    checks.push(check("snp_family", family.is_some(), facts.product.as_str().to_owned()));
    if let Some((_, Some(floor))) = family {
        for (name, tcb) in [
            ("snp_reported_tcb", &facts.reported_tcb),
            ("snp_committed_tcb", &facts.committed_tcb),
            ("snp_current_tcb", &facts.current_tcb),
            ("snp_launch_tcb", &facts.launch_tcb),
        ] {
            checks.push(check(name, tcb.at_least(floor), format!("{tcb:?}, at least {floor:?}")));
        }
    }
    for bit in &knobs.policy_forbidden {
        checks.push(check("snp_policy", !facts.policy_bit(*bit), format!("POLICY bit {bit}")));
    }
    for bit in &knobs.platform_required {
        checks.push(check(
            "snp_platform",
            facts.platform_bit(*bit),
            format!("PLATFORM_INFO bit {bit}"),
        ));
    }
    if let Some(most) = knobs.vmpl_max {
        checks.push(check(
            "snp_vmpl",
            facts.report.vmpl <= most,
            format!("VMPL {}, at most {most}", facts.report.vmpl),
        ));
    }
    checks
}
