//! What a profile states about an enclave, and the judgement. Every knob is stated; what is left open is reported as not applicable.

use serde::Deserialize;

use super::verify::Facts;
use crate::authentic::Check;
use crate::dcap::{self, EnclaveReport};
use crate::knob::{is_hex, judge, listed, listed_hex, stated, words};
use crate::profile::{Section, Stated, Taken};

/// Values of a field, hex.
type Values = Stated<Vec<String>>;

/// ATTRIBUTES.FLAGS: INIT, which every enclave that runs has.
const INIT: u64 = 1;
/// ATTRIBUTES.FLAGS: DEBUG.
const DEBUG: u64 = 1 << 1;
/// ATTRIBUTES.FLAGS: MODE64BIT.
const MODE_64: u64 = 1 << 2;
/// ATTRIBUTES.FLAGS: PROVISION_KEY, which lets an enclave name its platform for ever.
const PROVISION_KEY: u64 = 1 << 4;
/// ATTRIBUTES.FLAGS: EINITTOKEN_KEY, of launch enclaves.
const LAUNCH_KEY: u64 = 1 << 5;
/// ATTRIBUTES.FLAGS: KSS.
const KSS: u64 = 1 << 7;
/// ATTRIBUTES.FLAGS: AEXNOTIFY.
const AEX_NOTIFY: u64 = 1 << 10;
/// Flags that are understood here.
const KNOWN: u64 = INIT | DEBUG | MODE_64 | PROVISION_KEY | LAUNCH_KEY | KSS | AEX_NOTIFY;

/// What an enclave must be like.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Knobs {
    /// Enclaves a debugger can look into.
    pub debug: Taken,
    /// Enclaves with the provisioning key.
    pub provision_key: Taken,
    /// Launch enclaves.
    pub launch_key: Taken,
    /// Flags that are not understood.
    pub unknown_flags: Taken,
    /// MRENCLAVE.
    pub mr_enclave: Values,
    /// MRSIGNER.
    pub mr_signer: Values,
    /// ISVPRODID.
    pub isv_prod_ids: Stated<Vec<u16>>,
    /// ISVSVN.
    pub isv_svn_minimum: Stated<u16>,
    /// MISCSELECT, hex, least significant byte first.
    pub misc_select: Values,
    /// XFRM, hex.
    pub xfrms: Values,
    /// CONFIGID (KSS).
    pub config_ids: Values,
    /// CONFIGSVN (KSS).
    pub config_svn_minimum: Stated<u16>,
    /// ISVFAMILYID (KSS).
    pub family_ids: Values,
    /// ISVEXTPRODID (KSS).
    pub ext_prod_ids: Values,
    /// The platform under it.
    pub platform: dcap::Knobs,
}

impl Knobs {
    fn values(&self) -> [(&'static str, &'static str, &Values, usize); 7] {
        [
            ("sgx_mr_enclave", "mr-enclave", &self.mr_enclave, 32),
            ("sgx_mr_signer", "mr-signer", &self.mr_signer, 32),
            ("sgx_misc_select", "misc-select", &self.misc_select, 4),
            ("sgx_xfrm", "xfrms", &self.xfrms, 8),
            ("sgx_config_id", "config-ids", &self.config_ids, 64),
            ("sgx_family_id", "family-ids", &self.family_ids, 16),
            ("sgx_ext_prod_id", "ext-prod-ids", &self.ext_prod_ids, 16),
        ]
    }
}

impl Section for Knobs {
    const KIND: &'static str = "sgx";

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
            ("provisioning key", self.provision_key),
            ("launch key", self.launch_key),
            ("flags not understood", self.unknown_flags),
        ];
        let mut all =
            switches.iter().map(|(n, t)| format!("{n}: {}", t.as_str())).collect::<Vec<_>>();
        all.extend(
            self.values().iter().map(|(_, knob, values, _)| format!("{knob}: {}", words(values))),
        );
        all.extend([
            format!("ISVPRODID: {}", words(&self.isv_prod_ids)),
            format!("ISVSVN at least: {}", self.isv_svn_minimum.words(u16::to_string)),
            format!("CONFIGSVN at least: {}", self.config_svn_minimum.words(u16::to_string)),
        ]);
        all.extend(self.platform.words());
        all
    }
}

fn flags(report: &EnclaveReport) -> u64 {
    let (flags, _) = report.attributes.split_first_chunk().unwrap_or((&[0; 8], &[]));
    u64::from_le_bytes(*flags)
}

impl Facts {
    /// True if a debugger could look inside.
    #[must_use]
    pub fn debug(&self) -> bool {
        flags(&self.report) & DEBUG != 0
    }
}

/// Judges an enclave and the platform under it; every knob gives a check.
#[must_use]
pub fn appraise(facts: &Facts, knobs: &Knobs) -> Vec<Check> {
    let r = &facts.report;
    let set = |bits: u64| flags(r) & bits != 0;
    let switch = |name, taken: Taken, bits: u64, what: &str, advice: &str| {
        let detail = format!("{what} {}", if set(bits) { "set" } else { "not set" });
        judge(name, taken == Taken::Taken || !set(bits), detail, advice)
    };
    let mut checks = vec![
        switch("sgx_debug", knobs.debug, DEBUG, "DEBUG", "build and start the enclave without it"),
        switch(
            "sgx_provision_key",
            knobs.provision_key,
            PROVISION_KEY,
            "PROVISION_KEY",
            "sign the enclave without it",
        ),
        switch(
            "sgx_launch_key",
            knobs.launch_key,
            LAUNCH_KEY,
            "EINITTOKEN_KEY",
            "it is a launch enclave, and no program",
        ),
        switch(
            "sgx_unknown_flags",
            knobs.unknown_flags,
            !KNOWN,
            "a flag that is not understood here",
            "use a casemate that knows it",
        ),
    ];
    let (_, xfrm) = r.attributes.split_at(8);
    let misc = r.misc_select.to_le_bytes();
    let seen: [&[u8]; 7] = [
        &r.mr_enclave,
        &r.mr_signer,
        &misc,
        xfrm,
        &r.config_id,
        &r.isv_family_id,
        &r.isv_ext_prod_id,
    ];
    for ((name, _, values, _), seen) in knobs.values().into_iter().zip(seen) {
        checks.push(listed_hex(name, values, Some(seen)));
    }
    let prod = r.isv_prod_id;
    checks.push(listed("sgx_isv_prod_id", &knobs.isv_prod_ids, Some(&prod), &prod.to_string()));
    for (name, knob, what, svn) in [
        ("sgx_isv_svn", &knobs.isv_svn_minimum, "ISVSVN", r.isv_svn),
        ("sgx_config_svn", &knobs.config_svn_minimum, "CONFIGSVN", r.config_svn),
    ] {
        let detail = format!("{what} is {svn}");
        checks.push(stated(name, knob, detail, "run a newer version of the enclave", |least| {
            svn >= *least
        }));
    }
    checks.extend(dcap::appraise(&facts.platform, &knobs.platform));
    checks
}
