//! What a profile states about the platform under an SGX or TDX quote, and the judgement. Every knob is stated; what is left open
//! is reported as not applicable.

use core::fmt::Display;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::status::Status;
use super::tcb::Module;
use super::verify::Platform;
use crate::authentic::{Check, Outcome};
use crate::knob::{is_hex, judge, listed_hex, stated, words};
use crate::profile::Stated;

/// Settings of a platform that its PCK certificate states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Setting {
    /// More packages may be added to the platform.
    #[serde(rename = "dynamicPlatform")]
    DynamicPlatform,
    /// Its keys are kept by Intel's registration service.
    #[serde(rename = "cachedKeys")]
    CachedKeys,
    /// Simultaneous multithreading is on.
    #[serde(rename = "smtEnabled")]
    SmtEnabled,
}

impl Setting {
    const fn as_str(self) -> &'static str {
        match self {
            Self::DynamicPlatform => "dynamicPlatform",
            Self::CachedKeys => "cachedKeys",
            Self::SmtEnabled => "smtEnabled",
        }
    }
}

impl Display for Setting {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the platform must be like.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Knobs {
    /// Statuses taken.
    #[serde(deserialize_with = "statuses")]
    pub statuses: Vec<Status>,
    /// Lowest tcbEvaluationDataNumber of TCB info and of QE identity.
    pub evaluation_minimum: Stated<u32>,
    /// Advisories that must not apply.
    pub advisories_refused: Stated<Vec<String>>,
    /// FMSPCs taken, hex.
    pub fmspcs: Stated<Vec<String>>,
    /// Settings that the PCK certificate must state to be off.
    pub settings_off: Stated<Vec<Setting>>,
}

fn statuses<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Status>, D::Error> {
    let named = |word: String| {
        let known = Status::ALL.into_iter().find(|s| s.as_str() == word);
        known.ok_or_else(|| D::Error::custom(format!("{word:?} is no TCB status")))
    };
    Vec::<String>::deserialize(from)?.into_iter().map(named).collect()
}

impl Knobs {
    /// A demand that nothing can meet: where, and why.
    ///
    /// # Errors
    /// Such a demand.
    pub fn possible(&self) -> Result<(), (String, &'static str)> {
        if self.statuses.is_empty() {
            return Err(("platform.statuses".to_owned(), "no status is taken"));
        }
        if self.statuses.contains(&Status::Revoked) {
            let why = "a revoked platform's keys are known to others; nothing takes it";
            return Err(("platform.statuses".to_owned(), why));
        }
        if !is_hex(&self.fmspcs, &[6]) {
            let why = "an FMSPC is not 12 lower-case hex digits";
            return Err(("platform.fmspcs".to_owned(), why));
        }
        Ok(())
    }

    /// Every knob in words, a line each.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        vec![
            format!("TCB statuses: {}", listed(self.statuses.iter())),
            format!(
                "tcbEvaluationDataNumber of TCB info and QE identity at least: {}",
                self.evaluation_minimum.words(u32::to_string)
            ),
            format!("advisories refused: {}", words(&self.advisories_refused)),
            format!("FMSPC: {}", words(&self.fmspcs)),
            format!("settings that must be off: {}", words(&self.settings_off)),
        ]
    }
}

/// Judges the platform; every knob gives a check, and so does everything that collateral must be for this platform.
#[must_use]
pub fn appraise(platform: &Platform, knobs: &Knobs) -> Vec<Check> {
    let mut checks = fit(platform);
    if checks.iter().any(|c| c.outcome != Outcome::Passed) {
        checks.push(Check::skipped(
            "dcap_tcb_status",
            "the collateral is not about this platform, so its TCB cannot be evaluated",
        ));
    } else {
        checks.extend(tcb(platform, knobs));
    }
    for (name, what, number) in [
        ("dcap_tcb_info_evaluation", "TCB info", platform.tcb_info_evaluation),
        ("dcap_qe_identity_evaluation", "QE identity", platform.qe_identity_evaluation),
    ] {
        checks.push(stated(
            name,
            &knobs.evaluation_minimum,
            format!("tcbEvaluationDataNumber of {what} is {number}"),
            "fetch current collateral",
            |least| number >= *least,
        ));
    }
    checks.push(listed_hex("dcap_fmspc_listed", &knobs.fmspcs, Some(&platform.pck.fmspc)));
    checks.push(settings(platform, knobs));
    checks.push(judge(
        "dcap_trailing_bytes",
        platform.trailing_zero,
        format!("{} bytes behind the quote", platform.trailing),
        "not all of them are zero; drivers pad with zeros, and nobody signed these",
    ));
    checks
}

