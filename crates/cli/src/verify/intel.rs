//! Intel quotes, of TDX domains and of SGX enclaves, judged under the collateral that comes along.

use anyhow::{Result, bail};
use evidence::dcap::layout::INTEL_VENDOR;
use evidence::dcap::{
    Collateral, DcapRefusal, Module, PINNED_ROOTS, PcsAnswers, Platform, Status,
    VerifiedCollateral, check_root, parse, verify_collateral,
};
use evidence::tdx::ccel;
use evidence::{Authentic, Check, RootDigest, sgx, tdx};
use serde_json::{Map, Value, json};

use super::input::Input;
use super::report::{Profile, Report};
use super::{azure, tpm};
use crate::output::Failure;

const TDX: (&str, &str) = ("tdx", "Intel TDX quote");
const SGX: (&str, &str) = ("sgx", "Intel SGX quote");

/// True if a file can only be a trust domain's quote.
pub(super) fn detect_tdx(bytes: &[u8]) -> bool {
    is_quote(bytes, 0x81)
}

/// True if a file can only be an enclave's quote.
pub(super) fn detect_sgx(bytes: &[u8]) -> bool {
    is_quote(bytes, 0)
}

/// Version 3 to 5, a key on P-256, the kind, and Intel's quoting enclave.
fn is_quote(bytes: &[u8], tee: u8) -> bool {
    let [version @ 3..=5, 0, 2, 0, kind, 0, 0, 0, _, _, _, _, rest @ ..] = bytes else {
        return false;
    };
    *kind == tee && (tee == 0 || *version > 3) && rest.starts_with(&INTEL_VENDOR)
}

/// Verifies and appraises a trust domain's quote.
pub(super) fn judge_tdx(input: &Input) -> Result<Report> {
    let (profile, knobs) = input.knobs::<tdx::Knobs>()?;
    let quote = input.evidence("quote.bin")?;
    let collateral = match collateral(input, &quote)? {
        Ok(collateral) => collateral,
        Err(refused) => return Ok(refused.report(TDX, profile)),
    };
    let verified = match tdx::verify(&quote, &collateral, input.at) {
        Ok(verified) => verified,
        Err(refusal) => return Ok(Refused::by(refusal).report(TDX, profile)),
    };
    let facts = verified.facts();
    let mut checks = tdx::appraise(facts, &knobs);
    if let Some(log) = event_log(input)? {
        checks.push(ccel::check(&log, &facts.report));
    }
    let mut found = Found {
        measurement: hex::encode(facts.report.mr_td),
        report_data: facts.report.report_data,
        debug: facts.report.debug(),
        shown: vec![
            ("MRTD", hex::encode(facts.report.mr_td)),
            ("RTMR0", hex::encode(facts.report.rtmr[0])),
            ("RTMR1", hex::encode(facts.report.rtmr[1])),
            ("RTMR2", hex::encode(facts.report.rtmr[2])),
            ("RTMR3", hex::encode(facts.report.rtmr[3])),
            ("REPORTDATA", hex::encode(facts.report.report_data)),
            ("TDATTRIBUTES", hex::encode(facts.report.td_attributes)),
        ],
        fields: tdx_fields(facts),
    };
    found.platform(&facts.platform);
    if tpm::is_beside(input) {
        let report = found.described(TDX, profile, &verified, checks);
        return azure::with_vtpm(input, report, |hcl| hcl.key_of_tdx(&verified));
    }
    found.report(input, TDX, profile, &verified, checks)
}

/// Verifies and appraises an enclave's quote.
pub(super) fn judge_sgx(input: &Input) -> Result<Report> {
    let (profile, knobs) = input.knobs::<sgx::Knobs>()?;
    let quote = input.evidence("quote.bin")?;
    let collateral = match collateral(input, &quote)? {
        Ok(collateral) => collateral,
        Err(refused) => return Ok(refused.report(SGX, profile)),
    };
    let verified = match sgx::verify(&quote, &collateral, input.at) {
        Ok(verified) => verified,
        Err(refusal) => return Ok(Refused::by(refusal).report(SGX, profile)),
    };
    let (facts, r) = (verified.facts(), &verified.facts().report);
    let mut found = Found {
        measurement: hex::encode(r.mr_enclave),
        report_data: r.report_data,
        debug: facts.debug(),
        shown: vec![
            ("MRENCLAVE", hex::encode(r.mr_enclave)),
            ("MRSIGNER", hex::encode(r.mr_signer)),
            ("ISVPRODID", r.isv_prod_id.to_string()),
            ("ISVSVN", r.isv_svn.to_string()),
            ("REPORTDATA", hex::encode(r.report_data)),
            ("ATTRIBUTES", hex::encode(r.attributes)),
        ],
        fields: sgx_fields(facts),
    };
    found.platform(&facts.platform);
    found.report(input, SGX, profile, &verified, sgx::appraise(facts, &knobs))
}

