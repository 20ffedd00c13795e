//! What a profile states about a trust domain, and the judgement. Every knob is stated; what is left open is reported as not applicable.

use serde::Deserialize;

use super::layout::{KEY_LOCKER, KNOWN, MIGRATABLE, OTHER_TUD, PERFMON, PKS, SEPT_VE_DISABLE};
use super::verify::Facts;
use crate::authentic::Check;
use crate::dcap;
use crate::knob::{is_hex, judge, listed_hex, words};
use crate::profile::{Section, Stated, Taken};

/// Values of a register, hex.
type Values = Stated<Vec<String>>;

/// What a domain must be like.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Knobs {
    /// Domains a debugger can look into.
    pub debug: Taken,
    /// Domains with another bit of TUD: being profiled, or what nobody knows yet.
    pub other_tud_bits: Taken,
    /// Domains without SEPT_VE_DISABLE.
    pub sept_ve: Taken,
    /// Domains that can be migrated.
    pub migratable: Taken,
    /// Domains with service domains bound to them.
    pub service_tds: Taken,
    /// Supervisor protection keys.
    pub pks: Taken,
    /// Key locker.
    pub key_locker: Taken,
    /// Performance monitoring from inside.
    pub perfmon: Taken,
    /// Attributes that are not understood.
    pub unknown_attributes: Taken,
    /// XFAM.
    pub xfams: Values,
    /// The TDX module.
    pub mr_seam: Values,
    /// What the domain was built from.
    pub mr_td: Values,
    /// MRCONFIGID.
    pub mr_config_id: Values,
    /// MROWNER.
    pub mr_owner: Values,
    /// MROWNERCONFIG.
    pub mr_owner_config: Values,
    /// Firmware and its settings.
    pub rtmr0: Values,
    /// Boot loader and kernel.
    pub rtmr1: Values,
    /// Operating system.
    pub rtmr2: Values,
    /// Application.
    pub rtmr3: Values,
    /// The platform under it.
    pub platform: dcap::Knobs,
}

impl Knobs {
    fn values(&self) -> [(&'static str, &'static str, &Values, usize); 10] {
        [
            ("tdx_xfam", "xfams", &self.xfams, 8),
            ("tdx_mr_seam", "mr-seam", &self.mr_seam, 48),
            ("tdx_mr_td", "mr-td", &self.mr_td, 48),
            ("tdx_mr_config_id", "mr-config-id", &self.mr_config_id, 48),
            ("tdx_mr_owner", "mr-owner", &self.mr_owner, 48),
            ("tdx_mr_owner_config", "mr-owner-config", &self.mr_owner_config, 48),
            ("tdx_rtmr0", "rtmr0", &self.rtmr0, 48),
            ("tdx_rtmr1", "rtmr1", &self.rtmr1, 48),
            ("tdx_rtmr2", "rtmr2", &self.rtmr2, 48),
            ("tdx_rtmr3", "rtmr3", &self.rtmr3, 48),
        ]
    }
}

impl Section for Knobs {
    const KIND: &'static str = "tdx";

    fn possible(&self) -> Result<(), (String, &'static str)> {
        for (_, knob, values, len) in self.values() {
            if !is_hex(values, &[len]) {
                let why = "a value is not lower-case hex of the field's length";
                return Err((knob.to_owned(), why));
            }
        }
        self.platform.possible()
    }

    fn words(&self) -> Vec<String> {
        let switches = [
            ("debugging", self.debug),
            ("other TUD bits", self.other_tud_bits),
            ("SEPT_VE_DISABLE unset", self.sept_ve),
            ("migratable domains", self.migratable),
            ("service domains", self.service_tds),
            ("supervisor protection keys", self.pks),
            ("key locker", self.key_locker),
            ("performance monitoring", self.perfmon),
            ("attributes not understood", self.unknown_attributes),
        ];
        let mut all =
            switches.iter().map(|(n, t)| format!("{n}: {}", t.as_str())).collect::<Vec<_>>();
        all.extend(
            self.values().iter().map(|(_, knob, values, _)| format!("{knob}: {}", words(values))),
        );
        all.extend(self.platform.words());
        all
    }
}

/// Judges a domain and the platform under it; every knob gives a check.
#[must_use]
pub fn appraise(facts: &Facts, knobs: &Knobs) -> Vec<Check> {
    let (r, attributes) = (&facts.report, facts.report.attributes());
    let set = |bits: u64| attributes & bits != 0;
    let shown = |what: &str, on: bool| format!("{what} {}", if on { "set" } else { "not set" });
    let served = r.td15.as_ref().is_some_and(|t| t.mr_service_td != [0; 48]);
    let switch = |name, taken: Taken, on: bool, what: &str, advice: &str| {
        judge(name, taken == Taken::Taken || !on, shown(what, on), advice)
    };
    let mut checks = vec![
        switch("tdx_debug", knobs.debug, r.debug(), "DEBUG", "launch the domain without it"),
        switch(
            "tdx_tud",
            knobs.other_tud_bits,
            set(OTHER_TUD),
            "a bit of TUD besides DEBUG",
            "launch the domain without being profiled",
        ),
        judge(
            "tdx_sept_ve",
            knobs.sept_ve == Taken::Taken || set(SEPT_VE_DISABLE),
            shown("SEPT_VE_DISABLE", set(SEPT_VE_DISABLE)),
            "launch the domain with it, or its host can make exceptions of its own inside",
        ),
        switch(
            "tdx_migratable",
            knobs.migratable,
            set(MIGRATABLE),
            "MIGRATABLE",
            "launch the domain without it, or trust its migration service",
        ),
        switch(
            "tdx_service_td",
            knobs.service_tds,
            served,
            "MRSERVICETD",
            "a service domain is bound to this one and may act on it",
        ),
        switch("tdx_pks", knobs.pks, set(PKS), "PKS", "launch the domain without it"),
        switch("tdx_key_locker", knobs.key_locker, set(KEY_LOCKER), "KL", "launch without it"),
        switch("tdx_perfmon", knobs.perfmon, set(PERFMON), "PERFMON", "launch without it"),
        switch(
            "tdx_unknown_attributes",
            knobs.unknown_attributes,
            set(!KNOWN),
            "an attribute that is not understood here",
            "use a casemate that knows it",
        ),
    ];
    let seen: [&[u8]; 10] = [
        &r.xfam,
        &r.mr_seam,
        &r.mr_td,
        &r.mr_config_id,
        &r.mr_owner,
        &r.mr_owner_config,
        &r.rtmr[0],
        &r.rtmr[1],
        &r.rtmr[2],
        &r.rtmr[3],
    ];
    for ((name, _, values, _), seen) in knobs.values().into_iter().zip(seen) {
        checks.push(listed_hex(name, values, Some(seen)));
    }
    checks.extend(dcap::appraise(&facts.platform, &knobs.platform));
    checks
}