/// Whether the collateral is about this platform.
fn fit(p: &Platform) -> Vec<Check> {
    let (fit, fmspc) = (p.fit, hex::encode(p.pck.fmspc));
    let ca = p.pck.ca.as_str();
    vec![
        found(
            "dcap_tcb_info_tee",
            fit.tcb_info_tee,
            format!("TCB info is for {}", p.tcb_info_tee.as_str()),
            "the quote is of the other kind; fetch TCB info for it",
        ),
        found(
            "dcap_fmspc",
            fit.fmspc,
            format!(
                "TCB info is for FMSPC {}, the PCK certificate for {fmspc}",
                hex::encode(p.tcb_info_fmspc)
            ),
            "fetch TCB info for the certificate's",
        ),
        found(
            "dcap_pce_id",
            fit.pce_id,
            format!("PCE-ID of the PCK certificate is {}", hex::encode(p.pck.pce_id)),
            "TCB info is for another one",
        ),
        found(
            "dcap_qe_identity_tee",
            fit.qe_identity,
            "QE identity for this kind of quote, and the quoting enclave is as it says".to_owned(),
            "it is for the other kind; fetch the quoting enclave's identity for this one",
        ),
        found(
            "dcap_pck_crl",
            fit.pck_crl,
            format!("revocation list of the {ca} CA, which issued the PCK certificate"),
            "the list that came along is the other authority's; fetch this one's",
        ),
    ]
}

/// The TCB of a platform that the collateral is about.
fn tcb(p: &Platform, knobs: &Knobs) -> Vec<Check> {
    let tcb = &p.tcb;
    let missing = listed(tcb.shortfalls.iter());
    let mut checks = vec![judge(
        "dcap_tcb_level",
        tcb.platform.is_some(),
        tcb.platform.as_ref().map_or_else(
            || "no TCB level matches the platform's SVNs".to_owned(),
            |l| format!("level of {}: {}", l.date, l.status),
        ),
        &format!("nearest level: {missing}; update the platform's firmware and provision it anew"),
    )];
    let (module, why) = match &tcb.module {
        Module::None => (None, ""),
        Module::Legacy => (Some((true, "version 0, part of the platform's level".to_owned())), ""),
        Module::Level(l) => (Some((true, format!("level of {}: {}", l.date, l.status))), ""),
        Module::Unknown(v) => (
            Some((false, format!("TCB info has no identity TDX_{v:02X}"))),
            "fetch current collateral",
        ),
        Module::BelowEvery(svn) => {
            (Some((false, format!("SVN {svn} is below every level"))), "update the TDX module")
        }
    };
    if let Some((known, detail)) = module {
        checks.push(judge("tdx_module_level", known, detail, why));
        checks.push(judge(
            "tdx_module_identity",
            tcb.module_genuine,
            "MRSIGNERSEAM and SEAMATTRIBUTES against TCB info".to_owned(),
            "another module than Intel's runs the domain",
        ));
    }
    checks.push(judge(
        "dcap_qe_level",
        tcb.qe.is_some(),
        tcb.qe.as_ref().map_or_else(
            || format!("ISVSVN {} of the quoting enclave is below every level", p.qe.isv_svn),
            |l| format!("level of {}: {}", l.date, l.status),
        ),
        "update the quoting enclave of the machine",
    ));
    checks.push(status(p, knobs, &missing));
    let revoked = tcb.status == Some(Status::Revoked);
    checks.push(judge(
        "dcap_revoked",
        !revoked,
        "the TCB is not revoked".to_owned(),
        Status::Revoked.advice(),
    ));
    checks.push(stated(
        "dcap_advisories",
        &knobs.advisories_refused,
        format!("advisories that apply: {}", none_if_empty(listed(tcb.advisories.iter()))),
        "the profile refuses one of them; follow it and provision the machine anew",
        |refused| !tcb.advisories.iter().any(|a| refused.contains(a)),
    ));
    checks
}

fn status(p: &Platform, knobs: &Knobs, missing: &str) -> Check {
    let status = p.tcb.status;
    let taken = status.is_some_and(|s| knobs.statuses.contains(&s));
    let detail =
        status.map_or_else(|| "TCB status: none".to_owned(), |s| format!("TCB status {s}"));
    let why = match status {
        None => "a part of the TCB meets no level".to_owned(),
        Some(s) if missing.is_empty() => s.advice().to_owned(),
        Some(s) => format!("{}; to the highest level: {missing}", s.advice()),
    };
    judge("dcap_tcb_status", taken, detail, &why)
}

/// What was found while verifying, as a check: its control is there.
fn found(name: &'static str, good: bool, detail: String, advice: &str) -> Check {
    if good {
        Check::passed(name, detail)
    } else {
        Check::failed(name, format!("{detail}; {advice}"))
    }
}

/// Settings that must be off; a certificate that does not state one is of no use to who wants it off.
fn settings(platform: &Platform, knobs: &Knobs) -> Check {
    let on = |setting: &Setting| {
        platform.pck.configuration.as_ref().map(|c| match setting {
            Setting::DynamicPlatform => c.dynamic_platform,
            Setting::CachedKeys => c.cached_keys,
            Setting::SmtEnabled => c.smt_enabled,
        })
    };
    let said = [Setting::DynamicPlatform, Setting::CachedKeys, Setting::SmtEnabled].map(|s| {
        let value = on(&s).map_or("not stated", |on| if on { "on" } else { "off" });
        format!("{s} {value}")
    });
    stated(
        "dcap_settings",
        &knobs.settings_off,
        said.join(", "),
        "the profile wants it stated to be off; the machine's operator sets it",
        |off| off.iter().all(|s| on(s) == Some(false)),
    )
}

fn none_if_empty(list: String) -> String {
    if list.is_empty() { "none".to_owned() } else { list }
}

fn listed<T: Display>(items: impl Iterator<Item = T>) -> String {
    items.map(|i| i.to_string()).collect::<Vec<_>>().join(", ")
}