/// Evidence that is not authentic, or of which that cannot be said.
struct Refused {
    why: DcapRefusal,
    missing: bool,
}

impl Refused {
    fn by(why: DcapRefusal) -> Self {
        Self { why, missing: false }
    }

    fn report(self, (tee, title): (&'static str, &'static str), profile: Profile) -> Report {
        Report::refused(tee, title, profile, &self.why, self.missing)
    }
}

/// The collateral, verified; where there is none, what can be said without.
fn collateral(input: &Input, quote: &[u8]) -> Result<Result<VerifiedCollateral, Refused>> {
    let roots = input.trusted(&PINNED_ROOTS)?;
    let read = match (&input.collateral, input.has("collateral.json")) {
        (Some(bytes), _) => Collateral::parse(bytes),
        (None, true) => Collateral::parse(&input.read("collateral.json")?),
        (None, false) if input.has("tcb_info_response.json") => pcs(input)?,
        (None, false) => return Ok(Err(without(quote, &roots))),
    };
    let verified = read.and_then(|c| verify_collateral(&c, &roots, input.at));
    Ok(verified.map_err(Refused::by))
}

/// Without collateral a quote can be refused for its root; else the collateral is what is missing.
fn without(quote: &[u8], roots: &[RootDigest]) -> Refused {
    match parse(quote).and_then(|q| check_root(&q, roots)) {
        Ok(()) => Refused { why: DcapRefusal::NoCollateral, missing: true },
        Err(why) => Refused::by(why),
    }
}

/// Intel's answers as single files of a case folder.
fn pcs(input: &Input) -> Result<Result<Collateral, DcapRefusal>> {
    let pck = if input.has("pck_cert.pem") { Some(input.read("pck_cert.pem")?) } else { None };
    Ok(Collateral::from_pcs(&PcsAnswers {
        tcb_info: &input.read("tcb_info_response.json")?,
        tcb_info_issuer_chain: &input.read("tcb_sign_chain.pem")?,
        qe_identity: &input.read("qe_identity_response.json")?,
        pck_crl: &input.read("pck_crl.der")?,
        pck_crl_issuer_chain: &input.read("pck_sign_chain.pem")?,
        root_ca_crl: &input.read("root_ca_crl.der")?,
        pck_certificate: pck.as_deref(),
    }))
}

fn event_log(input: &Input) -> Result<Option<Vec<u8>>> {
    let named = input.member("event_log").get("file").and_then(Value::as_str);
    match (&input.event_log, named) {
        (Some(log), _) => Ok(Some(log.clone())),
        (None, Some(name)) => input.read(name).map(Some),
        (None, None) => Ok(None),
    }
}

/// What one of both kinds says, for people and programs.
struct Found {
    measurement: String,
    report_data: [u8; 64],
    debug: bool,
    shown: Vec<(&'static str, String)>,
    fields: Map<String, Value>,
}

impl Found {
    /// Adds the platform.
    fn platform(&mut self, p: &Platform) {
        let status = p.tcb.status.map_or("none", Status::as_str);
        let level = p.tcb.platform.as_ref();
        self.shown.extend([
            ("FMSPC", hex::encode(p.pck.fmspc)),
            ("PPID", hex::encode(p.pck.ppid)),
            ("TCB status", status.to_owned()),
            ("TCB date", level.map_or_else(|| "none".to_owned(), |l| l.date.to_string())),
            ("collateral", format!("{} to {}", p.window.not_before, p.window.not_after)),
        ]);
        let of = |s: Option<Status>| s.map(Status::as_str);
        let whole = p.tcb.status.is_some();
        self.fields.extend([
            ("version".to_owned(), json!(p.version)),
            ("pck".to_owned(), pck(p)),
            (
                "qe".to_owned(),
                json!({"mr_signer": hex::encode(p.qe.mr_signer), "isv_prod_id": p.qe.isv_prod_id,
                    "isv_svn": p.qe.isv_svn, "cert_data_type": p.certification}),
            ),
            ("tcb_status_platform".to_owned(), json!(of(level.map(|l| l.status)))),
            ("tcb_date".to_owned(), json!(level.map(|l| l.date.to_string()))),
            ("tdx_module_status".to_owned(), json!(module(&p.tcb.module))),
            ("tcb_status".to_owned(), json!(of(p.tcb.status))),
            // Where no status comes of it, the enclave's alone would look like one.
            (
                "qe_tcb_status".to_owned(),
                json!(of(p.tcb.qe.as_ref().filter(|_| whole).map(|l| l.status))),
            ),
            ("advisory_ids".to_owned(), json!(whole.then_some(&p.tcb.advisories))),
            ("tcb_evaluation_data_number".to_owned(), json!(p.tcb_info_evaluation)),
            (
                "collateral_window".to_owned(),
                json!([p.window.not_before.to_string(), p.window.not_after.to_string()]),
            ),
            ("trailing_bytes".to_owned(), json!(p.trailing)),
        ]);
    }

    fn described<T>(
        self,
        (tee, title): (&'static str, &'static str),
        profile: Profile,
        verified: &Authentic<T>,
        appraised: Vec<Check>,
    ) -> Report {
        let mut checks = verified.checks().to_vec();
        checks.extend(appraised);
        Report {
            tee,
            title,
            profile,
            authentic: Some(true),
            checks,
            measurement: Some(self.measurement),
            report_data: Some(hex::encode(self.report_data)),
            debug: Some(self.debug),
            facts: self.shown,
            fields: Value::Object(self.fields),
        }
    }

    fn report<T>(
        self,
        input: &Input,
        kind: (&'static str, &'static str),
        profile: Profile,
        verified: &Authentic<T>,
        appraised: Vec<Check>,
    ) -> Result<Report> {
        if input.nonce.as_ref().is_some_and(|n| !(32..=64).contains(&n.len())) {
            bail!(Failure::Usage("--nonce: 32 to 64 bytes in hex".to_owned()));
        }
        let data = self.report_data;
        let mut report = self.described(kind, profile, verified, appraised);
        let wanted = input.nonce.clone().map(|mut wanted| {
            wanted.resize(64, 0);
            wanted
        });
        report.ask_nonce("REPORTDATA", wanted.as_deref(), &data);
        Ok(report)
    }
}

/// The TDX module's level; one of version 0 has none of its own.
fn module(module: &Module) -> Option<&'static str> {
    match module {
        Module::Legacy => Some("legacy(tdxModule)"),
        Module::Level(level) => Some(level.status.as_str()),
        _ => None,
    }
}

fn pck(p: &Platform) -> Value {
    json!({
        "fmspc": hex::encode(p.pck.fmspc), "pceid": hex::encode(p.pck.pce_id),
        "tcb_components": p.pck.components, "pcesvn": p.pck.pce_svn, "ca": p.pck.ca.as_str(),
        "not_before": p.pck.window.not_before.to_string(), "not_after": p.pck.window.not_after.to_string(),
    })
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}

fn tdx_fields(facts: &tdx::Facts) -> Map<String, Value> {
    let r = &facts.report;
    let mut fields = object(json!({
        "mr_td": hex::encode(r.mr_td), "rtmr": r.rtmr.map(hex::encode), "mr_seam": hex::encode(r.mr_seam),
        "tee_tcb_svn": hex::encode(r.tee_tcb_svn), "td_attributes": hex::encode(r.td_attributes),
        "xfam": hex::encode(r.xfam), "mr_config_id": hex::encode(r.mr_config_id), "mr_owner": hex::encode(r.mr_owner),
        "mr_owner_config": hex::encode(r.mr_owner_config), "body_type": facts.body.number(),
    }));
    if let Some(td15) = &r.td15 {
        fields.insert("mr_service_td".to_owned(), json!(hex::encode(td15.mr_service_td)));
        fields.insert("tee_tcb_svn2".to_owned(), json!(hex::encode(td15.tee_tcb_svn2)));
    }
    fields
}

fn sgx_fields(facts: &sgx::Facts) -> Map<String, Value> {
    let r = &facts.report;
    object(json!({
        "mr_enclave": hex::encode(r.mr_enclave), "mr_signer": hex::encode(r.mr_signer), "isv_prod_id": r.isv_prod_id,
        "isv_svn": r.isv_svn, "attributes": hex::encode(r.attributes), "cpu_svn": hex::encode(r.cpu_svn),
        "misc_select": r.misc_select, "config_id": hex::encode(r.config_id), "config_svn": r.config_svn,
        "isv_family_id": hex::encode(r.isv_family_id), "isv_ext_prod_id": hex::encode(r.isv_ext_prod_id),
    }))
}
